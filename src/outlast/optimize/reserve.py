"""How much of a budget a search must leave for the proof of its winner, from what rollouts have cost so far."""

from __future__ import annotations

import math

from outlast.optimize.candidate import Outcome

_SURE = 3.0  # standard deviations above the expected cost


class _Moments:
    """Count, sum and sum of squares."""

    __slots__ = ("n", "squares", "total")

    def __init__(self) -> None:
        self.n = 0
        self.total = 0.0
        self.squares = 0.0

    def add(self, value: float) -> None:
        self.n += 1
        self.total += value
        self.squares += value * value

    def of_sum(self, count: int) -> float:
        """What `count` more values will hardly exceed in sum."""
        if not count:
            return 0.0
        mean = self.total / self.n
        variance = max(self.squares / self.n - mean * mean, 0.0)
        return count * mean + _SURE * math.sqrt(variance) * count * math.sqrt(1 / count + 1 / self.n)

    def mean(self) -> float:
        return self.total / self.n if self.n else 0.0


class Reserve:
    """The cost of `examples` rollouts of the costliest candidate that is still in the search.

    Calls, tokens and dollars are the expected sum plus three standard errors; seconds assume `concurrency` rollouts
    at a time.
    """

    def __init__(self, examples: int, concurrency: int) -> None:
        self.examples = examples
        self.concurrency = concurrency
        self._costs: dict[str, dict[str, _Moments]] = {}
        self._needs: dict[str, dict[str, float]] = {}  # of the candidates in `_costs`, until they run again

    def add(self, outcome: Outcome) -> None:
        """Learn from one rollout."""
        moments = self._costs.get(outcome.candidate)
        if moments is None:
            moments = self._costs[outcome.candidate] = {
                name: _Moments() for name in ("calls", "tokens", "dollars", "seconds")
            }
        self._needs.pop(outcome.candidate, None)
        moments["calls"].add(outcome.calls)
        moments["tokens"].add(outcome.tokens)
        moments["dollars"].add(outcome.dollars)
        moments["seconds"].add(outcome.seconds)

    def drop(self, candidate: str) -> None:
        """A candidate that cannot win any more needs no proof."""
        self._costs.pop(candidate, None)
        self._needs.pop(candidate, None)

    def calls_each(self) -> float:
        """Calls of a rollout, over everything learnt so far."""
        seen = [moments["calls"] for moments in self._costs.values()]
        n = sum(moments.n for moments in seen)
        return sum(moments.total for moments in seen) / n if n else 0.0

    def need(self, candidate: str) -> dict[str, float]:
        """What the proof of one candidate will cost; nothing is known of one that never ran."""
        known = self._needs.get(candidate)
        if known is not None and known["rollouts"] == self.examples:
            return known
        moments = self._costs.get(candidate)
        if moments is None:
            return {}
        calls = math.ceil(moments["calls"].of_sum(self.examples))
        rounds = self.examples / self.concurrency + 1 if self.examples else 0
        found: dict[str, float] = {
            "calls": calls,
            "tokens": moments["tokens"].of_sum(self.examples),
            "dollars": moments["dollars"].of_sum(self.examples),
            "seconds": rounds * moments["seconds"].mean() * 1.5,
            "rollouts": self.examples,
        }
        self._needs[candidate] = found
        return found

    def amounts(self) -> dict[str, float]:
        """What to keep back, by name."""
        needs = [self.need(candidate) for candidate in self._costs]
        return {name: max(need[name] for need in needs) for name in needs[0]} if needs else {}

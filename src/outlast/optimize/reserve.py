"""How much of a budget a search must leave for the proof of its winner, from what rollouts have cost so far."""

from __future__ import annotations

import heapq
import math

from outlast.optimize.candidate import Outcome

_SURE = 3.0  # standard deviations above the expected cost
_LONGER, _BETWEEN = 1.25, 0.3  # of the seconds that a proof needs, and those in which a search comes to its end
_ENOUGH = 8  # rollouts of a candidate that tell its costs; those of all candidates fill in before
_LASTS = 1.25  # times as many rollouts of all until a need is reckoned again
_NAMES = ("calls", "tokens", "dollars", "seconds")


class _Moments:
    """Count, sum, sum of squares and the highest value."""

    __slots__ = ("highest", "n", "squares", "total")

    def __init__(self) -> None:
        self.n = 0
        self.total = 0.0
        self.squares = 0.0
        self.highest = 0.0

    def add(self, value: float) -> None:
        self.n += 1
        self.total += value
        self.squares += value * value
        self.highest = max(self.highest, value)

    def of_sum(self, count: int, prior: _Moments) -> float:
        """What `count` more values will hardly exceed in sum; as long as there are less than `_ENOUGH` values, the
        mean of those in `prior` stands for the others, so that the first one or two decide nothing."""
        if not count:
            return 0.0
        others = max(0, _ENOUGH - self.n)
        n = self.n + others
        mean = (self.total + others * prior.total / prior.n) / n
        square = (self.squares + others * prior.squares / prior.n) / n
        variance = max(square - mean * mean, 0.0)
        return count * mean + _SURE * math.sqrt(variance) * count * math.sqrt(1 / count + 1 / n)


class Reserve:
    """The cost of `examples` rollouts of the costliest candidate that is still in the search.

    Calls, tokens and dollars are the expected sum plus three standard errors. Seconds are that with `concurrency`
    rollouts at a time, and the longest one that was seen: no order of jobs ends later than that (Graham 1966).
    """

    def __init__(self, examples: int, concurrency: int) -> None:
        self.examples = examples
        self.concurrency = concurrency
        self._all = {name: _Moments() for name in _NAMES}
        self._costs: dict[str, dict[str, _Moments]] = {}
        self._needs: dict[str, tuple[dict[str, float], int]] = {}  # until they run again, or all have run much more
        self._most: dict[str, tuple[float, str]] = {}  # the greatest need of each thing, and whose it is
        self._moved: set[str] = set()  # candidates that ran, or were dropped, since
        self._due: list[tuple[float, str]] = []  # how many rollouts of all make a need another one, as a heap

    def add(self, outcome: Outcome, took: float = 0.0) -> None:
        """Learn from one rollout, which took so many seconds with its metric and all; 0 when it was not timed."""
        moments = self._costs.get(outcome.candidate)
        if moments is None:
            moments = self._costs[outcome.candidate] = {name: _Moments() for name in _NAMES}
        self._needs.pop(outcome.candidate, None)
        self._moved.add(outcome.candidate)
        timed = {"seconds": max(outcome.seconds, took)}
        for name in _NAMES:
            value: float = timed[name] if name in timed else getattr(outcome, name)
            moments[name].add(value)
            self._all[name].add(value)

    def drop(self, candidate: str) -> None:
        """A candidate that cannot win any more needs no proof."""
        self._costs.pop(candidate, None)
        self._needs.pop(candidate, None)
        self._moved.add(candidate)

    def calls_each(self) -> float:
        """Calls of a rollout, over everything learnt so far."""
        seen = [moments["calls"] for moments in self._costs.values()]
        n = sum(moments.n for moments in seen)
        return sum(moments.total for moments in seen) / n if n else 0.0

    def need(self, candidate: str) -> dict[str, float]:
        """What the proof of one candidate will cost; nothing is known of one that never ran."""
        seen = self._all["calls"].n
        known, then = self._needs.get(candidate, ({}, 0))
        if known.get("rollouts") == self.examples and seen < _LASTS * then:
            return known
        moments = self._costs.get(candidate)
        if moments is None:
            return {}
        sums = {name: moments[name].of_sum(self.examples, self._all[name]) for name in _NAMES}
        at_once = max(1, min(self.concurrency, self.examples))
        found: dict[str, float] = {
            "calls": math.ceil(sums["calls"]),
            "tokens": sums["tokens"],
            "dollars": sums["dollars"],
            "seconds": sums["seconds"] / at_once + moments["seconds"].highest if self.examples else 0.0,
            "rollouts": self.examples,
        }
        self._needs[candidate] = (found, seen)
        return found

    def amounts(self) -> dict[str, float]:
        """What to keep back, by name; of time a quarter and 0.3 seconds more, as it never stands still."""
        found = {name: most for name, (most, _) in self._greatest().items()}
        if found and self.examples:
            found["seconds"] = found["seconds"] * _LONGER + _BETWEEN
        return found

    def _greatest(self) -> dict[str, tuple[float, str]]:
        """The greatest need of each thing. As long as the neediest stay so, only who ran since is looked at."""
        while self._due and self._due[0][0] <= self._all["calls"].n:
            self._moved.add(heapq.heappop(self._due)[1])
        if any(
            candidate in self._moved and self.need(candidate).get(name, -1.0) < most
            for name, (most, candidate) in self._most.items()
        ):
            self._most = {}
        if not self._most or self._most["rollouts"][0] != self.examples:
            self._most, self._moved = {}, set(self._costs)
        for candidate in self._moved & self._costs.keys():
            for name, need in self.need(candidate).items():
                if name not in self._most or need > self._most[name][0]:
                    self._most[name] = (need, candidate)
            heapq.heappush(self._due, (_LASTS * self._needs[candidate][1], candidate))
        self._moved.clear()
        return self._most

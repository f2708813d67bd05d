"""What the rollouts of a search have shown so far of their scores and of what they cost."""

from __future__ import annotations

import math
from collections.abc import Callable

from outlast.optimize.candidate import Outcome


class Experience:
    """Counts rollouts (`count`); tells the scale of their scores, and how many more an amount of money or time pays
    for, when `concurrency` of them run at once."""

    def __init__(self, concurrency: int = 1) -> None:
        self._concurrency = concurrency
        self._least = self._most = math.nan
        self._spent = {"calls": 0.0, "tokens": 0.0, "dollars": 0.0, "seconds": 0.0}
        self.count = 0

    def add(self, outcome: Outcome) -> None:
        """Learn from one rollout."""
        self.count += 1
        if (value := outcome.value) is not None:
            self._least, self._most = min(value, self._least), max(value, self._most)
        for name in self._spent:
            self._spent[name] += getattr(outcome, name)

    @property
    def full(self) -> float:
        """The score of an example that nothing is missing from: 1, or the highest seen where scores leave 0 to 1."""
        return 1.0 if math.isnan(self._most) or (self._least >= 0 and self._most <= 1) else self._most

    @property
    def spread(self) -> float:
        """How far scores lie apart at most, from the least seen to the full one; 1 before any differ."""
        return (self.full - self._least) or 1.0 if not math.isnan(self._least) else 1.0

    def each(self, name: str) -> float:
        """What a rollout took of one thing on average; 0 before the first."""
        return self._spent[name] / self.count if self.count else 0.0

    def affords(self, amount: Callable[[str], float]) -> float:
        """How many rollouts these amounts pay for, by name (infinite: no limit); infinite before the first one, unless
        rollouts are limited."""
        found = amount("rollouts")
        for name, spent in self._spent.items():
            if spent > 0:
                at_once = self._concurrency if name == "seconds" else 1
                found = min(found, amount(name) * self.count * at_once / spent)
        return found

"""How much of the variance of scores lies between examples, and how much between the runs of one."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Variance:
    """Variance components of the scores of runs: `between` the examples and `within` one of them, from epoch to epoch.

    The variance of the mean of n examples with k epochs each is about `between / n + within / (n * k)`: more epochs
    lower only the second term. NaN where the data do not tell: `within` needs examples with two scored epochs.
    `examples` and `runs` say how many were counted. Source: the one-way random-effects analysis of variance for
    unequal group sizes (Searle, Casella, McCulloch 1992, "Variance components", chapter 3); a negative estimate of
    `between` is given as 0.
    """

    between: float
    within: float
    examples: int
    runs: int

    @property
    def between_sd(self) -> float:
        """The standard deviation of what examples would score over endless epochs."""
        return math.sqrt(self.between)

    @property
    def within_sd(self) -> float:
        """The standard deviation of the score of one example from epoch to epoch, as `plan_eval` takes it."""
        return math.sqrt(self.within)

    def __str__(self) -> str:
        if math.isnan(self.within):
            return "unknown: no example has two scored epochs"
        return f"sd {self.between_sd:.3g} between examples, {self.within_sd:.3g} from epoch to epoch"


class Spread:
    """Takes the scores of one example at a time; twelve bytes an example."""

    __slots__ = ("_means", "_sizes", "_squares")

    def __init__(self) -> None:
        self._means = array("d")
        self._sizes = array("l")
        self._squares = 0.0

    def add(self, scores: Sequence[float]) -> None:
        """Count the runs of an example in; one without scores is left out."""
        if not scores:
            return
        mean = math.fsum(scores) / len(scores)
        self._means.append(mean)
        self._sizes.append(len(scores))
        self._squares += math.fsum((score - mean) ** 2 for score in scores)

    def variance(self) -> Variance:
        """The components so far."""
        groups, runs = len(self._means), sum(self._sizes)
        within = self._squares / (runs - groups) if runs > groups else math.nan
        if groups < 2 or math.isnan(within):
            return Variance(math.nan, within, groups, runs)
        grand = math.fsum(size * mean for size, mean in zip(self._sizes, self._means, strict=True)) / runs
        spread = math.fsum(size * (mean - grand) ** 2 for size, mean in zip(self._sizes, self._means, strict=True))
        usual = (runs - math.fsum(size * size for size in self._sizes) / runs) / (groups - 1)
        return Variance(max(0.0, (spread / (groups - 1) - within) / usual), within, groups, runs)

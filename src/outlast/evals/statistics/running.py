"""The mean of a stream of scores, for progress while an evaluation runs."""

from __future__ import annotations

import math

from outlast.evals.statistics.intervals import likelihood_from_counts, t_from_moments, wilson
from outlast.evals.statistics.values import Estimate, Interval, check_level, finite, unknown


class Running:
    """Mean, variance and count of scores added one at a time, in constant memory.

    Source: Welford 1962, "Note on a method for calculating corrected sums of squares and products". Not
    safe to add to from two threads at once.

    >>> running = Running()
    >>> for score in (1, 0, 1, 1):
    ...     running.add(score)
    >>> running.mean, running.n, running.estimate().method
    (0.75, 4, 'wilson')
    """

    __slots__ = ("_binary", "_high", "_low", "_mean", "_squares", "_successes", "n")

    def __init__(self) -> None:
        self.n = 0
        self._mean = 0.0
        self._squares = 0.0
        self._low = math.inf
        self._high = -math.inf
        self._binary = True
        self._successes = 0

    def add(self, value: float) -> None:
        """Take one score in; `DataError` when it is not a finite number."""
        (number,) = finite((value,), "Running.add")
        self.n += 1
        step = number - self._mean
        self._mean += step / self.n
        self._squares += step * (number - self._mean)
        self._low, self._high = min(self._low, number), max(self._high, number)
        self._binary = self._binary and number in (0.0, 1.0)
        self._successes += number == 1.0

    @property
    def mean(self) -> float:
        """The mean so far; NaN before the first score."""
        if self._binary and self.n:
            return self._successes / self.n
        return self._mean if self.n else math.nan

    @property
    def variance(self) -> float:
        """The sample variance (divisor n - 1) so far; NaN before the second score."""
        return self._squares / (self.n - 1) if self.n > 1 else math.nan

    @property
    def binary(self) -> bool:
        """Whether every score so far was 0 or 1; True before the first."""
        return self._binary

    @property
    def successes(self) -> int:
        """How many scores were exactly 1."""
        return self._successes

    def estimate(self, level: float = 0.95) -> Estimate:
        """The mean so far with an interval: Wilson while all are 0 or 1, else t, cut to 0..1 if they are.

        A sketch for progress: `estimate_mean` over all graded scores has better coverage near 0 and 1.
        Unknown as there.
        """
        check_level(level)
        interval = self._interval(level)
        return Estimate(self.mean, interval, self.n, interval.method)

    def _interval(self, level: float) -> Interval:
        if self.n == 0:
            return unknown(level)
        if self._binary:
            return wilson(self._successes, self.n, level)
        bounded = self._low >= 0 and self._high <= 1
        if self._low == self._high:
            return likelihood_from_counts({self._low: self.n}, level) if bounded else unknown(level)
        interval = t_from_moments(self._mean, self._squares, self.n, level)
        if bounded:
            return Interval(max(0.0, interval.low), min(1.0, interval.high), level, "t")
        return interval

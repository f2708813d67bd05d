"""The records that statistics give, and the checks on what they are given."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from outlast.errors import DataError, UsageError, brief

LARGEST = 1e90  # cubes of larger scores overflow a float


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval: `low <= high`, both included; `level` is the nominal coverage, 0 to 1.

    `method` names what was really used, a fallback included. Where the data say nothing (no scores, or one
    graded score) the interval is `-inf .. inf` with method "unknown", so that no reader mistakes silence
    for precision.

    >>> 0.8 in Interval(0.71, 0.86, 0.95, "wilson")
    True
    """

    low: float
    high: float
    level: float
    method: str

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    @property
    def width(self) -> float:
        """`high - low`; infinite when the interval is unknown."""
        return self.high - self.low

    @property
    def known(self) -> bool:
        """Whether the data bound the value at all."""
        return math.isfinite(self.low) and math.isfinite(self.high)


@dataclass(frozen=True, slots=True)
class Estimate:
    """The mean of `n` scores with its interval. `value` is NaN when `n` is 0; `method` is the interval's."""

    value: float
    interval: Interval
    n: int
    method: str


def unknown(level: float) -> Interval:
    """The interval of data that bound nothing."""
    return Interval(-math.inf, math.inf, level, "unknown")


def finite(values: Iterable[float], subject: str) -> list[float]:
    """The values as floats; `DataError` names the first that is not a finite number below 1e90."""
    result: list[float] = []
    for position, value in enumerate(values):
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if isinstance(value, str) or not abs(number) <= LARGEST:
            raise DataError(
                f"{subject}: every score must be a finite number below 1e90, got {brief(value)} at position "
                f"{position}. Leave out rows that failed or have no score; count them apart."
            )
        result.append(number)
    return result


def some(values: Iterable[float], subject: str) -> list[float]:
    """`finite`, and at least one of them."""
    result = finite(values, subject)
    if not result:
        raise DataError(f"{subject}: at least one score is needed, got none.")
    return result


def mean_of(values: Sequence[float]) -> float:
    """The mean of at least one value, never outside their range: rounding alone would put that of three times 0.7
    below 0.7, and a score below its own threshold."""
    return min(max(math.fsum(values) / len(values), min(values)), max(values))


def check_level(level: float) -> float:
    """The level, or `UsageError` when it is not a share strictly between 0 and 1."""
    if not 0 < level < 1:
        raise UsageError(
            f"level is the coverage of an interval, a share between 0 and 1, got {level!r}. Write 0.95 for 95 per cent."
        )
    return level


def check_resamples(resamples: int) -> int:
    """The number of resamples, or `UsageError` when there are too few to read a tail from."""
    if resamples < 100:
        raise UsageError(f"resamples must be at least 100, got {resamples!r}. 2000 is enough for a report.")
    return resamples


def is_binary(values: Iterable[float]) -> bool:
    """Whether every value is 0 or 1."""
    return all(value in (0.0, 1.0) for value in values)


def in_unit(values: Iterable[float]) -> bool:
    """Whether every value is in 0..1, the range of a score unless a metric says otherwise."""
    return all(0.0 <= value <= 1.0 for value in values)

"""Correlation of two scores by rank."""

from __future__ import annotations

import math
from bisect import bisect_right, insort
from collections import Counter
from collections.abc import Iterable
from itertools import groupby

from outlast.errors import DataError
from outlast.evals.statistics.quantiles import two_sided_z
from outlast.evals.statistics.values import Estimate, Interval, check_level, finite, unknown


def spearman(a: Iterable[float], b: Iterable[float], level: float = 0.95) -> Estimate:
    """Spearman's rank correlation, -1 to 1, of two scores of the same items; ties get their mean rank.

    Interval: Fisher's z with the standard error of Bonett & Wright 2000, "Sample size requirements for
    estimating Pearson, Kendall and Spearman correlations", made for scores with few ties; a perfect
    correlation counts as if one pair of neighbours were swapped. Unknown below 5 items; NaN where one of the
    scores does not vary. Raises `DataError` for lists of different length or a score that is not finite.

    >>> round(spearman([1, 2, 3, 4, 5], [2, 1, 4, 3, 5]).value, 6)
    0.8
    """
    x, y = _aligned("spearman", a, b)
    return _fisher("spearman", _pearson(ranks(x), ranks(y)), len(x), 3.0, level)


def kendall(a: Iterable[float], b: Iterable[float], level: float = 0.95) -> Estimate:
    """Kendall's tau-b, -1 to 1: how much likelier two items are in the same than in the opposite order.

    Corrected for ties. Interval, NaN and errors as for `spearman`. Cost: n log n comparisons (Knight 1966),
    and the moving of n^2 / 4 list entries, which stays below a second at 100,000 items.

    >>> round(kendall([1, 2, 3, 4, 5], [2, 1, 4, 3, 5]).value, 6)
    0.6
    """
    x, y = _aligned("kendall", a, b)
    return _fisher("kendall", _tau(x, y), len(x), 4.0, level)


def ranks(values: list[float]) -> list[float]:
    """The rank of each value, from 1; equal values share the mean of their ranks."""
    order = sorted(range(len(values)), key=values.__getitem__)
    result, place = [0.0] * len(values), 0
    for _, group in groupby(order, key=values.__getitem__):
        indexes = list(group)
        for index in indexes:
            result[index] = place + (len(indexes) + 1) / 2
        place += len(indexes)
    return result


def _pearson(x: list[float], y: list[float]) -> float:
    mean_x, mean_y = math.fsum(x) / len(x), math.fsum(y) / len(y)
    dx, dy = [value - mean_x for value in x], [value - mean_y for value in y]
    spread = math.fsum(d * d for d in dx) * math.fsum(d * d for d in dy)
    if spread <= 0:
        return math.nan
    return max(-1.0, min(1.0, math.fsum(p * q for p, q in zip(dx, dy, strict=True)) / math.sqrt(spread)))


def _tau(x: list[float], y: list[float]) -> float:
    n = len(x)
    pairs = n * (n - 1) // 2
    tied_x, tied_y, tied_both = _tied(x), _tied(y), _tied(list(zip(x, y, strict=True)))
    before: list[float] = []
    discordant = 0
    for _, group in groupby(sorted(zip(x, y, strict=True)), key=lambda pair: pair[0]):
        values = [value for _, value in group]
        for value in values:
            discordant += len(before) - bisect_right(before, value)
        for value in values:
            insort(before, value)
    concordant = pairs - tied_x - tied_y + tied_both - discordant
    spread = (pairs - tied_x) * (pairs - tied_y)
    return (concordant - discordant) / math.sqrt(spread) if spread else math.nan


def _tied(values: Iterable[object]) -> int:
    return sum(count * (count - 1) // 2 for count in Counter(values).values())


def _fisher(name: str, value: float, n: int, lost: float, level: float) -> Estimate:
    check_level(level)
    if math.isnan(value) or n < 5:
        return Estimate(value, unknown(level), n, "unknown")
    nearest = 1 - (12 / (n * (n * n - 1)) if name == "spearman" else 4 / (n * (n - 1)))  # one swapped pair
    seen = max(-nearest, min(nearest, value))
    spread = 1 + seen * seen / 2 if name == "spearman" else 0.437
    half = two_sided_z(level) * math.sqrt(spread / (n - lost))
    low, high = math.tanh(math.atanh(seen) - half), math.tanh(math.atanh(seen) + half)
    return Estimate(value, Interval(min(low, value), max(high, value), level, "Fisher z"), n, "Fisher z")


def _aligned(subject: str, a: Iterable[float], b: Iterable[float]) -> tuple[list[float], list[float]]:
    x, y = finite(a, f"{subject}, a"), finite(b, f"{subject}, b")
    if len(x) != len(y):
        raise DataError(f"{subject}: both scores are of the same items, got {len(x)} and {len(y)}.")
    if not x:
        raise DataError(f"{subject}: at least one item is needed, got none.")
    return x, y

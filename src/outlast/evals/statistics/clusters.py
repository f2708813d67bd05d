"""Means of scores that come in clusters: questions on one document, turns of one talk, items of one author.

Scores of one cluster resemble each other, so there is less to learn from them than their number says. The unit
is then the cluster; its scores keep their weight in the mean.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable
from typing import NamedTuple

from outlast.errors import DataError
from outlast.evals.statistics.intervals import estimate_mean
from outlast.evals.statistics.quantiles import two_sided_t
from outlast.evals.statistics.values import Estimate, Interval, check_level, finite, in_unit, mean_of, unknown

_FEW = 10


class Totals(NamedTuple):
    """The sum of the values of each cluster and how many there are, in the order of first appearance."""

    sums: list[float]
    sizes: list[float]

    @property
    def single(self) -> bool:
        """Whether every cluster holds one value."""
        return all(size == 1 for size in self.sizes)

    @property
    def named(self) -> str:
        """How many clusters there are, in words that warn when there are few."""
        count = len(self.sizes)
        return f"{'only ' if count < _FEW else ''}{count} cluster{'' if count == 1 else 's'}"


def cluster_totals(values: list[float], clusters: Iterable[Hashable], subject: str) -> Totals:
    """The totals of `values`, one key of `clusters` for each; `DataError` when they do not fit."""
    keys = list(clusters)
    if len(keys) != len(values):
        raise DataError(f"{subject}: each score needs its cluster; got {len(values)} scores and {len(keys)} clusters.")
    groups: dict[Hashable, list[float]] = {}
    for key, value in zip(keys, values, strict=True):
        try:
            groups.setdefault(key, []).append(value)
        except TypeError:
            raise DataError(
                f"{subject}: a cluster is named by a string, a number or another hashable value; got {key!r}."
            ) from None
    return Totals([math.fsum(group) for group in groups.values()], [float(len(group)) for group in groups.values()])


def clustered_mean(values: Iterable[float], clusters: Iterable[Hashable], level: float = 0.95) -> Estimate:
    """The mean of `values` with an interval for scores that are alike within `clusters` (one key for each value).

    The variance is cluster-robust (CR2: squared sums of the deviations of each cluster, over 1 minus its share
    of the data; with clusters of one size that is the usual one with C / (C - 1)), with t quantiles whose
    degrees of freedom fall with unequal sizes (C - 1 with equal ones). Scores in 0..1 get Wilson's interval at
    the number of independent scores that would have this variance (the number of clusters when the means of
    clusters do not vary), other scores mean +- t standard errors. One cluster for each value gives what
    `estimate_mean` gives. One cluster alone: unknown. With fewer than 10 clusters the method says "only".

    Simulated at 95 % for pass/fail, 4 to 60 clusters, equal or very unequal sizes, correlation 0 to .8 within
    clusters, rates .5 and .9: it covered .93 to 1.00, in one of 72 settings .91; the usual t interval .40 to
    .96. Sources: Bell & McCaffrey 2002, "Bias reduction in standard errors for linear regression with
    multi-stage samples"; Miller 2024, "Adding error bars to evals", section 2.2 (uncorrected). Cost: linear.

    Raises `DataError` for a value that is not finite or lists of different length.

    >>> estimate = clustered_mean([1, 1, 1, 0, 0, 0, 1, 1], ["a", "a", "a", "b", "b", "b", "c", "c"])
    >>> estimate.value, estimate.method, round(estimate.interval.low, 2)
    (0.625, 'cluster-robust, only 3 clusters', 0.03)
    """
    check_level(level)
    data = finite(values, "clustered_mean")
    totals = cluster_totals(data, clusters, "clustered_mean")
    n = len(data)
    if totals.single:
        return estimate_mean(data, level)
    mean = mean_of(data)
    if len(totals.sizes) < 2:
        return Estimate(mean, unknown(level), n, "unknown")
    variance, df = cluster_variance(totals, mean)
    method = f"cluster-robust, {totals.named}"
    if in_unit(data):
        low, high = _wilson(mean, variance, len(totals.sizes), two_sided_t(level, df))
    elif variance == 0:
        return Estimate(mean, unknown(level), n, "unknown")
    else:
        half = two_sided_t(level, df) * math.sqrt(variance)
        low, high = mean - half, mean + half
    return Estimate(mean, Interval(low, high, level, method), n, method)


def cluster_variance(totals: Totals, mean: float) -> tuple[float, float]:
    """The variance of the mean of at least two clusters and its degrees of freedom, from 1."""
    sums, sizes = totals
    n = math.fsum(sizes)
    scales = [1 / (1 - size / n) for size in sizes]
    squares = math.fsum(k * (s - size * mean) ** 2 for k, s, size in zip(scales, sums, sizes, strict=True))
    loads = [k * size * size for k, size in zip(scales, sizes, strict=True)]
    crossed = (math.fsum(loads) ** 2 - math.fsum(load * load for load in loads)) / (n * n)
    df = n * n / (math.fsum(size * size for size in sizes) + crossed)
    return squares / (n * n), max(1.0, df)


def _wilson(mean: float, variance: float, clusters: int, quantile: float) -> tuple[float, float]:
    mean = min(1.0, max(0.0, mean))
    spread = mean * (1 - mean)
    effective = spread / variance if variance > 1e-18 and spread > 0 else float(clusters)
    shrink = 1 + quantile * quantile / effective
    middle = (mean + quantile * quantile / (2 * effective)) / shrink
    half = quantile * math.sqrt(spread / effective + quantile * quantile / (4 * effective * effective)) / shrink
    return max(0.0, min(middle - half, mean)), min(1.0, max(middle + half, mean))


def clustered_difference(totals: Totals, scale: float, level: float) -> Interval:
    """The interval for the mean of paired differences in `totals`; unknown for one cluster.

    As `clustered_mean`, over the clusters plus two of the usual size that changed by as much as a usual
    cluster, one each way (`adjusted_t` carried over to clusters; with one pair in each it is the same).
    """
    sums, sizes = totals
    count, n = len(sizes), math.fsum(sizes)
    changed = [s for s in sums if s]
    usual = math.sqrt(math.fsum(s * s for s in changed) / len(changed)) if changed else scale * n / count
    if count < 2 or usual == 0:
        return unknown(level)
    middle, difference = math.fsum(sums) / (n + 2 * n / count), math.fsum(sums) / n
    variance, df = cluster_variance(Totals([*sums, usual, -usual], [*sizes, n / count, n / count]), middle)
    half = two_sided_t(level, df) * math.sqrt(variance)
    low, high = min(middle - half, difference), max(middle + half, difference)
    return Interval(low, high, level, f"cluster-robust ({totals.named})")

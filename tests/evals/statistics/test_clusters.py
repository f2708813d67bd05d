"""Cluster-robust intervals against statsmodels, matrix algebra and simulation."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
import scipy.linalg
import scipy.stats

from outlast.errors import DataError
from outlast.evals.statistics import clustered_mean, estimate_mean, paired_difference, t_quantile
from outlast.evals.statistics.clusters import cluster_totals, cluster_variance
from outlast.evals.statistics.paired import adjusted_t

SIZES = [1, 2, 9, 4, 4, 1, 6]


def drawn(sizes, seed=0):
    rng = np.random.default_rng(seed)
    keys = np.repeat(np.arange(len(sizes)), sizes)
    return rng.normal(size=len(keys)) + rng.normal(size=len(sizes))[keys], keys


def test_equal_clusters_agree_with_statsmodels():
    import statsmodels.api as sm

    values, keys = drawn([5] * 12)
    fit = sm.OLS(values, np.ones(60)).fit(cov_type="cluster", cov_kwds={"groups": keys}, use_t=True)
    low, high = fit.conf_int()[0]
    estimate = clustered_mean(values, keys)
    assert estimate.method == "cluster-robust, 12 clusters"
    assert estimate.interval.low == pytest.approx(low, rel=1e-10)
    assert estimate.interval.high == pytest.approx(high, rel=1e-10)


def test_unequal_clusters_agree_with_the_matrix_form_of_bell_and_mccaffrey():
    values, keys = drawn(SIZES)
    n = len(values)
    x = np.ones((n, 1))
    hat = x @ x.T / n
    residuals, columns, variance = values - values.mean(), [], 0.0
    for key in range(len(SIZES)):
        rows = np.flatnonzero(keys == key)
        adjust = scipy.linalg.inv(scipy.linalg.sqrtm(np.eye(len(rows)) - hat[np.ix_(rows, rows)])).real
        variance += (x[rows, 0] @ adjust @ residuals[rows]) ** 2 / n**2
        columns.append((np.eye(n) - hat)[:, rows] @ adjust @ x[rows, 0] / n)
    gram = np.array(columns) @ np.array(columns).T
    got, df = cluster_variance(cluster_totals(list(values), keys, "test"), values.mean())
    assert got == pytest.approx(variance, rel=1e-10)
    assert df == pytest.approx(np.trace(gram) ** 2 / np.sum(gram**2), rel=1e-10)
    interval = clustered_mean(values, keys).interval
    assert interval.width == pytest.approx(2 * t_quantile(0.975, df) * math.sqrt(variance), rel=1e-10)


def test_one_cluster_for_each_value_gives_what_no_clusters_give():
    for values in ([1, 0, 1, 1, 1], [0.2, 0.9, 0.4], [3.0, 9.0, 1.0]):
        assert clustered_mean(values, range(len(values))) == estimate_mean(values)
    rng = random.Random(0)
    for draw in (lambda: rng.random() < 0.5, rng.random, lambda: rng.gauss(5, 9)):
        a, b = [draw() for _ in range(30)], [draw() for _ in range(30)]
        assert paired_difference(a, b, clusters=range(30)) == paired_difference(a, b)


def test_the_clustered_difference_of_single_pairs_is_the_adjusted_t():
    from outlast.evals.statistics.clusters import clustered_difference

    differences = [0.0] * 20 + [1.0, 1.0, 0.5, -1.0]
    clustered = clustered_difference(cluster_totals(differences, range(24), "test"), 1.0, 0.95)
    plain = adjusted_t(differences, 0.95, 1.0)
    assert (clustered.low, clustered.high) == (pytest.approx(plain.low), pytest.approx(plain.high))


def beta_binomial(rng, sizes, rate: float, within: float) -> tuple[list[float], list[int]]:
    """Pass/fail scores with correlation `within` inside clusters."""
    values, keys = [], []
    for key, size in enumerate(sizes):
        share = rng.betavariate(rate * (1 - within) / within, (1 - rate) * (1 - within) / within)
        values += [float(rng.random() < share) for _ in range(size)]
        keys += [key] * size
    return values, keys


@pytest.mark.parametrize("sizes", [[5] * 20, [2] * 18 + [20, 10], [1 + i % 8 for i in range(30)], [5] * 6])
@pytest.mark.parametrize("rate", [0.5, 0.9])
def test_clustered_means_cover_where_independent_ones_do_not(sizes, rate):
    rng, repeats, covered, naive = random.Random(1), 300, 0, 0
    for _ in range(repeats):
        values, keys = beta_binomial(rng, sizes, rate, 0.4)
        covered += rate in clustered_mean(values, keys).interval
        naive += rate in estimate_mean(values).interval
    assert covered / repeats >= 0.92
    assert naive / repeats < 0.9


def both_runs(rng, sizes, gain: float = 0.0):
    """Two pass/fail runs whose differences are alike within clusters, in a way that favours neither at gain 0."""
    a, b, keys = [], [], []
    for key, size in enumerate(sizes):
        leaning = rng.gauss(gain, 1.0)
        for _ in range(size):
            item = rng.gauss(0, 1)
            a.append(float(rng.random() < 1 / (1 + math.exp(-item + leaning / 2))))
            b.append(float(rng.random() < 1 / (1 + math.exp(-item - leaning / 2))))
            keys.append(key)
    return a, b, keys


@pytest.mark.parametrize("sizes", [[8] * 15, [3] * 14 + [25]])
def test_clustered_comparisons_keep_their_false_positive_rate_and_others_do_not(sizes):
    rng, repeats, clustered, covered, naive = random.Random(2), 200, 0, 0, 0
    for _ in range(repeats):
        a, b, keys = both_runs(rng, sizes)
        result = paired_difference(a, b, clusters=keys)
        clustered += result.p <= 0.05
        covered += 0.0 in result.interval
        naive += paired_difference(a, b).p <= 0.05
    assert clustered / repeats <= 0.08  # 0.05 and two standard errors
    assert covered / repeats >= 0.92
    assert naive / repeats > 0.1


def test_clustered_comparisons_find_a_gain_and_say_how():
    a, b, keys = both_runs(random.Random(3), [6] * 25, gain=1.5)
    result = paired_difference(a, b, clusters=[f"doc {key}" for key in keys])
    assert result.p < 0.01
    assert result.interval.low > 0
    assert result.n == 150
    assert result.wins + result.losses + result.ties == 150
    assert result.method == "cluster-robust (25 clusters) interval, sign-flip permutation test of clusters"
    swapped = paired_difference(b, a, clusters=keys)
    assert (swapped.p, swapped.interval.low) == (result.p, pytest.approx(-result.interval.high))


def test_few_clusters_are_told_and_never_significant():
    result = paired_difference([0] * 50, [1] * 50, clusters=[i // 10 for i in range(50)])
    assert result.p == pytest.approx(2 / 2**5)
    assert "only 5 clusters" in result.method
    assert clustered_mean([1, 1, 0, 0], "aabb").method == "cluster-robust, only 2 clusters"
    one = clustered_mean([1, 0, 1], "xxx")
    assert (one.value, one.method, one.interval.known) == (pytest.approx(2 / 3), "unknown", False)
    alone = paired_difference([1, 0], [1, 1], clusters="xx")
    assert (alone.p, alone.interval.known) == (1.0, False)


def test_clusters_that_do_not_vary_are_no_certainty():
    assert clustered_mean([1] * 40, [i // 4 for i in range(40)]).interval.low < 0.75
    assert clustered_mean([7] * 40, [i // 4 for i in range(40)]).method == "unknown"
    same = paired_difference([1] * 40, [1] * 40, clusters=[i // 4 for i in range(40)])
    assert same.interval.width > 0.3
    assert same.p == 1


def test_clusters_that_do_not_fit_are_refused():
    with pytest.raises(DataError, match="got 3 scores and 2 clusters"):
        clustered_mean([1, 0, 1], "ab")
    with pytest.raises(DataError, match="each score needs its cluster"):
        paired_difference([1, 0], [1, 0], clusters=["a"])
    with pytest.raises(DataError, match="hashable"):
        clustered_mean([1, 0], [["a"], ["b"]])
    assert clustered_mean([], []).method == "unknown"

"""Quantiles and intervals against scipy, statsmodels and exact or simulated coverage."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
import scipy.optimize
import scipy.stats

from outlast.errors import DataError, UsageError
from outlast.evals.statistics import (
    Interval,
    bootstrap_interval,
    estimate_mean,
    likelihood_interval,
    normal_quantile,
    t_interval,
    t_quantile,
    wilson,
)

SKEWED = [0.1, 0.2, 0.2, 0.9, 1.4, 0.3, 0.0, 3.1, 0.4, 0.7, 0.2, 5.0, 0.1, 0.6, 0.8]


# Quantiles


@pytest.mark.parametrize("df", [1, 1.5, 2, 3, 5, 9.5, 29, 199, 9_999, 100_000, 100_001, 1e7])
def test_t_quantiles_agree_with_scipy(df):
    for p in (1e-12, 1e-6, 0.005, 0.025, 0.2, 0.4, 0.6, 0.9, 0.975, 0.9999):
        assert t_quantile(p, df) == pytest.approx(scipy.stats.t.ppf(p, df), rel=1e-9)
    assert t_quantile(0.5, df) == 0


def test_t_quantiles_far_out_in_the_tail_agree_with_scipy():
    for p in (1e-30, 1e-90):
        for df in (60, 100_001):
            assert t_quantile(p, df) == pytest.approx(scipy.stats.t.ppf(p, df), rel=1e-9)


def test_normal_quantiles_agree_with_scipy():
    for p in (1e-12, 0.025, 0.5, 0.8, 0.999):
        assert normal_quantile(p) == pytest.approx(scipy.stats.norm.ppf(p), rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("p", [0, 1, -0.1, 1.1, math.nan])
def test_quantiles_refuse_what_is_no_probability(p):
    with pytest.raises(UsageError, match="probability"):
        normal_quantile(p)
    with pytest.raises(UsageError, match="probability"):
        t_quantile(p, 5)


def test_t_quantile_refuses_no_degrees_of_freedom():
    with pytest.raises(UsageError, match="degrees of freedom"):
        t_quantile(0.9, 0)


# Intervals for one program


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (1, 10), (95, 100), (100, 100), (1, 1), (3000, 10_000)])
@pytest.mark.parametrize("level", [0.8, 0.95, 0.999])
def test_wilson_agrees_with_statsmodels(successes, n, level):
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(successes, n, alpha=1 - level, method="wilson")
    interval = wilson(successes, n, level)
    assert interval.low == pytest.approx(low, abs=1e-12)
    assert interval.high == pytest.approx(high, abs=1e-12)
    assert (interval.level, interval.method) == (level, "wilson")


def test_wilson_covers_where_student_t_fails():
    def coverage(interval_of) -> float:
        k = np.arange(101)
        covered = [0.95 in interval_of(int(s)) for s in k]
        return float(np.sum(scipy.stats.binom.pmf(k, 100, 0.95)[covered]))

    assert 0.94 <= coverage(lambda s: wilson(s, 100)) <= 0.98
    assert coverage(lambda s: t_interval([1] * s + [0] * (100 - s))) < 0.9


def test_wilson_of_nothing_is_the_whole_range_and_impossible_counts_are_refused():
    assert wilson(0, 0) == Interval(0, 1, 0.95, "wilson")
    for successes, n in ((-1, 5), (6, 5)):
        with pytest.raises(DataError, match="between 0 and n"):
            wilson(successes, n)


@pytest.mark.parametrize("level", [0.5, 0.95, 0.99])
def test_t_interval_agrees_with_scipy(level):
    expected = scipy.stats.ttest_1samp(SKEWED, 0).confidence_interval(level)
    interval = t_interval(SKEWED, level)
    assert interval.low == pytest.approx(expected.low, rel=1e-10)
    assert interval.high == pytest.approx(expected.high, rel=1e-10)


def likelihood_by_the_dual(values, level: float) -> float:
    """The upper limit from the other side: the mean at which the likelihood ratio reaches its bound."""
    x, n = np.asarray(values, float), len(values)
    bound = scipy.stats.norm.ppf((1 + level) / 2) ** 2 / (2 * (n - 1))

    def ratio(mean: float) -> float:
        most = (1 - 1e-13) / (1 - mean)
        best = scipy.optimize.minimize_scalar(
            lambda tilt: -np.mean(np.log(1 - tilt * (x - mean))), bounds=(0, most), options={"xatol": 1e-14}
        )
        return -best.fun - bound

    return scipy.optimize.brentq(ratio, x.mean(), 1 - 1e-9, xtol=1e-12)


@pytest.mark.parametrize("values", [[0.2, 0.9], [0, 0.5, 1, 1, 0.7], [0.9] * 7 + [1], [0.31, 0.3, 0.29] * 5, [0.5] * 4])
def test_likelihood_interval_agrees_with_its_dual_problem(values):
    for level in (0.8, 0.95):
        interval = likelihood_interval(values, level)
        assert interval.high == pytest.approx(likelihood_by_the_dual(values, level), abs=1e-6)
        assert interval.low == pytest.approx(1 - likelihood_by_the_dual([1 - x for x in values], level), abs=1e-6)


def test_likelihood_interval_bears_rounding_noise_at_the_ends_of_the_range():
    noisy = likelihood_interval([1 - 2**-53, 1e-17, 0.5, 1e-17, 5e-324])
    exact = likelihood_interval([1, 0, 0.5, 0, 0])
    assert (noisy.low, noisy.high) == (pytest.approx(exact.low, abs=1e-9), pytest.approx(exact.high, abs=1e-9))


def test_likelihood_interval_scales_with_the_range_of_the_metric():
    unit, stars = likelihood_interval([0.25, 0.5, 1, 0.75]), likelihood_interval([2, 3, 5, 4], low=1, high=5)
    assert (stars.low, stars.high) == (pytest.approx(1 + 4 * unit.low), pytest.approx(1 + 4 * unit.high))
    with pytest.raises(DataError, match="range of the metric"):
        likelihood_interval([0, 3])
    with pytest.raises(UsageError, match="low must be below high"):
        likelihood_interval([1, 1], low=1, high=1)


def coverage(draw, mean: float, interval_of, repeats: int, seed: int = 1) -> float:
    rng = random.Random(seed)
    return sum(mean in interval_of(draw(rng)) for _ in range(repeats)) / repeats


def near_ceiling(n: int):
    return lambda rng: [1.0 if rng.random() < 0.9 else rng.random() for _ in range(n)]


def test_auto_covers_graded_scores_near_the_ceiling_where_student_t_fails():
    automatic = coverage(near_ceiling(20), 0.95, lambda x: estimate_mean(x).interval, 400)
    assert 0.94 <= automatic <= 1
    assert coverage(near_ceiling(20), 0.95, t_interval, 400) < 0.85


@pytest.mark.parametrize("method", ["bca", "studentised"])
def test_bootstrap_covers_skewed_graded_scores(method):
    def draw(rng):
        return [rng.expovariate(1) for _ in range(50)]

    covered = coverage(draw, 1, lambda x: bootstrap_interval(x, resamples=300, method=method), 300)
    assert 0.90 <= covered <= 0.98


def test_bca_agrees_with_scipy():
    expected = scipy.stats.bootstrap(
        (np.asarray(SKEWED),), np.mean, n_resamples=100_000, method="BCa", rng=np.random.default_rng(0)
    ).confidence_interval
    interval = bootstrap_interval(SKEWED, resamples=100_000)
    assert interval.method == "bca bootstrap"
    assert interval.low == pytest.approx(expected.low, abs=0.01)
    assert interval.high == pytest.approx(expected.high, abs=0.03)
    percentile = bootstrap_interval(SKEWED, resamples=20_000, method="percentile")
    assert interval.low - percentile.low > 0.05, "the correction for skewness must move both limits up"
    assert interval.high - percentile.high > 0.15


def test_studentised_bootstrap_agrees_with_numpy():
    x, rng = np.asarray(SKEWED), np.random.default_rng(0)
    samples = rng.choice(x, (60_000, len(x)))
    t = np.abs(samples.mean(1) - x.mean()) / samples.std(1, ddof=1)
    half = np.quantile(t, 0.95) * x.std(ddof=1)
    interval = bootstrap_interval(SKEWED, resamples=20_000, method="studentised")
    assert interval.method == "studentised bootstrap"
    assert interval.high - x.mean() == pytest.approx(half, rel=0.03)
    assert x.mean() - interval.low == pytest.approx(half, rel=0.03)


def test_bootstrap_names_its_fallbacks():
    assert bootstrap_interval([0.0] * 9 + [1.0], method="studentised") == t_interval([0.0] * 9 + [1.0])
    assert bootstrap_interval([2, 2, 2]) == Interval(2, 2, 0.95, "bca bootstrap")
    lopsided = [0.0] * 400 + [1.0]
    wide = bootstrap_interval(lopsided, level=1 - 1e-9)
    assert wide.method == "percentile bootstrap", "no finite acceleration reaches that far into this tail"


def test_bootstrap_is_repeatable_and_leaves_the_global_random_state_alone():
    random.seed(5)
    before = random.getstate()
    first = bootstrap_interval(SKEWED, seed=3)
    assert random.getstate() == before
    assert bootstrap_interval(SKEWED[::-1], seed=3) == first
    assert bootstrap_interval(SKEWED, seed=4) != first
    mirrored = bootstrap_interval([-x for x in SKEWED], seed=3)
    assert (mirrored.low, mirrored.high) == (-first.high, -first.low)


def test_auto_chooses_by_the_kind_of_scores():
    assert estimate_mean([1, 0, True, False]).interval == wilson(2, 4)
    assert estimate_mean([1, 0, 0.5]).interval == likelihood_interval([1, 0, 0.5])
    assert estimate_mean([1, 0, 7]).interval == t_interval([1, 0, 7])
    assert estimate_mean(SKEWED, method="bootstrap", seed=2).interval == bootstrap_interval(SKEWED, seed=2)
    assert estimate_mean([1, 0, 0], method="t", level=0.9).interval == t_interval([1, 0, 0], 0.9)
    assert estimate_mean([1, 1], method="likelihood").method == "likelihood"
    assert estimate_mean([1] * 30).interval.low < 0.9, "30 of 30 is no certainty"


@pytest.mark.parametrize("values", [[], [0.5], [3, 3, 3]])
def test_data_that_bound_nothing_say_so(values):
    estimate = estimate_mean(values)
    assert (estimate.interval.low, estimate.interval.high) == (-math.inf, math.inf)
    assert estimate.method == estimate.interval.method == "unknown"
    assert not estimate.interval.known
    assert estimate.n == len(values)
    assert math.isnan(estimate.value) == (not values)


def test_equal_graded_scores_are_no_certainty():
    estimate = estimate_mean([0.7] * 40)
    assert estimate.interval.low < 0.68 < 0.7 < 0.71 < estimate.interval.high


def test_unknown_or_unfit_methods_are_refused():
    with pytest.raises(UsageError, match=r"no method 'wilso'\. Did you mean 'wilson'\?"):
        estimate_mean([1], method="wilso")
    with pytest.raises(DataError, match="0 and 1 only"):
        estimate_mean([0.5], method="wilson")
    with pytest.raises(UsageError, match="Methods: bca, percentile, studentised"):
        bootstrap_interval([1, 2], method="basic")
    with pytest.raises(UsageError, match="at least 100"):
        bootstrap_interval([1, 2], resamples=10)

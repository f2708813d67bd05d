"""Corrected rates against ppi-python and statsmodels, and their coverage by simulation."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
import scipy.stats

from outlast.errors import DataError, UsageError
from outlast.evals.statistics import informedness, ppi_mean, rogan_gladen


def judged_items(rng, n: int, rate: float, tpr: float = 0.92, tnr: float = 0.85):
    truth = [float(rng.random() < rate) for _ in range(n)]
    return truth, [float(rng.random() < (tpr if y else 1 - tnr)) for y in truth]


def verdict_lists(rng, n: int, rate: float, tpr: float, tnr: float) -> list[float]:
    """As `judged_items` for the verdicts alone, drawn as one number: their order does not matter."""
    passed = np.random.default_rng(rng.randrange(2**32)).binomial(n, rate * tpr + (1 - rate) * (1 - tnr))
    return [1.0] * int(passed) + [0.0] * int(n - passed)


@pytest.mark.parametrize("level", [0.8, 0.95])
@pytest.mark.parametrize("kind", ["binary", "graded", "useless", "perfect"])
def test_the_published_interval_agrees_with_ppi_python(level, kind):
    from ppi_py import ppi_mean_ci, ppi_mean_pointestimate

    rng = np.random.default_rng(3)
    y = rng.random(60) if kind == "graded" else rng.integers(0, 2, 60).astype(float)
    noise = {"binary": rng.random(60) < 0.2, "graded": rng.normal(0, 0.2, 60), "useless": 0, "perfect": 0}[kind]
    f = abs(y - noise) if kind == "binary" else rng.permutation(y) if kind == "useless" else y + noise
    g = rng.random(400) if kind == "graded" else rng.integers(0, 2, 400).astype(float)
    low, high = ppi_mean_ci(y, f, g, alpha=1 - level)
    estimate = ppi_mean(y, f, g, level, method="clt")
    assert estimate.value == pytest.approx(float(ppi_mean_pointestimate(y, f, g)[0]), abs=1e-12)
    assert estimate.interval.low == pytest.approx(low[0], abs=1e-12)
    assert estimate.interval.high == pytest.approx(high[0], abs=1e-12)
    assert estimate.n == 60


@pytest.mark.parametrize("more", [100, 500, 3000])
@pytest.mark.parametrize("correct", [ppi_mean, rogan_gladen])
def test_corrected_rates_cover_where_the_judges_own_rate_does_not(correct, more):
    rng, truth, repeats = random.Random(more), 0.8, 400
    covered = raw = 0
    for _ in range(repeats):
        y, f = judged_items(rng, 100, truth)
        g = verdict_lists(rng, more, truth, 0.92, 0.85)
        covered += truth in correct(y, f, g).interval
        rate = sum(g) / more
        raw += abs(rate - truth) <= 1.96 * math.sqrt(rate * (1 - rate) / more)
    assert covered / repeats >= 0.93
    assert more == 100 or raw / repeats < 0.7


@pytest.mark.parametrize(("rate", "tpr", "tnr"), [(0.9, 0.92, 0.85), (0.95, 0.99, 0.95), (0.98, 0.98, 0.98)])
def test_ppi_covers_near_the_ceiling_where_the_published_interval_does_not(rate, tpr, tnr):
    rng, repeats = random.Random(1), 400
    covered = published = 0
    for _ in range(repeats):
        y, f = judged_items(rng, 100, rate, tpr, tnr)
        g = verdict_lists(rng, 3000, rate, tpr, tnr)
        covered += rate in ppi_mean(y, f, g).interval
        published += rate in ppi_mean(y, f, g, method="clt").interval
    assert covered / repeats >= 0.94
    assert published / repeats < 0.94


@pytest.mark.parametrize("more", [60, 1000])
def test_the_interval_for_pass_or_fail_is_wilsons_at_the_effective_number_of_labels(more):
    rng = random.Random(more)
    y, f = judged_items(rng, 80, 0.8)
    g = verdict_lists(rng, more, 0.8, 0.92, 0.85)
    estimate = ppi_mean(y, f, g)
    y2, f2, g2 = np.array([*y, 1, 0]), np.array([*f, 0, 1]), np.array([*g, 1, 0])  # half a pseudo-item each way
    w, v = np.array([1.0] * 80 + [0.5] * 2), np.array([1.0] * more + [0.5] * 2)
    (var_y, cov), (_, var_f) = np.cov(y2, f2, aweights=w, ddof=0)
    mean_g = np.average(g2, weights=v)
    var_g = np.average((g2 - mean_g) ** 2, weights=v)
    both, weights = np.concatenate([f2, g2]), np.concatenate([w, v])
    pooled = np.sum(weights * (both - np.average(both, weights=weights)) ** 2) / (weights.sum() - 1)
    weight = cov / ((1 + 80 / more) * pooled)
    variance = (var_y - 2 * weight * cov + weight**2 * var_f) / 78 + weight**2 * var_g / more
    share = np.average(y2, weights=w)
    n, t = share * (1 - share) / variance, scipy.stats.t.isf(0.025, 78)
    value = np.mean(y) + weight * (np.mean(g) - np.mean(f))
    middle = (value + t * t / (2 * n)) / (1 + t * t / n)
    half = t * math.sqrt(value * (1 - value) / n + t * t / (4 * n * n)) / (1 + t * t / n)
    assert estimate.value == pytest.approx(value, abs=1e-12)
    assert estimate.interval.low == pytest.approx(middle - half, abs=1e-12)
    assert estimate.interval.high == pytest.approx(middle + half, abs=1e-12)


def test_ppi_is_narrower_than_the_labels_alone_and_never_much_wider():
    from outlast.evals.statistics import estimate_mean

    rng = random.Random(5)
    y, f = judged_items(rng, 100, 0.8)
    alone = estimate_mean(y).interval.width
    assert ppi_mean(y, f, verdict_lists(rng, 3000, 0.8, 0.92, 0.85)).interval.width < 0.8 * alone
    shuffled = rng.sample(f, len(f))
    assert ppi_mean(y, shuffled, verdict_lists(rng, 3000, 0.8, 0.92, 0.85)).interval.width < 1.05 * alone


def test_rogan_gladen_covers_with_labels_half_fails():
    rng, truth, repeats = random.Random(2), 0.9, 400
    covered = 0
    for _ in range(repeats):
        y = [1.0] * 50 + [0.0] * 50
        f = [float(rng.random() < (0.92 if label else 0.15)) for label in y]
        covered += truth in rogan_gladen(y, f, verdict_lists(rng, 500, truth, 0.92, 0.85)).interval
    assert covered / repeats >= 0.93


def test_rogan_gladen_solves_for_the_rate_and_stays_within_0_and_1():
    y, f = [1] * 10 + [0] * 10, [1] * 9 + [0] + [0] * 8 + [1] * 2
    estimate = rogan_gladen(y, f, [1] * 55 + [0] * 45)
    assert estimate.value == pytest.approx((0.55 + 0.8 - 1) / (0.9 + 0.8 - 1))
    assert estimate.value in estimate.interval
    assert rogan_gladen(y, f, [1] * 100).value == 1
    assert rogan_gladen(y, f, [0] * 100).value == 0
    assert rogan_gladen(y, f, [1] * 100).interval.low < 1
    assert rogan_gladen(y, f, [1] * 55 + [0] * 45, level=0.8).interval.width < estimate.interval.width


def test_a_judge_near_chance_is_refused():
    rng = random.Random(0)
    with pytest.raises(DataError, match="not clearly better than chance"):
        rogan_gladen(*judged_items(rng, 100, 0.5, 0.5, 0.5), [1, 0])
    with pytest.raises(DataError, match="TPR 0.00 [+] TNR 0.00 - 1 = -1.00"):
        rogan_gladen([1, 1, 0, 0], [0, 0, 1, 1], [1, 0])
    with pytest.raises(DataError, match="label more"):
        rogan_gladen([1, 1, 1, 0, 0], [1, 1, 0, 0, 0], [1, 0])
    many = [1] * 5000 + [0] * 5000
    weak = [1] * 2900 + [0] * 2100 + [0] * 2900 + [1] * 2100  # surely above chance, and of no use
    with pytest.raises(DataError, match="= 0.16"):
        rogan_gladen(many, weak, [1, 0])


def test_perfect_agreement_is_no_certainty():
    y = [1.0] * 90 + [0.0] * 10
    estimate = ppi_mean(y, y, [1.0] * 2700 + [0.0] * 300)
    assert estimate.value == pytest.approx(0.9)
    assert estimate.interval.width > 0.03
    assert ppi_mean([1.0] * 50, [1.0] * 50, [1.0] * 50).interval.low < 0.95
    graded = [0.1 * (i % 10) for i in range(50)]
    assert ppi_mean(graded, graded, graded * 40).interval.width > 0.05


def test_graded_scores_get_a_t_interval_within_their_range():
    rng, repeats, covered = random.Random(4), 300, 0
    for _ in range(repeats):
        y = [rng.betavariate(4, 1) for _ in range(60)]
        f = [min(1.0, max(0.0, x + rng.gauss(0.05, 0.1))) for x in y]
        g = [min(1.0, max(0.0, rng.betavariate(4, 1) + rng.gauss(0.05, 0.1))) for _ in range(300)]
        estimate = ppi_mean(y, f, g)
        assert 0 <= estimate.interval.low <= estimate.value <= estimate.interval.high <= 1
        covered += 0.8 in estimate.interval
    assert estimate.method == "ppi++ t"
    assert covered / repeats >= 0.93
    assert ppi_mean([1, 2, 3, 4, 5], [1, 2, 3, 4, 4], [5, 5, 5]).value > 3


@pytest.mark.parametrize("method", ["auto", "clt"])
def test_a_silent_judge_leaves_the_mean_of_the_labels(method):
    y = [1, 0, 1, 1, 0, 1, 1, 1, 0, 1]
    assert ppi_mean(y, [1] * 10, [1] * 50, method=method).value == pytest.approx(0.7)


def test_informedness_agrees_with_statsmodels():
    from statsmodels.stats.proportion import confint_proportions_2indep

    y, f = [1] * 40 + [0] * 25, [1] * 33 + [0] * 7 + [0] * 20 + [1] * 5
    low, high = confint_proportions_2indep(33, 40, 5, 25, method="newcomb", compare="diff")
    estimate = informedness(y, f)
    assert estimate.value == pytest.approx(33 / 40 + 20 / 25 - 1)
    assert (estimate.interval.low, estimate.interval.high) == (pytest.approx(low), pytest.approx(high))
    assert informedness([1, 1, 0], [1, 1, 1]).value == 0


def test_lists_that_do_not_fit_are_refused():
    with pytest.raises(DataError, match="each labelled item needs a verdict"):
        ppi_mean([1, 0, 1], [1, 0], [1])
    with pytest.raises(DataError, match="at least 3 labels"):
        ppi_mean([1, 0], [1, 0], [1])
    for correct in (ppi_mean, rogan_gladen):
        with pytest.raises(DataError, match="unlabelled: at least one"):
            correct([1, 0, 1], [1, 0, 1], [])
        with pytest.raises(DataError, match="finite number"):
            correct([1, 0, math.nan], [1, 0, 1], [1])
    with pytest.raises(DataError, match="0 or 1"):
        rogan_gladen([1, 0, 0.5], [1, 0, 1], [1])
    with pytest.raises(DataError, match="both needed, got 3 and 0"):
        rogan_gladen([1, 1, 1], [1, 0, 1], [1])
    with pytest.raises(DataError, match="0 or 1"):
        informedness([1, 0, 0.5], [1, 0, 1])
    with pytest.raises(UsageError, match=r"no method 'ctl'\. Did you mean 'clt'\?"):
        ppi_mean([1, 0, 1], [1, 0, 1], [1], method="ctl")
    with pytest.raises(UsageError, match="level"):
        rogan_gladen([1, 0], [1, 0], [1], level=95)

"""Paired tests and intervals against scipy, statsmodels and exact or simulated coverage."""

from __future__ import annotations

import itertools
import math
import random
import time

import numpy as np
import pytest
import scipy.optimize
import scipy.stats

from outlast.errors import DataError
from outlast.evals.statistics import (
    bootstrap_interval,
    mcnemar_exact,
    mcnemar_unconditional,
    paired_difference,
    paired_permutation,
    tango,
)

Z = 1.959963984540054


# Paired tests


@pytest.mark.parametrize(("b", "c"), [(0, 0), (1, 0), (5, 0), (7, 7), (2, 11), (30, 55), (400, 470), (0, 900)])
def test_mcnemar_agrees_with_scipy_and_statsmodels(b, c):
    from statsmodels.stats.contingency_tables import mcnemar

    expected = scipy.stats.binomtest(b, b + c).pvalue if b + c else 1.0
    assert mcnemar_exact(b, c) == pytest.approx(expected, rel=1e-10)
    if 0 < b + c < 800:
        assert mcnemar_exact(b, c) == pytest.approx(mcnemar([[9, b], [c, 9]], exact=True).pvalue, rel=1e-9)


def test_mcnemar_takes_counts_as_large_as_they_come_and_refuses_negative_ones():
    assert mcnemar_exact(1_000_000, 1_003_000) == pytest.approx(
        scipy.stats.binomtest(1_000_000, 2_003_000).pvalue, rel=1e-6
    )
    with pytest.raises(DataError, match="negative"):
        mcnemar_exact(-1, 3)


def test_mcnemar_never_exceeds_its_false_positive_rate():
    for n in range(1, 120):
        b = np.arange(n + 1)
        rejected = np.asarray([mcnemar_exact(int(k), n - int(k)) <= 0.05 for k in b])
        assert scipy.stats.binom.pmf(b, n, 0.5)[rejected].sum() <= 0.05 + 1e-12


@pytest.mark.parametrize("n", [1, 2, 5, 9, 12])
def test_sign_flips_agree_with_scipy_when_enumerated(n):
    rng = random.Random(n)
    values = [round(rng.gauss(0.4, 1), 1) or 0.1 for _ in range(n)]
    signs = np.asarray(list(itertools.product((1, -1), repeat=n)))
    sums = np.abs(signs @ np.asarray(values))
    expected = float(np.mean(sums >= abs(sum(values)) - 1e-9))
    assert paired_permutation([*values, 0, 0]) == pytest.approx(expected, abs=1e-12)
    if n > 1:
        oracle = scipy.stats.permutation_test(
            (np.asarray(values),), np.sum, permutation_type="samples", n_resamples=np.inf, vectorized=False
        )
        assert paired_permutation(values) == pytest.approx(min(1, oracle.pvalue), abs=1e-9)


def test_sign_flips_simulated_come_near_the_exact_p():
    rng = random.Random(2)
    values = [rng.gauss(0.8, 1) for _ in range(17)]
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums + value, sums - value])
    exact = np.mean(np.abs(sums) >= abs(sum(values)) - 1e-9)
    assert 0.03 < exact < 0.3
    assert paired_permutation(values) == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / 9_999))
    assert paired_permutation(values, seed=1) != paired_permutation(values, seed=2)


def test_sign_flips_of_very_many_pairs_use_the_normal_limit():
    rng = random.Random(3)
    values = [rng.choice((-0.5, 0.5, 1.0, -1.0)) for _ in range(25_000)]
    total = sum(values)
    expected = 2 * scipy.stats.norm.sf((abs(total) - 0.5) / math.sqrt(sum(x * x for x in values)))
    assert paired_permutation(values) == pytest.approx(expected, abs=1e-6)
    one_sided = scipy.stats.norm.sf(total / math.sqrt(sum(x * x for x in values)))
    dominated = paired_permutation([*values, 1e6], resamples=400)
    assert dominated == pytest.approx(one_sided, abs=0.04), "one pair decides, the limit would give .32"


def test_sign_flips_have_p_1_without_a_difference_and_never_0():
    assert paired_permutation([0, 0]) == paired_permutation([]) == paired_permutation([0.1, 0.2, -0.3]) == 1
    assert paired_permutation([1] * 100, resamples=999) == 1 / 1000


def test_sign_flips_keep_their_false_positive_rate():
    rng = random.Random(11)
    rejected = 0
    for _ in range(800):
        values = [0.0 if rng.random() < 0.6 else round(rng.gauss(0, 0.3), 2) for _ in range(40)]
        rejected += paired_permutation(values, seed=rng.randrange(10**6), resamples=399) <= 0.05
    assert rejected / 800 <= 0.055 + 2 * math.sqrt(0.05 * 0.95 / 800)
    assert rejected / 800 >= 0.02, "a test that never rejects is none"


# Paired intervals


def score_statistic(b: int, c: int, n: int, delta: float) -> float:
    """Tango's statistic with the nuisance share found by search, from the likelihood alone."""

    def loss(q: float) -> float:
        cells = ((b, q + delta), (c, q), (n - b - c, 1 - 2 * q - delta))
        return -sum(count * math.log(share) for count, share in cells if count)

    least, most = max(0.0, -delta) + 1e-13, (1 - delta) / 2 - 1e-13
    q = scipy.optimize.minimize_scalar(loss, bounds=(least, most), options={"xatol": 1e-13}).x
    return (b - c - n * delta) / math.sqrt(n * (2 * q + delta - delta * delta))


@pytest.mark.parametrize(("b", "c", "n"), [(40, 20, 160), (1, 7, 21), (12, 2, 54), (0, 1, 44), (5, 0, 9), (9, 9, 30)])
def test_tango_limits_are_where_the_score_test_starts_to_reject(b, c, n):
    interval = tango(b, c, n)
    assert score_statistic(b, c, n, interval.low) == pytest.approx(Z, abs=1e-4)
    assert score_statistic(b, c, n, interval.high) == pytest.approx(-Z, abs=1e-4)


def test_tango_at_the_edges():
    assert tango(0, 0, 50).high == -tango(0, 0, 50).low == pytest.approx(Z**2 / (50 + Z**2))
    assert tango(7, 0, 7).high == 1
    assert tango(0, 7, 7).low == -1
    assert tango(3, 8, 40).low == -tango(8, 3, 40).high
    for b, c, n in ((-1, 0, 3), (2, 2, 3), (0, 0, 0)):
        with pytest.raises(DataError, match="within n >= 1 pairs"):
            tango(b, c, n)


@pytest.mark.parametrize("n", [50, 100])
def test_tango_covers_correlated_binary_pairs(n):
    cells = [(b, c) for b in range(n + 1) for c in range(n + 1 - b) if b + c <= 0.7 * n]
    limits = np.asarray([(i.low, i.high) for i in (tango(b, c, n) for b, c in cells)])
    counts = np.asarray([(b, c, n - b - c) for b, c in cells])
    for discordance, delta in itertools.product((0.05, 0.1, 0.2, 0.4), (0, 0.03, 0.05)):
        b, c = (discordance + delta) / 2, (discordance - delta) / 2
        chance = scipy.stats.multinomial.pmf(counts, n, (b, c, 1 - discordance))
        assert chance.sum() > 0.999
        covered = (limits[:, 0] <= delta + 1e-12) & (delta - 1e-12 <= limits[:, 1])
        assert chance[covered].sum() >= 0.93, (discordance, delta)


def sparse_change(rng: random.Random) -> float:
    return 0.0 if rng.random() < 0.8 else max(-1.0, min(1.0, rng.gauss(0.1, 0.4)))


@pytest.mark.parametrize(("n", "repeats"), [(20, 400), (60, 100)])
def test_paired_interval_covers_graded_scores_of_which_most_do_not_change(n, repeats):
    covered = collapsed = 0
    mean = 0.2 * 0.0987  # of the clipped normal
    rng = random.Random(4)
    for _ in range(repeats):
        changes = [sparse_change(rng) for _ in range(n)]
        if not any(changes):
            continue
        result = paired_difference([0.5] * n, [0.5 + change for change in changes])
        covered += mean in result.interval
        collapsed += n == 20 and mean not in bootstrap_interval(changes, resamples=200)
    assert covered / repeats >= 0.93
    if n == 20:
        assert collapsed / repeats > 0.1, "plain BCa would do, and the rule is not needed"


def test_paired_difference_of_pass_and_fail():
    a = [1, 1, 0, 0, 0, 0, 0, True, 0, 1]
    b = [1, 0, 1, 1, 1, 1, 1, 1, 1.0, 1]
    result = paired_difference(a, b)
    assert (result.wins, result.losses, result.ties, result.n) == (6, 1, 3, 10)
    assert result.difference == 0.5
    assert result.p == mcnemar_unconditional(6, 1, result.n) < mcnemar_exact(6, 1) == 0.125
    assert result.interval == tango(6, 1, 10)
    assert result.method == "Tango score interval, exact unconditional McNemar test"


def graded_pairs(n: int, seed: int, share: float = 0.4) -> tuple[list[float], list[float]]:
    rng = random.Random(seed)
    a = [round(rng.random(), 2) for _ in range(n)]
    return a, [round(rng.random(), 2) if rng.random() < share else x for x in a]


def test_paired_difference_of_graded_scores():
    a, b = graded_pairs(80, 1)
    result = paired_difference(a, b)
    changes = [y - x for x, y in zip(a, b, strict=True)]
    assert result.difference == pytest.approx(np.mean(changes))
    assert result.p == pytest.approx(paired_permutation(changes))
    assert result.method == "studentised bootstrap interval, sign-flip permutation test"
    expected = bootstrap_interval(changes, method="studentised")
    assert (result.interval.low, result.interval.high) == (pytest.approx(expected.low), pytest.approx(expected.high))


def test_few_changes_or_very_many_pairs_take_the_adjusted_t():
    a, b = [0.5] * 100, [0.5] * 95 + [0.9, 0.8, 0.1, 1, 0.6]
    few = paired_difference(a, b)
    assert few.method == "adjusted t interval, sign-flip permutation test"
    padded = np.asarray([y - x for x, y in zip(a, b, strict=True)])
    size = math.sqrt((padded**2).sum() / 5)
    expected = scipy.stats.ttest_1samp([*padded, size, -size], 0).confidence_interval(0.95)
    assert (few.interval.low, few.interval.high) == (pytest.approx(expected.low), pytest.approx(expected.high))
    many = paired_difference(*graded_pairs(2_600, 2, share=0.02))
    assert many.method.startswith("adjusted t")


def test_the_interval_of_a_difference_of_shares_stays_between_minus_1_and_1():
    a, b = [0.0, 0.1, 0.0], [1.0, 0.9, 0.8]
    assert paired_difference(a, b).interval.high == 1
    assert paired_difference(b, a).interval.low == -1
    assert paired_difference([10 * x for x in a], [10 * x for x in b]).interval.high > 10


def test_no_change_at_all_is_no_certainty():
    same = paired_difference([0.3, 0.8] * 50, [0.3, 0.8] * 50)
    assert (same.difference, same.p, same.ties) == (0, 1, 100)
    assert -0.05 < same.interval.low < -0.01
    stars = paired_difference([1.0, 5.0] * 50, [1.0, 5.0] * 50)
    assert stars.interval.width == pytest.approx(4 * same.interval.width), (
        "the range seen stands in for the range of the metric"
    )
    assert not paired_difference([7.0] * 9, [7.0] * 9).interval.known
    assert not paired_difference([0.2], [0.4]).interval.known


def test_equal_gains_everywhere_are_no_certainty():
    result = paired_difference([k / 40 for k in range(30)], [k / 40 + 0.2 for k in range(30)])
    assert result.interval.method == "adjusted t"
    assert result.interval.low < 0.19 < 0.2 < 0.202 < result.interval.high


def test_rounding_noise_is_a_tie():
    result = paired_difference([0.1 + 0.2, 0.5, 0.7], [0.3, 0.5, 0.9])
    assert (result.wins, result.losses, result.ties) == (1, 0, 2)


def test_unequal_lengths_are_refused():
    with pytest.raises(DataError, match=r"same examples, got 2 and 1 scores\. Align them by example id"):
        paired_difference([1, 0], [1])


@pytest.mark.parametrize(("n", "limit"), [(200, 0.1), (10_000, 3)])
def test_paired_difference_is_fast(n, limit):
    a, b = graded_pairs(n, 3, share=1)
    start = time.process_time()
    paired_difference(a, b)
    assert time.process_time() - start < limit


@pytest.mark.parametrize(("n", "up"), [(1000, 531), (1000, 540), (2000, 1044), (5000, 2570)])
def test_the_normal_limit_is_that_of_the_exact_test(n, up):
    exact = scipy.stats.binomtest(up, n).pvalue
    assert paired_permutation([0.5] * up + [-0.5] * (n - up)) == pytest.approx(exact, rel=0.005)


def test_where_no_pair_stands_out_the_t_interval_is_that_of_the_bootstrap():
    rng = random.Random(11)
    before = [0.5] * 900
    after = [0.5 + rng.uniform(-0.3, 0.4) if rng.random() < 0.7 else 0.5 for _ in before]
    plain = paired_difference(before, after)
    assert plain.method.startswith("adjusted t interval")
    drawn = bootstrap_interval([y - x for x, y in zip(before, after)], method="studentised")
    assert plain.interval.low == pytest.approx(drawn.low, abs=0.05 * drawn.width)
    assert plain.interval.high == pytest.approx(drawn.high, abs=0.05 * drawn.width)

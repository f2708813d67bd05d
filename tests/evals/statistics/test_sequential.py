"""The sequential test, peeked at after every value."""

from __future__ import annotations

import math
import random
import time

import pytest

from outlast.errors import DataError, UsageError
from outlast.evals.statistics import SequentialTest, mcnemar_exact


def pairs(rng: random.Random, n: int, gain: float) -> list[int]:
    """Differences of two pass/fail runs: item difficulty with SD 2 logits, `gain` logits between the runs."""
    differences = []
    for _ in range(n):
        ease = rng.gauss(0.5, 2)
        a = rng.random() < 1 / (1 + math.exp(-ease))
        b = rng.random() < 1 / (1 + math.exp(-ease - gain))
        differences.append(b - a)
    return differences


def peeked(values, **settings) -> SequentialTest:
    test = SequentialTest(**settings)
    for value in values:
        test.add(value)
        if test.rejected:
            break
    return test


def test_peeking_at_every_item_keeps_the_false_positive_rate_where_a_repeated_test_does_not():
    rng, repeats, sequential, repeated = random.Random(0), 400, 0, 0
    for _ in range(repeats):
        differences = pairs(rng, 200, 0.0)
        sequential += peeked(differences).rejected
        wins = losses = 0
        for difference in differences:
            wins, losses = wins + (difference > 0), losses + (difference < 0)
            if wins + losses > 5 and mcnemar_exact(wins, losses) <= 0.05:
                repeated += 1
                break
    assert sequential / repeats <= 0.05
    assert repeated / repeats > 0.15


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng: rng.choice([-1, 1]),
        lambda rng: 0.9 if rng.random() < 0.1 else -0.1,
        lambda rng: rng.uniform(-1, 1),
        lambda rng: max(-1.0, min(1.0, rng.gauss(0, 0.1))),
    ],
)
def test_the_false_positive_rate_holds_for_any_shape_of_differences(draw):
    rng = random.Random(2)
    rejected = sum(peeked([draw(rng) for _ in range(200)]).rejected for _ in range(250))
    assert rejected / 250 <= 0.05


def test_a_gain_is_found_and_mostly_early():
    rng, found, items = random.Random(2), 0, 0
    for _ in range(60):
        test = peeked(pairs(rng, 1000, 0.8))
        found += test.rejected
        items += test.n
    assert found / 60 > 0.85
    assert items / 60 < 550


def test_power_against_the_fixed_test_is_as_documented():
    rng, repeats, sequential, fixed = random.Random(3), 300, 0, 0
    for _ in range(repeats):
        differences = pairs(rng, 200, 0.6)
        sequential += peeked(differences).rejected
        fixed += mcnemar_exact(differences.count(1), differences.count(-1)) <= 0.05
    assert 0.25 < sequential / repeats < 0.40
    assert 0.5 < fixed / repeats < 0.7


def test_the_confidence_sequence_never_leaves_the_mean_out_more_often_than_alpha():
    rng, repeats, missed = random.Random(4), 60, 0
    for _ in range(repeats):
        test = SequentialTest(0.1, null=0.5, low=0, high=1)
        wrong = False
        for step in range(120):
            test.add(float(rng.random() < 0.8))
            wrong = wrong or (step % 4 == 0 and 0.8 not in test.interval)
        missed += wrong
    assert missed / repeats <= 0.1


def test_interval_and_p_agree_and_the_interval_narrows():
    rng = random.Random(5)
    test, last = SequentialTest(), 2.0
    for difference in pairs(rng, 150, 1.5):
        test.add(difference)
        interval = test.interval
        assert interval.width <= last
        assert (0.0 not in interval) == test.rejected
        last = interval.width
    assert test.rejected
    assert test.mean in test.interval
    assert test.interval.level == 0.95
    assert test.interval.method == "betting"


def test_sides_are_treated_alike_and_ranges_scale():
    a, b, stars = SequentialTest(), SequentialTest(), SequentialTest(null=3, low=1, high=5)
    for value in (1, 0, 0.5, 1, -0.25, 1):
        a.add(value)
        b.add(-value)
        stars.add(3 + 2 * value)
    assert a.p == b.p
    assert (a.interval.low, a.interval.high) == (pytest.approx(-b.interval.high), pytest.approx(-b.interval.low))
    assert stars.p == pytest.approx(a.p)
    assert stars.interval.low == pytest.approx(3 + 2 * a.interval.low)


def test_p_never_rises_and_a_rejection_stays():
    test = SequentialTest()
    for _ in range(30):
        test.add(1)
    least = test.p
    assert test.rejected
    for _ in range(60):
        test.add(-1)
    assert test.p == least
    assert test.rejected


def test_before_the_first_value_nothing_is_known():
    test = SequentialTest()
    assert (test.p, test.rejected, test.n) == (1.0, False, 0)
    assert (test.interval.low, test.interval.high) == (-1, 1)
    assert math.isnan(test.mean)
    test.add(0)
    assert repr(test).startswith("SequentialTest(n=1, mean=0, p=1, 95% -")


def test_values_and_settings_out_of_range_are_refused():
    test = SequentialTest()
    for bad in (1.5, -2, math.nan, "1", None):
        with pytest.raises(DataError):
            test.add(bad)
    assert test.n == 0
    for settings in ({"alpha": 0}, {"alpha": 5}, {"null": 1}, {"low": 0.0}, {"high": math.inf}, {"null": math.nan}):
        with pytest.raises(UsageError):
            SequentialTest(**settings)


def test_adding_is_fast_and_memory_is_what_differs():
    rng, test = random.Random(0), SequentialTest()
    begun = time.process_time()
    for _ in range(20_000):
        test.add(rng.choice([-1, 0, 0, 0, 1]))
    assert test.interval.width < 0.1
    assert time.process_time() - begun < 2

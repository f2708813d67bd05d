"""The statistics as a whole: what they refuse, what holds for any scores, corrections, power, streams."""

from __future__ import annotations

import doctest
import importlib
import math
import pkgutil
import random
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outlast.errors import DataError, UsageError
from outlast.evals import statistics
from outlast.evals.statistics import (
    Running,
    benjamini_hochberg,
    bootstrap_interval,
    estimate_mean,
    holm,
    likelihood_interval,
    mcnemar_exact,
    minimum_detectable_difference,
    paired_difference,
    paired_permutation,
    t_interval,
    tango,
    wilson,
)

# Refusals


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, None, "0.5", 10**400, 1e120, [1]])
@pytest.mark.parametrize(
    "use",
    [
        estimate_mean,
        t_interval,
        likelihood_interval,
        bootstrap_interval,
        paired_permutation,
        holm,
        benjamini_hochberg,
        lambda values: paired_difference(values, [0.5, 1]),
        lambda values: paired_difference([0.5, 1], values),
        lambda values: [Running().add(value) for value in values],
    ],
)
def test_scores_that_are_no_finite_number_are_refused_by_place(use, bad):
    with pytest.raises(DataError, match="must be a finite number.*at position"):
        use([0.5, bad])


def itself(values):
    return paired_difference(values, values)


@pytest.mark.parametrize("use", [t_interval, likelihood_interval, bootstrap_interval, itself])
def test_empty_lists_are_refused(use):
    with pytest.raises(DataError, match="at least one score"):
        use([])


@pytest.mark.parametrize("level", [0, 1, 95, -1, math.nan])
def test_levels_outside_0_to_1_are_refused(level):
    for use in (
        lambda: wilson(1, 2, level),
        lambda: estimate_mean([1], level),
        lambda: paired_difference([1], [0], level),
        lambda: tango(1, 0, 2, level),
        lambda: Running().estimate(level),
        lambda: minimum_detectable_difference(10, sd=1, level=level),
    ):
        with pytest.raises(UsageError, match="share between 0 and 1"):
            use()


# Properties

UNIT = st.integers(0, 20).map(lambda k: k / 20)
ANY = st.floats(-1e6, 1e6, allow_nan=False).map(lambda x: round(x, 3))
BIT = st.sampled_from([0.0, 1.0])


def pairs(value):
    return st.lists(st.tuples(value, value), min_size=1, max_size=30)


def slack(*values: float) -> float:
    return 1e-9 * max(1.0, *(abs(x) for x in values))


@settings(max_examples=80, deadline=None)
@given(rows=st.one_of(pairs(BIT), pairs(UNIT), pairs(ANY)), level=st.sampled_from([0.5, 0.9, 0.95]))
def test_swapping_the_programs_mirrors_everything(rows, level):
    a, b = [x for x, _ in rows], [y for _, y in rows]
    forth, back = paired_difference(a, b, level), paired_difference(b, a, level)
    assert forth.difference == -back.difference
    assert (forth.interval.low, forth.interval.high) == (-back.interval.high, -back.interval.low)
    assert forth.p == back.p
    assert (forth.wins, forth.losses, forth.ties) == (back.losses, back.wins, back.ties)
    assert 0 <= forth.p <= 1
    assert forth.difference in forth.interval
    if all(0 <= x <= 1 for x in a + b) and forth.interval.known:
        assert -1 <= forth.interval.low <= forth.interval.high <= 1


@settings(max_examples=40, deadline=None)
@given(rows=st.one_of(pairs(BIT), pairs(UNIT), pairs(ANY)), order=st.randoms())
def test_the_order_of_the_rows_does_not_matter(rows, order):
    shuffled = list(rows)
    order.shuffle(shuffled)
    assert paired_difference(*zip(*rows, strict=True)) == paired_difference(*zip(*shuffled, strict=True))


@settings(max_examples=150, deadline=None)
@given(
    values=st.one_of(*(st.lists(kind, min_size=1, max_size=40) for kind in (BIT, UNIT, st.floats(0, 1), ANY))),
    method=st.sampled_from(["auto", "t", "bootstrap"]),
    level=st.sampled_from([0.1, 0.9, 0.95, 0.999]),
)
def test_an_interval_holds_its_estimate_and_keeps_the_range_of_scores(values, method, level):
    estimate = estimate_mean(values, level, method)
    low, high = estimate.interval.low, estimate.interval.high
    margin = slack(*values)
    assert low <= high
    assert estimate.n == len(values)
    if method != "bootstrap" or level >= 0.9:
        assert low - margin <= estimate.value <= high + margin
    if method == "auto" and all(0 <= x <= 1 for x in values) and estimate.interval.known:
        assert 0 <= low <= high <= 1
        assert low < high


@settings(max_examples=60, deadline=None)
@given(values=st.lists(UNIT, min_size=2, max_size=40))
def test_a_higher_level_never_gives_a_narrower_interval(values):
    widths = [estimate_mean(values, level).interval.width for level in (0.5, 0.8, 0.95, 0.99)]
    assert widths == sorted(widths)


@pytest.mark.parametrize("size", [1, 2, 7, 40])
def test_corrections_agree_with_statsmodels(size):
    from statsmodels.stats.multitest import multipletests

    rng = random.Random(size)
    p = [rng.random() ** 3 for _ in range(size - 1)] + [0.01] * (size > 1) + [0.01]
    for ours, theirs in ((holm(p), "holm"), (benjamini_hochberg(p), "fdr_bh")):
        assert ours == pytest.approx(list(multipletests(p, method=theirs)[1]), abs=1e-12)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.floats(0, 1), max_size=20))
def test_corrections_never_lower_p_and_keep_its_order(p):
    for corrected in (holm(p), benjamini_hochberg(p)):
        assert all(before <= after <= 1 for before, after in zip(p, corrected, strict=True))
        by_p = [after for _, after in sorted(zip(p, corrected, strict=True))]
        assert by_p == sorted(by_p)
    assert all(weak <= strong + 1e-12 for weak, strong in zip(benjamini_hochberg(p), holm(p), strict=True))


def test_corrections_of_nothing_are_nothing_and_of_no_p_value_are_refused():
    assert holm([]) == benjamini_hochberg([]) == []
    for correct in (holm, benjamini_hochberg):
        with pytest.raises(DataError, match=r"between 0 and 1, got 1\.5 at position 1"):
            correct([0.1, 1.5])


# Power


def test_minimum_detectable_difference_of_graded_scores_agrees_with_statsmodels():
    from statsmodels.stats.power import TTestPower

    for n in (20, 50, 400):
        effect = TTestPower().solve_power(nobs=n, alpha=0.05, power=0.8)
        assert minimum_detectable_difference(n, sd=0.3) == pytest.approx(0.3 * effect, rel=0.01)


def test_minimum_detectable_difference_of_pass_and_fail_is_found_as_often_as_promised():
    n, discordance = 400, 0.15
    delta = minimum_detectable_difference(n, discordance=discordance)
    shares = ((discordance + delta) / 2, (discordance - delta) / 2, 1 - discordance)
    draws = np.random.default_rng(0).multinomial(n, shares, 4_000)
    found = np.mean([mcnemar_exact(int(b), int(c)) <= 0.05 for b, c, _ in draws])
    assert 0.74 <= found <= 0.82


def test_minimum_detectable_difference_says_when_nothing_can_be_found():
    assert minimum_detectable_difference(30, discordance=0.05) == math.inf
    assert minimum_detectable_difference(30, discordance=0) == math.inf
    assert minimum_detectable_difference(100, discordance=1) < 0.3
    assert minimum_detectable_difference(100, sd=0) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "exactly one of"),
        ({"sd": 1, "discordance": 0.1}, "exactly one of"),
        ({"sd": -1}, "sd must be"),
        ({"sd": math.nan}, "sd must be"),
        ({"discordance": 1.2}, "discordance is a share"),
        ({"sd": 1, "power": 80}, "power is a share"),
        ({"sd": 1, "n": 1}, "at least 2"),
    ],
)
def test_minimum_detectable_difference_refuses_what_it_cannot_mean(options, message):
    with pytest.raises(UsageError, match=message):
        minimum_detectable_difference(**{"n": 100, **options})


# Running


@settings(max_examples=80, deadline=None)
@given(st.one_of(*(st.lists(kind, min_size=2, max_size=50) for kind in (BIT, UNIT, ANY))))
def test_running_agrees_with_the_whole_list(values):
    running = Running()
    for value in values:
        running.add(value)
    scale = max(1.0, *(abs(x) for x in values))
    assert running.n == len(values)
    assert running.mean == pytest.approx(np.mean(values), abs=1e-12 * scale)
    assert running.variance == pytest.approx(np.var(values, ddof=1), rel=1e-9, abs=1e-9 * scale)
    assert running.binary == all(x in (0, 1) for x in values)
    assert running.successes == values.count(1)
    estimate = running.estimate()
    assert estimate.value in estimate.interval
    if running.binary:
        assert estimate == estimate_mean(values)
    elif min(values) == max(values):
        assert estimate.interval.known == (0 <= values[0] <= 1)
    elif not all(0 <= x <= 1 for x in values):
        expected = t_interval(values)
        assert estimate.interval.low == pytest.approx(expected.low, rel=1e-7, abs=1e-7)


def test_running_keeps_a_small_variance_beside_a_large_mean():
    running = Running()
    for value in (1e9 + 4, 1e9 + 7, 1e9 + 13, 1e9 + 16):
        running.add(value)
    assert running.variance == pytest.approx(30)


def test_running_stays_within_the_range_of_scores():
    running = Running()
    for value in (1, 1, 0.5, 1):
        running.add(value)
    estimate = running.estimate()
    assert (estimate.interval.high, estimate.method) == (1, "t")


def test_running_before_the_first_scores():
    running = Running()
    assert math.isnan(running.mean)
    assert math.isnan(running.variance)
    assert not running.estimate().interval.known
    running.add(0.5)
    assert (running.mean, running.estimate().interval.known) == (0.5, False)


# The package


def test_every_docstring_example_runs():
    parts = (f"{statistics.__name__}.{part.name}" for part in pkgutil.iter_modules(statistics.__path__))
    modules = [statistics, *map(importlib.import_module, parts)]
    results = [doctest.testmod(module) for module in modules]
    assert sum(result.attempted for result in results) >= 12
    assert sum(result.failed for result in results) == 0


def test_only_the_standard_library_is_imported():
    code = (
        "import sys, outlast.evals.statistics;"
        "print(*sorted({'numpy', 'scipy', 'statsmodels', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""

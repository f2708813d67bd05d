"""Tests of changed pairs: false positive rates by enumeration, and the power that a comparison must have."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
import scipy.stats

from outlast.errors import DataError
from outlast.evals.statistics import mcnemar_exact, mcnemar_unconditional, paired_difference, tango


def p_by_enumeration(b: int, c: int, n: int, low: float, high: float) -> float:
    """All outcomes of n pairs that score as much, for the likeliest share of changed pairs within low..high."""
    score = (b - c) ** 2 / (b + c)
    changed = np.arange(n + 1)
    worst = [
        sum(scipy.stats.binom.pmf(k, m, 0.5) for k in range(m + 1) if m and (2 * k - m) ** 2 >= score * m - 1e-9)
        for m in changed
    ]
    most = max(scipy.stats.binom.pmf(changed, n, share) @ np.array(worst) for share in np.linspace(low, high, 2001))
    return max(most, 2 * scipy.stats.binom.cdf(min(b, c), b + c, 0.5) - scipy.stats.binom.pmf(min(b, c), b + c, 0.5))


@pytest.mark.parametrize(
    ("b", "c", "n"), [(4, 0, 6), (5, 0, 12), (9, 3, 20), (12, 2, 14), (7, 1, 40), (20, 9, 60), (22, 9, 60)]
)
def test_the_unconditional_p_agrees_with_enumeration(b, c, n):
    changed = b + c
    low = scipy.stats.beta.ppf(5e-10, changed, n - changed + 1)  # Clopper and Pearson: narrower than Chernoff's bound
    high = scipy.stats.beta.isf(5e-10, changed + 1, n - changed) if changed < n else 1.0
    p = mcnemar_unconditional(b, c, n)
    assert p_by_enumeration(b, c, n, low, high) * 0.999 <= p <= p_by_enumeration(b, c, n, 0, 1) + 2e-9
    assert p == pytest.approx(p_by_enumeration(b, c, n, low, high), rel=0.03)
    assert mcnemar_unconditional(c, b, n) == pytest.approx(p, rel=1e-12)


@pytest.mark.parametrize("n", [10, 30, 60, 120])
@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_the_unconditional_test_never_exceeds_its_false_positive_rate(n, alpha):
    rejected = np.zeros((n + 1, n + 1))  # by changed pairs and wins
    for changed in range(1, n + 1):
        for wins in range(changed // 2 + 1, changed + 1):
            score = (2 * wins - changed) / math.sqrt(changed)
            clear = score > scipy.stats.norm.isf(alpha / 2) + 1.0
            if score > 1.5 and (clear or mcnemar_unconditional(wins, changed - wins, n) <= alpha):
                rejected[changed, wins] = rejected[changed, changed - wins] = 1
    changed = np.arange(n + 1)
    conditional = np.array([scipy.stats.binom.pmf(changed, m, 0.5) @ rejected[m] for m in changed])
    rates = [scipy.stats.binom.pmf(changed, n, share) @ conditional for share in np.linspace(0.003, 1, 331)]
    assert max(rates) <= alpha + 1e-6
    assert max(rates) > 0.65 * alpha, "a test that never rejects is none"


def test_the_unconditional_p_meets_mid_p_where_very_many_pairs_changed():
    below, above = mcnemar_unconditional(535, 464, 40_000), mcnemar_unconditional(536, 465, 40_000)
    assert below == pytest.approx(2 * scipy.stats.norm.sf(71 / math.sqrt(999)), rel=0.03)
    assert above == pytest.approx(2 * scipy.stats.norm.sf(71 / math.sqrt(1001)), rel=0.03)
    assert mcnemar_unconditional(40, 0, 1_000_000) < 2e-9
    assert mcnemar_unconditional(4, 0, 30) == 0.0625, "four pairs that changed are never enough"
    assert mcnemar_unconditional(7, 7, 20) == mcnemar_unconditional(0, 0, 5) == 1


def test_counts_that_do_not_fit_are_refused():
    for counts in ((-1, 2, 5), (3, 3, 5)):
        with pytest.raises(DataError, match="counted within n"):
            mcnemar_unconditional(*counts)


def test_the_unconditional_test_is_fast():
    begun = time.process_time()
    mcnemar_unconditional(31, 17, 200)
    mcnemar_unconditional(1_000, 900, 10_000)
    mcnemar_unconditional(120, 80, 100_000)
    assert time.process_time() - begun < 1.5


def simulated_runs(repeats: int, gain: float, seed: int, mean: float = 0.5):
    """Pairs of pass/fail runs on 200 items whose difficulty has SD 2 logits; `gain` logits between them."""
    rng = np.random.default_rng(seed)
    ease = rng.normal(mean, 2, (repeats, 200))
    a = rng.random((repeats, 200)) < 1 / (1 + np.exp(-ease))
    b = rng.random((repeats, 200)) < 1 / (1 + np.exp(-ease - gain))
    return a, b


def found(a, b) -> float:
    """How often the verdict is a difference: the interval leaves 0 out and p <= .05."""
    wins, losses = (b & ~a).sum(1), (a & ~b).sum(1)
    verdicts: dict[tuple[int, int], bool] = {}
    for win, loss in set(zip(wins.tolist(), losses.tolist(), strict=True)):
        verdicts[win, loss] = mcnemar_unconditional(win, loss, 200) <= 0.05 and 0.0 not in tango(win, loss, 200)
    return float(np.mean([verdicts[pair] for pair in zip(wins.tolist(), losses.tolist(), strict=True)]))


def unpaired(a, b) -> float:
    one, two = a.mean(1), b.mean(1)
    pooled = (one + two) / 2
    return float(np.mean(np.abs(two - one) > 1.959964 * np.sqrt(2 * pooled * (1 - pooled) / 200)))


@pytest.mark.parametrize("mean", [-1, 0.5, 2])
def test_the_default_comparison_finds_a_gain_at_least_1_4_times_as_often_as_an_unpaired_z_test(mean):
    a, b = simulated_runs(3000, 0.6, seed=1, mean=mean)
    paired, plain = found(a, b), unpaired(a, b)
    assert paired >= 1.4 * plain
    a, b = simulated_runs(3000, 0.0, seed=2, mean=mean)
    assert found(a, b) <= 0.055
    assert unpaired(a, b) <= 0.055


def test_the_default_comparison_is_the_one_whose_power_is_shown():
    a, b = simulated_runs(3, 0.6, seed=3)
    for one, two in zip(a, b, strict=True):
        result = paired_difference(one, two)
        assert result.p == mcnemar_unconditional(result.wins, result.losses, 200)
        assert result.interval == tango(result.wins, result.losses, 200)
    assert mcnemar_exact(16, 4) > mcnemar_unconditional(16, 4, 100)

"""Plans against simulated power and the published formula."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from outlast.errors import UsageError
from outlast.evals.statistics import mcnemar_unconditional, plan_eval


@pytest.mark.parametrize(("delta", "base", "rho"), [(0.1, 0.6, 0.5), (-0.15, 0.8, 0.3)])
def test_the_planned_number_of_pass_or_fail_pairs_has_the_planned_power(delta, base, rho):
    plan = plan_eval(delta, base_rate=base, rho=rho)
    up, down = (plan.discordance + delta) / 2, (plan.discordance - delta) / 2
    rng, repeats = np.random.default_rng(0), 600
    found = 0
    for won, lost, _ in rng.multinomial(plan.n, [up, down, 1 - up - down], repeats):
        found += mcnemar_unconditional(int(won), int(lost), plan.n) <= 0.05
    assert 0.75 < found / repeats < 0.86


def test_graded_plans_have_the_planned_power():
    plan = plan_eval(0.05, sd=0.3, power=0.9)
    rng = np.random.default_rng(1)
    p = scipy.stats.ttest_1samp(rng.normal(0.05, 0.3, (2000, plan.n)), 0, axis=1).pvalue
    assert np.mean(p <= 0.05) == pytest.approx(0.9, abs=0.02)
    assert plan.runs == plan.n


def test_epochs_follow_the_published_formula():
    """Miller 2024, section 5: n = (z + z)^2 (omega^2 + sigma_a^2 / K + sigma_b^2 / K) / delta^2."""
    omega, sigma, epochs, delta = 0.2, 0.3, 4, 0.03
    z = scipy.stats.norm.isf(0.025) + scipy.stats.norm.isf(0.2)
    published = z**2 * (omega**2 + 2 * sigma**2 / epochs) / delta**2
    plan = plan_eval(delta, sd=math.sqrt(omega**2 + 2 * sigma**2), within_sd=sigma, epochs=epochs)
    assert plan.n == pytest.approx(published, rel=0.01)
    assert plan.runs == plan.n * epochs
    once = plan_eval(delta, sd=math.sqrt(omega**2 + 2 * sigma**2), within_sd=sigma)
    assert once.n > plan.n


def test_epochs_of_pass_or_fail_runs_and_clusters():
    once = plan_eval(0.05, base_rate=0.7, rho=0.6, within_sd=0.25)
    thrice = plan_eval(0.05, base_rate=0.7, rho=0.6, within_sd=0.25, epochs=3)
    assert thrice.sd**2 == pytest.approx(once.sd**2 - 2 * 0.25**2 * 2 / 3)
    assert thrice.discordance is None
    clustered = plan_eval(0.05, base_rate=0.7, rho=0.6, cluster_size=5, icc=0.25)
    assert clustered.design_effect == 2
    assert clustered.n == pytest.approx(2 * once.n, rel=0.01)


def test_the_plan_is_the_least_number_that_sees_delta():
    plan = plan_eval(0.08, discordance=0.3)
    assert plan.mde() <= 0.08 < plan.mde(plan.n - 1)
    assert plan.mde(1) == math.inf
    assert plan_eval(-0.08, discordance=0.3) == plan


def test_a_plan_reads_well():
    text = str(plan_eval(0.05, base_rate=0.7, cluster_size=4, icc=0.1))
    assert "examples x 1 epoch" in text
    assert "in 80% of cases" in text
    assert "clusters cost 1.3 times as many" in text
    assert len(text.split("\n")) == 6


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "needs one of sd, discordance and base_rate"),
        ({"sd": 1, "discordance": 0.2}, "Got sd and discordance"),
        ({"sd": -1}, "sd is a finite number"),
        ({"sd": math.nan}, "sd is a finite number"),
        ({"discordance": 0.05}, "from delta"),
        ({"base_rate": 0.95}, "pass rates between 0 and 1"),
        ({"base_rate": 0.1, "rho": -0.9}, "cannot correlate"),
        ({"base_rate": 0.5, "rho": 2}, "rho is a correlation"),
        ({"sd": 0.3, "epochs": 3}, "Give within_sd"),
        ({"sd": 0.3, "within_sd": 0.3, "epochs": 3}, "vary more"),
        ({"sd": 0.3, "epochs": 0}, "epochs is a whole number"),
        ({"sd": 0.3, "cluster_size": 0.5}, "cluster_size"),
        ({"sd": 0.3, "icc": 2}, "icc"),
        ({"sd": 0.3, "power": 1}, "power"),
        ({"sd": 0.3, "level": 95}, "level"),
    ],
)
def test_figures_that_cannot_be_are_refused(settings, message):
    with pytest.raises(UsageError, match=message):
        plan_eval(0.1, **settings)
    with pytest.raises(UsageError, match="delta is the difference to find"):
        plan_eval(0, sd=0.3)

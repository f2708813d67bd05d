"""What a search can plan with: a budget read in rollouts, and what is held back for the proof."""

from __future__ import annotations

import math

import pytest

from outlast.optimize.budget import Purse
from outlast.optimize.candidate import Candidate, Outcome
from outlast.optimize.plan import Plan
from outlast.runtime import Budget

START = Candidate("start")


def plan_of(budget: Budget, *, outer: Budget | None = None, most: int = 500, fills: bool = False) -> Plan:
    purse = Purse(budget, None if outer is None else outer.meter())
    return Plan(purse, most=most, fills=fills, proof=20, concurrency=4)


def learn(plan: Plan, rollouts: int, *, calls: int = 2, seconds: float = 0.0, wins: bool = True) -> None:
    for number in range(rollouts):
        plan.learn(Outcome("start", str(number), 0, "pass", 1.0, calls=calls, seconds=seconds), 0.0, wins=wins)


def test_without_a_limit_everything_is_affordable_and_the_plan_is_what_is_expected() -> None:
    plan = plan_of(Budget())
    learn(plan, 10)
    assert plan.affordable() == plan.share(0.25) == plan.spare(START) == math.inf
    assert plan.expected == 500
    assert plan.expected_calls() == 2 * (500 - 10)
    assert plan.proves(START)


def test_a_limit_pays_for_rollouts_at_what_they_took() -> None:
    plan = plan_of(Budget(calls=100))
    assert plan.affordable() == math.inf  # nobody knows what one takes
    learn(plan, 10)
    assert plan.affordable() == 50
    assert plan.share(0.2) == 10
    assert plan.expected == 10 + 50
    assert plan_of(Budget(rollouts=30)).affordable() == 30  # which needs no knowing


def test_a_search_that_takes_what_is_paid_is_as_large_as_the_budget() -> None:
    assert plan_of(Budget(calls=900), fills=True).expected == 900
    plan = plan_of(Budget(calls=9000), fills=True)
    learn(plan, 10)
    assert plan.expected == 10 + 4500
    smaller = plan_of(Budget(calls=9000), most=60)
    learn(smaller, 10)
    assert smaller.expected == 60


def test_while_a_search_runs_the_proof_is_held_back_and_only_then() -> None:
    plan = plan_of(Budget(calls=100))
    learn(plan, 10)
    plan.begin_stage(search=True)
    assert plan.affordable() == (100 - 2 * 20) / 2
    assert plan.spare(START) == plan.affordable()
    plan.begin_stage(search=False)
    assert plan.affordable() == 50


def test_who_needs_no_proof_has_nothing_held_back() -> None:
    plan = plan_of(Budget(calls=100))
    plan.begin_stage(search=True)
    learn(plan, 10, wins=False)
    assert plan.affordable() == 50


def test_what_the_budget_cannot_prove_any_more_is_said() -> None:
    plan = plan_of(Budget(calls=39))
    learn(plan, 10)
    assert not plan.proves(START)


@pytest.mark.parametrize("where", ["own", "around"])
def test_time_bounds_the_proof_and_not_how_far_a_search_plans(where: str) -> None:
    limit = Budget(seconds=1000)
    plan = plan_of(limit) if where == "own" else plan_of(Budget(), outer=limit)
    learn(plan, 10, seconds=1.0)
    assert plan.affordable() == math.inf
    assert plan.share(0.25) == pytest.approx(0.25 * 1000 * 4, rel=0.01)
    before = plan.purse.seconds_left()
    plan.begin_stage(search=True)
    assert plan.purse.seconds_left() == pytest.approx(before - 1.25 * (20 / 4 + 1) - 0.3, abs=5)
    assert plan.purse.seconds_left() < before - 7
    plan.begin_stage(search=False)
    assert plan.purse.seconds_left() > before - 5

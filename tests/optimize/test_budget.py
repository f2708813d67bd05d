from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import outlast as ol
from outlast.errors import BudgetExceeded, UsageError
from outlast.messages import Response, Usage
from outlast.optimize.budget import Purse, worth
from outlast.optimize.candidate import Outcome
from outlast.optimize.reserve import Reserve
from outlast.runtime import Budget
from outlast.testing.world import SimulatedLM, Triage, World, right

WORLD = World(examples=80, base=0.4, gain=0.5)
DATA = WORLD.data()


def compiled(budget: Budget | None, lm: Any = None, **options: Any) -> tuple[Any, Any]:
    lm = lm or WORLD.lm()
    options.setdefault("study", False)
    options.setdefault("optimizer", ol.RandomSearch(candidates=4))
    found = ol.compile(Triage(), DATA, right, lm=lm, budget=budget, progress=False, **options)
    return found, lm


def reply(tokens: int = 10, cost: float | None = 0.5, cache: Any = "miss") -> Response:
    return Response("", usage=Usage(tokens, 0, cost=cost), cache=cache)


@pytest.mark.parametrize(
    "options",
    [
        {"calls": 0},
        {"calls": -1},
        {"tokens": 1.5},
        {"dollars": "2"},
        {"seconds": True},
        {"dollars": float("nan")},
        {"rollouts": 2.5},
    ],
)
def test_limits_that_mean_nothing_are_refused(options: Any):
    with pytest.raises(UsageError, match=next(iter(options))):
        Budget(**options)
    with pytest.raises(TypeError):
        Budget(call=3)  # type: ignore[call-arg]


def test_a_budget_reads_well():
    assert str(Budget(calls=300, dollars=2)) == "300 calls, $2"
    assert str(Budget()) == "no limit"
    assert Budget(tokens=5).to_json() == {"tokens": 5}


@pytest.mark.parametrize("calls", [88, 89, 97, 101, 128, 150, 199, 256, 333, 500])
def test_calls_never_exceed_the_budget_with_many_in_flight(calls: int):
    lm = WORLD.lm(latency=0.001)
    found, _ = compiled(Budget(calls=calls), lm, concurrency=64)
    assert found.report.verdict.word != "unproven"
    assert found.report.stopped == ("the budget of calls was used up" if lm.calls > calls - 60 else "")
    assert lm.calls <= calls


def test_failed_calls_count_too():
    class Flaky(SimulatedLM):
        async def complete(self, request: Any) -> Response:
            if self.calls % 19 == 18:  # a tenth of the rollouts, well below what ends a search
                self.calls += 1
                raise ol.errors.LMServerError("sorry", status=500)
            return await super().complete(request)

    lm = Flaky(WORLD, latency=0.001)
    found, _ = compiled(Budget(calls=150), lm, concurrency=16)
    assert lm.calls <= 150
    assert found.report.spending.calls == lm.calls
    assert found.report.spending.failed == lm.calls // 19
    assert found.report.spending.unpriced == found.report.spending.uncertain == 0  # the server said no


@pytest.mark.parametrize("rollouts", [44, 45, 90, 131, 200])
def test_rollouts_are_never_exceeded_and_pay_for_the_proof(rollouts: int, tmp_path: Path):
    lm = WORLD.lm(latency=0.001)
    budget = Budget(rollouts=rollouts)
    found, _ = compiled(budget, lm, concurrency=16, study=tmp_path / "study.db")
    assert found.report.rollouts <= rollouts
    assert found.report.verdict.word != "unproven"
    assert (found.report.stopped == "the budget of rollouts was used up") == (rollouts < 200)
    again, lm = compiled(budget, concurrency=16, study=tmp_path / "study.db")
    assert (again.report.rollouts, again.winner, lm.calls) == (found.report.rollouts, found.winner, 0)


def test_rollouts_that_cannot_pay_the_proof_are_refused_before_anything_runs():
    lm = WORLD.lm()
    with pytest.raises(UsageError, match="39 rollouts does not pay .* takes 40 rollouts"):
        compiled(Budget(rollouts=39), lm)
    assert lm.calls == 0


def test_rollouts_that_failed_count_too():
    fails = iter([*[False] * 60, *[True] * 5])

    def metric(example: Any, prediction: Any) -> bool:
        if next(fails, False):
            raise ValueError("the file is locked")
        return right(example, prediction)

    found = ol.compile(
        Triage(),
        DATA,
        metric,
        optimizer=ol.RandomSearch(),
        lm=WORLD.lm(),
        budget=Budget(rollouts=90),
        study=False,
        progress=False,
    )
    assert found.report.failures == 5
    assert found.report.rollouts == 85


def test_a_strategy_has_no_rollouts():
    def score_of(values: Any) -> float:
        return float(bool(values))

    with pytest.raises(UsageError, match=r"BestOfN\(budget=...\) limits calls, .*; rollouts are of a compile"):
        ol.BestOfN("q -> a", n=2, reward=score_of, budget=Budget(rollouts=5))
    with pytest.raises(UsageError, match="rollouts"):
        Budget(rollouts=5).meter()


@pytest.mark.parametrize("fraction", [0.25, 0.3, 0.4, 0.5, 0.8])
def test_the_proof_is_always_paid_for(fraction: float):
    whole, lm = compiled(None)
    spent = whole.report.spending
    for budget in (
        Budget(calls=round(lm.calls * fraction)),
        Budget(tokens=round(spent.tokens * fraction)),
        Budget(dollars=spent.dollars * fraction),
    ):
        found, some = compiled(budget, WORLD.lm(latency=0.0005), concurrency=8)
        assert found.report.verdict.word != "unproven", (budget, str(found.report))
        assert found.report.stopped, budget
        limit = budget.to_json()
        assert some.calls <= limit.get("calls", 10**9)
        each = spent.tokens / spent.calls
        assert found.report.spending.tokens <= limit.get("tokens", 1e12) + 8 * 4 * each
        assert found.report.spending.dollars <= limit.get("dollars", 1e9) + 8 * 0.001


def test_a_search_that_runs_out_gives_its_leader():
    world = World(examples=150, base=0.1, gain=0.9, demos=1)
    lm = world.lm()
    found = ol.compile(
        Triage(),
        world.data(),
        right,
        lm=lm,
        optimizer=ol.RandomSearch(candidates=8),
        budget=Budget(calls=1000),
        study=False,
        progress=False,
    )
    assert found.report.stopped == "the budget of calls was used up"
    assert found.report.verdict.word == "better"
    assert "stopped: the budget of calls" in str(found.report)


@pytest.mark.parametrize(
    ("budget", "most"),
    [(Budget(calls=10), 0), (Budget(calls=60), 2), (Budget(dollars=0.03), 2), (Budget(tokens=2000), 2)],
)
def test_a_budget_too_small_for_the_proof_is_refused_before_it_is_spent(budget: Budget, most: int):
    lm = WORLD.lm()
    with pytest.raises(UsageError, match="does not pay for the proof") as caught:
        compiled(budget, lm)
    assert lm.calls <= most
    assert str(budget) in str(caught.value)


@pytest.mark.parametrize("limits", [{"calls": 30}, {"tokens": 2000}, {"dollars": 0.03}])
def test_a_budget_around_a_compile_is_named_when_it_cannot_pay_the_proof(limits: dict[str, Any]):
    lm = WORLD.lm()
    with ol.budget(**limits), pytest.raises(UsageError, match="does not pay for the proof") as caught:
        compiled(None, lm)
    (name,) = limits
    assert lm.calls <= 2
    assert f"the budget around this compile ({name}={limits[name]:g})" in str(caught.value)
    assert "no limit" not in str(caught.value)


def test_the_budget_of_a_model_is_told_when_it_cannot_pay_the_proof():
    with pytest.raises(UsageError, match=r"or of its model, does not pay.*the budget of 30 calls is used up") as caught:
        compiled(None, ol.Budgeted(WORLD.lm(), calls=30))
    assert "no limit" not in str(caught.value)


def test_seconds_end_a_search():
    found, lm = compiled(
        Budget(seconds=2), WORLD.lm(latency=0.01), optimizer=ol.RandomSearch(candidates=200), concurrency=4
    )
    assert found.report.stopped
    assert found.report.seconds < 5
    assert lm.calls < 2000


def test_answers_of_the_response_cache_cost_nothing(tmp_path: Any):
    from outlast.lms.caching.cache import Cached

    inner = WORLD.lm()
    path = tmp_path / "cache.db"
    whole, _ = compiled(None, Cached(inner, path), concurrency=64)
    before = inner.calls
    again, _ = compiled(Budget(calls=100), Cached(inner, path), concurrency=64)
    assert inner.calls == before
    assert again.report.spending.calls == 0
    assert not again.report.stopped
    assert again.report.record["result"] == whole.report.record["result"]


def test_what_an_earlier_run_paid_counts_and_costs_nothing_again(tmp_path: Any):
    path = tmp_path / "one.study.db"
    budget = Budget(calls=200)
    first, lm = compiled(budget, study=path)
    assert first.report.stopped
    assert lm.calls <= 200
    again, other = compiled(budget, study=path)
    assert other.calls == 0
    assert again.report.spending.calls == 0
    assert again.report.record == first.report.record
    assert again.report.points == first.report.points
    assert again.report.known == lm.calls
    larger, third = compiled(Budget(calls=280), study=path)
    assert 0 < third.calls <= 80
    assert larger.report.rollouts > first.report.rollouts


def test_a_surrounding_budget_counts_too():
    from outlast.runtime import Meter, running

    meter = Meter(calls=120)
    lm = WORLD.lm()
    with running(meter=meter):
        found, _ = compiled(None, lm, concurrency=4)
    assert lm.calls <= 120
    assert meter.spent.calls == lm.calls
    assert found.report.stopped or found.report.verdict.word == "unproven"


def test_tokens_and_dollars_of_calls_in_flight_are_expected():
    """Where no bound is known, what calls were seen to cost is set aside for those in flight."""
    purse = Purse(Budget(dollars=2.0))
    for number in range(40):
        purse.reserve().settle(Response("", usage=Usage(1, 0, cost=0.01 + 0.01 * (number % 2))))

    def fits() -> bool:
        try:
            purse.reserve()
        except BudgetExceeded:
            return False
        return True

    taken = sum(1 for _ in iter(fits, False))
    assert 1.9 <= 0.6 + 0.0195 * taken <= 2.0


def test_what_is_held_back_is_not_spent_until_it_is_free():
    purse = Purse(Budget(calls=10))
    purse.hold(calls=8)
    purse.reserve()
    purse.reserve()
    with pytest.raises(BudgetExceeded):
        purse.reserve()
    purse.hold()
    purse.reserve()


def test_a_reply_is_charged_once():
    purse = Purse(Budget(calls=10))
    purse.charge("k", reply())
    purse.charge("k", reply())
    assert purse.spent.calls == 1
    assert purse.paid.calls == 0
    assert purse.knows("k")


def test_a_reply_is_worth_what_is_known_of_it():
    assert worth(Response("", usage=Usage(3, 4, cost=0.5))) == (1, 7, 0.5)
    assert worth(Response("")) == (1, 0, 0.0)


def test_the_reserve_pays_the_costliest_candidate_with_room_for_chance():
    reserve = Reserve(30, concurrency=10)
    for number in range(20):
        reserve.add(Outcome("start", str(number), 0, "", 1.0, calls=2, tokens=100, dollars=0.01, seconds=0.1))
        reserve.add(
            Outcome("long", str(number), 0, "", 1.0, calls=2 + number % 2, tokens=900, dollars=0.05, seconds=0.5)
        )
    amounts = reserve.amounts()
    assert amounts["tokens"] == pytest.approx(30 * 900)
    assert amounts["dollars"] == pytest.approx(30 * 0.05)
    assert amounts["calls"] > 30 * 2.5
    assert amounts["seconds"] == pytest.approx(1.25 * (30 * 0.5 / 10 + 0.5) + 0.3)
    reserve.drop("long")
    assert reserve.amounts()["calls"] == 60
    assert reserve.calls_each() == 2


def test_a_candidate_that_was_dear_twice_does_not_take_the_budget_from_all_others():
    reserve = Reserve(45, concurrency=10)
    for number in range(60):
        reserve.add(Outcome("start", str(number), 0, "", 1.0, calls=1, tokens=100, dollars=0.01, seconds=0.1))
    for number in range(2):
        reserve.add(Outcome("new", str(number), 0, "", 1.0, calls=2, tokens=200, dollars=0.02, seconds=0.1))
    assert reserve.amounts()["calls"] <= 100  # and not 180 and more
    for number in range(2, 20):
        reserve.add(Outcome("new", str(number), 0, "", 1.0, calls=2, tokens=200, dollars=0.02, seconds=0.1))
    assert reserve.amounts()["calls"] == 90

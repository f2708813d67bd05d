"""Budgets: counted before the call, settled after it, never exceeded."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import outlast as ol
from outlast.errors import BudgetExceeded, LMServerError
from outlast.messages import Response, Usage
from outlast.runtime import Meter, current, running
from outlast.testing import ScriptedLM


def reply(**changes: object) -> Response:
    return Response("x", **{"usage": Usage(10, 5, cost=0.5), **changes})  # type: ignore[arg-type]


def test_a_call_is_reserved_before_it_is_made() -> None:
    meter = Meter(calls=2)
    meter.reserve()
    meter.reserve()
    with pytest.raises(BudgetExceeded, match="budget of 2 calls") as caught:
        meter.reserve()
    assert caught.value.limit == "calls"
    assert meter.spent.calls == 0  # nothing has come back yet


def test_a_failed_call_is_refunded() -> None:
    meter = Meter(calls=1)
    meter.reserve()
    meter.settle(None)
    meter.reserve()
    meter.settle(reply())
    assert meter.spent.calls == 1
    with pytest.raises(BudgetExceeded):
        meter.reserve()


def test_an_answer_from_a_cache_costs_no_call() -> None:
    meter = Meter(calls=1)
    for _ in range(3):
        meter.reserve()
        meter.settle(reply(cache="hit"))
    assert (meter.spent.calls, meter.spent.cached) == (0, 3)


@pytest.mark.parametrize(("limit", "value"), [("tokens", 15), ("dollars", 0.5)])
def test_tokens_and_dollars_end_the_budget_after_the_call_that_used_them_up(limit: str, value: float) -> None:
    meter = Meter(**{limit: value})  # type: ignore[arg-type]
    meter.reserve()
    meter.settle(reply())
    assert meter.exceeded() == limit
    with pytest.raises(BudgetExceeded, match=limit):
        meter.reserve()


def test_time_ends_the_budget() -> None:
    meter = Meter(seconds=0.02)
    meter.reserve()
    time.sleep(0.03)
    assert meter.exceeded() == "seconds"
    assert meter.elapsed >= 0.03


def test_a_limit_of_zero_allows_nothing() -> None:
    with pytest.raises(BudgetExceeded):
        Meter(calls=0).reserve()


def test_an_inner_meter_spends_from_the_outer_one() -> None:
    outer = Meter(calls=3)
    inner = Meter(calls=2, outer=outer)
    for _ in range(2):
        inner.reserve()
        inner.settle(reply())
    with pytest.raises(BudgetExceeded, match="2 calls"):
        inner.reserve()
    assert outer.spent.calls == 2
    other = Meter(calls=5, outer=outer)
    other.reserve()
    with pytest.raises(BudgetExceeded, match="3 calls"):
        other.reserve()
    other.settle(None)  # the refused call left nothing reserved behind
    other.reserve()


def test_sixty_four_threads_never_make_one_call_too_many() -> None:
    made = 0
    lock = threading.Lock()

    def handler(_: object) -> str:
        nonlocal made
        with lock:
            made += 1
        time.sleep(0.0005)
        return "<<answer>>\nx\n<<end>>"

    program = ol.Predict("question -> answer", lm=ScriptedLM(handler))
    outer = Meter(calls=100)
    inner = Meter(calls=90, outer=outer)
    refused = 0

    def work(_: int) -> None:
        nonlocal refused
        with running(meter=inner):
            for _ in range(5):
                try:
                    program(question="x")
                except BudgetExceeded:
                    with lock:
                        refused += 1

    with ThreadPoolExecutor(64) as pool:
        list(pool.map(work, range(64)))
    assert made == inner.spent.calls == outer.spent.calls == 90
    assert refused == 64 * 5 - 90


def test_failures_of_a_model_give_the_budget_back() -> None:
    lm = ScriptedLM([LMServerError("down"), LMServerError("down"), {"answer": "x"}])
    program = ol.Predict("question -> answer", lm=lm)
    meter = Meter(calls=1)
    with running(meter=meter):
        for _ in range(2):
            with pytest.raises(LMServerError):
                program(question="x")
        assert program(question="x").answer == "x"
        with pytest.raises(BudgetExceeded):
            program(question="x")
    assert lm.calls == 3


def test_a_direct_call_of_a_model_is_under_the_budget_too() -> None:
    lm = ScriptedLM(["one", "two"])
    with running(meter=Meter(calls=1)):
        assert current().meter is not None
        assert lm("hello").text == "one"
        with pytest.raises(BudgetExceeded):
            lm("hello")
    assert lm.calls == 1

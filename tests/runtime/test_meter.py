"""Budgets: set aside before the call, settled after it, never exceeded."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

import outlast as ol
from outlast.errors import (
    BudgetExceeded,
    ConfigError,
    LMConnectionError,
    LMRateLimited,
    LMResponseError,
    LMServerError,
    LMTimeout,
)
from outlast.lms.layers.budget import Budgeted
from outlast.lms.layers.retry import Retrying
from outlast.lms.protocol import LM, Wrapper, ask
from outlast.messages import Request, Response, Usage, user
from outlast.runtime import Bound, Meter, current, running, sleep
from outlast.runtime.meter import Joined, Ticket, may_be_billed
from outlast.testing import ScriptedLM

QUESTION = Request((user("x"),))


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


def test_what_is_set_aside_is_given_back_when_less_was_taken() -> None:
    meter = Meter(dollars=1)
    for _ in range(20):
        meter.reserve(Bound(dollars=0.9)).settle(reply(usage=Usage(1, 1, cost=0.004)))
    assert meter.spent.dollars == pytest.approx(0.08)
    assert meter.left("dollars") == pytest.approx(0.92)


def test_a_call_that_might_cost_more_than_is_left_is_refused() -> None:
    meter = Meter(dollars=1)
    meter.reserve(Bound(dollars=0.6)).settle(reply(usage=Usage(1, 1, cost=0.6)))
    with pytest.raises(BudgetExceeded, match=r"may take \$0\.500000, and \$0\.400000 are left.*max_tokens"):
        meter.reserve(Bound(dollars=0.5))
    assert meter.refused == "dollars"
    meter.reserve(Bound(dollars=0.4)).settle(reply(usage=Usage(1, 1, cost=0.4)))  # a smaller one still fits
    assert meter.spent.dollars == pytest.approx(1)


def test_an_answer_from_a_cache_costs_no_call_and_tells_what_it_saved() -> None:
    meter = Meter(calls=1)
    for _ in range(3):
        meter.note(reply(cache="hit"))
    assert (meter.spent.calls, meter.spent.cached, meter.spent.saved) == (0, 3, 1.5)


@pytest.mark.parametrize(("limit", "value"), [("tokens", 15), ("dollars", 0.5)])
def test_tokens_and_dollars_end_the_budget_after_the_call_that_used_them_up(limit: str, value: float) -> None:
    meter = Meter(**{limit: value})  # type: ignore[arg-type]
    meter.reserve().settle(reply())
    assert meter.exceeded() == limit
    with pytest.raises(BudgetExceeded, match=limit.replace("dollars", r"\$0.5")):
        meter.reserve()


def test_a_call_of_unknown_size_runs_alone_until_one_is_known() -> None:
    meter = Meter(dollars=2)
    first = meter.reserve(Bound(model="m"))
    with pytest.raises(BudgetExceeded):
        meter.reserve(Bound(model="m"))
    first.settle(reply())
    tickets = [meter.reserve(Bound(model="m")) for _ in range(3)]  # each expected to cost 0.5, as the first did
    with pytest.raises(BudgetExceeded):
        meter.reserve(Bound(model="m"))
    for ticket in tickets:
        ticket.settle(reply())
    assert meter.spent.dollars == 2


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
        inner.reserve().settle(reply())
    with pytest.raises(BudgetExceeded, match="2 calls"):
        inner.reserve()
    assert outer.spent.calls == 2
    other = Meter(calls=5, outer=outer)
    kept = other.reserve()
    with pytest.raises(BudgetExceeded, match="3 calls"):
        other.reserve()
    kept.release()  # the refused call left nothing reserved behind
    other.reserve()


def test_two_meters_side_by_side_are_both_held() -> None:
    one, other, whole = Meter(calls=2), Meter(calls=5), Meter(calls=9)
    both = Joined(one, Meter(outer=Joined(other, whole)))
    both.reserve().settle(reply())
    assert (one.spent.calls, other.spent.calls, whole.spent.calls) == (1, 1, 1)
    both.reserve()
    with pytest.raises(BudgetExceeded, match="2 calls"):
        both.reserve()
    assert other.left("calls") == 3  # the refused call set nothing aside


def test_a_price_that_turns_out_unknown_is_refused_or_counted() -> None:
    strict, lax = Meter(dollars=1), Meter(dollars=1, on_unknown="count")
    for meter in (strict, lax):
        meter.reserve(Bound(model="m")).settle(reply(usage=Usage(1, 1)))
    with pytest.raises(ConfigError, match="nobody knows what 'm' costs.*price="):
        strict.reserve(Bound(model="m"))
    strict.reserve(Bound(dollars=0.1, model="other")).release()
    lax.reserve(Bound(model="m")).settle(reply(usage=Usage(1, 1)))
    assert (lax.spent.dollars, lax.spent.unpriced) == (0, 2)


@pytest.mark.parametrize(
    ("error", "billed"),
    [
        (LMRateLimited("slow down", status=429), False),
        (LMServerError("down", status=503), False),
        (LMServerError("broke off", status=200), True),
        (LMConnectionError("cut in the middle"), True),
        (LMTimeout("no whole reply"), True),
        (LMResponseError("not JSON", status=200), True),
        (asyncio.CancelledError(), True),
        (GeneratorExit(), True),
    ],
)
def test_a_failed_call_costs_nothing_when_the_server_said_no(error: BaseException, billed: bool) -> None:
    meter = Meter(dollars=1, calls=3)
    meter.reserve(Bound(100, 0.25, "m")).fail(error)
    assert may_be_billed(error) is billed
    assert (meter.spent.calls, meter.spent.failed, meter.spent.uncertain) == (1, 1, int(billed))
    assert meter.left("dollars") == (0.75 if billed else 1)
    assert meter.spent.uncertain_tokens == (100 if billed else 0)


def test_a_call_that_never_reached_the_server_costs_nothing() -> None:
    meter, error = Meter(dollars=1), LMConnectionError("no connection")
    error.sent = False
    meter.reserve(Bound(100, 0.25, "m")).fail(error)
    assert (meter.spent.calls, meter.left("dollars")) == (1, 1)


def test_a_refusal_inside_a_reply_that_had_begun_may_be_billed() -> None:
    error = LMRateLimited("slow down", status=429)
    error.begun = True
    assert may_be_billed(error)


def test_a_call_without_a_key_is_no_call() -> None:
    meter = Meter(calls=1)
    meter.reserve().fail(ConfigError("no key"))
    assert meter.left("calls") == 1


def test_an_answer_that_tells_no_usage_keeps_its_bound() -> None:
    meter = Meter(dollars=1, tokens=1000)
    meter.reserve(Bound(400, 0.25, "m")).settle(reply(usage=Usage()))
    assert (meter.left("dollars"), meter.left("tokens")) == (0.75, 600)
    assert (meter.spent.untold, meter.spent.unpriced) == (1, 1)


async def test_calls_in_flight_that_may_cost_less_are_waited_for_in_turn() -> None:
    meter, log = Meter(calls=2), list[str]()

    async def one(name: str, cached: bool) -> None:
        ticket = await meter.take(Bound())
        log.append(name)
        await asyncio.sleep(0.01)
        ticket.settle(reply(cache="hit" if cached else "miss"))

    names = {"a": True, "b": True, "c": True, "d": False, "e": False}
    await asyncio.gather(*(one(name, cached) for name, cached in names.items()))
    assert log == ["a", "b", "c", "d", "e"]
    assert meter.spent.calls == 2
    with pytest.raises(BudgetExceeded):
        await meter.take(Bound())


async def test_a_large_call_is_not_starved_by_small_ones() -> None:
    meter, log = Meter(dollars=1), list[str]()

    async def call(name: str, dollars: float) -> None:
        ticket = await meter.take(Bound(dollars=dollars))
        log.append(name)
        await asyncio.sleep(0.002)
        ticket.settle(reply(usage=Usage(1, 1, cost=0.0)))

    first = [asyncio.create_task(call("small", 0.3)) for _ in range(3)]
    await asyncio.sleep(0)
    large = asyncio.create_task(call("large", 0.9))
    await asyncio.sleep(0)
    later = [asyncio.create_task(call("small", 0.1)) for _ in range(20)]
    await asyncio.gather(*first, large, *later)
    assert log.index("large") == 3


async def test_whoever_waits_is_told_when_it_is_hopeless() -> None:
    meter = Meter(dollars=1)
    first = await meter.take(Bound(dollars=0.9))
    waiting = [asyncio.create_task(meter.take(Bound(dollars=0.5))) for _ in range(3)]
    await asyncio.sleep(0.01)
    first.settle(reply(usage=Usage(1, 1, cost=0.9)))
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(result, BudgetExceeded) for result in results)


async def test_giving_up_while_waiting_leaves_the_place_to_others() -> None:
    meter = Meter(calls=1)
    first = await meter.take(Bound())
    gone, next_one = (asyncio.create_task(meter.take(Bound())) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    first.release()
    assert isinstance(await asyncio.wait_for(next_one, 30), Ticket)


async def test_one_who_is_served_and_cancelled_at_once_gives_it_on() -> None:
    meter = Meter(calls=1)
    first = await meter.take(Bound())
    gone, next_one = (asyncio.create_task(meter.take(Bound())) for _ in range(2))
    await asyncio.sleep(0)
    first.release()  # serves `gone`, which is cancelled before it runs again
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    assert isinstance(await asyncio.wait_for(next_one, 30), Ticket)


def test_a_blocking_call_in_a_running_loop_does_not_wait() -> None:
    """It would wait for calls that the loop it holds up has to end."""
    program = ol.Predict("question -> answer", lm=ScriptedLM(lambda _: {"answer": "x"}))
    meter = Meter(calls=1)

    async def notebook() -> None:
        kept = await meter.take(Bound())
        with running(meter=meter), pytest.raises(BudgetExceeded):
            program(question="x")
        kept.release()
        with running(meter=meter):
            assert program(question="x").answer == "x"

    asyncio.run(notebook())


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


def test_failures_of_a_model_count_as_calls() -> None:
    lm = ScriptedLM([LMServerError("down", status=500), {"answer": "x"}])
    program = ol.Predict("question -> answer", lm=lm)
    meter = Meter(calls=2)
    with running(meter=meter):
        with pytest.raises(LMServerError):
            program(question="x")
        assert program(question="x").answer == "x"
        with pytest.raises(BudgetExceeded):
            program(question="x")
    assert lm.calls == 2


def test_each_try_is_a_call_of_its_own() -> None:
    lm = ScriptedLM([LMServerError("down", status=500), LMTimeout("late"), "x"], price=0.25)
    meter = Meter(calls=3, dollars=0.5)
    with running(meter=meter):
        assert Retrying(lm, base=0)("hello").attempts == 3
        with pytest.raises(BudgetExceeded):
            lm("hello")
    assert (meter.spent.calls, meter.spent.failed, meter.spent.uncertain) == (3, 2, 1)
    assert (meter.spent.dollars, meter.spent.uncertain_dollars) == (0.25, 0.25)


def test_a_direct_call_of_a_model_is_under_the_budget_too() -> None:
    lm = ScriptedLM(["one", "two"])
    with running(meter=Meter(calls=1)):
        assert current().meter is not None
        assert lm("hello").text == "one"
        with pytest.raises(BudgetExceeded):
            lm("hello")
    assert lm.calls == 1


def test_a_stream_is_under_the_budget_and_one_that_is_left_may_be_billed() -> None:
    lm = ScriptedLM(lambda _: "one two three")
    meter = Meter(calls=2)
    with running(meter=meter):
        assert "".join(getattr(event, "text", "") for event in lm.events("hello")) == "one two three"
        for _ in lm.events("hello"):
            break
        with pytest.raises(BudgetExceeded):
            list(lm.events("hello"))
    assert (meter.spent.calls, meter.spent.uncertain) == (2, 1)
    assert lm.calls == 2


class Router(LM):
    """A user's LM that only asks others and does not say so."""

    blocking_safe = True

    def __init__(self, *inner: LM) -> None:
        self.name = "router"
        self.inner = inner

    async def complete(self, request: Request) -> Response:
        for lm in self.inner:
            answer = await ask(lm, request)
        return answer


def test_whoever_asks_another_model_does_not_pay_twice() -> None:
    one, other = ScriptedLM(lambda _: "x", price=0.25), ScriptedLM(lambda _: "y", price=0.25)
    meter = Meter(calls=2, dollars=0.5)
    with running(meter=meter):
        assert Router(one, other)("q").text == "y"
    assert (meter.spent.calls, meter.spent.dollars) == (2, 0.5)


def test_a_wrapper_that_goes_around_ask_is_counted_all_the_same() -> None:
    class Direct(Wrapper):
        async def complete(self, request: Request) -> Response:
            return await self.inner.complete(request)

    meter = Meter(calls=2)
    with running(meter=meter):
        for _ in range(2):
            Direct(ScriptedLM(lambda _: "x"))("q")
    assert (meter.spent.calls, meter.exceeded()) == (2, "calls")
    with running(meter=meter), pytest.raises(BudgetExceeded):
        Direct(ScriptedLM(lambda _: "x"))("q")


@dataclass
class Billing(LM):
    """A model that takes at most what it says, and keeps its own bill: what a provider would charge."""

    name: str = "billing"
    seed: int = 0
    billed: float = 0.0
    calls: int = 0

    blocking_safe = True

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.lock = threading.Lock()

    def bound(self, request: Any) -> Bound:
        return Bound(100, 0.01, self.name)

    async def complete(self, request: Request) -> Response:
        with self.lock:
            self.calls += 1
            cost = self.random.choice((0.0001, 0.002, 0.01))
            fate = self.random.random()
            if fate > 0.1:
                self.billed += cost
        if fate <= 0.1:
            raise LMRateLimited("slow down", status=429)
        await sleep(0.001)
        if fate <= 0.2:
            raise LMConnectionError("cut in the middle")  # and billed
        return Response("x", self.name, usage=Usage(1, 1, cost=cost))


@pytest.mark.parametrize("dollars", [0.05, 0.5])
def test_the_bill_is_never_over_the_budget_with_hundreds_in_flight(dollars: float) -> None:
    """In tasks and in threads at once, with failures that are billed and others that are not."""
    lm, meter = Billing(seed=7), Meter(dollars=dollars)
    failures: list[type[Exception]] = []

    async def one() -> None:
        try:
            await lm.acall("q")
        except (BudgetExceeded, LMRateLimited, LMConnectionError) as error:
            failures.append(type(error))

    async def tasks() -> None:
        await asyncio.gather(*(one() for _ in range(300)))

    def thread(_: int) -> None:
        with running(meter=meter):
            for _ in range(10):
                try:
                    lm("q")
                except (BudgetExceeded, LMRateLimited, LMConnectionError) as error:
                    failures.append(type(error))

    with ThreadPoolExecutor(16) as pool:
        jobs = [pool.submit(thread, number) for number in range(16)]
        with running(meter=meter):
            asyncio.run(tasks())
        for job in jobs:
            job.result()
    assert BudgetExceeded in failures
    assert lm.billed <= dollars + 1e-9
    assert meter.used("dollars") <= dollars + 1e-9
    assert lm.billed <= meter.used("dollars") + 1e-9
    assert lm.billed > 0.3 * dollars  # it was spent, not only guarded
    assert meter.spent.calls == lm.calls


class MeterMachine(RuleBasedStateMachine):
    """Whatever happens in whatever order, what may be on the bill stays within every limit."""

    tickets = Bundle("tickets")

    def __init__(self) -> None:
        super().__init__()
        self.outer = Meter(calls=40, dollars=1.0, tokens=5000)
        self.inner = Meter(calls=25, dollars=0.6, tokens=4000, outer=self.outer)
        self.billed = {"inner": 0.0, "outer": 0.0}

    @rule(
        target=tickets,
        within=st.sampled_from(["inner", "outer"]),
        dollars=st.floats(0, 0.3),
        tokens=st.integers(0, 900),
        share=st.floats(0, 1),
    )
    def take(self, within: str, dollars: float, tokens: int, share: float) -> Any:
        try:
            ticket = getattr(self, within).reserve(Bound(tokens, dollars, "m"))
        except BudgetExceeded:
            return None
        return within, ticket, dollars * share, int(tokens * share)

    def bill(self, within: str, dollars: float) -> None:
        for name in ("inner", "outer") if within == "inner" else ("outer",):
            self.billed[name] += dollars

    @rule(taken=consumes(tickets))
    def settle(self, taken: Any) -> None:
        if taken is not None:
            within, ticket, dollars, tokens = taken
            ticket.settle(Response("", usage=Usage(tokens, 0, cost=dollars)))
            self.bill(within, dollars)

    @rule(taken=consumes(tickets), billed=st.booleans())
    def fail(self, taken: Any, billed: bool) -> None:
        if taken is not None:
            within, ticket, dollars, _ = taken
            ticket.fail(LMTimeout("late") if billed else LMRateLimited("no", status=429))
            self.bill(within, dollars if billed else 0.0)

    @rule(taken=consumes(tickets))
    def release(self, taken: Any) -> None:
        if taken is not None:
            taken[1].release()

    @rule(taken=consumes(tickets))
    def settle_twice(self, taken: Any) -> None:
        self.settle(taken)
        if taken is not None:
            calls = self.outer.spent.calls
            taken[1].settle(Response("", usage=Usage(1, 1, cost=1.0)))
            assert self.outer.spent.calls == calls

    @invariant()
    def within_limits(self) -> None:
        for name, meter in (("inner", self.inner), ("outer", self.outer)):
            for limit in ("calls", "tokens", "dollars"):
                assert meter.left(limit) >= -1e-6
                assert meter.left(limit) <= meter.left(limit, settled=True) + 1e-9
            assert self.billed[name] <= meter.used("dollars") + 1e-9
            assert meter.used("dollars") <= (meter.limits["dollars"] or 0) + 1e-6


TestMeterMachine = MeterMachine.TestCase
TestMeterMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_a_wrapper_around_a_model_with_a_budget_of_its_own_does_not_wait_for_itself() -> None:
    class Counting(Wrapper):
        calls = 0

        async def complete(self, request: Request) -> Response:
            self.calls += 1
            return await ask(self.inner, request)

    meter = Meter(calls=1)
    inner = Budgeted(ScriptedLM(lambda _: "x"), calls=5)
    with running(meter=meter):
        assert Counting(inner)("q").text == "x"
        with pytest.raises(BudgetExceeded):
            Counting(inner)("another")
    assert (meter.spent.calls, inner.spent.calls) == (1, 1)

"""Budgets as a user states them: for a block of code and for one model, in threads and tasks, with real prices."""

from __future__ import annotations

import asyncio
import copy
import pickle
import random
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import outlast as ol
from outlast.errors import BudgetExceeded, ConfigError, LMServerError
from outlast.lms.bounds import bound_of, input_bound, output_bound
from outlast.lms.caching.cache import Cached
from outlast.lms.layers.budget import Budgeted, budget
from outlast.lms.layers.fallback import Fallback
from outlast.lms.layers.retry import Retrying
from outlast.lms.protocol import LM
from outlast.messages import (
    Message,
    OutputSchema,
    Request,
    Response,
    Settings,
    TextPart,
    Usage,
    assistant,
    system,
    user,
)
from outlast.runtime import Bound
from outlast.testing import FakeServer, ScriptedLM
from outlast.types import Image, Tool


@ol.metric
def correct(example: Any, out: Any) -> bool:
    return out.answer == example.answer


def lm(price: float | None = 0.25, **options: Any) -> ScriptedLM:
    return ScriptedLM(lambda _: {"answer": "x"}, price=price, **options)


def test_a_block_is_limited_and_its_spending_told():
    model = lm()
    with budget(dollars=0.6) as spent:
        model("one")
        model("two")
        with pytest.raises(BudgetExceeded, match=r"\$0\.6 does not allow") as caught:
            model("three")
    assert (spent.calls, spent.dollars) == (2, 0.5)
    assert caught.value.limit == "dollars"
    assert caught.value.spent == spent
    model("three")  # outside there is no limit
    assert model.calls == 3


def test_blocks_nest_and_both_count():
    model = lm()
    with budget(calls=3) as run:
        with budget(calls=2) as module:
            model("q")
            model("q")
            with pytest.raises(BudgetExceeded, match="2 calls"):
                model("q")
        model("q")
        with pytest.raises(BudgetExceeded, match="3 calls"), budget(calls=100):
            model("q")
    assert (module.calls, run.calls) == (2, 3)


async def test_a_block_holds_for_tasks():
    model = lm(latency=0.001)
    with budget(calls=5) as spent:
        results = await asyncio.gather(*(model.acall("q") for _ in range(20)), return_exceptions=True)
    assert sum(isinstance(result, Response) for result in results) == spent.calls == model.calls == 5
    assert sum(isinstance(result, BudgetExceeded) for result in results) == 15


def test_a_block_holds_for_the_threads_of_gather():
    program = ol.Predict("question -> answer", lm=lm(latency=0.001))

    def one() -> str:
        try:
            return program(question="q").answer
        except BudgetExceeded:
            return "refused"

    async def each() -> str:
        return one()

    async def all_of_them() -> tuple[str, ...]:
        return await ol.gather(*(each() for _ in range(20)), limit=8)

    with budget(calls=5):
        results = asyncio.run(all_of_them())
    assert sorted(results) == ["refused"] * 15 + ["x"] * 5


def test_an_evaluation_that_runs_out_gives_what_was_done():
    data = ol.Dataset([ol.Example({"question": f"q{n}"}, {"answer": "x"}) for n in range(30)])
    program = ol.Predict("question -> answer", lm=lm(latency=0.001))
    with budget(dollars=3) as spent:
        evaluation = ol.evaluate(program, data, correct, concurrency=8, progress=False)
    assert evaluation.stopped == "budget"
    assert spent.dollars == 3
    assert sum(row.score == 1 for row in evaluation.rows) == 12


def test_an_evaluation_with_less_left_than_a_call_may_cost_ends_too():
    data = ol.Dataset([ol.Example({"question": f"q{n}"}, {"answer": "x"}) for n in range(30)])
    program = ol.Predict("question -> answer", lm=lm(latency=0.001))
    with budget(dollars=2.9) as spent:  # 11 calls, and 15 cents that buy nothing
        evaluation = ol.evaluate(program, data, correct, concurrency=8, progress=False)
    assert (evaluation.stopped, spent.calls) == ("budget", 11)
    assert not evaluation.errors


def test_a_cached_answer_costs_nothing_and_tells_what_it_saved(tmp_path: Any):
    model = Cached(lm(), tmp_path / "cache.db")
    with budget(dollars=0.3) as spent:
        for _ in range(4):
            model("q")
    assert (spent.calls, spent.cached, spent.dollars, spent.saved) == (1, 3, 0.25, 0.75)


def test_each_model_of_a_fallback_is_counted_at_its_own_price():
    down = ScriptedLM(lambda _: LMServerError("down", status=500), price=0.4, name="down")
    with budget(dollars=1) as spent:
        Fallback(down, lm(0.5))("q")
    assert (spent.calls, spent.failed, spent.dollars) == (2, 1, 0.5)


def test_one_model_is_limited_whoever_asks_it():
    model = Budgeted(lm(latency=0.001), calls=10)
    refused: list[BudgetExceeded] = []

    def work() -> None:
        for _ in range(4):
            try:
                model("q")
            except BudgetExceeded as error:
                refused.append(error)

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (model.spent.calls, len(refused)) == (10, 10)


def test_a_model_and_a_block_are_both_held_and_nothing_is_counted_twice(tmp_path: Any):
    inner = Cached(lm(), tmp_path / "cache.db")
    model = Budgeted(inner, calls=3)
    with budget(calls=2) as spent:
        model("q")
        model("q")
        model("other")
        with pytest.raises(BudgetExceeded, match="2 calls"):
            model("third")
    assert (spent.calls, spent.cached) == (model.spent.calls, model.spent.cached) == (2, 1)
    model("third")
    with pytest.raises(BudgetExceeded, match="3 calls"):
        model("fourth")


async def test_streams_of_a_limited_model_are_counted():
    model = Budgeted(ScriptedLM(lambda _: "one two"), calls=2)
    for _ in range(2):
        assert [event async for event in model.events("q")]
    with pytest.raises(BudgetExceeded):
        [event async for event in model.events("q")]
    assert model.spent.calls == 2


def test_the_stack_tells_its_budget():
    model = Budgeted(lm(), dollars=2)
    model("q")
    layer = model.info()[0]
    assert layer.kind == "Budgeted"
    assert layer.facts["dollars"] == 2
    assert "1 calls" in layer.facts["spent"]


def test_a_copy_has_spent_nothing():
    model = Budgeted(lm(), calls=1)
    model("q")
    assert copy.copy(model).spent.calls == 0
    twin = pickle.loads(pickle.dumps(Budgeted(LM("openai/m", base_url="http://127.0.0.1:1/v1"), calls=1)))
    assert (twin.spent.calls, twin.meter.limits["calls"]) == (0, 1)


@pytest.mark.parametrize(
    "options",
    [{}, {"dollars": 0}, {"dollars": "1"}, {"calls": 1.5}, {"calls": True}, {"tokens": -1}, {"seconds": float("nan")}],
)
def test_limits_that_mean_nothing_are_refused(options: dict[str, Any]):
    with pytest.raises(ConfigError, match="budget"), budget(**options):
        pass
    with pytest.raises(ConfigError, match="Budgeted"):
        Budgeted(lm(), **options)
    with pytest.raises(ConfigError, match="on_unknown"):
        Budgeted(lm(), calls=1, on_unknown="hope")
    with pytest.raises(TypeError):
        Budgeted(lm(), call=1)  # type: ignore[call-arg]


def test_a_model_of_unknown_price_ends_a_budget_in_dollars():
    model = lm(None)
    with budget(dollars=1) as spent:
        model("q")
        with pytest.raises(ConfigError, match="nobody knows what 'scripted' costs.*price="):
            model("q")
    assert (model.calls, spent.unpriced) == (1, 1)
    with budget(dollars=1, on_unknown="count") as spent:
        model("q")
        model("q")
    assert (spent.unpriced, spent.dollars) == (2, 0)


def test_time_ends_a_block():
    model = lm(latency=0.02)
    with budget(seconds=0.05), pytest.raises(BudgetExceeded, match="seconds"):
        [model("q") for _ in range(10)]
    assert model.calls < 5


# Through the wire, where the price and max_tokens are known.


def completion(words: int, incoming: int = 20) -> dict[str, Any]:
    return {
        "model": "m",
        "choices": [{"message": {"role": "assistant", "content": "w"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": incoming, "completion_tokens": words, "total_tokens": incoming + words},
    }


@pytest.mark.parametrize("output", [10, 100])
async def test_with_max_tokens_and_a_price_a_budget_is_not_exceeded_by_a_cent(output: int):
    """The server bills what it likes up to max_tokens; 200 calls are in flight at once."""
    billed = 0.0

    def handler(body: dict[str, Any]) -> dict[str, Any]:
        nonlocal billed
        billed += (20 * 5 + output * 10) / 1e6
        return completion(output)

    with FakeServer(handler, latency=0.002) as server:
        model = LM("openai/m", base_url=server.url, price=(5, 10), max_tokens=100, cache=False)
        most = (model.bound(Request((user("q"),))).dollars or 0) * 7.5
        with budget(dollars=most) as spent:
            results = await asyncio.gather(*(model.acall("q") for _ in range(200)), return_exceptions=True)
    assert {type(result) for result in results} == {Response, BudgetExceeded}
    assert spent.dollars == pytest.approx(billed)
    assert billed <= most
    assert billed > most - 1.01 * most / 7.5  # and all but the last call's worth was used


async def test_cheap_answers_leave_room_for_more_calls():
    with FakeServer(lambda body: completion(1), latency=0.001) as server:
        model = LM("openai/m", base_url=server.url, price=(0, 10), max_tokens=1000, cache=False)
        with budget(dollars=0.0105) as spent:
            results = await asyncio.gather(*(model.acall("q") for _ in range(50)), return_exceptions=True)
    assert all(isinstance(result, Response) for result in results)  # 1 at a time, as only one may cost 1000 tokens
    assert spent.dollars == pytest.approx(50 * 10 / 1e6)


def test_the_bound_of_a_model_is_its_price_for_the_most_tokens():
    model = LM("openai/gpt-5-mini", max_tokens=1000, cache=False)
    request = Request((user("q" * 1000),))
    bound = model.bound(request)
    assert bound.tokens == 1000 + 1000 + 256 + 32
    assert bound.dollars == pytest.approx((1288 * 0.25 + 1000 * 2) / 1e6)
    assert LM("openai/gpt-5-mini", cache=False).bound(request) == Bound(None, None, "openai/gpt-5-mini")
    assert LM("openai/nobody-knows", max_tokens=5, cache=False).bound(request).dollars is None


def test_a_dearer_tier_is_set_aside_at_its_price():
    plain, flex, priority, other = (
        LM("openai/gpt-5-mini", max_tokens=1000, tier=tier, cache=False).bound(Request((user("q"),))).dollars
        for tier in (None, "flex", "priority", "unheard-of")
    )
    assert plain is not None
    assert priority is not None
    assert flex == plain  # the server may serve it in the plain tier
    assert priority > plain
    assert other is None


def test_a_reply_is_priced_at_the_tier_that_served_it():
    def handler(body: dict[str, Any]) -> dict[str, Any]:
        return {**completion(100_000, 0), "model": "gpt-5-mini", "service_tier": served}

    with FakeServer(handler) as server:
        model = LM("openai/gpt-5-mini", base_url=server.url, price=ol.Price(1, 10, tiers={"flex": 0.5}), cache=False)
        costs = {}
        for served in (None, "default", "flex", "priority"):
            costs[served] = model("q", tier="flex").usage.cost
    assert costs == {None: 1.0, "default": 1.0, "flex": 0.5, "priority": None}


def test_a_tier_in_extra_settings_is_in_the_bound_and_in_the_price():
    with FakeServer(lambda body: completion(10, 50)) as server:
        price = ol.Price(1, 1, tiers={"priority": 100.0})
        model = LM("openai/gpt-5-mini", base_url=server.url, price=price, cache=False, max_tokens=50)
        said, extra = {"tier": "priority"}, {"extra": {"service_tier": "priority"}}
        bounds = [model.bound(Request((user("q"),), Settings(**options))).dollars for options in (said, extra)]
        assert bounds[1] == pytest.approx(bounds[0], rel=0.1)  # the text of `extra` counts as input too
        assert model("q", **extra).usage.cost == model("q", **said).usage.cost
        with budget(dollars=0.001), pytest.raises(BudgetExceeded):
            model("q", **extra)
        assert len(server.requests) == 2


@given(st.text(max_size=300), st.text(max_size=50))
def test_no_byte_of_a_request_escapes_the_bound(text: str, more: str):
    """A token of a byte-level tokenizer covers a byte or more, so bytes bound tokens."""
    request = Request((system(more), user(text), assistant(more)), Settings(max_tokens=7), OutputSchema("s", {"x": 1}))
    bound = input_bound(request)
    assert bound is not None
    assert bound >= sum(len(turn.encode("utf-8", "surrogatepass")) for turn in (text, more, more))
    parts = Request((Message("user", (TextPart(text), TextPart(more))),))
    assert (input_bound(parts) or 0) >= len((text + more).encode("utf-8", "surrogatepass"))


def test_what_only_the_provider_can_count_has_no_bound():
    image = Image.from_bytes(b"\x89PNG\r\n\x1a\n" + b"0" * 40)
    request = Request((Message("user", (TextPart("look"), image)),), Settings(max_tokens=5))
    assert input_bound(request) is None
    assert bound_of(request, model="m", prices=(ol.Price(1, 1),)) == Bound(None, None, "m")


def test_tools_predictions_and_extra_settings_count():
    plain = input_bound(Request((user("q"),))) or 0
    tool = Tool("look_up", "Find a word.", {"type": "object", "properties": {"word": {"type": "string"}}})
    assert (input_bound(Request((user("q"),), tools=(tool,))) or 0) > plain + 1024
    assert output_bound(Settings(max_tokens=10, prediction="x" * 30)) == 40
    assert output_bound(Settings(max_tokens=10, extra={"max_completion_tokens": 500})) == 500
    assert output_bound(Settings(extra={"max_output_tokens": 9})) == 9
    assert output_bound(Settings()) is None


def test_a_server_that_refuses_max_tokens_leaves_the_output_unbounded():
    from outlast.testing import Fault

    def handler(body: dict[str, Any]) -> Any:
        for name in ("max_tokens", "max_completion_tokens"):
            if name in body:
                return Fault.error(400, f"Unsupported parameter: {name}", param=name, code="unsupported_parameter")
        return completion(3)

    with FakeServer(handler) as server:
        model = LM("openai/m", base_url=server.url, price=(1, 1), max_tokens=5, cache=False)
        assert model.bound(Request((user("q"),))).tokens is not None
        model("q")
        assert model.bound(Request((user("q"),))).tokens is None


def test_a_wrapper_around_a_custom_model_needs_nothing_more():
    class Mine(LM):
        name = "mine"

        async def complete(self, request: Request) -> Response:
            return Response("x", usage=Usage(3, 4, cost=0.25))

    with budget(dollars=0.5) as spent:
        Mine()("q")
        Mine()("q")
        with pytest.raises(BudgetExceeded):
            Mine()("q")
    assert spent.dollars == 0.5


class Till:
    """Bills like a provider: every reply that was written, also when it never arrived whole."""

    def __init__(self, rate: float) -> None:
        self.billed = 0.0
        self.written = 0
        self._random = random.Random(5)
        self._rate = rate

    def __call__(self, body: dict[str, Any]) -> Any:
        from outlast.testing import Fault

        fate = self._random.random()
        if fate < self._rate:
            refusals = (Fault.error(429, "slow down", retry_after=0), Fault.error(500), Fault.error(503), Fault.drop())
            return self._random.choice(refusals)
        words = self._random.randint(1, 40)
        self.billed += (20 * 5 + words * 10) / 1e6
        self.written += 1
        if fate < 2 * self._rate:
            return self._random.choice((Fault.cut(), Fault.garbage(), Fault.empty(), Fault.html()))
        return completion(words)


@pytest.mark.slow
async def test_a_failing_server_bills_no_more_than_the_budget():
    """2,000 calls, 40% of which fail in eight ways, half of these billed; with retries, 128 in flight."""
    till = Till(0.2)
    with FakeServer(till) as server:
        model = Retrying(
            LM("openai/m", base_url=server.url, price=(5, 10), max_tokens=40, cache=False, retries=0, concurrency=128),
            base=0.001,
        )
        most = 0.25
        with budget(dollars=most) as spent:
            results = await asyncio.gather(*(model.acall(f"q{n}") for n in range(2000)), return_exceptions=True)
        assert server.count <= spent.calls
    assert any(isinstance(result, BudgetExceeded) for result in results)
    assert till.billed <= spent.dollars + spent.uncertain_dollars <= most + 1e-9
    assert till.billed > 0.3 * most  # the rest is held for replies that broke off, at the most that they can have cost
    assert sum(isinstance(result, Response) for result in results) <= till.written

"""What every layer around a model keeps to: it passes on what it gets, in either way of calling, and holds nothing."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import pickle
import random
import threading
import time
from contextlib import aclosing

import pytest

import outlast as ol
from outlast.errors import BudgetExceeded, ConfigError, LMRequestError, LMServerError
from outlast.lms.protocol import LM, Wrapper
from outlast.messages import Finished, Question, Request, Response, StreamEvent, TextDelta, Usage, user
from outlast.runtime import Meter, drive, run_blocking, running, sleep

SECRET = "sk-very-secret"
ANSWER = Response(
    text="yes and no",
    model="inner",
    usage=Usage(3, 2, cost=0.5, cost_source="test"),
    seconds=0.25,
    request_id="r-1",
    adaptations=("told",),
)


class Inner(LM):
    """Answers in pieces; fails or waits when the prompt says so; notes what is open."""

    blocking_safe = True

    def __init__(self, name: str = "inner") -> None:
        self.name = name
        self.key = SECRET
        self.open = 0
        self.seen: list[Request] = []
        self.lock = threading.Lock()
        self.capabilities = ol.Capabilities(json_object=True, streaming=True, without=frozenset({"seed"}))

    def __reduce__(self):
        return Inner, (self.name,)

    def __eq__(self, other):
        return isinstance(other, Inner) and other.name == self.name

    def __hash__(self):
        return hash(self.name)

    async def complete(self, request):
        async with aclosing(self.stream(request)) as events:
            async for event in events:
                if isinstance(event, Finished):
                    return event.response
        raise AssertionError

    async def stream(self, request):
        with self.lock:
            self.open += 1
            self.seen.append(request)
        text = request.messages[-1].text
        try:
            if text.startswith("wait"):
                await sleep(float(text.removeprefix("wait")))
            if text == "refuse":
                raise LMRequestError("told to refuse", status=400)
            yield TextDelta("yes ")
            if text == "break":
                raise LMServerError("broke in the middle", status=500)
            if text.startswith("slowly"):
                await sleep(float(text.removeprefix("slowly")))
            yield TextDelta("and no")
            yield Finished(ANSWER)
        finally:
            with self.lock:
                self.open -= 1


def always_first(request: Request) -> str:
    return "first"


LAYERS = {
    "Limited": lambda inner: ol.Limited(inner, 8),
    "AdaptiveLimited": lambda inner: ol.AdaptiveLimited(inner, 8),
    "RateLimited": lambda inner: ol.RateLimited(inner, 100_000, 10_000_000),
    "Retrying": lambda inner: ol.Retrying(inner, 2, base=0.0),
    "Timeout": lambda inner: ol.Timeout(inner, 30, first_token=20),
    "Hedged": lambda inner: ol.Hedged(inner, after=20.0),
    "CircuitBreaker": lambda inner: ol.CircuitBreaker(inner, 1000),
    "Fallback": lambda inner: ol.Fallback(inner, Inner("spare")),
    "Balanced": lambda inner: ol.Balanced([inner]),
    "Routed": lambda inner: ol.Routed(always_first, {"first": inner}),
}


AROUND = {  # those of one model, which may be given by name
    **{name: make for name, make in LAYERS.items() if name not in ("Fallback", "Balanced", "Routed", "Retrying")},
    "Retrying": lambda inner: ol.Retrying(inner, 0),
    "Pinned": lambda inner: ol.Pinned(inner, "m"),
    "Budgeted": lambda inner: ol.Budgeted(inner, calls=3),
    "Cached": lambda inner: ol.Cached(inner, ":memory:"),
    "Cassette": lambda inner: ol.Cassette(inner, "never-made.jsonl"),
    "SemanticCache": lambda inner: ol.SemanticCache(inner, embed=lambda texts: [[1.0] for _ in texts], threshold=0.9),
}
MANY = {
    "Fallback": lambda inner: ol.Fallback(inner, Inner("spare")),
    "Balanced": lambda inner: ol.Balanced([inner]),
    "Routed": lambda inner: ol.Routed(always_first, {"first": inner}),
}


@pytest.mark.parametrize("name", [*AROUND, *MANY])
@pytest.mark.parametrize("wrong", [None, 5, ["openai/gpt-5-mini"], ol.LM])
def test_what_is_no_model_is_refused_when_it_is_given(name, wrong):
    with pytest.raises(ConfigError, match="takes models such as") as caught:
        {**AROUND, **MANY}[name](wrong)
    assert name in str(caught.value)


@pytest.mark.parametrize("name", AROUND)
def test_a_name_is_opened(name):
    layer = AROUND[name]("outlast/baseline")
    assert isinstance(layer.inner, LM)
    assert layer.name == layer.inner.name == ol.LM("outlast/baseline").name


@pytest.fixture(params=LAYERS)
def layer(request):
    return request.param


@pytest.fixture
def inner():
    return Inner()


@pytest.fixture
def lm(layer, inner):
    return LAYERS[layer](inner)


def unqueued(response: Response) -> Response:
    return dataclasses.replace(response, queued_seconds=0.0)


def test_a_blocking_answer_passes_unchanged(lm, inner):
    request = Request((user("hi"),), questions=(("sure", Question("yes_no", "Sure?")),), sample=3)
    with running(blocking=True):
        response = drive(lm.complete(request))
    assert unqueued(response) == ANSWER
    assert inner.seen == [request]
    assert inner.open == 0


async def test_an_awaited_answer_passes_unchanged(lm, inner):
    assert unqueued(await lm.acall("hi")) == ANSWER
    assert inner.open == 0


def test_a_stream_passes_piece_by_piece_in_blocking_code(lm, inner):
    events = list(lm.events("hi"))
    assert events[:2] == [TextDelta("yes "), TextDelta("and no")]
    assert unqueued(events[2].response) == ANSWER
    assert (len(events), inner.open) == (3, 0)


async def test_a_stream_passes_piece_by_piece_in_async_code(lm, inner):
    events = [event async for event in lm.events("hi")]
    assert events[:2] == [TextDelta("yes "), TextDelta("and no")]
    assert unqueued(events[2].response) == ANSWER
    assert inner.open == 0


async def test_the_first_piece_comes_before_the_last_is_made(lm, inner):
    started = time.perf_counter()
    async with lm.events("slowly9") as events:
        async for event in events:
            assert event == TextDelta("yes ")
            break
    assert time.perf_counter() - started < 8
    assert inner.open == 0


def test_an_error_passes(lm, inner):
    with pytest.raises(LMRequestError, match="told to refuse"):
        lm("refuse")
    with pytest.raises(LMRequestError):
        list(lm.events("refuse"))
    assert inner.open == 0


async def test_an_error_in_the_middle_of_a_stream_goes_out_and_nothing_is_said_twice(lm, inner):
    said: list[StreamEvent] = []

    async def read() -> None:
        async for event in lm.events("break"):
            said.append(event)

    with pytest.raises(LMServerError, match="broke in the middle"):
        await read()
    assert said == [TextDelta("yes ")]
    assert len(inner.seen) == 1
    assert inner.open == 0


async def test_a_cancelled_call_lets_go_of_everything(lm, inner):
    for prompt in ("wait30", "slowly30"):
        call = asyncio.ensure_future(lm.acall(prompt))
        await asyncio.sleep(0.02)
        assert inner.open == 1
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert inner.open == 0
    assert unqueued(await lm.acall("hi")) == ANSWER


def test_a_blocking_stream_that_is_left_early_lets_go_of_everything(lm, inner):
    with lm.events("slowly30") as events:
        for event in events:
            assert event == TextDelta("yes ")
            break
    assert inner.open == 0
    assert unqueued(lm("hi")) == ANSWER


async def test_random_cancellations_leak_no_slot(layer):
    inner = Inner()
    lm = {
        **LAYERS,
        "Limited": lambda inner: ol.Limited(inner, 3),
        "AdaptiveLimited": lambda inner: ol.AdaptiveLimited(inner, 3, most=3),
        "Hedged": lambda inner: ol.Hedged(inner, after=0.004, budget=1.0),
    }[layer](inner)
    rng = random.Random(layer)

    async def once(number: int) -> None:
        prompt = rng.choice(["hi", "wait0.005", "slowly0.005", "refuse", "break"])
        try:
            async with asyncio.timeout(rng.choice([0, 0.002, 0.006, 5])):
                if number % 2:
                    await lm.acall(prompt)
                else:
                    async for _ in lm.events(prompt):
                        if rng.random() < 0.3:
                            break
        except (TimeoutError, LMRequestError, LMServerError):
            return

    for _ in range(4):
        await asyncio.gather(*(once(number) for number in range(60)))
    for _ in range(50):  # a generator that was left open is closed by the loop a little later
        await asyncio.sleep(0.002)
    assert inner.open == 0
    for fact in lm.info()[0].facts.items():
        assert fact[0] not in ("in_flight", "waiting") or not fact[1], fact
    assert unqueued(await asyncio.wait_for(lm.acall("hi"), 60)).text == ANSWER.text


def test_threads_and_loops_share_it(layer):
    inner = Inner()
    lm = LAYERS[layer](inner)
    answers: list[Response] = []

    def blocking() -> None:
        answers.append(lm("wait0.002"))
        answers.append(list(lm.events("hi"))[-1].response)

    def looping() -> None:
        async def several() -> None:
            answers.extend(await asyncio.gather(*(lm.acall("wait0.002") for _ in range(10))))

        asyncio.run(several())

    threads = [threading.Thread(target=target, daemon=True) for target in [blocking] * 6 + [looping] * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(answers) == 42
    assert {unqueued(answer) for answer in answers} == {ANSWER}
    assert inner.open == 0


def test_it_says_what_it_is_and_holds_no_secret(layer, lm):
    kinds = [told.kind for told in lm.info()]
    assert kinds[0] == layer
    assert "Inner" in kinds
    assert lm.info()[0].facts
    assert layer in repr(lm)
    assert "inner" in lm.name
    assert lm.capabilities.json_object
    assert lm.capabilities.without == {"seed"}
    shown = f"{lm!r} {lm.info()} {lm.identity} {lm.name}"
    assert SECRET not in shown


def test_a_pickle_and_a_copy_are_new_ones_of_the_same_kind(layer, lm):
    lm("hi")
    for other in (pickle.loads(pickle.dumps(lm)), copy.copy(lm), copy.deepcopy(lm)):
        assert type(other) is type(lm)
        assert (repr(other), other.identity) == (repr(lm), lm.identity)
        assert unqueued(other("hi")) == ANSWER


def test_the_identity_is_that_of_the_models_within(layer, lm, inner):
    if isinstance(lm, Wrapper) or layer == "Balanced":
        assert lm.identity == inner.identity
    else:
        assert inner.identity in lm.identity
        assert lm.identity != inner.identity


def test_its_cost_is_small(layer):
    class Instant(LM):
        blocking_safe = True
        name = "instant"

        async def complete(self, request):
            return ANSWER

    async def cost(lm: LM) -> float:
        request = Request((user("x"),))
        best = 1.0
        for _ in range(5):
            started = time.process_time()
            for _ in range(300):
                await lm.complete(request)
            best = min(best, (time.process_time() - started) / 300)
        return best

    with running(blocking=False):
        bare, wrapped = asyncio.run(cost(Instant())), asyncio.run(cost(LAYERS[layer](Instant())))
    allowed = {"Hedged": 400e-6, "RateLimited": 150e-6, "Timeout": 100e-6}.get(layer, 60e-6)
    assert wrapped - bare < allowed


def test_it_works_in_a_loop_that_visits(lm, inner):
    async def use() -> list[str]:
        pieces = [event.text for event in [event async for event in lm.events("hi")][:2]]
        async with lm.events("slowly30") as events:
            async for _ in events:
                break
        return [*pieces, (await lm.acall("wait0.01")).text]

    assert run_blocking(use, visiting=True) == ["yes ", "and no", "yes and no"]
    for _ in range(100):
        if not inner.open:
            break
        time.sleep(0.01)
    assert inner.open == 0


async def test_a_budget_counts_every_call_that_reached_a_model(layer):
    inner = Inner()
    lm = {**LAYERS, "Hedged": lambda inner: ol.Hedged(inner, after=0.02)}[layer](inner)
    meter = Meter(calls=10)
    with running(meter=meter):
        await lm.acall("wait0.06")
        [event async for event in lm.events("hi")]
    assert meter.used("calls") == len(inner.seen) == (3 if layer == "Hedged" else 2)
    assert meter.used("dollars") >= 0.5 * 2
    assert meter.left("calls") == 10 - len(inner.seen)


async def test_a_budget_stops_it_before_the_call(lm, inner):
    with running(meter=Meter(calls=1)):
        await lm.acall("hi")
        with pytest.raises(BudgetExceeded):
            await lm.acall("hi")
    assert len(inner.seen) == 1

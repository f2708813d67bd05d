"""Hedging: when a second request goes, who wins, what it costs, and that no more is sent than allowed."""

from __future__ import annotations

import asyncio
import time

import pytest

import outlast as ol
from outlast.errors import ConfigError, LMServerError
from outlast.lms.layers.hedge import Hedged
from outlast.lms.protocol import LM
from outlast.messages import Finished, Response, Settings, TextDelta, Usage
from outlast.runtime import sleep
from outlast.testing.server import FakeServer


class Uneven(LM):
    """Takes so many seconds for each call in turn, the last for all others; a negative time fails after it."""

    blocking_safe = True
    name = "uneven"

    def __init__(self, *seconds: float) -> None:
        self.seconds = list(seconds)
        self.calls = self.open = self.cancelled = 0

    async def complete(self, request):
        seconds = self._next()
        try:
            await sleep(abs(seconds))
            if seconds < 0:
                raise LMServerError(f"failed after {-seconds}")
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.open -= 1
        return Response(text=str(seconds), usage=Usage(10, 5, cost=0.25, cost_source="list"))

    async def stream(self, request):
        seconds = self._next()
        try:
            await sleep(seconds)
            yield TextDelta(f"{seconds} ")
            await sleep(0.01)
            yield TextDelta("end")
            yield Finished(Response(text=f"{seconds} end", usage=Usage(10, 5)))
        finally:
            self.open -= 1

    def _next(self) -> float:
        self.calls += 1
        self.open += 1
        return self.seconds.pop(0) if len(self.seconds) > 1 else self.seconds[0]


def test_a_slow_call_is_overtaken_in_blocking_code():
    inner = Uneven(20, 0.01)
    started = time.monotonic()
    response = Hedged(inner, after=0.05)("hi")
    assert time.monotonic() - started < 12
    assert response.text == "0.01"
    assert response.usage == Usage(20, 10, cost=0.5, cost_source="list, counted twice")
    assert response.attempts == 2
    assert response.adaptations == ("hedged: asked twice after 0.05 s, the second answered first",)
    assert (inner.calls, inner.open, inner.cancelled) == (2, 0, 1)


async def test_the_first_may_still_win_and_the_second_is_cancelled():
    inner = Uneven(0.1, 20)
    lm = Hedged(inner, after=0.02)
    response = await lm.acall("hi")
    assert response.text == "0.1"
    assert "the first answered first" in response.adaptations[0]
    assert response.usage.input_tokens == 20
    assert (inner.calls, inner.open, inner.cancelled) == (2, 0, 1)
    assert lm.facts() == {"after": 0.02, "after_seconds": 0.02, "budget": 0.05, "calls": 1, "hedged": 1, "won": 0}


async def test_a_fast_call_is_asked_once():
    inner = Uneven(0.001)
    response = await Hedged(inner, after=5.0).acall("hi")
    assert (response.attempts, response.adaptations, response.usage.input_tokens, inner.calls) == (1, (), 10, 1)


async def test_when_one_fails_the_other_is_waited_for_and_when_both_fail_the_first_error_goes_out():
    assert (await Hedged(Uneven(-0.05, 0.1), after=0.02).acall("hi")).text == "0.1"
    assert (await Hedged(Uneven(0.1, -0.02), after=0.02).acall("hi")).text == "0.1"
    inner = Uneven(-0.06, -0.07)
    with pytest.raises(LMServerError, match="0.06"):
        await Hedged(inner, after=0.02).acall("hi")
    assert inner.open == 0
    quick = Uneven(-0.001, 0.001)
    with pytest.raises(LMServerError):  # a failure is no slowness
        await Hedged(quick, after=1.0).acall("hi")
    assert quick.calls == 1


async def test_no_more_is_sent_than_the_budget():
    inner = Uneven(0.02)
    lm = Hedged(inner, after=0.001, budget=0.1)
    for _ in range(10):
        await asyncio.gather(*(lm.acall("hi") for _ in range(20)))
    assert 200 + 15 <= inner.calls <= 200 + 5 + 20


async def test_a_percentile_is_learned_before_anything_is_hedged():
    inner = Uneven(0.002)
    lm = Hedged(inner, after="p90", budget=1.0)
    for _ in range(19):
        await lm.acall("hi")
    assert lm.facts()["after_seconds"] is None
    for _ in range(30):
        await lm.acall("hi")
    assert 0.002 < lm.facts()["after_seconds"] < 0.1
    before = inner.calls
    inner.seconds = [5.0, 0.002]
    assert (await lm.acall("hi")).text == "0.002"
    assert inner.calls == before + 2


async def test_slow_tiers_are_never_hedged():
    inner = Uneven(0.05)
    lm = Hedged(inner, after=0.001)
    await lm.acall("hi", tier="flex")
    assert inner.calls == 1
    await lm.acall("hi", tier="default")
    assert inner.calls == 3
    inner.settings = Settings(tier="batch")
    flex = Hedged(ol.Limited(inner), after=0.001)
    await flex.acall("hi")
    assert inner.calls == 4


async def test_a_stream_is_hedged_until_its_first_piece():
    inner = Uneven(20, 0.01)
    lm = Hedged(inner, after=0.05)
    events = [event async for event in lm.events("hi")]
    assert [event.text for event in events[:2]] == ["0.01 ", "end"]
    assert events[2].response.usage == Usage(20, 10)
    assert inner.open == 0


def test_a_stream_is_hedged_in_blocking_code():
    inner = Uneven(20, 0.01)
    events = list(Hedged(inner, after=0.05).events("hi"))
    assert [event.text for event in events[:2]] == ["0.01 ", "end"]
    assert "second answered first" in events[2].response.adaptations[0]
    assert inner.open == 0


async def test_both_streams_begun_at_once_leave_one_open_only_for_its_reader():
    inner = Uneven(0.02)
    async with Hedged(inner, after=0.0199, budget=1.0).events("hi") as events:
        async for _ in events:
            await asyncio.sleep(0.03)
            assert inner.open == 1
            break
    assert inner.open == 0


def test_streams_of_a_real_server_in_blocking_code():
    with FakeServer("one two three") as server:
        lm = Hedged(ol.LM("m", base_url=server.url, cache=False, retries=0), after=5.0)
        events = list(lm.events("hi"))
        assert events[-1].response.text == "one two three"
        with lm.events("hi") as left:
            for _ in left:
                break
        assert lm("hi").text == "one two three"


async def test_cancelling_gives_up_both():
    inner = Uneven(20)
    call = asyncio.ensure_future(Hedged(inner, after=0.01).acall("hi"))
    await asyncio.sleep(0.05)
    assert inner.open == 2
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert (inner.open, inner.cancelled) == (0, 2)


async def test_without_budget_nothing_is_hedged():
    inner = Uneven(0.02)
    await Hedged(inner, after=0.001, budget=0).acall("hi")
    assert inner.calls == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"after": 0},
        {"after": "95"},
        {"after": "p49"},
        {"after": "p100"},
        {"after": "p9x"},
        {"budget": 2},
        {"budget": -1},
    ],
)
def test_options_are_checked(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Hedged(Uneven(0), **wrong)

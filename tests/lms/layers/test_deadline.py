"""Timeouts: in blocking and async code, whole answers and streams, first tokens, and sockets that are closed."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

import outlast as ol
from outlast.errors import ConfigError, LMServerError, LMTimeout
from outlast.lms.layers.deadline import Expired, Timeout, within
from outlast.lms.layers.retry import Retrying
from outlast.lms.protocol import LM
from outlast.messages import Finished, Response, TextDelta
from outlast.runtime import drive, gather, io, running, sleep
from outlast.testing.server import FakeServer


class Slow(LM):
    """Says three pieces, each after some seconds. `kept` waits on the event loop, the others the way they are asked."""

    name = "slow"

    def __init__(self, *seconds: float, safe: bool = True) -> None:
        self.seconds = seconds
        self.blocking_safe = safe
        self.open = 0

    async def complete(self, request):
        self.open += 1
        try:
            await sleep(sum(self.seconds))
        finally:
            self.open -= 1
        return Response(text="whole")

    async def stream(self, request):
        self.open += 1
        try:
            for number, seconds in enumerate(self.seconds):
                await sleep(seconds)
                yield TextDelta(str(number))
            yield Finished(Response(text="whole"))
        finally:
            self.open -= 1


@pytest.mark.parametrize("safe", [True, False])
def test_a_blocking_call_that_takes_too_long_is_given_up(safe):
    slow = Slow(20, safe=safe)
    started = time.monotonic()
    with pytest.raises(LMTimeout, match=r"slow: no answer within 0.1 s; the call was given up") as caught:
        Timeout(slow, 0.1)("hi")
    assert time.monotonic() - started < 12
    assert caught.value.retryable
    assert caught.value.request.messages[0].text == "hi"
    time.sleep(0.05)
    assert slow.open == 0


async def test_an_awaited_call_that_takes_too_long_is_given_up():
    slow = Slow(20)
    lm = Timeout(slow, 0.05)
    with pytest.raises(LMTimeout, match=r"within 0.05 s"):
        await lm.acall("hi")
    assert slow.open == 0
    assert lm.facts() == {"seconds": 0.05, "first_token": None, "given_up": 1}


def test_a_call_in_time_is_left_alone():
    lm = Timeout(Slow(0.01), 5)
    assert lm("hi").text == "whole"
    assert asyncio.run(lm.acall("hi")).text == "whole"


def said(lm: LM) -> list[str]:
    pieces: list[str] = []
    try:
        for event in lm.events("hi"):
            pieces.append(event.text if isinstance(event, TextDelta) else "end")
    except LMTimeout as error:
        pieces.append(str(error))
    return pieces


async def said_async(lm: LM) -> list[str]:
    pieces: list[str] = []
    try:
        async for event in lm.events("hi"):
            pieces.append(event.text if isinstance(event, TextDelta) else "end")
    except LMTimeout as error:
        pieces.append(str(error))
    return pieces


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ((0, 0, 0), ["0", "1", "2", "end"]),
        ((20, 0, 0), ["slow: no first token within 0.1 s; the call was given up"]),
        ((0, 20, 0), ["0", "slow: no whole answer within 0.3 s; the call was given up"]),
        ((0, 0.15, 0), ["0", "1", "2", "end"]),
    ],
)
async def test_streams_have_a_time_for_the_first_piece_and_one_for_all(seconds, expected):
    slow = Slow(*seconds)
    lm = Timeout(slow, 0.3, first_token=0.1)
    assert await said_async(lm) == expected
    assert slow.open == 0
    assert await asyncio.to_thread(said, lm) == expected
    assert slow.open == 0


async def test_a_slow_reader_costs_the_model_no_time():
    async for _ in Timeout(Slow(0, 0, 0), 0.1).events("hi"):
        await asyncio.sleep(0.06)


def test_the_socket_of_a_call_that_was_given_up_is_closed():
    with FakeServer("late", latency=5.0) as server:
        lm = Timeout(ol.LM("m", base_url=server.url, cache=False, retries=0), 0.2)
        with pytest.raises(LMTimeout):
            lm("hi")
        for _ in range(100):
            if not server.in_flight:
                break
            time.sleep(0.01)
        assert server.in_flight == 0


def test_inside_a_retry_each_try_has_its_own_time_and_around_it_all_have_one():
    class Warming(Slow):
        async def complete(self, request):
            self.seconds = (self.seconds[0] / 4,)
            return await super().complete(request)

    assert Retrying(Timeout(Warming(4.0), 0.2), base=0.0)("hi").attempts == 3
    with pytest.raises(LMTimeout, match="0.3 s"):
        Timeout(Retrying(Timeout(Slow(20), 0.1), 50, base=0.0), 0.3)("hi")


def test_a_timeout_of_the_model_itself_is_not_taken_for_ours():
    class Own(LM):
        name = "own"
        blocking_safe = True

        async def complete(self, request):
            raise LMTimeout("the socket's own")

    with pytest.raises(LMTimeout, match="the socket's own"):
        Timeout(Own(), 5)("hi")
    with pytest.raises(LMTimeout, match="the socket's own"):
        asyncio.run(Timeout(Own(), 5).acall("hi"))


async def test_cancelling_from_outside_is_no_timeout():
    call = asyncio.ensure_future(Timeout(Slow(20), 10).acall("hi"))
    await asyncio.sleep(0.02)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


def test_a_sibling_that_fails_gives_up_a_blocking_call_at_once():
    class Failing(LM):
        name = "failing"
        blocking_safe = True

        async def complete(self, request):
            await sleep(0.05)
            raise LMServerError("told to")

    started = time.monotonic()
    with running(blocking=True), pytest.raises(LMServerError):
        drive(gather(Timeout(Slow(20), 15).acall("a"), Failing().acall("b")))
    assert time.monotonic() - started < 12


def test_timers_do_not_pile_up():
    lm = Timeout(Slow(0), 60)
    before = threading.active_count()
    for _ in range(200):
        lm("hi")

    async def tasks() -> int:
        return len(asyncio.all_tasks())

    with running(blocking=True):
        drive(sleep(0.05))
        assert drive(io(tasks())) <= 2
    assert threading.active_count() <= before + 1


async def test_no_time_at_all_is_up_at_once():
    with pytest.raises(Expired):
        await within(0, sleep(1))


@pytest.mark.parametrize(
    "wrong", [{"seconds": 0}, {"seconds": True}, {"seconds": float("inf")}, {"seconds": 1, "first_token": -1}]
)
def test_options_are_checked(wrong):
    with pytest.raises(ConfigError, match=list(wrong)[-1]):
        Timeout(Slow(), **wrong)

"""The cap that finds its own height: the rule by numbers, and against servers with a capacity of their own."""

from __future__ import annotations

import asyncio

import pytest

import outlast as ol
from outlast.errors import ConfigError, LMRateLimited, LMServerError
from outlast.lms.layers.adaptive import AdaptiveLimited, Climb
from outlast.lms.protocol import LM
from outlast.messages import Response, Usage
from outlast.runtime import sleep
from outlast.testing.server import FakeServer, Fault


def good_round(climb: Climb, now: float, seconds: float | None = 0.01, share: float = 1.0) -> None:
    for _ in range(climb.cap):
        climb.ended("fine", seconds, max(1, int(climb.cap * share)), now, now)


def test_it_doubles_until_the_first_trouble_and_then_grows_by_a_twentieth():
    climb = Climb(8, 1, 1000)
    for _ in range(3):
        good_round(climb, 0.0)
    assert climb.cap == 64
    climb.ended("overloaded", None, 64, 10.0, 10.0)
    assert climb.cap == 48
    caps = []
    for _ in range(4):
        good_round(climb, 11.0)
        caps.append(climb.cap)
    assert caps == [50, 52, 55, 58]
    good_round(climb, 12.0)
    good_round(climb, 13.0)
    assert climb.cap == 60  # 95% of what was too much
    good_round(climb, 39.0)
    assert climb.cap == 60
    good_round(climb, 40.0)
    assert climb.cap == 63  # by now more may be possible
    assert [change.why for change in climb.changes] == ["doubled"] * 3 + ["overloaded"] + ["raised"] * 6


def test_a_small_cap_grows_by_one():
    climb = Climb(2, 1, 10)
    climb.ended("overloaded", None, 2, 0.0, 0.0)
    assert climb.cap == 1
    good_round(climb, 31.0)
    assert climb.cap == 2


def test_one_overload_is_one_step_however_many_calls_tell_of_it():
    climb = Climb(100, 1, 100)
    for _ in range(40):
        climb.ended("overloaded", None, 100, 0.5, 1.0)
    assert climb.cap == 75
    climb.ended("overloaded", None, 75, 1.1, 1.2)  # this one began under the lower cap
    assert climb.cap == 56


def test_it_stays_within_its_bounds():
    climb = Climb(4, 3, 6)
    good_round(climb, 0.0)
    good_round(climb, 0.0)
    assert climb.cap == 6
    for number in range(1, 9):
        climb.ended("overloaded", None, 6, number * 10.0, number * 10.0)
    assert climb.cap == 3


def test_a_cap_that_nobody_reached_says_nothing():
    climb = Climb(10, 1, 100)
    for _ in range(5):
        good_round(climb, 0.0, share=0.7)
    assert climb.cap == 10
    good_round(climb, 0.0, share=0.8)
    assert climb.cap == 20


def test_a_failure_of_the_server_only_stops_growth():
    climb = Climb(10, 1, 100)
    climb.ended("failed", None, 10, 0.0, 0.0)
    good_round(climb, 0.0)
    assert climb.cap == 10
    good_round(climb, 0.0)
    assert climb.cap == 20


def test_slower_replies_lower_it_but_not_below_where_it_began():
    climb = Climb(10, 1, 1000)
    for _ in range(4):
        good_round(climb, 0.0)
    assert climb.cap == 160
    good_round(climb, 0.0, seconds=0.025)
    assert climb.cap == 144
    good_round(climb, 1.0, seconds=0.025)
    assert climb.cap == 144  # not so soon
    for number in range(2, 400):
        good_round(climb, number * 5.0, seconds=0.025 * 1.05**number)
    assert climb.cap >= 10


def test_the_history_does_not_grow():
    climb = Climb(1, 1, 1000)
    for number in range(1000):
        climb.ended("overloaded" if number % 3 == 0 else "fine", 0.01, 1000, number * 40.0, number * 40.0)
    assert len(climb.changes) <= 32


class Capacity(LM):
    """Takes `room` calls at once; one more is refused, or waits when it `queues`."""

    name = "capacity"
    blocking_safe = True

    def __init__(self, room: int, queues: bool = False, seconds: float = 0.004) -> None:
        self.room = room
        self.seconds = seconds
        self.gate = asyncio.Semaphore(room) if queues else None
        self.now = self.refused = self.calls = 0

    async def complete(self, request):
        self.calls += 1
        if self.gate is None and self.now >= self.room:
            self.refused += 1
            await sleep(self.seconds)
            raise LMRateLimited("too many at once", status=429)
        self.now += 1
        try:
            if self.gate is None:
                await sleep(self.seconds)
            else:
                async with self.gate:
                    await sleep(self.seconds)
        finally:
            self.now -= 1
        return Response(text="ok", usage=Usage(5, 10))


async def load(lm: LM, workers: int, calls: int) -> None:
    async def worker() -> None:
        for _ in range(calls):
            try:
                await lm.acall("hi")
            except LMRateLimited:
                await asyncio.sleep(0.005)

    await asyncio.gather(*(worker() for _ in range(workers)))


async def test_against_a_server_that_refuses_it_settles_near_its_capacity():
    server = Capacity(30)
    lm = AdaptiveLimited(server, 4, most=400)
    await load(lm, 100, 60)
    assert 20 <= lm.concurrency <= 30
    assert server.refused < 0.02 * server.calls
    assert lm.in_flight == 0
    assert lm.facts()["history"]


async def test_against_a_server_that_queues_it_does_not_grow_without_end(monkeypatch):
    from outlast.lms.layers import adaptive

    monkeypatch.setattr(adaptive, "_PAUSE", 0.05)
    lm = AdaptiveLimited(Capacity(8, queues=True, seconds=0.01), 4, most=512)
    await load(lm, 150, 20)
    assert lm.concurrency <= 40


async def test_longer_replies_are_no_slower_server():
    class Writer(LM):
        name = "writer"
        blocking_safe = True
        tokens = 10

        async def complete(self, request):
            await sleep(0.0002 * (50 + self.tokens))
            return Response(text="x", usage=Usage(1, self.tokens))

    lm = AdaptiveLimited(Writer(), 4, most=16)
    await load(lm, 16, 12)
    grown = lm.concurrency
    Writer.tokens = 400
    await load(lm, 16, 6)
    assert lm.concurrency >= grown


async def test_those_who_wait_go_on_when_it_grows_and_cancelled_ones_leave():
    server = Capacity(1000, seconds=0.01)
    lm = AdaptiveLimited(server, 1, most=64)
    calls = [asyncio.ensure_future(lm.acall("hi")) for _ in range(120)]
    await asyncio.sleep(0.005)
    for call in calls[50:60]:
        call.cancel()
    done = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 10)
    assert sum(isinstance(each, Response) for each in done) == 110
    assert (lm.in_flight, lm.facts()["waiting"]) == (0, 0)
    assert lm.concurrency > 8


def test_a_real_server_that_says_429_lowers_it():
    with FakeServer(Fault.error(429)) as server:
        lm = ol.LM("m", base_url=server.url, cache=False, retries=0, concurrency="adaptive")
        with pytest.raises(LMRateLimited):
            lm("hi")
        told = next(layer.facts for layer in lm.info() if layer.kind == "AdaptiveLimited")
    assert told["concurrency"] == 12
    assert told["history"][-1].why == "overloaded"


@pytest.mark.parametrize(
    ("error", "lowered"), [(LMServerError("x", status=503), True), (LMServerError("x", status=500), False)]
)
def test_what_counts_as_an_overload(error, lowered):
    class Failing(LM):
        name = "failing"
        blocking_safe = True

        async def complete(self, request):
            raise error

    lm = AdaptiveLimited(Failing(), 16)
    with pytest.raises(LMServerError):
        lm("hi")
    assert (lm.concurrency < 16) == lowered


@pytest.mark.parametrize(
    "wrong", [{"start": 0}, {"least": 0}, {"most": 1.5}, {"start": 8, "least": 9}, {"start": 8, "most": 7}]
)
def test_options_are_checked(wrong):
    with pytest.raises(ConfigError):
        AdaptiveLimited(Capacity(1), **wrong)
    with pytest.raises(ConfigError, match='a whole number from 1, or "adaptive"'):
        ol.LM("openai/m", concurrency="adaptiv")

"""The cap on calls in flight: threads, loops, both at once, and callers that go away."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time

import pytest

from outlast.errors import ConfigError, LMServerError
from outlast.lms.layers.limit import Limited
from outlast.lms.protocol import LM
from outlast.messages import Request, Response, user
from outlast.runtime import running, sleep


class Counting(LM):
    """Takes some time and notes how many calls were in it at once."""

    name = "counting"
    blocking_safe = True

    def __init__(self, seconds: float = 0.01) -> None:
        self.seconds = seconds
        self.lock = threading.Lock()
        self.now = self.most = self.calls = 0
        self.order: list[str] = []

    async def complete(self, request):
        with self.lock:
            self.now += 1
            self.calls += 1
            self.most = max(self.most, self.now)
            self.order.append(request.messages[-1].text)
        try:
            await sleep(self.seconds)
            if request.messages[-1].text == "fail":
                raise LMServerError("told to")
        finally:
            with self.lock:
                self.now -= 1
        return Response(text="ok")


def in_threads(count: int, call) -> list[threading.Thread]:
    threads = [threading.Thread(target=call, args=(number,), daemon=True) for number in range(count)]
    for thread in threads:
        thread.start()
    return threads


def join(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.join(timeout=10)
        assert not thread.is_alive(), "deadlock"


async def test_tasks_are_capped_and_served_in_order():
    inner = Counting()
    lm = Limited(inner, 3)
    await asyncio.gather(*(lm.acall(str(number)) for number in range(12)))
    assert (inner.most, inner.calls, lm.in_flight) == (3, 12, 0)
    assert inner.order == [str(number) for number in range(12)]


def test_threads_are_capped():
    inner = Counting()
    lm = Limited(inner, 3)
    join(in_threads(12, lambda number: lm(str(number))))
    assert (inner.most, inner.calls, lm.in_flight) == (3, 12, 0)


def test_threads_and_several_loops_share_one_cap():
    inner = Counting(0.005)
    lm = Limited(inner, 4)

    async def many() -> None:
        await asyncio.gather(*(lm.acall("task") for _ in range(10)))

    join(in_threads(3, lambda _: asyncio.run(many())) + in_threads(10, lambda _: lm("thread")))
    assert (inner.most, inner.calls, lm.in_flight) == (4, 40, 0)


async def test_failures_give_their_slot_back():
    lm = Limited(Counting(0), 1)
    for _ in range(5):
        with pytest.raises(LMServerError):
            await lm.acall("fail")
    assert (await lm.acall("ok")).text == "ok"
    assert lm.in_flight == 0


async def test_cancelled_calls_give_their_slot_or_place_back():
    inner = Counting(0.05)
    lm = Limited(inner, 2)
    calls = [asyncio.ensure_future(lm.acall(str(number))) for number in range(8)]
    await asyncio.sleep(0.01)
    for number in (0, 3, 4):  # one that runs, two that wait
        calls[number].cancel()
    results = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 60)
    assert sum(isinstance(result, Response) for result in results) == 5
    assert inner.most == 2
    assert lm.in_flight == 0


async def test_a_call_cancelled_at_the_moment_it_is_woken_hands_its_slot_on():
    lm = Limited(Counting(0.01), 1)
    first = asyncio.ensure_future(lm.acall("first"))
    await asyncio.sleep(0)
    second = asyncio.ensure_future(lm.acall("second"))
    third = asyncio.ensure_future(lm.acall("third"))
    first.add_done_callback(lambda _: second.cancel())  # runs after `second` was woken and before it goes on
    assert (await asyncio.wait_for(third, 60)).text == "ok"
    with pytest.raises(asyncio.CancelledError):
        await second
    assert lm.in_flight == 0


def test_a_loop_that_ends_while_its_calls_wait_blocks_nobody():
    inner = Counting(0.2)
    lm = Limited(inner, 1)
    holder = in_threads(1, lambda _: lm("holder"))
    while not inner.now:
        time.sleep(0.001)

    async def give_up() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(lm.acall("impatient"), 0.02)

    asyncio.run(give_up())
    join(holder)
    assert lm("next").text == "ok"
    assert lm.in_flight == 0


def test_an_abandoned_call_gives_its_slot_back_when_it_is_collected():
    lm = Limited(Counting(10), 1)
    loop = asyncio.new_event_loop()

    async def start() -> None:
        with running(blocking=False):
            call = lm.complete(Request((user("x"),)))
            call.send(None)
            assert lm.in_flight == 1
            call.close()

    loop.run_until_complete(start())
    loop.close()
    gc.collect()
    assert lm.in_flight == 0


async def test_a_blocking_call_inside_a_running_loop_does_not_wait_for_that_loop():
    inner = Counting(0.02)
    lm = Limited(inner, 1)
    task = asyncio.ensure_future(lm.acall("task"))
    await asyncio.sleep(0.001)
    assert lm.in_flight == 1
    assert lm("from a notebook cell").text == "ok"
    await task
    assert lm.in_flight == 0


def test_an_uncontended_slot_costs_little():
    class Instant(LM):
        name = "instant"
        blocking_safe = True

        async def complete(self, request):
            return ANSWER

    ANSWER = Response(text="ok")

    async def cost(lm: LM) -> float:
        request = Request((user("x"),))
        best = 1.0
        for _ in range(5):
            started = time.process_time()
            for _ in range(2000):
                await lm.complete(request)
            best = min(best, (time.process_time() - started) / 2000)
        return best

    with running(blocking=False):
        bare, limited = asyncio.run(cost(Instant())), asyncio.run(cost(Limited(Instant(), 8)))
    assert limited - bare < 10e-6


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_starts_with_all_slots_free():
    inner = Counting(0.1)
    lm = Limited(inner, 1)
    holder = in_threads(1, lambda _: lm("parent"))
    while not inner.now:
        time.sleep(0.001)
    child = os.fork()
    if child == 0:
        inner.seconds, inner.lock = 0, threading.Lock()
        os._exit(0 if lm("child").text == "ok" else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    join(holder)


@pytest.mark.parametrize("concurrency", [0, -1, 1.5, True, "many"])
def test_the_cap_is_a_whole_number_from_one(concurrency):
    with pytest.raises(ConfigError, match="concurrency is a whole number from 1"):
        Limited(Counting(), concurrency)
    assert repr(Limited(Counting(), 7)) == "Limited(LM('counting'), concurrency=7)"

"""After a rate limit nobody of the queue sets out before the server said."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from outlast.errors import LMRateLimited
from outlast.lms.layers.adaptive import AdaptiveLimited
from outlast.lms.layers.limit import Limited
from outlast.lms.layers.retry import Retrying
from outlast.lms.protocol import LM
from outlast.messages import Request, Response, user
from outlast.runtime import sleep

WAIT = 0.4


class Busy(LM):
    """Refuses the first two calls and says how long to wait; notes when calls come."""

    name = "busy"
    blocking_safe = True

    def __init__(self, retry_after: float | None = WAIT) -> None:
        self.came: list[float] = []
        self.retry_after = retry_after

    async def complete(self, request: Request) -> Response:
        self.came.append(time.monotonic())
        place = len(self.came)
        await sleep(0.02)
        if place <= 2:
            raise LMRateLimited("too much", status=429, retry_after=self.retry_after)
        return Response("ok")


def within_the_rest(busy: Busy) -> int:
    return sum(0.03 < came - busy.came[0] < WAIT for came in busy.came)


@pytest.mark.parametrize("limited", [lambda lm: Limited(lm, 2), lambda lm: AdaptiveLimited(lm, 2, most=2)])
async def test_those_in_the_queue_wait_as_long_as_the_server_asked(limited):
    busy = Busy()
    lm = Retrying(limited(busy), 3)
    replies = await asyncio.gather(*(lm.complete(Request((user(str(n)),))) for n in range(10)))
    assert len(replies) == 10
    assert within_the_rest(busy) == 0
    assert len(busy.came) == 12


def test_threads_of_blocking_code_wait_too():
    busy = Busy()
    lm = Retrying(Limited(busy, 2), 3)
    threads = [threading.Thread(target=lambda: lm("hi")) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert within_the_rest(busy) == 0


async def test_a_server_that_does_not_say_or_asks_for_too_long_holds_nobody_up():
    for retry_after in (None, 3600.0):
        lm: Any = Limited(Busy(retry_after), 1)
        for _ in range(2):
            with pytest.raises(LMRateLimited):
                await lm.complete(Request((user("x"),)))
        began = time.monotonic()
        assert (await lm.complete(Request((user("x"),)))).text == "ok"
        assert time.monotonic() - began < 5


async def test_who_gives_up_while_resting_gives_the_slot_back():
    lm = Limited(Busy(5.0), 1)
    for _ in range(1):
        with pytest.raises(LMRateLimited):
            await lm.complete(Request((user("x"),)))
    task = asyncio.create_task(lm.complete(Request((user("y"),))))
    await asyncio.sleep(0.05)
    assert lm.in_flight == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert lm.in_flight == 0

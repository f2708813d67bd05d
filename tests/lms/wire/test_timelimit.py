"""One timer for many calls: each ends at its own time, and a cancelling of somebody else stays one."""

from __future__ import annotations

import asyncio
import time

import pytest

from outlast.lms.wire.timelimit import TimeLimit


async def nap(limit: TimeLimit, seconds: float) -> float:
    """How long a nap was, however it ended."""
    begun = time.perf_counter()
    try:
        with limit.watch():
            await asyncio.sleep(seconds)
    except TimeoutError:
        return begun - time.perf_counter()
    return time.perf_counter() - begun


async def test_what_takes_too_long_ends_and_what_does_not_goes_on():
    limit = TimeLimit(0.8)
    short, long = await asyncio.gather(nap(limit, 0.02), nap(limit, 5))
    assert 0.02 <= short < 0.8
    assert -4 < long <= -0.8


async def test_each_has_its_own_time_though_the_timer_is_one():
    limit = TimeLimit(1.0)

    async def later(wait: float) -> tuple[float, float]:
        await asyncio.sleep(wait)
        return wait, await nap(limit, 5)

    begun = time.perf_counter()
    ended = await asyncio.gather(*(later(number / 10) for number in range(11)))
    assert 2.0 <= time.perf_counter() - begun < 10
    assert all(-1.8 < took <= -1.0 for _, took in ended)


async def test_the_limit_can_be_used_again_when_nobody_is_left():
    limit = TimeLimit(0.05)
    for _ in range(3):
        assert await nap(limit, 0.01) > 0
        assert await nap(limit, 5) < 0
        await asyncio.sleep(0.06)  # the timer rings for nobody


async def test_a_cancelling_from_outside_stays_one_even_at_the_same_moment():
    limit = TimeLimit(0.05)
    for wait in (0.01, 0.05):
        task = asyncio.create_task(nap(limit, 5))
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_later(wait, task.cancel)
        ended = await asyncio.wait({task})
        assert task in ended[0]
        if wait < 0.05:
            assert task.cancelled()
    task = asyncio.create_task(nap(limit, 5))
    await asyncio.sleep(0)
    watch = next(iter(limit._watched))
    watch.expire()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_task_can_wait_again_after_its_time_was_up():
    limit = TimeLimit(0.02)
    assert await nap(limit, 5) < 0
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    async with asyncio.timeout(1):
        await asyncio.sleep(0.01)


async def test_an_error_within_is_not_hidden():
    limit = TimeLimit(5)
    with pytest.raises(KeyError):
        with limit.watch():
            raise KeyError("mine")
    assert not limit._watched

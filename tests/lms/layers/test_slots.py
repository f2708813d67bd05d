"""Slots: never more than there are, whoever takes them and however often their number changes."""

from __future__ import annotations

import asyncio
import random
import threading
import time

from outlast.lms.layers.slots import Slots
from outlast.runtime import drive, running


async def test_more_slots_let_those_who_wait_in_and_fewer_hold_back():
    slots = Slots(1)
    first = await slots.take()
    waiting = [asyncio.ensure_future(slots.take()) for _ in range(4)]
    await asyncio.sleep(0)
    assert (slots.taken, slots.waiting) == (1, 4)
    slots.resize(3)
    await asyncio.sleep(0)
    assert [call.done() for call in waiting] == [True, True, False, False]
    slots.resize(1)
    for token in (first, waiting[0].result()):
        slots.give(token)
    await asyncio.sleep(0)
    assert (slots.taken, slots.waiting) == (1, 2)
    slots.give(waiting[1].result())
    await asyncio.sleep(0)
    assert waiting[2].done()
    assert not waiting[3].done()
    waiting[3].cancel()
    slots.give(waiting[2].result())
    await asyncio.gather(*waiting, return_exceptions=True)
    assert (slots.taken, slots.waiting) == (0, 0)


async def test_nobody_overtakes_those_who_wait():
    slots = Slots(1)
    order: list[int] = []

    async def use(number: int) -> None:
        token = await slots.take()
        order.append(number)
        await asyncio.sleep(0)
        slots.give(token)

    await asyncio.gather(*(use(number) for number in range(20)))
    assert order == list(range(20))


def test_threads_and_tasks_with_cancellations_and_changes_leave_it_whole():
    slots, most, now, lock = Slots(4), 0, 0, threading.Lock()

    def held(change: int) -> None:
        nonlocal now, most
        with lock:
            now += change
            most = max(most, now)

    async def use(rng: random.Random) -> None:
        try:
            async with asyncio.timeout(rng.choice([0.001, 0.004, 1])):
                token = await slots.take()
                held(1)
                try:
                    await asyncio.sleep(rng.random() * 0.003)
                finally:
                    held(-1)
                    slots.give(token)
        except TimeoutError:
            return

    def in_tasks(seed: int) -> None:
        async def many() -> None:
            rng = random.Random(seed)
            with running(blocking=False):
                await asyncio.gather(*(use(rng) for _ in range(80)))

        asyncio.run(many())

    def in_thread(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(30):
            with running(blocking=True):
                token = drive(slots.take())
            held(1)
            time.sleep(rng.random() * 0.002)
            held(-1)
            slots.give(token)
            slots.resize(rng.randint(2, 6))

    threads = [
        threading.Thread(target=target, args=(n,), daemon=True) for n, target in enumerate([in_tasks, in_thread] * 3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    assert (slots.taken, slots.waiting) == (0, 0)
    assert 2 <= most <= 6

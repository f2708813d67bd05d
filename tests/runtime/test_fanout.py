"""`gather`: at the same time in tasks or in threads, with the same results, order, context and errors."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

import outlast as ol
from outlast.errors import UsageError
from outlast.runtime import current, drive, running

COLOUR: contextvars.ContextVar[str] = contextvars.ContextVar("colour", default="none")

Both = Callable[[Coroutine[Any, Any, Any]], Any]
both = pytest.mark.parametrize("run", [drive, asyncio.run], ids=["blocking", "async"])


async def after(seconds: float, value: Any) -> Any:
    await ol.sleep(seconds)
    return value


@both
def test_results_come_in_order_and_together(run: Both) -> None:
    started = time.perf_counter()
    assert run(ol.gather(*(after(0.5 - i * 0.1, i) for i in range(5)))) == (0, 1, 2, 3, 4)
    assert time.perf_counter() - started < 1.3  # 1.5 s one after another


@both
@pytest.mark.parametrize("n", [0, 1])
def test_few(run: Both, n: int) -> None:
    assert run(ol.gather(*(after(0, i) for i in range(n)))) == tuple(range(n))


@both
def test_no_more_than_the_limit_run_at_a_time(run: Both) -> None:
    lock = threading.Lock()
    now = most = 0

    async def one() -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        await ol.sleep(0.005)
        with lock:
            now -= 1

    run(ol.gather(*(one() for _ in range(12)), limit=3))
    assert most == 3


@both
def test_the_first_exception_is_raised_and_the_others_are_cancelled(run: Both) -> None:
    finished: list[int] = []

    async def slow(i: int) -> None:
        await ol.sleep(30)
        finished.append(i)

    async def fails() -> None:
        await ol.sleep(0.02)
        raise ValueError("first")

    started = time.perf_counter()
    with pytest.raises(ValueError, match="first"):
        run(ol.gather(slow(0), fails(), slow(1)))
    assert time.perf_counter() - started < 15
    assert finished == []


@both
def test_what_has_not_started_never_starts_and_python_does_not_warn(run: Both) -> None:
    started: list[int] = []

    async def one(i: int) -> None:
        started.append(i)
        raise ValueError(i)

    with pytest.raises(ValueError):
        run(ol.gather(*(one(i) for i in range(50)), limit=1))
    assert started == [0]  # an un-awaited coroutine would fail the test as a warning


@both
def test_children_see_the_context_and_keep_their_changes_to_themselves(run: Both) -> None:
    COLOUR.set("red")

    async def child(i: int) -> tuple[str, int]:
        seen = COLOUR.get()
        COLOUR.set(f"child {i}")
        return seen, current().sample

    async def parent() -> tuple[Any, ...]:
        with running(sample=5):
            found = await ol.gather(child(0), child(1), child(2))
        assert COLOUR.get() == "red"
        (alone,) = await ol.gather(child(3))
        assert COLOUR.get() == "red"
        return (*found, alone)

    assert run(parent()) == (("red", 5), ("red", 5), ("red", 5), ("red", 0))


@both
def test_gathers_nest(run: Both) -> None:
    async def inner(i: int) -> Any:
        return await ol.gather(*(after(0.01, (i, j)) for j in range(4)), limit=2)

    found = run(ol.gather(*(inner(i) for i in range(4)), limit=2))
    assert found == tuple(tuple((i, j) for j in range(4)) for i in range(4))


@both
def test_a_failure_ends_nested_gathers_too(run: Both) -> None:
    async def inner() -> None:
        await ol.gather(ol.sleep(30), ol.sleep(30))

    async def fails() -> None:
        await ol.sleep(0.02)
        raise ValueError("outer")

    started = time.perf_counter()
    with pytest.raises(ValueError, match="outer"):
        run(ol.gather(inner(), fails(), inner()))
    assert time.perf_counter() - started < 15


@both
@pytest.mark.parametrize("limit", [0, -1, 1.5, True])
def test_a_limit_is_a_whole_number(run: Both, limit: Any) -> None:
    with pytest.raises(UsageError, match="whole number"):
        run(ol.gather(limit=limit))


def test_what_is_not_awaitable_is_refused() -> None:
    gather: Any = ol.gather
    with pytest.raises(UsageError, match="awaitables"):
        drive(gather(3))


def test_a_thread_that_cannot_be_stopped_does_not_hold_up_the_failure() -> None:
    release = threading.Event()

    async def stuck() -> None:
        release.wait(20)

    async def fails() -> None:
        await ol.sleep(0.02)
        raise ValueError("fails")

    started = time.perf_counter()
    with pytest.raises(ValueError, match="fails"):
        drive(ol.gather(stuck(), fails()))
    assert time.perf_counter() - started < 15
    release.set()


def test_threads_are_used_again() -> None:
    names: set[str] = set()

    async def one() -> None:
        names.add(str(threading.get_ident()))
        await ol.sleep(0.002)

    for _ in range(20):
        drive(ol.gather(*(one() for _ in range(4))))
    assert len(names) < 20  # 80 pieces of work

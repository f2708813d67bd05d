"""Coroutines with and without an event loop: one implementation, waiting the way its caller waits."""

from __future__ import annotations

import asyncio
import contextvars
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

import outlast as ol
from outlast.errors import OutlastError
from outlast.runtime import (
    Scope,
    blocking,
    current,
    drive,
    enter,
    in_thread,
    io,
    leave,
    run_blocking,
    run_on_io_loop,
    running,
)
from outlast.runtime.driving import GRACE

COLOUR: contextvars.ContextVar[str] = contextvars.ContextVar("colour", default="none")


async def needs_a_loop() -> str:
    await asyncio.sleep(0)
    return f"{threading.current_thread().name} {COLOUR.get()}"


def press_ctrl_c(after: float) -> threading.Timer:
    """A real SIGINT for the main thread."""
    timer = threading.Timer(after, os.kill, (os.getpid(), signal.SIGINT))
    timer.daemon = True
    timer.start()
    return timer


def test_drive_gives_the_result_or_the_exception() -> None:
    async def fine() -> int:
        return 3

    async def fails() -> None:
        raise ValueError("no")

    assert drive(fine()) == 3
    with pytest.raises(ValueError, match="no"):
        drive(fails())


def test_drive_refuses_what_waits_for_a_loop_and_says_what_to_do() -> None:
    closed: list[str] = []

    async def waits() -> None:
        try:
            await asyncio.Future(loop=loop)
        finally:
            closed.append("closed")

    loop = asyncio.new_event_loop()
    try:
        with pytest.raises(OutlastError, match=r"outlast\.io"):
            drive(waits())
    finally:
        loop.close()
    assert closed == ["closed"]


def test_io_goes_to_the_shared_loop_in_a_blocking_call_and_keeps_the_context() -> None:
    COLOUR.set("red")
    assert drive(io(needs_a_loop())) == "outlast-io red"


async def test_io_is_a_plain_await_in_an_async_call() -> None:
    assert (await io(needs_a_loop())).startswith("MainThread")


def test_io_of_a_visiting_loop_goes_to_the_shared_loop() -> None:
    assert run_blocking(lambda: io(needs_a_loop()), visiting=True).startswith("outlast-io")
    assert run_blocking(lambda: io(needs_a_loop())).startswith("MainThread")


def test_blocking_says_how_the_current_code_waits() -> None:
    seen: list[bool] = []

    async def look() -> None:
        seen.append(blocking())

    drive(look())
    asyncio.run(look())
    run_on_io_loop(look())
    run_blocking(look)
    asyncio.run(in_thread_look(seen))
    assert seen == [True, False, False, False, True]


async def in_thread_look(seen: list[bool]) -> None:
    await in_thread(lambda: seen.append(blocking()))


async def test_a_blocking_call_under_a_running_loop_blocks_and_code_of_another_loop_does_not() -> None:
    loop = asyncio.get_running_loop()
    with running(blocking=True, loop=loop):
        assert blocking()
    with running(blocking=True, loop=None):  # blocking code that started a loop of its own
        assert not blocking()


async def test_the_io_loop_never_waits_for_itself() -> None:
    async def inside() -> str:
        with pytest.raises(OutlastError, match="async form"):
            run_on_io_loop(needs_a_loop())
        return "fine"

    assert await asyncio.to_thread(run_on_io_loop, inside()) == "fine"


def test_an_exception_of_the_io_loop_arrives() -> None:
    async def fails() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        drive(io(fails()))


@pytest.mark.parametrize("seconds", [0.02, 0, -1])
def test_sleep_waits_both_ways(seconds: float) -> None:
    for run in (drive, asyncio.run):
        started = time.perf_counter()
        run(ol.sleep(seconds))
        assert max(seconds, 0) <= time.perf_counter() - started < 10


def test_run_blocking_leaves_the_event_loop_of_the_script_alone() -> None:
    mine = asyncio.new_event_loop()
    asyncio.set_event_loop(mine)
    try:
        run_blocking(needs_a_loop)
        assert asyncio.get_event_loop() is mine
    finally:
        asyncio.set_event_loop(None)
        mine.close()


async def test_run_blocking_works_in_a_thread_whose_loop_is_running() -> None:
    COLOUR.set("green")
    assert run_blocking(needs_a_loop) == "outlast green"


@pytest.mark.parametrize(
    "wait",
    [
        pytest.param(lambda: drive(io(asyncio.sleep(30))), id="io"),
        pytest.param(lambda: drive(ol.sleep(30)), id="sleep"),
        pytest.param(lambda: run_blocking(lambda: asyncio.sleep(30)), id="own loop"),
        pytest.param(lambda: run_blocking(lambda: io(asyncio.sleep(30)), visiting=True), id="visiting loop"),
        pytest.param(lambda: drive(ol.gather(*(io(asyncio.sleep(30)) for _ in range(3)))), id="gather io"),
        pytest.param(lambda: drive(ol.gather(*(ol.sleep(30) for _ in range(3)))), id="gather sleep"),
    ],
)
def test_ctrl_c_ends_a_blocking_call_at_once(wait: Callable[[], Any]) -> None:
    timer = press_ctrl_c(0.05)
    started = time.perf_counter()
    try:
        with pytest.raises(KeyboardInterrupt):
            wait()
    finally:
        timer.cancel()
    assert time.perf_counter() - started < GRACE


def test_ctrl_c_cancels_what_runs_on_the_io_loop() -> None:
    cancelled = threading.Event()

    async def slow() -> None:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    timer = press_ctrl_c(0.05)
    with pytest.raises(KeyboardInterrupt):
        run_on_io_loop(slow())
    timer.cancel()
    assert cancelled.wait(30)


async def test_ctrl_c_ends_a_blocking_call_in_a_notebook() -> None:
    timer = press_ctrl_c(0.05)
    started = time.perf_counter()
    loop = asyncio.get_running_loop()
    loop_handler = signal.signal(signal.SIGINT, signal.default_int_handler)  # as IPython has it in a cell
    try:
        with pytest.raises(KeyboardInterrupt):
            run_blocking(lambda: asyncio.sleep(30))
    finally:
        signal.signal(signal.SIGINT, loop_handler)
        timer.cancel()
    assert loop.is_running()
    assert time.perf_counter() - started < GRACE


def test_a_scope_gives_up_what_is_held_now_and_later() -> None:
    class Thing:
        cancelled = 0

        def cancel(self) -> None:
            self.cancelled += 1

    first, inner, late, gone = Thing(), Thing(), Thing(), Thing()
    with Scope(None) as outer:
        outer.hold(first)
        outer.hold(gone)
        outer.release(gone)
        with Scope(outer) as scope:
            scope.hold(inner)
            outer.cancel()
        outer.hold(late)
    assert (first.cancelled, inner.cancelled, late.cancelled, gone.cancelled) == (1, 1, 1, 0)


def test_a_scope_that_is_given_up_ends_blocking_waits_at_once() -> None:
    async def work() -> None:
        await ol.sleep(30)

    for wait in (work, lambda: io(asyncio.sleep(30)), lambda: ol.gather(work(), work())):
        with Scope(None) as scope, running(scope=scope):
            threading.Timer(0.02, scope.cancel).start()
            started = time.perf_counter()
            with pytest.raises(asyncio.CancelledError):
                drive(wait())
        assert time.perf_counter() - started < GRACE


async def test_blocking_code_in_a_thread_ends_when_its_task_is_cancelled() -> None:
    ended: list[type[BaseException]] = []
    done = threading.Event()

    def work() -> None:
        try:
            drive(ol.sleep(30))
        except BaseException as error:
            ended.append(type(error))
            raise
        finally:
            done.set()

    task = asyncio.ensure_future(in_thread(work))
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done.wait(30)
    assert ended == [asyncio.CancelledError]


async def test_nested_threads_cannot_starve_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("outlast.runtime.driving._MOST_THREADS", 4)
    together = threading.Barrier(4, timeout=30)

    def outer() -> int:
        together.wait()  # all turns are taken
        return run_blocking(lambda: in_thread(lambda: 1), visiting=True)

    assert sum(await asyncio.gather(*(in_thread(outer) for _ in range(4)))) == 4


async def test_threads_under_one_loop_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("outlast.runtime.driving._MOST_THREADS", 3)
    lock = threading.Lock()
    now = most = 0

    def work() -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.01)
        with lock:
            now -= 1

    await asyncio.gather(*(in_thread(work) for _ in range(12)))
    assert most == 3


async def test_stop_iteration_in_a_thread_is_an_error_and_not_a_hang() -> None:
    with pytest.raises(RuntimeError, match="StopIteration"):
        await asyncio.wait_for(in_thread(lambda: next(iter(()))), 30)


def test_the_run_is_as_before_after_an_exception() -> None:
    def fails() -> None:
        with running(sample=7):
            assert current().sample == 7
            raise ValueError

    before = current()
    with pytest.raises(ValueError):
        fails()
    assert current() is before


def test_running_refuses_unknown_names() -> None:
    with pytest.raises(TypeError, match="sample"):
        with running(sampel=1):
            pass


def test_leaving_from_another_context_is_harmless() -> None:
    """What happens when the garbage collector closes a coroutine that was never finished."""
    token = contextvars.copy_context().run(enter, current())
    leave(token)

"""Coroutines that run with and without an event loop, and the few places where they wait."""

from __future__ import annotations

import asyncio
import concurrent.futures
import time
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from dataclasses import replace
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from outlast.errors import OutlastError
from outlast.runtime.ioloop import ending, in_io_thread, submit
from outlast.runtime.run import RUN, Run, blocking, running_loop
from outlast.runtime.scope import Scope
from outlast.runtime.threads import start

T = TypeVar("T")

GRACE = 1.0  # seconds that abandoned threads get to clean up
_MOST_THREADS = 512  # blocking programs at the same time under one event loop


def drive(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in this thread without an event loop.

    Works for coroutines whose leaves wait by blocking, which is what `blocking()` tells them to do.
    """
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    coroutine.close()
    raise OutlastError(
        "a blocking call reached code that waits for an event loop. Await it through outlast.io(...), or call "
        "the program with `await program.acall(...)`."
    )


def io(coroutine: Coroutine[Any, Any, T]) -> Coroutine[Any, Any, T]:
    """Await something that needs an event loop, from either way of running: `await io(...)`.

    In an async call this is a plain `await`; in a blocking call the coroutine runs on the I/O loop that all
    blocking callers share, and this thread waits for it. Ctrl-C cancels it.
    """
    return _io_elsewhere(coroutine) if blocking() or RUN.get().visiting else coroutine


async def _io_elsewhere(coroutine: Coroutine[Any, Any, T]) -> T:
    if blocking():
        return run_on_io_loop(coroutine)
    return await asyncio.wrap_future(submit(coroutine))


def run_on_io_loop(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the shared I/O loop and block until it is done."""
    if in_io_thread():
        coroutine.close()
        raise OutlastError("a blocking call inside the I/O loop would wait for itself; use the async form here")
    return wait(submit(coroutine))


def wait(future: concurrent.futures.Future[T]) -> T:
    """Block until `future` is done. Cancels it on Ctrl-C and when the scope of this run is given up."""
    scope = RUN.get().scope
    if scope is not None:
        scope.hold(future)
    try:
        return future.result()
    except concurrent.futures.CancelledError:
        if ending():
            raise SystemExit from None  # ends a daemon thread without a traceback that nobody can act on
        raise asyncio.CancelledError("given up") from None
    except BaseException:
        future.cancel()
        raise
    finally:
        if scope is not None:
            scope.release(future)


async def sleep(seconds: float) -> None:
    """Wait without holding up anybody else: a timer of the loop, or of this thread in a blocking call."""
    if blocking():
        _pause(seconds)
    else:
        await asyncio.sleep(seconds)


def _pause(seconds: float) -> None:
    scope = RUN.get().scope
    if scope is None:
        time.sleep(max(seconds, 0.0))
    elif scope.cancelled.wait(seconds):
        raise asyncio.CancelledError("given up")


def run_blocking(make: Callable[[], Coroutine[Any, Any, T]], *, visiting: bool = False) -> T:
    """Run the coroutine that `make` gives, which needs an event loop, from blocking code, whatever this thread does.

    A thread without a running loop gets one, here, so that Ctrl-C arrives in it; in a notebook or a handler, whose
    loop is running, it goes to a thread. Say `visiting` for a short call: its I/O then goes to the loop that
    blocking callers share, whose connections outlive the call. Costs 80 us of CPU for the loop.
    """
    run = RUN.get()
    if running_loop() is None:
        return _run_in_new_loop(make, visiting)
    with Scope(run.scope) as scope:
        context = within(replace(run, scope=scope))
        job = start(lambda: context.run(_run_in_new_loop, make, visiting))
        try:
            return job.result()
        except BaseException:
            scope.cancel()
            concurrent.futures.wait([job], GRACE)
            raise


def within(run: Run) -> Context:
    """A copy of this context in which `run` is the current one."""
    context = copy_context()
    context.run(RUN.set, run)
    return context


def _run_in_new_loop(make: Callable[[], Coroutine[Any, Any, T]], visiting: bool) -> T:
    # The factory keeps Runner from replacing, and then removing, the event loop that a script has set.
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        return runner.run(_as_async(make, visiting))


async def _as_async(make: Callable[[], Coroutine[Any, Any, T]], visiting: bool) -> T:
    run = RUN.get()
    RUN.set(replace(run, blocking=False, visiting=visiting))  # the runner's own context: no need to go back
    if run.scope is None:
        return await make()
    task = _Task()
    run.scope.hold(task)
    try:
        return await make()
    finally:
        run.scope.release(task)


class _Task:
    """The current task, to be cancelled from any thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()

    def cancel(self) -> None:
        if self._task is None:
            return
        try:
            self._loop.call_soon_threadsafe(self._task.cancel)
        except RuntimeError:  # the loop is closed, and the task with it
            return


_gates: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


async def in_thread(call: Callable[[], T]) -> T:
    """Run blocking code in a thread while the event loop goes on.

    At most 512 at a time under one loop. Code that runs in such a thread already needs no further turn: it would
    wait for one that it holds up itself. When the task is cancelled, what the thread waits for is cancelled too.
    """
    run = RUN.get()
    if run.threaded:
        return await _threaded(call, run)
    loop = asyncio.get_running_loop()
    gate = _gates.get(loop)
    if gate is None:
        gate = _gates[loop] = asyncio.Semaphore(_MOST_THREADS)
    async with gate:
        return await _threaded(call, run)


async def _threaded(call: Callable[[], T], run: Run) -> T:
    with Scope(run.scope) as scope:
        context = within(replace(run, blocking=True, scope=scope, loop=None, visiting=False, threaded=True))
        return await asyncio.wrap_future(start(lambda: context.run(call)))

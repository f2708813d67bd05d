"""How code runs: the one context variable, and coroutines that work with and without an event loop.

Everything inside outlast is `async def`. A blocking call drives the coroutine in place, without a loop, and every
leaf that waits asks `blocking()` how it should wait. So there is one implementation of each thing and a blocking
call costs no thread hop; only real network I/O is handed to the one I/O loop that all blocking callers share.
"""

from __future__ import annotations

import asyncio
import atexit
import contextvars
import os
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

from outlast.errors import BudgetExceeded, OutlastError, refuse_unknown
from outlast.messages import Request, Response, Spending
from outlast.types import TRUSTED, Label

if TYPE_CHECKING:
    from outlast.adapters.protocol import Adapter
    from outlast.lms.protocol import LM

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Span:
    """One exchange with a model, in the order in which it happened.

    `path` is the parameter path of the module that asked ("hops.1.answer"), "" for a program that is itself one
    module and None for a module outside the program. `attempt` counts from 0 within one question; later ones are
    re-asks. `values` are the parsed outputs, None when parsing failed; then `error` says why.
    """

    path: str | None
    module: str
    signature: str
    inputs: Mapping[str, Any]
    request: Request
    response: Response | None
    values: Mapping[str, Any] | None
    error: Exception | None
    attempt: int
    started: float
    seconds: float
    label: Label = TRUSTED


class Trace(list[Span]):
    """The spans of one program call, in the order in which they ended."""

    __slots__ = ("__weakref__",)
    __hash__ = object.__hash__  # so that a weak set of traces can hold it

    @property
    def spending(self) -> Spending:
        """Calls, tokens and dollars of all spans."""
        total = Spending()
        for span in self:
            if span.response is not None:
                total.add(span.response)
        return total

    def __repr__(self) -> str:
        return f"<Trace of {len(self)} spans, {self.spending}>"


class Meter:
    """A thread-safe limit on what may be spent, shared by everything under one budget.

    A call is reserved before it is made and settled after it, so that the number of calls never exceeds the limit;
    tokens and dollars are known only after a call and can exceed theirs by the calls then in flight.
    """

    def __init__(
        self,
        *,
        calls: int | None = None,
        tokens: int | None = None,
        dollars: float | None = None,
        seconds: float | None = None,
        spent: Spending | None = None,
        outer: Meter | None = None,
    ) -> None:
        self.limits = {"calls": calls, "tokens": tokens, "dollars": dollars, "seconds": seconds}
        self.spent = spent or Spending()
        self.outer = outer
        self._reserved = 0
        self._started = time.monotonic()
        self._lock = threading.Lock()

    @property
    def elapsed(self) -> float:
        """Seconds since this meter was made."""
        return time.monotonic() - self._started

    def exceeded(self) -> str | None:
        """The name of a limit that is used up, or None."""
        limits, spent = self.limits, self.spent
        if limits["calls"] is not None and spent.calls + self._reserved >= limits["calls"]:
            return "calls"
        if limits["tokens"] is not None and spent.tokens >= limits["tokens"]:
            return "tokens"
        if limits["dollars"] is not None and spent.dollars >= limits["dollars"]:
            return "dollars"
        if limits["seconds"] is not None and self.elapsed >= limits["seconds"]:
            return "seconds"
        return None

    def reserve(self) -> None:
        """Set one call aside, or raise `BudgetExceeded`."""
        with self._lock:
            limit = self.exceeded()
            if limit is not None:
                raise BudgetExceeded(
                    f"the budget of {self.limits[limit]} {limit} is used up ({self.spent})", limit=limit
                )
            self._reserved += 1
        if self.outer is not None:
            try:
                self.outer.reserve()
            except BudgetExceeded:
                with self._lock:
                    self._reserved -= 1
                raise

    def settle(self, response: Response | None) -> None:
        """Give a reserved call back and count what it really cost; None when it failed."""
        with self._lock:
            self._reserved -= 1
            if response is not None:
                self.spent.add(response)
        if self.outer is not None:
            self.outer.settle(response)


@dataclass(frozen=True, slots=True)
class Run:
    """All that a call needs to know of its surroundings. One context variable holds the current one.

    `paths` maps the identity of each module of the running program to its path; `memo`, when set, wraps every LM
    that is asked (the study uses it to remember each reply).
    """

    lm: LM | None = None
    adapter: Adapter | None = None
    trace: Trace | None = None
    meter: Meter | None = None
    memo: Callable[[LM], LM] | None = None
    label: Label = TRUSTED
    sample: int = 0
    blocking: bool = True
    root: object | None = None
    paths: Mapping[int, str] = field(default_factory=dict[int, str])


_OUTSIDE = Run()
_RUN: ContextVar[Run] = ContextVar("outlast_run", default=_OUTSIDE)
_defaults: dict[str, Any] = {"lm": None, "adapter": None}  # process-wide, replaced as a whole by `configure`


def current() -> Run:
    """The run that this code belongs to."""
    return _RUN.get()


def enter(run: Run) -> contextvars.Token[Run]:
    """Make `run` the current one until `leave`."""
    return _RUN.set(run)


def leave(token: contextvars.Token[Run]) -> None:
    """Go back to the run that was current before `enter`."""
    _RUN.reset(token)


def blocking() -> bool:
    """True when the current call must wait by blocking its thread, False when an event loop runs it."""
    return _RUN.get().blocking


def default(name: str) -> Any:
    """A process-wide default set by `configure`, or None."""
    return _defaults[name]


def set_defaults(**values: Any) -> None:
    """Replace process-wide defaults; names other than those known are refused."""
    global _defaults
    refuse_unknown(values, _defaults, "configure()")
    _defaults = {**_defaults, **values}


@contextmanager
def running(**changes: Any) -> Iterator[Run]:
    """The current run with some fields changed, for the length of a block."""
    refuse_unknown(changes, [f.name for f in fields(Run)], "running()")
    run = replace(_RUN.get(), **changes)
    token = _RUN.set(run)
    try:
        yield run
    finally:
        _RUN.reset(token)


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


async def io(awaitable: Coroutine[Any, Any, T]) -> T:
    """Await something that needs an event loop, from either way of running.

    In an async call this is a plain `await`; in a blocking call the coroutine runs on the I/O loop that all
    blocking callers share, and this thread waits for it. Ctrl-C cancels it.
    """
    run = _RUN.get()
    if not run.blocking:
        return await awaitable
    return run_on_io_loop(awaitable)


def run_on_io_loop(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the shared I/O loop and block until it is done."""
    loop = _io_loop()
    if threading.current_thread() is _io_thread:
        coroutine.close()
        raise OutlastError("blocking call inside the I/O loop: use the async form here")

    async def in_loop() -> T:
        token = _RUN.set(replace(_RUN.get(), blocking=False))
        try:
            return await coroutine
        finally:
            _RUN.reset(token)

    future = asyncio.run_coroutine_threadsafe(in_loop(), loop)
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


_io_lock = threading.Lock()
_io_thread: threading.Thread | None = None
_io_event_loop: asyncio.AbstractEventLoop | None = None
_io_pid = 0


def _io_loop() -> asyncio.AbstractEventLoop:
    """The loop of the daemon thread that does I/O for blocking callers; a forked child gets its own."""
    global _io_thread, _io_event_loop, _io_pid
    with _io_lock:
        if _io_event_loop is None or _io_pid != os.getpid() or _io_event_loop.is_closed():
            loop = asyncio.new_event_loop()
            _io_thread = threading.Thread(target=_serve, args=(loop,), name="outlast-io", daemon=True)
            _io_event_loop, _io_pid = loop, os.getpid()
            _io_thread.start()
        return _io_event_loop


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    loop.run_forever()


def _close_io_loop() -> None:
    loop, thread = _io_event_loop, _io_thread
    if loop is None or thread is None or _io_pid != os.getpid() or not loop.is_running():
        return
    try:
        asyncio.run_coroutine_threadsafe(_finish(loop), loop).result(timeout=2)
    except Exception:
        return  # at interpreter exit there is nobody left to tell
    thread.join(timeout=2)


async def _finish(loop: asyncio.AbstractEventLoop) -> None:
    tasks = [task for task in asyncio.all_tasks(loop) if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await loop.shutdown_asyncgens()
    loop.call_soon(loop.stop)


atexit.register(_close_io_loop)


async def sleep(seconds: float) -> None:
    """Wait without holding up anybody else: a timer of the loop, or of this thread in a blocking call."""
    if _RUN.get().blocking:
        time.sleep(seconds)
    else:
        await asyncio.sleep(seconds)


async def gather(*awaitables: Awaitable[T], limit: int | None = None) -> list[T]:
    """Run awaitables at the same time and give their results in order.

    Tasks in an async call, threads (at most `limit`, 32 when None) in a blocking one. The first exception cancels
    what has not started and is raised.
    """
    coroutines = [_as_coroutine(item) for item in awaitables]
    if _RUN.get().blocking:
        return _gather_threads(coroutines, limit or 32)
    gate = asyncio.Semaphore(limit) if limit else None

    async def one(coroutine: Coroutine[Any, Any, T]) -> T:
        if gate is None:
            return await coroutine
        async with gate:
            return await coroutine

    tasks = [asyncio.ensure_future(one(coroutine)) for coroutine in coroutines]
    try:
        return list(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


def _gather_threads(coroutines: list[Coroutine[Any, Any, T]], limit: int) -> list[T]:
    if len(coroutines) < 2:
        return [drive(coroutine) for coroutine in coroutines]
    with ThreadPoolExecutor(min(limit, len(coroutines)), thread_name_prefix="outlast") as pool:
        futures = [pool.submit(contextvars.copy_context().run, drive, coroutine) for coroutine in coroutines]
        try:
            return [future.result() for future in futures]
        except BaseException:
            for future in futures:
                future.cancel()
            raise
        finally:
            for future, coroutine in zip(futures, coroutines, strict=True):
                if future.cancelled():
                    coroutine.close()


async def _as_coroutine(awaitable: Awaitable[T]) -> T:
    return await awaitable


def run_blocking(make: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine that needs an event loop from blocking code, whatever this thread is doing.

    Without a running loop in this thread it gets one of its own, here, so that Ctrl-C arrives in it; in a notebook
    or a handler whose loop is running it goes to a thread.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(_unblocked(make))
    context = contextvars.copy_context()
    with ThreadPoolExecutor(1, thread_name_prefix="outlast-run") as pool:
        return pool.submit(context.run, asyncio.run, _unblocked(make)).result()


async def _unblocked(make: Callable[[], Coroutine[Any, Any, T]]) -> T:
    token = _RUN.set(replace(_RUN.get(), blocking=False))
    try:
        return await make()
    finally:
        _RUN.reset(token)

"""`gather`: several things at the same time, in tasks or in threads."""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect
import threading
from collections.abc import Awaitable, Coroutine, Sequence
from contextvars import Context, copy_context
from dataclasses import replace
from typing import Any, Generic, TypeVar, cast, overload

from outlast.errors import UsageError, brief
from outlast.runtime.driving import GRACE, drive, within
from outlast.runtime.run import RUN, blocking
from outlast.runtime.scope import Scope
from outlast.runtime.threads import start

T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")

_THREADS = 32  # when the caller sets no limit


@overload
async def gather(a: Awaitable[A], /, *, limit: int | None = None) -> tuple[A]: ...
@overload
async def gather(a: Awaitable[A], b: Awaitable[B], /, *, limit: int | None = None) -> tuple[A, B]: ...
@overload
async def gather(
    a: Awaitable[A], b: Awaitable[B], c: Awaitable[C], /, *, limit: int | None = None
) -> tuple[A, B, C]: ...
@overload
async def gather(
    a: Awaitable[A], b: Awaitable[B], c: Awaitable[C], d: Awaitable[D], /, *, limit: int | None = None
) -> tuple[A, B, C, D]: ...
@overload
async def gather(*awaitables: Awaitable[T], limit: int | None = None) -> tuple[T, ...]: ...


async def gather(*awaitables: Awaitable[Any], limit: int | None = None) -> tuple[Any, ...]:
    """Run awaitables at the same time and give their results in order.

    At most `limit` at a time: tasks in an async call (no limit when None), threads in a blocking one (32 when None).
    The first exception cancels all others and is raised.
    """
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise UsageError(f"gather(limit=...) is a whole number from 1; got {brief(limit)}")
    for item in awaitables:
        if not inspect.isawaitable(item):
            raise UsageError(f"gather takes awaitables such as program.acall(...); got {brief(item)}, which is none")
    coroutines = [_as_coroutine(item) for item in awaitables]
    try:
        if blocking():
            return _in_threads(coroutines, limit or _THREADS)
        return await _in_tasks(coroutines, limit)
    finally:
        for item in (*coroutines, *awaitables):
            if inspect.iscoroutine(item) and inspect.getcoroutinestate(item) == inspect.CORO_CREATED:
                item.close()  # its turn never came, which is no reason for Python to warn


async def _in_tasks(coroutines: Sequence[Coroutine[Any, Any, T]], limit: int | None) -> tuple[T, ...]:
    gate = asyncio.Semaphore(limit) if limit else None
    failed = False

    async def in_turn(coroutine: Coroutine[Any, Any, T], gate: asyncio.Semaphore) -> T:
        nonlocal failed
        async with gate:
            if failed:
                raise asyncio.CancelledError("given up")
            try:
                return await coroutine
            except BaseException:
                failed = True
                raise

    tasks = [asyncio.ensure_future(coroutine if gate is None else in_turn(coroutine, gate)) for coroutine in coroutines]
    try:
        return tuple(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


def _in_threads(coroutines: Sequence[Coroutine[Any, Any, T]], limit: int) -> tuple[T, ...]:
    if len(coroutines) < 2:
        return tuple(copy_context().run(drive, coroutine) for coroutine in coroutines)
    run = RUN.get()
    with Scope(run.scope) as scope:
        inner = replace(run, scope=scope, loop=None)
        work = _Work(coroutines, [within(inner) for _ in coroutines], scope)
        jobs = [start(work.until_done) for _ in range(min(limit, len(coroutines)))]
        try:
            concurrent.futures.wait(jobs, return_when=concurrent.futures.FIRST_EXCEPTION)
            if work.failures:
                raise work.failures[0]
            return tuple(work.results)
        except BaseException:
            scope.cancel()
            concurrent.futures.wait(jobs, GRACE)
            raise


class _Work(Generic[T]):
    """Coroutines that several threads take turns at, until all are done or one fails."""

    def __init__(self, coroutines: Sequence[Coroutine[Any, Any, T]], contexts: Sequence[Context], scope: Scope) -> None:
        self.results: list[T] = [cast("T", None)] * len(coroutines)
        self.failures: list[BaseException] = []
        self._turns = iter(list(zip(range(len(coroutines)), contexts, coroutines, strict=True)))
        self._lock = threading.Lock()
        self._scope = scope

    def until_done(self) -> None:
        """What each thread does."""
        while True:
            with self._lock:
                turn = next(self._turns, None)
            if turn is None:
                return
            index, context, coroutine = turn
            try:
                if self._scope.cancelled.is_set():
                    raise asyncio.CancelledError("given up")
                self.results[index] = context.run(drive, coroutine)
            except BaseException as error:
                self.failures.append(error)
                raise


async def _as_coroutine(awaitable: Awaitable[T]) -> T:
    return await awaitable

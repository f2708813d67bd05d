"""Running the code of a tool within a time, in blocking and in async code, whatever that code is and does."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from concurrent.futures import CancelledError as Given
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar, cast

from outlast.errors import ApprovalPending, BudgetExceeded, Suspend
from outlast.runtime import Scope, blocking, current, drive, in_thread, run_blocking
from outlast.runtime.driving import GRACE, within
from outlast.runtime.threads import start
from outlast.types import Tool
from outlast.types.tool_schema import code_of, inner

T = TypeVar("T")

MOST_ITEMS = 10_000  # of what an async generator gives
MOST_HELD = 4 << 20  # characters and bytes of them


@dataclass(frozen=True, slots=True)
class Ended(Generic[T]):
    """How the code of a tool ended: with a value, an error, or not in time."""

    value: T | None = None
    error: BaseException | None = None
    late: bool = False


@dataclass(frozen=True, slots=True)
class _Waits:
    """Something to be awaited, from a plain function."""

    value: Any


async def run_tool(tool: Tool, arguments: Mapping[str, Any], shape: Callable[[Any], T]) -> Ended[T]:
    """Call the function of a tool and give `shape` of what it returns, within the tool's `timeout`.

    Whatever the code raises is in the result; a budget that is used up, a decision that is pending, giving up and
    Ctrl-C go on upwards. Async code is cancelled when its time is over. Other code runs in a thread: what it waits for
    through outlast ends then, and the thread is left behind.
    """
    function = cast("Callable[..., Any]", tool.function)
    if blocking():
        ended = _in_blocking_code(lambda: _called(function, arguments, shape), tool.timeout)
    elif is_async(function):
        ended = await _in_task(_awaited(function(**arguments), shape), tool.timeout)
    else:
        ended = await _in_async_code(function, arguments, shape, tool.timeout)
    if isinstance(ended.error, (BudgetExceeded, ApprovalPending, Suspend)):
        raise ended.error
    return ended


def is_async(function: Any) -> bool:
    """True for functions, partial applications and objects whose call gives a coroutine."""
    return inspect.iscoroutinefunction(code_of(function))


def _called(function: Callable[..., Any], arguments: Mapping[str, Any], shape: Callable[[Any], T]) -> Ended[T]:
    """What a function gives in blocking code, in a thread of its own, where no Ctrl-C arrives."""
    try:
        value = function(**arguments)
        if not inspect.isawaitable(value) and not isinstance(value, AsyncIterator):
            return Ended(shape(value))
        if getattr(inner(function), "blocking_safe", False):
            return drive(_awaited(value, shape))
        return run_blocking(lambda: _awaited(value, shape), visiting=True)
    except BaseException as error:
        return Ended(error=error)


async def _awaited(value: Any, shape: Callable[[Any], T]) -> Ended[T]:
    """What an awaitable or an async generator gives, on an event loop."""
    try:
        found = await value if inspect.isawaitable(value) else value
        if isinstance(found, AsyncIterator):
            found = await _collected(cast("AsyncIterator[Any]", found))
        return Ended(shape(found))
    except (asyncio.CancelledError, KeyboardInterrupt):
        raise
    except BaseException as error:  # SystemExit would end the event loop
        return Ended(error=error)


async def _collected(values: AsyncIterator[Any]) -> list[Any]:
    found: list[Any] = []
    held = 0
    async for value in values:
        found.append(value)
        held += len(cast("str", value)) if isinstance(value, (str, bytes)) else 0
        if len(found) == MOST_ITEMS or held > MOST_HELD:
            break
    return found


def _in_blocking_code(call: Callable[[], Ended[T]], seconds: float) -> Ended[T]:
    """Run `call` in a thread, and wait for it in this one."""
    run = current()
    with Scope(run.scope) as scope:
        context = within(replace(run, blocking=True, scope=scope, loop=None, visiting=False, threaded=True))
        done: Future[None] = Future()  # that of a thread at work could not be given up
        job = start(lambda: context.run(call))
        job.add_done_callback(lambda _: _finish(done))
        scope.hold(done)
        try:
            done.result(seconds)
        except Given:
            raise asyncio.CancelledError("given up") from None
        except TimeoutError:
            scope.cancel()
            return Ended(late=True)
        finally:
            scope.release(done)
        ended = job.result()
        if isinstance(ended.error, asyncio.CancelledError) and scope.cancelled.is_set():
            raise ended.error
        return ended


def _finish(done: Future[None]) -> None:
    if done.set_running_or_notify_cancel():
        done.set_result(None)


async def _in_async_code(
    function: Callable[..., Any], arguments: Mapping[str, Any], shape: Callable[[Any], T], seconds: float
) -> Ended[T]:
    """Run a plain function in a thread; when it gives an awaitable, await that here."""
    clock = time.monotonic()

    def call() -> Ended[Any]:
        try:
            value = function(**arguments)
            waits = inspect.isawaitable(value) or isinstance(value, AsyncIterator)
            return Ended(_Waits(value)) if waits else Ended(shape(value))
        except BaseException as error:
            return Ended(error=error)

    try:
        async with asyncio.timeout(seconds):
            ended: Ended[Any] = await in_thread(call)
    except TimeoutError:
        return Ended(late=True)
    if not isinstance(ended.value, _Waits):
        return ended
    left = max(seconds - (time.monotonic() - clock), 0.001)
    return await _in_task(_awaited(ended.value.value, shape), left)


async def _in_task(coroutine: Coroutine[Any, Any, Ended[T]], seconds: float) -> Ended[T]:
    """Await in a task of its own, so that code which cancels itself is not taken for giving up."""
    task = asyncio.ensure_future(coroutine)
    try:
        done, _ = await asyncio.wait((task,), timeout=seconds)
    except BaseException:
        await _end(task)
        raise
    if not done:
        await _end(task)
        return Ended(late=True)
    if task.cancelled():
        return Ended(error=asyncio.CancelledError("the tool cancelled itself"))
    return task.result()


async def _end(task: asyncio.Task[Any]) -> None:
    """Cancel a task; one that does not want to end is left behind."""
    task.cancel()
    task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # nobody else will ask for it
    await asyncio.wait((task,), timeout=GRACE)

"""The one event loop that does the I/O of all blocking callers, in a daemon thread."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from dataclasses import replace
from typing import Any, TypeVar

from outlast.errors import OutlastError
from outlast.runtime.run import RUN

T = TypeVar("T")

_lock = threading.Lock()
_thread: threading.Thread | None = None
_loop: asyncio.AbstractEventLoop | None = None
_ending = False
_inherited: list[asyncio.AbstractEventLoop] = []  # loops of the parent; closing one here would break it there


def submit(coroutine: Coroutine[Any, Any, T]) -> Future[T]:
    """Start a coroutine on the I/O loop, in a copy of this context."""
    whole = _as_async(coroutine)
    try:
        return asyncio.run_coroutine_threadsafe(whole, _io_loop())
    except RuntimeError as error:  # the loop was closed: the process is ending
        whole.close()
        coroutine.close()
        raise OutlastError("no more I/O: the interpreter is shutting down") from error


def ending() -> bool:
    """True once the interpreter is ending and I/O is given up."""
    return _ending


def in_io_thread() -> bool:
    """True on the thread of the I/O loop, which must never wait for itself."""
    return threading.current_thread() is _thread


async def _as_async(coroutine: Coroutine[Any, Any, T]) -> T:
    RUN.set(replace(RUN.get(), blocking=False, visiting=False))  # the task's own context: no need to go back
    return await coroutine


def _io_loop() -> asyncio.AbstractEventLoop:
    global _thread, _loop
    with _lock:
        if _loop is None:
            _loop = asyncio.new_event_loop()
            _thread = threading.Thread(target=_serve, args=(_loop,), name="outlast-io", daemon=True)
            _thread.start()
        return _loop


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.close()


def _close() -> None:
    """At interpreter exit: end what is in flight and let generators clean up (sessions are closed by theirs)."""
    global _ending
    _ending = True
    loop, thread = _loop, _thread
    if loop is None or thread is None or not loop.is_running():
        return
    try:
        asyncio.run_coroutine_threadsafe(_finish(loop), loop).result(timeout=2)
    except Exception:
        return  # nobody is left to tell
    thread.join(timeout=2)


async def _finish(loop: asyncio.AbstractEventLoop) -> None:
    tasks = [task for task in asyncio.all_tasks(loop) if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await loop.shutdown_asyncgens()
    loop.call_soon(loop.stop)


def _after_fork() -> None:
    """The thread stayed in the parent; a child that does I/O starts its own."""
    global _lock, _thread, _loop
    if _loop is not None:
        _inherited.append(_loop)
    _lock, _thread, _loop = threading.Lock(), None, None


atexit.register(_close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

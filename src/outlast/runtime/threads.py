"""Daemon threads that are used again. The standard library's pool joins its threads at exit, and so hangs on a call
that is still waiting for a model."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")

_KEPT = 64  # idle threads
_idle: list[_Thread] = []
_lock = threading.Lock()


def start(call: Callable[[], T]) -> Future[T]:
    """Run `call` in a thread at once. There is no queue, so work that waits for other work cannot starve it."""
    future: Future[T] = Future()
    with _lock:
        thread = _idle.pop() if _idle else None
    if thread is None:
        thread = _Thread()
        thread.start()
    thread.jobs.put((future, call))
    return future


class _Thread(threading.Thread):
    def __init__(self) -> None:
        super().__init__(name="outlast", daemon=True)
        self.jobs: SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = SimpleQueue()

    def run(self) -> None:
        kept = True
        while kept:
            future, call = self.jobs.get()
            result: Any = None
            error: BaseException | None = None
            try:
                if future.set_running_or_notify_cancel():
                    result = call()
            except StopIteration as stop:  # futures cannot carry one; coroutines turn it into this as well
                error = RuntimeError("code run in a thread raised StopIteration")
                error.__cause__ = stop
            except BaseException as raised:
                error = raised
            with _lock:
                kept = len(_idle) < _KEPT
                if kept:
                    _idle.append(self)
            if error is not None:
                future.set_exception(error)
            elif not future.cancelled():
                future.set_result(result)
            del future, call, result, error


def _after_fork() -> None:
    """The threads stayed in the parent."""
    global _lock
    _idle.clear()
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

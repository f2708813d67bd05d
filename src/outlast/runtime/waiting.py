"""One wait that a thread or a task can do and that any thread can end: what budgets, limits and caches queue on."""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import Future

from outlast.runtime.driving import wait
from outlast.runtime.run import blocking, running_loop

_forks = 0


def forks() -> int:
    """How often this process was forked from another. A lock or a queue made before the last fork is not to be used:
    the threads that would have served it stayed in the parent."""
    return _forks


def _count_fork() -> None:
    global _forks
    _forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_count_fork)


class ForkSafeLock:
    """A reentrant lock that is free again in a forked child, whichever thread of the parent held it."""

    __slots__ = ("_forks", "_lock")

    def __init__(self) -> None:
        self._forks = forks()
        # Reentrant: the garbage collector may close an abandoned call, which comes back here, while we hold it.
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        if self._forks != _forks:
            self._lock, self._forks = threading.RLock(), _forks
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def holds_up_loop() -> bool:
    """True for a blocking call in a thread whose event loop is running (a notebook): were it to wait for a task of
    that loop, neither would ever go on."""
    return blocking() and running_loop() is not None


class Waiter:
    """A place in a queue, for the thread of a blocking call or the task of an async one.

    `wake` may be called from any thread, once; `woken` is read and set under the lock of the queue's owner.
    """

    __slots__ = ("_future", "_loop", "_task", "woken")

    def __init__(self) -> None:
        self.woken = False
        self._loop: asyncio.AbstractEventLoop | None = None
        if blocking():
            self._future: Future[None] = Future()
        else:
            self._loop = asyncio.get_running_loop()
            self._task = self._loop.create_future()

    async def wait(self) -> None:
        """Wait to be woken. May be cancelled or interrupted."""
        if self._loop is None:
            wait(self._future)
        else:
            await self._task

    def wake(self) -> bool:
        """End the wait. False when nobody waits any more because the event loop was closed."""
        self.woken = True
        loop = self._loop
        if loop is None:
            if self._future.set_running_or_notify_cancel():
                self._future.set_result(None)
        elif running_loop() is loop:
            _resolve(self._task)
        else:
            try:
                loop.call_soon_threadsafe(_resolve, self._task)
            except RuntimeError:  # the loop is closed
                return False
        return True


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)

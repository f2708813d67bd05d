"""Slots that threads and tasks take in turn: what a cap on calls in flight and a queue for a rate stand on."""

from __future__ import annotations

import threading
from collections import OrderedDict

from outlast.lms.layers.rest import Rest
from outlast.runtime.waiting import Waiter, forks, holds_up_loop


class Slots:
    """`total` slots, taken first come first served over all threads and event loops of this process.

    A blocking call made from inside a running event loop (a notebook cell) never waits, because those it would wait
    for may need that loop: it goes over the total. After a fork all slots are free in the child.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self._reset()

    def _reset(self) -> None:
        self._forks = forks()
        # Reentrant: the garbage collector may close an abandoned call, which gives its slot back, while we hold it.
        self._lock = threading.RLock()
        self._taken = 0
        self._queue: OrderedDict[Waiter, None] = OrderedDict()  # leaving from the middle is cheap

    @property
    def taken(self) -> int:
        """How many are taken now."""
        return 0 if self._forks != forks() else self._taken

    @property
    def waiting(self) -> int:
        """How many wait for one now."""
        return 0 if self._forks != forks() else len(self._queue)

    async def take_rested(self, rest: Rest) -> threading.RLock:
        """Wait for a slot, and then until a rest is over."""
        token = await self.take()
        try:
            await rest.over()
        except BaseException:
            self.give(token)
            raise
        return token

    async def take(self) -> threading.RLock:
        """Wait for a slot. The result is to be given to `give`, whatever happens then."""
        if self._forks != forks():
            self._reset()
        lock = self._lock
        with lock:
            if self._taken < self.total and not self._queue:
                self._taken += 1
                return lock
        if holds_up_loop():
            with lock:
                self._taken += 1
            return lock
        waiter = Waiter()
        with lock:
            self._queue[waiter] = None
            self._serve()  # a slot may have come free since we looked
        try:
            await waiter.wait()
        except BaseException:
            with lock:
                if waiter.woken:
                    self._taken -= 1
                else:
                    self._queue.pop(waiter, None)
                self._serve()
            raise
        return lock

    def give(self, token: threading.RLock) -> None:
        """Give a slot back, to the next in the queue when there is one."""
        if token is not self._lock:  # taken before a fork, in the parent
            return
        with token:
            self._taken -= 1
            if self._queue:
                self._serve()

    def resize(self, total: int) -> None:
        """Have more or fewer slots from now on. Those taken stay taken."""
        with self._lock:
            self.total = total
            self._serve()

    def _serve(self) -> None:
        """Hand free slots to those who wait. The caller holds the lock."""
        while self._taken < self.total and self._queue:
            if self._queue.popitem(last=False)[0].wake():
                self._taken += 1

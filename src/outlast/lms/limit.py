"""A cap on the calls in flight, for threads and event loops alike."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from outlast.errors import ConfigError, brief
from outlast.lms.guard import Guard
from outlast.lms.protocol import LM
from outlast.lms.waiting import Waiter, forks, holds_up_loop
from outlast.messages import Request, Response


class Limited(Guard):
    """At most `concurrency` calls of `inner` in flight, counted over all threads and event loops of this process.

    Others wait their turn, first come first served. A blocking call made from inside a running event loop (a
    notebook cell) never waits, because the calls it would wait for may need that loop: it goes over the cap.
    """

    def __init__(self, inner: LM, concurrency: int = 256) -> None:
        if isinstance(concurrency, bool) or not isinstance(concurrency, int) or concurrency < 1:
            raise ConfigError(f"concurrency is a whole number from 1; got {brief(concurrency)}")
        super().__init__(inner)
        self.concurrency = concurrency
        self._reset()

    def _reset(self) -> None:
        self._forks = forks()
        # Reentrant: the garbage collector may close an abandoned call, which gives its slot back, while we hold it.
        self._lock = threading.RLock()
        self._free = self.concurrency
        self._queue: OrderedDict[Waiter, None] = OrderedDict()  # leaving from the middle is cheap

    @property
    def in_flight(self) -> int:
        """How many calls are under way now."""
        return self.concurrency - self._free

    async def before(self, request: Request) -> Any:
        """Wait for a turn."""
        if self._forks != forks():
            self._reset()
        with self._lock:
            taken = self._free > 0
            if taken:
                self._free -= 1
        if not taken:
            await self._wait_for_slot()
        return self._lock

    def after(self, token: Any, response: Response | None, error: BaseException | None) -> None:
        """Give the slot on; the token is the lock of the process that took it."""
        with token:
            self._free += 1
            if self._queue:
                self._serve()

    def facts(self) -> Mapping[str, Any]:
        return {"concurrency": self.concurrency, "in_flight": self.in_flight}

    async def _wait_for_slot(self) -> None:
        if holds_up_loop():
            with self._lock:
                self._free -= 1
            return
        waiter = Waiter()
        with self._lock:
            self._queue[waiter] = None
            self._serve()  # a slot may have come free since we looked
        try:
            await waiter.wait()
        except BaseException:
            with self._lock:
                if waiter.woken:
                    self._free += 1
                else:
                    self._queue.pop(waiter, None)
                self._serve()
            raise

    def _serve(self) -> None:
        """Hand free slots to those who wait. The caller holds the lock."""
        while self._free > 0 and self._queue:
            if self._queue.popitem(last=False)[0].wake():
                self._free -= 1

    def __repr__(self) -> str:
        return f"Limited({self.inner!r}, concurrency={self.concurrency})"

"""One timer for all calls of a loop that have the same time limit: a timer each costs 8% of a call's CPU."""

from __future__ import annotations

import asyncio
from types import TracebackType


class TimeLimit:
    """A limit of `seconds` for pieces of work, each within `with limit.watch():`, which raises `TimeoutError`.

    Belongs to the running loop. As all have the same limit, those that began first end first, and one timer that
    waits for the first of them is enough.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._watched: dict[Watch, None] = {}  # in the order of their ends
        self._timer: asyncio.TimerHandle | None = None

    def watch(self) -> Watch:
        """Limit the current task from now until the block is left."""
        return Watch(self)

    def begin(self, watch: Watch) -> None:
        """Take on a piece of work."""
        watch.end = self._loop.time() + self.seconds
        self._watched[watch] = None
        if self._timer is None:
            self._timer = self._loop.call_at(watch.end, self._ring)

    def finish(self, watch: Watch) -> None:
        """Let go of a piece of work."""
        self._watched.pop(watch, None)

    def _ring(self) -> None:
        now = self._loop.time()
        self._timer = None
        while self._watched:
            first = next(iter(self._watched))
            if first.end > now:
                self._timer = self._loop.call_at(first.end, self._ring)
                return
            del self._watched[first]
            first.expire()


class Watch:
    """One piece of work under a `TimeLimit`."""

    __slots__ = ("_cancelling", "_expired", "_limit", "_task", "end")

    def __init__(self, limit: TimeLimit) -> None:
        self._limit = limit
        self._expired = False
        self.end = 0.0

    def expire(self) -> None:
        """Cancel the task, which turns that into a `TimeoutError` where the block is left."""
        self._expired = True
        self._task.cancel()

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._cancelling = task.cancelling()
        self._limit.begin(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._limit.finish(self)
        # As in asyncio.timeout: somebody else may have cancelled the task too.
        if self._expired and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

"""The time that an overloaded server asked for, kept by all who wait for a turn."""

from __future__ import annotations

import time

from outlast.errors import LMRateLimited
from outlast.runtime import sleep
from outlast.runtime.waiting import holds_up_loop

_MOST = 60.0  # a server that asks for longer is not waited for here: its error says so


class Rest:
    """After a rate limit that says how long to wait, nobody of the queue sets out before."""

    def __init__(self) -> None:
        self._until = 0.0

    def told(self, error: BaseException | None) -> None:
        """Learn from how a call ended."""
        if isinstance(error, LMRateLimited) and error.retry_after is not None and error.retry_after <= _MOST:
            self._until = max(self._until, time.monotonic() + error.retry_after)

    async def over(self) -> None:
        """Wait until it is over; in a notebook's blocking call not at all, as that would hold its loop up."""
        while (left := self._until - time.monotonic()) > 0 and not holds_up_loop():
            await sleep(left)

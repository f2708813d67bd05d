"""A cap on the calls in flight, for threads and event loops alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from outlast.errors import ConfigError, brief
from outlast.lms.layers.guard import Guard
from outlast.lms.layers.remade import Remade
from outlast.lms.layers.rest import Rest
from outlast.lms.layers.slots import Slots
from outlast.lms.protocol import LM
from outlast.messages import Request, Response


class Limited(Remade, Guard):
    """At most `concurrency` calls of `inner` in flight, counted over all threads and event loops of this process.

    Others wait their turn, first come first served. A blocking call made from inside a running event loop (a
    notebook cell) never waits, because the calls it would wait for may need that loop: it goes over the cap.
    A stream is in flight until it is read to its end or closed. After a rate limit (429) that says how long to wait,
    those in the queue wait too. Cost: one call of `inner`.
    """

    def __init__(self, inner: LM | str, concurrency: int = 256) -> None:
        if isinstance(concurrency, bool) or not isinstance(concurrency, int) or concurrency < 1:
            raise ConfigError(f"concurrency is a whole number from 1; got {brief(concurrency)}")
        super().__init__(inner)
        self._slots = Slots(concurrency)
        self._rest = Rest()

    @property
    def concurrency(self) -> int:
        """The cap."""
        return self._slots.total

    @property
    def in_flight(self) -> int:
        """How many calls are under way now."""
        return self._slots.taken

    async def before(self, request: Request) -> Any:
        """Wait for a turn."""
        return await self._slots.take_rested(self._rest)

    def after(self, token: Any, response: Response | None, error: BaseException | None) -> None:
        """Give the slot on."""
        if error is not None:
            self._rest.told(error)
        self._slots.give(token)

    def facts(self) -> Mapping[str, Any]:
        return {"concurrency": self.concurrency, "in_flight": self.in_flight}

    def __repr__(self) -> str:
        return f"Limited({self.inner!r}, concurrency={self.concurrency})"

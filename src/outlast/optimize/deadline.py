"""The end of the time of a search: what still runs then is given up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from outlast.optimize.budget import Purse


class Deadline:
    """Gives up what runs `within` it once the seconds of a purse, less what is held back of them, are used up.

    One timer serves all; `moved` says that what is held back has changed. What was asked and paid stays counted.
    `bounded` is whether there is such an end, in the purse or in budgets around it.
    """

    def __init__(self, purse: Purse) -> None:
        self._purse = purse
        self.bounded = any(meter.limits["seconds"] is not None for meter in purse.chain)
        self._open: dict[asyncio.Timeout, float] = {}  # what runs, and how much longer it may than others
        self._timer: asyncio.TimerHandle | None = None

    def check(self) -> None:
        """Raise `BudgetExceeded` when no time is left."""
        if self.bounded and self._purse.seconds_left() <= 0:
            raise self._purse.late()

    @asynccontextmanager
    async def within(self, *, grace: float = 0.0) -> AsyncGenerator[None]:
        """Cancel what runs in here at the deadline and raise `BudgetExceeded`; `grace` seconds later than others."""
        if not self.bounded:
            yield
            return
        scope = asyncio.timeout(None)
        try:
            async with scope:
                self._open[scope] = grace
                self._wind()
                try:
                    yield
                finally:
                    self._open.pop(scope, None)
                    if not self._open:
                        self._unwind()
        except TimeoutError:
            if scope.expired():
                raise self._purse.late() from None
            raise

    def moved(self) -> None:
        """More or less is held back than before."""
        if self._open:
            self._wind()

    def _wind(self) -> None:
        loop = asyncio.get_running_loop()
        when = loop.time() + self._purse.seconds_left()
        if self._timer is not None:
            if self._timer.when() <= when:  # it looks again when it is due
                return
            self._timer.cancel()
        self._timer = loop.call_at(when, self._due)

    def _unwind(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _due(self) -> None:
        self._timer = None
        if self._purse.seconds_left() > 0:
            self._wind()
            return
        now = asyncio.get_running_loop().time()
        for scope, grace in self._open.items():
            scope.reschedule(now + grace)
        self._open.clear()

"""A limit on what may be spent, counted before the money is gone."""

from __future__ import annotations

import threading
import time

from outlast.errors import BudgetExceeded
from outlast.messages import Response, Spending


class Meter:
    """A thread-safe limit on what may be spent, shared by everything under one budget.

    A call is reserved before it is made and settled after it, so that the number of calls never exceeds the limit;
    tokens and dollars are known only after a call and can exceed theirs by the calls then in flight. Answers from a
    cache count as no call. A meter inside an `outer` one spends from both.
    """

    def __init__(
        self,
        *,
        calls: int | None = None,
        tokens: int | None = None,
        dollars: float | None = None,
        seconds: float | None = None,
        spent: Spending | None = None,
        outer: Meter | None = None,
    ) -> None:
        self.limits: dict[str, float | None] = {
            "calls": calls,
            "tokens": tokens,
            "dollars": dollars,
            "seconds": seconds,
        }
        self.spent = spent or Spending()
        self.outer = outer
        self._reserved = 0
        self._started = time.monotonic()
        self._lock = threading.Lock()

    @property
    def elapsed(self) -> float:
        """Seconds since this meter was made."""
        return time.monotonic() - self._started

    def exceeded(self) -> str | None:
        """The name of a limit that is used up, or None."""
        used = {
            "calls": self.spent.calls + self._reserved,
            "tokens": self.spent.tokens,
            "dollars": self.spent.dollars,
            "seconds": self.elapsed,
        }
        for name, limit in self.limits.items():
            if limit is not None and used[name] >= limit:
                return name
        return None

    def reserve(self) -> None:
        """Set one call aside, or raise `BudgetExceeded`."""
        with self._lock:
            limit = self.exceeded()
            if limit is not None:
                raise BudgetExceeded(
                    f"the budget of {self.limits[limit]} {limit} is used up ({self.spent})", limit=limit
                )
            self._reserved += 1
        if self.outer is not None:
            try:
                self.outer.reserve()
            except BudgetExceeded:
                with self._lock:
                    self._reserved -= 1
                raise

    def settle(self, response: Response | None) -> None:
        """Give a reserved call back and count what it really cost; None when it failed."""
        with self._lock:
            self._reserved -= 1
            if response is not None:
                self.spent.add(response)
        if self.outer is not None:
            self.outer.settle(response)

"""A server that is down is left alone for a while."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from typing import Any, Literal

from outlast.errors import LMCircuitOpen, LMConnectionError, LMError, LMServerError, LMTimeout
from outlast.lms.layers.guard import Guard
from outlast.lms.layers.remade import Remade
from outlast.lms.layers.trying import checked_number, checked_whole
from outlast.lms.protocol import LM
from outlast.messages import Request, Response
from outlast.runtime.waiting import ForkSafeLock, forks

_DOWN = (LMConnectionError, LMTimeout, LMServerError)


class CircuitBreaker(Remade, Guard):
    """Stops asking `inner` after `failures` failures in a row within `within` seconds.

    A failure is a broken connection, a timeout or a 5xx; a rate limit, a refused request or an answer that nobody can
    read says that the server lives, and ends the row as a success does. While the circuit is open, calls fail at once
    with `LMCircuitOpen`, which is not retryable; its `retry_after` says how long. After `rest` seconds one call goes
    through as a probe: when it succeeds the circuit closes, when it fails the rest begins again (Nygard, "Release
    It!", 2007, ch. 5). Costs no calls.
    """

    def __init__(self, inner: LM | str, failures: int = 5, *, within: float = 60.0, rest: float = 30.0) -> None:
        super().__init__(inner)
        self.failures = checked_whole("failures", failures, 1)
        self.within = checked_number("within", within, above=0, unit="of seconds")
        self.rest = checked_number("rest", rest, above=0, unit="of seconds")
        self._lock = ForkSafeLock()
        self._row: deque[float] = deque(maxlen=failures)  # when the last failures in a row happened
        self._open_until: float | None = None
        self._probe: object | None = None
        self._forks = forks()
        self._refused = 0

    @property
    def state(self) -> Literal["closed", "open", "half_open"]:
        """Whether calls go through ("closed"), fail at once ("open"), or the next one, or one under way, is a probe."""
        until = self._open_until
        if until is None:
            return "closed"
        return "half_open" if self._probe is not None or time.monotonic() >= until else "open"

    async def before(self, request: Request) -> Any:
        """Let the call in, or raise `LMCircuitOpen`."""
        with self._lock:
            if self._open_until is None:
                return None
            if self._forks != forks():  # the probe under way is the parent's
                self._forks, self._probe = forks(), None
            left = self._open_until - time.monotonic()
            if left <= 0 and self._probe is None:
                self._probe = object()
                return self._probe
            self._refused += 1
        waits = f"is asked again in {left:.1f} s" if left > 0 else "is being asked once, to see whether it is back"
        error = LMCircuitOpen(
            f"{self.name}: the circuit is open after {self.failures} failures in a row; the server {waits}",
            retry_after=max(left, 0.0),
            request=request,
        )
        error.sent = False
        raise error

    def after(self, token: Any, response: Response | None, error: BaseException | None) -> None:
        """Learn from how the call ended."""
        with self._lock:
            probed = token is not None and token is self._probe
            if probed:
                self._probe = None
            elif self._open_until is not None:
                return  # a call from before the circuit opened says nothing new
            if isinstance(error, _DOWN):
                self._failed(probed)
            elif response is not None or isinstance(error, LMError):
                self._row.clear()
                self._open_until = None

    def _failed(self, probed: bool) -> None:
        now = time.monotonic()
        self._row.append(now)
        if probed or (len(self._row) == self.failures and now - self._row[0] <= self.within):
            self._open_until = now + self.rest

    def facts(self) -> Mapping[str, Any]:
        return {"state": self.state, "failures": self.failures, "rest": self.rest, "refused": self._refused}

    def __repr__(self) -> str:
        return f"CircuitBreaker({self.inner!r}, failures={self.failures})"

"""When a reply is slow, ask once more and take whichever comes first."""

from __future__ import annotations

import asyncio
import concurrent.futures
import time
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from typing import Any, TypeVar, cast

from outlast.errors import ConfigError, brief
from outlast.lms.layers.trying import Attempt, Begun, Mark, Trying, checked_number, layers
from outlast.lms.protocol import LM, Wrapper
from outlast.messages import Request, Settings, StreamEvent
from outlast.runtime import blocking, current, io
from outlast.runtime.driving import GRACE
from outlast.runtime.ioloop import submit
from outlast.runtime.waiting import ForkSafeLock, holds_up_loop

T = TypeVar("T")

_SEEN = 256  # latencies that a percentile is taken of
_FEWEST = 20  # before that many, nobody knows what is slow
_SLOW_TIERS = ("flex", "batch")
_SAVED = 5.0  # hedges that may be saved up


class Hedged(Trying, Wrapper):
    """Sends a second, equal request when the first has not been answered after `after`, and takes the first answer.

    `after` is a number of seconds, or "p95": slower than 95% of the last 256 calls ("p50" to "p99"; nothing is hedged
    before 20 calls). The slower one of the two is cancelled. At most the share `budget` of the calls gets a second
    request (and 5 more after a start or a quiet time), so a server that is slow as a whole is not asked twice
    (Dean and Barroso, "The Tail at Scale", 2013). A stream is hedged until its first event. Requests for a tier such
    as "flex" or "batch", which is slow by agreement, are never hedged.

    Cost: two calls when it hedges; what a cancelled call cost is not told, so the response counts its own usage
    twice, has one more in `attempts`, and says so in `adaptations`. In blocking code the race runs on the loop that
    does the I/O of blocking callers.
    """

    def __init__(self, inner: LM | str, after: float | str = "p95", *, budget: float = 0.05) -> None:
        super().__init__(inner)
        self.after = after
        self.budget = checked_number("budget", budget)
        if budget > 1:
            raise ConfigError(f"budget is a share of the calls, from 0 to 1; got {brief(budget)}")
        self._percent = _percent(after)
        if self._percent is None:
            checked_number("after", after, above=0, unit="of seconds")
        defaults = [getattr(layer, "settings", None) for layer in layers(self.inner)]
        self._tier = next((each.tier for each in defaults if isinstance(each, Settings) and each.tier), None)
        self._lock = ForkSafeLock()
        self._latencies: deque[float] = deque(maxlen=_SEEN)
        self._threshold: float | None = None
        self._saved = _SAVED
        self._counts = {"calls": 0, "hedged": 0, "won": 0}

    async def reach(self, request: Request, attempt: Attempt[T]) -> tuple[T, Mark]:
        """The first answer to come. Raises the error of the first call when neither has one."""
        after = self._begin()
        if after is None or self._slow_by_agreement(request) or holds_up_loop():
            started = time.monotonic()
            result = await attempt(self.inner)
            self._seen(time.monotonic() - started)
            return result, Mark()
        apart = blocking() or current().visiting
        result, mark = await io(self._race(attempt, after))
        if apart and isinstance(result, Begun):  # begun on the I/O loop, so it goes on there
            begun = result
            result = cast("T", Begun(begun.first, _on_io_loop(begun), lambda: _close_there(begun)))
        return result, mark

    async def _race(self, attempt: Attempt[T], after: float) -> tuple[T, Mark]:
        started = time.monotonic()
        calls: list[asyncio.Future[T]] = [asyncio.ensure_future(attempt(self.inner))]
        winner: asyncio.Future[T] | None = None
        try:
            await asyncio.wait(calls, timeout=after)
            if not calls[0].done() and self._take():
                calls.append(asyncio.ensure_future(attempt(self.inner)))
            winner = await _first_answer(calls)
            result = winner.result()
            self._seen(time.monotonic() - started)
        finally:
            await _give_up([call for call in calls if call is not winner])
        if len(calls) == 1:
            return result, Mark()
        second = winner is calls[1]
        self._counts["won"] += second
        which = "the second answered first" if second else "the first answered first"
        return result, Mark(attempts=1, adaptations=(f"hedged: asked twice after {after:.3g} s, {which}",), twice=True)

    def _begin(self) -> float | None:
        """Seconds until a second request, None when there will be none."""
        with self._lock:
            self._counts["calls"] += 1
            self._saved = min(_SAVED, self._saved + self.budget)
            if not self.budget:
                return None
            return float(self.after) if self._percent is None else self._threshold

    def _take(self) -> bool:
        with self._lock:
            if self._saved < 1:
                return False
            self._saved -= 1
            self._counts["hedged"] += 1
            return True

    def _seen(self, seconds: float) -> None:
        """Note how long a call took; one that was hedged counts with what its caller waited."""
        if self._percent is None:
            return
        with self._lock:
            self._latencies.append(seconds)
            count = len(self._latencies)
            if count >= _FEWEST and (self._threshold is None or self._counts["calls"] % 8 == 0):
                self._threshold = sorted(self._latencies)[min(count - 1, int(count * self._percent))]

    def _slow_by_agreement(self, request: Request) -> bool:
        return (request.settings.tier or self._tier) in _SLOW_TIERS

    def facts(self) -> Mapping[str, Any]:
        after = self.after if self._percent is None else self._threshold
        return {"after": self.after, "after_seconds": after, "budget": self.budget, **self._counts}

    def __repr__(self) -> str:
        return f"Hedged({self.inner!r}, after={self.after!r})"


def _percent(after: Any) -> float | None:
    if not isinstance(after, str):
        return None
    digits = after[1:]
    if after[:1] != "p" or not digits.isascii() or not digits.isdigit() or not 50 <= int(digits) <= 99:
        raise ConfigError(f"after is a number of seconds or a percentile from 'p50' to 'p99'; got {brief(after)}")
    return int(digits) / 100


async def _first_answer(calls: list[asyncio.Future[T]]) -> asyncio.Future[T]:
    """The first call with a result; the first that was made when all fail."""
    pending = set(calls)
    while pending:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for call in done:
            if not call.cancelled() and call.exception() is None:
                return call
    return calls[0]


async def _give_up(calls: list[asyncio.Future[Any]]) -> None:
    """Cancel calls, wait until they have cleaned up, and close what they had begun."""
    for call in calls:
        call.cancel()
    for result in await asyncio.gather(*calls, return_exceptions=True):
        if isinstance(result, Begun):
            await result.close()


async def _on_io_loop(begun: Begun) -> AsyncGenerator[StreamEvent]:
    """The rest of a stream that was begun on the I/O loop, read from elsewhere."""
    while (event := await io(_next(begun))) is not None:
        yield event


async def _next(begun: Begun) -> StreamEvent | None:
    return await anext(begun.rest, None)


async def _close_there(begun: Begun) -> None:
    """Close it on the I/O loop, also when this run is given up, whose waits all end at once."""
    closing = submit(_closed(begun))
    if blocking():
        concurrent.futures.wait([closing], GRACE)


async def _closed(begun: Begun) -> None:
    try:
        await begun.close()
    except RuntimeError:  # its last step was cancelled and is closing it now
        return

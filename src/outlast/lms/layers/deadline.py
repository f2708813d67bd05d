"""A call that takes too long is given up, whether it blocks a thread or is awaited."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Coroutine, Mapping
from contextlib import aclosing
from typing import Any, TypeVar

from outlast.errors import LMTimeout
from outlast.lms.layers.remade import Remade
from outlast.lms.layers.trying import checked_number
from outlast.lms.protocol import LM, Wrapper, ask, ask_stream
from outlast.messages import Request, Response, StreamEvent
from outlast.runtime import Scope, blocking, current, running
from outlast.runtime.ioloop import submit

T = TypeVar("T")


class Timeout(Remade, Wrapper):
    """Gives a call of `inner` up after `seconds`, and a stream also when its first event takes `first_token`.

    Then `LMTimeout` is raised, which is retryable; the connection of the call is closed, in blocking code as in
    async code. Around a `Retrying` it bounds all tries together, inside one each try. Of a stream only the time
    spent waiting for the model counts, not what its reader takes. Code that computes without waiting cannot be
    stopped. Cost: one call of `inner`; one that was given up may still be billed.
    """

    spends = False

    def __init__(self, inner: LM | str, seconds: float, *, first_token: float | None = None) -> None:
        super().__init__(inner)
        self.seconds = checked_number("seconds", seconds, above=0)
        self.first_token = None if first_token is None else checked_number("first_token", first_token, above=0)
        self._expired = 0

    async def complete(self, request: Request) -> Response:
        """Answer one request in time. Raises `LMTimeout`."""
        try:
            return await within(self.seconds, ask(self.inner, request))
        except Expired:
            raise self._late(f"no answer within {self.seconds:g} s", request) from None

    async def stream(self, request: Request) -> AsyncGenerator[StreamEvent]:
        """Answer one request in pieces and in time. Raises `LMTimeout`."""
        waited, first = 0.0, True
        async with aclosing(ask_stream(self.inner, request)) as events:
            while True:
                left = self.seconds - waited
                allowed = min(left, self.first_token) if first and self.first_token is not None else left
                began = time.monotonic()
                try:
                    event = await within(allowed, _next(events))
                except Expired:
                    what = "no whole answer within" if allowed == left else "no first token within"
                    limit = self.seconds if allowed == left else self.first_token or 0.0
                    raise self._late(f"{what} {limit:g} s", request) from None
                if event is None:
                    return
                waited += time.monotonic() - began
                first = False
                yield event

    def _late(self, what: str, request: Request) -> LMTimeout:
        self._expired += 1
        return LMTimeout(f"{self.name}: {what}; the call was given up", request=request)

    def facts(self) -> Mapping[str, Any]:
        return {"seconds": self.seconds, "first_token": self.first_token, "given_up": self._expired}

    def __repr__(self) -> str:
        first = "" if self.first_token is None else f", first_token={self.first_token:g}"
        return f"Timeout({self.inner!r}, {self.seconds:g}{first})"


async def _next(events: AsyncGenerator[StreamEvent]) -> StreamEvent | None:
    return await anext(events, None)


class Expired(Exception):
    """The time of `within` is up. Unlike `TimeoutError`, nothing else raises it."""


async def within(seconds: float, call: Coroutine[Any, Any, T]) -> T:
    """Await `call`; when it is not done after `seconds`, cancel it and raise `Expired`. Costs a blocking caller about
    50 us: the timer runs on the loop that does its I/O."""
    if seconds <= 0:
        call.close()
        raise Expired
    if blocking():
        return await _within_thread(seconds, call)
    timer = asyncio.timeout(seconds)
    try:
        async with timer:
            return await call
    except TimeoutError:
        if timer.expired():
            raise Expired from None
        raise


async def _within_thread(seconds: float, call: Coroutine[Any, Any, T]) -> T:
    """Whatever the call waits for is held by its scope, so cancelling the scope ends the wait."""
    outer = current().scope
    with Scope(outer) as scope:
        clock = _Clock(scope)
        timer = submit(clock.run(seconds))
        try:
            with running(scope=scope):
                return await call
        except asyncio.CancelledError:
            if clock.rang and not (outer is not None and outer.cancelled.is_set()):
                raise Expired from None
            raise
        finally:
            timer.cancel()


class _Clock:
    def __init__(self, scope: Scope) -> None:
        self.rang = False
        self._scope = scope

    async def run(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self.rang = True
        self._scope.cancel()

"""A layer that lets calls in and sees how they end: what limits, budgets and breakers have in common."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from outlast.lms.protocol import Wrapper, ask, ask_stream
from outlast.messages import Finished, Request, Response, StreamEvent

_NOTICED = 1e-3  # seconds; less is no waiting, only the time that looking takes


class Guard(Wrapper):
    """Calls `before` before each call of `inner` and `after` when it ended, whichever way it was asked.

    A subclass defines one of them or both. What `before` gives is handed to `after`; when it raises, `inner` is not
    asked and `after` not called. `after` gets the response, or the error that ended the call: `GeneratorExit` or
    `CancelledError` when it was given up. It must not raise. The time that `before` takes is added to
    `Response.queued_seconds`.
    """

    spends = False
    _checked = True

    async def before(self, request: Request) -> Any:
        """Let a call in: wait, count, or raise."""
        return None

    def after(self, token: Any, response: Response | None, error: BaseException | None) -> None:
        """A call that was let in has ended."""

    async def complete(self, request: Request) -> Response:
        """Answer one request once it is let in."""
        began = time.monotonic()
        token = await self.before(request)
        waited = time.monotonic() - began
        try:
            response = await ask(self.inner, request)
        except BaseException as error:
            self.after(token, None, error)
            raise
        self.after(token, response, None)
        return _queued(response, waited)

    async def stream(self, request: Request) -> AsyncGenerator[StreamEvent]:
        """Answer one request in pieces once it is let in."""
        began = time.monotonic()
        token = await self.before(request)
        waited = time.monotonic() - began
        response: Response | None = None
        try:
            async with aclosing(ask_stream(self.inner, request)) as events:
                async for event in events:
                    if isinstance(event, Finished):
                        response = event.response
                        event = Finished(_queued(response, waited))
                    yield event
        except BaseException as error:
            self.after(token, response, None if response is not None else error)  # all was said
            raise
        self.after(token, response, None)


def _queued(response: Response, waited: float) -> Response:
    return response if waited < _NOTICED else replace(response, queued_seconds=response.queued_seconds + waited)

"""A layer that lets calls in and sees how they end: what limits, budgets and breakers have in common."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from outlast.lms.protocol import Wrapper, ask, ask_stream
from outlast.messages import Finished, Request, Response, StreamEvent


class Guard(Wrapper):
    """Calls `before` before each call of `inner` and `after` when it ended, whichever way it was asked.

    A subclass defines one of them or both. What `before` gives is handed to `after`; when it raises, `inner` is not
    asked and `after` not called. `after` gets the response, or the error that ended the call: `GeneratorExit` or
    `CancelledError` when it was given up. It must not raise.
    """

    async def before(self, request: Request) -> Any:
        """Let a call in: wait, count, or raise."""
        return None

    def after(self, token: Any, response: Response | None, error: BaseException | None) -> None:
        """A call that was let in has ended."""

    async def complete(self, request: Request) -> Response:
        """Answer one request once it is let in."""
        token = await self.before(request)
        try:
            response = await ask(self.inner, request)
        except BaseException as error:
            self.after(token, None, error)
            raise
        self.after(token, response, None)
        return response

    async def stream(self, request: Request) -> AsyncGenerator[StreamEvent]:
        """Answer one request in pieces once it is let in."""
        token = await self.before(request)
        response: Response | None = None
        try:
            async with aclosing(ask_stream(self.inner, request)) as events:
                async for event in events:
                    if isinstance(event, Finished):
                        response = event.response
                    yield event
        except BaseException as error:
            self.after(token, response, None if response is not None else error)  # all was said
            raise
        self.after(token, response, None)

"""A model that answers from a function, for tests and examples."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Any

from outlast.errors import UsageError, brief
from outlast.lms.protocol import LM, Capabilities
from outlast.messages import Message, Request, Response, Usage
from outlast.runtime import blocking, run_on_io_loop, sleep

Reply = str | Response | BaseException
Handler = Callable[[tuple[Message, ...]], Reply | Awaitable[Reply]]


class ScriptedLM(LM):
    """A model whose replies come from `handler(messages)`, or from a list of replies given in turn.

    A reply is text, a `Response`, or an exception to raise. `latency` seconds pass before each answer without holding
    up other calls. Every request is kept in `requests` when `keep` is true, and counted in `calls`.
    Tokens are counted as words, the price is `price` dollars per call (unknown when None).
    """

    blocking_safe = True

    def __init__(
        self,
        handler: Handler | Iterable[Reply],
        *,
        name: str = "scripted",
        latency: float = 0.0,
        capabilities: Capabilities | None = None,
        price: float | None = 0.0,
        keep: bool = False,
    ) -> None:
        self.name = name
        self.latency = latency
        self.capabilities = capabilities or Capabilities()
        self.price = price
        self.keep = keep
        self.requests: list[Request] = []
        self.calls = 0
        self._lock = threading.Lock()
        self._handler: Handler | None = handler if callable(handler) else None
        self._replies = None if callable(handler) else iter(handler)

    async def complete(self, request: Request) -> Response:
        """The scripted answer."""
        with self._lock:
            self.calls += 1
            if self.keep:
                self.requests.append(request)
        if self.latency:
            await sleep(self.latency)
        reply = await self._reply(request)
        if isinstance(reply, BaseException):
            raise reply
        if isinstance(reply, Response):
            return reply if reply.model else replace(reply, model=self.name)
        if not isinstance(reply, str):
            raise UsageError(f"a scripted reply is text, a Response or an exception; got {brief(reply)}")
        return Response(reply, self.name, usage=self._usage(request, reply), seconds=self.latency)

    async def _reply(self, request: Request) -> Any:
        if self._handler is None:
            assert self._replies is not None
            with self._lock:
                for reply in self._replies:
                    return reply
            raise UsageError(f"the script of {self.name!r} has no reply left for call {self.calls}")
        reply = self._handler(request.messages)
        if inspect.isawaitable(reply):
            return run_on_io_loop(_finish(reply)) if blocking() else await reply
        return reply

    def _usage(self, request: Request, reply: str) -> Usage:
        asked = sum(message.text.count(" ") + 1 for message in request.messages)
        source = None if self.price is None else self.name
        return Usage(asked, reply.count(" ") + 1, cost=self.price, cost_source=source)


async def _finish(reply: Awaitable[Any]) -> Any:
    return await reply

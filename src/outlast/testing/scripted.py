"""A model that answers from a function, for tests and examples."""

from __future__ import annotations

import inspect
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, cast

from outlast.errors import UsageError, brief
from outlast.lms.protocol import LM, Capabilities
from outlast.messages import Message, Request, Response, StreamEvent, ToolDelta, Usage, events_of
from outlast.runtime import Bound, io, sleep

Reply = str | Mapping[str, Any] | Response | BaseException
Handler = Callable[[tuple[Message, ...]], Reply | Awaitable[Reply]]


class ScriptedLM(LM):
    """A model whose replies come from `handler(messages)`, or from a list of replies given in turn.

        lm = ScriptedLM([{"team": "cards", "urgency": 4}])

    A reply is text, a mapping (sent as a JSON object, which every adapter reads), a `Response`, or an exception to
    raise. `latency` seconds pass before each answer without holding up other calls. A stream of it comes in pieces of
    `piece` characters, whole when None. `calls` counts the calls;
    `requests` holds each of them when `keep` is true. Tokens are counted as words, the price is `price` dollars per
    call (unknown when None).
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
        piece: int | None = None,
    ) -> None:
        if isinstance(handler, str | Mapping) or not (callable(handler) or isinstance(handler, Iterable)):
            raise UsageError(f"a script is a function of the messages or a list of replies; got {brief(handler)}")
        self.name = name
        self.latency = latency
        self.capabilities = capabilities or Capabilities()
        self.price = price
        self.keep = keep
        if piece is not None and (isinstance(piece, bool) or not isinstance(piece, int) or piece < 1):
            raise UsageError(f"ScriptedLM(piece=...) is a whole number of characters from 1; got {brief(piece)}")
        self.piece = piece
        self.requests: list[Request] = []
        self.calls = 0
        self._lock = threading.Lock()
        self._handler = handler if callable(handler) else None
        self._replies = None if callable(handler) else iter(handler)

    async def complete(self, request: Request) -> Response:
        """The scripted answer."""
        with self._lock:
            self.calls += 1
            if self.keep:
                self.requests.append(request)
        if self.latency:
            await sleep(self.latency)
        reply = self._next() if self._handler is None else self._handler(request.messages)
        if inspect.isawaitable(reply):
            reply = await io(_finish(reply))
        if isinstance(reply, Mapping):
            reply = _as_json(reply)
        if isinstance(reply, str):
            return Response(reply, self.name, usage=self._usage(request, reply), seconds=self.latency)
        if isinstance(reply, Response):
            return reply if reply.model else replace(reply, model=self.name)
        if isinstance(reply, BaseException):
            raise reply.with_traceback(None)  # one exception may be raised many times
        raise UsageError(f"a scripted reply is text, a mapping, a Response or an exception; got {brief(reply)}")

    async def stream(self, request: Request) -> AsyncGenerator[StreamEvent]:
        """The scripted answer in pieces."""
        for event in events_of(await self.complete(request)):
            for part in _cut(event, self.piece):
                yield part

    def bound(self, request: Request) -> Bound:
        """The price is known; a script does not heed `max_tokens`."""
        return Bound(None, self.price, self.name)

    def _next(self) -> Reply:
        assert self._replies is not None
        with self._lock:
            for reply in self._replies:
                return reply
            raise UsageError(f"the script of {self.name!r} has no reply left for call {self.calls}")

    def _usage(self, request: Request, reply: str) -> Usage:
        asked = sum(message.text.count(" ") + 1 for message in request.messages)
        source = None if self.price is None else self.name
        return Usage(asked, reply.count(" ") + 1, cost=self.price, cost_source=source)


def _cut(event: StreamEvent, size: int | None) -> Iterator[StreamEvent]:
    """An event as smaller ones."""
    name = "arguments" if isinstance(event, ToolDelta) else "text"
    text: str = getattr(event, name, "")
    if size is None or len(text) <= size:
        yield event
        return
    for start in range(0, len(text), size):
        yield replace(event, **{name: text[start : start + size]})


def _as_json(reply: Mapping[str, Any]) -> str:
    from pydantic_core import to_json

    text = to_json(dict(reply), inf_nan_mode="constants").decode()
    return text.replace("<<", "\\u003c\\u003c")  # the same in JSON, and no marker for adapters that know any


async def _finish(reply: Awaitable[Any]) -> Reply:
    return cast("Reply", await reply)

"""A reply in pieces for whoever reads it: one object for `for` and for `async for`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing
from dataclasses import replace
from types import TracebackType
from typing import Any

from outlast.errors import UsageError
from outlast.messages import Finished, Response, StreamEvent, TextDelta, ToolCall, ToolDelta
from outlast.runtime import current, drive, running, running_loop


class Events:
    """The events of one reply. Read once, to the end or until `close`; leaving it early gives the call up.

    `text` is what was said so far, `partial` its JSON value so far and `tool_calls` the calls so far; `response` is
    there at the end, and None before. As a context manager (`with lm.events(...) as events:`) it is closed when the
    block is left.
    """

    def __init__(self, begin: Callable[[], AsyncGenerator[StreamEvent]]) -> None:
        self._begin = begin
        self._events: AsyncGenerator[StreamEvent] | None = None
        self.text = ""
        self.response: Response | None = None
        self._calls: dict[int, ToolCall] = {}

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The tool calls so far, their arguments as far as they came; `partial_json` reads those."""
        return tuple(self._calls[index] for index in sorted(self._calls))

    @property
    def partial(self) -> Any:
        """The JSON value that the text is so far, None while it is none: see `partial_json`."""
        return partial_json(self.text)

    def _started(self) -> AsyncGenerator[StreamEvent]:
        if self._events is not None:
            raise UsageError("the events of a reply are read once; ask again for another reply")
        self._events = self._begin()
        return self._events

    def _seen(self, event: StreamEvent) -> StreamEvent:
        if isinstance(event, TextDelta):
            self.text += event.text
        elif isinstance(event, ToolDelta):
            known = self._calls.get(event.index, ToolCall(event.id, event.name, ""))
            self._calls[event.index] = replace(known, arguments=known.arguments + event.arguments)
        elif isinstance(event, Finished):
            self.response = event.response
        return event

    def __iter__(self) -> Iterator[StreamEvent]:
        loop = running_loop()
        if loop is not None and not current().blocking:
            raise UsageError("the events of a reply are read with `async for` inside async code")
        events = self._started()
        try:
            while True:
                with running(blocking=True, loop=loop):
                    event = drive(_next(events))
                if event is None:
                    return
                yield self._seen(event)
        finally:
            with running(blocking=True, loop=loop):
                drive(events.aclose())

    async def __aiter__(self) -> AsyncIterator[StreamEvent]:
        async with aclosing(self._started()) as events:
            async for event in events:
                yield self._seen(event)

    def close(self) -> None:
        """Give the call up when it is still going on. For blocking code."""
        if self._events is not None:
            with running(blocking=True, loop=running_loop()):
                drive(self._events.aclose())

    def __enter__(self) -> Events:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Events:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._events is not None:
            await self._events.aclose()


def partial_json(text: str) -> Any:
    """The value that the beginning of a JSON text says: strings, lists and objects as far as they came.

    A code fence around it is taken off; a word that may go on is left out, a number is as far as it came. None when
    there is no JSON yet, or when the text is something else. Costs some microseconds a kilobyte.
    """
    from pydantic_core import from_json

    body = text.lstrip()
    if body.startswith("```"):
        body = body.partition("\n")[2].rstrip().removesuffix("```")
    if not body.startswith(("{", "[", '"')):
        return None
    try:
        return from_json(body, allow_partial="trailing-strings")
    except ValueError:
        return None


async def _next(events: AsyncGenerator[StreamEvent]) -> StreamEvent | None:
    return await anext(events, None)

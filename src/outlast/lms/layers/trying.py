"""Layers that decide which model a call goes to, how often and for how long: whole answers and streams at once."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from dataclasses import fields, replace
from typing import Any, NamedTuple, TypeVar, cast

from outlast.errors import ConfigError, brief
from outlast.lms.layers.remade import Remade
from outlast.lms.protocol import LM, ask, ask_stream
from outlast.messages import (
    Finished,
    Request,
    Response,
    StreamEvent,
    Usage,
)

T = TypeVar("T")

Attempt = Callable[[LM], Coroutine[Any, Any, T]]  # asks a model what this call is about; may be made several times


class Begun(NamedTuple):
    """A stream whose first event has come. It must be closed with `close`, also when it was read to its end."""

    first: StreamEvent
    rest: AsyncGenerator[StreamEvent]
    close: Callable[[], Coroutine[Any, Any, None]]


class Mark(NamedTuple):
    """What a layer adds to the response of the try that succeeded."""

    attempts: int = 0
    adaptations: tuple[str, ...] = ()
    queued_seconds: float = 0.0
    twice: bool = False  # a second call was paid for, whose usage nobody told

    def on(self, response: Response) -> Response:
        """The response with the mark on it."""
        if self == _NO_MARK:
            return response
        changes: dict[str, Any] = {}
        if self.attempts:
            changes["attempts"] = response.attempts + self.attempts
        if self.adaptations:
            changes["adaptations"] = (*response.adaptations, *self.adaptations)
        if self.twice:
            changes["usage"] = _doubled(response.usage)
        if self.queued_seconds:
            changes["queued_seconds"] = response.queued_seconds + self.queued_seconds
        return replace(response, **changes)


_NO_MARK = Mark()


class Trying(Remade):
    """A layer that reaches a model through attempts: a retry, a fallback, a choice among several.

    A subclass defines `reach`, which awaits `attempt(lm)` for a model of its choice, again when it likes, and gives
    the result with a `Mark` for the response. It is the same for whole answers and streams; for a
    stream an attempt ends with the first event, so nothing is tried again once something was given on.
    """

    blocking_safe = True
    spends = False
    _checked = True

    @abstractmethod
    async def reach(self, request: Request, attempt: Attempt[T]) -> tuple[T, Mark]:
        """The result of the attempt that counts. Raises the error that goes out."""

    async def complete(self, request: Request) -> Response:
        """Answer one request."""
        response, mark = await self.reach(request, lambda lm: ask(lm, request))
        return mark.on(response)

    async def stream(self, request: Request) -> AsyncGenerator[StreamEvent]:
        """Answer one request in pieces. What was said once is never said again: an error after it goes out."""
        begun, mark = await self.reach(request, lambda lm: begin(lm, request))
        try:
            yield _marked(begun.first, mark)
            async for event in begun.rest:
                yield _marked(event, mark)
        finally:
            await begun.close()


async def begin(lm: LM, request: Request) -> Begun:
    """Ask for a stream and wait for its first event."""
    events = ask_stream(lm, request)
    try:
        return Begun(await anext(events), events, events.aclose)
    except BaseException:
        await events.aclose()
        raise


def _marked(event: StreamEvent, mark: Mark) -> StreamEvent:
    return Finished(mark.on(event.response)) if isinstance(event, Finished) else event


def _doubled(usage: Usage) -> Usage:
    """The usage of two calls of which one told: the other is taken to be as dear."""
    counts = {f.name: 2 * value for f in fields(usage) if isinstance(value := getattr(usage, f.name), int | float)}
    source = usage.cost_source and f"{usage.cost_source}, counted twice"
    return replace(usage, **counts, cost_source=source)


def layers(lm: LM) -> Iterator[LM]:
    """`lm`, and every model within it."""
    yield lm
    inner: Any = getattr(lm, "inner", None)
    members: Any = getattr(lm, "members", ())
    for part in cast("tuple[Any, ...]", (inner, *members)):
        if isinstance(part, LM):
            yield from layers(part)


def checked_number(name: str, value: Any, *, least: float = 0.0, above: float | None = None, unit: str = "") -> float:
    """The value as a float when it is a finite number in range; raises `ConfigError` with the rule otherwise."""
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not number or value < least or (above is not None and value <= above):
        rule = f"from {least:g}" if above is None else f"above {above:g}"
        raise ConfigError(f"{name} is a number {unit and unit + ' '}{rule}; got {brief(value)}")
    return float(value)


def checked_whole(name: str, value: Any, least: int = 0) -> int:
    """The value when it is a whole number in range; raises `ConfigError` otherwise."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"{name} is a whole number from {least}; got {brief(value)}")
    return value

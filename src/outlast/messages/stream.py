"""What a streaming model says, piece by piece."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from outlast.messages.response import Response


@dataclass(frozen=True, slots=True)
class TextDelta:
    """More text of the reply."""

    text: str


@dataclass(frozen=True, slots=True)
class ThoughtDelta:
    """More native reasoning."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolDelta:
    """More of the tool call number `index`: `id` and `name` come with its first piece, `arguments` is JSON text."""

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of a stream: the whole response, usage included. Always the last event, and only when all went well."""

    response: Response


StreamEvent = TextDelta | ThoughtDelta | ToolDelta | Finished


def events_of(response: Response) -> Iterator[StreamEvent]:
    """A whole response as the events of a stream."""
    if response.reasoning:
        yield ThoughtDelta(response.reasoning)
    if response.text:
        yield TextDelta(response.text)
    for index, call in enumerate(response.tool_calls):
        yield ToolDelta(index, call.id, call.name, call.arguments)
    yield Finished(response)

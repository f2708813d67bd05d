"""Stop texts for models that take none: the reply is cut when it has come."""

from __future__ import annotations

from dataclasses import replace

from outlast.lms.wire.dialect import Notes
from outlast.messages import Citation, Response, StreamEvent, TextDelta, TokenLogprob, ToolDelta


def emulated(stop: tuple[str, ...] | None, why: str, notes: Notes) -> tuple[str, ...]:
    """The stop texts at which the reply is to be cut here, noted with the reason; empty when there are none."""
    if not stop:
        return ()
    notes.say(f"stop={list(stop)!r} not sent: {why}. The reply is cut there when it has come")
    return stop


def cut(response: Response, stop: tuple[str, ...]) -> Response:
    """The response up to the first stop text in it, if any, with what belongs to the text cut alike.

    Calls of tools go with what follows it. Usage stays: all of it was written and is paid for.
    """
    end = _first(response.text, stop)
    if end is None:
        return response
    return replace(
        response,
        text=response.text[:end],
        finish="stop",
        tool_calls=(),
        citations=tuple(_within(response.citations, end)),
        logprobs=None if response.logprobs is None else _tokens_within(response.logprobs, end),
    )


def _first(text: str, stop: tuple[str, ...]) -> int | None:
    """Where the stop text begins that is complete first, as a server that writes on would see it."""
    found = [(place + len(word), place) for word in stop if (place := text.find(word)) >= 0]
    return min(found)[1] if found else None


def _within(citations: tuple[Citation, ...], end: int) -> list[Citation]:
    kept = [citation for citation in citations if citation.start is None or citation.start < end]
    return [replace(c, stop=end) if c.stop is not None and c.stop > end else c for c in kept]


def _tokens_within(tokens: tuple[TokenLogprob, ...], end: int) -> tuple[TokenLogprob, ...]:
    length = 0
    for index, token in enumerate(tokens):
        length += len(token.token)
        if length > end:
            return tokens[:index]
    return tokens


class Cutter:
    """Lets the text of a stream through up to the first stop text in it.

    It holds back what may be the start of a stop text; `rest` gives that at the end of the stream.
    """

    def __init__(self, stop: tuple[str, ...]) -> None:
        self._stop = stop
        self._held = ""
        self._over = False

    def feed(self, text: str) -> str:
        """What of the text so far may be shown now."""
        if self._over:
            return ""
        whole = self._held + text
        end = _first(whole, self._stop)
        if end is not None:
            self._over, self._held = True, ""
            return whole[:end]
        held = max((_overlap(whole, word) for word in self._stop), default=0)
        self._held = whole[len(whole) - held :]
        return whole[: len(whole) - held]

    def shown(self, events: list[StreamEvent]) -> list[StreamEvent]:
        """The events with only the text, and the calls of tools, that may be shown."""
        if not self._stop:
            return events
        shown: list[StreamEvent] = []
        for event in events:
            if isinstance(event, TextDelta):
                if text := self.feed(event.text):
                    shown.append(TextDelta(text))
            elif not (self._over and isinstance(event, ToolDelta)):
                shown.append(event)
        return shown

    def rest(self) -> str:
        """What was held back and turned out to be text."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, word: str) -> int:
    """How much of the end of the text is the start of the word."""
    return next((n for n in range(min(len(word) - 1, len(text)), 0, -1) if text.endswith(word[:n])), 0)

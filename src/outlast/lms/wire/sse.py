"""Server-sent events out of the bytes of a stream (WHATWG HTML, section 9.2), however they were cut on the way."""

from __future__ import annotations

import re
from typing import NamedTuple

_LINE_END = re.compile(rb"\r\n|\n|\r")


class ServerEvent(NamedTuple):
    """One event: its name ("" when the server gave none) and its data."""

    name: str
    data: str


class EventBytes:
    """Takes bytes as they come and gives the events that are complete. Comments and ids are left out.

    Bytes that are not UTF-8 become U+FFFD. `pending` is how many bytes wait for the end of their event.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._name = ""
        self._data: list[str] = []
        self._size = 0
        self._begun = False

    @property
    def pending(self) -> int:
        """Bytes that belong to an event whose end has not come yet."""
        return len(self._rest) + self._size

    def feed(self, chunk: bytes) -> list[ServerEvent]:
        """The events that this chunk completes."""
        whole = self._rest + chunk
        if not self._begun and len(whole) >= 3:
            self._begun = True
            whole = whole.removeprefix(b"\xef\xbb\xbf")
        events: list[ServerEvent] = []
        start = 0
        for end in _LINE_END.finditer(whole):
            if end[0] == b"\r" and end.end() == len(whole):
                break  # the rest of a CRLF may be on its way
            event = self._line(whole[start : end.start()])
            start = end.end()
            if event is not None:
                events.append(event)
        self._rest = whole[start:]
        return events

    def finish(self) -> list[ServerEvent]:
        """What is left at the end of the stream: servers forget the last empty line."""
        rest = self._rest.removesuffix(b"\r")
        event = self._line(rest) if rest else None
        self._rest = b""
        last = self._dispatch()
        return [found for found in (event, last) if found is not None]

    def _line(self, line: bytes) -> ServerEvent | None:
        if not line:
            return self._dispatch()
        field, _, value = line.partition(b":")
        text = value.removeprefix(b" ").decode("utf-8", "replace")
        if field == b"data":
            self._data.append(text)
            self._size += len(line)
        elif field == b"event":
            self._name = text
        return None

    def _dispatch(self) -> ServerEvent | None:
        name, data = self._name, self._data
        self._name, self._data, self._size = "", [], 0
        return ServerEvent(name, "\n".join(data)) if data else None

"""Reads the object of a `JSON` or `Tools` reply while it comes, and any JSON value by its whole parts."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from outlast.adapters.partial import MOST_HELD, PartialReader, Piece, Thoughts
from outlast.signatures.codec import Codec
from outlast.signatures.jsontext import strict

_SPACE = re.compile(r"\s*+")
_PLAIN = re.compile(r'[^"\\]*+')
_KEY = re.compile(r'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{4}|[^u])", re.DOTALL)
_HIGH = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}")
_NESTED = re.compile(r'["{}\[\],]')
_OUTER = re.compile(r'["{}\[\],\s]')
_LOW = re.compile(r"\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "/": "/", "\\": "\\", '"': '"'}


class JSONReader(PartialReader):
    """Shows the values of wanted keys of the object that opens a reply, or a line of it: strings as text, all else as
    JSON. Only valid JSON is shown."""

    def __init__(self, table: Mapping[str, Codec], wanted: frozenset[str], calls: str = "") -> None:
        """`calls` is the name of the tool whose arguments are the object, where a call is wanted."""
        self._table = table
        self._wanted = wanted
        self._calls = calls
        self._thoughts = Thoughts()
        self._text = _Object(wanted)
        self._call: _Object | None = None
        self._at = 0

    def feed(self, text: str) -> list[Piece]:
        """What more text of the reply shows."""
        pieces, rest = self._thoughts.feed(text)
        if rest and not self._text.lost and self._call is None:
            pieces += self._text.feed(rest)
        return pieces

    def feed_call(self, index: int, name: str, arguments: str) -> list[Piece]:
        """What more of the one tool call shows."""
        if self._call is None:
            if not self._calls or name != self._calls or self._text.found:
                return []
            self._call, self._at = _Object(self._wanted), index
        return self._call.feed(arguments) if index == self._at and arguments and not self._call.lost else []

    def value(self, field: str, text: str) -> Any:
        """The value of a key that is whole."""
        strings = (self._call or self._text).strings
        return self._table[field].read_data(text if field in strings else strict(text))


class _Object:
    """The machine: a state for what comes next, and the text that is not decided yet."""

    def __init__(self, wanted: frozenset[str]) -> None:
        self.wanted = wanted
        self.lost = False
        self.found: set[str] = set()
        self.strings: set[str] = set()  # the fields whose values are strings
        self._state: Callable[[str, int], int] = self._start
        self._held = ""
        self._field: str | None = None
        self._depth: int = 0
        self._quoted = False
        self._within = False
        self._out: list[Piece] = []
        self._shown: list[str] = []

    def feed(self, text: str) -> list[Piece]:
        """What more text shows."""
        self._out = []
        buffer, at = self._held + text, 0
        while at < len(buffer) and not self.lost:
            stop = self._state(buffer, at)
            if stop < 0:  # more text is needed
                break
            at = stop
        self._flush()
        self._held = buffer[at:]
        self.lost = self.lost or len(self._held) > MOST_HELD
        return self._out

    def _start(self, buffer: str, at: int) -> int:
        """The object opens the text, or a line of it."""
        begin = buffer.find("{", at)
        stop = len(buffer) if begin < 0 else begin
        line = buffer[at:stop].rpartition("\n")
        prose = bool(line[2].strip()) or (not line[1] and self._within)
        if begin < 0:
            self._within = prose
            return stop
        if not prose:
            self._state = self._first_key
        self._within = prose
        return begin + 1

    def _first_key(self, buffer: str, at: int) -> int:
        at = _past(buffer, at)
        if at < len(buffer) and buffer[at] == '"':
            self._state = self._key
        elif at < len(buffer):
            self.lost = True
        return at

    def _key(self, buffer: str, at: int) -> int:
        at = _past(buffer, at)
        if at == len(buffer):
            return at
        match = _KEY.match(buffer, at)
        if match is None:
            self.lost = buffer[at] != '"'
            return -1
        try:
            key = json.loads(match[0], strict=False)
        except ValueError:
            self.lost = True
            return at
        self.lost = key in self.found
        self._field = key if key in self.wanted else None
        if self._field is not None:
            self.found.add(key)
        self._state = self._colon
        return match.end()

    def _colon(self, buffer: str, at: int) -> int:
        at = _past(buffer, at)
        if at == len(buffer):
            return at
        self.lost = buffer[at] != ":"
        self._state = self._value
        return at + 1

    def _value(self, buffer: str, at: int) -> int:
        at = _past(buffer, at)
        if at == len(buffer):
            return at
        if buffer[at] == '"':
            self._state = self._string
            if self._field is not None:
                self.strings.add(self._field)
            return at + 1
        self.lost = buffer[at] not in "{[-0123456789tfnNI"
        self._depth, self._quoted = 0, False
        self._state = self._raw
        return at

    def _string(self, buffer: str, at: int) -> int:
        """Inside a string of the object: plain text, an escape, or its end."""
        match = _PLAIN.match(buffer, at)
        stop = at if match is None else match.end()
        if stop > at:
            self._show(buffer[at:stop])
            return stop
        if buffer[at] == '"':
            self._end()
            return at + 1
        escape = _ESCAPE.match(buffer, at)
        if escape is None:
            self.lost = len(buffer) - at >= 6
            return -1
        if _HIGH.match(buffer, at):
            return self._pair(buffer, at)
        code = escape[0][1:]
        text = chr(int(code[1:], 16)) if code[0] == "u" else _ESCAPES.get(code)
        if text is None:
            self.lost = True
            return at
        self._show(text)
        return escape.end()

    def _pair(self, buffer: str, at: int) -> int:
        """Two escapes that are one character, or the first of them alone."""
        if len(buffer) < at + 12 and _could_be_low(buffer[at + 6 :]):
            return -1
        stop = at + (12 if _LOW.match(buffer, at + 6) else 6)
        self._show(json.loads(f'"{buffer[at:stop]}"'))
        return stop

    def _raw(self, buffer: str, at: int) -> int:
        """Inside any other value."""
        if self._quoted:
            match = _PLAIN.match(buffer, at)
            stop = at if match is None else match.end()
            if stop == at:
                stop = at + 1 if buffer[at] == '"' else at + 2
                if stop > len(buffer):
                    return -1
                self._quoted = buffer[at] != '"'
            self._show(buffer[at:stop])
            return stop
        found = (_NESTED if self._depth else _OUTER).search(buffer, at)
        if found is None or found.start() > at:
            stop = len(buffer) if found is None else found.start()
            self._show(buffer[at:stop])
            return stop
        mark = buffer[at]
        if self._depth == 0 and mark not in '{["':
            self._end()
            return at
        self._quoted = mark == '"'
        if mark in "{[":
            self._depth += 1
        elif mark in "}]":
            self._depth -= 1
        self._show(mark)
        if self._depth == 0 and mark in "}]":
            self._end()
        return at + 1

    def _show(self, text: str) -> None:
        if self._field is not None:
            self._shown.append(text)

    def _flush(self, *, closed: bool = False) -> None:
        if self._field is not None and (self._shown or closed):
            self._out.append(Piece(self._field, "".join(self._shown), closed))
        self._shown = []

    def _end(self) -> None:
        self._flush(closed=True)
        self._field, self._state = None, self._after

    def _after(self, buffer: str, at: int) -> int:
        at = _past(buffer, at)
        if at == len(buffer):
            return at
        self.lost = buffer[at] != ","  # the end of the object, or no JSON
        self._state = self._key
        return at + 1


def _past(buffer: str, at: int) -> int:
    """Where the space that starts at `at` ends."""
    match = _SPACE.match(buffer, at)
    return at if match is None else match.end()


def _could_be_low(text: str) -> bool:
    return "\\uD".startswith(text[:3].replace("d", "D")) if len(text) <= 3 else text[:3].lower() == "\\ud"


class Growth:
    """The whole parts of a JSON list or object whose text comes piece by piece.

    `parts` are the items of a list, or the pairs of an object; `ended` when there will be no more of them, be it
    because the text is something else.
    """

    def __init__(self, *, pairs: bool) -> None:
        self.parts: list[Any] = []
        self.ended = False
        self._pairs = pairs
        self._part: list[str] = []  # the text of the part that is not whole
        self._begun = False
        self._depth: int = 0
        self._quoted = False
        self._escaped = False

    def feed(self, text: str) -> None:
        """More of the text."""
        if not self._begun:
            text = self._opened("".join((*self._part, text)))
        at = begin = 0
        while not self.ended and at < len(text):
            at = self._step(text, at)
            if at < 0:
                at = -at
                self._part.append(text[begin : at - 1])
                self._finish(last=text[at - 1] != ",")
                begin = at
        if not self.ended and begin < len(text):
            self._part.append(text[begin:])

    def _opened(self, text: str) -> str:
        """What stands behind the opening bracket, "" while there is none."""
        body = text.lstrip()
        if body.startswith("`"):  # a code fence
            body = body.partition("\n")[2].lstrip()
        if body:
            self.ended = body[0] != ("{" if self._pairs else "[")
            self._begun, self._part = True, []
            return body[1:]
        self._part = [text]
        self.ended = len(text) > MOST_HELD
        return ""

    def _step(self, text: str, at: int) -> int:
        """Go on to what follows the next mark; the negative of it when a part ends with that mark."""
        if self._escaped:
            self._escaped = False
            return at + 1
        if self._quoted:
            match = _PLAIN.match(text, at)
            at = at if match is None else match.end()
            if at < len(text):
                self._escaped = text[at] == "\\"
                self._quoted = self._escaped
            return at + 1
        found = _NESTED.search(text, at)
        if found is None:
            return len(text)
        mark = found[0]
        if mark == '"':
            self._quoted = True
        elif mark in "{[":
            self._depth += 1
        elif self._depth == 0:
            return -found.end()
        elif mark != ",":
            self._depth -= 1
        return found.end()

    def _finish(self, *, last: bool) -> None:
        """Read the part that is whole."""
        text = "".join(self._part).strip()
        self._part, self.ended = [], last
        if not text:
            return
        try:
            if self._pairs:
                ((key, value),) = strict(f"{{{text}}}").items()
                self.parts.append((key, value))
            else:
                self.parts.append(strict(text))
        except ValueError:
            self.ended = True

"""JSON as models write it: exact where it is valid, tolerant where it is not, found where prose surrounds it.

Everything here takes time linear in the text, whatever the text holds, but for `mend`, which is bounded instead.
"""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import dataclass
from typing import Any, NoReturn, cast

from outlast.signatures.verbatim import is_verbatim

MAX_MEND = 3_000  # characters; json_repair takes quadratic time on hostile text (14 s for 20,000 characters)
MAX_TOLERANT = 50_000  # characters; longer text is read only if it is valid JSON
MOST_VALUES = 1_000  # in one text; a reply with more is no answer
MAX_DEPTH = 100  # levels of nesting that tolerant reading follows

_LIKE_OBJECT = re.compile(r"""\{\s*+(?:["'“]|[^\W\d]\w*+\s*+:)""")
_LIKE_VALUE = re.compile(rf"{_LIKE_OBJECT.pattern}|\[")
_TOKEN = re.compile(
    r"""
    (?:\s++ | //[^\n]{0,500}+ | /\*(?:[^*]|\*(?!/)){0,500}+\*/){0,9}+   # space and comments, bounded
    (?:
        (?P<mark>[{}\[\]:,])
      | (?P<text>"(?:[^"\\]|\\.)*+" | '(?:[^'\\]|\\.)*+' | “(?:[^”\\]|\\.)*+”)
      | (?P<number>[-+]?(?:\d++(?:\.\d*+)?|\.\d++)(?:[eE][-+]?\d++)?(?![\w.]))
      | (?P<word>[-+]?[^\W\d]\w*+)
    )
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "/": "/", "\\": "\\", '"': '"', "'": "'"}


class Number(float):
    """A number with the text it was written as, so that 1.10 can become the text "1.10" where text is wanted."""

    text: str

    def __new__(cls, text: str) -> Number:
        number = super().__new__(cls, text)
        number.text = text
        return number


_WORDS = {
    "true": True,
    "false": False,
    "null": None,
    "True": True,
    "False": False,
    "None": None,
    "NaN": Number("NaN"),
    "Infinity": Number("Infinity"),
    "-Infinity": Number("-Infinity"),
}
_MAX_BROKEN = 100
_CLOSERS = {"}": "{", "]": "["}


class DuplicateKey(ValueError):
    """An object gives the same key twice."""


@dataclass(frozen=True, slots=True)
class Scan:
    """What `scan` found: whole values in order, and the text of broken ones up to the next value."""

    values: list[Any]
    broken: list[str]


def strict(text: str) -> Any:
    """The value of a JSON text; raw control characters inside strings are allowed.

    Raises `DuplicateKey` for a key given twice and `ValueError` for anything else.
    """
    try:
        return _DECODER.decode(text)
    except RecursionError:
        raise ValueError("is nested too deeply") from None


def tolerant(text: str) -> Any:
    """The value of a text that is JSON, or nearly: single quotes, bare keys, Python's words, comments, commas.

    Raises like `strict`.
    """
    try:
        return strict(text)
    except DuplicateKey:
        raise
    except ValueError:
        if len(text) > MAX_TOLERANT:
            raise
        value, stop = _Reader(text).value(0)
        if text[stop:].strip():
            raise ValueError("has something after its end") from None
        return value


def scan(text: str, *, arrays: bool = False, most: int = MOST_VALUES) -> Scan:
    """The outermost objects of a text that are not empty, or these and arrays.

    Raises `DuplicateKey` for a key given twice and `ValueError` for more than `most` values. Gives up after many
    broken ones.
    """
    pattern = _LIKE_VALUE if arrays else _LIKE_OBJECT
    values: list[Any] = []
    broken: list[int] = []
    starts: list[int] = []
    position = 0
    while len(broken) < _MAX_BROKEN and (match := pattern.search(text, position)):
        start = match.start()
        starts.append(start)
        try:
            value, position = _value_at(text, start)
            if len(values) == most:
                raise ValueError(f"holds more than {most} JSON values")
            values.append(value)
        except _Broken as error:
            broken.append(start)
            position = max(start + 1, error.place)
    limits = dict(itertools.pairwise(starts))
    return Scan(values, [text[start : limits.get(start)] for start in broken])


def mend(text: str) -> Any:
    """Broken JSON mended by the json-repair library, or None when it is too long, cut off or beyond mending.

    What mending drops, splits, joins or makes up is None too.
    """
    if len(text) > MAX_MEND or not text or text[0] not in "{[" or text[-1] not in "}]" or not _nests(text):
        return None
    import json_repair

    try:
        value = cast("Any", json_repair.loads(text, skip_json_loads=True))
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, (dict, list)) or not value:
        return None
    return cast("Any", value) if is_verbatim(text, value) else None


def _value_at(text: str, start: int) -> tuple[Any, int]:
    try:
        return _DECODER.raw_decode(text, start)
    except DuplicateKey:
        raise
    except (ValueError, RecursionError) as error:
        if len(text) > MAX_TOLERANT:
            raise _Broken(error.pos if isinstance(error, json.JSONDecodeError) else len(text)) from None
        return _Reader(text).value(start)


def _nests(text: str) -> bool:
    """True when every bracket has its partner and none is nested too deeply."""
    stack: list[str] = []
    for mark in re.findall(r"[\[\]{}]", text):
        if mark in "[{":
            stack.append(mark)
            if len(stack) > MAX_DEPTH:
                return False
        elif not stack or stack.pop() != _CLOSERS[mark]:
            return False
    return not stack


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise DuplicateKey(f"the key {key!r} is given more than once")
            seen.add(key)
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_float=Number, parse_constant=Number, strict=False)


class _Broken(ValueError):
    """No value can be read; `place` is where reading stopped."""

    def __init__(self, place: int) -> None:
        super().__init__("is no JSON")
        self.place = place


class _Reader:
    """Reads one value that is nearly JSON, token by token."""

    def __init__(self, text: str) -> None:
        self.text = text

    def value(self, place: int, depth: int = 0) -> tuple[Any, int]:
        """The value that starts at `place` and where it ends."""
        match = self._token(place)
        kind, token = match.lastgroup, match[match.lastgroup or 0]
        if kind == "text":
            return _unescaped(token), match.end()
        if kind == "number":
            return _number(token, match), match.end()
        if kind == "word":
            if token not in _WORDS:
                raise _Broken(match.start(kind))
            return _WORDS[token], match.end()
        if depth >= MAX_DEPTH:
            raise _Broken(len(self.text))
        if token == "{":
            return self._object(match.end(), depth + 1)
        if token == "[":
            return self._array(match.end(), depth + 1)
        raise _Broken(match.start("mark"))

    def _object(self, place: int, depth: int) -> tuple[dict[str, Any], int]:
        pairs: list[tuple[str, Any]] = []
        while True:
            match = self._token(place)
            kind, token = match.lastgroup, match[match.lastgroup or 0]
            if token == "}" and kind == "mark":
                return _unique(pairs), match.end()
            if kind not in ("text", "word"):
                raise _Broken(match.start(kind or 0))
            key = _unescaped(token) if kind == "text" else token
            value, place = self.value(self._mark(match.end(), ":").end(), depth)
            pairs.append((key, value))
            match = self._mark(place, ",}")
            place = match.end()
            if match["mark"] == "}":
                return _unique(pairs), place

    def _array(self, place: int, depth: int) -> tuple[list[Any], int]:
        items: list[Any] = []
        while True:
            match = self._token(place)
            if match["mark"] == "]":
                return items, match.end()
            value, place = self.value(place, depth)
            items.append(value)
            match = self._mark(place, ",]")
            place = match.end()
            if match["mark"] == "]":
                return items, place

    def _token(self, place: int) -> re.Match[str]:
        match = _TOKEN.match(self.text, place)
        return match or self._fail(place)

    def _mark(self, place: int, allowed: str) -> re.Match[str]:
        match = self._token(place)
        if match["mark"] is None or match["mark"] not in allowed:
            raise _Broken(match.start(match.lastgroup or 0))
        return match

    def _fail(self, place: int) -> NoReturn:
        raise _Broken(place)


def _number(token: str, match: re.Match[str]) -> Any:
    try:
        return int(token)
    except ValueError:
        if token.lstrip("-+").isdigit():  # more digits than Python converts
            raise _Broken(match.end()) from None
        return Number(token)


def _unescaped(token: str) -> str:
    """The text of a quoted token; an escape that JSON does not know stands for itself, as in "\\d"."""

    def one(match: re.Match[str]) -> str:
        code = match[1]
        return chr(int(code[1:], 16)) if len(code) > 1 else _ESCAPES.get(code, match[0])

    inner = _ESCAPE.sub(one, token[1:-1]) if "\\" in token else token[1:-1]
    if not any("\ud800" <= char <= "\udfff" for char in inner):
        return inner
    return inner.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")

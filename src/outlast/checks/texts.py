"""The texts inside a value of a field: where each stands, its characters made plain, the value with other texts."""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, time
from decimal import Decimal
from enum import Enum
from typing import Any, NamedTuple, cast
from uuid import UUID

from outlast.errors import UsageError, brief
from outlast.types import Media

_DEEPEST = 60
_PLAIN_NAME = re.compile(r"[A-Za-z_]\w{0,40}")
_SAID = int | float | Decimal | date | time | UUID
_UNSEEN = re.compile("[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f"
                     "\u3164\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e0fff]")  # fmt: skip


class Unfit(Exception):
    """A text that a change would alter stands for something else than text, such as a number."""


def texts_in(name: str, value: Any, check: str = "") -> Iterator[tuple[str, str]]:
    """Every text in a value and its place: `answer`, `answer[2]`, `answer.city`. Numbers and dates are read as text.

    With the name of a `check`, raises `UsageError` for what holds no text that could be looked at, such as an image:
    it would pass unseen. Else that is left out.
    """
    yield from _texts(name, value, check, 0)


def _texts(place: str, value: Any, check: str, depth: int) -> Iterator[tuple[str, str]]:
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, str):
        yield place, str(value)
    elif isinstance(value, Enum):
        yield from _texts(place, value.value, check, depth + 1)
    elif isinstance(value, _SAID):
        yield place, str(value)
    else:
        parts = _parts(value) if depth < _DEEPEST else None
        if parts is None and check:
            rule = f"is nested more than {_DEEPEST} deep" if depth >= _DEEPEST else f"is {brief(value)}"
            raise UsageError(f"check {check!r} looks at text, and at what holds text; {place!r} {rule}")
        for key, part in parts or ():
            yield from _texts(f"{place}{key}", part, check, depth + 1)


def _parts(value: Any) -> list[tuple[str, Any]] | None:
    if isinstance(value, Mapping):
        found: list[tuple[str, Any]] = []
        for number, (key, part) in enumerate(cast("Mapping[Any, Any]", value).items()):
            found += [(f" (key {number + 1})", key), (_step(key, number), part)]
        return found
    if isinstance(value, list | tuple | set | frozenset):
        return [(f"[{number}]", part) for number, part in enumerate(cast("Iterable[Any]", value))]
    if isinstance(value, Media | type):
        return None
    return [(f".{name}", getattr(value, name)) for name in names] if (names := _names(value)) else None


def _names(value: Any) -> tuple[str, ...]:
    """The names of the fields of a record: a dataclass or a pydantic model."""
    if dataclasses.is_dataclass(value):
        return tuple(field.name for field in dataclasses.fields(value) if field.init)
    names = getattr(cast("Any", type(value)), "model_fields", None)
    return tuple(cast("Mapping[str, Any]", names)) if isinstance(names, Mapping) else ()


def _step(key: Any, number: int) -> str:
    """How an entry is told: its key, unless that may itself be what must not be told."""
    return f".{key}" if isinstance(key, str) and _PLAIN_NAME.fullmatch(key) else f"[{number}]"


def with_texts(value: Any, change: Callable[[str], str]) -> Any:
    """The value with every text changed. Raises `Unfit` where that would alter a number, a date, a choice."""
    if value is None or isinstance(value, bool):
        return value
    if type(value) is str:
        return change(value)
    if isinstance(value, str | Enum | _SAID):
        said = str(value.value) if isinstance(value, Enum) else str(value)
        if change(said) != said:
            raise Unfit
        return value
    if isinstance(value, Mapping):
        given = cast("Mapping[Any, Any]", value)
        entries = {with_texts(key, change): with_texts(part, change) for key, part in given.items()}
        return _like(value, entries)
    if isinstance(value, list | tuple | set | frozenset):
        items = [with_texts(part, change) for part in cast("Iterable[Any]", value)]
        return _like(value, *items) if hasattr(cast("Any", value), "_fields") else _like(value, items)
    changes = {name: with_texts(getattr(value, name), change) for name in _names(value)}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.replace(value, **changes)
    return cast("Any", value).model_copy(update=changes)


def _like(value: Any, *parts: Any) -> Any:
    """One of the type of `value`, of other parts."""
    return type(value)(*parts)


class Plain(NamedTuple):
    """A text with its characters made plain; `offsets` say where each came from, None where nothing was left out."""

    text: str
    offsets: list[int] | None

    def place(self, start: int, end: int) -> tuple[int, int]:
        """Where characters `start` to `end` of the plain text stand in the text as it was."""
        if self.offsets is None or start >= end:
            return start, end
        return self.offsets[start], self.offsets[end - 1] + 1


def plain(text: str) -> Plain:
    """Digits of every script, full-width letters, dashes and spaces as ASCII; characters that nobody sees left out.

    What is written to be read by people and models, but not by patterns, reads the same to all then. Linear in the
    text.
    """
    if text.isascii():
        return Plain(text, None)
    offsets: list[int] | None = None
    if _UNSEEN.search(text):
        unseen = {found.start() for found in _UNSEEN.finditer(text)}
        offsets = [place for place in range(len(text)) if place not in unseen]
        text = _UNSEEN.sub("", text)
    return Plain(text.translate(_Plainly()), offsets)


class _Plainly(dict[int, int]):
    """What a character is written as, found when it is first met."""

    def __missing__(self, code: int) -> int:
        self[code] = made = _plain_character(code)
        return made


def _plain_character(code: int) -> int:
    if code < 128:
        return code
    if 0xFF01 <= code <= 0xFF5E:
        return code - 0xFEE0
    character = chr(code)
    digit = unicodedata.decimal(character, None)
    if digit is not None:
        return 48 + digit
    match unicodedata.category(character):
        case "Zs":
            return 32
        case "Pd":
            return 45
        case _:
            return 45 if code == 0x2212 else code

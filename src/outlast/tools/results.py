"""What a tool returned, whatever it is, as JSON data and as a text of bounded length, with a bounded amount of work."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from itertools import islice
from pathlib import PurePath
from typing import Any, cast
from uuid import UUID

from outlast.errors import brief
from outlast.signatures.record import Record, outputs_of
from outlast.types import Media

MOST_CHARACTERS = 4 << 20  # of text in a result
MOST_VALUES = 100_000
MOST_LEVELS = 100
_PLAIN = ("builtins", "collections")  # modules
_MOST_BITS = 14_000  # of an integer: Python writes no more than 4,300 digits
_UNSENDABLE = re.compile("[\x00\ud800-\udfff]")  # in a text for a model: JSON APIs refuse them


@dataclass(frozen=True, slots=True)
class Shown:
    """A result: `data` is JSON data, `text` what the model sees; `cut` says that the text is not all of it, `partial`
    that the data is not."""

    data: Any
    text: str
    cut: bool = False
    partial: bool = False


def shown(value: Any, limit: int) -> Shown:
    """A result as data and as a text of `limit` characters, and a notice when that is not all.

    Raises what an iterator raises: its code is that of the tool.
    """
    if isinstance(value, str) and not isinstance(value, Enum):
        value = str.__str__(value)
        data = value if len(value) <= MOST_CHARACTERS else value[:MOST_CHARACTERS]
        text, cut = told(value, limit)
        return Shown(_sendable(data), text, cut, len(value) > MOST_CHARACTERS)
    reader = _Reader()
    data = reader.items(cast("Iterator[Any]", value)) if isinstance(value, Iterator) else reader.data(value)
    written = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    if not reader.partial:
        return Shown(data, *told(written, limit), False)
    cut = _sendable(written[:limit])
    return Shown(data, f"{cut}\n(cut here: the result is far longer)", True, True)


def told(text: str, limit: int) -> tuple[str, bool]:
    """A text for a model, cut to `limit` characters and a notice of how many are missing; and whether it was."""
    if len(text) <= limit:
        return _sendable(text), False
    missing = len(text) - limit
    return f"{_sendable(text[:limit])}\n(cut here: {missing:,} of {len(text):,} characters are missing)", True


def _sendable(text: str) -> str:
    return text if text.isascii() and "\0" not in text else _UNSENDABLE.sub("\ufffd", text)


class _Reader:
    """Reads one value; stops after so many values and characters."""

    def __init__(self) -> None:
        self.partial = False
        self._values = MOST_VALUES
        self._characters = MOST_CHARACTERS
        self._open: set[int] = set()  # to find what holds itself

    def data(self, value: Any) -> Any:
        """The value as JSON data."""
        self._values -= 1
        if self._values < 0:
            self.partial = True
            return None
        if value is None or value is True or value is False:
            return value
        if type(value) is str:
            return self._text(value)
        if type(value) is int:
            return value if value.bit_length() < _MOST_BITS else f"<an integer of {value.bit_length():,} bits>"
        if type(value) is float:
            return value if math.isfinite(value) else str(value)
        if id(value) in self._open:
            return "<the same as above, which holds it>"
        if len(self._open) >= MOST_LEVELS:
            self.partial = True
            return "<nested too deeply>"
        self._open.add(id(value))
        try:
            return self._other(value)
        except Exception:  # of the value's own code
            return self._text(brief(value, 1_000))
        finally:
            self._open.discard(id(value))

    def _text(self, text: str) -> str:
        left = max(self._characters, 0)
        self._characters -= len(text)
        if len(text) > left:
            self.partial = True
            text = text[:left]
        return _sendable(text)

    def _other(self, value: Any) -> Any:
        for kinds, read in _READERS:
            if isinstance(value, kinds):
                return read(self, value)
        if hasattr(value, "__prompt__"):
            return self._prompt(value)
        if is_dataclass(value):
            return {f.name: self.data(getattr(value, f.name)) for f in fields(value)}
        if hasattr(value, "model_dump") and hasattr(value, "__pydantic_fields_set__"):
            return self._model(value)
        if hasattr(value, "tolist") and hasattr(value, "size"):
            return self._array(value)
        if isinstance(value, Iterable) and _is_plain(cast("Iterable[Any]", value)):
            return self.items(cast("Iterable[Any]", value))
        return self._text(str(cast("object", value)))

    def mapping(self, value: Mapping[Any, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, item in value.items():
            if self._values <= 0:
                self.partial = True
                break
            found[self._text(self._key(key))] = self.data(item)
        return found

    def _key(self, key: Any) -> str:
        if isinstance(key, str):
            return str(key)
        plain = self.data(key)
        return plain if isinstance(plain, str) else json.dumps(plain)

    def items(self, values: Iterable[Any]) -> list[Any]:
        """A list, or as much of an endless one as is allowed."""
        found: list[Any] = []
        for item in values:
            if self._values <= 0:
                self.partial = True
                break
            found.append(self.data(item))
        return found

    def _prompt(self, value: Any) -> str:
        written = value.__prompt__()
        if isinstance(written, str):
            return self._text(written)
        return self._text("".join(one if isinstance(one, str) else _piece(one) for one in written))

    def _model(self, value: Any) -> Any:
        """A pydantic model as it writes itself, once it is known not to be too big."""
        if _is_small(value, self._values, self._characters):
            return self.data(value.model_dump(mode="json"))
        names = cast("Iterable[str]", cast("Any", type(value)).model_fields)
        return self.mapping({name: getattr(value, name) for name in names})

    def _array(self, value: Any) -> Any:
        if value.size > self._values:
            self.partial = True
            return self._text(brief(value, 1_000))
        return self.data(value.tolist())


def _is_plain(value: Iterable[Any]) -> bool:
    """False for what says better itself what it holds, such as a table."""
    kind = cast("type[Any]", type(value))
    return isinstance(value, Iterator) or kind.__module__ in _PLAIN or kind.__repr__ is object.__repr__


def _piece(value: Any) -> str:
    return _medium(value) if isinstance(value, Media) else str(getattr(value, "text", value))


def _medium(value: Media) -> str:
    held = "at an address" if value.data is None else f"{len(value.data):,} bytes"
    return f"<{' '.join(word for word in (value.mime, value.name) if word)}, {held}, which cannot be shown here>"


def _binary(value: Any) -> str:
    return f"<{memoryview(value).nbytes:,} bytes of binary data>"


def _is_small(value: Any, values: int, characters: int) -> bool:
    """Whether all that a model holds is within bounds, counted without writing it."""
    stack: list[Any] = [value]
    while stack:
        one = stack.pop()
        values -= 1
        if isinstance(one, (str, bytes)):
            characters -= len(one)
        elif isinstance(one, Mapping):
            stack.extend(islice(cast("Mapping[Any, Any]", one).values(), max(values, 0) + 1))
        elif isinstance(one, (list, tuple, Set)):
            stack.extend(islice(cast("Iterable[Any]", one), max(values, 0) + 1))
        elif hasattr(one, "__dict__"):
            stack.extend(cast("dict[str, Any]", vars(one)).values())
        if values < 0 or characters < 0:
            return False
    return True


_READERS: tuple[tuple[Any, Callable[[_Reader, Any], Any]], ...] = (
    (Enum, lambda reader, value: reader.data(value.value)),
    (str, lambda reader, value: reader._text(str.__str__(value))),
    (Mapping, lambda reader, value: reader.mapping(value)),
    ((list, tuple, Set), lambda reader, value: reader.items(value)),
    (Record, lambda reader, value: reader.data(_outputs(value))),
    (bool, lambda reader, value: bool(value)),
    (int, lambda reader, value: reader.data(int(value))),
    (float, lambda reader, value: reader.data(float(value))),
    ((date, datetime, time), lambda reader, value: value.isoformat()),
    ((timedelta, Decimal, Fraction, UUID, PurePath, complex), lambda reader, value: str(value)),
    ((bytes, bytearray, memoryview), lambda reader, value: _binary(value)),
    (Media, lambda reader, value: _medium(value)),
    (type, lambda reader, value: value.__name__),
    (BaseException, lambda reader, value: reader._text(f"{type(value).__name__}: {value}")),
)


def _outputs(record: Record) -> Any:
    """The outputs of a program; of one that has a single one, that."""
    found = outputs_of(record)
    return next(iter(found.values())) if len(found) == 1 else found

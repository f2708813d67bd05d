"""The normal form of an answer: what two answers that mean the same have in common."""

from __future__ import annotations

import dataclasses
import json
import re
import unicodedata
from collections.abc import Mapping
from decimal import Decimal
from enum import Enum
from typing import Any, cast

from outlast.errors import brief
from outlast.signatures.record import Record, outputs_of

_WIDE = re.compile("[\u3000\uff01-\uffee]+")  # full-width and half-width forms: the same characters, other widths
_NUMERAL = re.compile(r"[-+]?(?:0|[1-9]\d{0,40}|[1-9]\d{0,2}(?:,\d{3}){1,12})(?:\.\d{1,40})?")
_DEEPEST = 40


def plain_text(text: str) -> str:
    """Text without regard to case, to full or half width, and to outer and repeated white space, in Unicode NFC."""
    narrow = _WIDE.sub(lambda found: unicodedata.normalize("NFKC", found.group()), text)
    return " ".join(unicodedata.normalize("NFC", unicodedata.normalize("NFC", narrow).casefold()).split())


def normal_form(value: Any) -> str:
    """A text that is equal for values that mean the same.

    Text counts as `plain_text`, and as its number when it is nothing but one: "1,234.0" is 1234. A record counts by its
    outputs, a single one by its value; sets have no order; models, dataclasses and enums count as their JSON. Never
    raises.
    """
    try:
        return json.dumps(_form(value, 0), ensure_ascii=False, sort_keys=True)
    except (TypeError, ValueError, RecursionError):
        return brief(value, 10_000)


def spelled(value: Any) -> str:
    """An answer as a person would write it."""
    value = _alone(value)
    if isinstance(value, str):
        return value
    try:
        return json.dumps(_jsonable(value), ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return brief(value, 10_000)


def _alone(value: Any) -> Any:
    """The outputs of a record; the value of the only one."""
    if not isinstance(value, Record):
        return value
    outputs = outputs_of(value)
    return next(iter(outputs.values())) if len(outputs) == 1 else outputs


def _form(value: Any, depth: int) -> Any:
    value = _alone(value)
    if depth > _DEEPEST:
        return brief(value, 2000)
    if isinstance(value, Enum):
        value = value.value
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        text = plain_text(value)
        return _number(Decimal(text.replace(",", ""))) if _NUMERAL.fullmatch(text) else text
    if isinstance(value, int | float | Decimal):
        number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
        return _number(number) if number.is_finite() else str(number).lower()
    if isinstance(value, list | tuple):
        return [_form(item, depth + 1) for item in cast("list[Any]", value)]
    if isinstance(value, set | frozenset):
        return sorted((_form(item, depth + 1) for item in cast("set[Any]", value)), key=repr)
    if isinstance(value, Mapping):
        items = cast("Mapping[Any, Any]", value).items()
        return {str(key): _form(item, depth + 1) for key, item in items}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _form(getattr(value, f.name), depth + 1) for f in dataclasses.fields(value)}
    return _form(_jsonable(value), depth + 1)


def _number(number: Decimal) -> dict[str, str]:
    """Apart from any text: a number is an object of one key."""
    if not number:
        return {"=": "0"}
    plain = format(number, "f")
    return {"=": plain.rstrip("0").rstrip(".") if "." in plain else plain}


def _jsonable(value: Any) -> Any:
    from pydantic_core import to_jsonable_python

    return to_jsonable_python(value, fallback=lambda item: brief(item, 2000))

"""The JSON form of a value, by which examples are hashed and rows are written."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from datetime import date, time
from enum import Enum
from hashlib import blake2b
from typing import Any, cast

from outlast.errors import DataError, brief
from outlast.messages import canonical
from outlast.types.shown import FieldType, is_read, is_shown, stored

_PLAIN = frozenset({str, int, bool, type(None)})


def json_form(value: Any, *, lenient: bool = False) -> Any:
    """`value` as what JSON can hold: the same for equal values, in every process.

    Models, dataclasses and records become objects, sets sorted arrays, enums their values, dates ISO text,
    bytes base64. Raises `DataError` for what has no such form: NaN, infinity, cycles, objects of unknown
    kind. With `lenient` those become text instead and nothing raises, for values that a model or a user's
    program made.
    """
    try:
        return _form(value, lenient)
    except RecursionError:
        if lenient:
            return brief(value)
        raise DataError(
            f"a {type(value).__name__} is nested too deeply, or holds itself: it has no JSON form"
        ) from None


def content_hash(data: Any) -> str:
    """32 hexadecimal digits (blake2b) of the canonical JSON of JSON-ready data."""
    return blake2b(canonical(data), digest_size=16).hexdigest()


def _form(value: Any, lenient: bool) -> Any:
    kind = cast("type[Any]", type(value))
    if kind in _PLAIN:
        return value
    if kind is dict:
        return {_key(key, lenient): _form(item, lenient) for key, item in value.items()}
    if kind is list or kind is tuple:
        return [_form(item, lenient) for item in value]
    if kind is float:
        return _float(value, lenient)
    return _rare(value, lenient)


def _float(value: float, lenient: bool) -> Any:
    if math.isfinite(value):
        return value
    if lenient:
        return repr(value)
    raise DataError(f"{value!r} has no JSON form; write None for a value that is missing")


def _key(key: Any, lenient: bool) -> str:
    if type(key) is str:
        return key
    form = _form(key, lenient)
    return form if isinstance(form, str) else canonical(form).decode()


def _rare(value: Any, lenient: bool) -> Any:
    if isinstance(value, Enum):
        return _form(value.value, lenient)
    if isinstance(value, FieldType):
        return _form(value.to_json(), lenient)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return _float(float(value), lenient)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Mapping):
        items = cast("Mapping[Any, Any]", value).items()
        return {_key(key, lenient): _form(item, lenient) for key, item in items}
    if isinstance(value, list | tuple):
        return [_form(item, lenient) for item in cast("list[Any]", value)]
    if isinstance(value, set | frozenset):
        return sorted((_form(item, lenient) for item in cast("set[Any]", value)), key=canonical)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _form(getattr(value, f.name), lenient) for f in dataclasses.fields(value)}
    return _foreign(value, lenient)


def _foreign(value: Any, lenient: bool) -> Any:
    """Objects of other libraries: pydantic models, numpy scalars and arrays, and what pydantic can write."""
    from pydantic import BaseModel
    from pydantic_core import to_jsonable_python

    from outlast.signatures.record import Record, fields_of

    if isinstance(value, Record):
        return _form(fields_of(value), lenient)
    try:
        if isinstance(value, BaseModel):
            return _form(value.model_dump(), lenient)
        if is_shown(type(value)) and is_read(type(value)):
            return stored(value)
        if type(value).__module__.partition(".")[0] == "numpy":
            return _form(value.tolist(), lenient)
        return _form(to_jsonable_python(value, bytes_mode="base64"), lenient)
    except DataError:
        raise
    except Exception as error:
        if lenient:
            return brief(value, 2000)
        raise DataError(
            f"a {type(value).__name__} has no JSON form: {brief(value)}. Use values that JSON can hold, or "
            f"pydantic models, dataclasses, enums, dates."
        ) from error

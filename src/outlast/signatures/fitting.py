"""What pydantic would take for another kind, read as what it says: exact numbers, and no dates made of numbers."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal, cast

from outlast.errors import brief
from outlast.signatures.choices import Choices, choices_of, raw
from outlast.signatures.jsontext import Number
from outlast.signatures.walking import Misfit, Step, walk
from outlast.signatures.wording import words_of_kind

_NUMBER = re.compile(r"[-+]?[\d.]++([eE][-+]?\d++)?")
_TEMPORAL = ("date", "datetime", "time", "timedelta")
_MOST_DIGITS = 4_000  # of an integer, which Python converts from text


def fitting(schema: Mapping[str, Any]) -> Step | None:
    """A function that makes JSON data fit a type more exactly than pydantic does; None when there is nothing to do.

    Decimals and whole numbers keep their digits, closed types are read as forgivingly as alone, and what another
    kind is refused with `Misfit`: true for a number, a number for a date, NaN and infinities for a number whose type
    does not allow them with `AllowInfNan(True)`.
    """
    return walk(schema, _leaf)


def ordering(schema: Mapping[str, Any]) -> Step | None:
    """A function that puts the items of sets in dumped data in the order of their JSON; None when there are no sets."""
    return walk(schema, lambda node: _sorted if node["type"] in ("set", "frozenset") else None)


def _sorted(data: Any) -> Any:
    if not isinstance(data, list):
        return data
    return sorted(cast("list[Any]", data), key=lambda item: json.dumps(item, sort_keys=True))


def _leaf(node: Mapping[str, Any]) -> Step | None:
    kind = node["type"]
    if kind == "decimal":
        return _decimal
    if kind == "int":
        return _int
    if kind == "float":
        return _any_float if node.get("allow_inf_nan") is True else _float
    if kind in _TEMPORAL:
        return lambda data: _temporal(kind, data)
    if kind == "literal":
        return _closed(choices_of(Literal[tuple(node["expected"])]))
    if kind == "enum":
        return _closed(choices_of(node["cls"]))
    return None


def _refuse(kind: str, data: Any) -> Misfit:
    shown = brief(data) if isinstance(data, str) else json.dumps(data)
    return Misfit(f"must be {words_of_kind(kind)}; got {shown}")


def _decimal(data: Any) -> Any:
    if isinstance(data, bool):
        raise _refuse("decimal", data)
    if isinstance(data, Number):
        return data.text
    return str(data) if isinstance(data, float) or (isinstance(data, int) and data.bit_length() > 63) else data


def _int(data: Any) -> Any:
    if isinstance(data, bool):
        raise _refuse("int", data)
    if isinstance(data, Number):
        exact = Decimal(data.text) if math.isfinite(data) else Decimal("NaN")
        if exact.is_finite() and abs(exact.adjusted()) < _MOST_DIGITS and exact == exact.to_integral_value():
            return int(exact)
        raise Misfit(f"must be {words_of_kind('int')}; got {brief(data.text)}")
    return data


def _any_float(data: Any) -> Any:
    if isinstance(data, bool):
        raise _refuse("float", data)
    return data


def _float(data: Any) -> Any:
    if isinstance(data, Number) or (isinstance(data, str) and len(data) < _MOST_DIGITS):
        try:
            finite = math.isfinite(float(data))
        except ValueError:
            return data
        if not finite:
            shown = data.text if isinstance(data, Number) else str(data)
            raise Misfit(f"must be a finite number; got {brief(shown)}")
    return _any_float(data)


def _temporal(kind: str, data: Any) -> Any:
    if isinstance(data, (int, float)) or (isinstance(data, str) and _NUMBER.fullmatch(data.strip())):
        raise _refuse(kind, data)
    return data


def _closed(choices: Choices | None) -> Step | None:
    if choices is None:
        return None

    def find(data: Any) -> Any:
        if isinstance(data, (list, dict)):
            return cast("Any", data)
        found = choices.find(data if isinstance(data, str) else json.dumps(data))
        if found is None:
            raise Misfit(f"must be one of: {', '.join(choices.spelled())}; got {brief(data)}")
        return raw(found[0])

    return find

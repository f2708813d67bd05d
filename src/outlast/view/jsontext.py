"""JSON that a person typed, read strictly: what a data set could not hold is refused in words for who typed it."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from outlast.errors import UsageError, brief

DEEPEST = 40  # lists and objects inside each other
DIGITS = 300  # of a whole number: of so many each has a nearest float
_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"?')


def read_json(name: str, text: str) -> Any:
    """What somebody wrote as the value of `name`. Raises `UsageError` for what is no JSON, and for what cannot be kept
    as it was meant: a name twice in one object, a number beyond what can be told apart, lists 40 deep."""
    if _depth(text) > DEEPEST:
        raise UsageError(f"{name!r} has lists and objects more than {DEEPEST} deep inside each other")
    try:
        return json.loads(
            text, parse_constant=_constant, parse_float=_float, parse_int=_integer, object_pairs_hook=_object
        )
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise UsageError(f"{name!r} is no JSON: {error.msg[:1].lower()}{error.msg[1:]} at {where}") from None
    except _Refused as error:
        raise UsageError(f"{name!r} cannot be kept: {error}") from None


class _Refused(Exception):
    """JSON that says what no value can hold."""


def _depth(text: str) -> int:
    """How deep the brackets stand inside each other, as far as the text has JSON at all."""
    deepest = depth = 0
    for sign in _TEXT.sub("", text):
        if sign in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif sign in "]}":
            depth -= 1
    return deepest


def _constant(word: str) -> Any:
    raise _Refused(f"{word} is no number of JSON")


def _float(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise _Refused(f"{brief(digits)[1:-1]} is too large a number")
    return number


def _integer(digits: str) -> int:
    if len(digits) > DIGITS:
        raise _Refused(f"a number of {len(digits.lstrip('-')):,} digits is too large")
    return int(digits)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for place, name in enumerate(names) if name in names[:place])
        raise _Refused(f"{brief(twice)} stands twice in one object")
    return found

"""What the signatures of a stored program say of an output: its JSON schema, and in what a value does not fit it.

A schema comes out of a store, which others may have written: it is read as data, and its patterns are never run.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from outlast.errors import brief

_CUTS = 20
_DEEPEST = 40
_MOST = 8  # troubles that are told of one value
_KINDS: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "null": (type(None),),
}
_WORDS = {
    "object": "an object",
    "array": "a list",
    "string": "a text",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "null": "null",
}


def table(value: Any) -> Mapping[str, Any]:
    """The value if it is a mapping, else an empty one."""
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def schemas_in(shape: Mapping[str, Any]) -> dict[str, list[Mapping[str, Any]]]:
    """The schemas of the outputs in the shape of a program, by name; several modules may have one of a name."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for module in table(shape.get("modules")).values():
        for name, line in table(table(table(module).get("signature")).get("fields")).items():
            if schema := schema_in(str(name), str(line)):
                found.setdefault(str(name), []).append(schema)
    return found


def schema_in(name: str, line: str) -> Mapping[str, Any]:
    """The schema in the line that a signature keeps of a field: `output team: {'enum': [...]} | description`; {} for
    another field and for a type without one."""
    start = f"output {name}: "
    if not line.startswith(f"{start}{{"):
        return {}
    pieces = line.removeprefix(start).split(" | ", _CUTS)
    for count in range(1, len(pieces) + 1):
        text = " | ".join(pieces[:count])
        for end in filter(None, (text, text.rpartition(" = ")[0])):  # a default stands after it
            try:
                return table(ast.literal_eval(end))
            except (ValueError, SyntaxError, MemoryError, RecursionError):
                continue
    return {}


def choices_in(schema: Any) -> tuple[Any, ...]:
    """What a schema of a closed type allows, without null; () for an open one."""
    told = table(schema)
    if isinstance(told.get("enum"), list):
        return tuple(one for one in told["enum"] if isinstance(one, str | int | float))
    if "const" in told:
        return (told["const"],) if isinstance(told["const"], str | int | float) else ()
    found: list[Any] = []
    for part in cast("list[Any]", told.get("anyOf") or []):
        inner = choices_in(part)
        if not inner and table(part).get("type") != "null":
            return ()
        found += inner
    return tuple(found)


def misfits(schema: Mapping[str, Any], value: Any, *, closed: bool = False) -> list[str]:
    """In what a value does not fit a schema, in words, the first 8; [] where it fits. What is in no schema of a
    signature (such as conditions) is not looked at, and no pattern is tried. With `closed` an object has no fields but
    those that the schema lists, where it lists some and does not allow others: a type would drop them unseen."""
    found: list[str] = []
    for trouble in _Check(schema, closed).wrong(schema, value, "", 0):
        found.append(trouble)
        if len(found) == _MOST:
            break
    return found


class _Check:
    """Holds a value against a schema; `root` is where references lead."""

    def __init__(self, root: Mapping[str, Any], closed: bool) -> None:
        self.root = root
        self.closed = closed

    def wrong(self, schema: Any, value: Any, at: str, depth: int) -> Iterator[str]:
        told = self._resolved(schema)
        if depth > _DEEPEST or not told:
            return
        for every in _listed(told.get("allOf")):
            yield from self.wrong(every, value, at, depth + 1)
        if ways := _listed(told.get("anyOf")) or _listed(told.get("oneOf")):
            yield from self._one_of(ways, value, at, depth)
            return
        if trouble := self._alone(told, value):
            yield f"{at or 'it'} {trouble}"
        elif isinstance(value, dict):
            yield from self._object(told, cast("dict[str, Any]", value), at, depth)
        elif isinstance(value, list):
            yield from self._array(told, cast("list[Any]", value), at, depth)

    def _resolved(self, schema: Any) -> Mapping[str, Any]:
        told = table(schema)
        for _ in range(_DEEPEST):
            where = told.get("$ref")
            if not isinstance(where, str) or not where.startswith("#/"):
                return told
            place: Any = self.root
            for part in where[2:].split("/"):
                place = table(place).get(part.replace("~1", "/").replace("~0", "~"))
            told = table(place)
        return {}

    def _one_of(self, ways: Sequence[Any], value: Any, at: str, depth: int) -> Iterator[str]:
        """The troubles with the way that comes nearest: one of the value's own kind, with the fewest."""
        tried = [list(self.wrong(way, value, at, depth + 1)) for way in ways]
        if not all(tried):
            return
        kinds = [self._resolved(way).get("type") for way in ways]
        near = [some for some, kind in zip(tried, kinds, strict=True) if isinstance(kind, str) and _is(value, kind)]
        if near:
            yield from min(near, key=len)
            return
        words = " or ".join(dict.fromkeys(self._word(way) for way in ways))
        yield f"{at or 'it'} must be {words}; got {brief(value)}"

    def _word(self, schema: Any) -> str:
        told = self._resolved(schema)
        if values := choices_in(told):
            return "one of " + ", ".join(_said(one) for one in values)
        return _WORDS.get(str(told.get("type")), "something else")

    def _alone(self, told: Mapping[str, Any], value: Any) -> str:
        """What is wrong with a value whatever is inside it; "" where nothing is."""
        if isinstance(told.get("enum"), list) and not any(_same(value, one) for one in told["enum"]):
            return f"must be one of {', '.join(_said(one) for one in told['enum'])}; got {brief(value)}"
        if "const" in told and not _same(value, told["const"]):
            return f"must be {_said(told['const'])}; got {brief(value)}"
        kinds = [one for one in _listed(told.get("type")) or [told.get("type")] if isinstance(one, str)]
        if kinds and not any(_is(value, kind) for kind in kinds):
            return f"must be {' or '.join(_WORDS.get(kind, kind) for kind in kinds)}; got {brief(value)}"
        size = len(cast("Any", value)) if isinstance(value, str | list | dict) else value
        kind = "Length" if isinstance(value, str) else "Items" if isinstance(value, list) else "Properties"
        if isinstance(value, bool) or not isinstance(size, int | float):
            return ""
        if not isinstance(value, str | list | dict):
            return _out_of(told, size, ("minimum", "maximum"), "")
        unit = {"Length": " characters", "Items": " items", "Properties": " fields"}[kind]
        return _out_of(told, size, (f"min{kind}", f"max{kind}"), unit)

    def _object(self, told: Mapping[str, Any], value: Mapping[str, Any], at: str, depth: int) -> Iterator[str]:
        known = table(told.get("properties"))
        missing = [name for name in _listed(told.get("required")) if name not in value]
        if missing:
            yield f"{at or 'it'} lacks {', '.join(map(repr, missing))}"
        others = told.get("additionalProperties", not (self.closed and "properties" in told))
        for name, inner in value.items():
            place = f"{at}.{name}" if at else str(name)
            if name in known:
                yield from self.wrong(known[name], inner, place, depth + 1)
            elif others is False:
                yield f"{at or 'it'} has {name!r}, which is none of {', '.join(map(repr, known))}"
            else:
                yield from self.wrong(others, inner, place, depth + 1)

    def _array(self, told: Mapping[str, Any], value: Sequence[Any], at: str, depth: int) -> Iterator[str]:
        first = _listed(told.get("prefixItems"))
        for number, inner in enumerate(value):
            schema = first[number] if number < len(first) else told.get("items")
            yield from self.wrong(schema, inner, f"{at}[{number}]" if at else f"item {number}", depth + 1)
        if told.get("uniqueItems") and any(one in value[:place] for place, one in enumerate(value)):
            yield f"{at or 'it'} has an item twice"


def _out_of(told: Mapping[str, Any], size: float, names: tuple[str, str], unit: str) -> str:
    low, high = (told.get(name) for name in names)
    above, below = told.get("exclusiveMinimum"), told.get("exclusiveMaximum")
    got = f"; got {size:g}{unit}" if unit else f"; got {size:g}"
    if isinstance(low, int | float) and size < low:
        return f"must be {'at least ' if not unit else 'of at least '}{low:g}{unit}{got}"
    if isinstance(high, int | float) and size > high:
        return f"must be {'at most ' if not unit else 'of at most '}{high:g}{unit}{got}"
    if not unit and isinstance(above, int | float) and size <= above:
        return f"must be more than {above:g}{got}"
    if not unit and isinstance(below, int | float) and size >= below:
        return f"must be less than {below:g}{got}"
    return ""


def _listed(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, _KINDS.get(kind, (object,)))


def _same(value: Any, other: Any) -> bool:
    return isinstance(value, bool) == isinstance(other, bool) and value == other


def _said(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)

"""JSON schemas for the baseline: read from the words of a prompt, resolved, and the smallest value of one."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, cast

from outlast.lms.baseline.types import bounds_of, plain_number, read_type

Schema = Mapping[str, Any]

_MANY = 12  # an integer range of more values than this is a number, not a choice
_DEPTH = 12  # levels of a nested value that are filled

_LENGTHS = {"minimum": "minLength", "maximum": "maxLength"}
_SIMPLE: dict[str, Schema] = {
    "text": {"type": "string"},
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "true or false": {"type": "boolean"},
    "null": {"type": "null"},
    "date and time": {"type": "string", "format": "date-time"},
    "date": {"type": "string", "format": "date"},
    "time": {"type": "string", "format": "time"},
    "duration": {"type": "string", "format": "duration"},
}
_UNION = re.compile(rf"(?:{'|'.join(_SIMPLE)})(?: or (?:{'|'.join(_SIMPLE)}))+")
_SMALLEST = {
    "date": "1970-01-01",
    "date-time": "1970-01-01T00:00:00Z",
    "time": "00:00:00",
    "duration": "PT0S",
}


def schema_of(words: str) -> dict[str, Any]:
    """The JSON schema that a type in a prompt stands for, like `one of: "a", "b"` or `integer, 1 to 5`."""
    words = words.strip()
    lowered = words.lower()
    if lowered.startswith("one of"):
        return {"enum": _json_values(words[len("one of") :])}
    if lowered.startswith(("json", "array", "list", "object")):
        return _json_schema(words)
    if _UNION.fullmatch(lowered):
        names = re.findall("|".join(_SIMPLE), lowered)
        return {"anyOf": [dict(_SIMPLE[name]) for name in names]}
    kind = next((schema for name, schema in _SIMPLE.items() if lowered.startswith(name)), {"type": "string"})
    bounds = bounds_of(lowered.split("matching the pattern")[0])
    if kind["type"] in ("integer", "number"):
        return {**kind, **bounds}
    if kind == {"type": "string"}:
        return {**kind, **{_LENGTHS[key]: int(value) for key, value in bounds.items() if key in _LENGTHS}}
    return dict(kind)


def _json_schema(words: str) -> dict[str, Any]:
    compact = re.match(r"(?i)json of type (.+)", words, re.DOTALL)
    if compact:
        return read_type(compact[1])
    start = words.find("{")
    if start >= 0:
        try:
            found, _ = json.JSONDecoder().raw_decode(words, start)
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, dict):
            return cast("dict[str, Any]", found)
    rest = re.sub(r"(?i)^json\b[\s:,]*", "", words)
    if match := re.match(r"(?i)(?:array|list)(?: of (.+))?", rest):
        return {"type": "array", "items": schema_of(match[1]) if match[1] else {}}
    return {"type": "object"} if rest.lower().startswith("object") else {}


def _json_values(text: str) -> list[Any]:
    """The JSON values of a comma-separated list; what is no JSON counts as text."""
    decoder = json.JSONDecoder()
    values: list[Any] = []
    at = 0
    while (match := re.compile(r"[\s,:]*(?:or\s+)?").match(text, at)) and match.end() < len(text):
        at = match.end()
        try:
            value, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            end = text.find(",", at)
            end = len(text) if end < 0 else end
            value, at = text[at:end].strip(), end
        values.append(value)
    return values


def part(schema: Schema, key: str) -> Schema:
    """The mapping under a key, {} where there is none."""
    found = schema.get(key)
    return cast("Schema", found) if isinstance(found, Mapping) else {}


def listed(schema: Schema, key: str) -> list[Any]:
    """The list under a key, [] where there is none."""
    found = schema.get(key)
    return cast("list[Any]", found) if isinstance(found, list) else []


def count(schema: Schema, key: str) -> int | None:
    """The count under a key, None where there is none."""
    found = _number(schema.get(key))
    return None if found is None or found < 0 else int(found)


def _number(value: object) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return value if -1e300 < value < 1e300 else None


def resolve(schema: Schema, root: Schema) -> Schema:
    """The schema with `$ref` into `root` followed and `allOf` replaced by its first; never loops."""
    for _ in range(_DEPTH):
        target, whole = schema.get("$ref"), listed(schema, "allOf")
        if not isinstance(target, str) and not whole:
            return schema
        found = _at(root, target) if isinstance(target, str) else whole[0]
        rest = {key: value for key, value in schema.items() if key not in ("$ref", "allOf")}
        schema = {**cast("Schema", found), **rest} if isinstance(found, Mapping) else rest
    return {}


def _at(root: Schema, reference: str) -> Schema:
    node = root
    for key in reference.removeprefix("#").strip("/").split("/"):
        node = part(node, key.replace("~1", "/").replace("~0", "~"))
    return node


def branches(schema: Schema, root: Schema) -> list[Schema]:
    """The alternatives of a union, resolved; `type: [a, b]` is one too. What is no union is its only one."""
    options = listed(schema, "anyOf") or listed(schema, "oneOf")
    found = [resolve(cast("Schema", option), root) for option in options if isinstance(option, Mapping)]
    return found or [{**schema, "type": name} for name in listed(schema, "type")] or [schema]


def choices_of(schema: Schema, root: Schema, depth: int = 0) -> list[Any] | None:
    """All values that a schema allows, in order, when they are few; else None. Booleans do not count."""
    if "const" in schema:
        return [schema["const"]]
    if values := listed(schema, "enum"):
        return values
    if schema.get("type") == "null":
        return [None]
    if schema.get("type") == "integer":
        low, high = limits(schema)
        if low is None or high is None or not 0 <= high - low < _MANY or "multipleOf" in schema:
            return None
        return list(range(int(low), int(high) + 1))
    options = branches(schema, root)
    if len(options) < 2 or depth > _DEPTH:
        return None
    found: list[Any] = []
    for option in options:
        values = choices_of(option, root, depth + 1)
        if values is None:
            return None
        found += values
    return found


def limits(schema: Schema) -> tuple[float | None, float | None]:
    """The lowest and the highest number allowed, None where open. An exclusive bound is moved in a little."""
    whole = schema.get("type") == "integer"
    low, high = _number(schema.get("minimum")), _number(schema.get("maximum"))
    above, below = _number(schema.get("exclusiveMinimum")), _number(schema.get("exclusiveMaximum"))
    if above is not None:
        inside = math.floor(above) + 1 if whole else above + max(abs(above), 1.0) * 1e-6
        low = inside if low is None else max(low, inside)
    if below is not None:
        inside = math.ceil(below) - 1 if whole else below - max(abs(below), 1.0) * 1e-6
        high = inside if high is None else min(high, inside)
    if whole:
        low = None if low is None else math.ceil(low)
        high = None if high is None else math.floor(high)
    return low, high


def fit_number(value: float, schema: Schema) -> float:
    """The number allowed by the schema that is next to `value`; an int for an integer."""
    low, high = limits(schema)
    step = abs(_number(schema.get("multipleOf")) or 0)
    whole = schema.get("type") == "integer"
    value = math.floor(value + 0.5) if whole else round(value, 6)
    if step:
        value = round(round(value / step) * step, 10)
    if low is not None and value < low:
        value = round(math.ceil(low / step) * step, 10) if step else low
    if high is not None and value > high:
        value = round(math.floor(high / step) * step, 10) if step else high
    return int(value) if whole else plain_number(value)


def fit_text(text: str, schema: Schema) -> str:
    """The text, cut at a word or filled up with dots, so that its length is allowed."""
    longest, shortest = count(schema, "maxLength"), count(schema, "minLength")
    if longest is not None and len(text) > longest:
        cut = text[:longest]
        mid_word = not text[longest].isspace() and " " in cut.strip()
        text = (cut.rsplit(None, 1)[0] if mid_word else cut).rstrip()
    return text.ljust(shortest, ".") if shortest is not None and shortest < 1 << 16 else text


def minimal(schema: Schema, root: Schema, depth: int = 0) -> Any:
    """The smallest value that a schema allows: null, the first choice, false, 0, "", [], what is required."""
    schema = resolve(schema, root)
    choices = choices_of(schema, root)
    if choices:
        return None if None in choices else choices[0]
    options = branches(schema, root)
    if depth > _DEPTH or any(option.get("type") == "null" for option in options):
        return None
    schema = options[0]
    if len(options) > 1:
        return minimal(schema, root, depth + 1)
    match schema.get("type"):
        case "boolean":
            return False
        case "integer" | "number":
            return fit_number(0, schema)
        case "string":
            return fit_text(_SMALLEST.get(str(schema.get("format")), ""), schema)
        case "array":
            return _minimal_array(schema, root, depth)
        case _ if schema.get("type") == "object" or "properties" in schema:
            properties = part(schema, "properties")
            required = [name for name in listed(schema, "required") if isinstance(name, str)]
            return {name: minimal(part(properties, name), root, depth + 1) for name in required}
        case _:
            return None


def _minimal_array(schema: Schema, root: Schema, depth: int) -> list[Any]:
    fixed = [cast("Schema", kind) for kind in listed(schema, "prefixItems") if isinstance(kind, Mapping)]
    least = min(count(schema, "minItems") or 0, 1000)
    kinds = [*fixed, *[part(schema, "items")] * (least - len(fixed))]
    return [minimal(kind, root, depth + 1) for kind in kinds]

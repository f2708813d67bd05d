"""Types in words and as JSON schemas: what a model is told about a field."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, cast, get_args
from uuid import UUID

import annotated_types as at
from pydantic import TypeAdapter

from outlast.signatures.choices import is_union
from outlast.signatures.compact import compact_type

_WORDS: dict[Any, str] = {
    str: "text",
    int: "integer",
    float: "number",
    bool: "true or false",
    date: "date as YYYY-MM-DD",
    datetime: "date and time, ISO 8601",
    time: "time, ISO 8601",
    timedelta: "duration, ISO 8601",
    Decimal: "number",
    UUID: "UUID",
    type(None): "null",
}
_KINDS: dict[str, str] = {
    **{kind.__name__: words for kind, words in _WORDS.items() if kind in (date, datetime, time, timedelta)},
    "int": "a whole number",
    "float": "a number",
    "decimal": "a number",
}
_SIMPLE = {
    "string": "text",
    "integer": "integer",
    "number": "number",
    "boolean": "true or false",
    "null": "null",
}
_NAMED = ("properties", "$defs", "patternProperties", "dependentSchemas")  # their keys are names, not keywords
_DATA = ("default", "const", "enum", "examples")  # their content is data, not schema


def words_of_kind(kind: str) -> str:
    """The words for a kind of pydantic's core schema, such as "date"."""
    return _KINDS[kind]


def describe_type(
    base: Any, constraints: Iterable[Any], labels: Iterable[str] | None, schema: Mapping[str, Any] | None
) -> str:
    """A type in words, in one line: "integer, 1 to 5", 'one of: "a", "b"', "JSON of type {x: integer}".

    `labels` are the JSON texts of the values of a closed type.
    """
    if labels is not None:
        return "one of: " + ", ".join(labels)
    if base in _WORDS:
        return _WORDS[base] + _limits(constraints, schema or {} if base is str else {})
    parts = get_args(base) if is_union(base) else ()
    if parts and all(part in _WORDS for part in parts):
        return " or ".join(_WORDS[part] for part in parts)
    if schema is None:
        return getattr(base, "__name__", "value")
    return _schema_words(schema)


def json_schema(adapter: TypeAdapter[Any]) -> dict[str, Any] | None:
    """The JSON schema of a type without the titles that pydantic makes from names, or None when it has none."""
    try:
        return without_titles(adapter.json_schema())
    except Exception:  # pydantic raises several kinds for types that JSON cannot say
        return None


def without_titles(schema: Any) -> Any:
    """A schema without its titles; a property that is called "title" stays."""
    if isinstance(schema, list):
        return [without_titles(item) for item in cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    kept: dict[str, Any] = {}
    for key, item in cast("dict[str, Any]", schema).items():
        if key == "title" and isinstance(item, str):
            continue
        if key in _NAMED and isinstance(item, dict):
            named = cast("dict[str, Any]", item)
            kept[key] = {name: without_titles(value) for name, value in named.items()}
        else:
            kept[key] = item if key in _DATA else without_titles(item)
    return kept


def _schema_words(schema: Mapping[str, Any]) -> str:
    parts: list[dict[str, Any]] = schema.get("anyOf", [])
    if parts and all(set(part) == {"type"} and part["type"] in _SIMPLE for part in parts):
        return " or ".join(_SIMPLE[part["type"]] for part in parts)
    if schema.get("type") == "array" and set(schema) == {"type", "items"}:
        items: dict[str, Any] = schema["items"]
        if set(items) == {"type"}:
            return f"JSON: array of {items['type']}"
    compact = compact_type(schema)
    if compact is None:
        return "JSON matching the schema " + json.dumps(schema, ensure_ascii=False)
    return "any JSON value" if compact == "any" else f"JSON of type {compact}"


def _limits(constraints: Iterable[Any], text_schema: Mapping[str, Any]) -> str:
    low = high = ""
    rest: list[str] = []
    for item in _flat(constraints):
        match item:
            case at.Ge():
                low = str(item.ge)
            case at.Le():
                high = str(item.le)
            case at.Gt():
                rest.append(f"more than {item.gt}")
            case at.Lt():
                rest.append(f"less than {item.lt}")
            case at.MultipleOf():
                rest.append(f"a multiple of {item.multiple_of}")
            case at.MinLen():
                rest.append(f"at least {item.min_length} characters")
            case at.MaxLen():
                rest.append(f"at most {item.max_length} characters")
            case _:
                pass
    if low and high:
        rest.insert(0, f"{low} to {high}")
    elif low or high:
        rest.insert(0, f"at least {low}" if low else f"at most {high}")
    if "pattern" in text_schema:
        rest.append(f"matching the pattern {text_schema['pattern']}")
    return "".join(f", {text}" for text in rest)


def _flat(constraints: Iterable[Any]) -> list[Any]:
    flat: list[Any] = []
    for item in constraints:
        if isinstance(item, at.GroupedMetadata):
            flat.extend(item)
        elif hasattr(item, "metadata"):  # pydantic's Field(...) keeps its constraints there
            flat.extend(item.metadata)
        else:
            flat.append(item)
    return flat

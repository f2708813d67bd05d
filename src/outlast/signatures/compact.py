"""JSON schemas as compact types, in the manner of TypeScript: what a model is told about a nested type.

`{name: string /* as written */, parts?: Part[]}[]` takes a fraction of the tokens of the JSON schema that it stands
for, and reads more easily (the form is that of BAML's prompts).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, cast

Schema = Mapping[str, Any]

_WORDS = ("string", "integer", "number", "boolean", "null")
_TAKEN = (*_WORDS, "any", "where")
_FORMATS = {
    "date": "date as YYYY-MM-DD",
    "date-time": "date and time, ISO 8601",
    "time": "time, ISO 8601",
    "duration": "duration, ISO 8601",
}
_RANGES = (
    ("minimum", "maximum", "{} to {}"),
    ("minLength", "maxLength", "{} to {} characters"),
    ("minItems", "maxItems", "{} to {} items"),
)
_LIMITS = (
    ("minimum", "at least {}"),
    ("exclusiveMinimum", "more than {}"),
    ("maximum", "at most {}"),
    ("exclusiveMaximum", "less than {}"),
    ("multipleOf", "a multiple of {}"),
    ("minLength", "at least {} characters"),
    ("maxLength", "at most {} characters"),
    ("minItems", "at least {} items"),
    ("maxItems", "at most {} items"),
    ("minProperties", "at least {} keys"),
    ("maxProperties", "at most {} keys"),
)
_KNOWN = {key for key, _ in _LIMITS} | {
    *("$defs", "$ref", "title", "description", "default", "examples", "type", "enum", "const", "discriminator"),
    *("anyOf", "oneOf", "allOf", "properties", "required", "additionalProperties", "propertyNames", "items"),
    *("prefixItems", "uniqueItems", "format", "pattern", "contentEncoding"),
}
_KEY = re.compile(r"[^\W\d]\w*")
_REF = "#/$defs/"
_OFTEN = 1 << 30


class _Unsaid(Exception):
    """A schema that has no compact form."""


def compact_type(schema: Schema) -> str | None:
    """The compact form of a JSON schema, in one line, or None when it holds what the form cannot say.

    A definition that is used once stands where it is used; others follow after `where`.
    """
    try:
        return _Writer(schema).whole()
    except (_Unsaid, RecursionError):
        return None


class _Writer:
    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.definitions: Mapping[str, Schema] = schema.get("$defs", {})
        self.uses = dict.fromkeys(self.definitions, 0)
        self._count(schema, frozenset())
        self.names: dict[str, str] = {}
        self.written: dict[str, str] = {}

    def _count(self, node: Any, inside: frozenset[str]) -> None:
        """How often each definition is used; one that holds itself is used often."""
        if isinstance(node, list):
            for item in cast("list[Any]", node):
                self._count(item, inside)
        elif isinstance(node, dict):
            for key, item in cast("dict[str, Any]", node).items():
                if key == "$ref" and isinstance(item, str):
                    self._use(item.removeprefix(_REF), inside)
                elif key not in ("$defs", "discriminator", "default", "const", "enum", "examples"):
                    self._count(item, inside)

    def _use(self, name: str, inside: frozenset[str]) -> None:
        if name not in self.uses:
            raise _Unsaid
        self.uses[name] += 1
        if name in inside:  # it holds itself
            self.uses[name] = _OFTEN
        elif self.uses[name] == 1:
            self._count(self.definitions[name], inside | {name})

    def whole(self) -> str:
        text = self.type(self.schema)
        if not self.written:
            return text
        return f"{text} where " + "; ".join(f"{name} = {kind}" for name, kind in self.written.items())

    def type(self, node: Any) -> str:
        """A type with its notes behind it."""
        text, notes = self.parts(node)
        return text + _note(notes)

    def parts(self, node: Any) -> tuple[str, list[str]]:
        """A type and the notes on it."""
        if node is True:
            return "any", []
        if not isinstance(node, dict) or not cast("dict[str, Any]", node).keys() <= _KNOWN:
            raise _Unsaid
        schema = cast("dict[str, Any]", node)
        text, inner = self.bare(schema)
        return text, [*_limits(schema), *inner, *_told(schema)]

    def bare(self, schema: dict[str, Any]) -> tuple[str, list[str]]:
        """A type without its own notes, and the notes of what it stands for."""
        if "$ref" in schema:
            return self.reference(schema["$ref"].removeprefix(_REF))
        if "const" in schema:
            return json.dumps(schema["const"], ensure_ascii=False), []
        if "enum" in schema:
            return " | ".join(json.dumps(value, ensure_ascii=False) for value in schema["enum"]), []
        for key in ("anyOf", "oneOf"):
            if key in schema:
                return " | ".join(self.member(part) for part in schema[key]), []
        if "allOf" in schema:
            if len(schema["allOf"]) != 1:
                raise _Unsaid
            return self.parts(schema["allOf"][0])
        kind = schema.get("type")
        if kind == "array":
            return self.array(schema)
        if kind == "object":
            return self.object(schema), []
        if kind is None and not schema.keys() - {"description", "default", "title", "examples"}:
            return "any", []
        if kind not in _WORDS:
            raise _Unsaid
        return str(kind), []

    def reference(self, name: str) -> tuple[str, list[str]]:
        """A definition in its place, or its name when it is used more than once."""
        if self.uses[name] < 2:
            return self.parts(self.definitions[name])
        if name not in self.names:
            short = self.names[name] = self._free(name)
            self.written[short] = ""  # keeps its place before those that it holds
            self.written[short] = self.type(self.definitions[name])
        return self.names[name], []

    def _free(self, name: str) -> str:
        short = re.sub(r"\W++", "_", name).strip("_")
        short = short if _KEY.fullmatch(short) else f"T{short}"
        while short in _TAKEN or short in self.written:
            short += "_"
        return short

    def member(self, node: Any) -> str:
        """A part of a union; one with notes is in parentheses."""
        text, notes = self.parts(node)
        return f"({text}{_note(notes)})" if notes else text

    def array(self, schema: dict[str, Any]) -> tuple[str, list[str]]:
        if "prefixItems" in schema:
            fixed = cast("list[Any]", schema["prefixItems"])
            if not (schema.get("minItems") == schema.get("maxItems") == len(fixed)) or "items" in schema:
                raise _Unsaid
            return f"[{', '.join(self.type(item) for item in fixed)}]", []
        text, notes = self.parts(schema.get("items", True))
        plain = not notes and " | " not in _outside(text)
        return (f"{text}[]" if plain else f"({text}{_note(notes)})[]"), []

    def object(self, schema: dict[str, Any]) -> str:
        required: Iterable[str] = schema.get("required", ())
        lines = [
            f"{_key(name)}{'' if name in required else '?'}: {self.type(kind)}"
            for name, kind in cast("dict[str, Any]", schema.get("properties", {})).items()
        ]
        more = schema.get("additionalProperties", not lines)
        if more is not False:
            keys = schema.get("propertyNames")
            named = "string" if keys is None else self.type({**keys, "type": keys.get("type", "string")})
            if lines and more is True:
                raise _Unsaid
            lines.append(f"[key: {named}]: {self.type(more)}")
        return "{" + ", ".join(lines) + "}"


def _outside(text: str) -> str:
    """A type without what stands inside its brackets and quotes."""
    depth, kept, quoted, skip = 0, "", False, False
    for char in text:
        if quoted:
            quoted = skip or char != '"'
            skip = char == "\\" and not skip
        elif char == '"':
            quoted = True
        elif char in "{[(":
            depth += 1
        elif char in "}])":
            depth -= 1
        elif not depth:
            kept += char
    return kept


def _key(name: str) -> str:
    return name if _KEY.fullmatch(name) else json.dumps(name, ensure_ascii=False)


def _limits(schema: Schema) -> list[str]:
    skip = {"minItems", "maxItems"} if "prefixItems" in schema else set[str]()
    notes: list[str] = []
    for low, high, words in _RANGES:
        if low in schema and high in schema and schema[low] < schema[high] and low not in skip:
            notes.append(words.format(_plain(schema[low]), _plain(schema[high])))
            skip |= {low, high}
    notes += [words.format(_plain(schema[key])) for key, words in _LIMITS if key in schema and key not in skip]
    if schema.get("uniqueItems"):
        notes.append("no item twice")
    if "format" in schema:
        notes.append(_FORMATS.get(schema["format"], str(schema["format"])))
    if "contentEncoding" in schema:
        notes.append(str(schema["contentEncoding"]))
    if "pattern" in schema:
        notes.append(f"matching the pattern {schema['pattern']}")
    return [", ".join(notes)] if notes else []


def _told(schema: Schema) -> list[str]:
    notes: list[str] = []
    default = schema.get("default")
    if default not in (None, [], {}, ""):
        notes.append(f"default {json.dumps(default, ensure_ascii=False)}")
    if schema.get("examples"):
        notes.append("such as " + ", ".join(json.dumps(one, ensure_ascii=False) for one in schema["examples"]))
    if schema.get("description"):
        notes.append(str(schema["description"]))
    return notes


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 1e15 else value


def _note(notes: list[str]) -> str:
    """Notes as a comment that nothing in them can end."""
    text = " ".join("; ".join(notes).split()).replace("*/", "* /")
    return f" /* {text} */" if text else ""

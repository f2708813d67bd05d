"""Types as prompts spell them, read back by the baseline: limits in words, compact types as JSON schemas."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_NUMBER = r"-?\d+(?:\.\d+)?"
_BOUNDS = (
    (re.compile(rf"\b(?:at least|minimum|>=|no less than) ({_NUMBER})"), "minimum"),
    (re.compile(rf"\b(?:at most|maximum|<=|no more than|up to) ({_NUMBER})"), "maximum"),
    (re.compile(rf"(?<!no )\b(?:more than|above|greater than|over) ({_NUMBER})"), "exclusiveMinimum"),
    (re.compile(rf"(?<!no )\b(?:less than|below|under) ({_NUMBER})"), "exclusiveMaximum"),
    (re.compile(rf"\bmultiple of ({_NUMBER})"), "multipleOf"),
)
_RANGE = re.compile(rf"({_NUMBER})\s*(?:to|and|-|\u2013|\.\.)\s*({_NUMBER})")
_TOKEN = re.compile(
    r"\s*(?:(?P<note>/\*.*?\*/)|(?P<text>\"(?:[^\"\\]|\\.)*\")|(?P<number>-?\d[\d.]*(?:[eE][-+]?\d+)?)"
    r"|(?P<word>[^\W\d]\w*)|(?P<mark>\[\]|[{}()\[\]|,:;=?]))",
    re.DOTALL,
)
_WORDS: dict[str, dict[str, Any]] = {
    "any": {},
    **{name: {"type": name} for name in ("string", "integer", "number", "boolean", "null")},
    **{name: {"const": value} for name, value in (("true", True), ("false", False))},
}
_FORMATS = {"date as": "date", "date and time": "date-time", "time, ISO": "time", "duration": "duration"}
_DEPTH = 40


def read_type(text: str) -> dict[str, Any]:
    """The JSON schema that a compact type stands for; {} for a text that is none."""
    try:
        return _Reader(text).whole()
    except (ValueError, IndexError):
        return {}


def stated_range(text: str) -> tuple[float, float] | None:
    """The first range that a sentence states ("from 1 to 5", "1-5"), or None."""
    match = _RANGE.search(text)
    if match is None or float(match[1]) >= float(match[2]):
        return None
    return float(match[1]), float(match[2])


def bounds_of(words: str) -> dict[str, float]:
    """The limits that a sentence states, as keywords of JSON schema."""
    found: dict[str, float] = {}
    for pattern, key in _BOUNDS:
        if match := pattern.search(words):
            found[key] = plain_number(float(match[1]))
    if not found and (both := stated_range(words)):
        found["minimum"], found["maximum"] = plain_number(both[0]), plain_number(both[1])
    return found


def plain_number(value: float) -> float:
    """An int where the number is whole."""
    return int(value) if abs(value) < 1e15 and value == int(value) else value


class _Reader:
    def __init__(self, text: str) -> None:
        self.tokens: list[tuple[str, str]] = []
        at = 0
        while match := _TOKEN.match(text, at):
            self.tokens.append((match.lastgroup or "", match[match.lastgroup or 0]))
            at = match.end()
        if text[at:].strip():
            raise ValueError
        self.at = 0

    def whole(self) -> dict[str, Any]:
        schema = self.type()
        definitions: dict[str, Any] = {}
        if self.take("where"):
            while True:
                name = self.next()
                self.expect("=")
                definitions[name] = self.type()
                if not self.take(";"):
                    break
        if self.at < len(self.tokens):
            raise ValueError
        return {**schema, "$defs": definitions} if definitions else schema

    def next(self) -> str:
        self.at += 1
        return self.tokens[self.at - 1][1]

    def take(self, token: str) -> bool:
        found = self.at < len(self.tokens) and self.tokens[self.at][1] == token
        self.at += found
        return found

    def expect(self, token: str) -> None:
        if self.next() != token:
            raise ValueError

    def type(self, depth: int = 0) -> dict[str, Any]:
        """A union with the notes behind it."""
        if depth > _DEPTH:
            raise ValueError
        parts = [self.part(depth)]
        while self.take("|"):
            parts.append(self.part(depth))
        schema = parts[0] if len(parts) == 1 else _union(parts)
        if self.at < len(self.tokens) and self.tokens[self.at][0] == "note":
            schema = {**schema, **_noted(self.next()[2:-2].strip(), schema)}
        return schema

    def part(self, depth: int) -> dict[str, Any]:
        kind, token = self.tokens[self.at]
        self.at += 1
        if token == "{":
            schema = self.object(depth + 1)
        elif token == "[":
            schema = self.tuple(depth + 1)
        elif token == "(":
            schema = self.type(depth + 1)
            self.expect(")")
        elif kind in ("text", "number"):
            schema = {"const": json.loads(token)}
        elif kind == "word":
            schema = _WORDS.get(token, {"$ref": f"#/$defs/{token}"})
        else:
            raise ValueError
        while self.take("[]"):
            schema = {"type": "array", "items": schema}
        return schema

    def object(self, depth: int) -> dict[str, Any]:
        properties: dict[str, Any] = {}
        schema: dict[str, Any] = {"type": "object"}
        required: list[str] = []
        while not self.take("}"):
            if self.take("["):
                self.next()
                self.expect(":")
                names = self.type(depth)
                self.expect("]")
                self.expect(":")
                schema["additionalProperties"] = self.type(depth)
                if names != {"type": "string"}:
                    schema["propertyNames"] = names
            else:
                kind, token = self.tokens[self.at]
                self.at += 1
                name = json.loads(token) if kind == "text" else token
                if not self.take("?"):
                    required.append(name)
                self.expect(":")
                properties[name] = self.type(depth)
            if not self.take(","):
                self.expect("}")
                break
        if properties:
            schema["properties"] = properties
        return {**schema, "required": required} if required else schema

    def tuple(self, depth: int) -> dict[str, Any]:
        items: list[Any] = []
        while not self.take("]"):
            items.append(self.type(depth))
            if not self.take(","):
                self.expect("]")
                break
        return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}


def _union(parts: list[dict[str, Any]]) -> dict[str, Any]:
    if all(part.keys() == {"const"} or part == {"type": "null"} for part in parts) and any(
        "const" in part for part in parts
    ):
        return {"enum": [part.get("const") for part in parts]}
    return {"anyOf": parts}


def _noted(text: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """What a note says about a type: its limits, its format, a default and what it is."""
    words, _, rest = text.partition("matching the pattern ")
    found: dict[str, Any] = {"pattern": rest.partition("; ")[0]} if rest else {}
    limits = words.partition("; ")[0]
    bounds = bounds_of(limits)
    if schema.get("type") in ("integer", "number"):
        found.update(bounds)
    elif schema.get("type") == "string":
        sizes = {"minimum": "minLength", "maximum": "maxLength"}
        found.update({sizes[key]: int(value) for key, value in bounds.items() if key in sizes})
        formats = [name for words, name in _FORMATS.items() if words in limits]
        if formats:
            found["format"] = formats[0]
    elif schema.get("type") == "array" and "prefixItems" not in schema:
        sizes = {"minimum": "minItems", "maximum": "maxItems"}
        found.update({sizes[key]: int(value) for key, value in bounds.items() if key in sizes})
        if "no item twice" in limits:
            found["uniqueItems"] = True
    return found

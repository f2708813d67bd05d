"""Nested XML as data, along the JSON schema of its type: what models write where JSON inside a tag was asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import unescape
from typing import Any, cast

_TOKEN = re.compile(r"<(/?)([^\W\d][\w.-]{0,80})[ \t]*(/?)>|([^<]++)")
_DEEPEST = 20
_LONGEST = 100_000  # characters
_LEAVES = ("string", "integer", "number", "boolean")


class _Doubt(Exception):
    """Elements that the schema does not explain in exactly one way."""


@dataclass(slots=True)
class _Element:
    name: str
    children: list[_Element] = field(default_factory=list["_Element"])
    text: str = ""


def from_elements(text: str, schema: Mapping[str, Any] | None) -> Any:
    """The data that nested elements say, None when they are none or say more or less than the schema.

    `<parts><part>a</part></parts>` is a list where the schema has one, and so are elements of one name side by side. A
    single text where a list is wanted is in doubt.
    """
    if schema is None or len(text) > _LONGEST:
        return None
    try:
        return _Reading(schema).data(_parsed(text), schema)
    except _Doubt:
        return None


def _parsed(text: str) -> _Element:
    root = _Element("")
    stack = [root]
    at = 0
    while match := _TOKEN.match(text, at):
        at = match.end()
        if match[4] is not None:
            stack[-1].text += match[4]
        elif match[1]:
            if len(stack) < 2 or stack.pop().name != match[2] or match[3]:
                raise _Doubt
        else:
            element = _Element(match[2])
            stack[-1].children.append(element)
            if not match[3]:
                stack.append(element)
        if len(stack) > _DEEPEST:
            raise _Doubt
    if at < len(text) or len(stack) > 1 or not root.children:
        raise _Doubt
    return root


class _Reading:
    def __init__(self, root: Mapping[str, Any]) -> None:
        self.definitions: Mapping[str, Any] = root.get("$defs", {})

    def data(self, element: _Element, schema: Mapping[str, Any]) -> Any:
        """What an element says, as the schema has it."""
        if element.children and element.text.strip():
            raise _Doubt
        schema, nullable = self._plain(schema)
        kind = schema.get("type")
        if nullable and not element.children and element.text.strip().casefold() in ("", "null", "none"):
            return None
        if kind == "object" and "properties" in schema:
            return self._object(element, schema)
        if kind == "array" and "items" in schema:
            return self._array(element, schema["items"])
        if element.children or (kind not in _LEAVES and "enum" not in schema and "const" not in schema):
            raise _Doubt
        return unescape(element.text.strip())

    def _plain(self, schema: Mapping[str, Any]) -> tuple[Mapping[str, Any], bool]:
        """The schema with references followed and null taken out of a union."""
        nullable = False
        for _ in range(_DEEPEST):
            if "$ref" in schema:
                schema = self.definitions.get(schema["$ref"].rpartition("/")[2], {})
            elif "anyOf" in schema:
                parts = cast("Sequence[Mapping[str, Any]]", schema["anyOf"])
                others = [part for part in parts if part.get("type") != "null"]
                nullable = nullable or len(others) < len(parts)
                if len(others) != 1:
                    raise _Doubt
                schema = others[0]
            else:
                return schema, nullable
        raise _Doubt

    def _object(self, element: _Element, schema: Mapping[str, Any]) -> dict[str, Any]:
        properties: Mapping[str, Mapping[str, Any]] = schema["properties"]
        grouped: dict[str, list[_Element]] = {}
        for child in element.children:
            if child.name not in properties:
                raise _Doubt
            grouped.setdefault(child.name, []).append(child)
        found: dict[str, Any] = {}
        for name, same in grouped.items():
            plain, _ = self._plain(properties[name])
            if len(same) == 1:
                found[name] = self.data(same[0], properties[name])
            elif plain.get("type") == "array" and "items" in plain:
                found[name] = [self.data(one, plain["items"]) for one in same]
            else:
                raise _Doubt
        return found

    def _array(self, element: _Element, items: Mapping[str, Any]) -> list[Any]:
        if len({child.name for child in element.children}) > 1 or element.text.strip():
            raise _Doubt
        return [self.data(child, items) for child in element.children]

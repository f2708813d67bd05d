"""JSON schemas in the form that Gemini takes through its OpenAI-compatible address.

Gemini knows a subset of OpenAPI's schemas (ai.google.dev/gemini-api/docs/structured-output): no references, no
`const`, enumerations of texts only; and it writes properties in the order of `required`, so that order is made that
of `properties`: reasoning first when it stands first. Replies are validated against the full types afterwards, so
what is left out loosens what the server enforces, never what the program accepts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from outlast.lms.wire.strict_schema import StrictSchema

_KEPT = frozenset(("type", "description", "enum", "minItems", "maxItems", "minimum", "maximum"))
_FOLLOWED = frozenset(("items", "anyOf", "properties", "required", "additionalProperties", "$defs", "definitions"))
_IGNORED = frozenset(("title", "default", "examples", "discriminator", "deprecated", "$schema", "$id", "$comment"))
_IMPOSSIBLE = frozenset(("prefixItems", "patternProperties", "not", "if", "$dynamicRef", "dependentSchemas"))
_DEEPEST = 100
_MOST_NODES = 2_000  # references are written out: a small schema may become a large one


class _CannotBeToldError(Exception):
    pass


def gemini_schema(schema: Mapping[str, Any]) -> StrictSchema:
    """The form for Gemini, or the schema itself, with `strict` False, when it has none."""
    writing = _Writing({**schema.get("definitions", {}), **schema.get("$defs", {})})
    try:
        told = writing.node(schema, (), 0)
    except _CannotBeToldError as error:
        return StrictSchema(schema, False, str(error))
    return StrictSchema(told, True, left_out=tuple(writing.left_out))


class _Writing:
    """One schema on its way into the other form."""

    def __init__(self, definitions: Mapping[str, Any]) -> None:
        self._definitions = definitions
        self._nodes = 0
        self.left_out: dict[str, None] = {}

    def node(self, node: Any, inside: tuple[str, ...], depth: int) -> dict[str, Any]:
        """A part of the schema; `inside` are the references that led to it."""
        if not isinstance(node, Mapping):
            raise _CannotBeToldError("a part allows anything")
        self._nodes += 1
        if self._nodes > _MOST_NODES:
            raise _CannotBeToldError("it is too large with its references written out")
        if depth > _DEEPEST:
            raise _CannotBeToldError(f"it is deeper than {_DEEPEST} levels")
        node, inside = self._followed(cast("Mapping[str, Any]", node), inside)
        node = _plain(node)
        result = {name: value for name, value in node.items() if name in _KEPT}
        self._fold(node, result)
        if "anyOf" in node:
            result["anyOf"] = [self.node(part, inside, depth + 1) for part in node["anyOf"]]
        if "items" in node:
            result["items"] = self.node(node["items"], inside, depth + 1)
        if isinstance(named := node.get("properties"), Mapping):
            result |= self._object(node, cast("Mapping[str, Any]", named), inside, depth)
        if isinstance(node.get("additionalProperties"), Mapping):
            result["additionalProperties"] = self.node(node["additionalProperties"], inside, depth + 1)
        return result

    def _object(
        self, node: Mapping[str, Any], named: Mapping[str, Any], inside: tuple[str, ...], depth: int
    ) -> dict[str, Any]:
        told: dict[str, Any] = {"type": node.get("type", "object")}
        told["properties"] = {name: self.node(part, inside, depth + 1) for name, part in named.items()}
        if needed := [name for name in named if name in node.get("required", ())]:
            told["required"] = needed
        return told

    def _followed(self, node: Mapping[str, Any], inside: tuple[str, ...]) -> tuple[Mapping[str, Any], tuple[str, ...]]:
        """The node with references, and an `allOf` of one part, replaced by what they name."""
        while "$ref" in node or "allOf" in node:
            ref = node.get("$ref")
            parts = node.get("allOf", ())
            target: Any = parts[0] if len(parts) == 1 else None
            if ref is not None:
                if ref in inside:
                    raise _CannotBeToldError("it refers to itself")
                inside = (*inside, str(ref))
                target = self._definitions.get(str(ref).rpartition("/")[2])
            if not isinstance(target, Mapping):
                raise _CannotBeToldError("it uses 'allOf'" if ref is None else f"it refers to {ref!r}")
            rest = {name: value for name, value in node.items() if name != ("allOf" if ref is None else "$ref")}
            node = {**cast("Mapping[str, Any]", target), **rest}
        return node, inside

    def _fold(self, node: Mapping[str, Any], result: dict[str, Any]) -> None:
        """Say in the description what Gemini has no keyword for, so that the model reads it."""
        others = [name for name in node if name not in _KEPT | _FOLLOWED | _IGNORED]
        said = [f"{name}: {json.dumps(node[name], ensure_ascii=False, default=str)}" for name in others]
        self.left_out.update(dict.fromkeys(others))
        values = node.get("enum")
        if values is not None and not all(isinstance(value, str) for value in values):
            del result["enum"]
            self.left_out.setdefault("enum")
            said.append("one of " + ", ".join(json.dumps(value) for value in values))
        if said:
            result["description"] = " ".join([*filter(None, [node.get("description")]), f"({'; '.join(said)})"])


def _plain(node: Mapping[str, Any]) -> Mapping[str, Any]:
    """`oneOf` as `anyOf`, and `const` as an enumeration of one."""
    for name in node:
        if name in _IMPOSSIBLE:
            raise _CannotBeToldError(f"it uses {name!r}")
    if "oneOf" in node and "anyOf" in node:
        raise _CannotBeToldError("it uses 'oneOf' beside 'anyOf'")
    if "oneOf" in node:
        node = {("anyOf" if name == "oneOf" else name): value for name, value in node.items()}
    if "const" in node:
        rest = {name: value for name, value in node.items() if name != "const"}
        node = {"type": _type_of(node["const"]), **rest, "enum": [node["const"]]}
    return node


def _type_of(value: Any) -> str:
    kinds: dict[type[Any], str] = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}
    return kinds.get(cast("type[Any]", type(value)), "object")

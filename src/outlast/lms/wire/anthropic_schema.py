"""JSON schemas in the subset that Anthropic's structured outputs and strict tools take.

`additionalProperties: false` on every object, no recursion, no bounds on numbers, lengths and lists: those go into
the description, where the model reads them (platform.claude.com/docs/en/build-with-claude/structured-outputs).
Replies are validated against the full types afterwards, so what is left out loosens what the server enforces, never
what the program accepts. A request has up to 24 optional and 16 union-typed properties; as far as was observed by
others, those behind references are not counted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from outlast.lms.wire.strict_schema import StrictSchema

MOST_OPTIONAL = 24
MOST_UNIONS = 16
MOST_STRICT_TOOLS = 20
_KEPT = frozenset(("type", "title", "description", "enum", "const", "$ref"))
_FOLLOWED = frozenset(("properties", "required", "additionalProperties", "items", "anyOf", "allOf", "$defs"))
_IGNORED = frozenset(("default", "examples", "discriminator", "deprecated", "$schema", "$id", "$comment"))
_FORMATS = frozenset(
    ("date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"),
)
_IMPOSSIBLE = frozenset(("prefixItems", "patternProperties", "not", "if", "$dynamicRef", "dependentSchemas"))
_DEEPEST = 100


class _CannotBeStrictError(Exception):
    pass


def anthropic_schema(schema: Mapping[str, Any]) -> StrictSchema:
    """The form for Anthropic, or the schema itself, with `strict` False, when it has none."""
    writing = _Writing()
    try:
        told = writing.node(schema, 0)
        _check_references(told)
        if writing.optional > MOST_OPTIONAL:
            raise _CannotBeStrictError(f"it has {writing.optional} optional properties, more than {MOST_OPTIONAL}")
        if writing.unions > MOST_UNIONS:
            raise _CannotBeStrictError(f"it has {writing.unions} properties of several types, more than {MOST_UNIONS}")
    except _CannotBeStrictError as error:
        return StrictSchema(schema, False, str(error))
    return StrictSchema(told, True, left_out=tuple(writing.left_out))


class _Writing:
    """One schema on its way into the other form, and what is counted of it."""

    def __init__(self) -> None:
        self.left_out: dict[str, None] = {}
        self.optional = 0
        self.unions = 0
        self._counting = True

    def node(self, node: Any, depth: int) -> dict[str, Any]:
        """A part of the schema."""
        if not isinstance(node, Mapping):
            raise _CannotBeStrictError("a part allows anything")
        if depth > _DEEPEST:
            raise _CannotBeStrictError(f"it is deeper than {_DEEPEST} levels")
        node = _plain(cast("Mapping[str, Any]", node))
        result = {name: value for name, value in node.items() if name in _KEPT}
        if "$defs" in node:
            counting, self._counting = self._counting, False
            result["$defs"] = {name: self.node(part, depth + 1) for name, part in node["$defs"].items()}
            self._counting = counting
        if "$ref" in node:  # nothing else may stand beside a reference
            return {name: value for name, value in result.items() if name in ("$ref", "$defs")}
        for name in ("anyOf", "allOf"):
            if name in node:
                result[name] = [self.node(part, depth + 1) for part in node[name]]
        if "items" in node:
            result["items"] = self.node(node["items"], depth + 1)
        if node.get("type") == "object" or "properties" in node:
            self._object(node, result, depth)
        elif not result.keys() & {"type", "anyOf", "allOf", "enum", "const"}:
            raise _CannotBeStrictError("a part allows anything")
        elif node.get("type") == "array" and "items" not in node:
            raise _CannotBeStrictError("a list allows anything")
        self._fold(node, result)
        return result

    def _object(self, node: Mapping[str, Any], result: dict[str, Any], depth: int) -> None:
        """An object closed, its optional properties still optional."""
        properties = node.get("properties")
        if not isinstance(properties, Mapping) or isinstance(node.get("additionalProperties"), Mapping):
            raise _CannotBeStrictError("an object has open properties")
        named = cast("Mapping[str, Any]", properties)
        required = [name for name in named if name in node.get("required", ())]
        if self._counting:
            self.optional += len(named) - len(required)
            self.unions += sum(1 for part in named.values() if _is_union(part))
        result["type"] = "object"
        result["properties"] = {name: self.node(part, depth + 1) for name, part in named.items()}
        result["required"] = required
        result["additionalProperties"] = False

    def _fold(self, node: Mapping[str, Any], result: dict[str, Any]) -> None:
        """Keep what is known, and say the rest in the description."""
        said: list[str] = []
        for name, value in node.items():
            if name in _KEPT | _FOLLOWED | _IGNORED:
                continue
            if (name == "format" and value in _FORMATS) or (name == "minItems" and value in (0, 1)):
                result[name] = value
            else:
                self.left_out.setdefault(name)
                said.append(f"{name}: {json.dumps(value, ensure_ascii=False, default=str)}")
        if said:
            result["description"] = " ".join([*filter(None, [node.get("description")]), f"({'; '.join(said)})"])


def _is_union(part: Any) -> bool:
    if not isinstance(part, Mapping):
        return False
    part = cast("Mapping[str, Any]", part)
    return "anyOf" in part or "oneOf" in part or isinstance(part.get("type"), list)


def _plain(node: Mapping[str, Any]) -> Mapping[str, Any]:
    """`oneOf` as `anyOf`, and `definitions` as `$defs`."""
    for name in node:
        if name in _IMPOSSIBLE:
            raise _CannotBeStrictError(f"it uses {name!r}")
    if "oneOf" in node and "anyOf" in node:
        raise _CannotBeStrictError("it uses 'oneOf' beside 'anyOf'")
    node = {("anyOf" if name == "oneOf" else name): value for name, value in node.items()}
    if "definitions" in node:
        node["$defs"] = {**node.pop("definitions"), **node.get("$defs", {})}
    ref = node.get("$ref")
    if isinstance(ref, str):
        if not ref.startswith(("#/$defs/", "#/definitions/")):
            raise _CannotBeStrictError("it refers to itself" if ref == "#" else f"it refers to {ref!r}")
        node["$ref"] = f"#/$defs/{ref.rpartition('/')[2]}"
    return node


def _check_references(schema: Mapping[str, Any]) -> None:
    """Raise for a reference that leads back to where it stands, or nowhere."""
    definitions = cast("Mapping[str, Any]", schema.get("$defs", {}))
    state: dict[str, bool] = {}  # False: being looked at, True: done

    def visit(name: str) -> None:
        if name in state:
            if not state[name]:
                raise _CannotBeStrictError("it refers to itself")
            return
        if name not in definitions:
            raise _CannotBeStrictError(f"it refers to {name!r}, which is nowhere")
        state[name] = False
        for further in _references(definitions[name]):
            visit(further)
        state[name] = True

    for name in [*_references({key: value for key, value in schema.items() if key != "$defs"}), *definitions]:
        visit(name)


def _references(node: Any) -> list[str]:
    """The names of the definitions that a part refers to."""
    found: list[str] = []
    waiting = [node]
    while waiting:
        part = waiting.pop()
        if isinstance(part, Mapping):
            part = cast("Mapping[str, Any]", part)
            if isinstance(part.get("$ref"), str):
                found.append(str(part["$ref"]).rpartition("/")[2])
            waiting += part.values()
        elif isinstance(part, list):
            waiting += cast("list[Any]", part)
    return found

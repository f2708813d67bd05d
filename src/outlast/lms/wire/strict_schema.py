"""JSON schemas in the subset that OpenAI's strict mode takes.

Strict mode wants every property required, `additionalProperties: false` on every object and an object at the root,
and knows only some keywords. Replies are validated against the full types afterwards, so a keyword that is left
out loosens what the server enforces, never what the program accepts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, cast


class StrictSchema(NamedTuple):
    """A schema to send. `strict` is False when it cannot be made strict; then it is the given one, and `why` says
    what stands against it. `left_out` are the constraints that strict mode does not know."""

    schema: Mapping[str, Any]
    strict: bool
    why: str = ""
    left_out: tuple[str, ...] = ()


class _CannotBeStrictError(Exception):
    pass


_NUMBERS = frozenset(("multipleOf", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"))
_KEPT = (
    _NUMBERS
    | frozenset(
        ("type", "title", "description", "enum", "const", "items", "$ref", "$defs", "definitions", "anyOf", "pattern")
    )
    | frozenset(("minItems", "maxItems"))
)
_FORMATS = frozenset(("date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"))
_SIZES = frozenset(("minLength", "maxLength", "minProperties", "maxProperties", "minContains", "maxContains"))
_CONSTRAINTS = _SIZES | frozenset(("uniqueItems", "contains", "propertyNames"))
_UNEVALUATED = frozenset(("unevaluatedProperties", "unevaluatedItems", "$dynamicRef"))
_IMPOSSIBLE = _UNEVALUATED | frozenset(
    ("prefixItems", "patternProperties", "not", "if", "then", "else", "dependentRequired", "dependentSchemas")
)
_DEEPEST = 100


def strict_schema(schema: Mapping[str, Any]) -> StrictSchema:
    """The strict form of a schema, or the schema itself when it has none."""
    left_out: dict[str, None] = {}
    try:
        root = _root(schema)
        strict = _node(root, left_out, 0)
        if strict.get("type") != "object":
            raise _CannotBeStrictError("the root is not an object")
    except _CannotBeStrictError as error:
        return StrictSchema(schema, False, str(error))
    return StrictSchema(strict, True, left_out=tuple(left_out))


def _root(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema with a reference at its root replaced by what it names, as strict mode wants an object there."""
    ref = schema.get("$ref")
    if not isinstance(ref, str):
        return schema
    for place in ("$defs", "definitions"):
        prefix = f"#/{place}/"
        target = schema.get(place, {}).get(ref.removeprefix(prefix)) if ref.startswith(prefix) else None
        if isinstance(target, Mapping):
            return {**cast("Mapping[str, Any]", target), place: schema[place]}
    raise _CannotBeStrictError(f"the root refers to {ref!r}")


def _node(node: Any, left_out: dict[str, None], depth: int) -> dict[str, Any]:
    if not isinstance(node, Mapping):
        raise _CannotBeStrictError("a part allows anything")
    if depth > _DEEPEST:
        raise _CannotBeStrictError(f"it is deeper than {_DEEPEST} levels")
    node = _plain(cast("Mapping[str, Any]", node))
    if "$ref" in node:  # nothing may stand beside a reference
        return {name: _children(name, node[name], left_out, depth) for name in ("$ref", "$defs") if name in node}
    result: dict[str, Any] = {}
    for name, value in node.items():
        if name in _IMPOSSIBLE:
            raise _CannotBeStrictError(f"it uses {name!r}")
        if name in _KEPT:
            result[name] = _children(name, value, left_out, depth)
        elif name == "format" and value in _FORMATS:
            result[name] = value
        elif name in _CONSTRAINTS:
            left_out[name] = None
    if node.get("type") == "object" or "properties" in node:
        _close(node, result, left_out, depth)
    elif not result.keys() & {"type", "anyOf", "enum", "const"}:
        raise _CannotBeStrictError("a part allows anything")
    elif _has_type(node, "array") and "items" not in node:
        raise _CannotBeStrictError("a list allows anything")
    elif _has_type(node, "object"):
        raise _CannotBeStrictError("an object has open properties")
    return result


def _plain(node: Mapping[str, Any]) -> Mapping[str, Any]:
    """`oneOf` as `anyOf`, and an `allOf` of one part as that part."""
    if "oneOf" in node and "anyOf" in node:
        raise _CannotBeStrictError("it uses 'oneOf' beside 'anyOf'")
    if "oneOf" in node:
        node = {("anyOf" if name == "oneOf" else name): value for name, value in node.items()}
    parts = node.get("allOf")
    if parts is None:
        return node
    if isinstance(parts, list) and len(cast("list[Any]", parts)) == 1 and isinstance(parts[0], Mapping):
        rest = {name: value for name, value in node.items() if name != "allOf"}
        return _plain({**rest, **cast("Mapping[str, Any]", parts[0])})
    raise _CannotBeStrictError("it uses 'allOf'")


def _children(name: str, value: Any, left_out: dict[str, None], depth: int) -> Any:
    if name in ("$defs", "definitions"):
        return {key: _node(part, left_out, depth + 1) for key, part in value.items()}
    if name == "anyOf":
        return [_node(part, left_out, depth + 1) for part in value]
    if name == "items":
        return _node(value, left_out, depth + 1)
    return value


def _close(node: Mapping[str, Any], result: dict[str, Any], left_out: dict[str, None], depth: int) -> None:
    """Make an object's properties all required and allow no others."""
    properties = node.get("properties")
    extra = node.get("additionalProperties", False)
    if not isinstance(properties, Mapping) or isinstance(extra, Mapping):
        raise _CannotBeStrictError("an object has open properties")
    named = cast("Mapping[str, Any]", properties)
    result["type"] = node.get("type", "object")
    result["properties"] = {name: _node(part, left_out, depth + 1) for name, part in named.items()}
    result["required"] = list(named)
    result["additionalProperties"] = False


def _has_type(node: Mapping[str, Any], name: str) -> bool:
    kind = node.get("type")
    return kind == name or (isinstance(kind, list) and name in kind)

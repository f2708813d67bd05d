"""One walk over JSON data along pydantic's core schema of its type, compiled once per field."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

Step = Callable[[Any], Any]
Leaf = Callable[[Mapping[str, Any]], "Step | None"]

_ALL = frozenset({"object", "array", "number", "text", "truth", "null"})
_ARRAYS = ("list", "set", "frozenset", "generator")
_SHAPES: dict[str, frozenset[str]] = {
    **dict.fromkeys(("model", "typed-dict", "dataclass", "dict"), frozenset({"object"})),
    **dict.fromkeys((*_ARRAYS, "tuple"), frozenset({"array"})),
    **dict.fromkeys(("int", "float", "decimal"), frozenset({"number", "text"})),
    **dict.fromkeys(("date", "datetime", "time", "timedelta", "str", "uuid", "bytes"), frozenset({"text"})),
    "bool": frozenset({"truth", "number", "text"}),
    "none": frozenset({"null"}),
    **dict.fromkeys(("call", "named-tuple"), frozenset({"object", "array"})),
}
_INNER = ("nullable", "default", "function-after", "model", "dataclass", "json-or-python", "lax-or-strict")
_RANK = {"float": 0, "decimal": 1}  # who takes a number with a point first


class Misfit(ValueError):
    """Data that the type does not mean, though pydantic would take it; `where` leads to it."""

    def __init__(self, reason: str, where: tuple[str, ...] = ()) -> None:
        super().__init__(f"{'.'.join(where)}: {reason}" if where else reason)
        self.reason = reason
        self.where = where

    def inside(self, step: object) -> Misfit:
        """The same, seen from one level further out."""
        return Misfit(self.reason, (str(step), *self.where))


def walk(schema: Mapping[str, Any], leaf: Leaf) -> Step | None:
    """A function that changes data of a type wherever `leaf` gives a step for a node of its core schema.

    A step gets the data at its node, after all that is inside. None when no node has one. What the user's own
    validators take before pydantic is left as it is.
    """
    return _Walk(leaf).step(schema)


class _Walk:
    def __init__(self, leaf: Leaf) -> None:
        self.leaf = leaf
        self.definitions: dict[str, Mapping[str, Any]] = {}
        self.known: dict[str, Step | None] = {}
        self.open: set[str] = set()

    def step(self, node: Mapping[str, Any]) -> Step | None:
        """The step for one node with all that is inside, or None when nothing is to be done."""
        own = self.leaf(node)
        inner = self._inside(node)
        if own is None or inner is None:
            return own or inner
        return lambda data: own(inner(data))

    def _inside(self, node: Mapping[str, Any]) -> Step | None:
        kind = node["type"]
        if kind == "definitions":
            self.definitions.update({one["ref"]: one for one in node["definitions"]})
            return self.step(node["schema"])
        if kind == "definition-ref":
            return self._reference(node["schema_ref"])
        if kind in _INNER:
            step = self.step(_inner(node))
            return _unless_null(step) if kind == "nullable" and step else step
        if kind in _ARRAYS:
            return self._items([], node.get("items_schema"))
        if kind == "tuple":
            return self._tuple(node)
        if kind == "dict":
            return self._values(node.get("values_schema"))
        if kind in ("model-fields", "typed-dict", "dataclass-args"):
            return self._fields(node["fields"])
        if kind in ("call", "named-tuple"):  # a NamedTuple, in older and newer pydantic
            return self._call(node["fields"] if "fields" in node else node["arguments_schema"].get("arguments_schema"))
        if kind in ("union", "tagged-union"):
            return self._union(node["choices"])
        return None

    def _reference(self, ref: str) -> Step | None:
        if ref in self.open:  # a type that holds itself

            def again(data: Any) -> Any:
                step = self.known[ref]
                return data if step is None else step(data)

            return again
        if ref not in self.known:
            self.open.add(ref)
            self.known[ref] = self.step(self.definitions[ref])
            self.open.discard(ref)
        return self.known[ref]

    def _items(self, first: list[Step | None], rest: Mapping[str, Any] | None) -> Step | None:
        step = self.step(rest) if rest else None
        if step is None and not any(first):
            return None

        def each(data: Any) -> Any:
            if not isinstance(data, list):
                return data
            items = cast("list[Any]", data)
            return [_at(i, first[i] if i < len(first) else step, item) for i, item in enumerate(items)]

        return each

    def _tuple(self, node: Mapping[str, Any]) -> Step | None:
        schemas: list[Any] = node["items_schema"]
        variadic: int | None = node.get("variadic_item_index")
        if variadic is None:
            return self._items([self.step(one) for one in schemas], None)
        return self._items([self.step(one) for one in schemas[:variadic]], schemas[variadic])

    def _values(self, schema: Mapping[str, Any] | None) -> Step | None:
        step = self.step(schema) if schema else None
        if step is None:
            return None

        def each(data: Any) -> Any:
            if not isinstance(data, dict):
                return data
            return {key: _at(key, step, item) for key, item in cast("dict[Any, Any]", data).items()}

        return each

    def _fields(self, fields: Any) -> Step | None:
        steps: dict[str, Step] = {}
        for name, one in _named(fields):
            step = self.step(one["schema"])
            if step is not None:
                alias = one.get("validation_alias")
                steps.update(dict.fromkeys((name, alias) if isinstance(alias, str) else (name,), step))
        if not steps:
            return None

        def each(data: Any) -> Any:
            if not isinstance(data, dict):
                return data
            return {key: _at(key, steps.get(key), item) for key, item in cast("dict[Any, Any]", data).items()}

        return each

    def _call(self, arguments: list[Any] | None) -> Step | None:
        if arguments is None:
            return None
        by_place = self._items([self.step(one["schema"]) for one in arguments], None)
        by_name = self._fields(arguments)
        if by_place is None or by_name is None:
            return None
        return lambda data: by_place(by_name(data))

    def _union(self, choices: Any) -> Step | None:
        if isinstance(choices, dict):
            choices = list(cast("dict[Any, Any]", choices).values())
        nodes: list[Any] = [one[0] if isinstance(one, tuple) else one for one in choices]
        steps = [(node, self.step(node)) for node in nodes]
        if all(step is None for _, step in steps):
            return None
        ranked = sorted(steps, key=lambda pair: _RANK.get(pair[0]["type"], 2))

        def first_that_fits(data: Any) -> Any:
            fitting = [
                step for node, step in (ranked if isinstance(data, float) else steps) if self._may_be(node, data)
            ]
            error: Misfit | None = None
            for step in fitting or [step for _, step in steps if step]:
                try:
                    return data if step is None else step(data)
                except Misfit as misfit:
                    error = error or misfit
            assert error is not None
            raise error

        return first_that_fits

    def _may_be(self, node: Mapping[str, Any], data: Any) -> bool:
        """Whether data has the outer shape of a type, and the keys that it requires."""
        kind = node["type"]
        if kind == "definition-ref":
            return self._may_be(self.definitions[node["schema_ref"]], data)
        if kind == "nullable" and data is None:
            return True
        if _shape(data) not in _SHAPES.get(kind, _ALL):
            return False
        if kind in _INNER:
            return self._may_be(_inner(node), data)
        if kind in ("model-fields", "typed-dict", "dataclass-args") and isinstance(data, dict):
            return _required(node, cast("dict[str, Any]", data))
        return True


def _inner(node: Mapping[str, Any]) -> Mapping[str, Any]:
    return node.get("schema") or node.get("json_schema") or node["lax_schema"]


def _named(fields: Any) -> list[tuple[str, Any]]:
    """The fields of a node by name; dataclasses list theirs."""
    if isinstance(fields, dict):
        return list(cast("dict[str, Any]", fields).items())
    return [(one["name"], one) for one in fields]


def _required(node: Mapping[str, Any], data: Mapping[str, Any]) -> bool:
    for name, one in _named(node["fields"]):
        alias = one.get("validation_alias", name)
        needed = one.get("required", True) and one["schema"]["type"] != "default"
        if needed and isinstance(alias, str) and alias not in data and name not in data:
            return False
    return True


def _unless_null(step: Step) -> Step:
    return lambda data: None if data is None else step(data)


def _at(place: object, step: Step | None, data: Any) -> Any:
    if step is None:
        return data
    try:
        return step(data)
    except Misfit as misfit:
        raise misfit.inside(place) from None


def _shape(data: Any) -> str:
    if data is None:
        return "null"
    if isinstance(data, bool):
        return "truth"
    if isinstance(data, (int, float)):
        return "number"
    return "text" if isinstance(data, str) else "object" if isinstance(data, dict) else "array"

"""Nested types in compact form: short, and nothing of the JSON schema is lost that a reply is held to."""

from __future__ import annotations

import dataclasses
import enum
import json
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple

import annotated_types as at
import pydantic
import pytest

from outlast.lms.baseline.types import read_type
from outlast.signatures.codec import schema_of
from outlast.signatures.compact import compact_type


class Kind(enum.Enum):
    """What it is."""

    A = "a"
    B = "b"


class Person(pydantic.BaseModel):
    name: str = pydantic.Field(description="as\nwritten */ here", min_length=1, pattern="^[A-Z]")
    age: int = pydantic.Field(default=3, ge=0, lt=200)
    kind: Kind
    tags: set[str] = set()
    born: date | None = None
    seen: datetime | None = None
    scores: dict[str, list[float]] = {}
    pair: tuple[int, str] = (1, "a")
    friends: list[Person] = []
    other: Kind | None = None
    anything: Any = None
    by_kind: dict[Literal["x", "y"], int] = {}


class Cat(pydantic.BaseModel):
    kind: Literal["cat"]
    lives: int = 9


class Dog(pydantic.BaseModel):
    kind: Literal["dog", "wolf"]


Pet = Annotated[Cat | Dog, pydantic.Field(discriminator="kind")]


class Home(pydantic.BaseModel):
    pet: Pet
    pets: list[Pet]


class Once(pydantic.BaseModel):
    cat: Cat
    name: str = pydantic.Field(alias="full name")


@dataclasses.dataclass
class Deal:
    price: Decimal
    parts: list[Annotated[int, at.Ge(1)]] = dataclasses.field(default_factory=list)


class Place(NamedTuple):
    x: int
    y: str


TYPES: dict[str, tuple[Any, str]] = {
    "a recursive model": (
        list[Person],
        "Person[] where Person = {name: string /* at least 1 characters, matching the pattern ^[A-Z]; as written * / "
        "here */, age?: integer /* at least 0, less than 200; default 3 */, kind: Kind, tags?: string[] /* no item "
        "twice */, born?: (string /* date as YYYY-MM-DD */) | null, seen?: (string /* date and time, ISO 8601 */) | "
        'null, scores?: {[key: string]: number[]}, pair?: [integer, string] /* default [1, "a"] */, friends?: '
        'Person[], other?: Kind | null, anything?: any, by_kind?: {[key: "x" | "y"]: integer}}; Kind = "a" | "b" '
        "/* What it is. */",
    ),
    "a union": (
        Home,
        '{pet: Cat | Dog, pets: (Cat | Dog)[]} where Cat = {kind: "cat", lives?: integer /* default 9 */}; '
        'Dog = {kind: "dog" | "wolf"}',
    ),
    "a model used once": (
        Once,
        '{cat: {kind: "cat", lives?: integer /* default 9 */}, "full name": string}',
    ),
    "a dataclass": (Deal, "{price: number | string, parts?: (integer /* at least 1 */)[]}"),
    "a named tuple": (Place, "[integer, string]"),
    "a list of a union": (list[int | str | None], "(integer | string | null)[]"),
    "a list with a length": (Annotated[list[int], at.Len(1, 3)], "integer[] /* 1 to 3 items */"),
    "a list of lists": (list[list[Literal[1, "|"]]], '(1 | "|")[][]'),
    "text with a bracket": (list[Literal["a | b"]], '"a | b"[]'),
    "anything": (Any, "any"),
}


@pytest.mark.parametrize("name", TYPES)
def test_a_type_has_a_compact_form(name: str) -> None:
    kind, words = TYPES[name]
    schema = schema_of(kind)
    assert schema is not None
    assert compact_type(schema) == words


@pytest.mark.parametrize("name", TYPES)
def test_the_compact_form_says_all_that_a_reply_is_held_to(name: str) -> None:
    schema = schema_of(TYPES[name][0])
    assert schema is not None
    read = read_type(compact_type(schema) or "")
    assert meaning(read, read) == meaning(schema, schema)


def meaning(node: Any, root: Any, inside: tuple[str, ...] = ()) -> Any:
    """A schema in one form: definitions in their place, without words and defaults."""
    if isinstance(node, list):
        return [meaning(item, root, inside) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        name = node["$ref"].rpartition("/")[2]
        return name if name in inside else meaning(root["$defs"][name], root, (*inside, name))
    if "enum" in node or "const" in node:
        return {"values": node.get("enum", [node.get("const")])}
    kept = {
        {"oneOf": "anyOf"}.get(key, key): meaning(value, root, inside)
        for key, value in node.items()
        if key not in ("$defs", "description", "default", "discriminator", "required", "propertyNames")
    }
    if "propertyNames" in node:
        kept["keys"] = node["propertyNames"].get("enum")
    return {**kept, "needed": sorted(node.get("required", ()))}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "patternProperties": {"^a": {}}},
        {"not": {"type": "null"}},
        {"allOf": [{"type": "string"}, {"minLength": 1}]},
        {"$ref": "#/elsewhere"},
        {"type": "array", "prefixItems": [{"type": "integer"}], "minItems": 0, "maxItems": 1},
        {"type": "string", "x-secret": 1},
        {"type": ["string", "null"]},
    ],
)
def test_what_the_form_cannot_say_keeps_its_schema(schema: dict[str, Any]) -> None:
    assert compact_type(schema) is None


def test_names_that_mean_something_else_are_spelled_apart() -> None:
    ref = {"$ref": "#/$defs/any"}
    schema = {
        "$defs": {"any": {"type": "integer"}, "a.b": {"type": "null"}, "1": {"type": "string"}},
        "type": "array",
        "prefixItems": [ref, ref, {"$ref": "#/$defs/a.b"}, {"$ref": "#/$defs/a.b"}, *[{"$ref": "#/$defs/1"}] * 2],
        "minItems": 6,
        "maxItems": 6,
    }
    assert compact_type(schema) == ("[any_, any_, a_b, a_b, T1, T1] where any_ = integer; a_b = null; T1 = string")


@pytest.mark.parametrize("text", ["", "{", "{a: }", "a b", "(" * 500, "[", "{a: string", "string /*"])
def test_what_is_no_type_reads_as_anything(text: str) -> None:
    assert read_type(text) == {}


def test_a_compact_type_is_much_shorter() -> None:
    for kind in (list[Person], Home):
        schema = schema_of(kind)
        assert schema is not None
        assert len(compact_type(schema) or "") < 0.6 * len(json.dumps(schema))

"""One object schema from those of the fields; definitions that clash are kept apart."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

import pydantic
import pytest
from pydantic_core import core_schema

from outlast.adapters import JSON, Task
from outlast.adapters.json import object_schema
from outlast.errors import InputError
from outlast.lms.protocol import Capabilities
from outlast.messages import OutputSchema, Response
from outlast.signatures import signature


class Item(pydantic.BaseModel):
    price: float
    parts: list[Item] = []


class Cat(pydantic.BaseModel):
    kind: Literal["cat"]


class Dog(pydantic.BaseModel):
    kind: Literal["dog"]


Pet = Annotated[Cat | Dog, pydantic.Field(discriminator="kind")]


class Other:
    class Item(pydantic.BaseModel):
        name: str
        of: Cat


class Odd(str):
    """A type that validates in its own way and says nothing about its schema."""

    __slots__ = ()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        return core_schema.no_info_plain_validator_function(cls)


def schema_of(spelled: str, types: dict[str, Any]) -> dict[str, Any]:
    task = Task(signature(spelled, types=types), "x")
    output = JSON().compile(task, Capabilities(json_schema=True)).prepare({"q": "x"}).output
    assert isinstance(output, OutputSchema)
    return json.loads(json.dumps(output.schema))


def references(schema: Any) -> set[str]:
    if isinstance(schema, dict):
        found = {value for key, value in schema.items() if isinstance(value, str) and value.startswith("#/")}
        return found.union(*(references(value) for value in schema.values())) if schema else found
    return set().union(*(references(item) for item in schema)) if isinstance(schema, list) else set()


def test_shared_definitions_stand_once_at_the_root() -> None:
    schema = schema_of("q -> a: Item, b: list[Item]", {"Item": Item})
    assert set(schema["$defs"]) == {"Item"}
    assert schema["properties"]["b"] == {"items": {"$ref": "#/$defs/Item"}, "type": "array"}


def test_two_definitions_of_one_name_are_kept_apart() -> None:
    schema = schema_of("q -> a: Item, b: Other, c: Item, d: list[Other]", {"Item": Item, "Other": Other.Item})
    names = {reference.removeprefix("#/$defs/") for reference in references(schema)}
    assert names <= set(schema["$defs"])
    assert "price" in schema["$defs"]["Item"]["properties"]
    own = [name for name, item in schema["$defs"].items() if "name" in item.get("properties", {})]
    assert own
    assert all("price" not in schema["$defs"][name]["properties"] for name in own)


def test_discriminators_follow_a_renaming() -> None:
    clash = {"$defs": {"Cat": {"type": "string"}}, "$ref": "#/$defs/Cat"}
    pet = pydantic.TypeAdapter(Pet).json_schema()
    schema = object_schema({"a": clash, "b": pet})
    mapping = schema["properties"]["b"]["discriminator"]["mapping"]
    assert mapping == {"cat": "#/$defs/b_Cat", "dog": "#/$defs/b_Dog"}
    assert set(schema["$defs"]) == {"Cat", "b_Cat", "b_Dog"}
    assert references(schema) == {"#/$defs/Cat", "#/$defs/b_Cat", "#/$defs/b_Dog"}


def test_a_new_name_is_free() -> None:
    def clash(kind: str) -> dict[str, Any]:
        return {"$defs": {"X": {"type": kind}}, "$ref": "#/$defs/X"}

    taken = {"$defs": {"b_X": {"type": "null"}}, "$ref": "#/$defs/b_X"}
    schema = object_schema({"t": taken, "a": clash("string"), "b": clash("integer")})
    assert schema["$defs"] == {
        "b_X": {"type": "null"},
        "X": {"type": "string"},
        "b_X_": {"type": "integer"},
    }
    assert schema["properties"]["b"] == {"$ref": "#/$defs/b_X_"}


def test_the_name_of_a_schema_is_one_that_providers_take() -> None:
    task = Task(signature("frage -> größe, " + ", ".join(f"feld_{n}" for n in range(30))), "x")
    output = JSON().compile(task, Capabilities(json_schema=True)).prepare({"frage": "x"}).output
    assert isinstance(output, OutputSchema)
    assert output.name.isascii()
    assert output.name.replace("_", "a").isalnum()
    assert 0 < len(output.name) <= 64


def test_a_type_without_a_schema_falls_back_to_plain_json() -> None:
    task = Task(signature("q -> a: Odd", types=[Odd]), "x")
    call = JSON().compile(task, Capabilities(json_schema=True, json_object=True)).prepare({"q": "x"})
    assert call.output == "json"
    assert "- a (Odd)" in call.messages[0].text
    assert call.read(Response('{"a": "7"}')) == {"a": Odd("7")}


def test_an_input_that_json_cannot_hold_is_refused() -> None:
    circle: list[Any] = []
    circle.append(circle)
    deep: list[Any] = []
    for _ in range(5_000):
        deep = [deep]
    for kind, value in (("int", 10**5_000), ("list[Any]", circle), ("Any", deep)):
        call = JSON().compile(Task(signature(f"n: {kind} -> a"), "x"), Capabilities())
        with pytest.raises(InputError, match="cannot be written as JSON"):
            call.prepare({"n": value})

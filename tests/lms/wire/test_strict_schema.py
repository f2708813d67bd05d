"""JSON schemas in OpenAI's strict subset: what is changed, what is left out, what cannot be."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from outlast.lms.wire.strict_schema import strict_schema


class Colour(Enum):
    RED = "red"


class Item(BaseModel):
    name: Annotated[str, Field(min_length=2, pattern="^[a-z]+$")]
    count: Annotated[int, Field(ge=1, le=5)] = 1
    colour: Colour | None = None


class Tree(BaseModel):
    value: int
    children: list[Tree] = []


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


class Order(BaseModel):
    items: list[Item] = Field(description="what was bought")
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]
    best: Item = Field(description="the best one")


def objects(node: Any) -> list[dict[str, Any]]:
    """Every object schema inside a schema."""
    found = []
    if isinstance(node, dict):
        if node.get("type") == "object":
            found.append(node)
        for value in node.values():
            found += objects(value)
    elif isinstance(node, list):
        for value in node:
            found += objects(value)
    return found


def keywords(node: Any) -> set[str]:
    if isinstance(node, dict):
        return set(node) | {word for value in node.values() for word in keywords(value)}
    return {word for value in node for word in keywords(value)} if isinstance(node, list) else set()


def test_a_nested_model_becomes_strict():
    made = strict_schema(Order.model_json_schema())
    assert made.strict
    assert made.left_out == ("minLength",)
    found = objects(made.schema)
    assert len(found) == 4
    for part in found:
        assert part["additionalProperties"] is False
        assert part["required"] == list(part["properties"])
    assert not keywords(made.schema) & {"default", "oneOf", "discriminator", "minLength"}
    item = made.schema["$defs"]["Item"]["properties"]
    assert item["name"]["pattern"] == "^[a-z]+$"
    assert (item["count"]["minimum"], item["count"]["maximum"]) == (1, 5)
    assert made.schema["properties"]["items"]["description"] == "what was bought"
    assert made.schema["properties"]["best"] == {"$ref": "#/$defs/Item"}
    assert len(made.schema["properties"]["pet"]["anyOf"]) == 2


def test_the_order_of_properties_is_kept():
    schema = {"type": "object", "properties": {"reasoning": {"type": "string"}, "answer": {"type": "string"}}}
    made = strict_schema(schema)
    assert list(made.schema["properties"]) == made.schema["required"] == ["reasoning", "answer"]


def test_the_given_schema_is_not_changed():
    schema = Order.model_json_schema()
    before = str(schema)
    strict_schema(schema)
    assert str(schema) == before


def test_a_recursive_model_keeps_its_references_and_gets_an_object_at_the_root():
    made = strict_schema(Tree.model_json_schema())
    assert made.strict
    assert made.schema["type"] == "object"
    assert made.schema["properties"]["children"]["items"] == {"$ref": "#/$defs/Tree"}
    assert made.schema["$defs"]["Tree"]["required"] == ["value", "children"]


def test_properties_named_like_keywords_are_properties():
    names = ("properties", "$ref", "type", "not", "default", "minLength")
    made = strict_schema({"type": "object", "properties": {name: {"type": "string"} for name in names}})
    assert made.strict
    assert made.schema["required"] == list(names)
    assert made.left_out == ()


@pytest.mark.parametrize(
    ("part", "why"),
    [
        ({}, "anything"),
        (True, "anything"),
        ({"description": "whatever"}, "anything"),
        ({"type": "array"}, "a list allows anything"),
        ({"type": "object"}, "open properties"),
        ({"type": ["object", "null"]}, "open properties"),
        ({"type": "object", "additionalProperties": {"type": "string"}}, "open properties"),
        ({"type": "array", "prefixItems": [{"type": "string"}]}, "'prefixItems'"),
        ({"not": {"type": "string"}}, "'not'"),
        ({"allOf": [{"type": "string"}, {"minLength": 1}]}, "'allOf'"),
        ({"oneOf": [{"type": "string"}], "anyOf": [{"type": "string"}]}, "'oneOf' beside 'anyOf'"),
    ],
)
def test_what_cannot_be_strict_is_left_as_it_is(part, why):
    schema = {"type": "object", "properties": {"x": part}, "required": ["x"]}
    made = strict_schema(schema)
    assert not made.strict
    assert made.schema is schema
    assert why in made.why


def test_only_an_object_can_be_at_the_root():
    assert not strict_schema({"type": "array", "items": {"type": "string"}}).strict
    assert not strict_schema({"anyOf": [{"type": "string"}, {"type": "null"}]}).strict
    assert not strict_schema({"$ref": "https://example.test/schema"}).strict


def test_a_single_all_of_is_unwrapped_and_depth_is_bounded():
    one = {"type": "object", "properties": {"x": {"allOf": [{"type": "string"}], "title": "X"}}}
    assert strict_schema(one).schema["properties"]["x"] == {"title": "X", "type": "string"}
    deep: dict[str, Any] = {"type": "string"}
    for _ in range(5000):
        deep = {"type": "array", "items": deep}
    assert "deeper" in strict_schema({"type": "object", "properties": {"x": deep}}).why

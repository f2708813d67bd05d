"""The forms of JSON schemas that Anthropic and Gemini take."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, Literal

import pydantic
import pytest

from outlast.lms.wire.anthropic_schema import MOST_OPTIONAL, MOST_UNIONS, anthropic_schema
from outlast.lms.wire.gemini_schema import gemini_schema


class Team(Enum):
    cards = "cards"
    billing = "billing"


class Person(pydantic.BaseModel):
    name: str = pydantic.Field(min_length=1, description="as it is written")
    born: int | None = pydantic.Field(None, ge=1900, lt=2100)
    mail: str = pydantic.Field("", pattern=".+@.+")


class Card(pydantic.BaseModel):
    why: str
    team: Team
    grade: Literal[1, 2, 3]
    people: list[Person] = pydantic.Field(max_length=5)
    first: Person
    kind: Literal["one"] = "one"


class Node(pydantic.BaseModel):
    value: int
    next: Node | None = None


CARD = Card.model_json_schema()


def nodes(schema: Any) -> list[Mapping[str, Any]]:
    """Every schema in a schema."""
    if isinstance(schema, list):
        return [found for part in schema for found in nodes(part)]
    if not isinstance(schema, Mapping):
        return []
    children = [schema.get("items"), *schema.get("properties", {}).values(), *schema.get("$defs", {}).values()]
    return [schema, *nodes(children), *nodes(schema.get("anyOf")), *nodes(schema.get("allOf"))]


# Anthropic


def test_anthropic_gets_closed_objects_and_no_bounds():
    made = anthropic_schema(CARD)
    assert made.strict
    for node in nodes(made.schema):
        assert not node.keys() & {
            "minLength",
            "maxLength",
            "minimum",
            "exclusiveMaximum",
            "pattern",
            "maxItems",
            "default",
        }
        if node.get("type") == "object":
            assert node["additionalProperties"] is False
    assert set(made.left_out) == {"minLength", "minimum", "exclusiveMaximum", "pattern", "maxItems"}
    person = made.schema["$defs"]["Person"]
    assert person["properties"]["name"]["description"] == "as it is written (minLength: 1)"
    assert person["required"] == ["name"]
    assert made.schema["properties"]["people"]["description"] == "(maxItems: 5)"


def test_anthropic_keeps_formats_and_small_least_lengths():
    made = anthropic_schema(
        {
            "type": "object",
            "properties": {
                "day": {"type": "string", "format": "date"},
                "odd": {"type": "string", "format": "colour"},
                "some": {"type": "array", "items": {"type": "string"}, "minItems": 1},
                "many": {"type": "array", "items": {"type": "string"}, "minItems": 2},
            },
        }
    )
    told = made.schema["properties"]
    assert told["day"] == {"type": "string", "format": "date"}
    assert told["odd"] == {"type": "string", "description": '(format: "colour")'}
    assert told["some"]["minItems"] == 1
    assert "minItems" not in told["many"]


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        (Node.model_json_schema(), "refers to itself"),
        ({"type": "object", "properties": {"a": {"$ref": "#"}}}, "refers to itself"),
        ({"type": "object", "properties": {"a": {"$ref": "#/$defs/X"}}}, "which is nowhere"),
        ({"type": "object", "properties": {"a": {"$ref": "other.json"}}}, "refers to 'other.json'"),
        ({"type": "object", "properties": {"a": {}}}, "allows anything"),
        ({"type": "object", "properties": {"a": {"type": "array"}}}, "a list allows anything"),
        ({"type": "object", "additionalProperties": {"type": "string"}}, "open properties"),
        ({"type": "object"}, "open properties"),
        ({"type": "object", "properties": {"a": True}}, "allows anything"),
        ({"type": "array", "prefixItems": [{"type": "string"}], "items": {"type": "string"}}, "prefixItems"),
        ({"oneOf": [{"type": "string"}], "anyOf": [{"type": "string"}]}, "oneOf"),
        (
            {"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(MOST_OPTIONAL + 1)}},
            "25 optional",
        ),
        (
            {
                "type": "object",
                "properties": {f"p{n}": {"type": ["string", "null"]} for n in range(MOST_UNIONS + 1)},
                "required": [f"p{n}" for n in range(MOST_UNIONS + 1)],
            },
            "17 properties of several types",
        ),
    ],
)
def test_what_anthropic_cannot_be_told_is_said(schema, why):
    made = anthropic_schema(schema)
    assert not made.strict
    assert why in made.why
    assert made.schema is schema


def test_a_schema_of_100_000_levels_is_refused_at_once():
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(100_000):
        schema = {"type": "array", "items": schema}
    for form in (anthropic_schema, gemini_schema):
        assert not form(schema).strict
    while "items" in schema:  # a garbage collector that recurses would overflow
        schema = schema.pop("items")


def test_references_that_meet_again_are_no_circle():
    twice = {"$defs": {"A": {"type": "object", "properties": {"b": {"$ref": "#/$defs/B"}, "c": {"$ref": "#/$defs/B"}}}}}
    twice["$defs"]["B"] = {"type": "object", "properties": {"n": {"type": "integer"}}}
    assert anthropic_schema({**twice, "type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}}).strict


# Gemini


def test_gemini_gets_no_references_and_only_texts_as_enumerations():
    made = gemini_schema(CARD)
    assert made.strict
    for node in nodes(made.schema):
        assert not node.keys() & {"$ref", "$defs", "const", "title", "default", "pattern", "minLength"}
        assert all(isinstance(value, str) for value in node.get("enum", ()))
    told = made.schema["properties"]
    assert told["team"]["enum"] == ["cards", "billing"]
    assert told["kind"]["enum"] == ["one"]
    assert told["grade"] == {"type": "integer", "description": "(one of 1, 2, 3)"}
    assert told["people"]["maxItems"] == 5
    assert told["first"]["properties"]["name"]["description"] == "as it is written (minLength: 1)"


def test_gemini_is_asked_in_the_order_of_the_properties():
    schema = {
        "type": "object",
        "properties": {"why": {"type": "string"}, "answer": {"type": "string"}},
        "required": ["answer", "why"],
    }
    assert gemini_schema(schema).schema["required"] == ["why", "answer"]


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        (Node.model_json_schema(), "refers to itself"),
        ({"type": "object", "properties": {"a": {"$ref": "#/$defs/X"}}}, "refers to"),
        ({"allOf": [{"type": "string"}, {"minLength": 1}]}, "allOf"),
        ({"type": "array", "prefixItems": [{"type": "string"}]}, "prefixItems"),
        ({"oneOf": [{"type": "string"}], "anyOf": [{"type": "string"}]}, "oneOf"),
        ({"type": "object", "properties": {"a": True}}, "allows anything"),
    ],
)
def test_what_gemini_cannot_be_told_is_said(schema, why):
    made = gemini_schema(schema)
    assert not made.strict
    assert why in made.why
    assert made.schema is schema


def test_references_that_multiply_are_stopped():
    definitions: dict[str, Any] = {"L0": {"type": "string"}}
    for level in range(1, 40):
        below = {"$ref": f"#/$defs/L{level - 1}"}
        definitions[f"L{level}"] = {"type": "object", "properties": {"a": below, "b": below}}
    made = gemini_schema({"$ref": "#/$defs/L39", "$defs": definitions})
    assert "too large" in made.why


def test_gemini_reads_one_part_of_all_and_one_of():
    made = gemini_schema(
        {
            "type": "object",
            "properties": {
                "a": {"allOf": [{"type": "string"}], "description": "d"},
                "b": {"oneOf": [{"type": "null"}]},
            },
        }
    )
    assert made.schema["properties"] == {
        "a": {"type": "string", "description": "d"},
        "b": {"anyOf": [{"type": "null"}]},
    }

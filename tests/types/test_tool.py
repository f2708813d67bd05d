"""A tool from a typed function: its name, description and schema."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pydantic
import pytest

from outlast.errors import InputError
from outlast.types import Tool


class Place(pydantic.BaseModel):
    city: str
    title: str = ""


def forecast(place: Place, days: Annotated[int, pydantic.Field(ge=1)] = 3, unit: Literal["C", "F"] = "C") -> str:
    """Tell the weather.

    Asks no server.

    Args:
        place: where,
            as exactly as known
        days (int): how many days ahead
    Returns:
        what it is like: sun or rain
    """
    return f"{place} {days} {unit}"


def test_a_function_gives_name_description_and_schema() -> None:
    tool = Tool.of(forecast)
    assert (tool.name, tool.description, tool.strict, tool.function) == (
        "forecast",
        "Tell the weather.\n\nAsks no server.",
        True,
        forecast,
    )
    assert tool.parameters == {
        "$defs": {
            "Place": {
                "properties": {"city": {"type": "string"}, "title": {"default": "", "type": "string"}},
                "required": ["city"],
                "type": "object",
            }
        },
        "additionalProperties": False,
        "properties": {
            "place": {"$ref": "#/$defs/Place", "description": "where, as exactly as known"},
            "days": {"default": 3, "description": "how many days ahead", "minimum": 1, "type": "integer"},
            "unit": {"default": "C", "enum": ["C", "F"], "type": "string"},
        },
        "required": ["place"],
        "type": "object",
    }


def test_descriptions_stand_in_annotations_or_in_the_docstring() -> None:
    def one(x: Annotated[int, "a number"], y: int, schema: str, model_config: bool) -> None:
        """Do.

        :param y: another
        :param str schema: odd name
        :returns: nothing
        """

    properties = Tool.of(one, name="two", description="Other.", strict=False).parameters["properties"]
    assert {name: item.get("description") for name, item in properties.items()} == {
        "x": "a number",
        "y": "another",
        "schema": "odd name",
        "model_config": None,
    }
    assert Tool.of(one).description == "Do."


def test_a_function_without_parameters_has_an_empty_object() -> None:
    def now() -> str:
        return ""

    assert Tool.of(now).parameters == {"type": "object", "properties": {}, "additionalProperties": False}


def test_a_method_and_a_callable_object_are_tools() -> None:
    class Shop:
        def price(self, item: str) -> float:
            """The price."""
            return 1.0

        def __call__(self, item: str) -> float:
            return 1.0

    assert list(Tool.of(Shop().price).parameters["properties"]) == ["item"]
    assert list(Tool.of(Shop(), name="shop").parameters["properties"]) == ["item"]


def untyped(x):  # type: ignore[no-untyped-def]
    return x


def positional(x: int, /) -> int:
    return x


def many(*x: int) -> None:
    del x


def strange(x: object()) -> None:  # type: ignore[valid-type]
    del x


def unknown(x: Nowhere) -> None:  # type: ignore[name-defined]  # noqa: F821
    del x


@pytest.mark.parametrize("function", [untyped, positional, many, strange, unknown, 3, lambda x: x])
def test_what_has_no_schema_is_refused(function: Any) -> None:
    with pytest.raises(InputError, match="tool"):
        Tool.of(function)


def test_the_function_is_no_part_of_the_value() -> None:
    tool = Tool.of(forecast)
    bare = Tool.from_json(tool.to_json())
    assert bare == tool
    assert hash(bare) == hash(tool)
    assert bare.function is None
    assert "function" not in tool.to_json()
    assert "function" not in repr(tool)

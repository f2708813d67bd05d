"""What a server says of its tools: schemas that no reader trips over, names, the fingerprint and what differs."""

from __future__ import annotations

from typing import Any

import pytest

from outlast.errors import ToolServerError
from outlast.runtime import drive
from outlast.tools.calling import Toolbox
from outlast.tools.mcp.definitions import changes, fingerprint, names_for, schema_for, visible
from outlast.types import Tool

ADD = {"description": "Add.", "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}}}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"type": 5}}},
        {"type": "object", "properties": {"a": {"type": [{}]}}},
        {"type": "object", "properties": {"a": True}, "required": 5},
        {"type": "object", "properties": {"a": {"enum": 5}}, "required": [{}]},
        {"type": "object", "properties": {"a": {"$ref": 5}, "b": {"$ref": "#/properties/b"}}},
        {"type": "object", "properties": {"a": {"pattern": "(a+)+$"}}},
        {},
    ],
)
def test_a_broken_schema_harms_no_call(schema: dict[str, Any]) -> None:
    async def do(**arguments: Any) -> Any:
        return arguments

    tool = Tool("do", "", schema_for("do", schema), function=do)
    assert drive(Toolbox([tool]).answer("do", {"a": "a" * 40 + "!"})).data == {"a": "a" * 40 + "!"}


@pytest.mark.parametrize("schema", [None, 5, {"type": "array"}, {"type": "object", "properties": []}])
def test_arguments_that_are_no_object_are_refused(schema: Any) -> None:
    with pytest.raises(ToolServerError, match=r"'do' are no object: .*without=\['do'\]"):
        schema_for("do", schema)


def test_the_name_of_a_tool_does_not_hang_on_the_order_of_the_list() -> None:
    names = names_for(["a/b", "a b", "a_b"], "")
    assert names["a_b"] == "a_b"
    assert len(set(names.values())) == 3
    assert names_for(["a b", "a_b", "a/b"], "") == names


def test_a_fingerprint_is_of_what_is_said_and_not_of_its_order() -> None:
    other = {**ADD, "description": "Add!"}
    assert fingerprint({"a": ADD, "b": other}) == fingerprint({"b": other, "a": ADD})
    assert fingerprint({"a": ADD}) != fingerprint({"a": other})
    assert fingerprint({"a": ADD}) != fingerprint({"b": ADD})
    assert fingerprint({"a": ADD}) != fingerprint({"a": {**ADD, "parameters": {"type": "object"}}})


def test_what_differs_is_told_where_it_differs() -> None:
    long = {**ADD, "description": f"{'x' * 500} Add."}
    later = {**ADD, "description": f"{'x' * 500} Subtract.\u202e"}
    (said,) = changes({"a": long}, {"a": later})
    assert said.endswith("Add.' and is '\\u2026" + "x" * 39 + " Subtract.\\u202e'")
    assert changes({"a": ADD}, {"b": ADD}) == ["the tool 'a' is gone", "the tool 'b' is new"]
    assert changes({"a": ADD}, {"a": ADD}) == []


def test_texts_lose_what_people_do_not_see_and_are_cut() -> None:
    assert visible("a\u200b\u202eb\U000e0041\x1b[0m\tc\nd") == "ab[0m\tc\nd"
    assert visible("x" * 30_000) == "x" * 20_000 + "… (cut: 30000 characters)"

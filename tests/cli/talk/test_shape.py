"""Schemas in words and as JSON: what a model is asked for, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from outlast import Predict
from outlast.cli.talk.shape import as_shape
from outlast.errors import AnswerError, DataError, OutlastError, UsageError
from outlast.signatures.spelling import signature
from outlast.testing import ScriptedLM


def asked(text: str, *replies: Any, multi: bool = False) -> Any:
    """The answer of a model that gives these replies."""
    shape = as_shape(text, multi=multi)
    asks = signature(shape.spelled({shape.free("prompt"): "str"}), types=shape.types)
    lm = ScriptedLM(list(replies), keep=True)
    outputs = Predict(asks, fields=shape.told, lm=lm)(**{shape.free("prompt"): "x"})
    return shape.answer({name: getattr(outputs, name) for name in shape.outputs})


@pytest.mark.parametrize(
    ("text", "kinds", "told"),
    [
        ("name, age int", {"name": "str", "age": "int"}, {}),
        ("name", {"name": "str"}, {}),
        ("name: as told, age int: in years", {"name": "str", "age": "int"}, {"name": "as told", "age": "in years"}),
        ("name: last, then first\nage int", {"name": "str", "age": "int"}, {"name": "last, then first"}),
        ("tags list[str], pair tuple[int, int]", {"tags": "list[str]", "pair": "tuple[int, int]"}, {}),
        ('mood Literal["so, so", "x: y"]: how', {"mood": 'Literal["so, so", "x: y"]'}, {"mood": "how"}),
        ("age int?, name?", {"age": "int | None", "name": "str | None"}, {}),
        ("when: the user's day: 1st", {"when": "str"}, {"when": "the user's day: 1st"}),
        (" a ,, b ,", {"a": "str", "b": "str"}, {}),
        ("größe float", {"größe": "float"}, {}),
    ],
)  # fmt: skip
def test_fields_in_words(text: str, kinds: dict[str, str], told: dict[str, str]) -> None:
    shape = as_shape(text)
    assert shape.outputs == kinds
    assert shape.told == told
    signature(shape.spelled({"prompt_in": "str"}))


@pytest.mark.parametrize(
    "text",
    ["", " ", "a, a", "1a", "a-b", "a int b c", "a nothing", "a list[", "a __import__('os')", "class", "a;b", "{}["],
)
def test_what_is_no_schema(text: str) -> None:
    with pytest.raises(OutlastError):
        signature(as_shape(text).spelled({"prompt_in": "str"}))


def test_answers_are_checked_and_asked_for_again() -> None:
    assert asked("name, age int", {"name": "Ann", "age": "many"}, {"name": "Ann", "age": 31}) == {
        "name": "Ann",
        "age": 31,
    }
    with pytest.raises(AnswerError):
        asked("age int", *[{"age": "many"}] * 9)


def test_a_field_may_have_the_name_of_the_input() -> None:
    assert asked("prompt, history int", {"prompt": "p", "history": 1}) == {"prompt": "p", "history": 1}


def test_many() -> None:
    items = [{"name": "Ann", "age": 31}, {"name": "Bo", "age": 5}]
    found = asked("name: of the person, age int", {"items": items}, multi=True)["items"]
    assert [(one.name, one.age) for one in found] == [("Ann", 31), ("Bo", 5)]
    with pytest.raises(AnswerError):
        asked("name, age int", *[{"items": [{"name": "Ann", "age": 1, "more": 2}]}] * 9, multi=True)


SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Dog",
    "type": "object",
    "properties": {
        "name": {"$ref": "#/$defs/word"},
        "definitions": {"type": "integer", "minimum": 3},
        "kind": {"enum": ["big", "small"], "default": {"definitions": 1}},
    },
    "required": ["name"],
    "additionalProperties": False,
    "$defs": {"word": {"type": "string", "pattern": "^[A-Z]"}},
}


def test_a_json_schema_holds_the_answer(tmp_path: Path) -> None:
    path = tmp_path / "dog.json"
    path.write_text(json.dumps(SCHEMA))
    for text in (json.dumps(SCHEMA), str(path)):
        wrong: list[Any] = [{"result": {"name": "rex"}}, {"result": {"name": "Rex", "more": 1}}]
        assert asked(text, *wrong, {"result": {"name": "Rex"}}) == {"name": "Rex"}
    assert asked(json.dumps(SCHEMA), {"items": [{"name": "Rex"}]}, multi=True) == {"items": [{"name": "Rex"}]}


def test_the_model_sees_the_schema_without_references() -> None:
    shape = as_shape(json.dumps(SCHEMA))
    asks: Any = signature(shape.spelled({"prompt": "str"}), types=shape.types)
    text = Predict(asks).render(prompt="x")[0].text
    assert "definitions?: integer" in text
    assert "$ref" not in text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("nothing.json", "cannot read"),
        ("{", "no JSON"),
        ('{"type": "nothing"}', "schema"),
        ('{"$ref": "#/$defs/a", "$defs": {"a": {"items": {"$ref": "#/$defs/a"}}}}', "may not refer to itself"),
        ('{"$ref": "https://example.com/s.json"}', "nothing is fetched"),
        ('{"$ref": "#/$defs/missing"}', "nothing is fetched"),
    ],
)
def test_what_is_no_json_schema(text: str, told: str) -> None:
    with pytest.raises((UsageError, DataError), match=told):
        as_shape(text)


def test_a_file_that_holds_no_object(tmp_path: Path) -> None:
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(DataError, match="is an object"):
        as_shape(str(tmp_path / "list.json"))

from __future__ import annotations

import dataclasses
import enum
import json
from typing import Any

import pytest
from pydantic import BaseModel

import outlast as ol
from outlast.errors import ArtifactError
from outlast.modules.state import (
    describe_signature,
    difference,
    dump_changes,
    places,
    restore_changes,
    tuned,
)
from outlast.types import Label


class Mood(enum.Enum):
    CALM = "calm"
    LOUD = "loud"


@dataclasses.dataclass(frozen=True)
class Window:
    low: int
    high: int = 9


class Limits(BaseModel):
    most: int = 3


class Inner(ol.Module):
    answer = ol.ChainOfThought("question -> answer: float")

    def forward(self, question: str) -> Any:
        return self.answer(question=question)


class Program(ol.Module):
    tone = ol.param("calm")
    count = ol.param(3)
    ratio = ol.param(0.5)
    on = ol.param(True)
    nothing = ol.param(None)
    words = ol.param(["a", "b"])
    table = ol.param({"a": [1, 2]})
    mood = ol.param(Mood.CALM)
    window = ol.param(Window(1))
    limits = ol.param(Limits())
    route = ol.Predict("message -> team: Literal['cards', 'billing'], tags: dict[str, int]")
    hops = [Inner(), Inner()]

    def forward(self, message: str) -> Any:
        return self.route(message=message)


class Keyed(ol.LM):
    name = "keyed"

    async def complete(self, request: Any) -> Any:
        raise NotImplementedError


CHANGES: dict[str, Any] = {
    "tone": "loud",
    "count": 9,
    "ratio": 0.25,
    "on": False,
    "nothing": {"some": ["thing"]},
    "words": ("c",),
    "table": {"z": 1, "a": {"deep": [True, None, 1.5]}},
    "mood": Mood.LOUD,
    "window": Window(4, 5),
    "limits": Limits(most=8),
    "route.instruction": "Route.\nWell.",
    "route.demos": (
        ol.Demo({"message": "m", "team": "cards", "tags": {"z": 1, "a": 2}}, "example 12"),
        ol.Demo({"team": "billing"}, "hand", Label(frozenset({"mail"}), frozenset({"me"}))),
    ),
    "route.fields.message": "what they wrote",
    "route.adapter": ol.JSON(reasks=1, fallback=ol.Chat()),
    "route.settings": ol.Settings(temperature=0.5, stop=("x", "y"), extra={"logit_bias": {"12": 1}}),
    "hops.1.answer.instruction": "Think.",
    "hops.1.answer.demos": (ol.Demo({"question": "q", "reasoning": "r", "answer": 1.5}, ""),),
    "hops.1.answer.fields.reasoning": "short",
}


@pytest.mark.parametrize("adapter", [ol.XML(), ol.Tools(reasks=0, fallback=ol.XML(reasks=1, fallback=ol.Chat()))])
def test_every_adapter_of_ours_comes_back_as_it_was(adapter: Any):
    changed = ol.update(Program(), {"route.adapter": adapter})
    data = json.loads(json.dumps(dump_changes(changed, {"route.adapter": adapter})))
    assert ol.update(Program(), restore_changes(Program(), data)) == changed


@pytest.mark.parametrize("path", CHANGES)
def test_every_kind_of_parameter_comes_back_as_it_was(path: str):
    program = Program()
    changed = ol.update(program, {path: CHANGES[path]})
    assert changed != program
    data = json.loads(json.dumps(dump_changes(changed, {path: ol.parameters(changed)[path]}), allow_nan=False))
    assert ol.update(program, restore_changes(program, data)) == changed


def test_all_of_them_together_come_back_too_and_nothing_else_is_kept():
    program = Program()
    changed = ol.update(program, CHANGES)
    data = json.loads(json.dumps(dump_changes(changed, tuned(changed))))
    assert list(data) == sorted(data)
    assert ol.update(program, restore_changes(program, data)) == changed
    assert not any(path.endswith(".lm") for path in data)
    assert "hops.0.answer.adapter" not in data
    assert "hops.0.answer.fields.question" not in data


def test_the_difference_of_two_programs_makes_the_one_from_the_other():
    program = Program()
    changed = ol.update(program, CHANGES)
    found = difference(program, changed)
    assert set(found) == set(CHANGES)
    assert ol.update(program, found) == changed
    assert difference(program, program) == {}
    assert difference(program, ol.update(program, {"route.lm": Keyed()})) == {}


def test_the_order_of_keys_inside_a_value_is_that_of_the_prompt():
    changed = ol.update(Program(), {"route.demos": CHANGES["route.demos"]})
    data = dump_changes(changed, {"route.demos": changed.route.demos})
    again = restore_changes(Program(), json.loads(json.dumps(data)))["route.demos"]
    assert list(again[0].values["tags"]) == ["z", "a"]
    assert list(again[0].values) == ["message", "team", "tags"]


def test_every_parameter_has_a_place():
    program = Program()
    assert list(places(program)) == list(ol.parameters(program))
    kinds = {path: place.kind for path, place in places(program).items()}
    assert kinds["tone"] == "declared"
    assert kinds["hops.1.answer.fields.reasoning"] == "fields"
    single = places(ol.Predict("a -> b"))
    assert single["instruction"].kind == "instruction"
    assert single["fields.a"].kind == "fields"


def test_a_declared_parameter_may_be_called_like_one_of_a_predictor():
    class Tricky(ol.Module):
        demos = ol.param("three")
        instruction = ol.param(7)

        def forward(self, message: str) -> Any:
            return message

    program = Tricky()
    changed = ol.update(program, {"demos": "four", "instruction": 8})
    data = dump_changes(changed, tuned(changed))
    assert data == {"demos": "four", "instruction": 8}
    assert ol.update(program, restore_changes(program, data)) == changed


class Homemade(ol.Chat):
    pass


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("route.lm", Keyed(), "set it in code"),
        ("route.adapter", Homemade(), "no form in a file"),
        ("route.adapter", ol.TwoStep(Keyed()), "no form in a file"),
        ("route.adapter", ol.Chat(fallback=Homemade()), "no form in a file"),
        ("nothing", object(), "no form in a file"),
        ("nothing", {1: "a"}, "no form in a file"),
        ("nothing", [object()], "no form in a file"),
        ("ratio", float("nan"), "no form in a file"),
        ("nothing", {"a": {"b": float("inf")}}, "no form in a file"),
        ("route.settings", ol.Settings(extra={"api_key": "sk-1"}), "api_key"),
        ("route.settings", ol.Settings(extra={"a": [{"Authorization": "Bearer sk-1"}]}), "Authorization"),
        ("route.settings", ol.Settings(extra={"base_url": "http://x"}), "base_url"),
        ("route.settings", ol.Settings(extra={"model": "other"}), "model"),
    ],
)
def test_what_has_no_form_in_a_file_is_refused_by_name(path: str, value: Any, says: str):
    changed = ol.update(Program(), {path: value})
    with pytest.raises(ArtifactError, match=says) as caught:
        dump_changes(changed, {path: ol.parameters(changed)[path]})
    assert repr(path) in str(caught.value) or path == "route.adapter"
    assert "sk-1" not in str(caught.value)


def test_an_adapter_of_ones_own_and_a_model_are_left_to_the_code():
    program = ol.update(Program(), {"route.adapter": Homemade(), "route.lm": Keyed()})
    data = dump_changes(program, tuned(program))
    assert "route.adapter" not in data
    assert "route.lm" not in data
    assert ol.update(program, restore_changes(program, data)) == program


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"rout.instruction": "x"}, "Did you mean 'route.instruction'"),
        ({"route.lm": "openai/gpt-5"}, "never taken from a file"),
        ({"route.lm": None}, "never taken from a file"),
        ({"route.instruction": 5}, "is text"),
        ({"route.fields.message": ["x"]}, "is text"),
        ({"route.demos": {"values": {}}}, "list of demos"),
        ({"route.demos": ["x"]}, "is an object"),
        ({"route.demos": [{"source": "x"}]}, "is an object"),
        ({"route.demos": [{"values": {"mesage": "x"}}]}, "'mesage'"),
        ({"route.demos": [{"values": {"team": "nobody"}}]}, "'team' is not valid"),
        ({"route.demos": [{"values": {}, "source": 3}]}, "source"),
        ({"route.demos": [{"values": {}, "label": "trusted"}]}, "label"),
        ({"route.demos": [{"values": {}, "label": {"sources": "abc"}}]}, "label"),
        ({"route.demos": [{"values": {}, "code": "x"}]}, "'code'"),
        ({"route.settings": {"temperature": "hot"}}, "temperature is a number from 0 to 2"),
        ({"route.settings": {"max_tokens": 1.5}}, "max_tokens is a whole number"),
        ({"route.settings": {"seed": True}}, "seed"),
        ({"route.settings": {"stop": "x"}}, "stop"),
        ({"route.settings": {"base_url": "http://evil"}}, "base_url"),
        ({"route.settings": {"extra": {"base_url": "http://evil"}}}, "base_url"),
        ({"route.settings": {"extra": {"x": {"api-key": "k"}}}}, "api-key"),
        ({"route.settings": {"extra": {"messages": []}}}, "messages"),
        ({"route.settings": {"extra": []}}, "extra"),
        ({"route.settings": []}, "is an object"),
        ({"route.adapter": "Chat"}, "is an object"),
        ({"route.adapter": {"adapter": "os.system"}}, "unknown adapter"),
        ({"route.adapter": {"adapter": ["Chat"]}}, "unknown adapter"),
        ({"route.adapter": {"adapter": "Chat", "reasks": 10**6}}, "reasks"),
        ({"route.adapter": {"adapter": "Chat", "base_url": "x"}}, "base_url"),
        ({"words": "abc"}, "is a list"),
        ({"table": [1]}, "is an object"),
        ({"mood": "furious"}, "'mood' cannot be used"),
        ({"window": {"low": "x"}}, "'window' cannot be used"),
    ],
)
def test_data_that_does_not_fit_the_program_is_refused(data: Any, says: str):
    with pytest.raises(ArtifactError, match=says):
        restore_changes(Program(), data)


def test_a_chain_of_fallbacks_is_bounded():
    data: Any = None
    for _ in range(6):
        data = {"adapter": "Chat", "reasks": 2, "fallback": data}
    with pytest.raises(ArtifactError, match="fallbacks"):
        restore_changes(Program(), {"route.adapter": data})


def test_values_without_a_number_in_json_come_back():
    program = ol.Predict("question -> answer: float")
    changed = ol.update(program, {"demos": [{"question": "q", "answer": float("inf")}]})
    data = json.loads(json.dumps(dump_changes(changed, tuned(changed)), allow_nan=False))
    assert ol.update(program, restore_changes(program, data)) == changed


def test_a_signature_is_described_field_by_field():
    told = describe_signature(Program().route.signature)
    assert list(told["fields"]) == ["message", "team", "tags"]
    assert "cards" in told["fields"]["team"]

from __future__ import annotations

import dataclasses
import datetime
import enum
import pickle
import subprocess
import sys

import pytest
from pydantic import BaseModel

from outlast.data import Example, id_of, inputs_of, json_form, targets_of
from outlast.errors import DataError, FrozenError


def test_inputs_and_targets_are_attributes_and_items():
    example = Example({"message": "charged twice"}, {"team": "billing"})
    assert example.message == example["message"] == "charged twice"
    assert example.team == "billing"
    assert dict(example.inputs) == {"message": "charged twice"}
    assert dict(example.targets) == {"team": "billing"}
    assert "team" in example
    assert "other" not in example
    assert list(example) == ["message", "team"]
    assert len(example) == 2


@pytest.mark.parametrize(
    "name",
    ["items", "id", "inputs", "targets", "self", "keys", "lm", "config", "demos", "metadata", "name", "cls"],
)
def test_no_field_name_is_reserved(name):
    example = Example({name: "the field"}, {"other": 1})
    assert getattr(example, name) == "the field"
    assert example[name] == "the field"
    assert dict(inputs_of(example)) == {name: "the field"}
    assert dict(targets_of(example)) == {"other": 1}
    assert len(id_of(example)) == 32
    assert pickle.loads(pickle.dumps(example)) == example
    as_target = Example({"other": 1}, {name: "the field"})
    assert getattr(as_target, name) == "the field"
    assert id_of(as_target) != id_of(example)


def test_an_unknown_field_lists_the_valid_names():
    example = Example({"message": "x"}, {"team": "billing"})
    with pytest.raises(AttributeError, match=r"no field 'teem'.*Did you mean 'team'.*Inputs: message; targets: team"):
        example.teem  # noqa: B018
    with pytest.raises(KeyError, match="no field 'teem'"):
        example["teem"]
    assert not hasattr(example, "__html__")


def test_an_example_cannot_be_changed():
    example = Example({"message": "x"}, {"team": "billing"})
    with pytest.raises(FrozenError, match="'team' cannot be assigned"):
        example.team = "cards"
    with pytest.raises(FrozenError):
        del example.team
    with pytest.raises(TypeError):
        example.inputs["message"] = "y"


def test_later_changes_of_the_given_dict_do_not_reach_the_example():
    given = {"message": "x"}
    example = Example(given)
    given["message"] = "y"
    assert example.message == "x"
    assert example.inputs["message"] == "x"


def test_the_id_depends_on_content_and_part_but_not_on_order():
    a = Example({"a": 1, "b": 2}, {"c": 3})
    assert a.id == Example({"b": 2, "a": 1}, {"c": 3}).id
    assert a == Example({"b": 2, "a": 1}, {"c": 3})
    assert hash(a) == hash(Example({"b": 2, "a": 1}, {"c": 3}))
    assert a.id != Example({"a": 1}, {"b": 2, "c": 3}).id
    assert a.id != Example({"a": 1, "b": 2}, {"c": "3"}).id
    assert a != "something else"


def test_the_id_is_the_same_in_every_process():
    code = (
        "from outlast.data import Example\n"
        "print(Example({'tags': {'red', 'green', 'blue', 'pink'}, 'text': 'é\\ud800'}, {'n': 1.5}).id)"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1]
    assert len(runs[0].strip()) == 32


class Colour(enum.Enum):
    RED = "red"


class Address(BaseModel):
    city: str
    since: datetime.date
    tags: set[str] = set()


@dataclasses.dataclass
class Person:
    name: str
    home: Address


def test_models_dataclasses_enums_and_dates_hash_by_their_json_form():
    home = Address(city="Rome", since=datetime.date(2020, 1, 2), tags={"b", "a"})
    rich = Example({"person": Person("Ann", home), "colour": Colour.RED, "when": datetime.datetime(2020, 1, 2, 3)})
    plain = Example(
        {
            "person": {"name": "Ann", "home": {"city": "Rome", "since": "2020-01-02", "tags": ["a", "b"]}},
            "colour": "red",
            "when": "2020-01-02T03:00:00",
        }
    )
    assert rich.id == plain.id
    assert rich.person.home.city == "Rome"


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), object(), lambda: 1])
def test_a_value_without_json_form_is_refused_with_its_field(bad):
    with pytest.raises(DataError, match="field 'x'"):
        Example({"x": bad}).id  # noqa: B018


def test_cycles_and_deep_nesting_are_refused():
    cycle: list = []
    cycle.append(cycle)
    with pytest.raises(DataError, match="nested too deeply"):
        Example({"x": cycle}).id  # noqa: B018


def test_a_name_that_is_input_and_target_is_refused():
    with pytest.raises(DataError, match="input or a target, not both: 'a'"):
        Example({"a": 1}, {"a": 2})
    with pytest.raises(DataError, match="names are strings; got 1"):
        Example({1: 2})  # type: ignore[dict-item]


def test_lenient_json_form_never_raises():
    cycle: list = []
    cycle.append(cycle)

    class Broken:
        def __repr__(self):
            raise RuntimeError("no")

    form = json_form({"nan": float("nan"), "object": Broken(), 3: {"b", "a"}, "bytes": b"\xff"}, lenient=True)
    assert form["nan"] == "nan"
    assert "Broken" in form["object"]
    assert form["3"] == ["a", "b"]
    assert form["bytes"] == "_w=="
    assert isinstance(json_form(cycle, lenient=True), str)


def test_repr_shows_both_parts():
    assert repr(Example({"m": "x"}, {"t": 1})) == "Example({'m': 'x'}, {'t': 1})"
    assert repr(Example({"m": "x"})) == "Example({'m': 'x'})"


def test_an_example_does_not_change_with_the_callers_values():
    words, labels = ["a"], {"x": [1]}
    example = Example({"words": words}, {"labels": labels})
    words.append("b")
    labels["x"].append(2)
    assert (example.words, example.labels) == (["a"], {"x": [1]})
    assert example == Example({"words": ["a"]}, {"labels": {"x": [1]}})

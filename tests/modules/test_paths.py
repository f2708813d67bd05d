"""Parameters by path, and changed programs from some of them."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import outlast as ol
from outlast.errors import PathError, UsageError
from outlast.testing import ScriptedLM

Team = Literal["billing", "cards"]


class Triage(ol.Signature):
    """Route a message."""

    message: str = ol.input(desc="what the customer wrote")
    team: Team = ol.output()
    urgency: int = ol.output(ge=1, le=5)


class Program(ol.Module):
    find = ol.Predict("question -> query")
    hops = [ol.Predict(Triage), {"deep": ol.ChainOfThought(Triage)}]
    threshold = ol.param(0.5)
    words = ol.param(["a", "b"])

    def forward(self, question: str) -> Any:
        return self.find(question=question)


def test_parameters_of_a_predictor() -> None:
    lm = ScriptedLM([])
    program = ol.Predict(Triage, instruction="Be kind.", fields={"team": "who"}, lm=lm, temperature=0.3)
    assert ol.parameters(program) == {
        "strategy": ol.Predict(),
        "instruction": "Be kind.",
        "demos": (),
        "shown": None,
        "fields.message": "what the customer wrote",
        "fields.team": "who",
        "fields.urgency": "",
        "order": (),
        "lm": lm,
        "adapter": None,
        "settings": ol.Settings(temperature=0.3),
    }


def test_parameters_of_a_program_in_its_order() -> None:
    found = ol.parameters(Program())
    assert list(found)[:5] == ["threshold", "words", "find.strategy", "find.instruction", "find.demos"]
    assert found["threshold"] == 0.5
    assert found["words"] == ("a", "b")
    assert "hops.1.deep.fields.reasoning" in found
    assert {path.split(".")[0] for path in found} == {"threshold", "words", "find", "hops"}


def test_update_changes_what_is_named() -> None:
    lm = ScriptedLM([])
    program = ol.update(
        Program(),
        {
            "find.instruction": "Find.",
            "hops.0.fields.team": "who",
            "hops.1.deep.demos": [{"message": "x", "reasoning": "r", "team": "cards"}],
            "hops.0.lm": lm,
            "hops.0.adapter": ol.JSON(),
            "hops.0.settings": ol.Settings(max_tokens=5),
            "threshold": 1,
            "words": ["c"],
        },
    )
    found = ol.parameters(program)
    assert found["find.instruction"] == "Find."
    assert found["hops.0.fields.team"] == "who"
    assert found["hops.1.deep.demos"] == (ol.Demo({"message": "x", "reasoning": "r", "team": "cards"}, "hand"),)
    assert found["hops.0.lm"] is lm
    assert found["hops.0.adapter"] == ol.JSON()
    assert found["hops.0.settings"].max_tokens == 5
    assert type(found["threshold"]) is float
    assert found["words"] == ("c",)
    assert ol.parameters(Program())["find.instruction"] != "Find."


def test_nothing_to_change_gives_the_program_itself() -> None:
    program = Program()
    assert ol.update(program, {}) is program
    assert ol.update(program, ol.parameters(program)) is program
    assert ol.update(program, {"find.instruction": program.find.instruction}) is program


def test_descriptions_can_be_replaced_together_and_put_back() -> None:
    program = ol.Predict(Triage)
    changed = ol.update(program, {"fields": {"team": "who", "message": "what the customer wrote"}})
    assert dict(changed.fields) == {"team": "who"}
    assert ol.update(changed, {"fields.team": ""}) == program
    assert ol.update(changed, {"fields": {}}) == program


def test_the_description_of_the_reasoning_is_a_parameter() -> None:
    program = ol.update(ol.ChainOfThought(Triage), {"fields.reasoning": "think about money"})
    assert "think about money" in str(program.render(message="x"))


def test_a_part_is_replaced_by_a_module() -> None:
    program = ol.update(Program(), {"hops.0": ol.ChainOfThought(Triage), "find": ol.Predict("question -> query, x")})
    assert type(program.hops[0]) is ol.ChainOfThought
    assert "find.fields.x" in ol.parameters(program)
    with pytest.raises(UsageError, match="'find' is a module and is replaced by a module; got 'x'"):
        ol.update(Program(), {"find": "x"})


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("find.instrution", "Did you mean 'find.instruction'?"),
        ("fnd.instruction", "Did you mean 'find.instruction'?"),
        ("hops.7.instruction", "hops.0.instruction"),
        ("hops.x", "Paths: "),
        ("hops.-1.instruction", "Paths: "),
        ("hops.1.deeep.lm", "Did you mean 'hops.1.deep.lm'?"),
        ("find.fields.question.x", "find.fields.question"),
        ("find.fields.qestion", "Did you mean 'find.fields.question'?"),
        ("find.instruction.x", "find.instruction"),
        ("threshold.x", "threshold"),
        ("hops", "Paths: "),
        ("find.signature", "find.settings"),
        (".find", "Paths: "),
    ],
)
def test_a_path_that_leads_nowhere_is_an_error_with_a_hint(path: str, hint: str) -> None:
    with pytest.raises(PathError) as caught:
        ol.update(Program(), {path: Program()})
    assert f"Program has no parameter {path!r}" in str(caught.value)
    assert hint in str(caught.value)
    assert isinstance(caught.value, KeyError)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("find.instruction", 3, "'find.instruction': instruction is text; got 3"),
        ("find.demos", "abc", "'find.demos': demos are a list"),
        ("find.demos", 3, "'find.demos': demos are a list"),
        ("find.demos", {"question": "x"}, "'find.demos': demos are a list"),
        ("find.demos", ["x"], "'find.demos': a demo is"),
        ("find.demos", [{"qestion": "x"}], "no field 'qestion' for demo 1. Did you mean 'question'?"),
        ("hops.0.demos", [{"urgency": 3}, {"urgency": 9}], "demo 2 for Triage has a 'urgency' that does not fit"),
        ("hops.0.demos", [ol.Demo({"team": "fraud"}, "example a1")], r"demo 1 \(example a1\) for Triage has a 'team'"),
        ("find.fields", "abc", "'find.fields': fields are descriptions by field name"),
        ("find.fields", {"x": "y"}, "Query has no field 'x' to describe"),
        ("find.fields.query", 3, "'find.fields': the description of 'query' is text; got 3"),
        ("find.lm", 3, "'find.lm': lm is an LM or a model name"),
        ("find.lm", ScriptedLM, "'find.lm': lm is an LM or a model name"),
        ("find.adapter", "chat", "'find.adapter': adapter is an Adapter"),
        ("find.settings", {}, r"'find.settings': settings are ol.Settings\(...\)"),
        ("find.settings", None, r"'find.settings': settings are ol.Settings\(...\)"),
        ("find.settings", ol.Settings(temperature=9), "'find.settings': temperature is a number from 0 to 2; got 9"),
        ("threshold", "high", "'threshold' is of the type float; got 'high'"),
        ("threshold", True, "'threshold' is of the type float; got True"),
    ],
)
def test_a_value_that_cannot_stand_there_is_an_error_that_names_the_path(path: str, value: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ol.update(Program(), {path: value})


def test_a_part_and_something_inside_it_cannot_both_be_replaced() -> None:
    part = ol.Predict("question -> query")
    with pytest.raises(UsageError, match="replaced as a whole"):
        ol.update(Program(), {"find": part, "find.instruction": "x"})
    with pytest.raises(UsageError, match="replaced as a whole"):
        ol.update(Program(), {"find.instruction": "x", "find": part})


@pytest.mark.parametrize("wrong", [None, "program", Program, len])
def test_what_is_no_program_is_refused(wrong: Any) -> None:
    for use in (ol.parameters, ol.modules_of, lambda program: ol.update(program, {})):
        with pytest.raises(UsageError, match="a program is a Module"):
            use(wrong)


@pytest.mark.parametrize("changes", [None, ["find"], "find.instruction"])
def test_changes_are_a_mapping(changes: Any) -> None:
    with pytest.raises(UsageError, match="mapping"):
        ol.update(Program(), changes)


@pytest.mark.parametrize("path", [3, None, ("find", "instruction")])
def test_a_path_is_text(path: Any) -> None:
    with pytest.raises(UsageError, match="path is text"):
        ol.update(Program(), {path: "x"})


@pytest.mark.parametrize(
    ("value", "other"), [(True, False), (3, 4), ("a", "b"), (None, "anything"), ({"a": [1]}, {"b": 2})]
)
def test_declared_parameters_of_any_kind(value: Any, other: Any) -> None:
    class Declares(ol.Module):
        def __init__(self) -> None:
            self.knob = ol.param(value)

    changed = ol.update(Declares(), {"knob": other})
    assert changed.knob == other
    assert ol.update(changed, {"knob": value}) == Declares()


def test_a_value_that_cannot_be_compared_can_be_tuned() -> None:
    class Array:
        def __eq__(self, other: object) -> Any:
            raise ValueError("the truth value of an array is ambiguous")

        __hash__ = None  # type: ignore[assignment]

    class Declares(ol.Module):
        weights = ol.param(Array())

    new = Array()
    assert ol.update(Declares(), {"weights": new}).weights is new


# For any program


predictors = st.builds(
    lambda signature, kind, instruction, demos, description, temperature: kind(
        signature,
        instruction=instruction,
        demos=[{"message": text, "team": "cards"} for text in demos],
        fields={} if description is None else {"team": description},
        temperature=temperature,
    ),
    st.sampled_from([Triage, Triage.with_description("Other."), ol.signature("message -> team: Literal['cards']")]),
    st.sampled_from([ol.Predict, ol.ChainOfThought]),
    st.none() | st.text(max_size=10),
    st.lists(st.text(max_size=5), max_size=2),
    st.none() | st.text(max_size=10),
    st.none() | st.floats(0, 2),
)
steps = st.text("abcxyz_0", min_size=1, max_size=4)
plain = st.none() | st.integers() | st.text(max_size=5) | st.lists(st.integers(), max_size=3)


def holding(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(inner, max_size=3) | st.dictionaries(steps, inner, max_size=3)


class Generated(ol.Module):
    def __init__(self, attributes: dict[str, Any], params: dict[str, Any]) -> None:
        for name, value in attributes.items():
            setattr(self, f"a_{name}", value)
        for name, value in params.items():
            setattr(self, f"p_{name}", ol.param(value))


programs = st.recursive(
    predictors,
    lambda inner: st.builds(
        Generated,
        st.dictionaries(steps, inner | plain | holding(inner | plain | holding(inner)), max_size=4),
        st.dictionaries(steps, plain, max_size=2),
    ),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None)
@given(programs)
def test_a_program_is_its_parameters(program: ol.Module) -> None:
    found = ol.parameters(program)
    assert ol.update(program, found) == program
    bare = ol.update(program, {path: "" for path in found if path.split(".")[-1] == "instruction"})
    assert ol.parameters(bare).keys() == found.keys()
    assert ol.update(bare, found) == program
    assert hash(ol.update(bare, found)) == hash(program)
    assert len({id(part) for part in ol.modules_of(program).values()}) == len(ol.modules_of(program))

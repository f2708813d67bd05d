"""Signature classes: declared, inherited, edited by value, frozen; every field name is free."""

from __future__ import annotations

import enum
from typing import Annotated, Any, ClassVar, Literal

import pydantic
import pytest

import outlast as ol
from outlast.errors import FrozenError, InputError, SignatureError
from outlast.signatures import REQUIRED, Prediction, Signature, fields_of, input, output, outputs_of, signature
from outlast.testing import ScriptedLM


class Team(enum.Enum):
    BILLING = "billing"
    CARDS = "cards"


class Wide(pydantic.BaseModel):
    part: NeverDefined  # type: ignore[name-defined]  # noqa: F821


class Triage(Signature):
    """Route a customer message.

    Think of the team that can resolve it.
    """

    message: str = input(desc="what the customer wrote")
    team: Team = output()
    urgency: int = output(ge=1, le=5, desc="5: money is leaving the account now")


def test_a_class_declares_description_and_fields() -> None:
    assert Triage.description == "Route a customer message.\n\nThink of the team that can resolve it."
    assert list(Triage.fields) == ["message", "team", "urgency"]
    assert list(Triage.inputs) == ["message"]
    assert list(Triage.outputs) == ["team", "urgency"]
    assert Triage.fields["message"].desc == "what the customer wrote"
    assert Triage.fields["team"].type is Team
    assert Triage.fields["urgency"].required
    assert "team: Team" in repr(Triage)


def test_a_class_without_docstring_describes_itself() -> None:
    class Plain(Signature):
        a: str = input()
        b: str = output()

    assert Plain.description == "Given a, give b."
    assert Plain == signature("a -> b")


def test_inputs_come_first_whatever_the_order() -> None:
    class Mixed(Signature):
        b: str = output()
        a: str = input()

    assert list(Mixed.fields) == ["a", "b"]


def test_class_variables_and_methods_are_no_fields() -> None:
    class Rich(Signature):
        limit: ClassVar[int] = 3
        a: str = input()
        b: str = output()

        def shouted(self) -> str:
            return self.b.upper()

    assert list(Rich.fields) == ["a", "b"]
    predict = ol.Predict(Rich, lm=ScriptedLM(["<<b>>\nyes\n<<end>>"]))
    assert predict(a="x").shouted() == "YES"


def test_descriptions_and_constraints_may_stand_in_annotated() -> None:
    class Marked(Signature):
        a: Annotated[str, "the text"] = input()
        b: Annotated[int, output(ge=0, desc="how many")] = output()

    assert Marked.fields["a"].desc == "the text"
    assert Marked.fields["a"].type is str
    assert Marked.fields["b"].desc == "how many"


@pytest.mark.parametrize(
    ("body", "part"),
    [
        ({"__annotations__": {"a": str}}, "neither input nor output"),
        ({"__annotations__": {"a": str}, "a": "x"}, "bare value 'x'"),
        ({"a": output()}, "has no type"),
        ({"__annotations__": {"a": str}, "a": input()}, "no output field"),
        ({"__annotations__": {"a": "Nowhere"}, "a": output()}, "Nowhere"),
        ({"__annotations__": {"class": str}, "class": output()}, "keyword"),
        ({"__annotations__": {"a": str, "b": str}, "a": output(), "b": output(), "c": input()}, "'c'"),
    ],
)
def test_a_class_that_is_no_signature_says_why(body: dict[str, Any], part: str) -> None:
    with pytest.raises(SignatureError) as caught:
        type(Signature)("Wrong", (Signature,), {"__module__": __name__, **body})
    assert part in str(caught.value)


def test_a_field_and_a_property_of_one_name_are_refused() -> None:
    with pytest.raises(SignatureError, match="field and a property named 'team'"):

        class Shadowed(Triage):
            @property
            def team(self) -> str:  # type: ignore[override]
                return "x"


def test_a_description_that_is_no_text_is_refused() -> None:
    with pytest.raises(SignatureError, match="description of field 'a' is text"):
        type(Signature)(
            "Wrong", (Signature,), {"__module__": __name__, "__annotations__": {"a": str}, "a": output(desc=None)}
        )  # type: ignore[arg-type]


# inheritance


class WithSummary(Triage):
    summary: str = output()


class Renamed(Triage):
    """Other words."""


class Source(Signature):
    document: str = input()
    quote: str = output()


class Both(Triage, Source):
    """Both at once."""


class Plain(Signature):
    a: str = input()
    b: str = output()


class Longer(Plain):
    c: str = output()


def test_a_subclass_adds_fields_and_keeps_the_description() -> None:
    assert list(WithSummary.outputs) == ["team", "urgency", "summary"]
    assert WithSummary.description == Triage.description
    assert Renamed.description == "Other words."
    assert list(Renamed.fields) == list(Triage.fields)


def test_a_made_up_description_is_made_anew_for_more_fields() -> None:
    assert Longer.description == "Given a, give b, c."


def test_two_parents_are_joined() -> None:
    assert list(Both.fields) == ["document", "message", "quote", "team", "urgency"]


def test_a_subclass_may_redeclare_a_field() -> None:
    class Narrow(Triage):
        team: Literal["billing"] = output()

    assert list(Narrow.fields) == ["message", "team", "urgency"]
    assert Triage.fields["team"].type is Team


# edits


def test_edits_give_a_new_signature_and_never_touch_the_old() -> None:
    before = (Triage.description, dict(Triage.fields), Triage.key, hash(Triage))
    edits = [
        Triage.with_description("Other words."),
        Triage.with_field("why", str, output(desc="reason")),
        Triage.with_field("team", str, output()),
        Triage.append("history", list[str], input()),
        Triage.prepend("reasoning", str, output()),
        Triage.insert(1, "certainty", float, output(ge=0, le=1)),
        Triage.delete("urgency"),
        Triage.with_updated_field("urgency", desc="how urgent"),
    ]
    assert (Triage.description, dict(Triage.fields), Triage.key, hash(Triage)) == before
    assert len({edit.key for edit in edits}) == len(edits)
    assert all(edit != Triage for edit in edits)


def test_what_each_edit_does() -> None:
    assert Triage.with_description("  Other\n  words.").description == "Other\nwords."
    assert list(Triage.with_field("why", str, output()).outputs) == ["team", "urgency", "why"]
    assert list(Triage.with_field("team", str, output()).outputs) == ["team", "urgency"]
    assert list(Triage.append("history", list[str], input()).inputs) == ["message", "history"]
    assert list(Triage.prepend("reasoning", str, output()).outputs) == ["reasoning", "team", "urgency"]
    assert list(Triage.insert(1, "certainty", float, output()).outputs) == ["team", "certainty", "urgency"]
    assert list(Triage.insert(-1, "certainty", float, output()).outputs) == ["team", "certainty", "urgency"]
    assert list(Triage.delete("urgency").outputs) == ["team"]
    changed = Triage.with_updated_field("message", desc="new", type=list[str], default=None).fields["message"]
    assert (changed.desc, changed.type, changed.default) == ("new", list[str], None)
    assert Triage.with_updated_field("message", default="x").with_updated_field(
        "message", default=REQUIRED
    ) == Triage.with_updated_field("message", type=str)


def test_edits_can_be_undone() -> None:
    assert Triage.append("x", str, output()).delete("x") == Triage
    assert Triage.with_description("x").with_description(Triage.description) == Triage


def test_a_made_up_description_follows_the_edits() -> None:
    assert signature("a -> b").append("c", str, output()).description == "Given a, give b, c."
    assert signature("a -> b", "Do it.").append("c", str, output()).description == "Do it."


@pytest.mark.parametrize(
    ("edit", "part"),
    [
        (lambda: Triage.delete("tem"), "no field 'tem'. Did you mean 'team'?"),
        (lambda: Triage.with_updated_field("urgncy", desc="x"), "Did you mean 'urgency'?"),
        (lambda: Triage.append("team", str, output()), "already has a field 'team'"),
        (lambda: Triage.append("x", str, "output"), "ol.input(...) or ol.output(...)"),
        (lambda: Triage.append("9x", str, output()), "identifier"),
        (lambda: Triage.append("_x", str, output()), "does not start with '_'"),
        (lambda: Triage.delete("team").delete("urgency"), "no output field"),
    ],
)
def test_wrong_edits_say_what_is_wrong(edit: Any, part: str) -> None:
    with pytest.raises(SignatureError) as caught:
        edit()
    assert part in str(caught.value)


def test_a_signature_cannot_be_assigned_to() -> None:
    with pytest.raises(FrozenError, match="with_description"):
        Triage.description = "x"  # type: ignore[misc]
    with pytest.raises(FrozenError):
        Triage.team = "x"  # type: ignore[assignment]


# any name is free

FREE = [
    *("lm", "config", "self", "items", "demos", "signature", "metadata", "trace", "inputs", "outputs", "key", "fields"),
    *("get", "values", "end", "cls", "name", "type", "args", "kwargs", "description", "spelled", "reasoning", "append"),
    *(
        "delete",
        "insert",
        "instruction",
        "adapter",
        "settings",
        "input",
        "output",
        "match",
        "run",
        "dict",
        "forward",
        "call",
    ),
    *("render", "acall", "check", "task", "result", "with_field", "mro", "types", "data"),
]


@pytest.mark.parametrize("kind", ["string", "class"])
def test_defect_3_no_field_name_is_reserved(kind: str) -> None:
    half = len(FREE) // 2
    for ins, outs in ((FREE[:half], FREE[half:]), (FREE[half:], FREE[:half])):
        if kind == "string":
            found = signature(f"{', '.join(ins)} -> {', '.join(outs)}")
        else:
            body: dict[str, Any] = {"__module__": __name__, "__annotations__": dict.fromkeys([*ins, *outs], str)}
            body |= {name: input() for name in ins} | {name: output() for name in outs}
            found = type(Signature)("Free", (Signature,), body)
        assert list(found.inputs) == ins
        assert list(found.outputs) == outs
        lm = ScriptedLM(lambda messages: reply_of(messages[0].text, outs))  # noqa: B023
        predict = ol.Predict(found, lm=lm)
        result = predict(**{name: f"in {name}" for name in ins})
        assert fields_of(result) == {name: f"in {name}" for name in ins} | {name: f"out {name}" for name in outs}
        assert outputs_of(result) == {name: f"out {name}" for name in outs}
        for name in ins:
            assert getattr(result, name) == result[name] == f"in {name}"


def reply_of(prompt: str, names: list[str]) -> str:
    end = prompt.rsplit("<<", 1)[1].removesuffix(">>")
    return "\n\n".join(f"<<{name}>>\nout {name}" for name in names) + f"\n\n<<{end}>>"


def test_a_field_called_end_moves_the_end_marker() -> None:
    predict = ol.Predict("start -> end", lm=ScriptedLM(["<<end>>\nfin\n\n<<end_of_reply>>"]))
    assert predict(start="x").end == "fin"


# calls


def test_defect_1_a_misspelt_or_missing_input_raises_before_any_call() -> None:
    lm = ScriptedLM(["never"])
    predict = ol.Predict(Triage, lm=lm)
    with pytest.raises(InputError, match="no input 'mesage'. Did you mean 'message'?"):
        predict(mesage="x")
    with pytest.raises(InputError, match="needs the input 'message'"):
        predict()
    with pytest.raises(InputError, match="no input 'extra'"):
        predict(message="x", extra=1)
    with pytest.raises(InputError, match="'message'"):
        predict(message=3)
    with pytest.raises(InputError, match="no input 'team'"):
        predict(message="x", team="cards")
    assert lm.calls == 0


def test_defect_2_declared_constraints_hold_for_inputs_and_outputs() -> None:
    class Bounded(Signature):
        size: int = input(gt=0)
        name: str = output(min_length=2, max_length=4, pattern="^[a-z]+$")
        share: float = output(ge=0, lt=1)
        even: int = output(multiple_of=2)

    lm = ScriptedLM(lambda _: "<<name>>\nX\n<<share>>\n1\n<<even>>\n3\n<<end>>")
    predict = ol.Predict(Bounded, lm=lm, adapter=ol.Chat(reasks=0))
    with pytest.raises(InputError, match="greater than 0"):
        predict(size=0)
    with pytest.raises(ol.OutlastError) as caught:
        predict(size=1)
    for part in ("name:", "share:", "less than 1", "even:", "multiple of 2"):
        assert part in str(caught.value)
    good = ScriptedLM(["<<name>>\nabc\n<<share>>\n0.5\n<<even>>\n4\n<<end>>"])
    assert outputs_of(ol.Predict(Bounded, lm=good)(size=1)) == {"name": "abc", "share": 0.5, "even": 4}


def test_constraints_are_told_to_the_model() -> None:
    text = ol.Predict(Triage).render(message="x")[0].text
    assert "urgency (integer, 1 to 5): 5: money is leaving" in text


def test_defaults_fill_in_and_are_never_shared() -> None:
    class Defaulted(Signature):
        q: str = input()
        tags: list[str] = input(default=["a"])
        found: list[str] = output(default=[])
        note: str | None = output(default=None)

    lm = ScriptedLM(lambda _: "<<note>>\nhi\n<<end>>")
    predict = ol.Predict(Defaulted, lm=lm)
    first = predict(q="x")
    assert first.tags == ["a"]
    assert first.found == []
    first.tags.append("changed")
    first.found.append("changed")
    second = predict(q="x")
    assert (second.tags, second.found) == (["a"], [])
    assert Defaulted.fields["tags"].default == ["a"]


def test_a_default_that_does_not_fit_its_type_is_refused() -> None:
    wrong = signature("q -> a").append("n", int, input(default="many"))
    with pytest.raises(SignatureError, match="default 'many', which does not fit"):
        ol.Predict(wrong).render(q="x")
    none = signature("q -> a").append("n", str, input(default=None))
    with pytest.raises(SignatureError, match=r"\| None"):
        ol.Predict(none).render(q="x")


def test_an_output_default_is_given_as_its_type() -> None:
    found = signature("q -> a", types=[Team]).append("team", Team, output(default="cards"))
    assert ol.Predict(found, lm=ScriptedLM(["<<a>>\nx\n<<end>>"]))(q="x").team is Team.CARDS


def test_a_type_that_cannot_be_validated_or_made_from_text_is_refused() -> None:
    class Opaque:
        pass

    with pytest.raises(SignatureError, match="cannot be made from text"):
        ol.Predict(signature("q -> a: Opaque", types=[Opaque])).render(q="x")
    assert "Opaque" in ol.Predict(signature("q: Opaque -> a", types=[Opaque])).render(q=Opaque())[0].text
    with pytest.raises(SignatureError, match="pydantic cannot validate"):
        ol.Predict(signature("q -> a: Wide", types=[Wide])).render(q="x")


def test_the_name_of_a_type_is_no_type() -> None:
    for wrong in ("Team", list["Team"], list["Team"], Annotated["Team", 1]):  # type: ignore[type-arg]
        with pytest.raises(SignatureError, match="type name 'Team' where a type belongs"):
            signature("q -> a: T", types={"T": wrong})
        with pytest.raises(SignatureError, match="type name 'Team' where a type belongs"):
            Triage.append("x", wrong, output())
    assert Triage.append("x", Literal["Team"], output()).fields["x"].type == Literal["Team"]


def test_defect_7_two_programs_on_one_signature_share_no_tuned_state() -> None:
    one = ol.Predict(Triage)
    other = ol.Predict(Triage)
    changed = ol.update(one, {"instruction": "New words."})
    assert changed.instruction == "New words."
    assert one.instruction == other.instruction == Triage.description


def test_an_instance_made_by_hand_has_its_inputs_and_defaults() -> None:
    record = Triage(message="x")
    assert fields_of(record) == {"message": "x"}
    with pytest.raises(InputError):
        Triage(mesage="x")  # type: ignore[call-arg]
    assert isinstance(ol.Predict("a -> b", lm=ScriptedLM(["<<b>>\nx"]))(a="1"), Prediction)

"""The order in which outputs are asked for, as a parameter: in every prompt, every reply and every file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import pytest

import outlast as ol
from outlast.adapters.protocol import Adapter
from outlast.errors import ArtifactError, SignatureError, UsageError
from outlast.lms.protocol import Capabilities
from outlast.messages import Response, ToolCall
from outlast.messages.progress import Partial
from outlast.testing import ScriptedLM
from outlast.tracing.identity import program_hash

Team = Literal["billing", "cards"]
BOTH = ("why", "team")


class Routing(ol.Signature):
    """Route a message."""

    message: str = ol.input()
    team: Team = ol.output()
    why: str = ol.output()


VALUES = {"team": "cards", "why": "it says card"}
DEMO = ol.Demo({"message": "charged twice", "team": "billing", "why": "a charge"}, "hand")
ADAPTERS: dict[str, Adapter] = {"chat": ol.Chat(), "json": ol.JSON(), "xml": ol.XML(), "tools": ol.Tools()}
REPLIES: dict[str, Any] = {
    "chat": "<<why>>\nit says card\n\n<<team>>\ncards\n\n<<end>>",
    "json": '{"why": "it says card", "team": "cards"}',
    "xml": "<why>it says card</why>\n<team>cards</team>",
    "tools": Response("", tool_calls=(ToolCall("1", "Routing", '{"why": "it says card", "team": "cards"}'),)),
}
ABLE = Capabilities(tools=True, json_schema=True)


def replying(*replies: Any) -> ScriptedLM:
    return ScriptedLM(list(replies), capabilities=ABLE, keep=True)


def shown(name: str, **options: Any) -> tuple[str, Any]:
    """The whole request of a call as text, and the result."""
    lm = replying(REPLIES[name])
    out = ol.Predict(Routing, lm=lm, adapter=ADAPTERS[name], demos=[DEMO], **options)(message="My card is gone")
    return json.dumps(lm.requests[0].to_json(), default=str), out


def first(text: str, marks: tuple[str, str]) -> bool:
    """Whether the one always comes before the other, wherever both are listed."""
    ours, theirs = ([at for at in range(len(text)) if text.startswith(mark, at)] for mark in marks)
    return len(ours) == len(theirs) > 0 and all(a < b for a, b in zip(ours, theirs, strict=True))


MARKS: dict[str, list[tuple[str, str]]] = {
    "chat": [("<<why>>", "<<team>>"), ("- why (", "- team (")],
    "json": [('\\"why\\"', '\\"team\\"'), ("- why (", "- team (")],
    "xml": [("<why>", "<team>"), ("- why (", "- team (")],
    "tools": [("- why (", "- team ("), ('\\"why\\": ', '\\"team\\": ')],
}


@pytest.mark.parametrize("name", ADAPTERS)
def test_every_adapter_lists_and_shows_the_outputs_in_the_order(name: str) -> None:
    ours, out = shown(name, order=BOTH)
    theirs, same = shown(name)
    for marks in MARKS[name]:
        assert first(ours, marks), marks
        assert first(theirs, (marks[1], marks[0])), marks
    assert (out.team, out.why) == ("cards", "it says card") == (same.team, same.why)


@pytest.mark.parametrize("name", ["json", "tools"])
def test_the_schema_of_the_reply_has_the_order(name: str) -> None:
    lm = replying(REPLIES[name])
    ol.Predict(Routing, lm=lm, adapter=ADAPTERS[name], order=BOTH)(message="x")
    request = lm.requests[0]
    output: Any = request.output
    schema: Any = request.tools[0].parameters if name == "tools" else output.schema
    assert list(schema["properties"]) == ["why", "team"]


def test_typed_questions_are_asked_in_the_order() -> None:
    class Two(ol.Signature):
        """Decide."""

        message: str = ol.input()
        team: Team = ol.output()
        urgent: bool = ol.output()

    plan = ol.Decisions().compile(ol.Predict(Two, order=["urgent", "team"]).task(ABLE), Capabilities(decisions=True))
    assert [name for name, _ in plan.prepare({"message": "x"}).questions] == ["urgent", "team"]


def test_the_extractor_of_two_steps_reads_them_in_the_order() -> None:
    extractor = replying(REPLIES["json"])
    lm = replying("It says card, so cards.")
    out = ol.Predict(Routing, lm=lm, adapter=ol.TwoStep(extractor), order=BOTH)(message="x")
    assert out.team == "cards"
    assert first(extractor.requests[0].messages[0].text, ("- why (", "- team ("))


@pytest.mark.parametrize("name", ["chat", "json", "xml"])
def test_a_stream_gives_them_in_the_order(name: str) -> None:
    program = ol.Predict(Routing, lm=replying(REPLIES[name]), adapter=ADAPTERS[name], order=BOTH)
    done = [one.field for one in program.stream(message="x") if isinstance(one, Partial) and one.complete]
    assert done == ["why", "team"]


def test_the_result_keeps_the_order_of_the_signature() -> None:
    out = ol.Predict(Routing, lm=replying(REPLIES["chat"]), order=BOTH)(message="x")
    assert list(out) == ["message", "team", "why"]
    assert type(out) is Routing


def test_a_reply_in_another_order_is_still_read() -> None:
    lm = replying("<<team>>\ncards\n\n<<why>>\nso\n\n<<end>>")
    assert ol.Predict(Routing, lm=lm, order=BOTH)(message="x").team == "cards"


def test_a_typed_function_gives_what_it_gave() -> None:
    from dataclasses import dataclass

    @dataclass(frozen=True)
    class Verdict:
        team: str
        why: str

    def judge(message: str) -> Verdict:
        """Judge."""
        raise NotImplementedError

    judge.__annotations__ = {"message": str, "return": Verdict}
    lm = replying(REPLIES["chat"])
    assert ol.Predict(judge, lm=lm, order=BOTH)("x") == Verdict("cards", "it says card")
    assert first(lm.requests[0].messages[0].text, ("<<why>>", "<<team>>"))


def test_a_description_made_from_the_names_follows_and_a_written_one_stays() -> None:
    made = ol.Predict("message -> team, why", order=BOTH)
    assert str(made.render(message="x")[0].text).startswith("Given message, give why, team.")
    assert made.instruction == "Given message, give team, why."
    written = ol.Predict("message -> team, why", order=BOTH, instruction="Give team, then why.")
    assert written.render(message="x")[0].text.startswith("Give team, then why.")


# Added fields


def asked(program: Any, **capabilities: Any) -> list[str]:
    return list(program.task(Capabilities(**capabilities)).signature.outputs)


def test_reasoning_stays_first_unless_the_order_names_it() -> None:
    assert asked(ol.ChainOfThought(Routing, order=BOTH)) == ["reasoning", "why", "team"]
    middle = ol.ChainOfThought(Routing, order=["why", "reasoning", "team"])
    assert asked(middle) == ["why", "reasoning", "team"]
    assert asked(middle, reasoning=True) == ["why", "team"]
    assert asked(ol.ChainOfThought(Routing, order=["team", "why", "reasoning"])) == ["team", "why", "reasoning"]


def test_a_native_agent_and_one_in_turns_know_the_order() -> None:
    def look(word: str) -> str:
        """Look it up."""
        return word

    for native in (True, False):
        program = ol.ReAct(Routing, tools=[look], native=native, order=BOTH)
        text = program.render(message="x")[0].text
        assert first(text, ("- why (", "- team ("))


def test_another_strategy_takes_the_order_over() -> None:
    plain = ol.Predict(Routing, order=BOTH)
    thought = ol.update(plain, {"strategy": ol.ChainOfThought})
    assert asked(thought) == ["reasoning", "why", "team"]
    last = ol.update(thought, {"order": ["why", "team", "reasoning"]})
    assert ol.update(last, {"strategy": ol.Predict}) == plain
    several = ol.update(plain, {"strategy": ol.Majority(n=3)})
    assert [value for path, value in ol.parameters(several).items() if path.endswith("order")] == [BOTH]


# A value, checked


def test_the_own_order_is_no_order_however_it_is_said() -> None:
    for same in (None, (), [], ["team", "why"]):
        assert ol.Predict(Routing, order=same) == ol.Predict(Routing)
    thought = ol.ChainOfThought(Routing, order=["reasoning", "why", "team"])
    assert thought.order == BOTH
    assert ol.update(thought, {"order": None}) == ol.ChainOfThought(Routing)


@pytest.mark.parametrize(
    ("order", "message"),
    [
        (["whi", "team"], r"Routing has no output 'whi' to order. Did you mean 'why'\? Outputs: team, why."),
        (["message", "team", "why"], "Routing has no output 'message' to order"),
        (["why"], "order names every output of Routing; 'team' is missing. Got: why."),
        (["why", "team", "why"], "order names 'why' twice"),
        ("why", "order is a list of the names of outputs; got 'why'"),
        (3, "order is a list of the names of outputs; got 3"),
        ([["why"], "team"], "has no output"),
    ],
)
def test_what_is_no_order_is_refused(order: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ol.Predict(Routing, order=order)
    with pytest.raises(UsageError, match=message):
        ol.update(ol.Predict(Routing), {"order": order})


def test_the_order_is_a_parameter_that_counts() -> None:
    program = ol.Predict(Routing)
    changed = ol.update(program, {"order": BOTH})
    assert ol.parameters(program)["order"] == ()
    assert ol.parameters(changed)["order"] == BOTH
    assert ol.update(changed, ol.parameters(changed)) is changed
    assert program_hash(changed) != program_hash(program)
    before = program_hash(changed)
    changed.render(message="x")
    assert program_hash(changed) == before
    assert "order=['why', 'team']" in repr(changed)


# Files


def test_it_is_saved_and_loaded_and_told_apart(tmp_path: Path) -> None:
    changed = ol.ChainOfThought(Routing, order=["why", "reasoning", "team"], demos=[DEMO])
    path = ol.save(changed, tmp_path / "x.outlast.json")
    assert json.loads(path.read_text())["parameters"]["order"] == ["why", "reasoning", "team"]
    assert ol.load(path, ol.ChainOfThought(Routing)) == changed
    plain = ol.save(ol.Predict(Routing), tmp_path / "plain.outlast.json")
    assert "order" not in json.loads(plain.read_text())["parameters"]


@pytest.mark.parametrize("order", [["why"], ["why", "team", "mood"], "why", {"why": 1}, [1, 2], None])
def test_a_damaged_order_in_a_file_is_refused(tmp_path: Path, order: Any) -> None:
    path = ol.save(ol.Predict(Routing, order=BOTH), tmp_path / "x.outlast.json")
    data = json.loads(path.read_text())
    data["parameters"]["order"] = order
    path.write_text(json.dumps(data))
    with pytest.raises(ArtifactError, match="order"):
        ol.load(path, ol.Predict(Routing))


def test_an_exported_prompt_has_it() -> None:
    (found,) = ol.export(ol.Predict(Routing, order=BOTH, demos=[DEMO])).values()
    assert first(json.dumps(found.to("messages")), ("<<why>>", "<<team>>"))


# Signatures


def test_a_signature_is_reordered_by_value() -> None:
    other = Routing.reordered(BOTH)
    assert list(other.outputs) == ["why", "team"]
    assert list(other.inputs) == ["message"]
    assert (other.description, other.reordered(["team", "why"])) == (Routing.description, Routing)
    assert list(Routing.outputs) == ["team", "why"]
    for bad in (["why"], ["why", "team", "mood"], ["why", "why"]):
        with pytest.raises(SignatureError, match="names each output of Routing once"):
            Routing.reordered(bad)

"""One question to a model: what may go in, what comes out, what is sent."""

from __future__ import annotations

import asyncio
import gc
import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import pytest

import outlast as ol
from outlast.errors import (
    AnswerError,
    ConfigError,
    InputError,
    LMServerError,
    ParseError,
    SignatureError,
    UsageError,
)
from outlast.messages import Message, Response
from outlast.testing import ScriptedLM

Team = Literal["billing", "cards"]


class Triage(ol.Signature):
    """Route a message."""

    message: str = ol.input()
    note: str = ol.input(default="none")
    visits: int = ol.input(default=0, ge=0)
    team: Team = ol.output()


@dataclass
class Verdict:
    team: Team
    urgency: int


class Colour(Enum):
    RED = "red"
    GREEN = "green"


def untyped(value: Any) -> Any:
    return value


def cards() -> ScriptedLM:
    return ScriptedLM(lambda _: {"team": "cards"}, keep=True)


ways = pytest.mark.parametrize(
    "call",
    [lambda program, **inputs: program(**inputs), lambda program, **inputs: asyncio.run(program.acall(**inputs))],
    ids=["blocking", "async"],
)
Call = Callable[..., Any]


# Inputs


@ways
@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"mesage": "x"}, "Triage has no input 'mesage'. Did you mean 'message'[?] Inputs: message, note, visits."),
        ({}, "Triage needs the input 'message', which was not given"),
        ({"note": "x"}, "Inputs: message, note, visits; given: note."),
        ({"message": "x", "team": "cards"}, "Triage has no input 'team'"),
        ({"message": "x", "extra": 1}, "Triage has no input 'extra'"),
        ({"message": 3}, "input 'message' of Triage is not of the type str: .*got 3"),
        ({"message": "x", "visits": "many"}, "input 'visits' of Triage .*got 'many'"),
        ({"message": "x", "visits": -1}, "input 'visits' of Triage .*greater than or equal to 0"),
    ],
)
def test_wrong_inputs_are_refused_before_any_model_is_asked(call: Call, inputs: Any, message: str) -> None:
    """Defect 1: a misspelt input only warned, and the model was called without it."""
    lm = cards()
    for program in (ol.Predict(Triage, lm=lm), ol.ChainOfThought(Triage, lm=lm)):
        with pytest.raises(InputError, match=message):
            call(untyped(program), **inputs)
    assert lm.calls == 0


@ways
def test_defaults_fill_in_and_values_are_converted(call: Call) -> None:
    out = call(ol.Predict(Triage, lm=cards()), message="x", visits="3")
    assert ol.fields_of(out) == {"message": "x", "note": "none", "visits": 3, "team": "cards"}


def test_inputs_by_position_are_for_function_signatures() -> None:
    @ol.predict
    def triage(message: str, note: str = "none") -> Team:
        """Route a message."""

    lm = ScriptedLM(lambda _: {"answer": "cards"}, keep=True)
    with ol.context(lm=lm):
        assert triage("x") == "cards"
        assert triage("x", "y") == "cards"
        assert triage("x", note="z") == "cards"
        assert asyncio.run(triage.acall("x")) == "cards"
        assert triage.render("x")[-1].text.startswith("<<message>>\nx")
        for args, inputs, message in (
            (("x", "y", "z"), {}, "takes 2 inputs by position"),
            (("x",), {"message": "y"}, "got the input 'message' twice"),
            ((), {}, "needs the input 'message'"),
        ):
            with pytest.raises(InputError, match=message):
                untyped(triage)(*args, **inputs)
        for program in (ol.Predict(Triage), ol.Predict("question -> answer")):
            with pytest.raises(InputError, match=r"takes its inputs by name: (message|question)=\.\.\."):
                untyped(program)("x")
    assert lm.calls == 4


NAMES = [
    "lm",
    "config",
    "self",
    "items",
    "demos",
    "signature",
    "trace",
    "fields",
    "args",
    "inputs",
    "instruction",
    "settings",
    "run",
    "cls",
    "name",
    "kind",
]


@ways
def test_no_field_name_is_reserved(call: Call) -> None:
    """Defect 3: fields that collided with names of the framework."""
    ins, outs = NAMES[::2], NAMES[1::2]
    for names_in, names_out in ((ins, outs), (outs, ins)):
        program = ol.Predict(f"{', '.join(names_in)} -> {', '.join(names_out)}")
        lm = ScriptedLM(lambda _, o=tuple(names_out): {name: f"out {name}" for name in o}, keep=True)
        program = ol.update(program, {f"fields.{name}": f"about {name}" for name in NAMES} | {"lm": lm})
        out = call(program, **{name: f"in {name}" for name in names_in})
        for name in names_in:
            assert getattr(out, name) == out[name] == f"in {name}"
            assert f"<<{name}>>\nin {name}" in lm.requests[0].messages[-1].text
        for name in names_out:
            assert getattr(out, name) == out[name] == f"out {name}"
        assert list(out) == [*names_in, *names_out]
        assert ol.parameters(program)["lm"] is lm
        assert ol.parameters(program)["fields.lm"] == "about lm"


def test_help_shows_the_inputs() -> None:
    """`inspect.signature` is what notebooks and editors show."""

    @ol.predict
    def triage(message: str, note: str = "none") -> Team:
        """Route a message."""

    class Program(ol.Module):
        def __init__(self, size: int = 3) -> None:
            self.size = size

        def forward(self, question: str, limit: int = 3) -> str:
            return question

    shown = [str(inspect.signature(thing)) for thing in (ol.Predict(Triage), triage, Program(), Program)]
    assert shown[0].startswith("(*, message: str, note: str = 'none', visits: ")
    assert shown[1:3] == ["(message: str, note: str = 'none')", "(question: 'str', limit: 'int' = 3) -> 'str'"]
    assert shown[3] == "(size: 'int' = 3)"
    assert {"signature", "instruction", "demos", "lm"} < set(inspect.signature(ol.ChainOfThought).parameters)
    assert str(inspect.signature(ol.Module)) == "()"


# Outputs


@ways
def test_a_function_gives_its_return_value(call: Call) -> None:
    @ol.predict
    def judge(message: str) -> Verdict:
        """Judge."""

    @ol.predict(temperature=0.1)
    def colours(message: str) -> list[Colour]: ...

    lm = ScriptedLM([{"team": "cards", "urgency": "4"}, {"answer": ["red", "green"]}], keep=True)
    with ol.context(lm=lm):
        assert call(judge, message="x") == Verdict("cards", 4)
        assert call(colours, message="x") == [Colour.RED, Colour.GREEN]
    assert lm.requests[1].settings.temperature == 0.1


def test_predict_is_for_functions() -> None:
    for wrong in (Triage, 3, "question -> answer"):
        with pytest.raises(SignatureError, match="typed functions"):
            untyped(ol.predict)(wrong)


@ways
def test_reasoning_of_the_model_is_on_the_result(call: Call) -> None:
    lm = ScriptedLM(lambda _: Response('{"team": "cards"}', reasoning="because"))
    out = call(ol.Predict(Triage, lm=lm), message="x")
    assert out.reasoning == "because"
    assert "reasoning" not in out


def test_a_result_of_a_program_knows_how_it_came_about() -> None:
    class Program(ol.Module):
        find = ol.Predict("question -> message")
        decide = ol.Predict(Triage)

        def forward(self, question: str) -> Any:
            found = self.find(question=question)
            assert len(found.trace) == 1  # the exchanges so far
            return self.decide(message=found.message)

    lm = ScriptedLM(lambda m: {"message": "m", "team": "cards"})
    with ol.context(lm=lm):
        out = Program()(question="x")
        assert [span.path for span in out.trace] == ["find", "decide"]
        again = ol.Predict(Triage)(message="y")
        assert len(again.trace) == 1
        assert again.trace.spending.calls == 1


def test_a_result_that_is_given_back_again_keeps_its_own_trace() -> None:
    """A program that answers from what it was given, or from a store, must not rewrite history."""
    lm = cards()

    class Reuses(ol.Module):
        def forward(self, earlier: Any) -> Any:
            return earlier

    first = ol.Predict(Triage, lm=lm)(message="x")
    trace = first.trace
    again = Reuses()(earlier=first)
    assert again == first
    assert again is not first
    assert first.trace is trace
    assert len(trace) == 1
    assert list(again.trace) == []
    assert type(again) is Triage


def test_a_prediction_made_by_hand_gets_the_trace() -> None:
    class Makes(ol.Module):
        decide = ol.Predict(Triage)

        def forward(self, message: str) -> Any:
            return ol.Prediction(trace="a field", team=self.decide(message=message).team)

    with ol.context(lm=cards()):
        out = Makes()(message="x")
    assert out.team == "cards"
    assert out.trace == "a field"  # a field of that name wins


# Errors and re-asks


@ways
def test_a_bad_reply_is_answered_with_its_error_and_both_are_in_the_trace(call: Call) -> None:
    lm = ScriptedLM([{"team": "fraud"}, "no idea", {"team": "cards"}], keep=True)
    out = call(ol.Predict(Triage, lm=lm), message="x")
    assert out.team == "cards"
    assert [span.attempt for span in out.trace] == [0, 1, 2]
    assert [type(span.error) for span in out.trace] == [ParseError, ParseError, type(None)]
    assert [span.values for span in out.trace] == [None, None, {"team": "cards"}]
    assert "fraud" in str(out.trace[0].error)
    assert lm.requests[1].messages[: len(lm.requests[0].messages)] == lm.requests[0].messages
    assert "fraud" in lm.requests[1].messages[-1].text
    assert out.trace.spending.calls == 3


@ways
def test_what_never_fits_is_an_error_with_the_last_reply(call: Call) -> None:
    lm = ScriptedLM(lambda _: {"team": "fraud"})
    with pytest.raises(AnswerError, match="no usable answer after 3 tries") as caught:
        call(ol.Predict(Triage, lm=lm), message="x")
    assert caught.value.attempts == lm.calls == 3
    assert caught.value.response is not None
    assert json.loads(caught.value.response.text) == {"team": "fraud"}


@ways
def test_an_error_of_the_model_arrives_as_it_is_and_is_in_the_trace(call: Call) -> None:
    error = LMServerError("down", status=503)
    with ol.trace() as spans, pytest.raises(LMServerError) as caught:
        call(ol.Predict(Triage, lm=ScriptedLM(lambda _: error)), message="x")
    assert caught.value is error
    assert len(spans) == 1
    assert (spans[0].error, spans[0].response, spans[0].values) == (error, None, None)


def test_the_same_failing_call_fails_the_same_every_time() -> None:
    """Defect 8: a counter kept on the object made the second failure look like an answer."""
    lm = ScriptedLM(lambda _: {"team": "fraud"})
    program = ol.Predict(Triage, lm=lm)
    before = dict(vars(program))
    texts: set[str] = set()
    for _ in range(4):
        with pytest.raises(AnswerError) as caught:
            program(message="x")
        texts.add(str(caught.value))
    assert len(texts) == 1
    assert lm.calls == 12
    assert vars(program) == before


# What is sent


@ways
def test_settings_and_sample_reach_the_request(call: Call) -> None:
    lm = cards()
    program = ol.Predict(Triage, lm=lm, temperature=0.3, max_tokens=7, stop="END", seed=1, extra={"user": "u"})
    call(program, message="x")
    with ol.context(sample=4):
        call(program, message="x")
    first, second = lm.requests
    assert first.settings == ol.Settings(0.3, None, 7, ("END",), 1, None, {"user": "u"})
    assert (first.sample, second.sample) == (0, 4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temprature": 1}, "Predict has no option 'temprature'. Did you mean 'temperature'?"),
        ({"settings": ol.Settings()}, "no option 'settings'"),
        ({"temperature": "hot"}, "temperature is a number from 0 to 2; got 'hot'"),
        ({"temperature": 3}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"top_p": 2}, "top_p is a number from 0 to 1"),
        ({"max_tokens": 0}, "max_tokens is a whole number from 1"),
        ({"max_tokens": 2.5}, "max_tokens"),
        ({"stop": [3]}, "stop is a list of texts"),
        ({"stop": [""]}, "stop"),
        ({"seed": "x"}, "seed is a whole number"),
        ({"reasoning": ""}, "reasoning is an effort word"),
        ({"extra": [1]}, "extra is a mapping by name"),
        ({"extra": {1: 2}}, "extra"),
        ({"instruction": 3}, "instruction is text"),
        ({"fields": {"tema": "x"}}, "Triage has no field 'tema' to describe. Did you mean 'team'?"),
        ({"demos": {"message": "x"}}, "demos are a list"),
        ({"demos": [{"mesage": "x"}]}, "no field 'mesage' for demo 1. Did you mean 'message'?"),
        ({"demos": [{"visits": -1}]}, "demo 1 for Triage has a 'visits' that does not fit"),
        ({"lm": 3}, "lm is an LM or a model name"),
        ({"adapter": "json"}, "adapter is an Adapter"),
    ],
)
def test_wrong_options_are_refused_at_once(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ol.Predict(Triage, **options)


def test_demos_are_values_of_the_fields() -> None:
    program = ol.Predict("message, when: date -> colour: Colour", types=[Colour])
    demo = {"message": "x", "when": "2026-01-02", "colour": "red"}
    values = ol.update(program, {"demos": [demo]}).demos[0].values
    assert values["colour"] is Colour.RED
    assert values["when"].year == 2026
    kept = ol.Demo(values, "example 1")
    assert ol.update(program, {"demos": [kept]}).demos[0] == kept


def test_no_model_is_a_clear_error_and_costs_nothing() -> None:
    with pytest.raises(ConfigError, match=r"no LM is configured. Use ol.configure\(lm="):
        ol.Predict(Triage)(message="x")
    with pytest.raises(InputError):  # the inputs are looked at first
        untyped(ol.Predict(Triage))(mesage="x")


def test_a_subclass_may_go_around_the_question() -> None:
    class Polite(ol.Predict[..., Any]):
        async def forward(self, **inputs: Any) -> Any:
            out = await super().forward(**{**inputs, "message": f"{inputs['message']}, please"})
            return out.team.upper()

    lm = cards()
    program = Polite(Triage, lm=lm)
    assert program(message="x") == "CARDS"
    assert asyncio.run(program.acall(message="x")) == "CARDS"
    assert all("x, please" in request.messages[-1].text for request in lm.requests)
    assert "instruction" in ol.parameters(program)


# What is kept


def test_a_prompt_is_compiled_once_and_plans_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = 0
    real = ol.Chat.compile

    def counting(self: Any, *args: Any) -> Any:
        nonlocal compiled
        compiled += 1
        return real(self, *args)

    monkeypatch.setattr(ol.Chat, "compile", counting)
    program = ol.Predict(Triage, lm=cards())
    for _ in range(5):
        program(message="x")
    assert compiled == 1
    ol.update(program, {"instruction": "Other."})(message="x")
    assert compiled == 2
    for reasks in range(200):
        with ol.context(adapter=ol.Chat(reasks=reasks)):
            program(message="x")
    assert len(vars(program)["_outlast"].plans) <= 32


def test_many_threads_may_compile_the_same_prompt_at_once() -> None:
    from concurrent.futures import ThreadPoolExecutor

    for _ in range(10):
        program = ol.Predict(Triage, lm=cards())
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda _, p=program: p(message="x").team, range(16)))
        assert found == ["cards"] * 16


def memory() -> int:
    """Bytes of this process in memory; 0 where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
    except OSError:
        return 0


@pytest.mark.parametrize("fails", [False, True], ids=["answers", "errors"])
def test_calls_leave_nothing_behind(fails: bool) -> None:
    """Defect 11: memory grew with every call."""

    class Program(ol.Module):
        decide = ol.Predict(Triage)

        def forward(self, message: str) -> Any:
            return self.decide(message=message)

    def handler(messages: tuple[Message, ...]) -> Any:
        return LMServerError("down") if fails else {"team": "cards"}

    program = Program()

    def call(n: int) -> None:
        for _ in range(n):
            try:
                program(message="x")
            except LMServerError:
                continue

    with ol.context(lm=ScriptedLM(handler)):
        call(300)
        gc.collect()
        objects, size = len(gc.get_objects()), memory()
        call(3_000 if fails else 20_000)
        gc.collect()
        assert len(gc.get_objects()) - objects < 300
        assert memory() - size < 8_000_000

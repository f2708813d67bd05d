"""Reasoning first: asked for, or the model's own."""

from __future__ import annotations

from typing import Any, Literal

import pytest

import outlast as ol
from outlast.errors import SignatureError
from outlast.messages import Response
from outlast.testing import ScriptedLM

Team = Literal["billing", "cards"]


class Triage(ol.Signature):
    """Route a message."""

    message: str = ol.input()
    team: Team = ol.output()


NATIVE = ol.Capabilities(reasoning=True)


def text_of(messages: Any) -> str:
    return "\n".join(message.text for message in messages)


def test_reasoning_is_asked_for_before_the_outputs() -> None:
    lm = ScriptedLM(["<<reasoning>>\nmoney\n\n<<team>>\nbilling\n\n<<end>>"], keep=True)
    out = ol.ChainOfThought(Triage, lm=lm)(message="x")
    assert isinstance(out, Triage)
    assert out.team == "billing"
    assert out.reasoning == "money"
    assert ol.fields_of(out) == {"message": "x", "team": "billing"}
    prompt = text_of(lm.requests[0].messages)
    assert prompt.index("<<reasoning>>") < prompt.index("<<team>>")
    assert "step by step" in prompt
    assert out.trace[0].values == {"reasoning": "money", "team": "billing"}


def test_a_model_that_reasons_natively_is_not_told_to() -> None:
    lm = ScriptedLM(lambda _: Response('{"team": "cards"}', reasoning="own thoughts"), capabilities=NATIVE, keep=True)
    out = ol.ChainOfThought(Triage, lm=lm)(message="x")
    assert (out.team, out.reasoning) == ("cards", "own thoughts")
    assert "reasoning" not in text_of(lm.requests[0].messages)


def test_one_program_serves_both_kinds_of_model() -> None:
    program = ol.ChainOfThought(
        Triage,
        demos=[{"message": "a", "reasoning": "because", "team": "cards"}],
        fields={"reasoning": "think of money", "team": "who"},
    )
    native = ScriptedLM(lambda _: {"team": "cards"}, capabilities=NATIVE, keep=True)
    plain = ScriptedLM(lambda _: {"reasoning": "r", "team": "cards"}, keep=True)
    for _ in range(2):
        for lm in (native, plain):
            with ol.context(lm=lm):
                assert program(message="x").team == "cards"
    for request in native.requests:
        assert "because" not in text_of(request.messages)
        assert "think of money" not in text_of(request.messages)
        assert "who" in text_of(request.messages)
    for request in plain.requests:
        assert "because" in text_of(request.messages)
        assert "think of money" in text_of(request.messages)


def test_a_function_signature_gives_its_value() -> None:
    def triage(message: str) -> Team:
        """Route a message."""

    program = ol.ChainOfThought(triage, lm=ScriptedLM(lambda _: {"reasoning": "r", "answer": "cards"}))
    assert program("x") == "cards"


def test_a_signature_that_has_a_reasoning_is_refused_at_once() -> None:
    with pytest.raises(SignatureError, match="has a field 'reasoning' already"):
        ol.ChainOfThought("question -> reasoning, answer")


def test_the_signature_is_not_changed() -> None:
    program = ol.ChainOfThought(Triage)
    assert list(program.asked().fields) == ["message", "reasoning", "team"]
    assert list(Triage.fields) == ["message", "team"]
    assert program.instruction == "Route a message."
    assert "Route a message." in text_of(program.render(message="x"))
    assert program == ol.ChainOfThought(Triage)


def test_tuned_instructions_are_sent() -> None:
    program = ol.update(ol.ChainOfThought(Triage), {"instruction": "Be quick."})
    for capabilities in (ol.Capabilities(), NATIVE):
        with ol.context(lm=ScriptedLM([], capabilities=capabilities)):
            assert "Be quick." in text_of(program.render(message="x"))

"""`history()`: what was sent and answered, as people read it."""

from __future__ import annotations

import gc
import io
import sys
from typing import Any, Literal

import pytest

import outlast as ol
from outlast.errors import LMServerError, UsageError
from outlast.messages import Response
from outlast.modules import module
from outlast.testing import ScriptedLM

Team = Literal["billing", "cards"]


class Triage(ol.Signature):
    """Route a message."""

    message: str = ol.input()
    team: Team = ol.output()


PROGRAM = ol.Predict(Triage)


@pytest.fixture(autouse=True)
def a_fresh_history() -> None:
    gc.collect()
    module._recent.clear()


def test_it_shows_what_was_sent_and_answered() -> None:
    with ol.context(lm=ScriptedLM(["<<team>>\ncards\n<<end>>"], name="script")):
        out = PROGRAM(message="my card is gone")
    text = repr(ol.history())
    first, *rest = text.split("\n")
    assert first.startswith("── the program · Predict(Triage) · ")
    assert first.endswith(" ms")
    order = ["[system]", "Route a message.", "[user]", "<<message>>\nmy card is gone", "[script answered; tokens: "]
    places = [text.index(part) for part in order]
    assert places == sorted(places)
    assert text.rstrip().endswith("<<team>>\ncards\n<<end>>")
    assert list(ol.history()) == list(out.trace)


def test_it_shows_reasks_errors_reasoning_and_the_cache() -> None:
    replies = [
        Response('{"team": "fraud"}', "m", reasoning="hmm"),
        Response('{"team": "cards"}', "m").as_cached("hit"),
    ]
    with ol.context(lm=ScriptedLM(replies)):
        out = PROGRAM(message="x")
    text = repr(ol.history())
    assert "[reasoning]\nhmm" in text
    assert "[ParseError] " in text
    assert "fraud" in text
    assert ", try 2 · " in text
    assert "tokens: ? in, ? out, cache hit" in text
    assert out.team == "cards"


def test_a_call_whose_result_is_gone_is_gone() -> None:
    with ol.context(lm=ScriptedLM(lambda _: {"team": "cards"})):
        kept = PROGRAM(message="kept")
        PROGRAM(message="dropped")
    assert [span.inputs["message"] for span in ol.history()] == ["kept"]
    del kept
    assert ol.history() == []
    assert repr(ol.history()).startswith("<no history: a call is kept only while its result is held")


def test_the_last_few() -> None:
    with ol.context(lm=ScriptedLM(lambda _: {"team": "cards"})):
        results = [PROGRAM(message=str(i)) for i in range(5)]
    assert len(results) == 5

    def shown(*n: int) -> list[str]:
        return [span.inputs["message"] for span in ol.history(*n)]

    assert shown() == list("01234")
    assert shown(2) == ["3", "4"]
    assert shown(0) == []
    assert shown(99) == list("01234")
    for wrong in (-1, 1.5, "2", True):
        with pytest.raises(UsageError, match="whole number from 0"):
            ol.history(wrong)  # type: ignore[arg-type]


def test_inside_a_block_it_shows_the_block() -> None:
    with ol.context(lm=ScriptedLM(lambda _: {"team": "cards"})):
        before = PROGRAM(message="before")
        with ol.trace():
            assert ol.history() == []
            PROGRAM(message="inside")
            assert [span.inputs["message"] for span in ol.history()] == ["inside"]
    assert [span.inputs["message"] for span in ol.history()] == ["before"]
    assert before.team == "cards"


def test_a_function_signature_is_seen_in_a_block() -> None:
    @ol.predict
    def triage(message: str) -> Team:
        """Route."""

    with ol.context(lm=ScriptedLM(lambda _: {"answer": "cards"})), ol.trace():
        assert triage("x") == "cards"
        assert "Predict(triage)" in repr(ol.history())


def test_after_an_error_the_failed_call_is_there_while_the_error_is() -> None:
    """As in a REPL or notebook, which keep the last error."""
    with ol.context(lm=ScriptedLM(lambda _: LMServerError("down"))):
        with pytest.raises(LMServerError) as caught:
            PROGRAM(message="x")
    assert "[LMServerError] down" in repr(ol.history())
    assert caught.value is not None


def test_a_model_asked_directly_is_in_the_story() -> None:
    class Mixed(ol.Module):
        decide = ol.Predict(Triage)

        def forward(self, message: str) -> Any:
            draft = lm(message, temperature=0.5).text
            return self.decide(message=draft)

    lm = ScriptedLM(["a draft", {"team": "cards"}], name="script")
    with ol.context(lm=lm):
        out = Mixed()(message="hello")
    assert [(span.path, span.module) for span in out.trace] == [(None, "LM"), ("decide", "Predict")]
    assert out.trace[0].request.settings.temperature == 0.5
    text = repr(ol.history())
    assert "── outside the program · LM(script)" in text
    assert "── decide · Predict(Triage)" in text


def test_only_the_last_hundred_calls() -> None:
    with ol.context(lm=ScriptedLM(lambda _: {"team": "cards"})):
        results = [PROGRAM(message=str(i)) for i in range(130)]
    assert len(results) == 130
    assert [span.inputs["message"] for span in ol.history()] == [str(i) for i in range(30, 130)]


def test_rich_prints_it_as_it_is() -> None:
    from rich.console import Console

    with ol.context(lm=ScriptedLM(["[bold]<<team>> cards"])):
        out = PROGRAM(message="[red]x")
    console = Console(file=io.StringIO(), width=200)
    console.print(ol.history())
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "[red]x" in text
    assert "[bold]<<team>> cards" in text
    assert out.team == "cards"


def test_the_trace_of_a_result_says_what_it_cost() -> None:
    with ol.context(lm=ScriptedLM(lambda _: {"team": "cards"}, price=0.25)):
        out = PROGRAM(message="one two three")
    assert repr(out.trace).startswith("<Trace of 1 spans, 1 calls (0 cached)")
    assert out.trace.spending.dollars == 0.25
    assert out.trace[0].seconds >= 0
    assert sys.getrefcount(out.trace) < 10

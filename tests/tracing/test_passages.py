"""The passage of a trace that a search shows."""

from __future__ import annotations

from pathlib import Path

import pytest

import outlast as ol
from outlast.testing import ScriptedLM
from outlast.tracing.passages import BEGIN, END, FRAME, passage
from outlast.tracing.switch import flush


def marked(text: str) -> str:
    return text.replace("<", BEGIN).replace(">", END).replace("|", FRAME)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a <b> c", "a [b] c"),
        ("x " * 10 + "<b> end", "… x x x x [b] end"),
        ("<b>" + " x" * 30, "[b]" + " x" * 23 + " …"),
        ("a <red> " + "x " * 40 + "a <red> <card> b", "… x x x a [red] [card] b"),
        ("said nothing | frame with <b>", "frame with [b]"),
        ("frame <b> | frame <b> <c>", "frame [b]"),
        ("nothing | here", "nothing here"),
        ("a\n<b\nb2>\tc", "a [b b2] c"),
        ("h" * 200 + "<b>" + "t" * 200, "…" + "h" * 20 + "[b]" + "t" * 37 + "…"),
        ("", ""),
    ],
)
def test_the_passage_with_most_words_is_shown_what_was_said_first(text: str, shown: str) -> None:
    assert passage(marked(text)) == shown


def test_a_search_shows_what_people_wrote_and_not_the_frame_of_the_prompt(tmp_path: Path) -> None:
    class Route(ol.Signature):
        """Route the message of a customer about a card."""

        message: str = ol.input()
        team: str = ol.output()

    program = ol.Predict(Route, lm=ScriptedLM(lambda messages: {"team": "cards"}))
    with ol.trace(store=tmp_path / "t.db"):
        program(message=f"{'well ' * 40}my card was eaten")
        program(message="something else")
    assert flush()
    store = ol.open_store(tmp_path / "t.db")
    [hit] = store.search("card")
    assert hit.snippet == "… well well well my [card] was eaten cards"
    [hit] = store.search('"message of a customer"')
    assert hit.snippet.startswith("Route the [message of a customer] about a card.")
    assert {one.snippet[:9] for one in store.search("cards")} == {"something", "… my card"}


def test_texts_that_hold_the_marks_are_harmless(tmp_path: Path) -> None:
    program = ol.Predict("message -> team", lm=ScriptedLM(lambda messages: {"team": "x"}))
    with ol.trace(store=tmp_path / "t.db"):
        program(message=f"a{FRAME}b {BEGIN}zebra{END}{END} and \0 more")
    assert flush()
    [hit] = ol.open_store(tmp_path / "t.db").search("zebra")
    assert "zebra" in hit.snippet
    assert not {BEGIN, END, FRAME} & set(hit.snippet)


def test_all_that_a_model_was_asked_outside_of_programs_is_found(tmp_path: Path) -> None:
    """Not its beginning alone, and also where no answer came."""
    with ol.trace(store=tmp_path / "t.db"):
        ScriptedLM(lambda messages: f"{'well ' * 200} zebra")(f"{'long ' * 200} pelican")
        with ScriptedLM(lambda messages: "one two").events("flamingo") as events:
            next(iter(events))
        with pytest.raises(ZeroDivisionError):
            ScriptedLM(lambda messages: 1 / 0)("heron")
    assert flush()
    store = ol.open_store(tmp_path / "t.db")
    for word in ("pelican", "zebra", "flamingo", "heron"):
        assert f"[{word}]" in store.search(word)[0].snippet

"""Traces of one store share what is the same: never what one of them must not show, never what another left out."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import outlast as ol
from outlast.messages import Message, system, user
from outlast.runtime import set_defaults
from outlast.testing import ScriptedLM
from outlast.tracing.switch import flush

SYSTEM = system("You help Bob and Eve.")


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "traces.db"
    set_defaults(recording=None)
    flush()


def program() -> Any:
    return ol.Predict("message -> team", lm=ScriptedLM(lambda messages: {"team": "cards"}))


def last(path: Path) -> list[str] | None:
    assert flush()
    with ol.open_store(path) as store:
        request = store.content(store.spans(store.traces(limit=1)[0].id)[-1]).as_request()
    return None if request is None else [message.text for message in request.messages]


@pytest.mark.parametrize("capture", ["hash", "off"])
def test_what_a_trace_left_out_a_later_one_keeps(path: Path, capture: Any) -> None:
    ask = program()
    with ol.trace(store=path, capture=capture):
        ask(message="private")
    assert flush()
    with ol.trace(store=path):
        ask(message="public")
    texts = last(path)
    assert texts is not None
    assert "public" in texts[-1]
    assert len(texts) == 2


def test_a_turn_that_is_only_hashed_does_not_cost_the_conversation(path: Path) -> None:
    lm = ScriptedLM(lambda messages: "yes")
    talk: list[Message] = [SYSTEM, user("one")]
    for capture in ("full", "hash", "full"):
        with ol.trace(store=path, capture=capture):
            lm([*talk])
        assert flush()
        talk += [Message("assistant", f"said {len(talk)}"), user(f"more {len(talk)}")]
    assert last(path) == [message.text for message in talk[:-2]]


@pytest.mark.parametrize("capture", ["hash", "off"])
def test_a_program_that_was_first_seen_in_silence_is_shown_later(path: Path, capture: Any) -> None:
    ask = program()
    for how in (capture, "full", capture):
        with ol.trace(store=path, capture=how):
            ask(message="x")
        assert flush()
    with sqlite3.connect(path) as db:
        [(shape,)] = db.execute("SELECT shape FROM programs").fetchall()
    assert "message" in json.dumps(json.loads(shape))


def test_a_redaction_that_learns_is_asked_again(path: Path) -> None:
    names = ["Bob"]

    def redact(text: str) -> str:
        for name in names:
            text = text.replace(name, "[n]")
        return text

    lm = ScriptedLM(lambda messages: "yes")
    with ol.trace(store=path, redact=redact):
        lm([SYSTEM, user("b")])
        assert flush()
        names.append("Eve")
        lm([SYSTEM, user("c")])
    assert last(path) == ["You help [n] and [n].", "c"]


def test_a_secret_that_became_known_is_hidden_in_messages_of_before(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm = ScriptedLM(lambda messages: "yes")
    told = system("The word is swordfish-and-more.")
    with ol.trace(store=path):
        lm([told, user("b")])
        assert flush()
        monkeypatch.setenv("MY_SECRET", "swordfish-and-more")
        lm([told, user("c")])
    assert last(path) == ["The word is [MY_SECRET].", "c"]


def test_messages_that_are_the_same_objects_stand_under_their_own_places(path: Path) -> None:
    lm = ScriptedLM(lambda messages: "yes")
    one, two = user("one"), user("two")
    with ol.trace(store=path):
        for talk in ([SYSTEM, one, two], [one, SYSTEM, two], [SYSTEM, two, one], [one, one, one], [SYSTEM, one, two]):
            lm(talk)
            assert last(path) == [message.text for message in talk]

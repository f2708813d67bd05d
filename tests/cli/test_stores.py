"""Which store a command works with: one rule, whatever the command."""

from __future__ import annotations

import io
import sqlite3
import sys
from pathlib import Path
from typing import Any

import pytest

import outlast as ol
from outlast.cli.stores import is_store, place_of
from outlast.errors import UsageError
from outlast.testing import ScriptedLM
from outlast.testing.server import FakeServer
from outlast.tracing.switch import flush

BASE = ("-m", "outlast/baseline")


@pytest.fixture
def ask(outlast, monkeypatch: pytest.MonkeyPatch) -> Any:
    def call(*words: str) -> Any:
        monkeypatch.setattr(sys, "stdin", io.StringIO(""))
        return outlast("prompt", *words)

    return call


def keep(place: str, answer: str = "cards") -> str:
    """One call of a program, kept there; gives the id of its trace."""
    program = ol.Predict("message -> team", lm=ScriptedLM(lambda messages: {"team": answer}))
    with ol.trace(store=place) as spans:
        program(message="a card")
    assert flush()
    return spans.id


def test_the_rule(outlast, desk: Path, monkeypatch) -> None:
    def meant(name: str | None = None) -> tuple[str, str]:
        place = place_of(name)
        return place.address, place.why

    log = str(desk / "data" / "outlast" / "log.db")
    assert meant() == (log, "log")
    monkeypatch.setenv("OUTLAST_LOG", "mine.db")
    assert meant() == ("mine.db", "log")
    keep("traces.db")
    assert meant() == ("traces.db", "here")
    monkeypatch.setenv("OUTLAST_TRACE", "other.db")
    assert meant() == ("other.db", "OUTLAST_TRACE")
    assert meant("named.db") == ("named.db", "named")
    for switch in ("off", "0", "on", " "):
        monkeypatch.setenv("OUTLAST_TRACE", switch)
        assert meant() == ("traces.db", "here")
    monkeypatch.setenv("OUTLAST_LOG", "off")
    Path("traces.db").unlink()
    assert meant() == (log, "log")


def test_a_file_of_something_else_is_no_store_of_this_folder(outlast, desk: Path) -> None:
    for make in (
        lambda: Path("traces.db").write_bytes(b"hello"),
        lambda: Path("traces.db").mkdir(),
        lambda: sqlite3.connect("traces.db").execute("CREATE TABLE t (x)").connection.close(),
        lambda: Path("traces.db").symlink_to("nowhere"),
    ):
        make()
        assert not is_store(Path("traces.db"))
        assert place_of().why == "log"
        result = outlast("logs")
        assert (result.code, "traces.db" in result.err) == (3, True)
        path = Path("traces.db")
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


def test_every_verb_works_with_the_same_store(ask, outlast, desk: Path) -> None:
    """What is asked in a folder with a store, and what its programs did, stand together, for whoever looks."""
    id = keep("traces.db")
    assert ask(*BASE, "hello there").code == 0
    assert not (desk / "data").exists()
    assert outlast("logs", "--json", "-n", "0").lines[0]["name"] == "Predict"
    assert len(outlast("logs", "--json", "-n", "0").lines) == 2
    assert ask("-c", "and again").code == 0
    assert len(outlast("logs", "-t", outlast("logs", "--json", "-n", "1").json["session"], "--json").lines) == 2
    assert outlast("replay", id).code == 0
    assert outlast("queue", "--program", "Predict").out.split() == [id]
    assert outlast("data", "from-traces", "--program", "Predict", "--to", "x.jsonl").code == 0
    assert len(Path("x.jsonl").read_text().splitlines()) == 1
    assert outlast("view", "--export", "site").code == 0
    assert id in Path("site/traces.html").read_text()
    assert outlast("logs", "path").out == f"{desk / 'traces.db'}\n"
    assert "the store of this folder" in outlast("logs", "status").out


def test_prompt_and_chat_take_a_store_by_name(ask, outlast, desk: Path, monkeypatch) -> None:
    keep("traces.db")
    assert ask(*BASE, "hello there", "--store", "talk.db").code == 0
    assert ask("-c", "more", "--store", "talk.db").code == 0
    assert len(outlast("logs", "--store", "talk.db", "--json").lines) == 2
    monkeypatch.setattr(sys, "stdin", io.StringIO("hi\n"))
    assert outlast("chat", "-c", "--store", "talk.db").code == 0
    assert outlast("logs", "--store", "talk.db", "--json", "-n", "1").json["tags"] == ["cli", "chat"]
    assert len(outlast("logs", "--json").lines) == 1


@pytest.mark.parametrize("words", [("view", "--export", "x"), ("queue",), ("data", "from-traces", "--to", "x.jsonl")])
def test_a_store_is_named_in_either_way_and_once(outlast, desk: Path, words: tuple[str, ...]) -> None:
    keep("a.db")
    assert outlast(*words, "--store", "a.db").code == 0
    result = outlast(*words, "b.db", "--store", "a.db")
    assert (result.code, "one store: 'b.db' or --store 'a.db'" in result.err) == (2, True)
    assert outlast(*words, "--store", "none.db").code == 3
    assert not Path("none.db").exists()


def test_messages_name_the_place_and_the_other_that_holds_something(ask, outlast, desk: Path, monkeypatch) -> None:
    result = outlast("replay", "last")
    assert (result.code, "no traces yet: no traces.db in this folder, and no log at" in result.err) == (3, True)
    ask(*BASE, "hello there")
    ask(*BASE, "hello again")
    log = str(desk / "data" / "outlast" / "log.db")
    asked = outlast("logs", "--json", "-n", "1").json["id"]
    id = keep("traces.db")
    result = outlast("logs", "-q", "nothingofthekind")
    assert result.code == 1
    assert result.err == (
        f"outlast: no such traces in traces.db of this folder. Your log ({log}) holds 2 traces: --store {log}.\n"
    )
    result = outlast("logs", asked)
    assert (result.code, f"Your log ({log}) has it: --store {log}" in result.err) == (3, True)
    assert outlast("logs", asked, "--store", log).code == 0
    monkeypatch.setenv("OUTLAST_TRACE", log)
    for verb in ("logs", "replay"):
        result = outlast(verb, id)
        assert (result.code, "traces.db of this folder has it: --store traces.db" in result.err) == (3, True)
    monkeypatch.setenv("OUTLAST_TRACE", "none.db")
    result = outlast("logs")
    assert (result.code, "no store of traces at 'none.db' (OUTLAST_TRACE)." in result.err) == (3, True)
    assert "traces.db of this folder holds 1 trace: --store traces.db." in result.err
    assert "has it" not in outlast("logs", "ffffff", "--store", "traces.db").err


def test_a_file_in_a_folder_does_not_say_where_words_are_sent(ask, outlast, desk: Path) -> None:
    """Whoever goes on with a conversation in a folder of somebody else's asks no server that its file names."""
    with FakeServer(lambda request: "ok") as server:
        assert ask("-m", "some-model", "--base-url", server.url, "hi", "--store", "traces.db").code == 0
        result = ask("-c", "my secret")
        assert (result.code, f"--base-url {server.url} does" in result.err) == (3, True)
        assert server.count == 1
        assert ask("-c", "mine", "--base-url", server.url).code == 0
        assert ask("-c", "mine", "--store", "traces.db").code == 0
        assert ask("-c", "mine", *BASE).code == 0
        assert server.count == 3


def test_two_names_are_refused() -> None:
    import argparse

    from outlast.cli.stores import named

    with pytest.raises(UsageError, match="one store"):
        named(argparse.Namespace(store="a", store_too="b"))

"""`outlast chat`: many turns, one session; at a terminal and from a pipe."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from outlast.testing.server import FakeServer
from outlast.testing.server.faults import Fault


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A server that says what it was told last, and how much came before."""

    def answer(request: dict[str, Any]) -> str:
        *before, last = request["messages"]
        return f"{last['content']} ({len(before)})"

    with FakeServer(answer) as running:
        yield running


@pytest.fixture
def chat(outlast, server, monkeypatch: pytest.MonkeyPatch):
    """Has these lines typed."""

    def call(*lines: str, words: tuple[str, ...] = ()) -> Any:
        monkeypatch.setattr(sys, "stdin", io.StringIO("".join(line + "\n" for line in lines)))
        return outlast("chat", "-m", "some-model", "--base-url", server.url, *words)

    return call


def test_turns_are_one_conversation_and_one_session(chat, outlast) -> None:
    result = chat("one", "", "two", "!quit", "three", words=("-s", "Be brief", "-u"))
    assert (result.code, result.out) == (0, "one (1)\ntwo (3)\n")
    assert result.err.count("tokens in") == 2
    rows = outlast("logs", "--json").lines
    assert [row["prompt"] for row in rows] == ["one", "two"]
    assert len({row["session"] for row in rows}) == 1
    assert rows[0]["tags"] == ["cli", "chat"]
    assert outlast("logs", "-t", rows[0]["session"], "-r").out == "one (1)\ntwo (3)\n"


def test_it_goes_on_with_the_last_conversation(chat, outlast) -> None:
    chat("one")
    assert chat("two", words=("-c",)).out == "two (2)\n"
    assert len({row["session"] for row in outlast("logs", "--json").lines}) == 1


def test_commands_in_the_chat(chat, server, desk: Path) -> None:
    (desk / "note.txt").write_text("a note\n")
    result = chat(
        "!multi", "a", "!not a command here", "!end", "!file note.txt", "about it", "!mutli", "!= is not equal",
        "!new", "fresh", "!usage", "!help", "!file none.txt", "!file",
    )  # fmt: skip
    assert result.out.splitlines() == [
        "a",
        "!not a command here (0)",
        "note.txt:",
        "a note",
        "",
        "about it (2)",
        "!= is not equal (4)",
        "fresh (0)",
    ]
    for told in (
        "Did you mean '!multi'",
        " tokens, cost unknown\n",
        "!edit",
        "cannot read",
        "it is: !file PATH",
    ):
        assert told in result.err, told


def test_a_model_that_fails_ends_the_turn_and_not_the_chat(chat, server) -> None:
    replies = iter(["fine", Fault.error(400, "no such thing"), "again"])
    server.handler = lambda request: next(replies)
    result = chat("one", "two", "three")
    assert (result.code, result.out) == (0, "fine\nagain\n")
    assert "no such thing" in result.err
    assert [message["content"] for message in server.requests[-1].body["messages"]] == ["one", "fine", "three"]
    assert chat("one", words=("-o", "max_tokens", "0")).code == 2


@pytest.mark.skipif(os.name != "posix", reason="a shell script as the editor")
def test_a_message_from_an_editor(chat, desk: Path, monkeypatch) -> None:
    editor = desk / "editor.sh"
    editor.write_text('#!/bin/sh\nprintf "%s" "$NEW" > "$1"\n')
    editor.chmod(0o755)
    monkeypatch.setenv("VISUAL", str(editor))
    monkeypatch.setenv("NEW", "long\ntext")
    assert chat("!edit").out == "long\ntext (0)\n"
    monkeypatch.setenv("NEW", "")
    assert chat("!edit").out == ""


def test_a_template_begins_it(chat, outlast, monkeypatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    outlast("prompt", "--save", "tutor", "-s", "You teach $what", "-p", "what", "Latin")
    assert chat("salve", words=("-t", "tutor")).out == "salve (1)\n"
    outlast("prompt", "--save", "loud", "Shout: $input")
    assert chat("salve", "vale", words=("-t", "loud")).out == "Shout: salve (0)\nShout: vale (2)\n"
    outlast("prompt", "--save", "shaped", "--schema", "a", "x")
    assert chat("salve", words=("-t", "shaped")).code == 2


@pytest.mark.skipif(os.name != "posix", reason="a terminal of POSIX")
def test_at_a_terminal_ctrl_c_ends_a_reply_and_not_the_chat(desk: Path) -> None:
    import pty

    def answer(request: dict[str, Any]) -> str:
        count = len(request["messages"])
        return f"reply {count} \x1b[31m" + ("word " * 400 if "long" in request["messages"][-1]["content"] else "end")

    with FakeServer(answer, pace=0.02) as server:
        terminal, end = pty.openpty()
        with subprocess.Popen(
            [sys.executable, "-m", "outlast.cli", "chat", "-m", "m", "--base-url", server.url],
            stdin=end,
            stdout=end,
            stderr=end,
            start_new_session=True,
            env={**os.environ, "TERM": "dumb"},
        ) as process:
            os.close(end)
            shown = ""

            def until(text: str) -> None:
                nonlocal shown
                limit = time.monotonic() + 20
                while text not in shown and time.monotonic() < limit:
                    shown += os.read(terminal, 4096).decode(errors="replace")
                assert text in shown, shown
                shown = shown.partition(text)[2]

            until("> ")
            os.write(terminal, b"a long one\n")
            until("reply 1 \\x1b[31mword word")  # what would colour the terminal is shown instead
            process.send_signal(signal.SIGINT)
            until("(ended)")
            until("> ")
            os.write(terminal, b"half a line")
            time.sleep(0.2)
            process.send_signal(signal.SIGINT)
            until("> ")
            os.write(terminal, b"and now\n")
            until("reply 3")
            until("end")
            until("> ")
            os.write(terminal, b"\x04")
            assert process.wait(timeout=20) == 0
        os.close(terminal)
        assert server.disconnects == 1
        last = server.requests[-1].body["messages"]
        assert last[1]["content"].startswith("reply 1 \x1b[31mword word")
        assert last[2]["content"] == "and now"
        rows = [json.loads(line) for line in _logs(desk).splitlines()]
        assert rows[0]["status"] == "error"
        assert "the reply was given up after" in rows[0]["error"]
        assert "reply 1" in rows[0]["error"]
        assert rows[1]["reply"].startswith("reply 3")


def _logs(desk: Path) -> str:
    words = [sys.executable, "-m", "outlast.cli", "logs", "--json"]
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout

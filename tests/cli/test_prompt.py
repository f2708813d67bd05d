"""`outlast prompt`: asked, answered, checked, logged."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from outlast.cli.prompt import first_block
from outlast.lms.layers import retry
from outlast.testing.server import FakeServer

BASE = ("-m", "outlast/baseline")
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A server that says what it was told last, and how much came before."""

    def answer(request: dict[str, Any]) -> str:
        *before, last = request["messages"]
        return f"{last['content']} ({len(before)})"

    with FakeServer(answer) as running:
        yield running


@pytest.fixture
def ask(outlast, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Runs `outlast prompt` with something on standard input."""

    def call(*words: str, stdin: str = "") -> Any:
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        return outlast("prompt", *words)

    return call


@pytest.fixture
def retries_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries again without the pauses between."""

    async def no_pause(seconds: float) -> None:
        pass

    monkeypatch.setattr(retry, "sleep", no_pause)


def at(server: FakeServer) -> tuple[str, ...]:
    """The options that ask a server."""
    return ("-m", "some-model", "--base-url", server.url)


def said(server: FakeServer, number: int = -1) -> list[dict[str, Any]]:
    """The messages of a request that the server saw."""
    return server.requests[number].body["messages"]


def test_words_and_what_is_piped_in_go_to_the_model(ask, server) -> None:
    result = ask(*at(server), "-s", "Be brief", "Explain", "this", stdin="a log\n")
    assert (result.code, result.out, result.err) == (0, "a log\n\nExplain this (1)\n", "")
    assert [(message["role"], message["content"]) for message in said(server)] == [
        ("system", "Be brief"),
        ("user", "a log\n\nExplain this"),
    ]


def test_settings_reach_the_model_and_are_checked_before(ask, server) -> None:
    assert ask(*at(server), "-o", "temperature", "0.5", "-o", "stop", '["x"]', "hi").code == 0
    sent = server.requests[-1].body
    assert (sent["temperature"], sent["stop"]) == (0.5, ["x"])
    for option, told in [
        (("temprature", "1"), "Did you mean 'temperature'"),
        (("temperature", "hot"), "a number from 0 to 2"),
    ]:
        result = ask(*at(server), "-o", *option, "hi")
        assert (result.code, told in result.err) == (2, True)
    assert ask(*at(server), "-o", "seed", "1", "-o", "seed", "2", "hi").code == 2
    assert server.count == 1


def test_whoever_asks_again_gets_another_answer_unless_the_cache_is_asked_for(
    ask, server, tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv("OUTLAST_CACHE", str(tmp_path / "cache.db"))
    for _ in range(2):
        ask(*at(server), "hi")
    assert server.count == 2
    for _ in range(2):
        ask(*at(server), "hi", "--cache")
    assert server.count == 3


def test_a_conversation_goes_on_with_the_model_and_the_system_text_it_had(ask, server) -> None:
    first = ask(*at(server), "-s", "Be brief", "one", "--json").json
    ask(*at(server), "another talk")
    result = ask("--cid", first["session"], "two")
    assert result.out == "two (3)\n"
    assert [message["content"] for message in said(server)] == ["Be brief", "one", "one (1)", "two"]
    assert ask("-c", "three").out == "three (5)\n"
    assert ask("--cid", first["trace"][:16], "four").out == "four (7)\n"
    assert ask("-c", "five", "-s", "Be long").out == "five (9)\n"
    assert said(server)[0]["content"] == "Be long"


@pytest.mark.usefixtures("retries_at_once")
def test_a_turn_that_failed_is_passed_over(ask, server) -> None:
    ask(*at(server), "one")
    server.handler = lambda request: 1 / 0
    assert ask("-c", "-o", "seed", "5", "two", "--base-url", "http://127.0.0.1:9/v1").code == 4
    server.handler = lambda request: "fine"
    assert ask("-c", "three").out == "fine\n"
    assert [message["content"] for message in said(server)] == ["one", "one (0)", "three"]
    server.handler = lambda request: 1 / 0
    assert ask(*at(server), "another talk that nobody answers", "--base-url", "http://127.0.0.1:9/v1").code == 4
    server.handler = lambda request: "still fine"
    assert ask("-c", "four").out == "still fine\n"
    assert [message["content"] for message in said(server)][-3:] == ["three", "fine", "four"]


def test_a_schema_is_checked_and_the_model_is_asked_again(ask, server) -> None:
    replies = iter(['{"name": "Ann", "age": "old"}', '{"name": "Ann", "age": 31}'])
    server.handler = lambda request: next(replies)
    result = ask(*at(server), "--schema", "name, age int: in years", "Ann, 31", "--json", "-u").json
    assert result["answer"] == {"name": "Ann", "age": 31}
    assert result["calls"] == 2
    assert "in years" in said(server, 0)[0]["content"]
    server.handler = lambda request: '{"name": "Ann"}'
    failed = ask(*at(server), "--schema", "name, age int", "Ann")
    assert (failed.code, failed.out) == (3, "")


def test_a_conversation_goes_on_from_text_to_values_and_back(ask, server) -> None:
    ask(*at(server), "-s", "Be brief", "Ann is 31")
    server.handler = lambda request: '{"age": 31}'
    assert ask("-c", "--schema", "age int", "How old?").lines == [{"age": 31}]
    assert [message["role"] for message in said(server)] == ["system", "user", "assistant", "user"]
    server.handler = lambda request: "so old"
    assert ask("-c", "Say it in words").out == "so old\n"
    assert [message["role"] for message in said(server)] == ["user", "assistant", "user", "assistant", "user"]


def test_many_values_and_a_file_of_schema(ask, server, desk: Path) -> None:
    server.handler = lambda request: '{"items": [{"name": "Ann"}, {"name": "Bo"}]}'
    assert ask(*at(server), "--schema-multi", "name", "x").lines == [{"items": [{"name": "Ann"}, {"name": "Bo"}]}]
    (desk / "s.json").write_text('{"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}')
    server.handler = lambda request: '{"result": {"n": 5}}'
    assert ask(*at(server), "--schema", "s.json", "x").lines == [{"n": 5}]


def test_attachments(ask, server, desk: Path, monkeypatch) -> None:
    (desk / "a.png").write_bytes(PNG)
    (desk / "b.txt").write_text("some text\n")
    server.handler = lambda request: "seen"
    assert ask(*at(server), "-a", "a.png", "-a", "b.txt", "-a", "https://example.com/c.jpg", "What?").code == 0
    kinds = [part["type"] for part in said(server)[-1]["content"]]
    assert kinds == ["image_url", "text", "image_url", "text"]
    assert ask("-c", "And now?").code == 0  # the picture comes back out of the log
    assert [part["type"] for part in said(server)[0]["content"]] == kinds
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(PNG), isatty=lambda: False))
    from outlast.cli import main

    assert main(["prompt", *at(server), "-a", "-", "--schema", "name", "What?", "-n"]) == 0
    assert said(server, -1)[1]["content"][-1]["type"] == "text"
    assert ask(*at(server), "-a", "none.png", "What?").code == 3


def test_a_code_block_alone(ask, server) -> None:
    server.handler = lambda request: "Here:\n\n```python\nprint(1)\n\nprint(2)\n```\nand\n```\nmore\n```\n"
    assert ask(*at(server), "-x", "code").out == "print(1)\n\nprint(2)\n"
    server.handler = lambda request: "none"
    result = ask(*at(server), "-x", "code")
    assert (result.code, result.out) == (1, "")
    assert "no code block" in result.err
    assert ask(*at(server), "-x", "--schema", "a", "x").code == 2


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("~~~\na\n~~~", "a"),
        ("````md\n```\na\n```\n````", "```\na\n```"),
        ("  ```\na\n  ```", "a"),
        ("```\ncut off", "cut off"),
        ("``` ```", None),
        ("`a`", None),
        ("```\n```", ""),
        ("x ```\na\n```", None),
    ],
)
def test_blocks(text: str, code: str | None) -> None:
    assert first_block(text) == code


def test_what_is_logged_can_be_switched_off(ask, outlast, server, desk: Path, monkeypatch) -> None:
    for words in (("-n", "one"), ("two",)):
        assert ask(*at(server), *words).code == 0
    assert outlast("logs", "-r").out == "two (0)\n"
    outlast("logs", "off")
    assert "off: switched off" in outlast("logs", "status").out
    ask(*at(server), "three")
    outlast("logs", "on")
    monkeypatch.setenv("OUTLAST_LOG", "off")
    assert ask(*at(server), "four", "--json").json["trace"] is None
    monkeypatch.setenv("OUTLAST_LOG", str(desk / "other.db"))
    ask(*at(server), "five")
    assert outlast("logs", "-r").out == "five (0)\n"
    monkeypatch.delenv("OUTLAST_LOG")
    assert outlast("logs", "-r").out == "two (0)\n"


def test_nothing_is_kept_of_a_private_question_even_where_everything_is_traced(shell, desk: Path, monkeypatch) -> None:
    monkeypatch.setenv("OUTLAST_TRACE", str(desk / "all.db"))
    assert shell("prompt", *BASE, "-n", "The first. And?", stdin="").code == 0
    assert shell("prompt", *BASE, "The second. And?", stdin="").code == 0
    assert shell("chat", *BASE, "-n", stdin="The third. And?\n").code == 0
    rows = shell("logs", "--json", "-n", "0").lines
    assert [row["prompt"] for row in rows] == ["The second. And?"]
    assert rows[0]["session"]


def test_standard_input_that_is_no_text_is_named(shell) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "outlast.cli", "prompt", *BASE, "What?"], input=b"\xff\xfe\x00", capture_output=True
    )
    assert done.returncode == 3
    assert b"-a - shows it as a file" in done.stderr


def test_a_log_that_cannot_be_written_is_told_and_the_answer_comes(ask, server, desk: Path, monkeypatch) -> None:
    (desk / "no.db").write_text("this is no database, and it is long enough to tell")
    monkeypatch.setenv("OUTLAST_LOG", str(desk / "no.db"))
    result = ask(*at(server), "hi")
    assert (result.code, result.out) == (0, "hi (0)\n")
    assert "not logged" in result.err
    assert (desk / "no.db").read_text().startswith("this is no database")


def test_templates(ask, outlast, server) -> None:
    saved = ask(
        "-m", "some-model", "--save", "tr", "-s", "Translate to $lang", "-p", "lang", "French", "-o", "seed", "7"
    )
    assert (saved.code, saved.out, server.count) == (0, "", 0)
    assert ask("-t", "tr", "--base-url", server.url, stdin="hello").out == "hello (1)\n"
    assert said(server)[0]["content"] == "Translate to French"
    assert server.requests[-1].body["seed"] == 7
    ask("-t", "tr", "-p", "lang", "Latin $input", "--base-url", server.url, "hello")
    assert said(server)[0]["content"] == "Translate to Latin $input"
    assert ask("-t", "tr", "-p", "lng", "x", "hi").code == 2
    assert ask("-t", "none", "hi").code == 2
    assert ask("-p", "a", "b", "hi").code == 2
    listed = outlast("templates")
    assert listed.out.split()[:6] == ["template", "slots", "model", "what", "tr", "lang"]
    assert 'system = "Translate to $lang"' in outlast("templates", "show", "tr").out
    assert outlast("templates", "show", "tr", "--json").json["options"] == {"seed": 7}
    assert outlast("templates", "remove", "tr").code == 0
    assert outlast("templates", "remove", "tr").code == 1


def test_a_template_with_a_schema(ask, server) -> None:
    ask("-m", "some-model", "--save", "person", "--schema", "name, age int", "Who is in: $input")
    server.handler = lambda request: '{"name": "Ann", "age": 31}'
    assert ask("-t", "person", "--base-url", server.url, "Ann (31)").lines == [{"name": "Ann", "age": 31}]
    assert ask("--save", "bad", "--schema", "name int int", "x").code != 0
    assert ask("--save", "bad", "costs $5").code == 3


@pytest.mark.skipif(os.name != "posix", reason="a shell script as the editor")
def test_a_template_is_edited_and_what_cannot_be_read_is_not_kept(outlast, ask, desk: Path, monkeypatch) -> None:
    editor = desk / "editor.sh"
    editor.write_text('#!/bin/sh\nprintf "%s" "$NEW" > "$1"\n')
    editor.chmod(0o755)
    monkeypatch.setenv("VISUAL", str(editor))
    monkeypatch.setenv("NEW", 'prompt = "one $input"')
    assert outlast("templates", "edit", "mine").code == 0
    monkeypatch.setenv("NEW", 'prompt = "two" oops')
    failed = outlast("templates", "edit", "mine")
    assert (failed.code, "What was written is in" in failed.err) == (3, True)
    assert outlast("templates", "show", "mine").out == 'prompt = "one $input"\n'
    monkeypatch.setenv("VISUAL", "/no/such/editor")
    assert outlast("templates", "edit", "mine").code == 3
    monkeypatch.setenv("VISUAL", "false")
    assert "ended with the code 1" in outlast("templates", "edit", "mine").err


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (BASE, 2, "ask what?"),
        (("hi",), 3, "no model: give -m"),
        (("-m", "openia/x", "hi"), 3, "Did you mean 'openai'"),
        ((*BASE, "-c", "hi"), 3, "no traces yet"),
        ((*BASE, "-c", "--cid", "x", "hi"), 2, "--cid names another one"),
        ((*BASE, "--schema", "a", "--schema-multi", "b", "hi"), 2, "exclude one another"),
        ((*BASE, "--save", "x", "-c"), 2, "no attachments and no conversation"),
        ((*BASE, "--save", "../x", "hi"), 2, "a template is named by"),
        ((*BASE, "--save", "x", "--base-url", "http://127.0.0.1:9", "hi"), 2, "outlast aliases set"),
    ],
)
def test_what_cannot_be_asked(ask, words, code, told) -> None:
    result = ask(*words)
    assert (result.code, told in result.err) == (code, True), result.err


def test_the_alias_default_is_asked_when_no_model_is_named(ask, outlast) -> None:
    outlast("aliases", "set", "default", "outlast/baseline")
    assert ask("My card is gone. Why?").out == "My card is gone.\n"
    assert json.loads(outlast("logs", "--json").out)["attributes"] == {"asked": {"lm": "default"}}


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_ctrl_c_ends_it_at_once_and_the_log_says_so(server, desk: Path, outlast) -> None:
    """No traceback, and what was asked stands in the log."""
    begun, go_on = threading.Event(), threading.Event()

    def wait(request: dict[str, Any]) -> str:
        begun.set()
        go_on.wait(60)
        return "late"

    server.handler = wait
    command = [sys.executable, "-m", "outlast.cli", "prompt", *at(server), "a long question"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert begun.wait(60)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        go_on.set()
        process.kill()
    assert (process.returncode, out, err) == (130, b"", b"outlast: interrupted\n")
    [kept] = outlast("logs", "--json").lines
    assert (kept["prompt"], kept["status"]) == ("a long question", "error")
    assert "the reply was given up before it began" in kept["error"]

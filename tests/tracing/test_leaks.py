"""What must not be in a store, wherever it came from; and what a store must not do to the program."""

from __future__ import annotations

import multiprocessing
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import outlast as ol
from outlast.errors import ConfigError
from outlast.runtime import set_defaults
from outlast.testing import ScriptedLM
from outlast.tracing.switch import flush

VALUE = "-".join(("abcd", "efgh", "ijkl", "SECRETVALUE", "1234567890"))
KEY = "".join(("sk-proj", "-abcdefghij0123456789"))


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("OPENAI_API_KEY", VALUE)
    yield tmp_path / "traces.db"
    set_defaults(recording=None)
    flush()


def program(**options: Any) -> Any:
    return ol.Predict(
        "message, data: dict -> team",
        lm=ScriptedLM(lambda messages: {"team": "cards"}, name="scripted"),
        adapter=ol.JSON(),
        **options,
    )


def content(path: Path) -> bytes:
    assert flush()
    with ol.open_store(path) as store:
        store.search("x")
        store.backup(path.with_name("copy.db"))
    return b"".join(file.read_bytes() for file in path.parent.iterdir())


@pytest.mark.parametrize("capture", ["full", "off"])
def test_a_key_in_settings_is_not_kept(path: Path, capture: Any) -> None:
    extra = {
        "api_key": "plainvalue1",
        "headers": {"Authorization": "Bearer plainvalueplainvalue2"},
        "k": KEY,
        "e": VALUE,
    }
    with ol.trace(store=path, capture=capture):
        program(extra=extra, stop=["PRIVATE words"])(message="x", data={})
    kept = content(path)
    for secret in ("plainvalue1", "plainvalueplainvalue2", KEY, VALUE):
        assert secret.encode() not in kept
    assert (b"PRIVATE words" in kept) == (capture == "full")


def test_what_stands_under_a_telling_name_is_hidden_in_previews_too(path: Path) -> None:
    data = {"api_key": "plainvalue1", "password": ["hunter2abc"], "secret": 98765432100, KEY: 1, VALUE: 2}

    class Whole(ol.Module):
        """Gives what it gets."""

        def forward(self, **given: Any) -> Any:
            return given

    with ol.trace(store=path):
        Whole()(Authorization="plainvalue3")
        Whole()(message="m", data=data)
    kept = content(path)
    for secret in ("plainvalue1", "hunter2abc", "98765432100", "plainvalue3", KEY, VALUE):
        assert secret.encode() not in kept, secret


def test_texts_are_cleaned_before_they_are_cut(path: Path) -> None:
    class Breaks(ol.Module):
        """Fails with a long text."""

        def forward(self, message: str) -> Any:
            raise ValueError("y" * 1970 + VALUE)

    with ol.trace(store=path, redact=lambda text: re.sub(r"Ada\s+Byron", "[name]", text)):
        with pytest.raises(ValueError, match="yyy"):
            Breaks()(message="m " * 130 + VALUE)
        with pytest.raises(ValueError, match="yyy"):
            Breaks()(message="x" * 290 + "Ada\n\nByron")
    kept = content(path)
    assert VALUE[:8].encode() not in kept
    assert b"Byro" not in kept  # "Ada" may begin a word of the changes that the run stands on


def test_a_secret_that_is_gone_when_it_is_written_is_hidden(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = "-".join(("zzzz", "yyyy", "xxxx"))
    monkeypatch.setenv("ACME_KEY", gone)
    with ol.trace(store=path):
        program()(message=f"use {gone}", data={})
    monkeypatch.delenv("ACME_KEY")
    assert gone.encode() not in content(path)


def test_addresses_lose_their_passwords_and_usual_variables_are_known(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {
        name: f"{name.lower()}-{'v' * 9}" for name in ("API_KEY", "STRIPE_SECRET_KEY", "PGPASSWORD", "GITHUB_PAT")
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    with ol.trace(store=path, tags=[f"tag {KEY}"], session=f"s {VALUE}"):
        program()(message=" ".join([*values.values(), "postgresql://bob:pa55w0rd@h/db"]), data={})
    kept = content(path)
    for secret in (*values.values(), "pa55w0rd", KEY, VALUE):
        assert secret.encode() not in kept, secret


def test_where_a_run_comes_from_is_cleaned(path: Path, tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(
        "import sys, outlast as ol\nfrom outlast.testing import ScriptedLM\n"
        "with ol.trace(store=sys.argv[1]):\n"
        "    ol.Predict('a -> b', lm=ScriptedLM(lambda m: {'b': 'c'}), adapter=ol.JSON())(a='x')\n"
    )
    git = {"cwd": tmp_path, "check": True, "capture_output": True}
    subprocess.run(["git", "init", "-q"], **git)  # type: ignore[call-overload]
    subprocess.run(["git", "add", "run.py"], **git)  # type: ignore[call-overload]
    who = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    subprocess.run(["git", *who, "commit", "-qm", "x"], **git)  # type: ignore[call-overload]
    script.write_text(script.read_text() + f"# {VALUE}\n")
    done = subprocess.run(
        [sys.executable, script, path, VALUE], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    with ol.open_store(path) as store:
        told = str(store.runs()[0].provenance)
    assert "diff --git" in told
    assert VALUE not in told


def test_redaction_leaves_what_messages_are_made_of(path: Path) -> None:
    picture = ol.Image.from_bytes(b"\x89PNG\r\n\x1a\n" + b"0123456789" * 4, "image/png")
    ask = ol.Predict(
        "message, image: Image -> team", types=[ol.Image], lm=ScriptedLM(lambda m: {"team": "1"}), adapter=ol.JSON()
    )
    with ol.trace(store=path, redact=lambda text: re.sub(r"[\di]", "#", text)):
        ask(message="call 0176 55", image=picture)
    assert flush()
    with ol.open_store(path) as store:
        [trace] = store.traces()
        asked = next(one for one in store.spans(trace.id) if one.kind == "lm")
        found = store.content(asked)
    request, response = found.as_request(), found.as_response()
    assert request is not None
    assert response is not None
    assert any(getattr(part, "data", None) == picture.data for message in request.messages for part in message.parts)
    assert "0176" not in str(found.request["messages"]).replace(str(picture.to_json()["data"]), "")  # type: ignore[index]
    assert trace.models == ("scripted",)


def test_a_redaction_that_asks_a_program_is_not_told_in_turn(path: Path) -> None:
    clean = ol.Predict("text -> clean", lm=ScriptedLM(lambda messages: {"clean": "[clean]"}), adapter=ol.JSON())
    asked: list[str] = []

    def redact(text: str) -> str:
        asked.append(text)
        return clean(text=text).clean

    ol.configure(trace=path, redact=redact)
    program()(message="hello", data={})
    assert flush()
    before = len(asked)
    assert flush()
    assert len(asked) == before < 60
    with ol.open_store(path) as store:
        assert store.count() == 1


def test_a_redaction_that_wants_to_end_the_process_keeps_nothing_and_goes_on(path: Path) -> None:
    def redact(text: str) -> str:
        sys.exit(1)

    with ol.trace(store=path, redact=redact):
        program()(message="hello", data={})
    with ol.trace(store=path):
        program()(message="again", data={})
    assert flush()
    with ol.open_store(path) as store:
        newest, oldest = store.traces()
        assert "again" in newest.input
        assert "SystemExit" in oldest.input


def test_one_value_that_cannot_be_written_does_not_cost_the_trace(path: Path) -> None:
    class Outer(ol.Module):
        """Takes a number."""

        ask = program()

        def forward(self, x: int) -> Any:
            return self.ask(message="m", data={}).team

    with ol.trace(store=path):
        assert Outer()(x=10**5000) == "cards"
    assert flush()
    with ol.open_store(path) as store:
        [trace] = store.traces()
        assert [one.kind for one in store.spans(trace.id)] == ["program", "module", "lm"]
        assert "not kept" in str(store.content(store.spans(trace.id)[0]).inputs)


def test_the_error_of_a_program_is_the_one_that_is_raised(path: Path) -> None:
    class OddError(Exception):
        def __str__(self) -> str:
            raise SystemExit(3)

    class Breaks(ol.Module):
        """Fails."""

        def forward(self) -> Any:
            raise OddError

    with ol.trace(store=path), pytest.raises(OddError):
        Breaks()()


def test_the_first_use_of_a_program_beside_a_store_never_waits_for_an_import(tmp_path: Path) -> None:
    code = """
import sys
import outlast as ol
with ol.trace(store=sys.argv[1]):
    q = ol.Predict("message -> team", lm=ol.LM("outlast/baseline"))
    q(message="a")
"""
    for number in range(6):
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / f"{number}.db")],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")


def _in_a_child(number: int) -> None:
    program()(message=f"child {number}", data={})


def test_processes_of_multiprocessing_write_what_they_did(path: Path) -> None:
    ol.configure(trace=path)
    program()(message="parent", data={})
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=_in_a_child, args=(number,)) for number in range(4)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert flush()
    with ol.open_store(path) as store:
        found = {trace.input for trace in store.traces()}
    assert {f"child {number}" for number in range(4)} <= {
        text.split(" · ")[0].removeprefix("message: ") for text in found
    }


def test_a_child_that_was_forked_at_once_keeps_what_it_does(path: Path) -> None:
    with ol.trace(store=path):
        program()(message="parent", data={})
        child = os.fork()
        if child == 0:  # pragma: no cover - another process
            code = 1
            try:
                program()(message="child", data={})
                code = 0 if flush() else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert flush()
    with ol.open_store(path) as store:
        assert store.count() == 2


def test_places_that_are_none_are_refused() -> None:
    for place in ("a\0b.db", "\ud800.db", ":memory:"):
        with pytest.raises(ConfigError):
            ol.open_store(place)

"""The quickstart, end to end."""

from __future__ import annotations

import json
import re
import sys
import time
from unittest.mock import Mock

import pytest

import outlast as ol
from outlast.cli.demo_view import View, own_command
from outlast.samples.triage import Triage

FAST = ("--candidates", "1", "--max-demos", "8")


def test_the_quickstart_in_a_process_of_its_own(shell, outlast, desk) -> None:
    began = time.monotonic()
    result = shell("demo")
    assert time.monotonic() - began < 60
    assert result.code == 0, result.err
    assert result.err == ""
    words = result.out
    for word in (
        "outlast/baseline",
        "400 labelled messages",
        "before",
        "after",
        "95% CI",
        "points",
        "verdict",
        "p < 0.001",
    ):
        assert word in words
    assert words.index("  before") < words.index("searching ...") < words.index("  after")
    assert "better, proven" in words
    assert "more examples" in words
    assert "The prompts it found: the instructions as written, " in words
    last = "\n".join(words.splitlines()[-2:])
    assert re.search(r"\d% -> [\d.]+% \(\+[\d.]+\), proven on \d+ held-out messages", last)
    assert last.endswith("open quickstart/report.html")
    assert "--lm openai/gpt-5-mini" in words
    assert "\x1b" not in words, "no colours without a terminal"
    assert max(len(line.rstrip()) for line in words.splitlines()) <= 80

    program = ol.load(desk / "quickstart" / "triage.outlast.json", Triage())
    assert program != Triage()
    with ol.context(lm="outlast/baseline"):
        out = program(message="my card was stolen, someone is using it right now")
    assert out.team in ("cards", "fraud")
    page = (desk / "quickstart" / "report.html").read_text()
    assert "Score against calls" in page
    assert "<svg" in page
    assert (desk / "quickstart" / "triage.study.db").is_file()

    again = outlast("demo")
    assert again.code == 0
    assert "nothing: all" in again.out, "a rerun asks nothing"


def test_the_lines_that_load_the_program_run(outlast, desk) -> None:
    words = outlast("demo", *FAST).out
    begin, end = words.index("Load it\n") + len("Load it\n"), words.index("Next\n")
    code = "\n".join(line.strip() for line in words[begin:end].splitlines())
    try:
        exec(compile(code, "demo", "exec"), {})
    finally:
        from outlast.runtime import set_defaults

        set_defaults(lm=None)


def test_the_next_command_is_one_that_works(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "my venv" / "bin"
    folder.mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert own_command() == "'my venv/bin/python' -m outlast.cli"
    (folder / "outlast").write_text("#!/bin/sh\n")
    (folder / "outlast").chmod(0o755)
    assert own_command() == "'my venv/bin/outlast'"
    monkeypatch.setenv("PATH", str(folder))
    assert own_command() == "outlast"


def test_progress_counts_the_start_once() -> None:
    from outlast.optimize.study import Progress

    view = View(quiet=False, live=True)
    state = Mock(spec=Progress, phase="search", alive=8, candidates=17, score=None, rollouts=1, expected=2)
    state.meter.spent.calls = 1
    assert "8 of 17 still in the race" in str(view._status(state, 1.0).renderables[1])


def test_json(outlast, desk) -> None:
    result = outlast("demo", *FAST, "--json", "--out", "other")
    found = json.loads(result.out)
    assert found["result"]["difference"]["n"] == found["data"]["confirm"]["n"]
    assert found["saved"] == "other/triage.outlast.json"
    assert (desk / "other" / "report.html").is_file()


def test_a_ledger_of_another_search_is_left_alone(outlast, desk) -> None:
    folder = desk / "quickstart"
    assert outlast("demo", *FAST, "--json").code == 0
    old = (folder / "triage.study.db").read_bytes()
    assert json.loads(outlast("demo", *FAST, "--adapter", "json", "--json").out)["ledger"] == (
        "quickstart/triage-2.study.db"
    )
    assert (folder / "triage.study.db").read_bytes() == old


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("--lm", "openia/x"), 3, "Did you mean 'openai'?"),
        (("--out", "app.py"), 2, "name a folder"),
        (("--candidates", "0"), 2, "--candidates"),
    ],
)
def test_what_cannot_be_shown(outlast, words: tuple[str, ...], code: int, told: str) -> None:
    result = outlast("demo", *words)
    assert result.code == code
    assert told in result.err
    assert "Traceback" not in result.err


def test_a_missing_key_is_said_before_anything_is_made(outlast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    result = outlast("demo", "--lm", "openai/gpt-5-mini")
    assert result.code in (3, 4)
    assert "OPENAI_API_KEY" in result.err
    assert "Traceback" not in result.err


def test_interrupted_keeps_the_ledger_and_saves_nothing(outlast, desk, monkeypatch: pytest.MonkeyPatch) -> None:
    import signal

    from outlast.samples import triage

    calls = iter(range(10**9))

    def triaged(example, out):
        if next(calls) == 200:
            signal.raise_signal(signal.SIGINT)
        return float(out.team == example.team)

    monkeypatch.setattr(triage, "triaged", triaged)
    result = outlast("demo", *FAST)
    assert result.code == 130
    assert "interrupted. Run the same command again" in result.err
    assert not (desk / "quickstart" / "triage.outlast.json").exists()
    assert (desk / "quickstart" / "triage.study.db").is_file()

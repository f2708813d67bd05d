"""`outlast logs`: found, shown, added up, kept and forgotten."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from datetime import datetime
from pathlib import Path

import pytest

import outlast as ol
from outlast.testing import ScriptedLM
from outlast.testing.server import FakeServer
from outlast.tracing.record import Content, SpanRecord, TraceFilter, TraceRecord
from outlast.tracing.saving import WholeTrace
from outlast.tracing.switch import flush

BASE = ("-m", "outlast/baseline")


@pytest.fixture
def store(desk: Path) -> Path:
    """A store with three calls of a program, one of which failed, and two of models."""
    program = ol.Predict("question -> answer")
    place = desk / "traces.db"
    with (
        ol.trace(store=place, tags=("first",)),
        ol.context(lm=ScriptedLM(lambda m: {"answer": "forty two"}, name="a/one")),
    ):
        program(question="what is six by seven")
        ol.LM("outlast/baseline")("The sky is blue. Why?")
    with (
        ol.trace(store=place, session="s-2"),
        ol.context(lm=ScriptedLM(lambda m: {"answer": "\x1b[31mred"}, name="b/two", price=0.25)),
    ):
        program(question="which colour")
    down = ScriptedLM(lambda m: ol.errors.LMServerError("the server is down"), name="b/two")
    with ol.trace(store=place), ol.context(lm=down), pytest.raises(ol.errors.LMServerError):
        program(question="does it fail")
    flush()
    return place


@pytest.fixture
def logs(outlast, store):
    """Runs `outlast logs` on the store."""
    return lambda *words: outlast("logs", "--store", str(store), *words)


def asked(result) -> list[str]:
    """What was asked in the traces that were shown."""
    return [row["prompt"] for row in result.lines]


def test_the_last_ones_newest_last(logs) -> None:
    shown = logs("-n", "2").out
    assert shown.index("which colour") < shown.index("does it fail")
    assert "six by seven" not in shown
    assert "> which colour\n\n\x1b[31mred" in shown
    assert "error: " in shown
    first = logs("--json", "-n", "0").lines[0]
    assert (first["prompt"], first["reply"]) == ("what is six by seven", "forty two")
    assert (first["inputs"], first["outputs"]) == ({"question": "what is six by seven"}, {"answer": "forty two"})
    assert len(logs("--json").lines) == 3
    assert len(logs("--short").out.splitlines()) == 4
    assert "\x1b" not in logs("--short").out
    assert "what is [six] by seven" in logs("--short", "-q", "six").out
    assert logs("-r", "-n", "0").out.splitlines()[:2] == ["forty two", "The sky is blue."]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("-q", "six"), ["what is six by seven"]),
        (("-q", "forty"), ["what is six by seven"]),
        (("-q", "colour"), ["which colour"]),
        (("-m", "b/two"), ["which colour", "does it fail"]),
        (("-m", "some-seller/two"), ["which colour", "does it fail"]),
        (("-m", "llm:two"), ["which colour", "does it fail"]),
        (("-m", "outlast/baseline"), ["The sky is blue. Why?"]),
        (("-t", "s-2"), ["which colour"]),
        (("--tag", "first"), ["what is six by seven", "The sky is blue. Why?"]),
        (("--errors",), ["does it fail"]),
        (("--program", "Predict", "-m", "a/one"), ["what is six by seven"]),
        (("--since", "1h", "-q", "colour"), ["which colour"]),
    ],
)
def test_which(logs, words, found) -> None:
    assert asked(logs("--json", "-n", "0", *words)) == found


def test_the_version_of_a_program_by_its_hash(logs) -> None:
    version = logs("--json", "-q", "six").lines[0]["program"]
    assert len(asked(logs("--json", "-n", "0", "--program", version[:8]))) == 3


def test_none_is_exit_code_1(logs) -> None:
    for words in (("--until", "2020-01-01"), ("-q", "nowhere"), ("-m", "none"), ("--cost", "--program", "None")):
        result = logs(*words)
        assert (result.code, result.out) == (1, "")
        assert "no such traces" in result.err


def test_one_whole_with_its_spans(logs, outlast, desk: Path) -> None:
    first = logs("--json", "-q", "six").lines[0]["id"]
    shown = logs(first[:20]).out
    assert "program Predict" in shown
    assert "└─ [1] lm a/one" in shown
    for text in ("[system]\n", "[user]\n", "[reply]\n", "what is six by seven"):
        assert text in shown
    data = logs(first, "--json").json
    assert [span["kind"] for span in data["spans"]] == ["program", "lm"]
    assert data["spans"][1]["request"]["messages"][0]["role"] == "system"
    assert logs(first, "-r").out == "forty two\n"
    wrong = logs("ffffffff")
    assert (wrong.code, "ffffffff" in wrong.err) == (3, True)


HOSTILE = "\x1b]0;PWN\x07\x9b31m\u202eX\x7f\U000e0041"


def at_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on stdout is a terminal."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")


def acting(text: str) -> set[str]:
    """What of the text acts on a terminal."""
    return set(text) & set("\x1b\x07\x9b\u202e\x7f\U000e0041")


@pytest.fixture
def hostile(desk: Path) -> str:
    """A store in which every text that somebody else writes is hostile."""
    bad = HOSTILE
    told = {"name": bad, "input": bad, "output": bad, "error": bad, "status": bad, "models": (bad,), "tags": (bad,)}
    trace = TraceRecord("ab" * 16, started=1.0, session=bad, kind="program", **told)
    top, inner = "1" * 16, "2" * 16
    span = {"started": 1.0, "name": bad, "error_type": bad, "error": bad, "path": bad, "status": "error"}
    lm = {"lm_asked": bad, "lm_answered": bad, "signature": bad, "cache": bad}
    spans = [
        SpanRecord(top, trace.id, kind="program", **span),
        SpanRecord(inner, trace.id, parent_id=top, kind="lm", **span, **lm),
    ]
    with ol.open_store(desk / "bad.db", create=True) as made:
        made.save_records([], [WholeTrace(trace, spans, {inner: Content({"a": bad}, {"b": bad})})])
        made.add_label(trace.id, bad, author=bad, note=bad, name="said")
    return trace.id


@pytest.mark.parametrize("words", [("ab",), ("ab", "-r"), ("--short",), (), ("--cost",)])
def test_nothing_that_is_stored_acts_on_a_terminal(outlast, hostile, monkeypatch, words) -> None:
    at_terminal(monkeypatch)
    done = outlast("logs", "--store", "bad.db", *words)
    assert done.code == 0, done.err
    assert "PWN" in done.out
    assert acting(done.out + done.err) == set()


@pytest.mark.parametrize("words", [("ab",), (), ("--cost",)])
def test_json_says_the_same_at_a_terminal_in_escapes(outlast, hostile, monkeypatch, words) -> None:
    raw = outlast("logs", "--store", "bad.db", "--json", *words).out
    assert {"\x9b", "\u202e"} <= acting(raw)
    at_terminal(monkeypatch)
    shown = outlast("logs", "--store", "bad.db", "--json", *words).out
    assert acting(shown) == set()
    assert json.loads(shown) == json.loads(raw)
    assert "\\u202e" in shown


def test_no_path_acts_on_a_terminal(outlast, hostile, monkeypatch) -> None:
    at_terminal(monkeypatch)
    bad = HOSTILE.replace("/", "")
    for words in (
        ("logs", "--store", "bad.db", "backup", f"{bad}.db"),
        ("view", "bad.db", "--export", f"out{bad}"),
        ("logs", "path", "--store", f"{bad}.db"),
        ("logs", bad, "--store", "bad.db"),
        ("logs", f"--{bad}"),
    ):
        done = outlast(*words)
        assert "PWN" in done.out + done.err, words
        assert acting(done.out + done.err) == set(), words


@pytest.mark.parametrize("command", ["logs", "replay"])
def test_an_id_that_is_no_text_is_that_of_nothing(outlast, store: Path, command: str) -> None:
    for id in ("\udcff", "ab\ud800", "a\0"):
        done = outlast(command, id, "--store", str(store))
        assert (done.code, done.out) == (3, "")
        assert "there is no" in done.err


@pytest.mark.parametrize("option", ["-q", "-m", "--program", "--session", "--tag"])
def test_what_is_no_text_is_in_no_trace(logs, option: str) -> None:
    done = logs(option, "a\udcff")
    assert (done.code, done.out) == (1, "")
    assert "no such traces" in done.err


def test_what_it_cost(logs) -> None:
    lines = logs("--cost").out.splitlines()
    assert [line.split()[0] for line in lines[:2]] == ["model", "b/two"]  # the dearest first
    assert {line.split()[0] for line in lines[2:]} == {"a/one", "outlast/baseline", "total"}
    assert lines[-1].split()[1] == "4"
    assert lines[-1].endswith("$0.2500")
    told = logs("--cost", "--json").json
    assert told["total"]["traces"] == 4
    assert told["models"]["b/two"]["cost"] == 0.25
    assert logs("--cost", "--json", "-m", "a/one").json["total"]["traces"] == 1


def test_a_copy_and_forgetting(logs, outlast, store: Path, desk: Path) -> None:
    labelled = logs("--json", "-q", "six").lines[0]["id"]
    with_label = ol.open_store(store)
    with_label.add_label(labelled, "pass", author="me")
    with_label.close()
    assert "label label: pass (human me)" in logs(labelled).out
    assert logs("backup", str(desk / "copy.db")).code == 0
    assert logs("backup", str(desk / "copy.db")).code == 2
    assert logs("gc").code == 2
    assert "0 traces are gone, 4 are left" in logs("gc", "--older-than", "30d").err
    assert "3 traces are gone, 1 are left" in logs("gc", "--older-than", "0s").err
    assert "1 traces are gone, 0 are left" in logs("gc", "--older-than", "0s", "--labelled-too").err
    assert len(outlast("logs", "--store", "copy.db", "--json", "-n", "0").lines) == 4


def test_where_the_log_is(outlast, desk: Path, monkeypatch) -> None:
    assert outlast("logs", "path").out == f"{desk / 'data' / 'outlast' / 'log.db'}\n"
    for variable, words in (("OUTLAST_LOG", ()), ("OUTLAST_TRACE", ()), ("OUTLAST_TRACE", ("--store", "c.db"))):
        monkeypatch.setenv(variable, f"{variable}.db")
        assert outlast("logs", "path", *words).out == f"{words[1] if words else variable + '.db'}\n"
    for off in ("off", "0", "No"):
        monkeypatch.setenv("OUTLAST_TRACE", off)
        assert outlast("logs", "path").out == "OUTLAST_LOG.db\n"
        monkeypatch.setenv("OUTLAST_LOG", off)
        assert "off: OUTLAST_LOG is off" in outlast("logs", "status").out
        monkeypatch.setenv("OUTLAST_LOG", "OUTLAST_LOG.db")


def test_no_password_is_shown(outlast, monkeypatch) -> None:
    monkeypatch.setenv("OUTLAST_LOG", "postgresql://me:hidden@127.0.0.1:9/team")
    for words in (("path",), ("status", "--json"), ("status",), (), ("gc", "--older-than", "1d")):
        result = outlast("logs", *words)
        assert "hidden" not in result.out + result.err, words
    assert outlast("logs", "path").out == "postgresql://me@127.0.0.1:9/team\n"


def test_there_is_none_yet(outlast) -> None:
    for words in ((), ("--cost",), ("gc", "--older-than", "1d"), ("backup", "x.db"), ("--store", "none.db")):
        result = outlast("logs", *words)
        said = "no store of traces at 'none.db'" if "none.db" in words else "no traces yet: no traces.db in this folder"
        assert (result.code, said in result.err) == (3, True)
    assert outlast("logs", "status").code == 0
    assert not (Path("none.db")).exists()


def test_switching(outlast) -> None:
    assert outlast("logs", "off").code == 0
    assert outlast("logs", "off").code == 0
    assert outlast("logs", "status", "--json").json["on"] is False
    assert outlast("logs", "on").code == 0
    assert outlast("logs", "on").code == 0
    assert outlast("logs", "status", "--json").json["on"] is True


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("a", "b"), "one trace by its id"),
        (("--older-than", "3d"), "goes with gc"),
        (("on", "--older-than", "3d"), "go with gc"),
        (("backup",), "outlast logs backup PATH"),
        (("gc", "--older-than", "soon"), "a length of time"),
        (("-n", "-1"), "argument -n"),
    ],
)
def test_what_means_nothing(outlast, monkeypatch, words, told) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("hi"))
    outlast("prompt", *BASE)
    result = outlast("logs", *words)
    assert (result.code, told in result.err) == (2, True), result.err


def test_a_store_that_may_not_be_written_is_read(outlast, store: Path) -> None:
    if os.geteuid() == 0:
        os.chmod(store, 0o444)  # root may write it all the same; what is read is what counts here
    assert outlast("logs", "--store", str(store), "--short").code == 0


def test_no_store_is_named(outlast, desk: Path) -> None:
    (desk / "x.db").write_text("this is no database, and it is long enough to tell")
    result = outlast("logs", "--store", "x.db")
    assert (result.code, "x.db" in result.err) == (3, True)


def test_run_keeps_what_it_did(outlast, desk: Path) -> None:
    assert outlast("run", "app.py:Triage", "inputs.jsonl", *BASE, "--trace", "run.db").code == 0
    rows = outlast("logs", "--store", "run.db", "--json", "-n", "0").lines
    assert [row["name"] for row in rows] == ["Triage"] * 5
    store = ol.open_store(desk / "run.db", read_only=True)
    assert {run.kind: run.name for run in store.runs()} == {"cli": "run app.py:Triage", "process": ""}
    assert {store.run(row["run_id"]).kind for row in rows} == {"cli"}
    assert outlast("run", "app.py:Triage", "inputs.jsonl", *BASE).code == 0  # and no longer
    assert len(outlast("logs", "--store", "run.db", "--json", "-n", "0").lines) == 5
    assert json.loads(outlast("logs", "--store", "run.db", "-n", "1", "--json").out)["models"] == ["outlast/baseline"]


def test_eval_and_compile_keep_what_they_did(outlast, desk: Path) -> None:
    words = ("app.py:Triage", "data.jsonl", "--metric", "app.py:correct", *BASE, "--no-progress")
    assert outlast("eval", *words, "--limit", "5", "--trace", "kept.db").code == 0
    assert len(outlast("logs", "--store", "kept.db", "--short").out.splitlines()) == 5
    limits = ("--optimizer", "labeled", "--max-demos", "2", "--calls", "400", "--study", "s.db")
    assert outlast("compile", *words, *limits, "--trace", "kept.db").code == 0
    assert len(outlast("logs", "--store", "kept.db", "--json", "-n", "0").lines) > 50
    with contextlib.closing(ol.open_store(desk / "kept.db", read_only=True)) as store:
        assert {"eval", "compile"} <= {run.kind for run in store.runs()}


def test_messages_that_were_sent_before_stand_once(outlast, desk: Path) -> None:
    replies = iter(["one", "two", "three"])
    lm = ScriptedLM(lambda messages: next(replies))

    class Talk(ol.Module):
        async def forward(self, question: str) -> str:
            said: list[ol.Message] = [ol.Message("system", "be brief"), ol.Message("user", question)]
            for more in ("and", "then"):
                said += [(await lm.acall(said)).message, ol.Message("user", more)]
            return (await lm.acall(said)).text

    with ol.trace(store=desk / "talk.db") as spans:
        Talk()(question="first?")
    flush()
    shown = outlast("logs", "--store", "talk.db", spans.id).out
    assert shown.count("be brief") == 1
    assert "(the 2 messages of [1], and then)\n[assistant]\none\n[user]\nand\n[reply]\ntwo\n" in shown
    assert "(the 4 messages of [2], and then)\n[assistant]\ntwo\n[user]\nthen\n[reply]\nthree\n" in shown


def test_runs_are_listed_with_what_they_came_to(outlast, shell, desk: Path) -> None:
    done = shell("run", "app.py:Broken", "-", "-m", "outlast/baseline", "--trace", "traces.db", stdin=TWO)
    assert done.code == 1
    listed = outlast("logs", "--runs")
    assert listed.code == 0
    head, *rows = listed.out.splitlines()
    assert head.split() == ["run", "began", "kind", "name", "traces", "errors", "calls", "tokens", "in", "out", "cost"]
    assert [row.split()[3:9] for row in rows][0] == ["process", "outlast", "run", "2", "1", "1"]
    assert [row.split()[3] for row in rows] == ["process", "cli"]
    cli, process = outlast("logs", "--runs", "--json", "-n", "1").json, outlast("logs", "--runs", "--json").lines[0]
    assert cli["totals"] == process["totals"]
    assert (cli["totals"]["traces"], cli["totals"]["errors"], cli["totals"]["cost"]) == (2, 1, 0.0)
    assert [one["kind"] for one in outlast("logs", "--runs", "--json", "--program", "outlast run").lines] == ["process"]
    assert outlast("logs", "--runs", "--since", "0s").code == 1
    assert len(outlast("logs", "--runs", "--until", "0s", "--json").lines) == 2


def test_a_run_is_shown_whole_by_its_id(outlast, shell, desk: Path) -> None:
    shell("run", "app.py:Broken", "-", "-m", "outlast/baseline", "--trace", "traces.db", stdin=TWO)
    run = outlast("logs", "--runs", "--json", "-n", "1").json["id"]
    shown = outlast("logs", run[:18]).out
    assert " · cli · run app.py:Broken · done · " in shown
    assert f"   {run} · inside " in shown
    assert "command  __main__.py run app.py:Broken - -m outlast/baseline --trace traces.db\n" in shown
    assert "came to  2 traces, 1 with errors, 1 calls, " in shown
    assert shown.count("  Broken  ") + shown.count("  Broken  error  ") >= 2
    assert len(outlast("logs", run, "-n", "1").out.splitlines()) == len(shown.splitlines()) - 1
    assert outlast("logs", run, "--json").json["totals"]["traces"] == 2
    assert len(outlast("logs", "--run", run, "--json").lines) == 2
    trace = outlast("logs", "--json", "-n", "1").json
    span = ol.open_store("traces.db").spans(trace["id"])[-1]
    assert outlast("logs", span.id).out == outlast("logs", trace["id"]).out
    refused = outlast("logs", "--runs", "-q", "x", "--errors")
    assert (refused.code, "-q, --errors: of traces" in refused.err) == (2, True)


def test_what_was_replayed_in_a_process_is_not_in_its_sums(outlast, desk: Path) -> None:
    from outlast.tracing.record import RunRecord, TraceRecord
    from outlast.tracing.saving import WholeTrace

    runs = [RunRecord("a" * 32, "process", started=1.0), RunRecord("b" * 32, "replay", started=2.0, parent_id="a" * 32)]
    traces = [
        WholeTrace(TraceRecord(f"{at:032x}", id * 32, "lm", "T", started=3.0, status="ok", calls=1, cost=1.0))
        for at, id in enumerate("abb")
    ]
    with ol.open_store("traces.db", create=True) as store:
        store.save_records(runs, traces)
    assert [one["totals"]["cost"] for one in outlast("logs", "--runs", "--json").lines] == [1.0]
    assert [one["totals"]["cost"] for one in outlast("logs", "--runs", "--json", "--replays").lines] == [3.0, 2.0]
    shown = outlast("logs", "a" * 32).out
    assert "came to  1 traces, 1 calls" in shown
    assert "replays  2 traces more, which are not in these sums\n" in shown
    assert outlast("logs", "a" * 32, "--json").json["totals"]["traces"] == 1
    assert "more" not in outlast("logs", "b" * 32).out.split("came to")[1]


TWO = '{"message": "My card is gone"}\n{"message": "boom"}\n'


def test_replays_that_are_left_out_are_told_when_nothing_else_is_there(outlast, desk: Path) -> None:
    outlast("run", "app.py:Triage", "inputs.jsonl", "-m", "outlast/baseline", "--trace", "traces.db")
    outlast("replay", "last", "--mode", "live", "-m", "outlast/baseline")
    with ol.open_store("traces.db") as store:
        [again] = store.traces(TraceFilter(replayed=True))
    result = outlast("logs", "--since", datetime.fromtimestamp(again.started - 1e-4).isoformat())
    assert (result.code, "1 of replays is left out: --replays." in result.err) == (1, True)


def test_the_last_conversation_and_the_last_code(outlast, desk: Path, monkeypatch) -> None:
    def ask(*words: str) -> None:
        monkeypatch.setattr(sys, "stdin", io.StringIO(""))
        with FakeServer(lambda request: f"So:\n```py\n{words[-1]}()\n```" if "code" in words else "no") as server:
            assert outlast("prompt", "-m", "x", "--base-url", server.url, *words).code == 0

    for words in (("one",), ("a", "code"), ("-c", "two")):
        ask(*words)
    outlast("run", "app.py:Triage", "--input", "message=x", *BASE, "--trace", str(desk / "data/outlast/log.db"))
    assert [line["prompt"] for line in outlast("logs", "-c", "--json").lines] == ["a code", "two"]
    assert outlast("logs", "-x").out == "code()\n"
    assert outlast("logs", "-c", "-s").out.count("\n") == 2
    assert outlast("logs", "-c", "-t", "x").code == 2
    nothing = outlast("logs", "-x", "-n", "1")
    assert (nothing.code, nothing.out) == (1, "")
    assert nothing.err == "outlast: none of the last 1 replies holds a code block\n"
    assert "a whole number from 0; got 'x'" in outlast("logs", "-n", "x").err

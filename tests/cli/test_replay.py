"""`outlast replay`: what a store holds runs again, and a whole command runs offline."""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import outlast as ol
from outlast.lms.baseline.model import Baseline
from outlast.testing import ScriptedLM
from outlast.tracing.switch import flush


@pytest.fixture
def store(outlast: Any) -> str:
    """A store with what the program of the desk answered to five messages."""
    done = outlast("run", "app.py:Triage", "inputs.jsonl", "--lm", "outlast/baseline", "--trace", "kept.db")
    assert done.code == 0
    return "kept.db"


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """No model answers any more; gives what was asked nevertheless."""
    asked: list[Any] = []

    async def refuse(self: Baseline, request: Any) -> Any:
        asked.append(request)
        raise AssertionError("a model was asked")

    monkeypatch.setattr(Baseline, "complete", refuse)
    return asked


def ids(store: str) -> list[str]:
    return [one.id for one in ol.open_store(store).traces()]


def test_a_trace_runs_again_without_a_model(outlast: Any, store: str, silent: list[Any]) -> None:
    id = ids(store)[0]
    done = outlast("replay", "last", "--store", store, "--program", "app.py:Triage", "--all")
    assert done.code == 0, done.err
    assert done.out.splitlines()[0] == f"{id[:20]} Triage: the same"
    assert "  = lm route: the same" in done.out
    assert "1 trace replayed (1 answers from the store): 1 the same, 0 not" in done.err
    assert silent == []


def test_the_program_is_found_in_the_file_by_the_name_that_is_stored(
    outlast: Any, store: str, silent: list[Any]
) -> None:
    run = ol.open_store(store).runs("cli")[0].id
    done = outlast("replay", run, "--store", store, "--program", "app.py", "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert (told["kind"], told["same"], told["given"], len(told["traces"])) == ("run", True, 5, 5)
    assert silent == []


def test_a_file_without_that_program_is_told(outlast: Any, store: str) -> None:
    Path("other.py").write_text("import outlast as ol\nqa = ol.Predict('question -> answer')\n")
    done = outlast("replay", ids(store)[0], "--store", store, "--program", "other.py")
    assert done.code == 2
    assert "other.py has no program of Triage; say which one: other.py:NAME. Programs: qa" in done.err


def test_a_request_that_is_not_stored_shows_how_it_differs(outlast: Any, store: str, silent: list[Any]) -> None:
    text = Path("app.py").read_text().replace("Route a customer message", "Send a customer message")
    Path("app2.py").write_text(text)
    done = outlast("replay", ids(store)[0], "--store", store, "--program", "app2.py:Triage")
    assert done.code == 4
    assert '-    "content": "Route a customer message' in done.err
    assert '+    "content": "Send a customer message' in done.err
    assert silent == []


def test_old_and_new_are_set_beside_each_other_and_kept(outlast: Any, store: str) -> None:
    id = ids(store)[0]
    text = Path("app.py").read_text().replace("Route a customer message", "Send a customer message")
    Path("app2.py").write_text(text)
    done = outlast(
        "replay", id, "--store", store, "--program", "app2.py:Triage", "--mode", "diff", "--lm", "outlast/baseline"
    )
    assert done.code in (0, 1)
    assert "the program was version" in done.out
    assert "  ~ lm route: inputs" in done.out
    [run] = ol.open_store(store).runs("replay")
    assert f"kept as run {run.id[:20]}" in done.err
    assert run.attributes == {"of": id, "mode": "diff"}


def test_a_replay_is_one_run_that_lists_hide_and_that_leads_to_what_it_replays(shell: Any, outlast: Any) -> None:
    """In processes of their own, as each would be a run; also where OUTLAST_TRACE names the store."""
    outlast("run", "app.py:Triage", "inputs.jsonl", "--lm", "outlast/baseline", "--trace", "traces.db")
    before = {run.id for run in ol.open_store("traces.db").runs()}
    id = ids("traces.db")[0]
    words = ("replay", "last", "--mode", "diff", "--lm", "outlast/baseline")
    assert shell(*words).code == 0
    assert shell("logs", "--short").out.count(" Triage ") == 5
    store = ol.open_store("traces.db")
    [run] = [one for one in store.runs() if one.id not in before]
    assert (run.kind, run.parent_id, run.attributes["of"]) == ("replay", "", id)
    assert run.provenance["argv"][1:] == list(words)
    assert {one.id for one in store.runs(replays=False)} == before
    assert len(store.traces(ol.TraceFilter(replayed=False))) == 5
    [again] = store.traces(ol.TraceFilter(replayed=True))
    listed = outlast("logs", "--short").out
    assert (again.id[:20] in listed, len(listed.splitlines())) == (False, 5)
    assert again.id[:20] in outlast("logs", "--short", "--replays").out
    span = next(one for one in store.spans(id) if one.kind == "lm")
    assert f" · replay of {span.id}" in outlast("logs", again.id).out
    assert f"replay   of {id}, diff\n" in outlast("logs", run.id).out
    assert run.id[:20] not in outlast("logs", "--runs").out
    assert run.id[:20] in outlast("logs", "--runs", "--replays").out
    assert outlast("logs", "--cost", "--json").json["total"]["traces"] == 6


def test_looking_and_replaying_leave_no_run_of_a_process(shell: Any, outlast: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("OUTLAST_TRACE", "kept.db")
    assert shell("run", "app.py:Triage", "inputs.jsonl", "--lm", "outlast/baseline").code == 0
    kinds = sorted(run.kind for run in ol.open_store("kept.db").runs())
    assert kinds == ["cli", "process"]
    for words in (("replay", "last", "--mode", "live", "--lm", "outlast/baseline"), ("logs",), ("models",)):
        assert shell(*words).code == 0
    assert sorted(run.kind for run in ol.open_store("kept.db").runs()) == ["cli", "process", "replay"]


def test_one_exchange_is_sent_again(outlast: Any, store: str) -> None:
    span = next(one for one in ol.open_store(store).spans(ids(store)[0]) if one.kind == "lm")
    kept = ol.open_store(store).content(span)
    assert kept.response is not None
    done = outlast("replay", span.id, "--store", store, "--mode", "live", "--lm", "outlast/baseline")
    assert (done.code, done.out.strip()) == (0, kept.response["text"].strip())


def test_a_whole_evaluation_runs_offline(outlast: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("eval", "app.py:Triage", "data.jsonl", "--metric", "app.py:correct", "--lm", "outlast/baseline")
    monkeypatch.setattr(sys, "argv", ["outlast", *words])  # what the run says it was
    first = outlast(*words, "--limit", "20", "--json", "--trace", "kept.db")
    assert first.code == 0

    async def refuse(self: Baseline, request: Any) -> Any:
        raise AssertionError("a model was asked")

    monkeypatch.setattr(Baseline, "complete", refuse)
    told = outlast("replay", "eval", "--store", "kept.db")
    assert "outlast: the whole command, offline: outlast replay " in told.err
    again = outlast("replay", "eval", "--store", "kept.db", "--", *words, "--limit", "20", "--json")
    assert again.code == 0, again.err
    assert "20 answers from" in again.err
    assert again.json["score"] == first.json["score"]
    assert [row["outputs"] for row in again.json.get("rows", [])] == [
        row["outputs"] for row in first.json.get("rows", [])
    ]


def test_a_command_that_asks_for_more_than_was_recorded_is_stopped(outlast: Any, store: str, silent: list[Any]) -> None:
    run = ol.open_store(store).runs("cli")[0].id
    words = ("eval", "app.py:Triage", "data.jsonl", "--metric", "app.py:correct", "--lm", "outlast/baseline")
    done = outlast("replay", run, "--store", store, "--", *words, "--limit", "20", "--json")
    assert done.code == 4
    assert "is not in the recording" in done.err
    assert silent == []


def test_a_miss_is_told_in_a_few_lines_and_whole_when_asked(outlast: Any, store: str, silent: list[Any]) -> None:
    """One changed option: what differs, how many others, and no wall of prompts."""
    run = ol.open_store(store).runs("cli")[0].id
    more = {"message": "a message that nobody sent before", "team": "cards"}
    Path("more.jsonl").write_text(
        "".join(json.dumps({**more, "message": f"{more['message']} {n}"}) + "\n" for n in range(9))
    )
    words = ("eval", "app.py:Triage", "more.jsonl", "--metric", "app.py:correct", "--lm", "outlast/baseline")
    done = outlast("replay", run, "--store", store, "--", *words, "--json", "--concurrency", "1")
    assert done.code == 4
    lines = done.err.splitlines()
    assert len(lines) < 20, done.err
    assert max(map(len, lines)) < 400, done.err
    assert sum(line.startswith(("-", "+")) for line in lines) in range(1, 9)
    assert "+a message that nobody sent before 0" in lines
    assert "outlast: 8 other requests are not there either" in lines
    assert "outlast: --verbose shows all of it" in lines
    assert "outlast: 0 answers from" in lines[-1]
    done = outlast("replay", run, "--store", store, "--verbose", "--", *words, "--json", "--concurrency", "1")
    assert all(f"nobody sent before {n}" in done.err for n in range(9))
    assert "+++ asked now" in done.err
    assert "--verbose" not in done.err
    assert silent == []


def test_a_miss_says_which_options_changed(outlast: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("eval", "app.py:Triage", "data.jsonl", "--metric", "app.py:correct", "--lm", "outlast/baseline")
    then = (*words, "--limit", "3", "--trace", "kept.db", "--json")
    monkeypatch.setattr(sys, "argv", ["outlast", *then])  # what the run says it was
    assert outlast(*then).code == 0
    now = outlast(
        "replay", "eval", "--store", "kept.db", "--", *words, "--limit", "3", "--seed", "5", "--out", "x.json"
    )
    assert now.code in (2, 4)
    now = outlast("replay", "eval", "--store", "kept.db", "--", *words, "--limit", "4", "--save", "rows.jsonl")
    assert now.code == 4
    assert "outlast: the run was with: --limit 3\noutlast: this command is with: --limit 4\n" in now.err


def test_a_miss_of_a_program_is_told_in_the_same_way(outlast: Any, store: str, silent: list[Any]) -> None:
    text = Path("app.py").read_text().replace("Route a customer message", "Send a customer message")
    Path("app2.py").write_text(text)
    run = ol.open_store(store).runs("cli")[0].id
    done = outlast("replay", run, "--store", store, "--program", "app2.py:Triage")
    assert done.code == 4
    assert "outlast: 4 other requests are not there either\noutlast: --verbose shows all of it\n" in done.err
    assert len(done.err.splitlines()) < 12
    whole = outlast("replay", run, "--store", store, "--program", "app2.py:Triage", "--verbose")
    assert whole.err.count("is not in the recording") == 5


def test_a_cassette_for_tests_is_written(outlast: Any, store: str) -> None:
    run = ol.open_store(store).runs("cli")[0].id
    done = outlast("replay", run, "--store", store, "--to", "triage.jsonl")
    assert (done.code, done.err) == (0, "outlast: 5 exchanges in triage.jsonl\n")
    lines = [json.loads(line) for line in Path("triage.jsonl").read_text().splitlines()]
    assert [line["name"] for line in lines] == ["outlast/baseline"] * 5
    message = json.loads(Path("inputs.jsonl").read_text().splitlines()[0])["message"]
    cassette = ol.Cassette("outlast/baseline", "triage.jsonl", mode="replay")
    app: Any = import_module("app")
    with ol.context(lm=cassette):
        assert app.Triage()(message=message).team


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("compile",), "there is no run of the kind 'compile'"),
        (("ffff",), "there is no run, trace or span 'ffff'"),
        (("ffff", "--from", "x.outlast.json"), "give --program"),
        (("ffff", "--mode", "cache", "--lm", "outlast/baseline"), "asks no model"),
        (("ffff", "--to", "x.jsonl", "--program", "app.py:Triage"), "replays nothing"),
        (("ffff", "--mode", "live", "--", "demo"), "runs offline"),
        (("ffff", "--"), "stands a command"),
    ],
)
def test_what_cannot_be_meant_is_told(outlast: Any, store: str, words: tuple[str, ...], told: str) -> None:
    at = words.index("--") if "--" in words else len(words)
    done = outlast("replay", *words[:at], "--store", store, *words[at:])
    assert done.code in (2, 3)
    assert told in done.err


@pytest.mark.slow
def test_the_quickstart_is_compiled_again_offline_to_the_same_file(
    outlast: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bar: an identical artefact with no call of a model; only the time of the compile may differ."""
    monkeypatch.setenv("OUTLAST_TRACE", "quick.db")
    from outlast.runtime import set_defaults
    from outlast.tracing.switch import from_environment

    from_environment()
    try:
        assert outlast("demo", "--out", "first", "--no-progress").code == 0
    finally:
        set_defaults(recording=None)
    monkeypatch.delenv("OUTLAST_TRACE")
    [run] = [one for one in ol.open_store("quick.db").runs() if not one.parent_id]
    assert run.dropped == 0

    async def refuse(self: Baseline, request: Any) -> Any:
        raise AssertionError("a model was asked")

    monkeypatch.setattr(Baseline, "complete", refuse)
    again = outlast("replay", run.id, "--store", "quick.db", "--", "demo", "--out", "second", "--no-progress")
    assert again.code == 0, again.err
    assert "no model was asked" in again.err
    before, after = (
        [line for line in Path(folder, "triage.outlast.json").read_text().splitlines() if '"compiled_at":' not in line]
        for folder in ("first", "second")
    )
    assert before == after
    assert len(before) > 100


@pytest.mark.parametrize("mode", ["diff", "live"])
def test_a_model_without_a_key_is_told_and_nothing_is_kept(
    outlast: Any, store: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    before = ids(store)
    for more in ((), ("--program", "app.py:Triage")):
        done = outlast("replay", before[0], "--store", store, "--mode", mode, "--lm", "openai/gpt-5", *more)
        assert done.code == 4
        assert "needs a key and there is none" in done.err
        assert len(done.err.splitlines()) == 1
        assert done.out == ""
    assert ids(store) == before
    assert ol.open_store(store).runs("replay") == []


def test_a_cassette_replaces_a_file_only_when_told(outlast: Any, store: str) -> None:
    Path("x.jsonl").write_text("mine")
    done = outlast("replay", ids(store)[0], "--store", store, "--to", "x.jsonl")
    assert (done.code, Path("x.jsonl").read_text()) == (2, "mine")
    assert "'x.jsonl' is there already" in done.err
    assert outlast("replay", ids(store)[0], "--store", store, "--to", "x.jsonl", "--force").code == 0
    assert "mine" not in Path("x.jsonl").read_text()


@pytest.mark.parametrize("mode", ["live", "diff"])
def test_nothing_that_a_model_says_acts_on_a_terminal(
    outlast: Any, desk: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    bad = "\x1b]0;PWN\x07\x9b31m\u202eX"
    program = ol.Predict("question -> answer")
    with ol.trace(store="bad.db"), ol.context(lm=ScriptedLM(lambda m: {"answer": bad}, name=bad)):
        program(question="why")
    flush()
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    done = outlast("replay", "last", "--store", "bad.db", "--mode", mode, "--lm", "outlast/baseline", "--all")
    assert done.code in (0, 1), done.err
    done_again = outlast("replay", "last", "--store", "bad.db", "--all")
    told = done.out + done.err + done_again.out + done_again.err
    assert "the same" in told
    assert set(told) & set(bad) <= set("]0;PWN31mX")
    written = outlast("replay", "last", "--store", "bad.db", "--to", f"{bad}.jsonl")
    assert written.code == 0, written.err
    assert "PWN" in written.err
    assert set(written.err) & set(bad) <= set("]0;PWN31mX")


def test_what_differs_is_shown_once_and_line_by_line(outlast: Any, store: str) -> None:
    text = Path("app.py").read_text().replace("Route a customer message", "Send a customer message")
    Path("app2.py").write_text(text.replace("team: Team", "group: Team"))
    words = ("--store", store, "--program", "app2.py:Triage", "--mode", "diff", "--lm", "outlast/baseline")
    done = outlast("replay", ids(store)[0], *words)
    assert done.code == 1, done.err
    assert '      -      "content": "Route a customer message to the team that can resolve it.\n' in done.out
    assert done.out.count('"group":') == 1
    assert "  ~ module route: outputs" in done.out
    assert " (as above)\n" in done.out
    assert "more lines" in done.out
    assert "more lines" not in outlast("replay", ids(store)[0], *words, "--verbose").out

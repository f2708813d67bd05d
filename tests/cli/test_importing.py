"""`outlast import`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.tracing.imports import logs

import outlast as ol


def test_the_log_of_llm_goes_where_outlast_logs_looks(outlast, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    logs.new_log(tmp_path / "logs.db").close()
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path))
    done = outlast("import", "llm")
    assert done.code == 0
    assert done.out.splitlines()[0] == "llm log: 6 traces, 6 spans"
    assert done.out.splitlines()[2] == f"  what comes later: --since {logs.SCHEMA}"
    shown = outlast("logs", "-q", "Paris", "--json")
    assert shown.code == 0
    assert "rain in Paris" in shown.out


def test_the_database_may_be_named_either_way(outlast, tmp_path: Path) -> None:
    logs.old_log(tmp_path / "x.db").close()
    for words in (("--db", str(tmp_path / "x.db")), (str(tmp_path / "x.db"),)):
        assert outlast("import", "llm", *words, "--store", "t.db", "--json").json["traces"] == 3
    assert outlast("import", "llm", "--db", "x", "y").code == 2


def test_only_what_came_later(outlast, tmp_path: Path) -> None:
    logs.new_log(tmp_path / "x.db").close()
    told = outlast(
        "import", "llm", "--db", str(tmp_path / "x.db"), "--since", logs.CALL, "--store", "t.db", "--json"
    ).json
    assert (told["traces"], told["last"]) == (2, logs.SCHEMA)


def test_several_files_at_once(outlast, tmp_path: Path) -> None:
    one = logs.inspect_json(tmp_path / "a.json", logs.inspect_sample())
    two = logs.inspect_eval(tmp_path / "b.eval", logs.inspect_sample(), logs.inspect_failed())
    done = outlast("import", "inspect", str(one), str(two), "--store", str(tmp_path / "t.db"))
    assert done.code == 0
    assert "weather: 2 traces, 6 spans, 2 results" in done.out
    with ol.open_store(tmp_path / "t.db", read_only=True) as store:
        assert store.count() == 2  # both files are of one evaluation


def test_results_of_promptfoo_are_runs_that_can_be_looked_at(outlast, tmp_path: Path) -> None:
    path = logs.promptfoo_results(tmp_path / "r.json", logs.promptfoo_row(0, 0), logs.promptfoo_row(1, 0))
    assert outlast("import", "promptfoo", str(path), "--store", str(tmp_path / "t.db")).code == 0
    with ol.open_store(tmp_path / "t.db", read_only=True) as store:
        (run,) = store.runs(kind="import")
        assert store.count_results(run.id) == {"pass": 2}


def test_what_was_skipped_is_said(outlast, tmp_path: Path) -> None:
    path = logs.inspect_json(tmp_path / "a.json", {"no": "id"}, logs.inspect_sample())
    done = outlast("import", "inspect", str(path), "--store", str(tmp_path / "t.db"))
    assert done.code == 0
    assert "1 skipped" in done.err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("import", "langfuse"), 2, "invalid choice"),
        (("import", "inspect"), 2, "which files of inspect?"),
        (("import", "inspect", "x.json", "--since", "a"), 2, "--since are for the log of llm"),
        (("import", "promptfoo", "nowhere.json", "--store", "t.db"), 3, "there is no file 'nowhere.json'"),
        (("import", "llm", "app.py", "--store", "t.db"), 3, "is no SQLite database"),
    ],
)
def test_what_cannot_be_imported(outlast, words: tuple[str, ...], code: int, said: str) -> None:
    done = outlast(*words)
    assert done.code == code
    assert said in done.err


def test_names_that_a_log_brings_cannot_write_on_the_terminal(outlast, tmp_path: Path) -> None:
    head = logs.inspect_head()
    head["eval"]["task"] = "evil\x1b[2Jname"
    (tmp_path / "a.json").write_text(json.dumps({**head, "samples": []}))
    done = outlast("import", "inspect", str(tmp_path / "a.json"), "--store", str(tmp_path / "t.db"))
    assert "\x1b" not in done.out

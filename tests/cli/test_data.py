"""`outlast data from-traces`: labelled traces become a file that `outlast compile` takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import outlast as ol


@pytest.fixture
def store(outlast: Any) -> str:
    """A store with what the program of the desk answered to five messages; three are labelled."""
    assert outlast("run", "app.py:Triage", "inputs.jsonl", "--lm", "outlast/baseline", "--trace", "kept.db").code == 0
    for number, trace in enumerate(reversed(ol.open_store("kept.db").traces())):
        if number < 3:
            ol.feedback(trace.id, "pass" if number < 2 else "fail", store="kept.db")
    return "kept.db"


def inputs() -> list[dict[str, str]]:
    return [json.loads(line) for line in Path("inputs.jsonl").read_text().splitlines()]


def test_labelled_traces_become_a_file_of_examples(outlast: Any, store: str) -> None:
    done = outlast("data", "from-traces", store, "--program", "Triage", "--label", "pass", "--to", "train.jsonl")
    assert done.code == 0, done.err
    data = ol.Dataset.from_jsonl("train.jsonl")
    assert [one.message for one in data] == [row["message"] for row in inputs()[:2]]
    assert done.err == f"outlast: 2 examples ({data.hash[:12]}); left out: 1 labelled otherwise; in train.jsonl\n"
    about = json.loads(Path("train.jsonl.about.json").read_text())
    assert about["data"] == data.hash
    assert about["label"] == {"value": "pass", "name": None}


def test_a_test_file_is_kept_out_whatever_form_it_has(outlast: Any, store: str) -> None:
    first, second = inputs()[:2]
    Path("test.jsonl").write_text(json.dumps({**first, "team": "cards"}) + "\n")
    ol.Dataset.from_list([{**second, "team": "cards"}], inputs=["message"]).to_jsonl("other.jsonl")
    words = ("data", "from-traces", store, "--to", "train.jsonl", "--json")
    done = outlast(*words, "--never-into", "test.jsonl", "--never-into", "other.jsonl")
    assert done.code == 0, done.err
    assert done.json["dropped"] == {"in a test split": 2}
    assert [one.message for one in ol.Dataset.from_jsonl("train.jsonl")] == [row["message"] for row in inputs()[2:]]


def test_values_of_labels_are_json_where_they_can_be(outlast: Any, store: str) -> None:
    for trace in ol.open_store(store).traces(limit=1):
        ol.feedback(trace.id, 4, name="stars", store=store)
    words = ("data", "from-traces", store, "--to", "train.jsonl", "--label", "4", "--label-name", "stars")
    assert outlast(*words).code == 0
    assert len(ol.Dataset.from_jsonl("train.jsonl")) == 1


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("--to", "train.csv"), 2, "--to names a file of JSON lines"),
        (("--to", "train.jsonl", "--program", "Triagee"), 3, "there is no trace of 'Triagee' in "),
        (("--to", "train.jsonl", "--program", "Triagee"), 3, "Did you mean 'Triage'?"),
        (("--to", "train.jsonl", "--since", "2100-01-01"), 3, "fits the filter"),
        (("--to", "train.jsonl", "--near", "3"), 2, "a likeness is a number"),
        (("--to", "train.jsonl", "--never-into", "none.jsonl"), 3, "none.jsonl"),
        (("--to", "train.jsonl", "--since", "soon"), 2, "soon"),
    ],
)
def test_what_cannot_be_done_is_told(outlast: Any, store: str, words: tuple[str, ...], code: int, told: str) -> None:
    done = outlast("data", "from-traces", store, *words)
    assert done.code == code
    assert told in done.err


def test_corrections_are_checked_by_a_program_that_is_given(outlast: Any, store: str) -> None:
    newest, other = ol.open_store(store).traces()[:2]
    ol.feedback(newest.id, "no such team", name="team", store=store)
    ol.feedback(other.id, "fraud", name="team", store=store)
    words = ("data", "from-traces", store, "--targets", "corrections", "--fields", "team", "--to", "train.jsonl")
    done = outlast(*words, "--program", "app.py:Triage")
    assert done.code == 0, done.err
    assert "1 not of the type of team" in done.err
    assert [one.team for one in ol.Dataset.from_jsonl("train.jsonl")] == ["fraud"]


@pytest.mark.slow
def test_the_file_goes_into_compile(outlast: Any) -> None:
    """Run, put right, make a data set, compile: on the command line from beginning to end."""
    rows = [json.loads(line) for line in Path("data.jsonl").read_text().splitlines()]
    Path("all.jsonl").write_text("".join(json.dumps({"message": row["message"]}) + "\n" for row in rows))
    assert outlast("run", "app.py:Triage", "all.jsonl", "--lm", "outlast/baseline", "--trace", "kept.db").code == 0
    teams = {row["message"]: row["team"] for row in rows}
    store = ol.open_store("kept.db")
    for trace in store.traces(limit=1000):
        root = store.spans(trace.id)[0]
        ol.feedback(trace.id, teams[store.content(root).inputs["message"]], name="team", store="kept.db")
    made = outlast("data", "from-traces", "kept.db", "--targets", "corrections", "--to", "train.jsonl")
    assert made.code == 0, made.err
    words = ("--metric", "app.py:correct", "--lm", "outlast/baseline", "--optimizer", "random", "--candidates", "2")
    done = outlast("compile", "app.py:Triage", "train.jsonl", *words, "--out", "t.outlast.json", "--json")
    assert done.code == 0, done.err
    assert sum(part["n"] for part in done.json["data"].values()) == len(ol.Dataset.from_jsonl("train.jsonl"))
    assert Path("t.outlast.json").is_file()

"""`outlast prune`: what it leaves out, saves and says."""

from __future__ import annotations

import json

import pytest

LM = ("--lm", "outlast/baseline", "--no-progress")
APP = ("app.py:route", "data.jsonl", "--metric", "app.py:correct", *LM)
LONG = "Route a customer message to the team that can resolve it.\nBe kind to everybody.\nThe weather may change."


@pytest.fixture
def long(desk, outlast) -> None:
    """A compiled file whose instruction has lines that help nobody: the baseline model reads none of them."""
    assert outlast("compile", *APP, "--optimizer", "labeled", "--max-demos", "2", "--out", "x.outlast.json").code == 0
    data = json.loads((desk / "x.outlast.json").read_text())
    data["parameters"] = {"instruction": LONG}
    (desk / "x.outlast.json").write_text(json.dumps(data))


def test_prune_leaves_lines_out_and_saves_the_rest(outlast, desk, long) -> None:
    words = ("prune", *APP, "--from", "x.outlast.json", "--within", "20", "--study", "p.study.db")
    result = outlast(*words, "--out", "y.outlast.json", "--html", "y.html", "--require-better")
    assert result.code == 0, result.err
    assert "dropped instruction: Be kind to everybody." in result.out
    assert "tokens a rollout" in result.out
    assert "ledger: p.study.db" in result.err
    assert "<svg" in (desk / "y.html").read_text()
    saved = json.loads((desk / "y.outlast.json").read_text())
    assert "weather" not in json.dumps(saved["parameters"])
    again = outlast(*words, "--json").json
    assert again["improved"]
    assert again["notes"]["pruned"]
    explained = outlast("explain", "y.outlast.json").out
    assert "The weather may change." in explained
    assert outlast("run", *APP[:1], *LM, "--from", "y.outlast.json", "--input", "message=my card is gone").code == 0


def test_nothing_to_leave_out_is_told_at_once(outlast, desk, long) -> None:
    words = ("prune", *APP, "--from", "x.outlast.json", "--lock", "instruction")
    result = outlast(*words)
    assert result.code == 2
    assert "prune leaves out lines and demonstrations, and Predict has no demonstration" in result.err


def test_what_is_not_proven_is_said_and_counts_as_no(outlast, desk, long) -> None:
    words = ("prune", *APP, "--from", "x.outlast.json", "--within", "0.1", "--out", "y.outlast.json")
    result = outlast(*words, "--require-better")
    assert result.code == 1
    assert "not proven as good and shorter, so y.outlast.json holds the program as it was" in result.err
    assert json.loads((desk / "y.outlast.json").read_text())["parameters"]["instruction"]["lines"] == LONG.split("\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--within", "-1"), "within"),
        (("--most-tokens", "0"), "--most-tokens"),
        (("--seconds", "0"), "seconds"),
        (("--optimizer", "gepa"), "--optimizer"),
        (("--lock", "instructoin"), "'instruction'"),
        (("--out", "."), "is a folder"),
    ],
)
def test_wrong_use_is_explained(outlast, desk, long, words, said) -> None:
    result = outlast("prune", *APP, "--from", "x.outlast.json", *words)
    assert result.code in (2, 3)
    assert said in result.err

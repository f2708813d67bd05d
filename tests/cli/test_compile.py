"""`outlast compile`, and what `diff`, `explain` and `inspect` say of its files."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from outlast.cli import compile as compile_command
from outlast.cli import main
from outlast.cli.wording import clean, demos_of, one_line

LM = ("--lm", "outlast/baseline", "--no-progress")
RANDOM = ("--optimizer", "random", "--candidates", "3", "--max-demos", "40", "--margin", "1", "--study", "b.study.db")
COMPILE = ("compile", "app.py:route", "data.jsonl", "--metric", "app.py:correct", *LM)
LABELED = ("--optimizer", "labeled", "--max-demos", "2")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, furnish) -> tuple[Path, dict[str, Any], dict[str, Any]]:
    """Two compiled files of one program, made once, the ledger of the second, and what was said of both."""
    with furnish(tmp_path_factory.mktemp("made")) as folder:
        labeled = ("--optimizer", "labeled", "--max-demos", "40", "--out", "a.outlast.json")
        random = (*RANDOM, "--out", "b.outlast.json", "--html", "b.html")
        said: list[dict[str, Any]] = []
        for words in (labeled, random):
            with contextlib.redirect_stdout(io.StringIO()) as out:
                assert main([*COMPILE, *words, "--json"]) == 0
            said.append(json.loads(out.getvalue()))
        return folder, said[0], said[1]


@pytest.fixture
def compiled(made, desk) -> tuple[dict[str, Any], dict[str, Any]]:
    """The files in the working directory, and what `--json` said when they were made."""
    folder, first, second = made
    for name in ("a.outlast.json", "b.outlast.json", "b.html", "b.study.db"):
        shutil.copy(folder / name, desk / name)
    return first, second


def test_compile_says_what_it_found_and_saves_it(outlast, desk) -> None:
    result = outlast(
        *COMPILE, "--optimizer", "random", "--candidates", "2", "--out", "x.outlast.json", "--html", "x.html"
    )
    assert result.code == 0
    assert "held-out examples" in result.out or "found nothing better" in result.out
    assert json.loads((desk / "x.outlast.json").read_text())["format"].startswith("outlast artifact")
    assert "<svg" in (desk / "x.html").read_text()
    assert "ledger: " in result.err
    loaded = outlast("run", "app.py:route", *LM, "--from", "x.outlast.json", "--input", "message=my card is gone")
    assert loaded.lines == [{"team": "cards"}]


def test_json_is_the_record(compiled, desk) -> None:
    first, second = compiled
    assert first["search"]["optimizer"] == "LabeledFewShot"
    assert second["search"]["optimizer"] == "RandomSearch"
    assert second["search"]["candidates"] == 3
    assert second["ledger"] == "b.study.db"
    assert second["saved"] == "b.outlast.json"
    assert second["improved"] == (second["result"]["verdict"] == "better")
    assert set(second["data"]) == {"train", "select", "confirm"}


def test_from_a_compiled_file_is_the_start(compiled, outlast) -> None:
    first, _ = compiled
    words = (*COMPILE, "--from", "a.outlast.json", "--optimizer", "labeled", "--max-demos", "2", "--json")
    again = outlast(*words).json
    if first["kept"] == "winner":
        assert again["result"]["start"]["score"] == first["result"]["winner"]["score"]
    assert again["start"]["hash"] != first["start"]["hash"] or first["kept"] == "original"


def test_require_better(outlast, desk) -> None:
    (desk / "flat.py").write_text("def flat(example, out):\n    return 0.5\n")
    words = ("compile", "app.py:route", "data.jsonl", "--metric", "flat.py:flat", *LM, *LABELED)
    assert outlast(*words).code == 0
    failed = outlast(*words, "--require-better", "--out", "x.outlast.json")
    assert failed.code == 1
    assert "not proven better" in failed.err


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ((*COMPILE, "--optimizer", "labeled", "--candidates", "2"), 2, "--candidates is not an option"),
        ((*COMPILE, "--max-demos", "2"), 2, "of --optimizer auto; random, bootstrap, "),
        ((*COMPILE, "--optimizer", "best"), 2, "--optimizer: there is no 'best'"),
        ((*COMPILE, "--calls", "5"), 2, "does not pay for the proof"),
        ((*COMPILE, "--dollars", "-1"), 2, "more than 0"),
        ((*COMPILE, "--limit", "8"), 3, "examples"),
        ((*COMPILE, "--out", "."), 2, "is a folder"),
        ((*COMPILE, "--out", "data.jsonl/x.json"), 2, "is not a folder"),
        ((*COMPILE, "--study", "data.jsonl"), 3, "data.jsonl"),
        ((*COMPILE, "--from", "data.jsonl"), 3, "data.jsonl"),
        (("compile", "app.py:route", "data.jsonl", "--metric", "app.py:correct"), 3, "--lm"),
    ],
)
def test_what_cannot_be_compiled(outlast, words: tuple[str, ...], code: int, told: str) -> None:
    result = outlast(*words)
    assert result.code == code, result.err
    assert told in result.err


def test_a_file_of_something_else_is_replaced_only_by_force(compiled, outlast, desk) -> None:
    words = (*COMPILE, "--optimizer", "labeled", "--max-demos", "2")
    before = (desk / "data.jsonl").read_bytes()
    refused = outlast(*words, "--out", "data.jsonl")
    assert (refused.code, "--force" in refused.err) == (2, True)
    assert (desk / "data.jsonl").read_bytes() == before
    other = json.loads((desk / "a.outlast.json").read_text())
    other["program"]["modules"] = {"draft": other["program"]["modules"][""]}
    (desk / "other.outlast.json").write_text(json.dumps(other))
    before = (desk / "other.outlast.json").read_bytes()
    refused = outlast(*words, "--out", "other.outlast.json")
    assert refused.code == 2
    assert "another program" in refused.err
    assert "'draft'" in refused.err
    assert (desk / "other.outlast.json").read_bytes() == before
    assert outlast(*words, "--out", "other.outlast.json", "--force").code == 0
    assert list(json.loads((desk / "other.outlast.json").read_text())["program"]["modules"]) == [""]
    assert outlast(*words, "--out", "a.outlast.json").code == 0, "a file of the same program is replaced"


def test_diff_says_what_changed_in_prompt_and_score(compiled, outlast, desk) -> None:
    assert outlast("diff", "a.outlast.json", "a.outlast.json").out.startswith("the prompts are the same")
    assert outlast("diff", "a.outlast.json", "a.outlast.json", "--exit-code").code == 0
    data = json.loads((desk / "a.outlast.json").read_text())
    data["parameters"]["instruction"] = {"lines": ["Route a customer message.", "Think of who can resolve it."]}
    data["parameters"]["demos"] = [
        {"source": "hand", "values": {"message": "line one\nline two \x1b[31mred", "team": "fraud"}}
    ]
    (desk / "c.outlast.json").write_text(json.dumps(data))
    result = outlast("diff", "a.outlast.json", "c.outlast.json", "--exit-code")
    assert result.code == 1
    assert "-Route a customer message to the team that can resolve it." in result.out
    assert "+Think of who can resolve it." in result.out
    assert "+  message: line one" in result.out
    assert "+    line two \\x1b[31mred" in result.out, "a file cannot send codes to the terminal"
    assert "same held-out data and metric" in result.out
    found = outlast("diff", "a.outlast.json", "c.outlast.json", "--json").json
    assert [change["path"] for change in found["changes"]] == ["demos", "instruction"]
    assert found["changes"][0]["added"][0]["source"] == "hand"


def test_diff_says_when_scores_cannot_be_compared(compiled, outlast, desk) -> None:
    data = json.loads((desk / "a.outlast.json").read_text())
    data["record"]["metric"]["hash"] = "other"
    (desk / "c.outlast.json").write_text(json.dumps(data))
    assert "not comparable: different metrics" in outlast("diff", "a.outlast.json", "c.outlast.json").out


def test_explain_says_where_everything_came_from(compiled, outlast) -> None:
    first, _ = compiled
    result = outlast("explain", "a.outlast.json")
    assert result.code == 0
    for word in ("verdict", "outlast/baseline", "k=40", first["metric"]["hash"][:12], "confirm"):
        assert word in result.out
    assert "the description of the signature" in result.out
    if first["kept"] == "winner":
        assert "label of example" in result.out
        assert "(--full shows them)" in result.out
        whole = outlast("explain", "a.outlast.json", "--full").out
        assert whole.count("label of example") == 40
    found = outlast("explain", "a.outlast.json", "--json").json
    assert found["modules"][""]["signature"] == "Route"
    assert found["record"]["winner"]["id"] == first["winner"]["id"]


def test_explain_names_the_candidate_that_set_a_parameter_once(compiled, outlast, desk) -> None:
    data = json.loads((desk / "a.outlast.json").read_text())
    data["record"] |= {"kept": "winner", "winner": {"id": "c1", "provenance": {"instruction": "candidate c1: by hand"}}}
    (desk / "c.outlast.json").write_text(json.dumps(data))
    result = outlast("explain", "c.outlast.json")
    assert result.code == 0
    assert "instruction  set by candidate c1: by hand\n" in result.out


def test_explain_of_a_hostile_file_is_text(outlast, desk, compiled) -> None:
    data = json.loads((desk / "a.outlast.json").read_text())
    data["record"] = {
        "result": {"verdict": ["x"], "start": 7, "difference": "no", "reason": "\x1b]0;title\x07"},
        "data": 3,
    }
    data["record"] |= {"search": [], "models": {"asked": {"a": 1}}, "cost": None, "winner": "x", "metric": [1]}
    data["program"]["modules"] = {"\x1b[2J": {"module": 3, "signature": None}}
    data["parameters"] = {"\x1b[2J.demos": [3, {"values": 4}, {"values": {"a": "[red]x[/red]"}, "source": 9}]}
    (desk / "evil.outlast.json").write_text(json.dumps(data))
    for words in (("explain", "evil.outlast.json"), ("explain", "evil.outlast.json", "--full")):
        result = outlast(*words)
        assert result.code == 0, result.err
        assert "\x1b" not in result.out
        assert "[red]x[/red]" in result.out
    for words in (("inspect", "evil.outlast.json"), ("diff", "evil.outlast.json", "a.outlast.json")):
        result = outlast(*words)
        assert result.code in (0, 3), result.err
        assert "\x1b" not in result.out


def test_inspect_a_program(outlast) -> None:
    result = outlast("inspect", "app.py:Triage")
    assert "Triage(message)" in result.out
    assert "Route: message -> team" in result.out
    assert "route.instruction" in result.out
    found = outlast("inspect", "app.py:Triage", "--json").json
    assert found["modules"]["route"]["outputs"] == ["team"]
    assert found["parameters"]["route.demos"] == []
    assert found["inputs"] == ["message"]


def test_inspect_a_compiled_file(compiled, outlast) -> None:
    first, _ = compiled
    result = outlast("inspect", "a.outlast.json")
    assert "Predict of Route" in result.out
    demos = outlast("inspect", "a.outlast.json", "--json").json["parameters"]["demos"]
    assert demos == (40 if first["kept"] == "winner" else 0)


def test_inspect_a_ledger(compiled, outlast) -> None:
    _, second = compiled
    result = outlast("inspect", "b.study.db")
    assert "the program as it is" in result.out
    assert "ledger of Predict" in result.out
    found = outlast("inspect", "b.study.db", "--json").json
    assert len(found["candidates"]) == second["search"]["tried"] + 1
    assert found["candidates"] == sorted(found["candidates"], key=lambda one: (-one["n"], -(one["mean"] or 0)))
    assert found["rollouts"] >= second["search"]["rollouts"]
    assert found["spending"]["calls"] == second["cost"]["calls"]
    assert found["result"] == second["result"]
    assert [point["rollouts"] for point in found["points"]] == sorted(point["rollouts"] for point in found["points"])


def test_a_ledger_run_twice_has_one_curve(compiled, outlast) -> None:
    before = outlast("inspect", "b.study.db", "--json").json["points"]
    assert outlast(*COMPILE, *RANDOM).code == 0
    assert outlast("inspect", "b.study.db", "--json").json["points"] == before


@pytest.mark.parametrize(
    ("what", "code", "told"),
    [
        ("nothing", 3, "no file 'nothing'"),
        (".", 2, "is a folder"),
        ("data.jsonl", 3, "data.jsonl"),
        ("app.py", 2, "a target is module.py:name"),
        ("app.py:nothing", 2, "has no 'nothing'"),
        ("other.db", 3, "is no ledger"),
        ("torn.db", 3, "cannot read the ledger"),
    ],
)
def test_what_cannot_be_inspected(outlast, desk, what: str, code: int, told: str) -> None:
    with sqlite3.connect(desk / "other.db") as db:
        db.execute("CREATE TABLE x (y)")
    db.close()
    (desk / "torn.db").write_bytes(b"SQLite format 3\0" + b"\x00" * 50)
    result = outlast("inspect", what)
    assert (result.code, result.out) == (code, "")
    assert told in result.err


def test_in_processes_of_their_own(shell, desk) -> None:
    made = shell(*COMPILE, "--optimizer", "labeled", "--out", "a.outlast.json")
    assert made.code == 0, made.err
    for words in (
        ("diff", "a.outlast.json", "a.outlast.json"),
        ("explain", "a.outlast.json"),
        ("inspect", "app.py:route"),
    ):
        result = shell(*words)
        assert (result.code, result.err) == (0, "")
        assert result.out


def test_control_characters_are_shown_not_sent() -> None:
    assert clean("a\x1b[2J\x07\u202eb\r\nc\n\td") == "a\\x1b[2J\\x07\\u202eb\nc\n\td"
    assert one_line("a\n\n b" * 50, 10) == "a ba ba b…"
    assert demos_of("nonsense") == []


def test_diff_says_when_a_file_has_no_scores(compiled, outlast, desk) -> None:
    data = json.loads((desk / "a.outlast.json").read_text())
    data["record"] = {}
    (desk / "c.outlast.json").write_text(json.dumps(data))
    words = outlast("diff", "a.outlast.json", "c.outlast.json").out
    assert words.count("no scores: it was not the outcome of a compile") == 1
    assert "unknown with" not in words


def test_a_missing_compiled_file_and_one_of_other_modules_are_told_in_words(compiled, outlast, desk) -> None:
    missing = outlast("run", "app.py:route", *LM, "--from", "none.outlast.json", "--input", "message=x")
    assert "there is no compiled file 'none.outlast.json'; outlast compile" in missing.err
    data = json.loads((desk / "a.outlast.json").read_text())
    modules = data["program"]["modules"]
    fields = modules[""]["signature"]["fields"]
    fields["message"] = "input message: {'type': 'integer'} | "
    (desk / "c.outlast.json").write_text(json.dumps(data))
    changed = outlast("run", "app.py:route", *LM, "--from", "c.outlast.json", "--input", "message=x")
    assert "field 'message' of the program changed: type {'type': 'integer'} -> {'type': 'string'}\n" in changed.err
    data["program"]["modules"] = {"route": modules[""], "rate": modules[""]}
    (desk / "c.outlast.json").write_text(json.dumps(data))
    other = outlast("run", "app.py:route", *LM, "--from", "c.outlast.json", "--input", "message=x")
    assert "the program is one module; the file has the modules 'rate', 'route'" in other.err


def test_knn_is_an_optimizer_of_the_command_line(outlast, desk, compiled) -> None:
    words = (*COMPILE, "--optimizer", "knn", "--max-demos", "3", "--json")
    result = outlast(*words)
    assert result.code == 0, result.err
    assert "KNNFewShot" in result.out


@pytest.mark.parametrize(
    ("words", "made"),
    [
        ((), "Auto"),
        (("--optimizer", "copro"), "COPRO"),
        (("--optimizer", "opro"), "OPRO"),
        (("--optimizer", "mipro", "--candidates", "3", "--max-demos", "2"), "MIPRO"),
        (("--optimizer", "gepa"), "GEPA"),
        (("--optimizer", "textgrad"), "TextGrad"),
        (("--optimizer", "infer-rules", "--max-demos", "2"), "InferRules"),
        (("--optimizer", "capo", "--max-demos", "2"), "CAPO"),
        (("--optimizer", "simba", "--max-demos", "2"), "SIMBA"),
        (("--optimizer", "structure"), "StructureSearch"),
    ],
)
def test_every_named_optimizer_is_offered(words: tuple[str, ...], made: str) -> None:
    parser = argparse.ArgumentParser()
    compile_command.configure(parser)
    args = parser.parse_args(["app.py:route", "data.jsonl", "--metric", "app.py:correct", *words])
    optimizer = compile_command.optimizer_of(args)
    assert type(optimizer).__name__ == made
    assert optimizer.describe() != type(optimizer)().describe() or "--max-demos" not in words


def test_auto_searches_unless_another_is_named_and_a_proposer_may_be_given(outlast, desk) -> None:
    words = (*COMPILE, "--rollouts", "90", "--proposer", "outlast/baseline", "--json")
    assert outlast(*words).json["search"]["optimizer"] == "Auto"


@pytest.mark.parametrize("command", ["compile", "prune"])
def test_a_budget_without_room_for_a_search_leaves_the_file_of_before_alone(compiled, outlast, desk, command) -> None:
    path = desk / "b.outlast.json"
    before = path.read_text()
    words = [command, *COMPILE[1:], "--from", "b.outlast.json"] if command == "prune" else list(COMPILE)
    result = outlast(*words, "--out", "b.outlast.json", "--html", "c.html", "--rollouts", "40")
    assert result.code == 1
    assert "too little for a search, so nothing is saved to b.outlast.json" in result.err
    assert "would do" in result.out
    assert path.read_text() == before
    assert "would do" in (desk / "c.html").read_text()
    told = outlast(*words, "--out", "b.outlast.json", "--rollouts", "40", "--json")
    assert (told.code, told.json["saved"]) == (1, None)

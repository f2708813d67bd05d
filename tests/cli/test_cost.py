"""`outlast cost`: what was spent by model, out of the files that runs leave; and what a call costs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import outlast as ol
from outlast.messages import Response, Usage
from outlast.testing import ScriptedLM
from outlast.testing.world import Triage, World, right


@ol.metric
def always(example: Any, out: Any) -> bool:
    return True


def model(name: str, cost: float | None) -> ScriptedLM:
    usage = Usage(100, 20, 60, 5, cost, None if cost is None else "test")
    return ScriptedLM(lambda _: Response('{"answer": "x"}', name, usage=usage), name=name, price=cost)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A folder with two row files, a ledger, a compiled file, and data that is none of ours."""
    folder = tmp_path / "runs"
    folder.mkdir()
    data = ol.Dataset([ol.Example({"question": f"q{n}"}, {"answer": "x"}) for n in range(10)])
    for name, cost in (("cheap", 0.01), ("unknown", None)):
        program = ol.Predict("question -> answer", lm=model(name, cost))
        ol.evaluate(program, data, always, save=folder / f"{name}.jsonl", progress=False)
    world = World(examples=60)
    compiled = ol.compile(
        Triage(),
        world.data(),
        right,
        lm=world.lm(),
        optimizer=ol.RandomSearch(candidates=1),
        study=folder / "one.study.db",
        progress=False,
    )
    compiled.save(folder / "one.outlast.json")
    (folder / "data.jsonl").write_text('{"question": "q", "answer": "a"}\n')
    return folder


def test_a_folder_is_added_up_by_model(outlast: Any, runs: Path):
    result = outlast("cost", str(runs), "--json")
    assert result.code == 0
    models = result.json["models"]
    assert sorted(models) == ["cheap", "simulated", "unknown"]
    cheap = models["cheap"]
    assert (cheap["calls"], cheap["input_tokens"], cheap["output_tokens"]) == (10, 1000, 200)
    assert cheap["dollars"] == pytest.approx(0.1)
    assert cheap["cached_tokens"] is None  # a row file does not keep it
    assert (models["unknown"]["dollars"], models["unknown"]["unpriced"]) == (None, 10)
    assert models["simulated"]["dollars"] == pytest.approx(models["simulated"]["calls"] * 0.001)
    assert models["simulated"]["cached_tokens"] == 0
    assert [Path(name).name for name in result.json["files"]] == [
        "cheap.jsonl",
        "one.outlast.json",
        "one.study.db",
        "unknown.jsonl",
    ]
    assert "1 compiled file not added up" in outlast("cost", str(runs)).err


def test_the_table_says_unknown_and_not_zero(outlast: Any, runs: Path):
    text = outlast("cost", str(runs)).out
    lines = {line.split()[0]: line for line in text.splitlines() if line.strip()}
    assert lines["unknown"].rstrip().endswith("unknown")
    assert "$0.1000" in lines["cheap"]
    assert lines["all"].rstrip().endswith("+ ?")
    assert "10 calls of unknown price are not in the dollars" in text


def test_a_compiled_file_alone_tells_what_its_search_cost(outlast: Any, runs: Path):
    alone = outlast("cost", str(runs / "one.outlast.json"), "--json").json["models"]
    ledger = outlast("cost", str(runs / "one.study.db"), "--json").json["models"]
    assert alone["simulated"]["calls"] == ledger["simulated"]["calls"]
    assert alone["simulated"]["dollars"] == pytest.approx(ledger["simulated"]["dollars"])


def test_cached_and_hidden_tokens_of_a_ledger_are_told(outlast: Any, tmp_path: Path):
    from outlast.messages import Request, user
    from outlast.optimize.ledger import Ledger

    ledger = Ledger(tmp_path / "x.study.db", {})
    for number in range(3):
        request = Request((user(f"q{number}"),))
        usage = Usage(100, 20, 60, 5, 0.5, "test")
        ledger.add_reply(ledger.form("m", request), "m", Response("x", "m-2", usage=usage))
    ledger.close()
    found = outlast("cost", str(tmp_path / "x.study.db"), "--json").json["models"]["m-2"]
    assert (found["cached_tokens"], found["reasoning_tokens"], found["dollars"]) == (180, 15, 1.5)


def test_the_price_of_a_call_names_its_source(outlast: Any):
    result = outlast("cost", "openai/gpt-5-mini", "--in", "1000000", "--cached", "400000", "--out", "1000000")
    assert result.code == 0
    assert "$0.25 in, $0.025 cached, $2 out, per million tokens" in result.out
    assert "this call: $2.160000" in result.out
    assert "source: genai-prices " in result.out
    half = outlast("cost", "openai/gpt-5-mini", "--in", "1000000", "--tier", "flex", "--json").json
    assert half["cost"] == pytest.approx(0.125)
    assert half["source"].endswith("tier flex")
    assert half["price"]["output"] == 1


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["ollama/qwen3"], 3, "nobody knows what 'ollama/qwen3' costs"),
        (["openai/gpt-5-mini", "--tier", "wild"], 3, "in the tier 'wild'"),
        (["nowhere.jsonl"], 3, "no file 'nowhere.jsonl'"),
        (["app.py", "--in", "5"], 2, "about one model"),
        (["openai/gpt-5-mini", "--in", "5", "--cached", "6"], 2, "--cached counts tokens of --in"),
        (["studies"], 3, "no file 'studies'"),
        (["data.jsonl"], 3, "no file of an evaluation"),
        (["."], 3, "no row file"),
    ],
)
def test_what_cannot_be_told_is_said(outlast: Any, words: list[str], code: int, message: str):
    result = outlast("cost", *words)
    assert result.code == code
    assert message in result.err


def test_an_evaluation_is_estimated_without_asking_a_model(outlast: Any):
    words = ("eval", "app.py:route", "data.jsonl", "--targets", "team", "--metric", "app.py:correct")
    result = outlast(*words, "--lm", "openai/gpt-5-mini", "--estimate", "--json")
    assert result.code == 0
    found = result.json
    assert (found["examples"], found["calls"], found["models"]) == (120, 120, ["openai/gpt-5-mini"])
    assert 0 < found["dollars"]["low"] < found["dollars"]["likely"] < 1
    assert found["dollars"]["high"] is None
    text = outlast(*words, "--lm", "openai/gpt-5-mini", "--estimate").out
    assert "without max_tokens nothing bounds the output" in text


def test_the_transport_is_chosen_on_the_command_line(outlast: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    words = ("eval", "app.py:route", "data.jsonl", "--targets", "team", "--metric", "app.py:correct", "--limit", "3")
    assert outlast(*words, "--lm", "outlast/baseline", "--transport", "batch", "--json").json["n"] == 3
    assert outlast(*words, "--lm", "outlast/baseline", "--transport", "bach").code == 2

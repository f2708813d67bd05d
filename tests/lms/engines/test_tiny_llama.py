"""A compile with a real network: the tiny Llama of the benchmark, trained from scratch, behind `LM("hf/...")`."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import outlast as ol
from outlast.adapters.protocol import Demo
from outlast.testing import ScriptedLM

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


@pytest.fixture(scope="module")
def bench() -> Any:
    sys.path.insert(0, str(BENCHMARKS))
    try:
        return import_module("tiny_llama")
    finally:
        sys.path.remove(str(BENCHMARKS))


def read_by(bench: Any, program: Any, thing: str, folder: Path) -> list[str]:
    """The words that the tiny model reads of what the program sends."""
    prompts: list[Any] = []

    def answer(prompt: Any) -> str:
        prompts.append(prompt)
        return "alpha"

    with ol.context(lm=ScriptedLM(answer)):
        program(thing=thing)
    bench.tiny.tokenizer().save_pretrained(folder)
    return bench.tiny.tokens_of(folder, prompts[0])


def test_the_prompts_of_training_are_those_that_the_adapter_renders(bench: Any, tmp_path: Path) -> None:
    import torch

    tiny = bench.tiny
    demos = [Demo({"thing": "red small kettle", "name": "beta"}), Demo({"thing": "Blue, huge lamp", "name": "alpha"})]
    program = ol.Predict(bench.Naming, instruction="Name it by its size.", demos=demos)
    read = read_by(bench, program, "a teal tiny hat", tmp_path)
    head = [tiny.WORDS[number] for number in tiny.head_of(tiny.RULED, torch.ones(1, 1, dtype=torch.long))[0].tolist()]
    assert head == ["<s>", "size", "alpha", "beta", "gamma", "delta"]
    assert read == [*head, "red", "small", "beta", "</s>", "blue", "huge", "alpha", "</s>", "teal", "tiny"]
    tokens, wanted = tiny._batch(tiny.RULED, tiny.RULED.stages[-1], torch.Generator().manual_seed(0))
    words = [tiny.WORDS[number] for number in tokens[0].tolist()]
    assert words[9::4] == ["</s>"] * tiny.RULED.stages[-1].demos
    assert set(words[8::4]) <= set(tiny.NAMES)
    asked = wanted[:, 8::4]
    assert (asked[asked != -100] == tokens[:, 8::4][asked != -100]).all()


def test_a_search_for_demonstrations_lifts_a_real_network_from_chance(
    bench: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    made = bench.tiny.trained(tmp_path_factory.mktemp("tiny") / "recall", bench.tiny.RECALL, seconds=150)
    assert made.accuracy > 0.95, f"trained for {made.seconds:.0f} CPU s and {made.steps} steps"
    lm = ol.LM(f"hf/{made.folder}", device="cpu", batch=32)
    search = ol.RandomSearch(candidates=6, max_demos=24, bootstrap=False)
    row = bench.run(ol.Predict(bench.Naming), bench.world(0, 1, 240), search, lm, 0)
    assert row["start"] < 0.4, "without demonstrations it can only guess one of four"
    assert row["winner"] > 0.95
    assert row["verdict"] == "better"
    assert bench.tiny.trained(made.folder, bench.tiny.RECALL).cached

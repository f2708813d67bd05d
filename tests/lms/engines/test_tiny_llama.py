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
    bench.tiny.tokenizer(bench.tiny.RULED).save_pretrained(folder)
    return bench.tiny.tokens_of(folder, prompts[0])


def test_the_prompts_of_training_are_those_that_the_adapter_renders(bench: Any, tmp_path: Path) -> None:
    import torch

    tiny, recipe = bench.tiny, bench.tiny.RULED
    tokens, wanted, decided = tiny.batch_of(recipe, recipe.stages[0], torch.Generator().manual_seed(0))
    words = [recipe.vocabulary[number] for number in tokens[0].tolist()]
    first = words.index("alpha")  # the names that the signature allows, after the words of the instruction
    head, turns = words[: first + 4], words[first + 4 :]
    assert head[first:] == list(tiny.NAMES)
    size = len(tiny.ATTRIBUTES) + 2  # values, a name, the end of the turn
    shown = [(turns[at : at + size - 2], turns[at + size - 2]) for at in range(0, len(turns), size)]
    assert len(shown) > 1, "this draw has demonstrations"
    *before, (asked, _) = shown
    demos = [Demo({"thing": ", ".join(values).title() + " kettle", "name": name}, "hand") for values, name in before]
    program = ol.Predict(bench.Naming, instruction=f"So: {'; '.join(head[1:first])}!", demos=demos)
    assert read_by(bench, program, f"{' '.join(asked)} hat", tmp_path) == words[:-2]
    counts = next(values for said, values in tiny.ATTRIBUTES.values() if set(said) & set(head[1:first]))
    assert all(tiny.NAMES[counts.index(next(v for v in values if v in counts))] == name for values, name in shown)
    answers = [recipe.vocabulary[number] for number in wanted[0].tolist() if number >= 0]
    assert answers == [word for _, name in shown for word in (name, "</s>")]
    assert [recipe.vocabulary[number] for number in decided[0].tolist() if number >= 0] == answers[::2]


def test_an_answer_that_nothing_decides_is_not_counted(bench: Any) -> None:
    import torch

    tiny, recipe = bench.tiny, bench.tiny.RULED
    told = {word for words, _ in tiny.ATTRIBUTES.values() for word in words}
    tokens, _, decided = tiny.batch_of(recipe, recipe.stages[0], torch.Generator().manual_seed(0))
    for row, known in zip(tokens.tolist(), decided, strict=True):
        names_one = bool(told & {recipe.vocabulary[number] for number in row})
        assert bool((known >= 0).any()) == names_one
    tokens, _, decided = tiny.batch_of(tiny.RECALL, tiny.RECALL.stages[0], torch.Generator().manual_seed(0))
    colors, known = tokens[0, 5::3].tolist(), decided[0, 6::3].tolist()
    assert [number >= 0 for number in known] == [color in colors[:at] for at, color in enumerate(colors)]


def test_what_the_proposer_guesses_does_not_depend_on_what_counts(bench: Any) -> None:
    texts = bench.guesses(3)
    round_of = [next(texts) for _ in range(8)]
    for words, _ in bench.tiny.ATTRIBUTES.values():
        assert sum(any(f" {word}" in text for word in words) for text in round_of) == 1
    assert sum(text in bench.EMPTY for text in round_of) == 2


def test_a_search_for_demonstrations_lifts_a_real_network_from_chance(
    bench: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    made = bench.tiny.trained(tmp_path_factory.mktemp("tiny") / "recall", bench.tiny.RECALL, seconds=150)
    assert made.accuracy > 0.95, f"trained for {made.seconds:.0f} CPU s and {made.steps} steps"
    lm = ol.LM(f"hf/{made.folder}", device="cpu", batch=32)
    search = ol.RandomSearch(candidates=6, max_demos=24, bootstrap=False)
    row = bench.run(bench.colored(0, 240), search, lm, 0)
    assert row["start"] < 0.6, "without demonstrations it can only guess a name for each of eight colors"
    assert row["winner"] > 0.95
    assert row["verdict"] == "better"
    assert bench.tiny.trained(made.folder, bench.tiny.RECALL).cached


def test_a_search_for_an_instruction_lifts_a_real_network_from_chance(
    bench: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    made = bench.tiny.trained(tmp_path_factory.mktemp("tiny") / "rule", bench.tiny.RULED, seconds=100)
    assert made.accuracy > 0.98, f"trained for {made.seconds:.0f} CPU s and {made.steps} steps"
    lm = ol.LM(f"hf/{made.folder}", device="cpu", batch=32)
    followed = bench.followed(lm)
    assert followed["the attribute that counts"] > 0.95
    assert max(followed["another one"], followed["none"]) < 0.4, "a wrong instruction, or none, leaves it to chance"
    for optimizer in (ol.COPRO(breadth=9, depth=1), ol.Auto(most=1600)):
        for seed in (3, 4):
            row = bench.run(bench.ruled(seed, 300), optimizer, lm, seed)
            assert row["start"] < 0.6
            assert row["winner"] > 0.95
            assert row["verdict"] == "better"
    demos = ol.RandomSearch(candidates=4, max_demos=3, bootstrap=False)
    assert bench.run(bench.ruled(3, 300), demos, lm, 3)["verdict"] != "better"

"""A compile with a real network: a tiny Llama, trained here, whose answers hang on demonstrations and instruction.

    python benchmarks/tiny_llama.py [--models FOLDER] [--task recall|rule] [--seeds N] [--json]

`_tiny_llama.py` says what it is taught. It runs in this process as `LM("hf/...")`, behind `ol.Chat()`, and knows
nothing of the world that the program is about: which name goes with which color (or size) is in the data only.
Bars: without demonstrations the program is at chance, and a search for demonstrations lifts it above 95%; with
demonstrations that leave open which attribute counts, so does a search for the instruction.

Needs torch and transformers. Without them it goes on with the environment of `make test-hf`, or is left out. Trained
models are kept in --models (`.bench-models` in this repository), so that only the first run trains.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any, Literal

import _tiny_llama as tiny

import outlast as ol
from outlast.adapters.protocol import Demo
from outlast.optimize.protocol import Optimizer
from outlast.testing import ScriptedLM

ROOT = Path(__file__).resolve().parents[1]
NOUNS = (
    *("kettle", "lamp", "boat", "chair", "spoon", "door", "bell", "rope", "drum", "coat"),
    *("vase", "cart", "shoe", "book", "clock", "brush", "cup", "fork", "hat", "kite"),
)
SMALL = 300  # examples of a world with one attribute
LARGE = 600  # with two
BAR = 0.95

Name = Literal["alpha", "beta", "gamma", "delta"]


class Naming(ol.Signature):
    """Name the thing."""

    thing: str = ol.input()
    name: Name = ol.output()


PROPOSALS = (
    "Think carefully, then name the thing.",
    "Name the thing by its color.",
    "You are an expert. Give the right name.",
    "Name the thing by its size.",
    "The answer is alpha.",
    "Look at the examples and answer like them.",
)


def scripted_proposer() -> ScriptedLM:
    """A proposer that reads nothing: it gives the texts of `PROPOSALS` in turn, in the form that it is asked for.

    So it tells how well a search chooses, and says nothing about how well a model proposes.
    """
    texts = itertools.cycle(PROPOSALS)
    forms: dict[str, Callable[[str], Any]] = {
        "edits": lambda text: [{"op": "add", "line": text}],
        "rules": lambda text: [text],
        "diagnosis": lambda text: "none",
    }

    def answer(messages: Sequence[Any]) -> dict[str, Any]:
        text = next(texts)
        return {name: forms.get(name, str)(text) for name in re.findall(r"^<<(\w+)>>$", messages[0].text, re.M)}

    return ScriptedLM(answer, name="scripted proposer")


def world(seed: int, attributes: int, count: int) -> list[ol.Example]:
    """Things with their names: by the color, or by the size when there are two attributes."""
    rng = Random(seed)
    named = {value: rng.choice(tiny.NAMES) for value in (*tiny.COLORS, *tiny.SIZES)}
    things = [
        (f"{color}{size} {noun}", named[(size or color).strip()])
        for color in tiny.COLORS
        for size in ([f" {size}" for size in tiny.SIZES] if attributes == 2 else [""])
        for noun in NOUNS
    ]
    # a tail of number makes more of them: the model does not read it
    while len(things) < count:
        things += [(f"{thing} {len(things) + number}", name) for number, (thing, name) in enumerate(things)]
    return [ol.Example({"thing": thing}, {"name": name}) for thing, name in rng.sample(things, count)]


def covering(examples: Sequence[ol.Example], count: int) -> list[Demo]:
    """Demonstrations that show every color and every size."""
    found: list[Demo] = []
    seen: set[str] = set()
    for example in examples:
        new = {word for word in example.thing.split()[:2] if word not in seen}
        if new and len(found) < count:
            found.append(Demo({"thing": example.thing, "name": example.name}, "hand"))
            seen |= new
    return found


def run(program: Any, data: Any, optimizer: Optimizer, lm: Any, seed: int) -> dict[str, Any]:
    """One compile, as figures."""
    began = time.perf_counter()
    compiled = ol.compile(
        program,
        data,
        ol.exact_match("name"),
        lm=lm,
        proposer=scripted_proposer(),
        proposer_budget=ol.Budget(calls=100),
        optimizer=optimizer,
        seed=seed,
        study=False,
        progress=False,
    )
    report, verdict = compiled.report, compiled.report.verdict
    assert verdict.start is not None
    assert verdict.winner is not None
    found = {
        "optimizer": type(optimizer).__name__,
        "seed": seed,
        "verdict": verdict.word,
        "start": verdict.start.value,
        "start_interval": [verdict.start.interval.low, verdict.start.interval.high],
        "winner": verdict.winner.value,
        "winner_interval": [verdict.winner.interval.low, verdict.winner.interval.high],
        "n": verdict.start.n,
        "rollouts": report.rollouts,
        "seconds": time.perf_counter() - began,
        "instruction": compiled.winner.instruction,
        "demos": len(compiled.winner.demos),
    }
    print(said(found), file=sys.stderr, flush=True)
    return found


def said(row: dict[str, Any]) -> str:
    """A line of the table."""
    low, high = row["start_interval"]
    least, most = row["winner_interval"]
    return (
        f"  {row['optimizer']:<18} seed {row['seed']}  {row['verdict']:<12} {row['start']:.3f} ({low:.2f}..{high:.2f})"
        f" -> {row['winner']:.3f} ({least:.2f}..{most:.2f}) on {row['n']}; {row['rollouts']} rollouts, "
        f"{row['seconds']:.0f} s; {row['demos']} demos, {row['instruction']!r}"
    )


def recall(models: Path, seeds: Sequence[int]) -> dict[str, Any]:
    """One attribute: demonstrations are all that can help."""
    optimizers = (
        ol.LabeledFewShot(k=16),
        ol.BootstrapFewShot(max_demos=16),
        ol.RandomSearch(candidates=8, max_demos=24, bootstrap=False),
        ol.KNNFewShot(k=8),
        ol.Auto(most=600),
    )
    made = tiny.trained(models / "recall", tiny.RECALL, tell=print)
    lm = ol.LM(f"hf/{made.folder}", device="cpu", batch=32)
    rows = [run(ol.Predict(Naming), world(seed, 1, 300), one, lm, seed) for seed in seeds for one in optimizers]
    return {"task": "recall", "model": facts(made), "rows": rows}


def rule(models: Path, seeds: Sequence[int]) -> dict[str, Any]:
    """Two attributes: the demonstrations stand, and the instruction has to say which attribute counts."""
    made = tiny.trained(models / "rule", tiny.RULED, tell=print)
    lm = ol.LM(f"hf/{made.folder}", device="cpu", batch=32)
    rows: list[dict[str, Any]] = []
    for seed in seeds:
        examples = world(seed, 2, 600)
        shown, data = covering(examples[300:], 24), examples[:300]
        for one in (ol.COPRO(breadth=7, depth=1), ol.OPRO(steps=2, per_step=4)):
            rows.append(run(ol.Predict(Naming, demos=shown), data, one, lm, seed))
        rows.append(run(ol.Predict(Naming), data, ol.Auto(most=1000), lm, seed))
    return {"task": "rule", "model": facts(made), "rows": rows}


def facts(made: tiny.Trained) -> dict[str, Any]:
    """What training took."""
    return {
        "train_cpu_seconds": round(made.seconds, 1),
        "steps": made.steps,
        "accuracy": round(made.accuracy, 4),
        "cached": made.cached,
    }


def bars_of(found: Sequence[dict[str, Any]]) -> list[tuple[bool, str]]:
    """What each task has to show."""
    bars: list[tuple[bool, str]] = []
    for task in found:
        best = "RandomSearch" if task["task"] == "recall" else "COPRO"
        rows = [row for row in task["rows"] if row["optimizer"] == best]
        start = statistics.mean(row["start"] for row in rows)
        winner = min(row["winner"] for row in rows)
        if task["task"] == "recall":
            bars.append((start <= 0.35, f"recall: without demonstrations {start:.3f} (chance is 0.25; at most 0.35)"))
        else:
            bars.append((start <= 0.8, f"rule: without the rule {start:.3f} (at most 0.80)"))
        bars.append((winner > BAR, f"{task['task']}: {best} reaches {winner:.3f} on every seed (above {BAR})"))
        bars.append((all(row["verdict"] == "better" for row in rows), f"{task['task']}: {best} is proven better"))
    return bars


def elsewhere() -> int | None:
    """Run with the environment of `make test-hf` when this one lacks torch; None when there is no such one either."""
    for folder in sorted(ROOT.glob(".engines-venvs/transformers*")):
        python = folder / "bin" / "python"
        if (folder / ".ready").exists() and python.exists():
            env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
            return subprocess.run([str(python), __file__, *sys.argv[1:]], env=env, check=False).returncode
    return None


def main() -> int:
    """Measure and print; 1 when a bar is not met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=ROOT / ".bench-models", help="where trained models are kept")
    parser.add_argument("--task", choices=["recall", "rule"], help="only this one")
    parser.add_argument("--seeds", type=int, default=3, help="worlds of each task")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    if find_spec("torch") is None or find_spec("transformers") is None:
        code = elsewhere()
        if code is None:
            print("left out: it needs torch and transformers, which `make test-hf` brings")
        return code or 0
    os.environ["OUTLAST_CACHE"] = "off"
    tasks = {"recall": recall, "rule": rule}
    seeds = range(options.seeds)
    found = [task(options.models, seeds) for name, task in tasks.items() if options.task in (None, name)]
    if options.json:
        print(json.dumps(found, indent=2))
        return 0
    for task in found:
        model = task["model"]
        print(
            f"{task['task']}: trained in {model['train_cpu_seconds']} CPU s ({model['steps']} steps, accuracy "
            f"{model['accuracy']:.3f} where it is asked{', kept from an earlier run' if model['cached'] else ''})"
        )
        for row in task["rows"]:
            print(said(row))
    bars = bars_of(found)
    for met, text in bars:
        print(f"BAR {'PASS' if met else 'FAIL'} {text}")
    return 0 if all(met for met, _ in bars) else 1


if __name__ == "__main__":
    raise SystemExit(main())

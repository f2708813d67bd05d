"""What a compile costs beside its model calls, how fast it resumes, and what it gains on the sample data.

    python benchmarks/compile.py [--json]

Simulated models wait or answer at once; the gain is that of `outlast/baseline`, a classical method without weights, so
it shows that search and proof work and says nothing about real models. Bars: a rollout under a study takes at most
0.3 ms more CPU than under `evaluate`; 1,000 rollouts of a 50 ms model at concurrency 64 within 1.25 of the ideal time;
a finished compile repeats from its ledger in at most a tenth of its time with a 50 ms model and without a call.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

LATENCY, CONCURRENCY, ROLLOUTS = 0.05, 64, 1_000
SEEDS = range(5)


def one_step() -> tuple[Any, Any, Any]:
    """A program of one call, its data and its metric."""
    import outlast as ol

    data = [ol.Example({"question": f"question {i}"}, {"answer": "4"}) for i in range(ROLLOUTS)]
    return ol.Predict("question -> answer"), data, lambda example, out: example.answer == out.answer


def model(latency: float) -> Any:
    from outlast.testing import ScriptedLM

    return ScriptedLM(lambda _: "<<answer>>\n4\n\n<<end>>", latency=latency)


def under_study(latency: float, path: Path | None) -> tuple[float, float]:
    """Wall and CPU seconds of 1,000 rollouts in a study."""
    from outlast.optimize.ledger import Ledger
    from outlast.optimize.study import Study
    from outlast.runtime import run_blocking, running

    program, data, metric = one_step()

    async def run() -> tuple[float, float]:
        ledger = Ledger(path, {})
        study = Study(program, metric, train=[], select=data, ledger=ledger, concurrency=CONCURRENCY)
        with running(lm=model(latency)), study.stage("search"):
            wall, cpu = time.perf_counter(), time.process_time()
            await study.evaluate(study.start, data)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        ledger.close()
        return wall, cpu

    return run_blocking(run)


def under_evaluate() -> float:
    """CPU seconds of the same without a study."""
    import outlast as ol

    program, data, metric = one_step()
    cpu = time.process_time()
    ol.evaluate(program, data, metric, lm=model(0.0), concurrency=CONCURRENCY, progress=False)
    return time.process_time() - cpu


def resumed(folder: Path) -> dict[str, float]:
    """A whole compile with a 50 ms model, and the same again from its ledger."""
    import outlast as ol
    from outlast.testing.world import Triage, World, right

    world = World(examples=200, base=0.4, gain=0.4)
    path = folder / "resume.study.db"

    def run() -> tuple[float, Any]:
        began = time.perf_counter()
        lm = world.lm(latency=LATENCY)
        found = ol.compile(Triage(), world.data(), right, lm=lm, study=path, concurrency=CONCURRENCY, progress=False)
        return time.perf_counter() - began, (found.report, lm.calls)

    first, (report, calls) = run()
    again, (repeated, more) = run()
    assert more == 0
    assert repeated.record == report.record
    full = ol.RandomSearch().rollouts(len(split(world)["train"]), len(split(world)["select"])) + 2 * len(
        split(world)["confirm"]
    )
    return {
        "first_s": first,
        "again_s": again,
        "calls": calls,
        "rollouts": report.rollouts,
        "full_pass": full,
        "ledger_bytes_per_call": path.stat().st_size / calls,
    }


def split(world: Any) -> Any:
    from outlast.optimize.setting import split_data

    return split_data(world.data(), 0)


def gains() -> list[dict[str, Any]]:
    """The sample program with the baseline model, split and searched anew for every seed."""
    import outlast as ol
    from outlast.lms.baseline.model import Baseline
    from outlast.samples.triage import Triage, messages, triaged

    found: list[dict[str, Any]] = []
    for seed in SEEDS:
        began = time.perf_counter()
        report = ol.compile(
            Triage(),
            messages(),
            triaged,
            lm=Baseline(),
            optimizer=ol.RandomSearch(candidates=12, max_demos=32),
            study=False,
            seed=seed,
            progress=False,
        ).report
        verdict = report.verdict
        found.append(
            {
                "seed": seed,
                "verdict": verdict.word,
                "start": verdict.start.value if verdict.start else None,
                "winner": verdict.winner.value if verdict.winner else None,
                "gain": verdict.paired.difference if verdict.paired else 0.0,
                "low": verdict.paired.interval.low if verdict.paired else None,
                "high": verdict.paired.interval.high if verdict.paired else None,
                "ranked": report.ranked,
                "seconds": time.perf_counter() - began,
            }
        )
    return found


def measure() -> dict[str, Any]:
    """All figures."""
    os.environ["OUTLAST_CACHE"] = "off"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        under_study(0.0, None)
        under_evaluate()
        plain = statistics.median(under_evaluate() for _ in range(5)) / ROLLOUTS
        study = statistics.median(under_study(0.0, folder / f"{n}.db")[1] for n in range(5)) / ROLLOUTS
        walls = [under_study(LATENCY, folder / f"wall {n}.db")[0] for n in range(5)]
        return {
            "evaluate_ms": 1000 * plain,
            "study_ms": 1000 * study,
            "wall_s": min(walls),  # the others waited for whatever else ran on the machine
            "ideal_s": math.ceil(ROLLOUTS / CONCURRENCY) * LATENCY,
            **resumed(folder),
            "gains": gains(),
        }


def main() -> int:
    """Measure and print; 1 when a bar is not met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    found = measure()
    if options.json:
        print(json.dumps(found, indent=2))
        return 0
    extra, slower = found["study_ms"] - found["evaluate_ms"], found["wall_s"] / found["ideal_s"]
    share = found["again_s"] / found["first_s"]
    print(
        f"CPU of a rollout         evaluate {found['evaluate_ms']:.3f} ms, "
        f"study with a ledger file {found['study_ms']:.3f} ms"
    )
    print(
        f"1,000 rollouts of 50 ms  {found['wall_s']:.2f} s at concurrency {CONCURRENCY}, ideal {found['ideal_s']:.2f} s"
    )
    print(
        f"whole compile of 50 ms   {found['first_s']:.1f} s, {found['calls']} calls, {found['rollouts']} rollouts "
        f"(without racing {found['full_pass']})"
    )
    print(
        f"the same from its ledger {found['again_s']:.2f} s, no call; {found['ledger_bytes_per_call']:.0f} bytes a call"
    )
    print("gain on samples/support.jsonl with outlast/baseline, score 0..1, on held-out messages:")
    for row in found["gains"]:
        if row["start"] is None:
            print(f"  seed {row['seed']}  {row['verdict']:12}  {row['seconds']:.1f} s")
            continue
        print(
            f"  seed {row['seed']}  {row['verdict']:12}  {row['start']:.3f} -> {row['winner']:.3f}  "
            f"{row['gain']:+.3f} ({row['low']:+.3f}..{row['high']:+.3f}); looked {row['ranked']:+.3f} while ranking"
            f"  {row['seconds']:.1f} s"
        )
    mean = statistics.mean(row["gain"] for row in found["gains"])
    better = sum(row["verdict"] == "better" for row in found["gains"])
    print(f"  mean gain {mean:+.3f}; better in {better} of {len(SEEDS)}")
    bars = [
        (extra <= 0.3, f"a study adds {extra:.2f} ms CPU to a rollout (at most 0.3)"),
        (slower <= 1.25, f"1,000 rollouts take {slower:.2f} of the ideal time (at most 1.25)"),
        (share <= 0.1, f"a finished compile repeats in {share:.3f} of its time (at most 0.1)"),
    ]
    for met, text in bars:
        print(f"BAR {'PASS' if met else 'FAIL'} {text}")
    return 0 if all(met for met, _ in bars) else 1


if __name__ == "__main__":
    raise SystemExit(main())

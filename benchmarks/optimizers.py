"""Our optimizers against the peers' recorded results, on the simulated worlds of `outlast.testing.gym`.

    python benchmarks/optimizers.py [--full] [--optimizer Auto] [--out X.jsonl] [--html PAGE.html]

A sample that takes about three minutes: every world with one fresh seed at 300 and 1,000 rollouts, NullLand with ten.
`--full` runs all that the recorded results of the peers have (seeds 100 to 109, up to 3,000 rollouts), which takes an
hour or more; with `--out` it can be stopped and goes on where it was. The peers are not run here: their results are
read from `results/peers.jsonl`, made by `python -m benchmarks.peers` with the versions that each line names.

Bars: mean true score over the worlds above every peer's at each budget, and the best peer's at 3,000 reached with
1,000; "better" in at most 5 % on NullLand; reported minus true score within 1.5 points in the mean of each world, as
far as the runs can tell; at most 5 % of returned programs below the start; under 1 ms of CPU for a rollout outside
the models; 8 times as fast as one call after the other when calls take a second; killed and started again, the same
result and nothing paid twice. A sample cannot decide all that the full run can; it says what it did not judge.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from outlast.cli.benching.job import Job, data_of
from outlast.cli.benching.pool import run_all
from outlast.cli.benching.records import Record, Results, read
from outlast.cli.benching.summary import over_seeds, summarize

PEERS = Path(__file__).parent / "results" / "peers.jsonl"
FRESH = range(100, 110)
BUDGETS = (300, 1000, 3000)
OFF = 0.015  # of reported from true scores
LATENCY = 0.25  # seconds of a call, where the speed of many at once is measured


class Bar(NamedTuple):
    """Whether a bar is met, in words; None for one that these runs cannot judge."""

    met: bool | None
    text: str


def jobs_of(optimizer: str, full: bool, peers: Sequence[Record]) -> list[Job]:
    """What is run: the worlds, seeds and budgets of the peers, or a sample of them."""
    from outlast.testing import gym

    worlds = list(gym.names())
    if full:
        wanted = {(one.world, one.seed, one.budget) for one in peers if one.world in worlds}
        wanted |= {(world, seed, budget) for world in worlds for seed in FRESH for budget in BUDGETS}
    else:
        wanted = {(world, FRESH[0], budget) for world in worlds for budget in BUDGETS[:2]}
        wanted |= {("NullLand", seed, BUDGETS[0]) for seed in FRESH}
    return [Job(optimizer, world, seed, budget) for world, seed, budget in sorted(wanted, key=lambda one: one[::-1])]


def against_peers(ours: Sequence[Record], peers: Sequence[Record]) -> list[Bar]:
    """The bars on true scores, each over the worlds and seeds that both sides have."""
    bars: list[Bar] = []
    for budget in BUDGETS:
        own = {one.key[1:]: one for one in ours if one.budget == budget}
        for method in sorted({one.method for one in peers}):
            pairs = [(one, own[one.key[1:]]) for one in peers if one.method == method and one.key[1:] in own]
            bars.append(_above(method, budget, pairs))
    return [bar for bar in bars if bar.met is not None] + [_early(ours, peers)]


def _above(method: str, budget: int, pairs: Sequence[tuple[Record, Record]]) -> Bar:
    if not pairs:
        return Bar(None, f"{method} at {budget:,}")
    gain = over_seeds((ours.seed, ours.true - theirs.true) for theirs, ours in pairs)
    low, high = 100 * gain.interval.low, 100 * gain.interval.high
    span = f" ({low:+.1f}..{high:+.1f})" if gain.interval.known else ""
    worlds, seeds = len({ours.world for _, ours in pairs}), len({ours.seed for _, ours in pairs})
    return Bar(
        gain.value > 0,
        f"{100 * gain.value:+.1f} points{span} above {method} at {budget:,} rollouts, {worlds} worlds, {seeds} seeds",
    )


def _early(ours: Sequence[Record], peers: Sequence[Record]) -> Bar:
    """Ours at 1,000 against the best peer at 3,000, over the worlds and seeds that both have."""
    own = {one.key[1:3]: one.true for one in ours if one.budget == 1000}
    late = [one for one in peers if one.budget == 3000 and one.key[1:3] in own]
    if not late:
        return Bar(None, "the best peer's score at 3,000 rollouts reached with 1,000")
    best = summarize(late)[0]
    met = [one for one in late if one.method == best.method]
    mean = sum(own[one.key[1:3]] for one in met) / len(met)
    return Bar(
        mean >= sum(one.true for one in met) / len(met),
        f"{100 * mean:.1f} with 1,000 rollouts, {best.method} {100 * best.true.value:.1f} with 3,000 (at least that)",
    )


def honesty(ours: Sequence[Record]) -> list[Bar]:
    """The bars on what is reported and returned."""
    null = [one for one in ours if one.world == "NullLand"]
    better = sum(one.verdict == "better" for one in null)
    worse = sum(one.true < one.start - 1e-9 for one in ours)
    bars = [
        Bar(
            rare(better, len(null)), f'"better" in {better} of {len(null)} runs on NullLand (5 %, as far as runs tell)'
        ),
        Bar(rare(worse, len(ours)), f"{worse} of {len(ours)} returned programs below the start (5 %, likewise)"),
    ]
    for world in sorted({one.world for one in ours}):
        here = [one for one in ours if one.world == world and one.optimism is not None]
        off = over_seeds((one.seed, one.optimism) for one in here)
        if len({one.seed for one in here}) < 5:
            bars.append(Bar(None, f"reported minus true in {world}"))
            continue
        span = f"{100 * off.interval.low:+.1f}..{100 * off.interval.high:+.1f}"
        bars.append(
            Bar(
                off.interval.low <= OFF and off.interval.high >= -OFF,
                f"reported minus true {100 * off.value:+.1f} ({span}) in {world} (within 1.5, as far as runs tell)",
            )
        )
    cpu = [one.cpu_ms for one in ours if one.cpu_ms is not None and one.budget >= 1000]
    if cpu:
        mean = sum(cpu) / len(cpu)
        bars.append(Bar(mean < 1.0, f"{mean:.2f} ms of CPU for a rollout outside the models (under 1)"))
    return bars


def rare(times: int, runs: int, share: float = 0.05) -> bool:
    """Whether something that happened so often may happen in at most that share of runs: not refuted at 5 %."""
    least = sum(math.comb(runs, k) * share**k * (1 - share) ** (runs - k) for k in range(times, runs + 1))
    return least >= 0.05


def compiled(optimizer: str, path: Path | None, latency: float = 0.0) -> Any:
    """A compile with 300 rollouts on RuleBook; gives the result, the student's calls and the wall time."""
    import outlast as ol
    from outlast.cli.benching.optimizers import optimizer_of
    from outlast.testing import gym

    world: Any = gym.world("RuleBook", seed=FRESH[0])
    student, proposer = world.lm(latency=latency), world.reflector(latency=latency)
    began = time.perf_counter()
    found = ol.compile(
        world.program(),
        data_of(world),
        world.metric,
        optimizer=optimizer_of(optimizer),
        budget=ol.Budget(calls=300),
        proposer=proposer,
        proposer_budget=ol.Budget(calls=30),
        lm=student,
        study=path or False,
        progress=False,
    )
    return found, student.calls + proposer.calls, time.perf_counter() - began


def speed(optimizer: str) -> Bar:
    """How much faster than one call after the other, with slow models, and whether the result is the same."""
    quick, calls, _ = compiled(optimizer, None)
    slow, asked, wall = compiled(optimizer, None, LATENCY)
    times = asked * LATENCY / wall
    same = slow.report.candidate.changes == quick.report.candidate.changes
    return Bar(
        times >= 8 and same,
        f"{times:.1f} times as fast as one call after the other ({asked} calls of {LATENCY} s in {wall:.1f} s), the "
        f"{'same' if same else 'another'} result as without waiting (at least 8, the same)",
    )


def _child(optimizer: str, path: Path) -> None:
    compiled(optimizer, path, 0.02)


def killed(optimizer: str, times: int = 3) -> Bar:
    """Kill a compile again and again, let the last run end, and compare with one that nobody disturbed."""
    whole, calls, _ = compiled(optimizer, None)
    rng, context = Random(6), multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "killed.study.db"
        for _ in range(times):
            child = context.Process(target=_child, args=(optimizer, path))
            child.start()
            assert child.pid is not None
            child.join(1.5 + rng.random())
            if child.is_alive():
                os.kill(child.pid, signal.SIGKILL)
            child.join()
        again, _, _ = compiled(optimizer, path)
    same = again.report.candidate.changes == whole.report.candidate.changes
    same = same and again.report.verdict.word == whole.report.verdict.word
    paid = again.report.record["cost"]["calls"]
    return Bar(
        same and paid == calls,
        f"killed {times} times and started again: the {'same' if same else 'another'} result, {paid} calls paid "
        f"(undisturbed {calls})",
    )


def main() -> int:
    """Run, print, judge; 1 when a bar is not met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--optimizer", default="Auto", metavar="NAME", help="the one that is judged (Auto)")
    parser.add_argument("--full", action="store_true", help="all worlds, seeds and budgets")
    parser.add_argument("--out", metavar="X.jsonl", help="keep results here and go on from them")
    parser.add_argument("--html", metavar="PAGE.html", help="write the curves as a page")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, metavar="N", help="at once")
    options = parser.parse_args()
    os.environ["OUTLAST_CACHE"] = "off"
    peers = read(PEERS)
    jobs, results = jobs_of(options.optimizer, options.full, peers), Results(options.out)
    began = time.monotonic()
    run_all(jobs, results, processes=options.processes, told=lambda done, of, record: None)
    ours = results.only([job.key for job in jobs])
    print(f"{len(ours)} runs of {options.optimizer} in {time.monotonic() - began:.0f} s")
    show(ours, peers, options.optimizer, options.html)
    bars = [*against_peers(ours, peers), *honesty(ours), speed(options.optimizer), killed(options.optimizer)]
    for bar in bars:
        if bar.met is not None:
            print(f"BAR {'PASS' if bar.met else 'FAIL'} {bar.text}")
    left = [bar.text for bar in bars if bar.met is None]
    if left:
        print(f"not judged by so few runs: {'; '.join(left)}")
    return 0 if all(bar.met is not False for bar in bars) else 1


def show(ours: Sequence[Record], peers: Sequence[Record], optimizer: str, html: str | None) -> None:
    """The tables, over what ours and peers both have, and the page when it is wanted."""
    from rich.console import Console

    from outlast.cli.benching.page import page
    from outlast.cli.benching.table import overview

    keys = {one.key[1:] for one in ours}
    records = [*ours, *(one for one in peers if one.key[1:] in keys)]
    for part in overview(records, ours=optimizer):
        Console(width=200).print(part)
    if html:
        Path(html).write_text(page(records), "utf-8")


if __name__ == "__main__":
    sys.exit(main())

"""Run the peers on the worlds of the gym and keep their results, one line of JSON each.

    python -m benchmarks.peers --make-venv .peers-venv                  # once: the peers, from PyPI
    .peers-venv/bin/python -m benchmarks.peers --seeds 100-109 --out benchmarks/results/peers.jsonl

From the root of the checkout. Results that the file has are left out, so the same command goes on where it was.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.peers.environment import make, versions


def main() -> int:
    """The command; gives its exit code."""
    from benchmarks.peers.run import METHODS, RECORDED

    from outlast.cli.bench_optimizers import numbers
    from outlast.cli.options import names

    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--make-venv", type=Path, metavar="PATH", help="make the environment of the peers and stop")
    parser.add_argument(
        "--methods",
        type=names,
        default=list(RECORDED),
        metavar="A,B",
        help=f"{', '.join(METHODS)}; without COPRO unless named",
    )
    parser.add_argument("--worlds", type=names, metavar="A,B", help="worlds of the gym (all)")
    parser.add_argument("--seeds", type=numbers, default=[0, 1, 2], metavar="0-9", help="seeds (0-2)")
    parser.add_argument("--budgets", type=numbers, default=[300, 1000, 3000], metavar="N,M", help="rollouts")
    parser.add_argument("--out", default="peers.jsonl", metavar="X.jsonl", help="where results go (peers.jsonl)")
    options = parser.parse_args()
    if options.make_venv:
        print(f"ready: {make(options.make_venv)}")
        return 0
    if not versions():
        print("the peers are not installed here: python -m benchmarks.peers --make-venv PATH", file=sys.stderr)
        return 3
    for method in options.methods:
        if method not in METHODS:
            parser.error(f"no peer {method!r}; there are {', '.join(METHODS)}")
    return _run(options)


def _run(options: argparse.Namespace) -> int:
    from benchmarks.peers.run import run

    from outlast.cli.benching.records import Key, Results
    from outlast.testing import gym

    results = Results(options.out)
    keys = [
        Key(method, world, seed, budget)
        for seed in options.seeds
        for budget in options.budgets
        for world in options.worlds or gym.names()
        for method in options.methods
    ]
    todo = [key for key in keys if key not in results]
    for number, key in enumerate(todo, 1):
        record = run(key)
        results.add(record)
        claimed = "" if record.reported is None else f", claims {100 * record.reported:.1f}"
        print(
            f"{number}/{len(todo)}  {key.method}  {key.world} {key.seed}  {key.budget:,}  "
            f"true {100 * record.true:.1f} (start {100 * record.start:.1f}, best {100 * record.best:.1f}){claimed}  "
            f"{record.rollouts:.0f} rollouts, {record.proposer_calls} proposals  {record.seconds:.1f} s",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())

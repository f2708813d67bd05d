"""Measure optimizers on the simulated worlds of the gym: true and reported score at equal budgets of rollouts.

Costs nothing but CPU: student and proposer are simulated, and the true score of every program is known exactly.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from outlast.cli import options
from outlast.cli.app import OK
from outlast.cli.output import console, emit, say
from outlast.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from outlast.cli.benching.job import Job
    from outlast.cli.benching.records import Record

EPILOG = """\
examples:
  outlast bench-optimizers RandomSearch "RandomSearch(candidates=32)" --worlds NullLand,DemoShelf --seeds 0-2
  outlast bench-optimizers Auto --seeds 100-109 --out ours.jsonl --against benchmarks/results/peers.jsonl \\
      --html curves.html

Seeds 0-9 are for tuning, 100-109 for reporting. With --out, each result is one line of JSON, and the same command
goes on where it was. Without an OPTIMIZER the files alone are shown."""

_BUDGETS = (300, 1000, 3000)
_PIPED = 200  # characters of a line that goes into a file or a pipe


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("optimizers", metavar="OPTIMIZER", nargs="*", help="a class of outlast, with options if any")
    parser.add_argument("--worlds", type=options.names, metavar="A,B", help="worlds of the gym (all)")
    parser.add_argument("--seeds", type=numbers, default=[0, 1, 2], metavar="0-9", help="seeds of the worlds (0-2)")
    parser.add_argument(
        "--budgets",
        type=numbers,
        default=list(_BUDGETS),
        metavar="N,M",
        help="rollouts, proof included (300,1000,3000)",
    )
    parser.add_argument(
        "--proposals", type=options.count, metavar="N", help="calls of the proposer (a tenth of the program's)"
    )
    parser.add_argument("--strength", type=float, metavar="X", help="of the simulated proposer, 0 to 1 (the world's)")
    parser.add_argument("--out", "-o", metavar="X.jsonl", help="keep results here, and leave out those it has")
    parser.add_argument("--against", action="append", default=[], metavar="Y.jsonl", help="show these results as well")
    parser.add_argument("--processes", type=options.count, metavar="N", help="at once (the machine's cores)")
    parser.add_argument("--level", type=float, default=0.95, metavar="X", help="of intervals (0.95)")
    parser.add_argument("--html", metavar="PAGE.html", help="write the curves and figures as one page")
    parser.add_argument("--svg", metavar="CURVES.svg", help="write the curves alone")
    parser.add_argument("--json", action="store_true", help="the results as JSON lines instead of tables")
    parser.add_argument("--no-progress", action="store_true", help="no line on stderr for each result")


def run(args: argparse.Namespace) -> int:
    """Run what is missing, then show everything."""
    from outlast.cli.benching.pool import run_all
    from outlast.cli.benching.records import Results, read

    for path in args.against:
        if not Path(path).exists():
            raise UsageError(f"--against names a file of results; there is no {path!r}")
    jobs = jobs_of(args)
    results = Results(args.out)
    told = _silent if args.no_progress else _tell
    run_all(jobs, results, processes=args.processes or os.cpu_count() or 1, told=told)
    own = results.only([job.key for job in jobs]) if jobs else list(results)
    records = own + [one for path in args.against for one in read(path) if _wanted(one, args, own)]
    if not records:
        raise UsageError("nothing to show: name an OPTIMIZER, or files that have results with --out or --against")
    _show(records, args)
    return OK


def jobs_of(args: argparse.Namespace) -> list[Job]:
    """Every optimizer on every world, seed and budget, checked before anything runs; small budgets first."""
    from outlast.cli.benching.job import Job
    from outlast.cli.benching.optimizers import optimizer_of
    from outlast.optimize.setting import FEWEST
    from outlast.testing import gym

    known = list(gym.names())
    worlds = args.worlds or known
    for world in worlds:
        if world not in known:
            raise UsageError(f"no world {world!r}.{did_you_mean(world, known)} There are {', '.join(known)}")
    methods = list(dict.fromkeys(args.optimizers))
    for method in methods:
        optimizer_of(method)
    for budget in args.budgets if methods else ():
        if budget < 2 * FEWEST:
            raise UsageError(
                f"--budgets are rollouts, {2 * FEWEST} at least: the proof alone runs {FEWEST} examples twice; got "
                f"{budget}"
            )
    if args.strength is not None and not 0 <= args.strength <= 1:
        raise UsageError(f"--strength is from 0 to 1; got {args.strength:g}")
    return [
        Job(method, world, seed, budget, args.strength, args.proposals)
        for budget in sorted(args.budgets)
        for seed in args.seeds
        for world in worlds
        for method in methods
    ]


def numbers(text: str) -> list[int]:
    """Whole numbers with commas between them; `a-b` is a range with both ends."""
    found: list[int] = []
    for item in text.split(","):
        first, dash, last = item.strip().partition("-")
        if not first.isdigit() or (dash and not last.isdigit()):
            raise argparse.ArgumentTypeError(f"whole numbers such as 0-9 or 300,1000; got {text!r}")
        found += range(int(first), int(last if dash else first) + 1)
    if not found:
        raise argparse.ArgumentTypeError(f"a range ends where it begins or later; got {text!r}")
    return list(dict.fromkeys(found))


def _wanted(record: Record, args: argparse.Namespace, own: list[Record]) -> bool:
    """Whether a record of another file belongs to what is asked for."""
    if not own:
        return args.worlds is None or record.world in args.worlds
    return any((record.world, record.seed, record.budget) == (one.world, one.seed, one.budget) for one in own)


def _tell(done: int, of: int, record: Record) -> None:
    reported = "" if record.reported is None else f", reported {100 * record.reported:.1f}"
    say(
        f"{done}/{of}  {record.method}  {record.world} {record.seed}  {record.budget:,}  true {100 * record.true:.1f}"
        f"{reported}  {record.verdict}  {record.seconds:.1f} s"
    )


def _silent(done: int, of: int, record: Record) -> None:
    return


def _show(records: list[Record], args: argparse.Namespace) -> None:
    if args.html or args.svg:
        from outlast.cli.benching.curves import panels
        from outlast.cli.benching.page import page
        from outlast.cli.benching.summary import comparable, summarize

        if args.html:
            Path(args.html).write_text(page(records, args.level), "utf-8")
        if args.svg:
            lines = summarize(comparable(records)[0], args.level)
            Path(args.svg).write_text(panels(lines, "True and reported score by rollouts and dollars"), "utf-8")
    if args.json:
        import json

        for record in records:
            emit(json.loads(record.to_line()))
        return
    from outlast.cli.benching.table import overview

    screen = console()
    if not screen.is_terminal:
        screen.width = _PIPED
    for part in overview(records, ours=args.optimizers[0] if args.optimizers else None, level=args.level):
        screen.print(part)

"""Leave out of the instructions and demonstrations of a program what does not help, and prove that nothing is lost."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from outlast.cli import options
from outlast.cli.app import INTERRUPTED
from outlast.cli.compile import add_search, add_task, budget_of, check_replaceable, check_writable, code_of, save
from outlast.cli.output import console, emit_pretty, say
from outlast.cli.wording import clean

if TYPE_CHECKING:
    from outlast.optimize.pruning import Pruned

EPILOG = """\
examples:
  outlast prune app.py:triage data.jsonl --metric app.py:correct --lm openai/gpt-5-mini --from triage.outlast.json \\
      --within 2 --dollars 2 --out short.outlast.json

Each line and each demonstration is left out alone, then what does not help together. --out holds the shorter program
where it is proven to lose no more than --within points and to take fewer tokens, and else the program as it was.
Interrupted or killed, run the same command again: it goes on where it was and pays nothing twice."""


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add_task(parser, out="save the program here", better="exit with 1 unless proven to be as good and shorter")
    search = parser.add_argument_group("search")
    search.add_argument(
        "--within", type=float, default=2.0, metavar="X", help="the loss, in points, that it may cost (2)"
    )
    search.add_argument("--most-tokens", type=options.count, metavar="N", help="a length that a rollout has to fit in")
    add_search(parser, search)


def run(args: argparse.Namespace) -> int:
    """Run the command; gives its exit code."""
    from outlast.cli.targets import load_metric
    from outlast.optimize.pruning import prune

    program = options.program_of(args)
    metric = load_metric(args.metric)
    with options.model_in_use(args):
        options.need_model(program)
    check_writable(args.out, args.html)
    if args.out and not args.force:
        check_replaceable(args.out, program)
    pruned = prune(
        program,
        options.data_of(args, program),
        metric,
        within=args.within,
        most_tokens=args.most_tokens,
        lock=args.lock,
        budget=budget_of(args),
        seed=args.seed,
        lm=options.model_of(args),
        adapter=options.adapter_of(args),
        study=args.study,
        level=args.level,
        concurrency=args.concurrency,
        transport=args.transport,
        progress=not args.no_progress,
    )
    compiled = pruned.compiled
    if compiled.report.stopped == "interrupted":
        console().print(str(compiled.report), soft_wrap=True)
        say("outlast: interrupted, nothing saved. Run the same command again: it goes on and pays nothing twice.")
        return INTERRUPTED
    saved = save(compiled, args)
    if args.html:
        compiled.to_html(args.html)
    _report(pruned, args, saved)
    return code_of(compiled, args, saved)


def _report(pruned: Pruned[Any], args: argparse.Namespace, saved: str | None) -> None:
    compiled = pruned.compiled
    if args.json:
        emit_pretty(
            {
                **compiled.report.record,
                "improved": pruned.improved,
                "seconds": round(compiled.report.seconds, 3),
                "ledger": None if compiled.ledger is None else str(compiled.ledger),
                "saved": saved,
                "html": args.html,
            }
        )
        return
    for line in str(pruned).split("\n"):
        console().print(clean(line), soft_wrap=True, markup=False, highlight=False)
    if not pruned.improved and saved:
        say(f"outlast: not proven as good and shorter, so {saved} holds the program as it was")
    for what, path in (("compiled file", saved), ("report", args.html), ("ledger", compiled.ledger)):
        if path:
            say(f"{what}: {path}")

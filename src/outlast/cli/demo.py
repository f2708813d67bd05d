"""The quickstart: compile a support-triage program of two steps and see, on data held out, that it got better."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from outlast.cli import options
from outlast.cli.app import INTERRUPTED, OK
from outlast.cli.output import emit_pretty, say
from outlast.errors import StudyError, UsageError

if TYPE_CHECKING:
    from outlast.cli.demo_view import View
    from outlast.lms.protocol import LM
    from outlast.optimize.compile import Compiled
    from outlast.optimize.random_search import RandomSearch

EPILOG = """\
examples:
  outlast demo                              no key, no network, a few seconds
  outlast demo --lm openai/gpt-5-mini       the same with a real model (about 2,000 short calls)
  outlast demo --lm ollama/qwen3 --candidates 4

Run again, it answers from its ledger and asks nothing twice."""

BASELINE = "outlast/baseline"


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--out", default="quickstart", metavar="DIR", help="where its files go (quickstart)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the split and the search (0)")
    parser.add_argument("--candidates", type=options.count, metavar="N", help="sets of demonstrations to race")
    parser.add_argument("--max-demos", type=options.count, metavar="N", help="demonstrations in a prompt, at most")
    parser.add_argument("--dollars", type=float, metavar="X", help="spend at most this much")
    options.add_model(parser, concurrency=32)
    options.add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command; gives its exit code."""
    from outlast.cli.demo_view import View
    from outlast.optimize.setting import split_data
    from outlast.samples.triage import Triage, messages

    lm = options.model_of(args) or _baseline(args)
    folder = Path(args.out)
    _make(folder)
    parts = split_data(messages(), args.seed)
    optimizer = _optimizer(args, lm.name)
    view = View(quiet=args.json, live=not args.no_progress)
    view.introduce(lm.name, {name: len(part) for name, part in parts.items()}, optimizer)
    compiled = _compile(Triage(), parts, optimizer, lm, folder, view, args)
    if compiled.report.stopped == "interrupted":
        say("outlast: interrupted. Run the same command again: it goes on where it was and pays nothing twice.")
        return INTERRUPTED
    program, page = folder / "triage.outlast.json", folder / "report.html"
    compiled.save(program)
    compiled.to_html(page)
    if args.json:
        saved = {"saved": str(program), "html": str(page), "ledger": str(compiled.ledger)}
        emit_pretty({**compiled.report.record, **saved, "improved": compiled.improved})
    else:
        view.result(compiled)
        view.prompt(compiled.program if compiled.improved else compiled.winner, Triage())
        view.next_steps(program, page, compiled.ledger, lm.name, args.base_url)
        view.last(compiled, page)
    return OK


def _baseline(args: argparse.Namespace) -> LM:
    from outlast.lms.models import open_model

    args.lm = BASELINE
    return open_model(BASELINE)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out {str(folder)!r}: {error.strerror or error}; name a folder") from error


def _optimizer(args: argparse.Namespace, model: str) -> RandomSearch:
    """Many long prompts where they cost nothing, fewer and shorter ones where they do."""
    from outlast.optimize.random_search import RandomSearch

    free = model == BASELINE
    return RandomSearch(
        candidates=args.candidates or (16 if free else 8), max_demos=args.max_demos or (48 if free else 16)
    )


def _compile(
    program: Any, parts: Any, optimizer: RandomSearch, lm: LM, folder: Path, view: View, args: argparse.Namespace
) -> Compiled[Any]:
    from outlast.optimize.compile import compile
    from outlast.runtime import Budget
    from outlast.samples.triage import triaged

    for number in range(1, 100):
        ledger = folder / _ledger_name(lm.name, args.seed, number)
        view.ledger = ledger
        try:
            with view.progress() as listener:
                return compile(
                    program,
                    parts,
                    triaged,
                    optimizer=optimizer,
                    budget=Budget(dollars=args.dollars),
                    seed=args.seed,
                    lm=lm,
                    adapter=options.adapter_of(args),
                    study=ledger,
                    concurrency=args.concurrency,
                    progress=listener,
                )
        except StudyError as error:
            # A ledger of other code or another version of outlast is in the way: it may have cost money, so it stays.
            if "another search" not in str(error) and "version" not in str(error):
                raise
    raise UsageError(f"{str(folder)!r} is full of ledgers of other searches; give another folder with --out")


def _ledger_name(model: str, seed: int, number: int) -> str:
    words = ["triage"]
    if model != BASELINE:
        words.append(re.sub(r"[^\w.-]+", "-", model))
    if seed:
        words.append(f"seed{seed}")
    if number > 1:
        words.append(str(number))
    return f"{'-'.join(words)}.study.db"

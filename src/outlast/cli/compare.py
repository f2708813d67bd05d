"""Compare two saved evaluations of the same examples: the paired difference, its interval and test, what flipped."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from outlast.cli import options
from outlast.cli.app import NO, OK
from outlast.cli.output import console, emit_pretty

if TYPE_CHECKING:
    from outlast.evals.compare import Comparison

EPILOG = """\
examples:
  outlast eval app.py:triage dev.jsonl --metric app.py:correct --save old.jsonl
  outlast eval app.py:triage dev.jsonl --metric app.py:correct --save new.jsonl --from triage.outlast.json
  outlast compare old.jsonl new.jsonl --require-better"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("a", metavar="A.jsonl", help="rows of the evaluation before, written by outlast eval --save")
    parser.add_argument("b", metavar="B.jsonl", help="rows of the evaluation after")
    parser.add_argument("--level", type=float, default=0.95, metavar="X", help="of the interval and the test (0.95)")
    parser.add_argument(
        "--margin", type=float, default=0.0, metavar="X", help="a loss up to X still counts as no worse"
    )
    parser.add_argument(
        "--errors",
        choices=("answers", "exclude", "fail"),
        default="answers",
        help="what counts as 0: answers that never came (the other errors are left out), no error, or every error",
    )
    parser.add_argument("--flips", type=int, default=10, metavar="N", help="how many changed examples to show (10)")
    gate = parser.add_mutually_exclusive_group()
    gate.add_argument("--require-better", action="store_true", help="exit with 1 unless B is better")
    gate.add_argument("--require-no-worse", action="store_true", help="exit with 1 unless B is better or no worse")
    options.add_common(parser, progress=False)


def run(args: argparse.Namespace) -> int:
    """Run the command; gives its exit code."""
    from outlast.evals.compare import compare
    from outlast.evals.evaluation import Evaluation

    before, after = Evaluation.from_jsonl(args.a), Evaluation.from_jsonl(args.b)
    result = compare(before, after, level=args.level, margin=args.margin, errors=args.errors)
    if args.json:
        emit_pretty(as_json(result, args.flips))
    else:
        from outlast.evals.tables import comparison

        console().print(comparison(result, args.flips))
    if args.require_better and result.verdict != "better":
        return NO
    return NO if args.require_no_worse and result.verdict not in ("better", "no worse") else OK


def as_json(result: Comparison, flips: int) -> dict[str, Any]:
    """A comparison as JSON-ready data."""
    paired = result.paired
    return {
        "verdict": result.verdict,
        "before": result.a_mean,
        "after": result.b_mean,
        "difference": paired.difference,
        "interval": [paired.interval.low, paired.interval.high] if paired.interval.known else None,
        "level": result.level,
        "p": paired.p,
        "method": paired.method,
        "n": paired.n,
        "wins": paired.wins,
        "losses": paired.losses,
        "ties": paired.ties,
        "left_out": {
            "errors_before": result.a_errors,
            "errors_after": result.b_errors,
            "unscored": result.unscored,
            "unmatched": len(result.unmatched),
        },
        "flips": [
            {"id": flip.id, "before": flip.a_score, "after": flip.b_score, "inputs": dict(flip.b.inputs)}
            for flip in result.flips[:flips]
        ],
    }

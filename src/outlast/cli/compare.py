"""Compare saved evaluations of the same examples: paired difference, interval, test, slices, and what flipped."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from outlast.cli import gates, options
from outlast.cli.app import NO, OK
from outlast.cli.output import console, emit_pretty
from outlast.errors import UsageError

if TYPE_CHECKING:
    from outlast.evals.comparing.compare import Comparison, Comparisons
    from outlast.evals.comparing.gate import Gate

EPILOG = """\
examples:
  outlast eval app.py:triage dev.jsonl --metric app.py:correct --save old.jsonl
  outlast eval app.py:triage dev.jsonl --metric app.py:correct --save new.jsonl --from triage.outlast.json
  outlast compare old.jsonl new.jsonl --by lang,tier
  outlast compare old.jsonl new.jsonl --gate --min-delta -0.02 --junit gate.xml --markdown summary.md
  outlast compare old.jsonl short.jsonl long.jsonl      (p values corrected for two candidates)"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("a", metavar="A.jsonl", help="rows of the evaluation before, written by outlast eval --save")
    parser.add_argument(
        "b", metavar="B.jsonl", nargs="+", help="rows of the evaluation after, or of several candidates"
    )
    parser.add_argument("--by", type=options.names, metavar="F,G", help="a change for each value of these fields")
    parser.add_argument(
        "--min-n", type=options.count, default=10, metavar="N", help="slices with fewer examples get no verdict (10)"
    )
    parser.add_argument(
        "--correction",
        choices=("holm", "bh", "none"),
        default="holm",
        help="of p values, for the number of slices and candidates (holm)",
    )
    parser.add_argument("--part", metavar="NAME", help="compare this part of the scores")
    parser.add_argument("--level", type=float, default=0.95, metavar="X", help="of the interval and the test (0.95)")
    options.add_on_error(parser, default=None)
    parser.add_argument("--flips", type=int, default=10, metavar="N", help="how many changed examples to show (10)")
    parser.add_argument(
        "--html", metavar="PAGE.html", help="write one self-contained page, with both answers side by side"
    )
    parser.add_argument("--require-better", action="store_true", help="exit with 1 unless B is proven better")
    gates.add_gate(parser)
    options.add_common(parser, progress=False)


def run(args: argparse.Namespace) -> int:
    """Run the command; gives its exit code."""
    from outlast.evals.comparing.compare import Comparison, compare
    from outlast.evals.evaluation import Evaluation

    gates.check_gate(args, decides=True)
    if len(args.b) > 1 and args.junit:
        raise UsageError("--junit shows one candidate, example by example; compare them one by one")
    before, after = Evaluation.from_jsonl(args.a), [Evaluation.from_jsonl(path) for path in args.b]
    result = compare(
        before,
        after[0] if len(after) == 1 else dict(zip(_names(args.b), after, strict=True)),
        level=args.level,
        min_delta=args.min_delta or 0.0,
        on_error=args.on_error,
        by=args.by,
        min_n=args.min_n,
        correction=args.correction,
        part=args.part,
    )
    decided = _gates(result) if args.gate else []
    _show(result, decided, args)
    if args.html:
        result.to_html(args.html)
    if args.junit and isinstance(result, Comparison):
        result.to_junit(args.junit, decided)
    if args.markdown:
        gates.write_markdown(args.markdown, result.to_markdown(decided))
    better = result.verdict == "better" if isinstance(result, Comparison) else result.best is not None
    code = gates.code_of(decided, args) if args.gate else OK
    return NO if args.require_better and not better else code


def _gates(result: Comparison | Comparisons) -> list[Gate]:
    from outlast.evals.comparing.compare import Comparisons

    if not isinstance(result, Comparisons):
        return [result.gate()]
    return [replace(gate, rule=f"{name}: {gate.rule}") for name, gate in result.gate().items()]


def _show(result: Comparison | Comparisons, decided: list[Gate], args: argparse.Namespace) -> None:
    from outlast.evals.comparing.compare import Comparisons
    from outlast.evals.reports.tables import comparison, comparisons

    told = {"gate": [gate.to_json() for gate in decided]} if decided else {}
    if isinstance(result, Comparisons):
        if args.json:
            emit_pretty({**result.to_json(limit=args.flips), **told})
        else:
            console().print(comparisons(result))
    elif args.json:
        emit_pretty({**result.to_json(limit=args.flips), **told})
    else:
        console().print(comparison(result, args.flips))


def _names(paths: list[str]) -> list[str]:
    """A name for each file: what its name begins with where that tells them apart."""
    stems = [Path(path).stem for path in paths]
    if len(set(paths)) < len(paths):
        raise UsageError(f"each candidate is named once; got {', '.join(paths)}")
    return stems if len(set(stems)) == len(stems) else paths

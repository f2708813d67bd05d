"""What `eval` and `compare` share: the options of a gate, the files for CI, and the exit code of a decision."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from outlast.cli.app import INCONCLUSIVE, NO, OK
from outlast.cli.output import say
from outlast.errors import DataError, UsageError

if TYPE_CHECKING:
    from outlast.evals.comparing.gate import Gate

SUMMARY = "GITHUB_STEP_SUMMARY"


def add_gate(parser: argparse.ArgumentParser) -> Any:
    """The group of options of a gate."""
    group = parser.add_argument_group("gate and files for CI")
    group.add_argument(
        "--gate", action="store_true", help="decide by intervals; exit with 0 PASS, 1 FAIL or 2 INCONCLUSIVE"
    )
    group.add_argument(
        "--min-delta",
        type=float,
        metavar="X",
        help="the change must lie above X: -0.02 tolerates a loss of two points, 0 (default) demands a proven gain",
    )
    group.add_argument("--allow-inconclusive", action="store_true", help="exit with 0 where --gate cannot tell")
    group.add_argument("--junit", metavar="FILE.xml", help="write JUnit XML, each example a test case")
    group.add_argument(
        "--markdown",
        metavar="FILE.md",
        help=f"write a summary in Markdown; where ${SUMMARY} is set (GitHub Actions) it is appended to that file too",
    )
    return group


def check_gate(args: argparse.Namespace, *, decides: bool) -> None:
    """Raise `UsageError` for options that decide nothing; `decides` is whether --gate has something to decide."""
    if args.gate and not decides:
        raise UsageError("--gate needs something to decide: --against BASE.jsonl, --min-score X, or both")
    for option in ("min_score", "min_delta"):  # said before anything is paid for
        if not math.isfinite(getattr(args, option, None) or 0.0):
            raise UsageError(f"--{option.replace('_', '-')} is a finite number; got {getattr(args, option)}")
    if args.allow_inconclusive and not args.gate:
        raise UsageError("--allow-inconclusive says how --gate ends; give --gate too")


def write_markdown(path: str, text: str) -> None:
    """Write the summary, and append it to that of a step of GitHub Actions."""
    from outlast.data.files import write_lines

    summary = os.environ.get(SUMMARY, "")
    if summary:
        try:
            with open(summary, "a", encoding="utf-8", errors="replace") as file:
                file.write(text + "\n")
        except OSError as error:
            raise DataError(f"cannot append to ${SUMMARY}, {summary!r}: {error.strerror or error}") from error
        if Path(summary).resolve() == Path(path).resolve():
            return
    write_lines(path, text.split("\n"))


def code_of(gates: Sequence[Gate], args: argparse.Namespace) -> int:
    """Say what the gates decided, on stderr; gives the exit code."""
    from outlast.evals.comparing.gate import worst

    for gate in gates:
        say(f"outlast: gate {gate}")
    decision = worst(gates)
    if decision == "INCONCLUSIVE" and args.allow_inconclusive:
        return OK
    return {"PASS": OK, "FAIL": NO, "INCONCLUSIVE": INCONCLUSIVE}[decision]

"""What changed between two compiled files: instructions and demonstrations path by path, and the score."""

from __future__ import annotations

import argparse
import difflib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from outlast.cli import options
from outlast.cli.app import NO, OK
from outlast.cli.output import console, emit_pretty
from outlast.cli.wording import DemoText, clean, demos_of, estimate, gain, names, pick, reach, table, value_text

if TYPE_CHECKING:
    from rich.text import Text

EPILOG = """\
examples:
  outlast diff triage.outlast.json new.outlast.json
  git show main:triage.outlast.json > /tmp/old.json; outlast diff /tmp/old.json triage.outlast.json"""

SHOWN = 5


@dataclass(frozen=True, slots=True)
class Change:
    """What changed at one parameter path: lines of a text, or demonstrations that went, came and stayed."""

    path: str
    lines: tuple[str, ...] = ()
    removed: tuple[DemoText, ...] = ()
    added: tuple[DemoText, ...] = ()
    kept: int = 0
    is_demos: bool = False

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        if not self.is_demos:
            return {"path": self.path, "diff": list(self.lines)}
        return {
            "path": self.path,
            "kept": self.kept,
            "removed": [_demo_json(demo) for demo in self.removed],
            "added": [_demo_json(demo) for demo in self.added],
        }


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("a", metavar="A.outlast.json", help="the compiled file before")
    parser.add_argument("b", metavar="B.outlast.json", help="the compiled file after")
    parser.add_argument("--all", action="store_true", help=f"every demonstration, not the first {SHOWN} each way")
    parser.add_argument("--exit-code", action="store_true", help="exit with 1 when the prompts differ")
    options.add_common(parser, progress=False)


def run(args: argparse.Namespace) -> int:
    """Run the command; gives its exit code."""
    from outlast import artifact

    a, b = artifact.read(args.a), artifact.read(args.b)
    changes = changes_between(a["parameters"], b["parameters"])
    if args.json:
        emit_pretty(
            {
                "same": not changes,
                "changes": [change.to_json() for change in changes],
                "comparable": comparable(a, b),
                "before": table(a, "record", "result"),
                "after": table(b, "record", "result"),
            }
        )
    else:
        _print(a, b, changes, args)
    return NO if args.exit_code and changes else OK


def changes_between(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[Change]:
    """What differs between the parameters of two compiled files, in the order of their paths."""
    found: list[Change] = []
    for path in sorted({*a, *b}):
        if a.get(path) == b.get(path):
            continue
        if path == "demos" or path.endswith(".demos"):
            found.append(_demo_change(path, demos_of(a.get(path)), demos_of(b.get(path))))
        else:
            old, new = (value_text(side[path]).split("\n") if path in side else [] for side in (a, b))
            lines = list(difflib.unified_diff(old, new, n=2, lineterm=""))[2:]
            found.append(Change(path, tuple(line for line in lines if not line.startswith("@@"))))
    return found


def comparable(a: Any, b: Any) -> list[str]:
    """What keeps the scores of two compiled files from being compared, in words; empty when nothing does."""
    reasons: list[str] = []
    for path, words in ((("data", "confirm", "hash"), "held-out data"), (("metric", "hash"), "metrics")):
        one, two = pick(a, "record", *path, kind=str), pick(b, "record", *path, kind=str)
        if one is None or two is None:
            reasons.append(f"{words} unknown")
        elif one != two:
            reasons.append(f"different {words}")
    return reasons


def _demo_change(path: str, old: list[DemoText], new: list[DemoText]) -> Change:
    before, after = Counter(demo.values for demo in old), Counter(demo.values for demo in new)
    gone, come = before - after, after - before
    return Change(
        path,
        removed=tuple(_take(old, gone)),
        added=tuple(_take(new, come)),
        kept=sum((before & after).values()),
        is_demos=True,
    )


def _take(demos: list[DemoText], wanted: Counter[Any]) -> list[DemoText]:
    left = Counter(wanted)
    taken: list[DemoText] = []
    for demo in demos:
        if left[demo.values] > 0:
            left[demo.values] -= 1
            taken.append(demo)
    return taken


def _print(a: Any, b: Any, changes: list[Change], args: argparse.Namespace) -> None:
    from rich.text import Text

    out = console()
    shown = 10**9 if args.all else SHOWN
    for change in changes:
        out.print(Text.assemble((clean(change.path), "bold"), _counts(change)))
        for line in change.lines:
            out.print(_marked(line), soft_wrap=True)
        for sign, demos in (("-", change.removed), ("+", change.added)):
            for demo in demos[:shown]:
                for line in demo.lines:
                    out.print(_marked(f"{sign}  {line}"), soft_wrap=True)
                out.print(Text(f"      {demo.source}", style="dim"), soft_wrap=True)
            if len(demos) > shown:
                out.print(_marked(f"{sign}  … {len(demos) - shown} more (--all shows them)"))
        out.print()
    if not changes:
        out.print("the prompts are the same")
    _print_scores(a, b, args)


def _print_scores(a: Any, b: Any, args: argparse.Namespace) -> None:
    from rich.text import Text

    out = console()
    out.print(Text("score", style="bold"), Text("(held out, as proven when each was compiled)", style="dim"))
    for name, data in ((args.a, a), (args.b, b)):
        result = table(data, "record", "result")
        if not result:
            out.print(Text(f"  {name}"), soft_wrap=True)
            out.print(Text("    no scores: it was not the outcome of a compile"), soft_wrap=True)
            continue
        kept = "winner" if pick(data, "record", "kept", kind=str) == "winner" else "start"
        model = names(reach(data, "record", "models", "asked"))
        out.print(Text(f"  {name}"), soft_wrap=True)
        words = f"    {estimate(result, kept)} with {model}"
        out.print(Text(words + (f"; {gain(result)} over its start" if kept == "winner" else "")), soft_wrap=True)
    reasons = comparable(a, b)
    note = f"not comparable: {', '.join(reasons)}" if reasons else "same held-out data and metric"
    out.print(Text(f"  {note}; for a paired test use outlast eval --save, then outlast compare", style="dim"))


def _counts(change: Change) -> str:
    if not change.is_demos:
        return ""
    if not change.removed and not change.added:
        return f"  the same {change.kept} in another order, or from elsewhere"
    return f"  {len(change.removed)} removed, {len(change.added)} added, {change.kept} kept"


def _marked(line: str) -> Text:
    from rich.text import Text

    style = {"-": "red", "+": "green"}.get(line[:1], "")
    return Text(f"  {line}", style=style)


def _demo_json(demo: DemoText) -> dict[str, Any]:
    return {"values": dict(demo.values), "source": demo.source}

"""Where a compiled program came from: every part of its prompts, what it gained, what was tried, what it cost."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from outlast.cli import options
from outlast.cli.app import OK
from outlast.cli.output import console, emit_pretty
from outlast.cli.wording import (
    clean,
    demos_of,
    estimate,
    gain,
    names,
    pick,
    reach,
    spending,
    table,
    value_text,
)

if TYPE_CHECKING:
    from rich.console import Console

    from outlast.optimize.explaining import Explanation

EPILOG = """\
examples:
  outlast explain triage.outlast.json
  outlast explain triage.outlast.json --full | less
  outlast explain triage.outlast.json --study triage.study.db

[1], [2], ... are the steps of the search that brought a line or a demonstration; [0] was there at the start. --study,
the ledger of the search, adds the failures in full and how many others were tried."""

SHOWN = 5


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("file", metavar="X.outlast.json", help="a compiled file")
    parser.add_argument("--full", action="store_true", help=f"all demonstrations whole, not {SHOWN} in brief")
    parser.add_argument("--study", metavar="FILE", help="the ledger of the search, for what the file does not hold")
    options.add_common(parser, progress=False)


def run(args: argparse.Namespace) -> int:
    """Run the command; gives its exit code."""
    from outlast import artifact
    from outlast.optimize.explaining import explain

    data = artifact.read(args.file)
    explanation = explain(args.file, study=args.study)
    if args.json:
        known = explanation.to_json()
        emit_pretty({**as_json(data), **{name: known[name] for name in ("lineage", "own", "parts", "removed")}})
        return OK
    out = console()
    _print_record(out, data, args.file)
    _print_lineage(out, explanation, full=args.full)
    for path, module in table(data, "program", "modules").items():
        _print_module(out, path, module, data, explanation, full=args.full)
    _print_others(out, data, explanation)
    return OK


def as_json(data: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of a compiled file, by module; under "parameters" those that are of no module that asks a model."""
    modules: dict[str, Any] = {}
    for path, module in table(data, "program", "modules").items():
        own = _own(path, data)
        modules[path] = {
            "module": reach(module, "module"),
            "signature": reach(module, "signature", "name"),
            "fields": table(module, "signature", "fields"),
            "parameters": {
                name: [{"values": dict(demo.values), "source": demo.source} for demo in demos_of(value)]
                if name == "demos"
                else {"value": value, "source": _source(path, name, value, module, data)}
                for name, value in own.items()
            },
        }
    return {
        "program": reach(data, "program", "class"),
        "modules": modules,
        "parameters": {
            name: {"value": value, "source": _source("", name, value, {}, data)}
            for name, value in _others(data).items()
        },
        "record": table(data, "record"),
    }


def _print_record(out: Console, data: Mapping[str, Any], file: str) -> None:
    from rich.text import Text

    from outlast.optimize.words import search_words

    record, result = table(data, "record"), table(data, "record", "result")
    out.print(Text.assemble((clean(str(reach(data, "program", "class"))), "bold"), f"  {file}"), soft_wrap=True)
    if not result:
        out.print("  saved without a record: not the outcome of a compile\n")
        return
    reason = pick(result, "reason", kind=str)
    kept = "the winner of the search" if record.get("kept") == "winner" else "the program as it was"
    search, cost = table(record, "search"), table(record, "cost")
    parts = "; ".join(
        f"{clean(name)} {pick(part, 'n', kind=int)} ({str(reach(part, 'hash'))[:12]})"
        for name, part in table(record, "data").items()
    )
    rows = [
        ("verdict", clean(reason or "unknown")),
        ("holds", kept),
        ("before", f"{estimate(result, 'start')} on held-out data"),
        ("after", f"{estimate(result, 'winner')}" if table(result, "winner") else "not confirmed"),
        ("change", gain(result) or "unknown"),
        ("model", names(reach(record, "models", "asked"))),
        ("adapter", names(record.get("adapter"))),
        ("metric", f"{names(reach(record, 'metric', 'name'))} ({str(reach(record, 'metric', 'hash'))[:12]})"),
        ("data", parts or "unknown"),
        ("search", search_words(search)),
        ("tried", f"{search.get('tried')} candidates, {search.get('rollouts')} rollouts"),
        ("stopped", names(search.get("stopped")) if search.get("stopped") else ""),
        ("winner", f"{reach(record, 'winner', 'id')}: {names(reach(record, 'winner', 'origin'))}"),
        ("cost", spending(cost)),
        ("compiled", names(record.get("compiled_at"))),
        ("versions", ", ".join(f"{name} {version}" for name, version in table(data, "versions").items())),
    ]
    _print_rows(out, [(name, clean(text)) for name, text in rows if text])
    out.print()


def _print_lineage(out: Console, explanation: Explanation, *, full: bool) -> None:
    from rich.text import Text

    from outlast.optimize.explained import lineage_lines

    lines = lineage_lines(explanation, full=full)
    for line in lines:
        style = "bold" if not line.startswith(" ") else "" if line.startswith("  [") else "dim"
        out.print(Text(clean(line), style=style), soft_wrap=True)
    if lines:
        out.print()


def _marks(explanation: Explanation, path: str) -> list[str]:
    """The number of the step that brought each line or demonstration of a parameter; empty when none is known."""
    steps = [part.step for part in explanation.parts if part.path == path] if explanation.lineage else []
    return ["" if step is None else f"[{step}]" for step in steps]


def _alone(explanation: Explanation, path: str) -> list[str]:
    """What pruning measured of each line or demonstration, in words; "" where it is not known."""
    parts = [part.alone for part in explanation.parts if part.path == path]
    return ["" if alone is None else f"without it alone: {alone}" for alone in parts]


def _print_rows(out: Console, rows: list[tuple[str, str]]) -> None:
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, text in rows:
        grid.add_row(Text(f"  {name}"), Text(text))
    out.print(grid)


def _print_module(
    out: Console, path: str, module: Any, data: Mapping[str, Any], explanation: Explanation, *, full: bool
) -> None:
    from rich.text import Text

    what = f"  {reach(module, 'module')} of {reach(module, 'signature', 'name')}"
    out.print(Text.assemble((clean(path) or "the program", "bold"), (clean(what), "dim")))
    for name, value in sorted(_own(path, data).items(), key=lambda item: item[0] == "demos"):
        key = f"{path}.{name}" if path else name
        if name == "demos":
            _print_demos(out, value, _marks(explanation, key), _alone(explanation, key), full=full)
        else:
            _print_value(out, key, name, value, _source(path, name, value, module, data), explanation)
    out.print()


def _print_others(out: Console, data: Mapping[str, Any], explanation: Explanation) -> None:
    """The parameters of a function, and of modules that ask no model themselves."""
    from rich.text import Text

    others = _others(data)
    if not others:
        return
    out.print(Text("parameters", style="bold"))
    for name, value in others.items():
        _print_value(out, name, name, value, _source("", name, value, {}, data), explanation)
    out.print()


def _print_value(out: Console, key: str, name: str, value: Any, source: str, explanation: Explanation) -> None:
    """One parameter, line by line, each with the step that brought it."""
    from rich.text import Text

    marks, alone = _marks(explanation, key), _alone(explanation, key)
    out.print(Text.assemble(f"  {clean(name)}", (f"  {source}", "dim")))
    for place, line in enumerate(value_text(value).split("\n")):
        mark = f"{marks[place]:<5}" if place < len(marks) else ""
        out.print(Text(f"    {mark}{line}"), soft_wrap=True)
        if place < len(alone) and alone[place]:
            out.print(Text(f"         {clean(alone[place])}", style="dim"), soft_wrap=True)
    for line in explanation.removed.get(key, ()):
        out.print(Text(f"    [-]  {clean(line)}", style="dim"), soft_wrap=True)


def _print_demos(out: Console, value: Any, marks: list[str], alone: list[str], *, full: bool) -> None:
    from rich.text import Text

    demos = demos_of(value)
    labels = sum(demo.source.startswith("label ") for demo in demos)
    own = sum(demo.source.startswith("own answer") for demo in demos)
    kinds = [(labels, "labelled"), (own, "own answers that the metric accepted"), (len(demos) - labels - own, "others")]
    counted = ", ".join(f"{count} {kind}" for count, kind in kinds if count)
    out.print(Text.assemble(f"  demos  {len(demos)}", (f"  {counted}" if counted else "", "dim")))
    for number, demo in enumerate(demos if full else demos[:SHOWN], 1):
        mark = f"{marks[number - 1]:<5}" if number <= len(marks) else ""
        lead = f"    {number:>2}. {mark}"
        if full:
            for line in demo.lines:
                out.print(Text(f"{lead}{line}"), soft_wrap=True)
                lead = " " * len(lead)
        else:
            out.print(Text(f"{lead}{demo.brief(out.width - len(lead))}"), no_wrap=True, overflow="ellipsis", crop=True)
        out.print(Text(f"{' ' * 8}{demo.source}", style="dim"), soft_wrap=True)
        if number <= len(alone) and alone[number - 1]:
            out.print(Text(f"{' ' * 8}{clean(alone[number - 1])}", style="dim"), soft_wrap=True)
    if not full and len(demos) > SHOWN:
        out.print(Text(f"        … {len(demos) - SHOWN} more (--full shows them)", style="dim"))


def _own(path: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of one module by their name inside it."""
    dot = f"{path}." if path else ""
    return {
        key.removeprefix(dot): value
        for key, value in table(data, "parameters").items()
        if key.startswith(dot) and (path or "." not in key or key.startswith("fields."))
    }


def _others(data: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that no module of the file shows as its own."""
    shown = {
        f"{path}.{name}" if path else name for path in table(data, "program", "modules") for name in _own(path, data)
    }
    return {path: value for path, value in table(data, "parameters").items() if path not in shown}


def _source(path: str, name: str, value: Any, module: Any, data: Mapping[str, Any]) -> str:
    """Where the value of a parameter other than demonstrations came from, in words."""
    key = f"{path}.{name}" if path else name
    told = pick(data, "record", "winner", "provenance", key, kind=str)
    if told and pick(data, "record", "kept", kind=str) == "winner":
        return f"set by {clean(told)}"
    if name == "instruction" and value == reach(module, "signature", "description"):
        return "the description of the signature"
    if name == "instruction":
        return "set in code, or by an earlier compile"
    return "from the program"

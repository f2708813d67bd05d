"""Look into a program (its paths and what can be tuned), a compiled file, or the ledger of a search."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from outlast.cli import options
from outlast.cli.app import OK
from outlast.cli.output import console, emit_pretty
from outlast.cli.wording import clean, gain, names, one_line, percent, reach, table
from outlast.errors import DataError, UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from outlast.optimize.summary import Summary

EPILOG = """\
examples:
  outlast inspect app.py:triage                 paths and parameters of a program
  outlast inspect triage.outlast.json           what a compiled file sets, and for which modules
  outlast inspect triage.study.db --all         the candidates of a search, ranked; spending; the curve"""

SHOWN = 15


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("what", metavar="TARGET|X.outlast.json|STUDY.db", help="what to look into")
    parser.add_argument("--all", action="store_true", help=f"every candidate of a ledger, not the first {SHOWN}")
    options.add_common(parser, progress=False)


def run(args: argparse.Namespace) -> int:
    """Run the command; gives its exit code."""
    from outlast.cli.targets import FORM, looks_like_target
    from outlast.optimize.summary import is_database, summarize

    path = Path(args.what)
    if path.is_dir():
        raise UsageError(f"{args.what!r} is a folder; name a file or a target ({FORM})")
    if is_database(path):
        summary = summarize(path)
        emit_pretty(ledger_json(summary)) if args.json else _print_ledger(summary, args)
    elif looks_like_target(args.what) or path.suffix == ".py":
        found = program_json(args.what)
        emit_pretty(found) if args.json else _print_program(found)
    elif not path.exists():
        raise DataError(f"no file {args.what!r}, and no target either, which is {FORM}")
    else:
        from outlast import artifact

        data = artifact.read(path)
        emit_pretty(artifact_json(data)) if args.json else _print_artifact(data)
    return OK


# A program


def program_json(target: str) -> dict[str, Any]:
    """The modules and parameters of a program, by path, as JSON-ready data."""
    from outlast.cli.targets import input_names, load_program
    from outlast.modules.paths import modules_of, parameters
    from outlast.modules.predict import Predict
    from outlast.tracing.identity import program_hash

    program = load_program(target)
    modules: dict[str, Any] = {}
    for path, part in modules_of(program).items():
        modules[path] = {"module": type(part).__name__}
        if isinstance(part, Predict):
            signature: Any = part.signature
            modules[path] |= {
                "signature": signature.__name__,
                "inputs": list(signature.inputs),
                "outputs": list(signature.outputs),
            }
    values = {path: parameter_json(path, value) for path, value in parameters(program).items()}
    return {
        "program": type(program).__name__,
        "key": program_hash(program),
        "inputs": input_names(program),
        "modules": modules,
        "parameters": values,
    }


def parameter_json(path: str, value: Any) -> Any:
    """The value of a parameter for people: models and adapters by their looks, demonstrations by their values."""
    last = path.rpartition(".")[2]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if last == "demos":
        return [{"values": dict(demo.values), "source": demo.source} for demo in value]
    if last == "settings":
        return value.to_json()
    if last == "order":
        return list(value)
    return repr(value)


def _print_program(found: dict[str, Any]) -> None:
    from rich.text import Text

    out = console()
    inputs = ", ".join(found["inputs"]) if found["inputs"] is not None else "any"
    out.print(Text.assemble((found["program"], "bold"), f"({inputs})", (f"  {found['key']}", "dim")))
    out.print()
    modules = _table("module", "kind", "asks")
    for path, module in found["modules"].items():
        asks = ""
        if "signature" in module:
            asks = f"{module['signature']}: {', '.join(module['inputs'])} -> {', '.join(module['outputs'])}"
        modules.add_row(Text(path or "(program)"), Text(module["module"]), Text(clean(asks)))
    out.print(modules)
    out.print()
    values = _table("parameter", "value")
    for path, value in found["parameters"].items():
        values.add_row(Text(path), _value(path, value))
    out.print(values)


def _value(path: str, value: Any) -> Any:
    from rich.text import Text

    last = path.rpartition(".")[2]
    if value is None and last in ("lm", "adapter"):
        return Text("inherited", style="dim")
    if last == "demos":
        return Text(f"{len(value)} demonstrations" if value else "none", style="" if value else "dim")
    if last == "order":
        return Text(", ".join(value) if value else "as in the signature", style="" if value else "dim")
    if value in ("", {}):
        return Text("none", style="dim")
    return Text(one_line(value, 200))


# A compiled file


def artifact_json(data: Any) -> dict[str, Any]:
    """What a compiled file sets and for which modules, without the demonstrations' texts."""
    values = {
        path: len(value) if _is_demos(path, value) else value for path, value in table(data, "parameters").items()
    }
    return {
        "program": reach(data, "program", "class"),
        "key": reach(data, "record", "start", "hash"),
        "modules": table(data, "program", "modules"),
        "parameters": values,
        "record": table(data, "record"),
        "versions": table(data, "versions"),
    }


def _print_artifact(data: Any) -> None:
    from rich.text import Text

    out = console()
    name, key = clean(str(reach(data, "program", "class"))), clean(str(reach(data, "record", "start", "hash")))
    out.print(Text.assemble((name, "bold"), (f"  {key}", "dim")))
    result = table(data, "record", "result")
    if result:
        words = gain(result) or clean(str(result.get("reason", "")))
        out.print(
            Text(f"{clean(str(result.get('verdict')))}: {words}; {names(reach(data, 'record', 'models', 'asked'))}")
        )
    out.print()
    modules = _table("module", "kind", "fields")
    for path, module in table(data, "program", "modules").items():
        fields = ", ".join(map(str, table(module, "signature", "fields")))
        kind = f"{reach(module, 'module')} of {reach(module, 'signature', 'name')}"
        modules.add_row(Text(clean(path) or "(program)"), Text(clean(kind)), Text(clean(fields)))
    out.print(modules)
    out.print()
    values = _table("parameter", "value")
    for path, value in table(data, "parameters").items():
        text = f"{len(value)} demonstrations" if _is_demos(path, value) else one_line(value, 200)
        values.add_row(Text(clean(path)), Text(text))
    out.print(values)


def _is_demos(path: str, value: Any) -> bool:
    return (path == "demos" or path.endswith(".demos")) and isinstance(value, list)


# A ledger


def ledger_json(summary: Summary) -> dict[str, Any]:
    """A ledger at a glance, as JSON-ready data."""
    return {
        "about": dict(summary.about),
        "examples": dict(summary.parts),
        "candidates": [
            {
                "id": one.id,
                "origin": one.origin,
                "parent": one.parent,
                "n": one.n,
                "mean": one.mean,
                "rollouts": one.rollouts,
                "errors": one.errors,
                "changes": sorted(one.changes),
            }
            for one in summary.candidates
        ],
        "points": [point.to_json() for point in summary.points],
        "rollouts": summary.rollouts,
        "states": dict(summary.states),
        "spending": summary.spending.to_json(),
        "failures": summary.failures,
        "result": None if summary.record is None else summary.record.get("result"),
    }


def _print_ledger(summary: Summary, args: argparse.Namespace) -> None:
    from rich.text import Text

    out = console()
    out.print(Text(f"ledger of {clean(summary.about.get('program', '?'))}", style="bold"))
    lines = _table("", "")
    lines.show_header = False
    parts = ", ".join(f"{count} {name}" for name, count in summary.parts.items())
    states = ", ".join(f"{count:,} {state}" for state, count in summary.states.items())
    result = table(summary.record, "result")
    for name, text in (
        ("model", summary.about.get("model", "")),
        ("metric", summary.about.get("metric", "")),
        ("examples", parts),
        ("rollouts", f"{summary.rollouts:,}: {states}"),
        ("paid", str(summary.spending)),
        ("failures", f"{summary.failures:,} rollouts failed for outside reasons" if summary.failures else ""),
        ("result", str(result.get("reason") or "") if result else "not finished: run the same compile to go on"),
    ):
        if text:
            lines.add_row(Text(name, style="dim"), Text(clean(text)))
    out.print(lines)
    out.print()
    _print_candidates(summary, SHOWN if not args.all else len(summary.candidates))
    if summary.points:
        out.print()
        points = _table("calls", "leader", "mean", "on")
        for point in summary.points:
            points.add_row(f"{point.calls:,}", point.leader, percent(point.score), str(point.n))
        out.print(points)


def _print_candidates(summary: Summary, limit: int) -> None:
    from rich.text import Text

    out = console()
    ranked = _table("candidate", "mean", "on", "how it was made")
    for one in summary.candidates[:limit]:
        mean = Text(percent(one.mean) if one.mean is not None else "-", justify="right")
        errors = f" ({one.errors} errors)" if one.errors else ""
        ranked.add_row(Text(one.id), mean, Text(str(one.n), justify="right"), Text(clean(one.origin) + errors))
    out.print(ranked)
    if len(summary.candidates) > limit:
        out.print(Text(f"… {len(summary.candidates) - limit} more (--all shows them)", style="dim"))


def _table(*columns: str) -> Table:
    from rich.table import Table

    found = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in columns:
        found.add_column(column, overflow="fold")
    return found

"""What other packages add to outlast: models, adapters, metrics, checks, optimizers, retrievers and commands.

Loads each of them once, to tell which cannot be loaded.
"""

from __future__ import annotations

import argparse
import os
from typing import Any

from outlast.cli.app import COMMANDS, NO, OK
from outlast.cli.output import console, emit_pretty, say
from outlast.errors import ConfigError

EPILOG = """\
examples:
  outlast plugins
  OUTLAST_PLUGINS=acme-outlast outlast plugins      only what this package adds
  OUTLAST_PLUGINS=off outlast run ...               none

Exits with 1 when one of them cannot be used. A package adds things by entry points of the groups outlast.lms,
outlast.adapters, outlast.metrics, outlast.checks, outlast.optimizers, outlast.retrievers and outlast.commands."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--json", action="store_true", help="as JSON")


def run(args: argparse.Namespace) -> int:
    """List the plugins."""
    from outlast.plugins import plugins

    rows: list[dict[str, Any]] = [
        {
            "kind": one.kind,
            "name": one.name,
            "package": one.package,
            "version": one.version,
            "from": one.place,
            "problem": _problem(one),
        }
        for one in plugins()
    ]
    limit = os.environ.get("OUTLAST_PLUGINS", "").strip()
    if args.json:
        emit_pretty(rows)
    elif not rows:
        say(f"outlast: no plugins{f'; OUTLAST_PLUGINS is {limit!r}' if limit else ''}")
    else:
        _show(rows)
        if limit:
            say(f"outlast: only those of OUTLAST_PLUGINS={limit}")
    return NO if any(row["problem"] for row in rows) else OK


def _problem(one: Any) -> str | None:
    if one.kind == "commands" and one.name in COMMANDS:
        return f"outlast has a command {one.name!r} itself, which is the one that runs"
    try:
        one.load()
    except ConfigError as error:
        return str(error)
    return None


def _show(rows: list[dict[str, Any]]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in ("kind", "name", "package", "state"):
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(row["kind"], row["name"], f"{row['package']} {row['version']}", row["problem"] or "ok")
    console().print(table)

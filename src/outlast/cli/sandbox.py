"""Which sandboxes can run here, and the one step that some of them need.

Without arguments nothing is installed or fetched.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from outlast.cli.app import NO, OK
from outlast.cli.output import console, emit_pretty, say
from outlast.errors import SandboxUnavailable, UsageError

EPILOG = """\
examples:
  outlast sandbox                                   what can run here, and what the rest needs
  outlast sandbox install pyodide                   once: Pyodide from the npm registry (6.5 MB; 45 MB on disk)
  outlast sandbox install pyodide --from pyodide-314.0.7.tgz        the same, without a network

Code of a model runs in a sandbox. After the installation no sandbox uses the network."""

_INSTALLED = ("pyodide",)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("verb", nargs="?", choices=("install",), help="fetch what a sandbox needs, once")
    parser.add_argument("name", nargs="?", choices=_INSTALLED, help="of which sandbox")
    parser.add_argument("--from", dest="source", type=Path, metavar="FILE", help="the package as a file at hand")
    parser.add_argument("--json", action="store_true", help="as JSON")


def run(args: argparse.Namespace) -> int:
    """List the sandboxes, or install one."""
    if args.verb is None:
        if args.source is not None:
            raise UsageError("--from goes with `outlast sandbox install pyodide`")
        return _list(args.json)
    if args.name is None:
        raise UsageError(f"install what? outlast sandbox install {_INSTALLED[0]}")
    from outlast.sandbox.pyodide_home import install

    folder, new = install(args.source)
    if args.json:
        emit_pretty({"sandbox": args.name, "folder": str(folder), "new": new})
    else:
        say(f"outlast: Pyodide {'is' if new else 'was already'} in {folder}; sessions need no network")
    return OK


def _list(as_json: bool) -> int:
    from rich.table import Table

    import outlast as ol

    here: dict[str, str | None] = {}
    for sandbox in (ol.Pyodide(), ol.Bubblewrap()):
        try:
            sandbox.check()
            here[type(sandbox).__name__] = None
        except SandboxUnavailable as error:
            here[type(sandbox).__name__] = str(error)
    if as_json:
        emit_pretty([{"sandbox": name, "runs": why is None, "why": why} for name, why in here.items()])
    else:
        table = Table(box=None, pad_edge=False)
        for title in ("sandbox", "here"):
            table.add_column(title, overflow="fold")
        for name, why in here.items():
            table.add_row(name, why or "runs")
        console().print(table)
    return NO if all(here.values()) else OK

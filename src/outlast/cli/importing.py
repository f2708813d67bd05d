"""Logs of other tools, read into the store of traces: the prompts of llm, evaluations of Inspect and of promptfoo.

What is imported again replaces itself, so that a log can be imported as often as it grows."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING

from outlast.cli.app import OK
from outlast.cli.output import emit, say, stdout
from outlast.cli.stores import RULE, add_store_option, place_of
from outlast.cli.wording import clean, counted
from outlast.errors import UsageError

if TYPE_CHECKING:
    from outlast.tracing.imports.logs import Imported
    from outlast.tracing.store import Store

EPILOG = f"""\
examples:
  outlast import llm                              the log that llm keeps on this machine
  outlast import llm --since 01m8mbkbc4q8vm98je9fkd5g11
  outlast import inspect logs/*.eval --store traces.db
  outlast import promptfoo results.json && outlast view

The files are only read. {RULE}
Logs of Inspect that are packed with zstd need: pip install 'outlast[inspect]'."""


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("format", choices=("llm", "inspect", "promptfoo"), help="whose log it is")
    parser.add_argument("files", nargs="*", metavar="FILE", help="a logs.db, an .eval or .json, a results.json")
    parser.add_argument("--db", metavar="FILE", help="of llm: its database (LLM_USER_PATH, else where llm keeps it)")
    parser.add_argument("--since", metavar="ID", help="of llm: only what came after the entry with this id")
    add_store_option(parser)
    parser.add_argument("--json", action="store_true", help="a line of JSON for each file")


def run(args: argparse.Namespace) -> int:
    """Run the command; gives its exit code."""
    from outlast.tracing.imports.logs import import_log
    from outlast.tracing.store import open_store

    if args.format != "llm" and (args.db is not None or args.since is not None):
        raise UsageError("--db and --since are for the log of llm")
    if args.db is not None and args.files:
        raise UsageError("give the database of llm once, as FILE or as --db")
    files: list[str | None] = [args.db] if args.db is not None else list(args.files)
    if not files and args.format != "llm":
        raise UsageError(f"which files of {args.format}? outlast import {args.format} FILE ...")
    with open_store(place_of(args.store).address, create=True) as store:
        for file in files or [None]:
            done = import_log(store, args.format, file, since=args.since)
            if args.json:
                emit({"file": file, **asdict(done)})
            else:
                _tell(store, done, args.format)
    return OK


def _tell(store: Store, done: Imported, format: str) -> None:
    names = ", ".join(dict.fromkeys(clean(store.run(one).name) for one in done.runs))
    results = f", {counted(done.results, 'result')}" if done.results else ""
    print(f"{names}: {counted(done.traces, 'trace')}, {counted(done.spans, 'span')}{results}", file=stdout())
    for one in done.runs:
        print(f"  run {one}", file=stdout())
    if format == "llm" and done.last:
        print(f"  what comes later: --since {clean(done.last)}", file=stdout())
    if done.skipped:
        say(f"outlast: {done.skipped:,} skipped, as they could not be read")

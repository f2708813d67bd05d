"""Make a data set of what a program answered in production and somebody labelled, ready for outlast compile."""

from __future__ import annotations

import argparse
import json
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from outlast.cli import options
from outlast.cli.app import OK
from outlast.cli.output import emit_pretty, say
from outlast.cli.stores import RULE, add_store, elsewhere, named, opened, place_of
from outlast.errors import DataError, UsageError

if TYPE_CHECKING:
    from outlast.data.dataset import Dataset
    from outlast.modules.module import Module
    from outlast.tracing.store import Store

EPILOG = f"""\
examples:
  outlast data from-traces traces.db --program Triage --label pass --to train.jsonl --never-into test.jsonl
  outlast data from-traces --program Triage --targets corrections --label pass --to train.jsonl
  outlast compile app.py:triage train.jsonl --metric app.py:correct --out triage.outlast.json

Traces of evaluations, compilations and replays are left out, and so are inputs that an evaluation was scored on or that
stand in a file of --never-into, with near copies of them. Beside the file X.jsonl stands X.jsonl.about.json: the
version, where it comes from, and what was left out. Labels come from the page (outlast view), from ol.feedback and from
judges; a label under the name of an output is its right value (--targets corrections); with --program app.py:name it is
read as a value of the output's type, and left out when it is none.

{RULE}"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("verb", choices=("from-traces",), help="from-traces: the one there is")
    add_store(parser)
    parser.add_argument("--to", required=True, metavar="X.jsonl", help="the file to write")
    parser.add_argument(
        "--program",
        metavar="NAME",
        help="traces of this program: its class, a version's hash, or app.py:name, by which corrections are checked",
    )
    parser.add_argument("--path", metavar="PATH", help="the module at this path in each trace, such as 'route'")
    what = parser.add_argument_group("examples")
    what.add_argument("--label", metavar="VALUE", help="only what was labelled so, such as pass (a JSON value or text)")
    what.add_argument("--label-name", metavar="NAME", help="under this name (any)")
    what.add_argument(
        "--targets",
        choices=("outputs", "corrections", "labels"),
        default="outputs",
        help="what is known of the right answer: what was given (outputs), with what people put right, or labels",
    )
    what.add_argument("--fields", type=options.names, metavar="A,B", help="only these targets")
    what.add_argument(
        "--never-into", action="append", default=[], metavar="TEST.jsonl", help="leave out what stands there; repeat"
    )
    what.add_argument(
        "--near", type=float, default=0.8, metavar="X", help="likeness of near copies (0.8); 1: only equal"
    )
    what.add_argument("--evaluated", action="store_true", help="take inputs that an evaluation was scored on, too")
    which = parser.add_argument_group("which traces")
    which.add_argument("--since", metavar="TIME", help="such as '2 days', 90m, today, 2026-11-29")
    which.add_argument("--until", metavar="TIME")
    which.add_argument("--session", metavar="ID", help="of this conversation")
    which.add_argument("--tag", metavar="TAG")
    which.add_argument("--run", metavar="ID", help="of this run")
    which.add_argument("-m", "--lm", metavar="NAME", help="in which this model answered")
    which.add_argument("--text", metavar="WORDS", help="that hold these words")
    which.add_argument("--limit", type=options.count, metavar="N", help="look at the newest N")
    options.add_common(parser, progress=False)


def run(args: argparse.Namespace) -> int:
    """Run the command; gives its exit code."""
    from outlast.cli.talk.since import moment_of
    from outlast.tracing.examples import examples_from_traces
    from outlast.tracing.record import TraceFilter

    if Path(args.to).is_dir() or not args.to.endswith((".jsonl", ".ndjson")):
        raise UsageError(f"--to names a file of JSON lines, such as train.jsonl; got {args.to!r}")
    where = TraceFilter(
        run=args.run,
        lm=args.lm,
        since=None if args.since is None else moment_of(args.since),
        until=None if args.until is None else moment_of(args.until),
        session=args.session,
        text=args.text,
        tag=args.tag,
    )
    program = None if args.program is None else _program(args)
    place = place_of(named(args))
    with closing(opened(place)) as store:
        never = [_test_data(path, store, args) for path in args.never_into]
        found = examples_from_traces(
            store,
            where,
            program=program,
            path=args.path,
            label=_value(args.label),
            label_name=args.label_name,
            targets=args.targets,
            fields=args.fields,
            never_into=never,
            near=args.near,
            evaluated=args.evaluated,
            limit=args.limit,
        )
    found.save(args.to)
    if args.json:
        emit_pretty({name: value for name, value in found.to_json().items() if name != "traces"})
    else:
        say(f"outlast: {found}; in {args.to}{'' if len(found.data) else f'. Looked in {place}.{elsewhere(place)}'}")
    return OK


def _program(args: argparse.Namespace) -> Module | str:
    """The program, where --program says where it is; else what it says."""
    from outlast.cli.targets import load_program, looks_like_target

    if not looks_like_target(args.program):
        return args.program
    program = load_program(args.program)
    args.program = type(program).__name__
    return program


def _test_data(path: str, store: Store, args: argparse.Namespace) -> Dataset:
    """A data set of a file: what traces have as inputs are its inputs, unless it says so itself."""
    from outlast.data.readers import load_examples

    try:
        return load_examples(path, duplicates="keep")
    except DataError as error:
        names = _inputs(store, args)
        if "which columns are inputs" not in str(error) or not names:
            raise
        return load_examples(path, inputs=names, duplicates="keep")


def _inputs(store: Store, args: argparse.Namespace) -> list[str]:
    """The names of the inputs in the newest trace."""
    from outlast.tracing.record import TraceFilter

    for trace in store.traces(TraceFilter(name=args.program), limit=1) or store.traces(limit=1):
        for span in store.spans(trace.id):
            if (not span.parent_id) if args.path is None else span.path == args.path and span.kind == "module":
                return list(store.content(span).inputs or ())
    return []


def _value(text: str | None) -> Any:
    """The value of a label: JSON, else the text as it is."""
    if text is None:
        return None
    try:
        value: Any = json.loads(text)
    except ValueError:
        return text
    return text if isinstance(value, (list, dict)) else value

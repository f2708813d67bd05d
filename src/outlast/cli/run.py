"""Run a program on inputs. One JSON line of outputs for each input, in the same order; an input that fails gives
{"error": {"type": ..., "message": ...}} and the rest go on."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from outlast.cli import options
from outlast.cli.app import MODEL, NO, OK
from outlast.cli.output import emit, say, stdout
from outlast.errors import DataError, InputError, LMError, UsageError, brief, did_you_mean

if TYPE_CHECKING:
    from outlast.cli.row_progress import RowProgress
    from outlast.cli.stream import Answer
    from outlast.modules.module import Module

EPILOG = """\
examples:
  outlast run app.py:triage --lm openai/gpt-5-mini --input message="My card is gone"
  outlast run app.py:triage --from triage.outlast.json messages.jsonl > answers.jsonl
  cat messages.jsonl | outlast run app.py:triage - | jq .team
  outlast run app.py:triage --input message=hello --show      (the prompt; asks no model)
  outlast run app.py:agent --input question=why --checkpoint run.jsonl
  cat big.jsonl | outlast run app.py:triage - --trace traces.db > answers.jsonl    (and then: outlast logs --store ...)
  outlast run app.py:agent --resume run.jsonl                 (after a crash or Ctrl-C: goes on, pays nothing twice)

--input name=text gives text, --input name:=json any JSON value. Rows of a file are objects of inputs. Columns
that are no inputs of the program are left out, and stderr says which; --inputs says it itself. A row that lacks an
input is an error in its place."""


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("target", metavar="TARGET", help="module.py:name")
    parser.add_argument("data", metavar="FILE.jsonl", nargs="?", help="rows of inputs; - is standard input")
    parser.add_argument("--input", "-i", action="append", default=[], metavar="K=V", help="an input by name; repeat")
    parser.add_argument("--inputs", type=options.names, metavar="A,B", help="columns to take from each row")
    parser.add_argument("--limit", type=options.count, metavar="N", help="stop after N rows")
    parser.add_argument(
        "--checkpoint", metavar="FILE", help="keep replies and results of tools in FILE; run again, it goes on there"
    )
    parser.add_argument("--resume", metavar="FILE", help="go on with the run of a checkpoint, with the inputs it had")
    parser.add_argument("--show", action="store_true", help="print the prompt that would be sent; asks no model")
    options.add_artifact(parser)
    options.add_model(parser, concurrency=64)
    options.add_trace(parser)
    options.add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command; gives its exit code."""
    if args.resume is not None:
        return _resume(args)
    if bool(args.input) == (args.data is not None):
        raise UsageError("run takes either --input k=v ... or a file of rows (- for standard input)")
    if args.checkpoint is not None:
        if not args.input or args.show:
            raise UsageError("--checkpoint is for one run with --input k=v ...")
        return _checkpointed(args, args.checkpoint, _inputs(args.input))
    program = options.program_of(args)
    with _rows(args, program) as rows, options.model_in_use(args):
        if args.show:
            return _show(program, rows, args)
        options.need_model(program)
        return _answer(program, rows, args)


def _resume(args: argparse.Namespace) -> int:
    """Go on with a run that a checkpoint holds."""
    from outlast.runtime.journal import about

    if args.input or args.data is not None or args.checkpoint is not None or args.show:
        raise UsageError("--resume takes the inputs from the checkpoint; leave --input, FILE.jsonl and --show away")
    told = about(args.resume)
    if told.get("target") != args.target or not isinstance(told.get("inputs"), dict):
        raise DataError(
            f"the checkpoint {args.resume!r} is a run of {brief(told.get('target'))}, not of {args.target!r}"
        )
    return _checkpointed(args, args.resume, told["inputs"])


def _checkpointed(args: argparse.Namespace, path: str, inputs: dict[str, Any]) -> int:
    """Answer once, within a checkpoint."""
    from outlast.modules.checkpoint import checkpoint

    program = options.program_of(args)
    with options.model_in_use(args):
        options.need_model(program)
        with checkpoint(path, about={"target": args.target, "inputs": inputs}) as journal:
            code = _answer(program, iter([inputs]), args)
        if not args.no_progress and journal.replayed:
            known = f"{journal.replayed} answer{'s' if journal.replayed > 1 else ''}"
            say(f"outlast: {known} known from {path}, {journal.added} new")
    return code


class _Writer:
    """Prints answers as they come, keeps count of what failed, and tells how far it is."""

    def __init__(self, progress: RowProgress | None) -> None:
        self.done = self.failed = self.unasked = 0
        self.first: Exception | None = None
        self.progress = progress

    def __call__(self, answer: Answer) -> None:
        self.done += 1
        if answer.failure is not None:
            self.failed += 1
            self.unasked += isinstance(answer.failure, LMError)
            self.first = self.first or answer.failure
        emit(answer.to_json())
        if self.progress is not None:
            self.progress.show(self.done, self.failed)


def _answer(program: Module, rows: Iterator[Mapping[str, Any] | DataError], args: argparse.Namespace) -> int:
    from outlast.cli.row_progress import progress_of
    from outlast.cli.stream import answer_all

    with progress_of(args) as progress, _as_run(args):
        writer = _Writer(progress)
        answer_all(program, rows, args.concurrency, writer)
    first = writer.first
    if first is None:
        return OK
    if not args.no_progress:
        hint = " Other columns are left out with --inputs A,B." if isinstance(first, InputError) and args.data else ""
        say(f"outlast: {writer.failed} of {writer.done} rows failed; the first: {brief_line(str(first))}{hint}")
    return MODEL if writer.unasked == writer.done else NO


@contextmanager
def _as_run(args: argparse.Namespace) -> Generator[None]:
    """A block whose calls are one run of the store that --trace, or the environment, names."""
    if args.kept_in is None and not os.environ.get("OUTLAST_TRACE", "").strip():
        yield
        return
    from outlast.tracing.runs import stored_run

    with stored_run("cli", f"run {args.target}"):
        yield


def _show(program: Module, rows: Iterator[Mapping[str, Any] | DataError], args: argparse.Namespace) -> int:
    for row in rows:
        if isinstance(row, DataError):
            raise row
        messages = program.render(**row)
        if args.json:
            emit({"messages": [message.to_json() for message in messages]})
            continue
        for message in messages:
            print(f"[{message.role}]\n{message.shown}\n", file=stdout())
    return OK


@contextmanager
def _rows(args: argparse.Namespace, program: Module) -> Generator[Iterator[Mapping[str, Any] | DataError]]:
    """The rows of the command line, read one at a time; a line that cannot be read is an error in its place."""

    from outlast.cli.targets import input_names

    if args.input:
        yield iter([_inputs(args.input)])
        return
    inputs = input_names(program)
    if args.data == "-":
        yield _fitted(_parsed(_stdin_lines(), "standard input", args), inputs, args)
        return
    try:
        file = open(args.data, "rb")  # noqa: SIM115 - what is done with it raises errors of its own
    except OSError as error:
        raise DataError(f"cannot read {args.data!r}: {error.strerror}") from error
    with file:
        yield _fitted(_parsed(file, args.data, args), inputs, args)


def _fitted(
    rows: Iterator[Mapping[str, Any] | DataError], inputs: list[str] | None, args: argparse.Namespace
) -> Iterator[Mapping[str, Any] | DataError]:
    """The rows without the columns that are no inputs; one that lacks an input stays whole, for the program to refuse.

    A misspelled optional input would be lost otherwise.
    """
    told: set[str] = set()
    for row in rows:
        if inputs is None or args.inputs is not None or isinstance(row, DataError) or not set(inputs) <= set(row):
            yield row
            continue
        extra = [name for name in row if name not in inputs]
        if not told.issuperset(extra):
            told.update(extra)
            say(f"outlast: columns that are no inputs are left out: {', '.join(map(repr, extra))}")
        yield {name: row[name] for name in inputs}


def _stdin_lines() -> Iterator[bytes]:
    """Lines of standard input, unbuffered: what is there is answered before more comes, and Ctrl-C is not held up."""
    try:
        descriptor = sys.stdin.fileno()
    except (OSError, ValueError, AttributeError):  # a replaced stdin, as in tests and notebooks
        yield from (line.encode() for line in sys.stdin)
        return
    rest = b""
    while chunk := os.read(descriptor, 1 << 16):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
    if rest:
        yield rest


def _parsed(lines: Any, name: str, args: argparse.Namespace) -> Iterator[Mapping[str, Any] | DataError]:
    number = taken = 0
    for line in lines:
        number += 1
        if not line.strip():
            continue
        if args.limit is not None and taken >= args.limit:
            return
        taken += 1
        try:
            yield _row(line, args.inputs)
        except (ValueError, RecursionError) as error:
            yield DataError(f"{name}, line {number}: {error}")
    if not taken:
        raise DataError(f"{name} holds no rows")


def _row(line: bytes, columns: list[str] | None) -> Mapping[str, Any]:
    try:
        data = json.loads(line.decode().removeprefix("\ufeff"))
    except ValueError as error:
        raise ValueError(
            f"not JSON ({error}); the line is {brief(line.decode(errors='replace').strip(), 80)}"
        ) from None
    if not isinstance(data, dict):
        raise ValueError(f"a line is a JSON object of inputs; got {brief(data, 80)}")
    row = cast("dict[str, Any]", data)
    if isinstance(row.get("inputs"), dict) and set(row) <= {"id", "inputs", "targets"}:
        row = row["inputs"]
    if columns is None:
        return row
    missing = [name for name in columns if name not in row]
    if missing:
        near = did_you_mean(missing[0], row)
        raise ValueError(f"no column {missing[0]!r}.{near} Columns: {', '.join(row) or 'none'}.")
    return {name: row[name] for name in columns}


def _inputs(items: list[str]) -> dict[str, Any]:
    """The inputs of `--input` options."""
    values: dict[str, Any] = {}
    for item in items:
        name, equals, text = item.partition("=")
        is_json = name.endswith(":")
        name = name.removesuffix(":").strip()
        if not equals or not name:
            raise UsageError(f"--input is name=text or name:=json; got {item!r}")
        if name in values:
            raise UsageError(f"--input {name}=... is given twice")
        try:
            values[name] = json.loads(text) if is_json else text
        except ValueError as error:
            raise UsageError(f"--input {name}:=... is not JSON ({error}); for plain text write {name}=...") from None
    return values


def brief_line(text: str, limit: int = 300) -> str:
    """The text in one line, cut."""
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"

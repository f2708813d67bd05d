"""Run again what a store of traces holds: from the store alone, or with a model and set beside what it was."""

from __future__ import annotations

import argparse
import os
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from outlast.cli import options
from outlast.cli.app import MODEL, NO, OK
from outlast.cli.output import emit_pretty, say
from outlast.cli.replay_words import hint, missing, show
from outlast.cli.stores import RULE, Place, add_store_option, elsewhere, opened, place_of, where_else
from outlast.cli.wording import counted
from outlast.errors import DataError, LMReplayError, OutlastError, UsageError

if TYPE_CHECKING:
    from outlast.lms.protocol import LM
    from outlast.modules.module import Module
    from outlast.tracing.answering import Answers
    from outlast.tracing.store import Store

EPILOG = f"""\
examples:
  outlast replay 0193a5b2                               its exchanges, answered from the store
  outlast replay 0193a5b2 --program app.py:triage       the program runs again; no model is reached, no tool runs
  outlast replay 0193a5b2 --program app.py:triage --mode diff --lm openai/gpt-5 --from new.outlast.json
  outlast replay 7f3c9a01 --mode live --lm ollama/qwen3 one exchange, with another model
  outlast replay compile -- compile app.py:triage data.jsonl --metric app.py:correct --out again.outlast.json
  outlast replay RUN --to tests/triage.jsonl            a cassette for tests, to be reviewed in git

ID is a run, a trace or a span, or the beginning of its id (outlast logs shows them); last is the newest trace, and
compile, eval, cli and process stand for the newest run of that kind. A whole command after -- runs offline, with what
the models said in the run. --mode cache reaches no model: what is not in the store is an error that shows how it
differs. live and diff keep what happens in the store, in a run of kind "replay".

It exits with 1 where something else came out than is stored (not with --mode live), with 4 for a request that is not
in the store.

{RULE}"""

TAKES_COMMAND = True
_KINDS = ("process", "eval", "compile", "cli")
_RESULTS = {"-o", "--out", "--trace", "--study", "--save", "--html", "--json", "--no-progress", "--force", "--debug"}


def configure(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "id",
        metavar="ID",
        help="a run, a trace or a span by the beginning of its id; or last: the newest trace, eval, compile, cli or "
        "process: the newest run of that kind",
    )
    parser.add_argument("--mode", choices=("cache", "live", "diff"), help="cache unless --lm is given; then diff")
    parser.add_argument(
        "--program",
        metavar="app.py:name",
        help="run this program again; app.py alone: the one in it that is of the stored name",
    )
    parser.add_argument("--to", metavar="X.jsonl", help="write the exchanges as a cassette, and replay nothing")
    parser.add_argument("--force", action="store_true", help="replace the file of --to where there is one")
    add_store_option(parser)
    parser.add_argument("--all", action="store_true", help="every span, not only those that differ")
    parser.add_argument(
        "--verbose", "-v", action="store_true", help="differences whole, and every request that is not in the store"
    )
    options.add_artifact(parser)
    parser.add_argument("--artifact", dest="artifact", metavar="X.outlast.json", help="the same as --from")
    options.add_model(parser, concurrency=8)
    options.add_common(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command; gives its exit code."""
    _check(args)
    place = place_of(args.store)
    with closing(opened(place)) as store:
        args.id = _meant(store, place, args.id)
        if args.to is not None:
            return _cassette(store, args)
        if args.beyond is not None:
            return _command(store, args)
        return _replay(store, args)


def _check(args: argparse.Namespace) -> None:
    if args.artifact is not None and args.program is None:
        raise UsageError("--from is for a program: give --program app.py:name too")
    if args.mode is None:
        args.mode = "cache" if args.lm is None else "diff"
    if args.mode == "cache" and args.lm is not None:
        raise UsageError("--mode cache asks no model; leave --lm out, or give --mode diff")
    if args.to is not None and (args.program or args.beyond is not None or args.lm is not None):
        raise UsageError("--to writes the exchanges and replays nothing; leave the other options out")
    if args.beyond is not None and (args.program is not None or args.mode != "cache"):
        raise UsageError("a command after -- runs offline, with its own program; leave --program, --lm and --mode out")
    if args.beyond == []:
        raise UsageError("after -- stands a command, such as: -- eval app.py:triage data.jsonl --metric app.py:correct")


def _meant(store: Store, place: Place, id: str) -> str:
    """The whole id that is meant: names of kinds stand for the newest run of it. Raises `DataError`."""
    from outlast.tracing.exchanges import find
    from outlast.tracing.record import TraceFilter

    if id != "last" and id not in _KINDS:
        try:
            return find(store, id).id
        except DataError as error:
            raise where_else(place, error, id) from None
    found = store.traces(TraceFilter(replayed=False), limit=1) if id == "last" else store.runs(id, limit=1)
    if not found:
        noun = "trace" if id == "last" else f"run of the kind {id!r}"
        raise DataError(f"there is no {noun} in {place}.{elsewhere(place)}")
    return found[0].id


def _cassette(store: Store, args: argparse.Namespace) -> int:
    from outlast.tracing.cassettes import write_cassette

    if Path(args.to).exists() and not args.force:
        raise UsageError(f"{args.to!r} is there already; name another file, or give --force to replace it")
    written = write_cassette(store, args.id, args.to)
    if args.json:
        emit_pretty(written.to_json())
    else:
        say(f"outlast: {written}")
    return OK


def _command(store: Store, args: argparse.Namespace) -> int:
    """A whole command, offline."""
    from outlast.cli.app import dispatch
    from outlast.tracing.answering import replaying

    answers: Answers | None = None
    try:
        with _alone(), replaying(store, args.id) as answers:
            code = dispatch(list(args.beyond))
    except OutlastError:
        if answers is None or not answers.missed:
            raise
        first, *others = answers.missed
        for line in (*missing(first, tuple(map(str, others)), verbose=args.verbose), *_other_words(store, args)):
            say(line)
        code = MODEL
    if not args.no_progress:
        say(f"outlast: {counted(answers.given, 'answer')} from {store.database.place}; no model was asked")
    return code


def _other_words(store: Store, args: argparse.Namespace) -> list[str]:
    """How the command differs from that of the run, in the words that may change what is asked."""
    from outlast.tracing.exchanges import find

    said = [str(word) for word in getattr(find(store, args.id), "provenance", {}).get("argv") or ()][1:]
    if said[:1] != args.beyond[:1]:
        return []
    then, now = (_options(words) for words in (said, args.beyond))
    return [
        f"outlast: {whose}: {'  '.join(words)}"
        for whose, words in (
            ("the run was with", [one for one in then if one not in now]),
            ("this command is with", [one for one in now if one not in then]),
        )
        if words
    ]


def _options(words: Sequence[str]) -> list[str]:
    """Words of a command, each option with its value, without those that say where results go."""
    found: list[str] = []
    for word in words:
        if word.startswith("-") or not found or not found[-1].startswith("-") or " " in found[-1]:
            found.append(word)
        else:
            found[-1] += f" {word}"
    return [one for one in found if one.partition(" ")[0].partition("=")[0] not in _RESULTS]


@contextmanager
def _alone() -> Generator[None]:
    """Nothing of a replay counts: no ledger answers, no reading of a test split is noted, no trace is kept."""
    from outlast.runtime import set_defaults

    set_defaults(recording=None)
    names = ("OUTLAST_STUDIES", "OUTLAST_SPLITS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "off"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _replay(store: Store, args: argparse.Namespace) -> int:
    from outlast.modules.settings import context
    from outlast.runtime import set_defaults
    from outlast.tracing.replay import replay

    program = None if args.program is None else _program(store, args)
    set_defaults(recording=None)  # a replay says itself where it is kept
    try:
        with context(adapter=options.adapter_of(args)):
            found = replay(
                args.id,
                program,
                store=store.database.address,
                mode=args.mode,
                lm=_model(args),
                concurrency=args.concurrency,
            )
    except LMReplayError as error:
        say(*missing(error, error.others, verbose=args.verbose))
        return MODEL
    if args.json:
        emit_pretty(found.to_json())
    else:
        show(found, args)
        if program is None and found.kind == "run":
            hint(store.run(found.id))
    return OK if found.same or args.mode == "live" else NO


def _model(args: argparse.Namespace) -> LM | None:
    """The model of --lm, without its cache: what it says now is wanted."""
    from outlast.cli.aliases import resolved
    from outlast.lms.models import BUILT_IN

    if args.lm is None or resolved(args.lm)[0] in BUILT_IN:
        return options.model_of(args)
    return options.named_model(args.lm, cache=False, **options.given_options(args))


def _program(store: Store, args: argparse.Namespace) -> Module:
    """The program of the command line; of a file alone the one of the class that the traces are of."""
    if args.program.endswith(".py"):
        args.target = f"{args.program}:{_name_in(store, args)}"
    else:
        args.target = args.program
    return options.program_of(args)


def _name_in(store: Store, args: argparse.Namespace) -> str:
    from outlast.cli.targets import programs_in
    from outlast.tracing.exchanges import find, trace_ids

    wanted = {store.trace(id).name for id in trace_ids(store, find(store, args.id))}
    found = programs_in(args.program)
    fitting = [name for name, kind in found.items() if kind in wanted]
    made = [name for name in fitting if name != found[name]]
    if len(made) == 1:  # what was made of the class stands beside it
        fitting = made
    if len(fitting) != 1:
        listed = ", ".join(found) or "none"
        which = "no program" if not fitting else f"several programs ({', '.join(fitting)})"
        raise UsageError(
            f"{args.program} has {which} of {', '.join(sorted(wanted))}; say which one: {args.program}:NAME. "
            f"Programs: {listed}"
        )
    return fitting[0]

"""Run again what a store of traces holds: from the store alone, or with a model and set beside what it was."""

from __future__ import annotations

import argparse
import difflib
import json
import os
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from outlast.cli import options
from outlast.cli.app import MODEL, NO, OK
from outlast.cli.output import SHORT_ID, console, emit_pretty, say
from outlast.cli.stores import RULE, Place, add_store_option, elsewhere, opened, place_of, where_else
from outlast.cli.wording import counted
from outlast.errors import DataError, LMReplayError, OutlastError, UsageError

if TYPE_CHECKING:
    from outlast.lms.protocol import LM
    from outlast.modules.module import Module
    from outlast.tracing.aligned import Pair
    from outlast.tracing.answering import Answers
    from outlast.tracing.replay import Replay, ReplayedTrace
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
_LINES = 12  # of a difference that is shown
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
        _show(found, args)
        if program is None and found.kind == "run":
            _hint(store.run(found.id))
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


# Words


def missing(error: LMReplayError, others: tuple[str, ...], *, verbose: bool) -> Iterator[str]:
    """What was asked and is not in the recording, as lines: how the first differs from the nearest, and the others."""
    text = str(error)
    if verbose and error.difference:
        text = f"{text.partition(chr(10))[0]}\n{error.difference}"
    yield f"outlast: {text}"
    if others:
        yield f"outlast: {counted(len(others), 'other request')} {'is' if len(others) == 1 else 'are'} not there either"
        for other in others if verbose else ():
            yield f"outlast: {other}"
    if not verbose and (others or " more line" in text):
        yield "outlast: --verbose shows all of it"


def _show(found: Replay, args: argparse.Namespace) -> None:
    from outlast.cli.talk.terminal import shown

    out = console()
    for trace in found.traces:
        if found.mode == "live":
            out.print(shown(_text(trace.outputs)), soft_wrap=True)
            continue
        head = f"{trace.trace_id[:SHORT_ID]} {trace.name}: {'the same' if trace.same else 'something else came out'}"
        out.print(shown(head + (f" ({trace.note})" if trace.note else "")), soft_wrap=True)
        for line in _lines(trace, args.all, None if args.verbose else _LINES):
            out.print(shown(line), soft_wrap=True)
    told = str(found)
    if found.left_out:
        told += f"; {found.left_out} of other programs left out"
    if found.run_id:
        told += f"; kept as run {found.run_id[:SHORT_ID]}"
    say(f"outlast: {told}")


def _hint(record: Any) -> None:
    """How the command of an evaluation or a compilation runs as a whole, as its run says what it was."""
    import shlex

    words = record.provenance.get("argv") or ()
    if getattr(record, "kind", "") in ("eval", "compile") and len(words) > 1:
        said = shlex.join(str(word) for word in words[1:])
        say(f"outlast: the whole command, offline: outlast replay {record.id[:SHORT_ID]} -- {said}")


def _lines(trace: ReplayedTrace, every: bool, most: int | None) -> list[str]:
    lines: list[str] = []
    told: list[list[str]] = []
    for pair in trace.pairs:
        if not (every or pair.changed):
            continue
        sign = {"added": "+", "missing": "-"}.get(pair.changed[0], "~") if pair.changed else "="
        where = f"{pair.kind} {pair.path}".rstrip() + (f" (attempt {pair.attempt + 1})" if pair.attempt else "")
        lines.append(f"  {sign} {where}: {', '.join(pair.changed) or 'the same'}{_figures(pair)}")
        found = _difference(pair, most)
        if found in told:  # a program of one step: what came out of both is the same
            lines[-1] += " (as above)"
        elif found:
            told.append(found)
            lines += [f"      {line}" for line in found]
    return lines


def _figures(pair: Pair) -> str:
    """Tokens, cost and time, then and now."""
    told: list[str] = []
    if pair.kind == "lm":
        for name, form in (("input_tokens", "{} in"), ("output_tokens", "{} out"), ("cost", "${:.6f}")):
            told += _then_now(pair, name, form)
    told += _then_now(pair, "seconds", "{:.2f} s")
    return f"  [{', '.join(told)}]" if told else ""


def _then_now(pair: Pair, name: str, form: str) -> list[str]:
    sides = [None if side is None else getattr(side, name) for side in (pair.stored, pair.new)]
    shown = ["?" if value is None else form.format(value) for value in sides]
    if sides == [None, None]:
        return []
    return [shown[0] if shown[0] == shown[1] else " -> ".join(shown)]


def _difference(pair: Pair, most: int | None) -> list[str]:
    """How two spans differ, in `most` lines for each thing that does."""
    if pair.stored is None or pair.new is None:
        side = pair.new or pair.stored
        return [] if side is None else _text(side.error or side.outputs).split("\n")[:most]
    lines: list[str] = []
    for name in pair.changed:
        texts = (_text(getattr(side, name)).replace("\\n", "\n") for side in (pair.stored, pair.new))
        before, after = (text.split("\n") for text in texts)
        found = list(difflib.unified_diff(before, after, name, name, lineterm="", n=1))[2:]
        left = 0 if most is None else len(found) - most
        lines += found[:most] + ([f"... {left} more lines"] if left > 0 else [])
    return lines


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, indent=2)

"""The log of what was asked and answered: read it, search it, add up what it cost. Newest last.

Shows the last traces, or one whole with the tree of its spans: `outlast logs ID`, where ID is the beginning of its id.
"""

from __future__ import annotations

import argparse
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from outlast.cli.app import NO, OK
from outlast.cli.output import console, emit, emit_pretty, say, stdout
from outlast.cli.stores import RULE, Place, add_store_option, elsewhere, opened, place_of, where_else
from outlast.cli.talk.keeping import VERBS, manage
from outlast.errors import DataError, UsageError

if TYPE_CHECKING:
    from outlast.tracing.record import RunRecord, SpanRecord, TraceFilter, TraceRecord
    from outlast.tracing.saving import WholeTrace
    from outlast.tracing.store import Store

EPILOG = f"""\
examples:
  outlast logs                             the last three, prompts and replies
  outlast logs --short -n 20               one line each
  outlast logs -c                          the last conversation
  outlast logs -x                          the last code that was answered, alone
  outlast logs -q "refund" -m mini --since '2 days'
  outlast logs 0193a7                      one, whole: its spans, every message; or a run
  outlast logs --runs                      what every run came to: calls, tokens, cost, errors
  outlast logs --cost --since today        what it cost, by model
  outlast logs --json -n 0 | jq .reply     all, one line of JSON each
  outlast logs --store traces.db --program Triage
  outlast logs off | on | status | path
  outlast logs backup copy.db
  outlast logs gc --older-than 30d         forget what is older; what has labels stays

{RULE}
`outlast prompt` and `outlast chat` write there; programs do with OUTLAST_TRACE or ol.trace(store=...). Your log is
log.db in the data folder, or where OUTLAST_LOG says; OUTLAST_LOG=off keeps nothing of prompt and chat."""

_WHOLE, _SHORT = 3, 20  # traces that are shown when nobody says how many
_FOUND, _READ = 500, 100  # traces whose text is shown, and that are read whole at once


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "what", nargs="*", metavar="ID", help="a trace or a run; or on, off, status, path, backup PATH, gc"
    )
    which = parser.add_argument_group("which")
    which.add_argument("-n", type=_number, metavar="N", help="the last N (3, or 20 short ones); 0: all")
    which.add_argument("-q", dest="text", metavar="TEXT", help="those that hold these words")
    which.add_argument("-m", "--lm", metavar="NAME", help="those in which this model was asked")
    which.add_argument("--program", metavar="NAME", help="those of this program: its name, or the hash of a version")
    which.add_argument("--since", metavar="TIME", help="such as '2 days', 90m, today, 2026-11-29")
    which.add_argument("--until", metavar="TIME")
    which.add_argument("-t", "--session", metavar="ID", help="those of this conversation")
    which.add_argument("--conversation", "-c", action="store_true", help="those of the last conversation, all of them")
    which.add_argument("--run", metavar="ID", help="those of this run")
    which.add_argument("--tag", metavar="TAG")
    which.add_argument("--errors", action="store_true", help="those that failed")
    which.add_argument("--replays", action="store_true", help="also those of replays, which are left out without it")
    how = parser.add_argument_group("how")
    how.add_argument("--short", "-s", action="store_true", help="one line each")
    how.add_argument("-r", "--replies", action="store_true", help="what came out alone")
    how.add_argument("--extract", "-x", action="store_true", help="the first code block of the last one, alone")
    how.add_argument("--json", action="store_true", help="one line of JSON each")
    how.add_argument("--runs", action="store_true", help="runs in place of traces, and what each came to")
    how.add_argument("--cost", action="store_true", help="calls, tokens and dollars by model, of all of them")
    add_store_option(parser)
    parser.add_argument("--older-than", metavar="TIME", help="of gc: such as 30d")
    parser.add_argument("--labelled-too", action="store_true", help="of gc: forget what has labels as well")
    parser.add_argument("--queued-too", action="store_true", help="of gc: and what is in a queue")


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"a whole number from 0; got {text!r}")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Show, switch, copy or shorten the log."""
    word = args.what[0] if args.what else ""
    if word in VERBS:
        return manage(word, args)
    if args.older_than is not None or args.labelled_too or args.queued_too:
        raise UsageError("--older-than goes with gc: outlast logs gc --older-than 30d")
    if len(args.what) > 1:
        raise UsageError(f"outlast logs shows one trace by its id, or many by options; got {' '.join(args.what)!r}")
    place = place_of(args.store)
    with closing(opened(place, searched=args.text is not None)) as store:
        if word:
            return _one(store, place, word, args)
        if args.runs:
            return _runs(store, place, args)
        where = _filter(store, args)
        if args.extract:
            return _extracted(store, where, args)
        found = _cost(store, where, args) if args.cost else _many(store, where, args)
        if not found:
            say(f"outlast: no such traces in {place}.{_hidden(store, where)}{elsewhere(place)}")
    return OK if found else NO


def _hidden(store: Store, where: TraceFilter) -> str:
    """That there are such traces of replays."""
    count = store.count(replace(where, replayed=True)) if where.replayed is False else 0
    return f" {count:,} of replays {'is' if count == 1 else 'are'} left out: --replays." if count else ""


def _filter(store: Store, args: argparse.Namespace) -> TraceFilter:
    """Which traces the command line asks for."""
    from outlast.cli.aliases import resolved
    from outlast.cli.talk.log import TAG
    from outlast.cli.talk.since import moment_of
    from outlast.tracing.record import TraceFilter

    session = args.session
    if args.conversation:
        if session is not None:
            raise UsageError("-c is for the last conversation; -t names another one")
        last = store.traces(TraceFilter(tag=TAG, replayed=False), limit=1)
        session = last[0].session if last else ""
    name, version = args.program, None
    if name is not None and len(name) >= 6 and not set(name) - set("0123456789abcdef"):
        version = next((one.hash for one in store.programs() if one.hash.startswith(name)), None)
    return TraceFilter(
        name=None if version else name,
        program=version,
        lm=None if args.lm is None else _answering(resolved(args.lm)[0]),
        status="error" if args.errors else None,
        since=None if args.since is None else moment_of(args.since),
        until=None if args.until is None else moment_of(args.until),
        session=session,
        text=args.text,
        tag=args.tag,
        run=args.run,
        replayed=None if args.replays or args.run or args.cost else False,
    )


def _runs(store: Store, place: Place, args: argparse.Namespace) -> int:
    """Runs in place of traces."""
    from outlast.cli.talk.log_runs import newest, show_runs
    from outlast.cli.talk.since import moment_of

    given = {
        "-q": args.text,
        "-m": args.lm,
        "-t": args.session,
        "-c": args.conversation,
        "-x": args.extract,
        "--tag": args.tag,
        "--run": args.run,
    }
    given |= {"--errors": args.errors, "--short": args.short, "-r": args.replies, "--cost": args.cost}
    told = [option for option, value in given.items() if value]
    if told:
        raise UsageError(
            f"{', '.join(told)}: of traces; --runs goes with -n, --program, --since, --until, --replays, --json"
        )
    since, until = (None if one is None else moment_of(one) for one in (args.since, args.until))
    most = _SHORT if args.n is None else args.n
    found = newest(store, most, since=since, until=until, name=args.program, replays=args.replays)
    if not found:
        say(f"outlast: no such runs in {place}.{elsewhere(place)}")
        return NO
    show_runs(store, found, replays=args.replays, as_json=args.json)
    return OK


def _answering(model: str) -> str:
    """What a model calls itself in its answers, as far as its name tells: without its provider or engine."""
    from outlast.lms.engines import engine_of

    through = engine_of(model)
    return (model if through is None else through[1]).rpartition("/")[2] or model


def _many(store: Store, where: TraceFilter, args: argparse.Namespace) -> int:
    """Show traces; gives how many there were."""
    most = args.n if args.n is not None else 0 if args.conversation else _SHORT if args.short else _WHOLE
    found = store.all_traces(where, most or None)
    if args.short and not args.json:
        return _short(store, list(found)[::-1], args)
    ids = [trace.id for trace in found][::-1]
    for start in range(0, len(ids), _READ):
        for kept in store.whole(ids[start : start + _READ]):
            _print(kept, args)
    return len(ids)


def _extracted(store: Store, where: TraceFilter, args: argparse.Namespace) -> int:
    """The first code block of the newest reply that has one, among those that are asked for, or the last twenty."""
    from outlast.cli.prompt import first_block
    from outlast.cli.talk.log_text import clean, reply

    found = [trace.id for trace in store.all_traces(where, _SHORT if args.n is None else args.n or None)]
    for start in range(0, len(found), _READ):
        for kept in store.whole(found[start : start + _READ]):
            block = first_block(reply(kept))
            if block is not None:
                print(clean(block), file=stdout())
                return OK
    say(f"outlast: none of the last {len(found)} replies holds a code block")
    return NO


def _print(kept: WholeTrace, args: argparse.Namespace) -> None:
    from outlast.cli.talk.log_text import clean, overview, reply, trace_data

    if args.json:
        emit(trace_data(kept))
    elif args.replies:
        print(clean(reply(kept)), file=stdout())
    else:
        print("\n".join(overview(kept)), file=stdout())


def _short(store: Store, traces: list[TraceRecord], args: argparse.Namespace) -> int:
    from outlast.cli.talk.log_text import short_line

    snippets = {} if args.text is None else _snippets(store, args.text)
    for trace in traces:
        print(short_line(trace, snippets.get(trace.id, ""), _width()), file=stdout())
    return len(traces)


def _snippets(store: Store, text: str) -> dict[str, str]:
    """Where the words stand in the last traces that hold them."""
    return {hit.trace.id: hit.snippet for hit in store.search(text, limit=_FOUND)}


def _width() -> int:
    from shutil import get_terminal_size

    return get_terminal_size((100, 24)).columns if stdout().isatty() else 160


def _one(store: Store, place: Place, trace_id: str, args: argparse.Namespace) -> int:
    """One trace, whole, or that of a span; or a run, with its last traces."""
    from outlast.cli.talk.log_text import clean, head, overview, reply, steps, tree, whole_data
    from outlast.tracing.record import RunRecord, TraceRecord

    record = _named(store, place, trace_id)
    if isinstance(record, RunRecord):
        return _run(store, record, args)
    trace = record if isinstance(record, TraceRecord) else store.trace(record.trace_id)
    (kept,) = store.whole([trace.id])
    if args.json:
        emit_pretty(whole_data(kept))
        return OK
    out = stdout()
    if args.replies:
        print(clean(reply(kept)), file=out)
        return OK
    lines = head(trace) if trace.kind == "lm" else (*overview(kept), *tree(kept.spans))
    print("\n".join((*lines, *steps(kept))), file=out)
    for label in store.labels(trace_id=trace.id):
        note = f": {label.note}" if label.note else ""
        of = f" of step {label.span_id}" if label.span_id else ""
        print(clean(f"label {label.name}{of}: {label.value} ({label.source} {label.author}){note}"), file=out)
    return OK


def _run(store: Store, run: RunRecord, args: argparse.Namespace) -> int:
    """One run, and the last of its traces."""
    from outlast.cli.talk.log_runs import run_data, run_head
    from outlast.tracing.record import TraceFilter

    sums = store.totals([run], replays=False)[run.id]
    if args.json:
        emit_pretty(run_data(run, sums))
        return OK
    print("\n".join(run_head(run, sums, store.totals([run])[run.id].traces - sums.traces)), file=stdout())
    most = _SHORT if args.n is None else args.n
    found = list(store.all_traces(TraceFilter(run=run.id), most or None))
    if found:
        print(file=stdout())
        _short(store, found[::-1], args)
    return OK


def _named(store: Store, place: Place, id: str) -> RunRecord | TraceRecord | SpanRecord:
    """The run, trace or span of an id. Raises `DataError`, which says where there is one."""
    from outlast.tracing.exchanges import find

    try:
        return find(store, id)
    except DataError as error:
        raise where_else(place, error, id) from None


def _cost(store: Store, where: TraceFilter, args: argparse.Namespace) -> int:
    """What traces cost, by model; gives how many there were."""
    sums: dict[str, dict[str, Any]] = {}
    for trace in store.all_traces(where, args.n or None):
        for name in (" + ".join(trace.models) or "no model", ""):
            row = sums.setdefault(
                name, {"traces": 0, "calls": 0, "input_tokens": 0, "output_tokens": 0, "cost": None, "unpriced": 0}
            )
            row["traces"] += 1
            row["calls"] += trace.calls
            row["input_tokens"] += trace.input_tokens or 0
            row["output_tokens"] += trace.output_tokens or 0
            row["unpriced"] += trace.cost is None and trace.calls > 0
            if trace.cost is not None and trace.calls:
                row["cost"] = (row["cost"] or 0.0) + trace.cost
    total = sums.pop("", None)
    if total is None:
        return 0
    if args.json:
        emit_pretty({"models": sums, "total": total})
        return total["traces"]
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("model", overflow="fold")
    for title in ("traces", "calls", "tokens in", "tokens out", "cost"):
        table.add_column(title, justify="right")
    rows = sorted(sums.items(), key=lambda pair: -(pair[1]["cost"] or 0.0))
    for name, row in [*rows, ("total", total)] if len(rows) > 1 else rows:
        unknown = [f"{row['unpriced']:,} unknown"] if row["unpriced"] else []
        price = [f"${row['cost'] or 0:.4f}", *unknown] if row["cost"] is not None or not unknown else unknown
        counts = (f"{row[key]:,}" for key in ("traces", "calls", "input_tokens", "output_tokens"))
        table.add_row(_clean(name), *counts, " + ".join(price))
    console().print(table)
    return total["traces"]


def _clean(text: str) -> str:
    from outlast.cli.talk.log_text import clean

    return clean(text)

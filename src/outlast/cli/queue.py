"""Choose which traces people look at next, by a strategy, and keep them as a queue for the page (`outlast view`)."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any

from outlast.cli import options
from outlast.cli.app import OK
from outlast.cli.output import SHORT_ID, emit, say, stdout
from outlast.cli.stores import RULE, add_store, named, opened, place_of
from outlast.errors import UsageError

if TYPE_CHECKING:
    from outlast.tracing.record import QueueRecord
    from outlast.tracing.store import Store

EPILOG = f"""\
examples:
  outlast queue traces.db                                50 at random
  outlast queue traces.db --strategy clusters -n 30 --unlabelled
  outlast queue traces.db --strategy stratified --by model --since 7d --name "by model"
  outlast queue traces.db --label tone --criterion "The reply is friendly." --program Support
  outlast queue traces.db --list

strategies:
  random          each as likely as any other: rates that you count in it hold for all
  stratified      as many of each --by
  clusters        one of each group of similar texts, the largest group first
  uncertain       where a decision was least sure, or a judge's score nearest to the line
  disagreement    where people and a judge differ, or people among themselves
  failures        errors, failed labels and rows; one of each kind first
  slow, costly    the longest, the dearest

Prints the ids of the traces, one a line. They are chosen from the newest 5,000 that fit. Those of evaluations,
compilations and replays are left out, as they are by outlast data from-traces, unless --evaluated or --run asks for
them.

{RULE}"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_store(parser)
    parser.add_argument("--strategy", default="random", metavar="NAME", help="how they are chosen (random)")
    parser.add_argument("-n", type=options.count, default=50, metavar="N", help="how many at most (50)")
    parser.add_argument("--by", default="name", metavar="KEY", help="strata: name, model, tag, status, session (name)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="another choice (0)")
    parser.add_argument("--name", default="", metavar="TEXT", help="what the queue is called (the strategy)")
    parser.add_argument("--label", default="", metavar="NAME", help="what the labels are called (label)")
    parser.add_argument("--criterion", default="", metavar="TEXT", help="when a trace passes, in words")
    which = parser.add_argument_group("which")
    which.add_argument("-q", dest="text", metavar="TEXT", help="those that hold these words")
    which.add_argument("-m", "--lm", metavar="NAME", help="those in which this model answered")
    which.add_argument("--program", metavar="NAME", help="those of this program")
    which.add_argument("--run", metavar="ID", help="those of this run")
    which.add_argument("--since", metavar="TIME", help="such as '2 days', 90m, today, 2026-11-29")
    which.add_argument("--until", metavar="TIME")
    which.add_argument("--tag", metavar="TAG")
    which.add_argument("--errors", action="store_true", help="those that failed")
    which.add_argument("--unlabelled", action="store_true", help="those that nobody has said anything of")
    which.add_argument(
        "--evaluated", action="store_true", help="also those of evaluations, compilations and replays (not without)"
    )
    parser.add_argument("--list", action="store_true", help="the queues that there are")
    parser.add_argument("--json", action="store_true", help="as JSON")


def run(args: argparse.Namespace) -> int:
    """Make a queue, or list them."""
    with closing(opened(place_of(named(args)), write=not args.list)) as store:
        if args.list:
            return _list(store, args)
        queue = _made(store, args)
    if args.json:
        emit({**_told(queue), "trace_ids": list(queue.trace_ids), "reasons": queue.about.get("reasons", {})})
        return OK
    for id in queue.trace_ids:
        print(id, file=stdout())
    about = queue.about
    beyond = f" (the newest of {about['fitting']:,} that fit)" if about["fitting"] > about["pool"] else ""
    say(
        f"outlast: queue {queue.name!r}: {len(queue.trace_ids)} of {about['pool']:,} traces{beyond}, {queue.strategy}. "
        f"Label them with: outlast view {named(args) or ''}".rstrip()
    )
    return OK


def _made(store: Store, args: argparse.Namespace) -> QueueRecord:
    from outlast.cli.talk.since import moment_of
    from outlast.tracing.queues import make_queue
    from outlast.tracing.record import TraceFilter

    where = TraceFilter(
        run=args.run,
        name=args.program,
        lm=args.lm,
        status="error" if args.errors else None,
        since=None if args.since is None else moment_of(args.since),
        until=None if args.until is None else moment_of(args.until),
        text=args.text,
        tag=args.tag,
        labelled=False if args.unlabelled else None,
    )
    if args.criterion and not args.label:
        raise UsageError("--criterion needs --label NAME: the labels that are given by it are called so")
    about = {name: value for name, value in (("label", args.label), ("criterion", args.criterion)) if value}
    how: dict[str, Any] = {"where": where, "by": args.by, "seed": args.seed, "evaluated": args.evaluated}
    return make_queue(store, args.name, args.strategy, args.n, about=about, **how)


def _list(store: Store, args: argparse.Namespace) -> int:
    labelled = {
        (one.name, one.trace_id)
        for one in store.labels()
        if one.source == "human" and one.value is not None and not one.span_id
    }
    for queue in reversed(store.queues()):
        told = _told(queue)
        label = str(queue.about.get("label") or "label")
        told["labelled"] = sum((label, id) in labelled for id in queue.trace_ids)
        if args.json:
            emit(told)
        else:
            done = f"{told['labelled']} of {told['traces']}"
            name = "".join(one if one.isprintable() else "?" for one in queue.name)
            print(f"{queue.id[:SHORT_ID]}  {done:>10}  {queue.strategy:<12}  {name}", file=stdout())
    return OK


def _told(queue: QueueRecord) -> dict[str, Any]:
    about: Mapping[str, Any] = queue.about
    told = {name: about[name] for name in ("label", "criterion", "filter", "pool", "fitting", "seed") if name in about}
    return {"id": queue.id, "name": queue.name, "strategy": queue.strategy, "traces": len(queue.trace_ids), **told}

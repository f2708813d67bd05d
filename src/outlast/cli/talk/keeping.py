"""Keeping the log: `outlast logs on`, `off`, `status`, `path`, `backup` and `gc`."""

from __future__ import annotations

import argparse
from contextlib import closing
from pathlib import Path
from typing import Any

from outlast.cli.app import OK
from outlast.cli.output import emit_pretty, say, stdout
from outlast.cli.stores import Place, log, opened, place_of
from outlast.errors import DataError, UsageError

VERBS = ("on", "off", "status", "path", "backup", "gc")


def manage(verb: str, args: argparse.Namespace) -> int:
    """Do what one of `VERBS` says; gives the exit code."""
    from outlast.cli.talk.log import switch

    if len(args.what) != (2 if verb == "backup" else 1):
        raise UsageError(f"it is: outlast logs {verb}{' PATH' if verb == 'backup' else ''}")
    if (args.older_than is not None or args.labelled_too or args.queued_too) and verb != "gc":
        raise UsageError("--older-than, --labelled-too and --queued-too go with gc")
    place = place_of(args.store)
    if verb == "path":
        print(_clean(_address(place)), file=stdout())
        if place.why == "here":
            say(f"outlast: that is {place}; {log()} is for other folders")
        return OK
    if verb == "status":
        return _status(place, args)
    if verb in ("on", "off"):
        switch(verb == "on")
        say(f"outlast: the log is {verb}")
        return OK
    return _backup(place, args) if verb == "backup" else _gc(place, args)


def _address(place: Place) -> str:
    """Where the log is, without a password."""
    from outlast.tracing.database import shown_place

    return str(place.file.absolute()) if place.why == "here" and place.file else shown_place(place.address)


def _clean(text: str) -> str:
    from outlast.cli.talk.log_text import clean

    return clean(text)


def _status(place: Place, args: argparse.Namespace) -> int:
    from outlast.cli.talk.log import log_off

    off = log_off()
    told: dict[str, Any] = {"on": not off, "why_off": off or None, "place": _address(place), "why_there": place.why}
    try:
        with closing(opened(place)) as store:
            told |= store.stats()
    except DataError:
        told["traces"] = 0
    if args.json:
        emit_pretty(told)
        return OK
    out = stdout()
    why = {"named": "", "log": " (your log)", "here": " (the store of this folder)"}.get(place.why, f" ({place.why})")
    print(_clean(f"log     {'on' if not off else f'off: {off}'}"), file=out)
    print(_clean(f"place   {told['place']}{why}"), file=out)
    for name in ("traces", "spans", "labels", "bytes", "dropped"):
        if told.get(name) is not None:
            print(f"{name:<8}{told[name]:,}", file=out)
    if told.get("retention"):
        print(_clean(f"keeps   {told['retention']}; {told['removed']:,} traces were removed for it"), file=out)
    return OK


def _backup(place: Place, args: argparse.Namespace) -> int:
    path = Path(args.what[1])
    if path.exists():
        raise UsageError(f"{str(path)!r} is there already; name another file")
    with closing(opened(place)) as store:
        store.backup(path)
    say(f"outlast: copied {place} to {path}")
    return OK


def _gc(place: Place, args: argparse.Namespace) -> int:
    from outlast.cli.talk.since import span_of

    if args.older_than is None:
        raise UsageError("gc of what? outlast logs gc --older-than 30d")
    age = span_of(args.older_than)
    with closing(opened(place, write=True)) as store:
        before = store.stats()
        store.gc(older_than=age, keep_labelled=not args.labelled_too, keep_queued=not args.queued_too)
        after = store.stats()
    gone = before.get("traces", 0) - after.get("traces", 0)
    if args.json:
        emit_pretty({"removed": gone, "left": after.get("traces")})
    else:
        say(f"outlast: {gone:,} traces are gone, {after.get('traces', 0):,} are left")
    return OK

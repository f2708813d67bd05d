"""Whether the process that began something still runs: one that was killed could not say that it ended."""

from __future__ import annotations

import functools
import json
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import Any, Final, TypeVar, cast

import sqlalchemy as sa

from outlast.tracing import schema
from outlast.tracing.record import RunRecord, TraceRecord

R = TypeVar("R")

KILLED: Final = "killed"  # what is shown of what is open for ever
QUIET: Final = 300.0  # seconds without a new trace: forks of a process that is gone may go on with its run
_AT_ONCE = 500  # ids in one query


def process_mark() -> str:
    """This process among all others: its number, when it began, and where numbers of processes mean the same as here.
    "" where that cannot be told, as without /proc."""
    began, here = _began(os.getpid()), _here()
    return f"{os.getpid()}:{began}:{here}" if began and here else ""


def is_gone(mark: str) -> bool:
    """Whether the process of a mark has certainly ended; False for one elsewhere, and whenever it cannot be told."""
    number, _, rest = mark.partition(":")
    began, _, here = rest.partition(":")
    if not (number.isascii() and number.isdecimal() and began and here) or here != _here():
        return False
    try:
        os.kill(int(number), 0)  # asks only; on a system with /proc
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):  # it is there, and somebody else's
        pass
    found = _began(int(number))
    return found not in ("", began)


def _began(number: int) -> str:
    """When a process began, in ticks of its machine; "ended" of one that only waits to be looked at, "" unknown."""
    try:
        with open(f"/proc/{number}/stat", encoding="ascii", errors="replace") as file:
            state, *told = file.read().rpartition(")")[2].split()
    except (OSError, ValueError):
        return ""
    return "ended" if state in "ZX" else told[18] if len(told) > 18 else ""


@functools.lru_cache(maxsize=1)
def _here() -> str:
    """The machine since it was started, and the part of it that counts its processes; "" unknown."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            started = file.read().strip()
        return blake2b(f"{started} {os.readlink('/proc/self/ns/pid')}".encode(), digest_size=8).hexdigest()
    except (OSError, ValueError):
        return ""


def killed_runs(connection: sa.Connection, ids: Iterable[str] | None = None) -> set[str]:
    """Those of some runs, or of all, that never ended, whose process is gone, and to which nothing came for a while."""
    runs, traces = schema.runs, schema.traces
    query = sa.select(runs.c.id, runs.c.started, runs.c.provenance).where(
        runs.c.status == "open", runs.c.ended.is_(None)
    )
    listed = None if ids is None else sorted(set(ids))
    parts: list[Sequence[str]] = (
        [] if listed is None else [listed[at : at + _AT_ONCE] for at in range(0, len(listed), _AT_ONCE)]
    )
    queries = [query] if listed is None else [query.where(runs.c.id.in_(some)) for some in parts]
    since, found = time.time() - QUIET, set[str]()
    for one in queries:
        for id, started, provenance in connection.execute(one).all():
            if started < since and is_gone(_mark(provenance)):
                news = sa.select(traces.c.seq).where(traces.c.run_id == id, traces.c.started >= since).limit(1)
                if connection.execute(news).first() is None:
                    found.add(id)
    return found


def _mark(provenance: str) -> str:
    try:
        told: Any = json.loads(provenance).get("process")
    except (ValueError, AttributeError):
        return ""
    return told if isinstance(told, str) else ""


def judged(connection: sa.Connection, records: list[R]) -> list[R]:
    """Records of runs and traces as they are: those that are open for ever, as their process was killed, say so."""
    open_ones = {
        at: one.id if isinstance(one, RunRecord) else one.run_id
        for at, one in enumerate(records)
        if isinstance(one, (RunRecord, TraceRecord)) and one.status == "open"
    }
    if not open_ones:
        return records
    killed = killed_runs(connection, open_ones.values())
    return [
        cast("R", replace(cast("Any", one), status=KILLED)) if open_ones.get(at) in killed else one
        for at, one in enumerate(records)
    ]

"""Keeping a store small and safe: removing what is old, and copying it while others write."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from outlast.errors import DataError, UsageError, brief
from outlast.tracing import schema
from outlast.tracing.database import Database
from outlast.tracing.living import killed_runs
from outlast.tracing.unused import YOUNG, Led

if TYPE_CHECKING:
    from outlast.tracing.retention import Retention

_CHUNK = 500  # traces, or pieces of content, that one transaction removes, so that nobody waits long
_AT_ONCE = 100_000  # pieces of content that are known to be unused at once
_DAY = 86_400.0  # seconds that a trace which is still open stays beyond its age when its run is over
_LOST = 30 * _DAY  # when nobody can say whether it is
_PASSING = ("process", "cli", "replay", "import")  # kinds of runs that say nothing without their traces


@dataclass(frozen=True, slots=True)
class Kept:
    """Which traces stay though they are old: those with a label, those in a queue, those of evaluations and
    compilations."""

    labelled: bool = True
    queued: bool = True
    evaluated: bool = True

    @classmethod
    def by(cls, retention: Retention) -> Kept:
        """As a retention says it."""
        return cls(not retention.labelled, not retention.queued, not retention.evaluations)


def collect(database: Database, older_than: float, kept: Kept) -> dict[str, int]:
    """Remove traces that began more than `older_than` seconds ago, then what nothing refers to."""
    if isinstance(older_than, bool) or not isinstance(older_than, (int, float)) or not older_than >= 0:
        raise UsageError(f"older_than is a number of seconds from 0; got {brief(older_than)}")
    until = time.time() - older_than
    gone, after = 0, (0.0, 0)
    while after is not None:
        removed, after = remove_traces(database, until, kept, after=after, most=_CHUNK)
        gone += removed
    content = sum(remove_rest(database, until))
    if database.lite and gone:
        with database.reading() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)")
    return {"traces": gone, "content": content}


def remove_traces(
    database: Database, until: float, kept: Kept, *, after: tuple[float, int], most: int, led: Led | None = None
) -> tuple[int, tuple[float, int] | None]:
    """Remove at most `most` traces that began before a moment, the oldest first; how many went, and where to go on: the
    time and number of the last one, None when there are no more. `led` gets what they led to."""
    traces = schema.traces
    with database.reading() as connection:  # looking takes no lock, and may have to look at many that stay
        old = _old(database, until, kept, _killed(connection, until)).where(
            traces.c.started >= after[0], sa.or_(traces.c.started > after[0], traces.c.seq > after[1])
        )
        found = connection.execute(old.order_by(traces.c.started, traces.c.seq).limit(most)).all()
    if not found:
        return 0, None
    with database.changing() as connection:
        still = connection.execute(old.where(traces.c.seq.in_([row.seq for row in found]))).all()
        ids, seqs = [row.id for row in still], [row.seq for row in still]
        if led is not None:
            led.add(connection, ids)
        connection.execute(sa.delete(schema.spans).where(schema.spans.c.trace_id.in_(ids)))
        connection.execute(sa.delete(schema.labels).where(schema.labels.c.trace_id.in_(ids)))
        if database.lite:
            for seq in seqs:
                connection.exec_driver_sql("DELETE FROM trace_text WHERE rowid = ?", (seq,))
        connection.execute(sa.delete(traces).where(traces.c.seq.in_(seqs)))
    return len(still), (found[-1].started, found[-1].seq) if len(found) == most else None


def _old(database: Database, until: float, kept: Kept, killed: set[str]) -> Any:
    """The traces that began before a moment and need not stay. What is open may still run: it stays for a day more and
    while its run goes on, for 30 days more where that never says that it ended and was not `killed` for certain."""
    traces, labels, runs = schema.traces, schema.labels, schema.runs
    going_on = sa.and_(traces.c.run_id.in_(sa.select(runs.c.id).where(runs.c.ended.is_(None))), ~_any(killed))
    over = sa.or_(
        traces.c.status != "open",
        sa.and_(traces.c.started < until - _DAY, ~going_on),
        traces.c.started < until - _LOST,
    )
    old = sa.select(traces.c.seq, traces.c.id, traces.c.started).where(traces.c.started < until, over)
    if kept.labelled:
        old = old.where(~sa.exists().where(labels.c.trace_id == traces.c.id, labels.c.undone.is_(None)))
    if kept.evaluated:
        old = old.where(traces.c.run_id.not_in(sa.select(runs.c.id).where(runs.c.kind.in_(("eval", "compile")))))
    if kept.queued:
        each = (
            "SELECT one.value FROM queues, json_each(queues.trace_ids) one"
            if database.lite
            else "SELECT jsonb_array_elements_text(trace_ids::jsonb) FROM queues"
        )
        old = old.where(sa.text(f"traces.id NOT IN ({each})"))
    return old


def _any(runs: set[str]) -> sa.ColumnElement[bool]:
    return schema.traces.c.run_id.in_(sorted(runs)[:_CHUNK])


def _killed(connection: sa.Connection, until: float) -> set[str]:
    """The runs of open traces that might go, as far as their processes were killed."""
    traces = schema.traces
    lost = sa.select(traces.c.run_id).distinct()
    lost = lost.where(traces.c.status == "open", sa.text("status <> 'ok'"), traces.c.started < until - _DAY)
    return killed_runs(connection, [row[0] for row in connection.execute(lost)])


def remove_rest(database: Database, until: float) -> Iterator[int]:
    """Remove what nothing leads to any more: content, messages, and runs that ended before a moment and said nothing
    but what their traces did. A little for each step; gives how many pieces of content went with it.

    What to remove is looked for without a lock. Meanwhile something may be needed again; it is young then.
    """
    for table, unused in ((schema.blobs, _unused_blobs), (schema.messages, _unused_messages)):
        more = True
        while more:
            young = time.time() - YOUNG
            with database.reading() as connection:
                keys = [row[0] for row in connection.execute(unused(young).limit(_AT_ONCE))]
            more = len(keys) == _AT_ONCE
            for start in range(0, len(keys), _CHUNK):
                some = keys[start : start + _CHUNK]
                with database.changing() as connection:
                    gone = _deleted(connection, sa.delete(table).where(table.c.key.in_(some), table.c.created < young))
                more = more and gone > 0
                yield gone
    remove_runs(database, until)


def _unused_blobs(young: float) -> Any:
    spans, blobs = schema.spans, schema.blobs
    columns = (spans.c.inputs_key, spans.c.outputs_key, spans.c.request_key, spans.c.response_key)
    used = (sa.select(column).where(column.is_not(None)) for column in columns)
    return sa.except_(sa.select(blobs.c.key).where(blobs.c.created < young), *used)


def _unused_messages(young: float) -> Any:
    """A message is needed by those after it: what is used are the ends of conversations, and all that they lead to."""
    spans, messages = schema.spans, schema.messages
    used = sa.select(spans.c.request_tail.label("key")).where(spans.c.request_tail.is_not(None)).cte(recursive=True)
    before = sa.select(messages.c.parent).where(messages.c.key == used.c.key, messages.c.parent.is_not(None))
    used = used.union(before)
    return sa.except_(sa.select(messages.c.key).where(messages.c.created < young), sa.select(used.c.key))


def remove_runs(database: Database, until: float) -> None:
    """Remove runs that ended or were killed before a moment, have no traces, and said nothing but what those did."""
    runs, traces, inner = schema.runs, schema.traces, schema.runs.alias()
    with database.reading() as connection:
        killed = sorted(killed_runs(connection))[:_CHUNK]
    with database.changing() as connection:
        empty = sa.select(runs.c.id).where(
            runs.c.kind.in_(_PASSING),
            runs.c.started < until,
            sa.or_(runs.c.ended < until, runs.c.id.in_(killed)),
            ~sa.exists().where(traces.c.run_id == runs.c.id),
            ~sa.exists().where(inner.c.parent_id == runs.c.id),
        )
        connection.execute(sa.delete(runs).where(runs.c.id.in_(empty)))


def _deleted(connection: sa.Connection, statement: Any) -> int:
    return connection.execute(statement).rowcount


def copy(database: Database, path: Path) -> Path:
    """A whole copy of an SQLite store in a new file. Raises `DataError` where there is one already, and when it cannot
    be made; no part of one is left then."""
    if not database.lite:
        raise UsageError("a store on PostgreSQL is copied with pg_dump")
    if os.path.lexists(path):
        raise DataError(f"{str(path)!r} exists already; name another file")
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        with database.reading() as connection:
            raw = connection.connection.driver_connection
            assert raw is not None
            raw.execute("VACUUM INTO ?", (str(path),))
    except FileExistsError as error:  # made in this moment, by somebody else
        raise DataError(f"{str(path)!r} exists already; name another file") from error
    except (OSError, sqlite3.Error, DataError) as error:
        with suppress(OSError):
            path.unlink()
        raise DataError(
            f"the copy {str(path)!r} cannot be made: {getattr(error, 'strerror', None) or error}"
        ) from error
    return path

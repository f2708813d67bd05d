"""Keeping a store small and safe: removing what is old, and copying it while others write."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from outlast.errors import DataError, UsageError, brief
from outlast.tracing import schema
from outlast.tracing.database import Database

_CHUNK = 500  # traces that one transaction removes, so that nobody waits long
_YOUNG = 3600.0  # seconds for which content stays though nothing refers to it yet: its span may be on its way


def collect(database: Database, older_than: float, *, keep_labelled: bool) -> dict[str, int]:
    """Remove traces that began more than `older_than` seconds ago, then content that nothing refers to."""
    if isinstance(older_than, bool) or not isinstance(older_than, (int, float)) or not older_than >= 0:
        raise UsageError(f"older_than is a number of seconds from 0; got {brief(older_than)}")
    now = time.time()
    gone = 0
    while removed := _remove_traces(database, now - older_than, keep_labelled):
        gone += removed
    content = _remove_content(database, now - _YOUNG)
    if database.lite and gone:
        with database.reading() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)")
    return {"traces": gone, "content": content}


def _remove_traces(database: Database, until: float, keep_labelled: bool) -> int:
    traces, labels = schema.traces, schema.labels
    old = sa.select(traces.c.seq, traces.c.id).where(traces.c.started < until)
    if keep_labelled:
        old = old.where(~sa.exists().where(labels.c.trace_id == traces.c.id, labels.c.undone.is_(None)))
    with database.changing() as connection:
        found = connection.execute(old.order_by(traces.c.started).limit(_CHUNK)).all()
        if not found:
            return 0
        ids, seqs = [row.id for row in found], [row.seq for row in found]
        connection.execute(sa.delete(schema.spans).where(schema.spans.c.trace_id.in_(ids)))
        connection.execute(sa.delete(labels).where(labels.c.trace_id.in_(ids)))
        if database.lite:
            for seq in seqs:
                connection.exec_driver_sql("DELETE FROM trace_text WHERE rowid = ?", (seq,))
        connection.execute(sa.delete(traces).where(traces.c.seq.in_(seqs)))
    return len(found)


def _remove_content(database: Database, until: float) -> int:
    """Remove content and messages that no span leads to. A message is needed by those after it, so the ends of
    conversations go first, until nothing more does."""
    spans, blobs, messages = schema.spans, schema.blobs, schema.messages
    gone = 0
    with database.changing() as connection:
        used = sa.union(
            *(
                sa.select(column).where(column.is_not(None))
                for column in (spans.c.inputs_key, spans.c.outputs_key, spans.c.request_key, spans.c.response_key)
            )
        )
        gone += _deleted(connection, sa.delete(blobs).where(blobs.c.created < until, blobs.c.key.not_in(used)))
    tails = sa.select(spans.c.request_tail).where(spans.c.request_tail.is_not(None))
    while True:
        with database.changing() as connection:
            after = messages.alias()
            parents = sa.select(after.c.parent).where(after.c.parent.is_not(None))
            removed = _deleted(
                connection,
                sa.delete(messages).where(
                    messages.c.created < until, messages.c.key.not_in(tails), messages.c.key.not_in(parents)
                ),
            )
        gone += removed
        if not removed:
            return gone


def _deleted(connection: sa.Connection, statement: Any) -> int:
    return connection.execute(statement).rowcount


def copy(database: Database, path: Path) -> Path:
    """A whole copy of an SQLite store in a new file. Raises `DataError` where there is one already."""
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
    except OSError as error:
        raise DataError(f"the copy {str(path)!r} cannot be made: {error.strerror or error}") from error
    return path

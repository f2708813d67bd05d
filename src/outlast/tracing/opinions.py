"""What people, judges and users say of traces: labels, which are never changed, and queues of what to look at."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from outlast.errors import UsageError, brief
from outlast.tracing import schema
from outlast.tracing.packing import new_trace_id, storable
from outlast.tracing.record import LabelRecord, QueueRecord, SpanRecord, TraceRecord
from outlast.tracing.rows import Reading, values

SOURCES = ("human", "judge", "user", "code", "classifier")


class Opinions(Reading):
    """The labels and queues of a store."""

    def add_label(
        self,
        trace_id: str,
        value: Any,
        *,
        name: str = "label",
        note: str = "",
        tags: Sequence[str] = (),
        author: str = "",
        source: str = "human",
        span_id: str | None = None,
        rubric: str = "",
        rubric_version: str = "",
        seconds_spent: float | None = None,
    ) -> LabelRecord:
        """Say something of a trace, or of a span of it. The newest label of an author under a name counts.

        Secrets in its texts are hidden. Raises `UsageError` for a value that is no text, finite number, truth value or
        None, for a note, tag or name that is no text, and for a span of another trace.
        """
        plain = value is None or isinstance(value, (str, int, float, bool))
        if not plain or (isinstance(value, float) and not math.isfinite(value)):
            raise UsageError(f"the value of a label is a text, a number, True, False or None; got {brief(value)}")
        if source not in SOURCES:
            raise UsageError(f"the source of a label is one of {', '.join(SOURCES)}; got {brief(source)}")
        words = {"name": name, "note": note, "author": author, "rubric": rubric, "rubric_version": rubric_version}
        for word, text in words.items():
            if not isinstance(text, str):
                raise UsageError(f"the {word} of a label is a text; got {brief(text)}")
        listed: tuple[Any, ...] = (None,) if isinstance(tags, str) or not isinstance(tags, Iterable) else tuple(tags)
        if not all(isinstance(one, str) for one in listed):
            raise UsageError(f"tags are a list of texts; got {brief(tags)}")
        trace = self._one(schema.traces, schema.traces.c.id, trace_id, TraceRecord, "trace").id
        record = LabelRecord(
            new_trace_id(),
            trace,
            "" if not span_id else self._span_in(trace, span_id),
            _told(name),
            _told(value) if isinstance(value, str) else value,
            _told(note),
            tuple(_told(one) for one in listed),
            _told(author),
            source,
            rubric,
            rubric_version,
            time.time(),
            seconds_spent,
        )
        with self.database.changing() as connection:
            connection.execute(sa.insert(schema.labels).values(**values(record), undone=None))
            self._unindex(connection, record.trace_id)
        return record

    def labels(
        self,
        trace_id: str | Sequence[str] | None = None,
        name: str | None = None,
        author: str | None = None,
        source: str | None = None,
        *,
        history: bool = False,
    ) -> list[LabelRecord]:
        """Labels, oldest first: the newest of each author under a name for a trace or span; all with `history`, but
        those that were taken back. `trace_id` may be several traces, by their whole ids."""
        table = schema.labels
        query = sa.select(table).where(table.c.undone.is_(None)).order_by(table.c.created, table.c.id)
        if isinstance(trace_id, str):
            trace = self._one(schema.traces, schema.traces.c.id, trace_id, TraceRecord, "trace")
            query = query.where(table.c.trace_id == trace.id)
        elif trace_id is not None:
            query = query.where(table.c.trace_id.in_(list(trace_id)))
        for column, wanted in ((table.c.name, name), (table.c.author, author), (table.c.source, source)):
            if wanted is not None:
                query = query.where(column == wanted)
        found = self._all(query, LabelRecord)
        if history:
            return found
        newest: dict[tuple[str, ...], LabelRecord] = {}
        for one in found:
            key = one.trace_id, one.span_id, one.name, one.author
            newest.pop(key, None)
            newest[key] = one
        return list(newest.values())

    def undo_label(self, label_id: str) -> None:
        """Take a label back; what its author said before counts again. It stays in the store, marked."""
        found = self._one(schema.labels, schema.labels.c.id, label_id, LabelRecord, "label")
        with self.database.changing() as connection:
            table = schema.labels
            connection.execute(sa.update(table).where(table.c.id == found.id).values(undone=time.time()))
            self._unindex(connection, found.trace_id)

    def add_queue(
        self, name: str, strategy: str, trace_ids: Iterable[str], about: Mapping[str, Any] | None = None
    ) -> QueueRecord:
        """Keep a list of traces that somebody is to look at, in this order."""
        record = QueueRecord(new_trace_id(), name, strategy, time.time(), dict(about or {}), tuple(trace_ids))
        with self.database.changing() as connection:
            connection.execute(sa.insert(schema.queues).values(**values(record)))
        return record

    def queues(self) -> list[QueueRecord]:
        """All queues, newest first."""
        return self._all(sa.select(schema.queues).order_by(schema.queues.c.created.desc()), QueueRecord)

    def queue(self, id: str) -> QueueRecord:
        """One queue."""
        return self._one(schema.queues, schema.queues.c.id, id, QueueRecord, "queue")

    def _span_in(self, trace_id: str, span_id: str) -> str:
        """The whole id of a span of a trace."""
        span = self._one(schema.spans, schema.spans.c.id, span_id, SpanRecord, "span")
        if span.trace_id != trace_id:
            raise UsageError(f"the span {span.id!r} is of the trace {span.trace_id}, not of {trace_id}")
        return span.id

    def _unindex(self, connection: sa.Connection, trace_id: str) -> None:
        connection.execute(sa.update(schema.traces).where(schema.traces.c.id == trace_id).values(indexed=0))


def _told(text: str) -> str:
    """A text as it may be stored."""
    from outlast.lms.caching.hiding import hide_in_text, known_secrets

    return storable(hide_in_text(text, known_secrets()))

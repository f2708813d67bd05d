"""Whole records go into a store, as importers have them: what has the same id is replaced, so that twice is as once."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final

from outlast.errors import OutlastError
from outlast.lms.caching.hiding import known_secrets, without_secrets
from outlast.tracing import schema
from outlast.tracing.encoding import Encoder
from outlast.tracing.filing import Row, Rows
from outlast.tracing.packing import dumps
from outlast.tracing.record import Content, ResultRecord, RunRecord, SpanRecord, TraceRecord

if TYPE_CHECKING:
    from outlast.tracing.database import Database

_TOGETHER: Final = 200  # traces of one transaction
_BYTES: Final = 8 << 20  # of content in one, about
_NOTHING = Content()


@dataclass(frozen=True, slots=True)
class WholeTrace:
    """A trace with all that belongs to it: its spans, what went in and came out of them by their ids, and the row of
    an evaluation that it is, if any."""

    trace: TraceRecord
    spans: tuple[SpanRecord, ...] = ()
    contents: Mapping[str, Content] = field(default_factory=dict[str, Content])
    result: ResultRecord | None = None


@dataclass(frozen=True, slots=True)
class Saved:
    """How much was written."""

    runs: int = 0
    traces: int = 0
    spans: int = 0
    results: int = 0


def save_records(database: Database, runs: Iterable[RunRecord], traces: Iterable[WholeTrace]) -> Saved:
    """Write runs and traces, a few hundred in each transaction, so that `traces` may be as long as it likes.

    Secrets that this process knows, and what looks like a key, are hidden first. Raises what the database raises.
    """
    writing = _Writing(database)
    for run in runs:
        writing.run(run)
    for whole in traces:
        writing.whole(whole)
    return writing.finish()


class _Writing(Encoder):
    """Makes rows of records until there are enough of them, and writes those."""

    def __init__(self, database: Database) -> None:
        super().__init__()
        self._database = database
        self._secrets = known_secrets()
        self._counts = dict.fromkeys(("runs", "traces", "spans", "results"), 0)
        self._begin()

    def run(self, run: RunRecord) -> None:
        """One run."""
        self._rows.runs.append(self._row("runs", run))

    def whole(self, whole: WholeTrace) -> None:
        """One trace with what belongs to it."""
        self._rows.traces.append(self._row("traces", whole.trace, indexed=0))
        for span in whole.spans:
            self._rows.spans.append(self._span(span, whole.contents.get(span.id, _NOTHING)))
        if whole.result is not None:
            self._rows.results.append(self._result(whole.result))
        if len(self._rows.traces) >= _TOGETHER or self._weight() > _BYTES:
            self._write()

    def finish(self) -> Saved:
        """Write the rest; gives how much it was in all."""
        self._write()
        return Saved(**self._counts)

    def _begin(self) -> None:
        self._rows, self._now = Rows(), time.time()

    def _write(self) -> None:
        self._database.write(self._rows)
        for name in self._counts:
            self._counts[name] += len(getattr(self._rows, name))
        self._begin()

    def _weight(self) -> int:
        held = [row[2] for row in self._rows.blobs] + [row[4] for row in self._rows.messages]
        return sum(map(len, held))

    def _span(self, span: SpanRecord, content: Content) -> Row:
        tail = beside = None
        try:
            request = content.as_request()
        except (OutlastError, KeyError, TypeError, ValueError, AttributeError):  # it is no request of ours
            request = None
        if request is not None:
            tail, beside = self._request(request, span.trace_id, content.identity)
        return self._row(
            "spans",
            span,
            inputs_key=self._blob(content.inputs),
            outputs_key=self._blob(content.outputs),
            request_tail=tail,
            request_key=beside,
            response_key=self._blob(content.response),
        )

    def _row(self, table: str, record: Any, **more: Any) -> Row:
        """The columns of a table in their order, of a record and of what it has not."""
        told = {f.name: getattr(record, f.name) for f in fields(record)}
        columns = [column.name for column in schema.tables.tables[table].columns if column.name != "seq"]
        return tuple(more[name] if name in more else self._stored(told[name]) for name in columns)

    def _stored(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._clean(value)
        if isinstance(value, (Mapping, tuple, list)):
            return dumps(without_secrets(value, self._secrets))
        return value

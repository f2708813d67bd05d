"""The exchanges with models that a store holds, read at once for a whole run: what replays answer from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, cast

import sqlalchemy as sa

from outlast.errors import DataError, UsageError, brief
from outlast.messages import Request, Response
from outlast.tracing import schema
from outlast.tracing.record import Content, RunRecord, SpanRecord, TraceRecord
from outlast.tracing.rows import may_be_id
from outlast.tracing.store import Store

Kind = Literal["run", "trace", "span"]
_AT_ONCE = 400  # traces of one query


@dataclass(frozen=True, slots=True)
class Kept:
    """One exchange: who asked which model what, and the answer or the error that came of it."""

    span: SpanRecord
    identity: str
    request: Request
    response: Response | None


def find(store: Store, id: str) -> RunRecord | TraceRecord | SpanRecord:
    """The run, trace or span of an id or of a prefix that only one of them has. Raises `DataError`."""
    if not isinstance(id, str) or not id:
        raise UsageError(f"a run, a trace or a span is named by its id or a prefix of it; got {brief(id)}")
    found: list[RunRecord | TraceRecord | SpanRecord] = []
    if not may_be_id(id):
        raise DataError(f"there is no run, trace or span {id!r} in {store.database.place}")
    with store.reading() as connection:
        for table in (schema.runs, schema.traces, schema.spans):
            ids = connection.execute(
                sa.select(table.c.id).where(table.c.id >= id, table.c.id < id + "\uffff").limit(2)
            ).scalars()
            for one in list(ids):
                if one == id:
                    return _get(store, table.name, one)
                found.append(_get(store, table.name, one))
    if not found:
        raise DataError(f"there is no run, trace or span {id!r} in {store.database.place}")
    if len(found) > 1:
        some = ", ".join(f"{kind_of(one)} {one.id}" for one in found[:4])
        raise DataError(f"several things begin with {id!r} in {store.database.place}: {some}. Give more of the id")
    return found[0]


def _get(store: Store, table: str, id: str) -> RunRecord | TraceRecord | SpanRecord:
    return store.run(id) if table == "runs" else store.trace(id) if table == "traces" else store.span(id)


def kind_of(record: RunRecord | TraceRecord | SpanRecord) -> Kind:
    """Which of the three it is."""
    return "run" if isinstance(record, RunRecord) else "trace" if isinstance(record, TraceRecord) else "span"


def trace_ids(store: Store, record: RunRecord | TraceRecord | SpanRecord) -> list[str]:
    """The traces of a run and of the runs inside it but replays, oldest first; the one trace of a trace or a span."""
    if isinstance(record, SpanRecord):
        return [record.trace_id]
    if isinstance(record, TraceRecord):
        return [record.id]
    runs, traces = schema.runs, schema.traces
    with store.reading() as connection:
        inside, wanted = [record.id], [record.id]
        while wanted:
            below = sa.select(runs.c.id).where(runs.c.parent_id.in_(wanted), runs.c.kind != "replay")
            wanted = list(connection.execute(below).scalars())
            inside += wanted
        query = sa.select(traces.c.id).where(traces.c.run_id.in_(inside)).order_by(traces.c.started, traces.c.seq)
        return list(connection.execute(query).scalars())


def exchanges(store: Store, record: RunRecord | TraceRecord | SpanRecord) -> list[Kept]:
    """All exchanges of a run, a trace or a span (itself, or those inside it), in the order in which they began.

    A reply that was put together from several exchanges is left out: those are what was sent. Raises `DataError` where
    no content was kept, with the reason.
    """
    return sorted(each_exchange(store, record), key=lambda kept: kept.span.started)


def each_exchange(store: Store, record: RunRecord | TraceRecord | SpanRecord) -> Iterator[Kept]:
    """The same one after the other, trace by trace, as a long run does not fit into memory."""
    if not isinstance(record, SpanRecord):
        yield from _of(store, trace_ids(store, record))
        return
    inside = {record.id} if record.kind == "lm" else _below(store.spans(record.trace_id), record.id)
    for kept in _of(store, [record.trace_id]):
        if kept.span.id in inside:
            yield kept


def _of(store: Store, ids: list[str]) -> Iterator[Kept]:
    for start in range(0, len(ids), _AT_ONCE):
        some = ids[start : start + _AT_ONCE]
        contents = store.contents_of(some)
        for span in store.spans_of(some):
            if span.kind != "lm" or span.joined:
                continue
            content = contents[span.id]
            yield Kept(span, content.identity, request_of(store, span, content), _response(span, content))


def _response(span: SpanRecord, content: Content) -> Response | None:
    """The response, with where it came from."""
    if content.response is None:
        return None
    try:
        return Response.from_json(content.response, cache=cast("Any", span.cache or "miss"))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"the response of the exchange {span.id} cannot be read: {error!r}") from error


def request_of(store: Store, span: SpanRecord, content: Content) -> Request:
    """The request of an exchange; raises `DataError` where it was not kept or cannot be read."""
    if content.request is None:
        raise DataError(
            f"of the exchange {span.id} in {store.database.place} no content was kept, so it cannot be replayed: it "
            "was recorded with capture='hash' or 'off', or its content was removed"
        )
    try:
        found = content.as_request()
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"the request of the exchange {span.id} cannot be read: {error}") from error
    assert found is not None
    return found


def _below(spans: list[SpanRecord], id: str) -> set[str]:
    """The ids of a span and of all inside it; parents stand before their children."""
    inside = {id}
    for span in spans:
        if span.parent_id in inside:
            inside.add(span.id)
    return inside


def inputs_of_trace(store: Store, trace: TraceRecord) -> tuple[SpanRecord, dict[str, Any], Any]:
    """The span of the program, what it was given, and what it gave. Raises `DataError` where that was not kept."""
    spans = store.spans(trace.id)
    root = next((span for span in spans if not span.parent_id), None)
    if root is None or root.kind != "program":
        raise DataError(f"the trace {trace.id} is one of {trace.kind!r}, and not of a program")
    content = store.content(root)
    inputs: Any = content.inputs
    if not isinstance(inputs, dict):
        raise DataError(
            f"what the program of the trace {trace.id} was given was not kept, so it cannot be run again: it was "
            "recorded with capture='hash' or 'off'"
        )
    return root, dict(cast("dict[str, Any]", inputs)), content.outputs

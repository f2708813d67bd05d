"""What stands beside a trace: the row of an evaluation that it is, and what other runs answered to its example."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from outlast.tracing.record import TraceRecord

if TYPE_CHECKING:
    from outlast.tracing.store import Store

RUNS = 12  # newest other evaluations that are looked through


@dataclass(frozen=True, slots=True)
class Row:
    """A row of an evaluation, as far as it says what was expected and what came of it."""

    run_id: str
    index: int
    epoch: int
    trace_id: str
    state: str
    score: float | None
    feedback: str
    targets: Any
    outputs: Any


@dataclass(frozen=True, slots=True)
class Other:
    """What another run answered to the same example."""

    row: Row
    run: str
    started: float


def previews(store: Store, ids: Sequence[str]) -> dict[str, str]:
    """The beginning of what went into traces, by their whole ids; those that are gone are left out."""
    import sqlalchemy as sa

    from outlast.tracing import schema

    c = schema.traces.c
    with store.reading() as connection:
        rows = connection.execute(sa.select(c.id, c.input).where(c.id.in_(list(ids))))
        return {row[0]: row[1] for row in rows}


def row_of(store: Store, trace: TraceRecord) -> Row | None:
    """The row that a trace is, None where it is none."""

    from outlast.tracing import schema

    table = schema.results
    if not trace.run_id:
        return None
    query = _rows().where(table.c.run_id == trace.run_id, table.c.trace_id == trace.id).limit(1)
    with store.reading() as connection:
        found = connection.execute(query).first()
    return None if found is None else _row(found)


def others_of(store: Store, trace: TraceRecord) -> list[Other]:
    """What the newest other evaluations have of the same example, newest first; nothing for a trace without one."""
    if not trace.example:
        return []
    from outlast.tracing import schema

    table = schema.results
    runs = [run for run in store.runs(kind="eval", limit=RUNS + 1) if run.id != trace.run_id]
    known = {run.id: run for run in runs}
    query = _rows().where(table.c.run_id.in_(list(known)), table.c.example == trace.example, table.c.epoch == 0)
    with store.reading() as connection:
        rows: Sequence[Row] = [_row(one) for one in connection.execute(query.limit(RUNS))]
    found = [Other(row, known[row.run_id].name or known[row.run_id].kind, known[row.run_id].started) for row in rows]
    return sorted(found, key=lambda one: -one.started)


def _rows() -> Any:
    import sqlalchemy as sa

    from outlast.tracing import schema

    c = schema.results.c
    return sa.select(c.run_id, c.number, c.epoch, c.trace_id, c.state, c.score, c.feedback, c.targets, c.outputs)


def _row(found: Any) -> Row:
    run_id, index, epoch, trace_id, state, score, feedback, targets, outputs = found
    return Row(run_id, index, epoch, trace_id, state, score, feedback, json.loads(targets), json.loads(outputs))

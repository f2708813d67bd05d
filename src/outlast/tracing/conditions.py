"""What a filter of traces means to a database."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import sqlalchemy as sa

from outlast.tracing import schema, text
from outlast.tracing.living import KILLED
from outlast.tracing.packing import dumps
from outlast.tracing.record import ELSEWHERE, TraceFilter
from outlast.tracing.rows import may_be_id


def may_fit(where: TraceFilter) -> bool:
    """False where no row can hold what is asked for, and no database takes the question."""
    asked = (where.name, where.status, where.session, where.program, dumps([where.lm, where.tag]))
    return all(may_be_id(one or "") for one in asked)


def conditions(
    where: TraceFilter, *, run: str | None, killed: Collection[str], lite: bool
) -> Iterator[sa.ColumnElement[bool]]:
    """What the row of a trace must hold to pass a filter. `run` is the whole id of the run that it names, `killed` the
    runs whose process is gone, needed where it asks for what is open or killed."""
    table = schema.traces
    if where.name is not None:
        yield table.c.name == where.name
    if where.session is not None:
        yield table.c.session == where.session
    if where.status is not None:
        yield _in_state(where.status, killed)
    if run is not None:
        yield table.c.run_id == run
    if where.program is not None:
        yield table.c.program.startswith(where.program, autoescape=True)
    if where.lm is not None:
        yield table.c.models.contains(dumps(where.lm)[:-1].removeprefix('"'), autoescape=True)
    if where.tag is not None:
        yield table.c.tags.contains(dumps(where.tag), autoescape=True)
    if where.since is not None:
        yield table.c.started >= where.since
    if where.until is not None:
        yield table.c.started < where.until
    if where.min_cost is not None:
        yield table.c.cost >= where.min_cost
    if where.min_seconds is not None:
        yield table.c.seconds >= where.min_seconds
    for wanted, holds in (
        (where.labelled, _labelled),
        (where.evaluated, _elsewhere),
        (where.replayed, _replayed),
        (where.metrics, _of_metric),
    ):
        if wanted is not None:
            yield holds() if wanted else ~holds()
    if where.text:
        yield text.holding(lite, where.text)


def _in_state(status: str, killed: Collection[str]) -> sa.ColumnElement[bool]:
    """Whether a trace is in a state; "killed" is one that the database does not know."""
    column = schema.traces.c.status
    if status == "error":
        return sa.and_(column == status, sa.text("status <> 'ok'"))  # for the index
    if status not in ("open", KILLED):
        return column == status
    gone = schema.traces.c.run_id.in_(killed)
    return sa.and_(column == "open", gone if status == KILLED else ~gone)


def _labelled() -> sa.ColumnElement[bool]:
    label = schema.labels
    return sa.exists().where(label.c.trace_id == schema.traces.c.id, label.c.undone.is_(None))


def _elsewhere() -> sa.ColumnElement[bool]:
    """Whether a trace is of an evaluation, a compilation or a replay, or of a metric: nobody asked in earnest."""
    table, runs = schema.traces, schema.runs
    return sa.or_(
        table.c.run_id.in_(sa.select(runs.c.id).where(runs.c.kind.in_(ELSEWHERE))),
        table.c.tags.contains(dumps("replay"), autoescape=True),
        _of_metric(),
    )


def _replayed() -> sa.ColumnElement[bool]:
    return schema.traces.c.run_id.in_(sa.select(schema.runs.c.id).where(schema.runs.c.kind == "replay"))


def _of_metric() -> sa.ColumnElement[bool]:
    return schema.traces.c.attributes.contains(dumps({"of": "metric"})[1:-1], autoescape=True)

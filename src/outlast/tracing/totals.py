"""What runs came to: their traces, exchanges, tokens, cost and errors, added up by the database."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from outlast.errors import UsageError, brief
from outlast.tracing import schema
from outlast.tracing.record import RunRecord

_AT_ONCE = 500  # ids in one query


@dataclass(frozen=True, slots=True)
class RunTotals:
    """What a run and the runs inside it came to.

    `errors` are traces that ended with one, `calls` exchanges with models. `cost` is in US dollars: of all exchanges
    whose price is known, None where there are some and none is; `unpriced` counts traces with exchanges of unknown
    price, which are not in it. `open` are traces that are not over.
    """

    traces: int = 0
    errors: int = 0
    open: int = 0
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = 0.0
    unpriced: int = 0


def totals(connection: sa.Connection, runs: Iterable[RunRecord | str], *, replays: bool = True) -> dict[str, RunTotals]:
    """What runs came to, by their ids; `replays` inside them as is said. Raises `UsageError` for what is neither a run
    nor the id of one."""
    wanted: list[str] = []
    for run in runs:
        id = run.id if isinstance(run, RunRecord) else run
        if not isinstance(id, str):
            raise UsageError(f"totals takes runs or their ids; got {brief(run)}")
        wanted.append(id)
    found: dict[str, RunTotals] = {}
    for start in range(0, len(wanted), _AT_ONCE):
        some = _inside(connection, wanted[start : start + _AT_ONCE], replays)
        sums = _sums(connection, {id for inside in some.values() for id in inside})
        for top, inside in some.items():
            found[top] = _totals([one for id in inside for one in sums.get(id, ())])
    return found


def _totals(sums: list[tuple[Any, ...]]) -> RunTotals:
    columns: list[Any] = [sum(column) for column in zip(*sums, strict=True)] if sums else [0] * 9
    traces, errors, unfinished, calls, input_tokens, output_tokens, cost, unpriced, priced = columns
    counts = (int(traces), int(errors), int(unfinished), int(calls), int(input_tokens), int(output_tokens))
    return RunTotals(*counts, float(cost) if priced or not unpriced else None, int(unpriced))


def _inside(connection: sa.Connection, ids: list[str], replays: bool) -> dict[str, list[str]]:
    """Each of these runs that there is, with itself and every run inside it, `replays` or none."""
    runs = schema.runs
    top = sa.select(runs.c.id.label("top"), runs.c.id.label("id")).where(runs.c.id.in_(ids)).cte(recursive=True)
    within = sa.select(top.c.top, runs.c.id).where(runs.c.parent_id == top.c.id)
    pairs = top.union(within if replays else within.where(runs.c.kind != "replay"))
    found: dict[str, list[str]] = {}
    for top_id, id in connection.execute(sa.select(pairs.c.top, pairs.c.id)):
        found.setdefault(top_id, []).append(id)
    return found


def _sums(connection: sa.Connection, ids: set[str]) -> dict[str, list[tuple[Any, ...]]]:
    """Sums over the traces of each run, without the runs inside it: in the order of `RunTotals`, and how many have a
    price. Traces of one state and with equally many calls are summed together, so that all is read from one index in
    its order."""
    table = schema.traces
    group = (table.c.run_id, table.c.status, table.c.calls)
    summed = (table.c.input_tokens, table.c.output_tokens, table.c.cost)
    query = sa.select(*group, sa.func.count(), sa.func.count(table.c.cost), *map(sa.func.sum, summed)).group_by(*group)
    listed, found = sorted(ids), dict[str, list[tuple[Any, ...]]]()
    for start in range(0, len(listed), _AT_ONCE):
        some = listed[start : start + _AT_ONCE]
        for row in connection.execute(query.where(table.c.run_id.in_(some))):
            id, status, calls, n, priced, *sums = tuple(row)
            states = (n if status == "error" else 0, n if status == "open" else 0)
            prices = (n - priced, priced) if calls else (0, 0)  # no call costs nothing, which says nothing of prices
            found.setdefault(id, []).append((n, *states, n * calls, *(one or 0 for one in sums), *prices))
    return found

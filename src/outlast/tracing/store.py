"""A store of traces, to read and to label: what the command line, the page and your own code look through."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import sqlalchemy as sa

from outlast.errors import DataError, UsageError, brief
from outlast.tracing import schema, text
from outlast.tracing.conditions import conditions, may_fit
from outlast.tracing.content import conversation, load_blobs, load_messages
from outlast.tracing.database import database_at
from outlast.tracing.living import KILLED, judged, killed_runs
from outlast.tracing.opinions import Opinions
from outlast.tracing.packing import IDENTITY
from outlast.tracing.paging import Page, older, place_of
from outlast.tracing.passages import passage
from outlast.tracing.record import (
    ALL,
    Content,
    Hit,
    ProgramRecord,
    ResultRecord,
    RunRecord,
    SpanRecord,
    TraceFilter,
    TraceRecord,
)
from outlast.tracing.rows import SETTLE, record
from outlast.tracing.writer import writer_at

if TYPE_CHECKING:
    from outlast.tracing.saving import Saved, WholeTrace
    from outlast.tracing.totals import RunTotals

R = TypeVar("R")

_MOST = 2**62  # rows: no store has more, and no database counts much further
_PAGE = 1_000  # traces that `all_traces` reads at once
_ORDERS = {"index": "number", "score": "score", "cost": "cost", "seconds": "seconds"}


class Store(Opinions):
    """What was kept of runs, traces, spans, results and labels. Get one from `open_store`.

    Safe for threads. Reading never waits for other processes that write, nor they for it; what this process has told is
    written first. Ids may be given as prefixes that only one has. Raises `DataError` for ids that nothing has and when
    the database cannot be read.
    """

    # What there is

    def runs(
        self,
        kind: str | None = None,
        limit: int = 50,
        before: str | float | None = None,
        *,
        replays: bool = True,
    ) -> Page[RunRecord]:
        """Runs, newest first, in pages as those of `traces`; without `replays` those that ran something again are left
        out."""
        table = schema.runs
        query = sa.select(table)
        if kind is not None:
            query = query.where(table.c.kind == kind)
        elif not replays:
            query = query.where(table.c.kind != "replay")
        return self._page(query, table.c.started, table.c.id, RunRecord, limit, before)

    def run(self, id: str) -> RunRecord:
        """One run."""
        return self._one(schema.runs, schema.runs.c.id, id, RunRecord, "run")

    def totals(self, runs: Iterable[RunRecord | str], *, replays: bool = True) -> dict[str, RunTotals]:
        """What runs came to, by their whole ids: traces, calls, tokens, cost, errors, those of the runs inside them
        included; without `replays` but those that ran something again. Runs that there are not are left out."""
        from outlast.tracing.totals import totals

        with self.reading() as connection:
            return totals(connection, runs, replays=replays)

    def traces(self, where: TraceFilter = ALL, limit: int = 50, before: str | float | None = None) -> Page[TraceRecord]:
        """Traces, newest first; of those that began at one moment, the one that was kept last.

        The list that it gives has a `next`, None where no more follow: as `before` it gives the page after this one.
        Pages that are read so skip none and repeat none, also where many began at one moment and while others come and
        go. `before` may be a moment too, in seconds since 1970: what began earlier. Raises `UsageError` for anything
        else. `all_traces` reads all pages.
        """
        table = schema.traces
        query = self._filtered(sa.select(table), where)
        return self._page(query, table.c.started, table.c.seq, TraceRecord, limit, before)

    def all_traces(self, where: TraceFilter = ALL, limit: int | None = None) -> Iterator[TraceRecord]:
        """The traces that fit, newest first, at most `limit`: read a page at a time, so that they may be as many as
        there are."""
        left, before = math.inf if limit is None else _count(limit), None
        while left > 0:
            page = self.traces(where, limit=int(min(left, _PAGE)), before=before)
            yield from page
            left, before = left - len(page), page.next
            if before is None:
                return

    def count(self, where: TraceFilter = ALL) -> int:
        """How many traces fit."""
        with self.reading() as connection:
            query = self._filtered(sa.select(sa.func.count()).select_from(schema.traces), where)
            return connection.execute(query).scalar_one()

    def trace(self, id: str) -> TraceRecord:
        """One trace."""
        return self._one(schema.traces, schema.traces.c.id, id, TraceRecord, "trace")

    def spans(self, trace_id: str) -> list[SpanRecord]:
        """The spans of a trace, each before those inside it, else by when they began."""
        table = schema.spans
        found = self._all(sa.select(table).where(table.c.trace_id == self.trace(trace_id).id), SpanRecord)
        return _as_tree(found)

    def span(self, id: str) -> SpanRecord:
        """One span."""
        return self._one(schema.spans, schema.spans.c.id, id, SpanRecord, "span")

    def content(self, span: SpanRecord | str) -> Content:
        """What went in and came out of a span."""
        id = span.id if isinstance(span, SpanRecord) else self.span(span).id
        return self._contents(schema.spans.c.id == id)[id]

    def contents(self, trace_id: str) -> dict[str, Content]:
        """What went in and came out of each span of a trace, by its id."""
        return self._contents(schema.spans.c.trace_id == self.trace(trace_id).id)

    def spans_of(self, trace_ids: Sequence[str]) -> list[SpanRecord]:
        """The spans of several traces, given by their whole ids (500 at most), by when they began."""
        table = schema.spans
        query = sa.select(table).where(table.c.trace_id.in_(trace_ids)).order_by(table.c.started)
        return self._all(query, SpanRecord)

    def count_spans(self, trace_ids: Sequence[str]) -> int:
        """How many spans several traces have, given by their whole ids."""
        ids = schema.spans.c.trace_id
        found = 0
        with self.reading() as connection:
            for start in range(0, len(trace_ids), 500):
                query = sa.select(sa.func.count()).where(ids.in_(trace_ids[start : start + 500]))
                found += connection.execute(query).scalar_one()
        return found

    def contents_of(self, ids: Sequence[str], *, of: Literal["trace", "span"] = "trace") -> dict[str, Content]:
        """What went in and came out of spans, by their whole ids or by those of their traces (500 at most)."""
        return self._contents((schema.spans.c.trace_id if of == "trace" else schema.spans.c.id).in_(ids))

    def whole(self, ids: Iterable[str], *, contents: bool = True) -> list[WholeTrace]:
        """Traces with all that belongs to them, read together: many in the time of a few. Whole ids only; those that
        nothing has are left out. In the order of `ids`, at most 500 of them."""
        from outlast.tracing.saving import WholeTrace

        wanted = list(dict.fromkeys(ids))
        if len(wanted) > 500:
            raise UsageError(f"whole takes 500 ids at most; got {len(wanted)}")
        traces = {
            one.id: one
            for one in self._all(sa.select(schema.traces).where(schema.traces.c.id.in_(wanted)), TraceRecord)
        }
        spans: dict[str, list[SpanRecord]] = {}
        for span in self.spans_of(wanted):
            spans.setdefault(span.trace_id, []).append(span)
        held = self.contents_of(wanted) if contents else {}
        return [
            WholeTrace(
                traces[id],
                tuple(_as_tree(spans.get(id, []))),
                {span.id: held[span.id] for span in spans.get(id, []) if span.id in held},
            )
            for id in wanted
            if id in traces
        ]

    def search(self, words: str, limit: int = 50) -> list[Hit]:
        """Traces whose text holds all words, newest first. `"two words"` is a phrase, as is what is typed together
        (`ZQ-2024-001`); `word*` begins one. Case and the accents of Latin letters do not count.

        It looks through what traces that have ended were given and gave, through errors, tags and notes, and through
        system prompts where they were first seen: the first 20,000 characters of a trace. Traces of the last seconds
        may not be found yet.
        """
        self._catch_up()
        most = _count(limit)
        with self.reading() as connection:
            found = text.find(connection, words, most)
            table = schema.traces
            rows = connection.execute(sa.select(table).where(table.c.seq.in_([row[0] for row in found]))).all()
        known = {row.seq: record(row, TraceRecord) for row in rows}
        return [Hit(known[seq], passage(marked)) for seq, marked in found if seq in known]

    def results(
        self,
        run_id: str,
        state: str | None = None,
        limit: int | None = None,
        offset: int = 0,
        order: Literal["index", "score", "cost", "seconds"] = "index",
    ) -> list[ResultRecord]:
        """The rows of an evaluation; those without a value of what they are ordered by come last."""
        if order not in _ORDERS:
            raise UsageError(f"rows are ordered by {', '.join(_ORDERS)}; got {brief(order)}")
        table = schema.results
        query = sa.select(table).where(table.c.run_id == self.run(run_id).id)
        if state is not None:
            query = query.where(table.c.state == state)
        column = table.c[_ORDERS[order]]
        query = query.order_by(column.is_(None), column, table.c.number, table.c.epoch).offset(offset)
        return self._all(query if limit is None else query.limit(_count(limit)), ResultRecord)

    def count_results(self, run_id: str) -> dict[str, int]:
        """How many rows of an evaluation are in each state."""
        table = schema.results
        query = sa.select(table.c.state, sa.func.count()).where(table.c.run_id == self.run(run_id).id)
        with self.reading() as connection:
            return {row[0]: row[1] for row in connection.execute(query.group_by(table.c.state))}

    def programs(self, name: str | None = None) -> list[ProgramRecord]:
        """Versions of programs, newest first."""
        table = schema.programs
        query = sa.select(table).order_by(table.c.first_seen.desc())
        return self._all(query if name is None else query.where(table.c.name == name), ProgramRecord)

    def program(self, hash: str) -> ProgramRecord:
        """One version of a program."""
        return self._one(schema.programs, schema.programs.c.hash, hash, ProgramRecord, "program")

    def facets(self) -> dict[str, list[str]]:
        """What traces can be filtered by: `names`, `models` and `sessions` of the last 5,000, most often first."""
        table = schema.traces
        query = sa.select(table.c.name, table.c.models, table.c.tags, table.c.session)
        counts: dict[str, dict[str, int]] = {"names": {}, "models": {}, "tags": {}, "sessions": {}}
        with self.reading() as connection:
            for name, models, tags, session in connection.execute(query.order_by(table.c.started.desc()).limit(5000)):
                for kind, values in (
                    ("names", [name]),
                    ("models", json.loads(models)),
                    ("tags", json.loads(tags)),
                    ("sessions", [session] if session else []),
                ):
                    for value in values:
                        counts[kind][value] = counts[kind].get(value, 0) + 1
        return {kind: sorted(found, key=lambda value: -found[value]) for kind, found in counts.items()}

    def stats(self) -> dict[str, Any]:
        """How much there is: `traces`, `spans`, `runs`, `labels`, `bytes` on the disk, `dropped` spans; and what became
        of a `retention`: what was said last ("": nothing), how many traces were `removed` for it, and when it was last
        looked for some (`tidied`, in seconds since 1970, None: never)."""
        from outlast.tracing.tidying import facts

        with self.reading() as connection:
            counted: dict[str, Any] = {
                name: connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
                for name, table in (
                    ("runs", schema.runs),
                    ("traces", schema.traces),
                    ("spans", schema.spans),
                    ("labels", schema.labels),
                    ("programs", schema.programs),
                )
            }
            counted |= facts(connection)
            counted["dropped"] = connection.execute(sa.select(sa.func.sum(schema.runs.c.dropped))).scalar_one() or 0
            size = 0
            if not self.database.lite:
                size = connection.exec_driver_sql("SELECT pg_database_size(current_database())").scalar_one()
        path = self.database.path
        counted["bytes"] = size if path is None else sum(_size(Path(f"{path}{end}")) for end in ("", "-wal"))
        return counted

    # Upkeep

    def save_records(self, runs: Iterable[RunRecord], traces: Iterable[WholeTrace]) -> Saved:
        """Write whole records, as importers have them; what has the same id is replaced. Gives how many there were.

        Traces are written a few hundred at a time, so they may be as many as there are. Secrets are hidden as always.
        """
        from outlast.tracing.saving import save_records

        return save_records(self.database, runs, traces)

    def gc(
        self,
        older_than: float,
        *,
        keep_labelled: bool = True,
        keep_queued: bool = True,
        keep_evaluated: bool = False,
    ) -> dict[str, int]:
        """Remove traces that began more than `older_than` seconds ago, and what nothing refers to then.

        Traces that are still open stay: for a day beyond that age where their run ended or its process was killed, for
        30 days where it says nothing. Those with a label or in a queue stay unless told otherwise, those of evaluations
        and compilations only if told so; the rows of evaluations stay. Gives how many traces and pieces of content
        went. `retention` of `ol.trace` does it by itself.
        """
        from outlast.tracing.upkeep import Kept, collect

        return collect(self.database, older_than, Kept(keep_labelled, keep_queued, keep_evaluated))

    def backup(self, path: str | os.PathLike[str]) -> Path:
        """A copy of the store at one moment, in a new file; others may write meanwhile. For SQLite only."""
        from outlast.tracing.upkeep import copy

        return copy(self.database, Path(path))

    def close(self) -> None:
        """Close the connections."""
        self.database.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Store {self.database.place}>"

    # How

    def _page(
        self,
        query: sa.Select[Any],
        started: sa.Column[Any],
        last: sa.Column[Any],
        kind: Callable[..., R],
        limit: int,
        before: str | float | None,
    ) -> Page[R]:
        """A page of what a query finds, the newest first, those of one moment by another column."""
        if before is not None:
            query = query.where(older(before, started, last))
        limit = _count(limit)
        query = query.order_by(started.desc(), last.desc()).limit(limit + 1)
        with self.reading() as connection:
            rows = connection.execute(query).all()
            some = rows[:limit]
            found = judged(connection, [record(row, kind) for row in some])
        more = len(rows) > len(some) > 0
        at = place_of(some[-1]._mapping[started], some[-1]._mapping[last]) if more else None
        return Page(found, at)

    def _filtered(self, query: sa.Select[Any], where: TraceFilter) -> sa.Select[Any]:
        if not may_fit(where):
            return query.where(sa.false())
        run = None if where.run is None else self.run(where.run).id
        killed: Collection[str] = ()
        if where.status in ("open", KILLED):
            with self.reading() as connection:
                killed = killed_runs(connection)
        if where.text:
            self._catch_up()
        return query.where(*conditions(where, run=run, killed=killed, lite=self.database.lite))

    def _catch_up(self) -> None:
        """Index a little of what came since, where that is allowed: those who write do it when they have nothing else
        to do."""
        if self.database.read_only:
            return
        until = time.monotonic() + 0.1
        while self.database.index_some() and time.monotonic() < until:
            pass

    def _contents(self, where: Any) -> dict[str, Content]:
        table = schema.spans
        query = sa.select(
            table.c.id,
            table.c.inputs_key,
            table.c.outputs_key,
            table.c.request_tail,
            table.c.request_key,
            table.c.response_key,
        ).where(where)
        with self.reading() as connection:
            rows = connection.execute(query).all()
            keys = {key for row in rows for key in (row[1], row[2], row[4], row[5]) if key is not None}
            blobs = load_blobs(connection, {bytes(key) for key in keys})
            messages = load_messages(connection, {bytes(row[3]) for row in rows if row[3] is not None})

        def of(key: Any) -> Any:
            return None if key is None else blobs.get(bytes(key))

        found: dict[str, Content] = {}
        for id, inputs, outputs, tail, beside, response in rows:
            told = None if tail is None else conversation(bytes(tail), messages)
            kept: dict[str, Any] | None = {} if beside is None else of(beside)
            rest = None if kept is None else {name: one for name, one in kept.items() if name != IDENTITY}
            request: dict[str, Any] | None = None if told is None or rest is None else {"messages": told, **rest}
            found[id] = Content(of(inputs), of(outputs), request, of(response), (kept or {}).get(IDENTITY, ""))
        return found


def open_store(place: str | os.PathLike[str], *, read_only: bool = False, create: bool = False) -> Store:
    """The store of traces at a path, or at an address such as "postgresql://user@host/name".

    With `read_only` nothing is ever written; with `create` a file is made when there is none, for the user alone to
    read. Raises `ConfigError` for what names no store, `DataError` for a file that is not there, that cannot be opened
    or that is a database of something else.
    """
    database = database_at(place, read_only=read_only)
    if database.path is not None and not create and not database.path.exists():
        writer = writer_at(database)
        if writer is None or not writer.flush(SETTLE) or not database.path.exists():
            raise DataError(
                f"there is no store of traces at {str(database.path)!r}. ol.trace(store=...) makes one, and so does "
                "open_store(..., create=True)"
            )
    return Store(database)


def _as_tree(spans: list[SpanRecord]) -> list[SpanRecord]:
    """Each span before those inside it; those whose parent was lost stand at the top."""
    known = {span.id for span in spans}
    inside: dict[str, list[SpanRecord]] = {}
    for span in sorted(spans, key=lambda one: (one.started, one.kind != "program")):
        inside.setdefault(span.parent_id if span.parent_id in known else "", []).append(span)
    ordered: list[SpanRecord] = []
    waiting = inside.get("", [])[::-1]
    while waiting:
        span = waiting.pop()
        ordered.append(span)
        waiting.extend(inside.get(span.id, [])[::-1])
    return ordered


def _count(limit: int) -> int:
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
        raise UsageError(f"limit is a whole number from 0; got {brief(limit)}")
    return min(limit, _MOST)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0

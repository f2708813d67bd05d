"""A store in memory with the methods that the pages ask."""

from __future__ import annotations

from collections import Counter
from typing import Any

from outlast.errors import DataError
from outlast.tracing.record import ALL, Hit, TraceFilter
from tests.view.samples import Records


class FakeStore:
    def __init__(self, records: Records) -> None:
        self.records = records

    def runs(self, kind: str | None = None, limit: int = 50, before: float | None = None) -> list[Any]:
        found = sorted(self.records.runs, key=lambda run: -run.started)
        return [
            run for run in found if (kind is None or run.kind == kind) and (before is None or run.started < before)
        ][:limit]

    def run(self, id: str) -> Any:
        return _one(self.records.runs, id, "run")

    def traces(self, where: TraceFilter = ALL, limit: int = 50, before: float | None = None) -> list[Any]:
        found = sorted(self.records.traces, key=lambda trace: -trace.started)
        return [trace for trace in found if _fits(trace, where) and (before is None or trace.started < before)][:limit]

    def trace(self, id: str) -> Any:
        return _one(self.records.traces, id, "trace")

    def spans(self, trace_id: str) -> list[Any]:
        return [span for span in self.records.spans if span.trace_id == trace_id]

    def span(self, id: str) -> Any:
        return _one(self.records.spans, id, "span")

    def content(self, span: Any) -> Any:
        return self.records.contents[span if isinstance(span, str) else span.id]

    def contents(self, trace_id: str) -> dict[str, Any]:
        return {span.id: self.records.contents[span.id] for span in self.spans(trace_id)}

    def search(self, text: str, limit: int = 50) -> list[Hit]:
        hits = [trace for trace in self.traces(limit=10_000) if text.lower() in f"{trace.input} {trace.error}".lower()]
        return [Hit(trace, _snippet(trace.input or trace.error, text)) for trace in hits[:limit]]

    def results(
        self, run_id: str, state: str | None = None, limit: int | None = None, offset: int = 0, order: str = "index"
    ) -> list[Any]:
        rows = [row for row in self.records.results if row.run_id == run_id and (state is None or row.state == state)]
        rows.sort(key=lambda row: (getattr(row, order) is None, getattr(row, order), row.index))
        return rows[offset:][:limit]

    def count_results(self, run_id: str) -> dict[str, int]:
        return dict(Counter(row.state for row in self.records.results if row.run_id == run_id))

    def programs(self) -> list[Any]:
        return sorted(self.records.programs, key=lambda one: -one.first_seen)

    def program(self, hash: str) -> Any:
        return next((one for one in self.records.programs if one.hash.startswith(hash)), None) or _missing(
            "program", hash
        )

    def count(self, where: TraceFilter = ALL) -> int:
        return len(self.traces(where, limit=10**9))

    def facets(self) -> dict[str, list[str]]:
        traces = self.records.traces
        return {
            "names": sorted({trace.name for trace in traces}),
            "models": sorted({model for trace in traces for model in trace.models}),
            "tags": sorted({tag for trace in traces for tag in trace.tags}),
            "sessions": sorted({trace.session for trace in traces if trace.session}),
        }

    def labels(self, trace_id: str | None = None, name: str | None = None, author: str | None = None) -> list[Any]:
        return []

    def stats(self) -> dict[str, int]:
        return {
            "traces": len(self.records.traces),
            "spans": len(self.records.spans),
            "runs": len(self.records.runs),
            "bytes": 1_482_752,
            "dropped": 0,
        }

    def close(self) -> None:
        pass


def _one(items: list[Any], id: str, what: str) -> Any:
    found = [item for item in items if item.id.startswith(id)]
    return found[0] if len(found) == 1 else _missing(what, id)


def _missing(what: str, id: str) -> Any:
    raise DataError(f"no {what} {id!r} in the store")


def _fits(trace: Any, where: TraceFilter) -> bool:
    return (
        (where.run is None or trace.run_id == where.run)
        and (where.name is None or trace.name == where.name)
        and (where.program is None or trace.program.startswith(where.program))
        and (where.lm is None or where.lm in trace.models)
        and (where.status is None or trace.status == where.status)
        and (where.since is None or trace.started >= where.since)
        and (where.until is None or trace.started <= where.until)
        and (where.session is None or trace.session == where.session)
        and (where.tag is None or where.tag in trace.tags)
        and (where.min_cost is None or (trace.cost or 0) >= where.min_cost)
        and (where.min_seconds is None or (trace.seconds or 0) >= where.min_seconds)
    )


def _snippet(text: str, word: str) -> str:
    at = text.lower().find(word.lower())
    return (
        text[:60]
        if at < 0
        else f"…{text[max(0, at - 30) : at]}[{text[at : at + len(word)]}]{text[at + len(word) :][:60]}…"
    )

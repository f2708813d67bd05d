"""Runs of the store as evaluations of `outlast.evals`, so that all numbers on a page come from the same statistics."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from outlast.tracing.record import ResultRecord, RunRecord

if TYPE_CHECKING:
    from outlast.evals.comparing.comparison import Comparison
    from outlast.evals.evaluation import Evaluation
    from outlast.tracing.store import Store
    from outlast.tracing.totals import RunTotals

_NUMBERS = re.compile(r"\d+")
_LONGEST = 300


@dataclass(frozen=True, slots=True)
class Figures:
    """What a run says of itself in a table; None where it does not."""

    n: int | None = None
    score: float | None = None
    low: float | None = None
    high: float | None = None
    share: bool = True
    states: Mapping[str, int] | None = None
    cost: float | None = None
    calls: int | None = None
    tokens: int | None = None
    seconds: float | None = None
    traces: int | None = None
    errors: int | None = None
    open: int = 0
    unpriced: int = 0


@dataclass(frozen=True, slots=True)
class Group:
    """Errors that say the same, numbers aside."""

    key: str
    text: str
    count: int


def figures_with_totals(store: Store, runs: Sequence[RunRecord]) -> list[tuple[RunRecord, Figures]]:
    """Runs with their figures: from their summary, and for those that say nothing of what they spent, as a process, the
    sums of their traces."""
    found = [(run, figures_of(run)) for run in runs]
    silent = [run.id for run, figures in found if figures.calls is None]
    totals = store.totals(silent) if silent else {}
    return [(run, _added(figures, totals[run.id]) if run.id in totals else figures) for run, figures in found]


def _added(figures: Figures, sums: RunTotals) -> Figures:
    if not sums.traces:
        return figures
    tokens = sums.input_tokens + sums.output_tokens
    return replace(
        figures,
        cost=sums.cost if figures.cost is None else figures.cost,
        calls=sums.calls,
        tokens=tokens if tokens or not sums.calls else None,
        traces=sums.traces,
        errors=sums.errors,
        open=sums.open,
        unpriced=sums.unpriced,
    )


def figures_of(run: RunRecord) -> Figures:
    """The figures in the summary of a run, as `outlast.evals.keeping` writes it; what has another form is ignored."""
    told = run.summary
    spending = told.get("spending")
    spent: Mapping[str, Any] = cast("Mapping[str, Any]", spending) if isinstance(spending, Mapping) else {}
    score = _number(told.get("score"))
    states = told.get("states")
    counts = cast("Mapping[str, int]", states) if isinstance(states, Mapping) else None
    tokens = [_number(spent.get(name)) for name in ("input_tokens", "output_tokens")]
    return Figures(
        n=_whole(told.get("n")),
        score=score,
        low=_number(told.get("low")),
        high=_number(told.get("high")),
        share=score is None or 0 <= score <= 1,
        states=counts,
        errors=_whole(counts.get("error", 0)) if counts is not None else None,
        cost=_number(spent.get("dollars")),
        calls=_whole(spent.get("calls")),
        tokens=int(sum(one or 0 for one in tokens)) if any(tokens) else None,
        seconds=_number(told.get("seconds", run.ended - run.started if run.ended else None)),
    )


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def group_key(error: str) -> str:
    """What errors that say the same have in common: the text without its numbers, on one line."""
    return _NUMBERS.sub("#", " ".join(error.split()))[:_LONGEST]


def groups_of(results: Sequence[ResultRecord]) -> list[Group]:
    """The errors of a run by what they say, the most frequent first."""
    found: dict[str, list[str]] = {}
    for one in results:
        found.setdefault(group_key(one.error), []).append(one.error)
    groups = [Group(key, texts[0], len(texts)) for key, texts in found.items()]
    return sorted(groups, key=lambda group: -group.count)


def evaluation_of(store: Store, run: RunRecord) -> Evaluation:
    """The run as an evaluation. Raises `DataError` for a run that scored nothing."""
    from outlast.errors import DataError

    results: Sequence[ResultRecord] = store.results(run.id)
    if not results:
        raise DataError(f"the run {run.id[:12]!r} has no results: it is no evaluation, or scored nothing yet")
    return _evaluation(run, results)


def _evaluation(run: RunRecord, results: Sequence[ResultRecord]) -> Evaluation:
    from outlast.evals.evaluation import Evaluation
    from outlast.evals.row import Row, RowError
    from outlast.evals.rowfile import About
    from outlast.messages import Spending

    about = About(**{**_said(run, results), **_stored_about(run)})
    kept = any(one.cluster for one in results)
    field = (
        about.cluster
        if kept or any(about.cluster in _fields(one.inputs) or about.cluster in _fields(one.targets) for one in results)
        else ""
    )
    unanswered = {tuple(cast("list[int]", one)) for one in run.attributes.get("unanswered", ())}
    rows = [
        Row(
            index=one.index,
            id=one.example or str(one.index),
            inputs=_fields(one.inputs),
            targets=_fields(one.targets),
            outputs=one.outputs,
            score=None if one.state in ("error", "unscored") else one.score,
            state=cast("Any", one.state),
            feedback=one.feedback,
            parts={name: value for name, value in one.parts.items() if isinstance(value, int | float)},
            error=_error(one.error, RowError),
            seconds=one.seconds,
            spending=Spending(calls=1, dollars=one.cost) if one.cost is not None else Spending(),
            answered=(one.index, one.epoch) not in unanswered,
            epoch=one.epoch,
            cluster=one.cluster if kept else _cluster(one, field),
        )
        for one in results
    ]
    return Evaluation.of(replace(about, cluster=field), rows)


def _stored_about(run: RunRecord) -> dict[str, Any]:
    """What the run keeps of what it was about, as far as this version knows it."""
    from outlast.evals.rowfile import About

    told = run.attributes.get("about")
    known = {one.name for one in fields(About)}
    return {n: v for n, v in cast("Mapping[str, Any]", told).items() if n in known} if isinstance(told, Mapping) else {}


def _said(run: RunRecord, results: Sequence[ResultRecord]) -> dict[str, Any]:
    """The same as far as the run itself says it: for one that ended early, or came from another tool."""
    return {
        "program": run.name or run.program[:8],
        "program_hash": run.program,
        "metric": str(run.attributes.get("metric") or run.metric[:8]),
        "metric_hash": run.metric,
        "lm": run.lm,
        "data_hash": run.dataset,
        "epochs": 1 + max(one.epoch for one in results),
    }


def _cluster(one: ResultRecord, field: str) -> str:
    """The group of an example in a store that does not say it, where it is the value of a field."""
    return str({**_fields(one.inputs), **_fields(one.targets)}.get(field, "")) if field else ""


def lost_clusters(run: RunRecord, evaluation: Evaluation) -> bool:
    """Whether examples were grouped by what the store does not hold, so that intervals come out too narrow."""
    return bool(_stored_about(run).get("cluster")) and not evaluation.about.cluster


def _error(text: str, made: Any) -> Any:
    kind, colon, message = text.partition(": ")
    if not text:
        return None
    return made("program", kind, message) if colon and kind.isidentifier() else made("program", "Error", text)


def _fields(value: Any) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return cast("Mapping[str, Any]", value)
    return {} if value is None else {"value": value}


def comparison_of(store: Store, before: RunRecord, after: RunRecord, by: str) -> Comparison:
    """What changed between two runs, sliced by a field or by none (""). Finished runs are compared once."""
    if before.status == "open" or after.status == "open":
        return _compared(store, before, after, by)
    return _remembered(store, _Pair(before, after), by)


@dataclass(frozen=True, slots=True, eq=False)
class _Pair:
    """Two runs, equal by their ids: finished ones change no more."""

    before: RunRecord
    after: RunRecord

    def __hash__(self) -> int:
        return hash((self.before.id, self.after.id))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Pair) and (self.before.id, self.after.id) == (other.before.id, other.after.id)


@lru_cache(8)
def _remembered(store: Store, pair: _Pair, by: str) -> Comparison:
    return _compared(store, pair.before, pair.after, by)


def _compared(store: Store, before: RunRecord, after: RunRecord, by: str) -> Comparison:
    from outlast.evals.comparing.compare import compare

    return compare(evaluation_of(store, before), evaluation_of(store, after), by=by or None)


def slice_fields(comparison: Comparison) -> list[str]:
    """The inputs and targets by which a comparison can be sliced: those with 2 to 20 short values."""
    values: dict[str, set[str]] = {}
    for pair in comparison.pairs.pairs[:1000]:
        for name, value in {**pair.a.targets, **pair.a.inputs}.items():
            if isinstance(value, str | int | bool) and len(text := str(value)) <= 40:
                values.setdefault(name, set()).add(text)
            else:
                values[name] = set()
    return sorted(name for name, seen in values.items() if 2 <= len(seen) <= 20)

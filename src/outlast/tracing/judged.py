"""Verdicts of a judge that scored an evaluation: each row is one, of the trace that it scored."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa

from outlast.tracing import schema
from outlast.tracing.record import LabelRecord, RunRecord
from outlast.tracing.verdicts import PEOPLE

if TYPE_CHECKING:
    from outlast.tracing.store import Store

RUNS = 200  # newest evaluations that are looked through


@dataclass(frozen=True, slots=True)
class JudgedRun:
    """An evaluation that a judge scored, and its verdicts on traces that people labelled as well.

    `name` is that of the rubric, else of the metric; `author` says who judged, with the beginning of the metric's hash,
    which changes with the judge's prompt and model; `rubric` is the rubric's JSON, "" where none was told. `n` counts
    all verdicts.
    """

    run: RunRecord
    name: str
    author: str
    rubric: str
    n: int
    verdicts: tuple[LabelRecord, ...]


def judged_runs(store: Store) -> list[JudgedRun]:
    """The newest evaluations that judges scored, newest first."""
    found: list[JudgedRun] = []
    for run in store.runs(kind="eval", limit=RUNS):
        who = judge_of(run)
        if who is not None:
            found.append(JudgedRun(run, *who, _count(store, run), tuple(_verdicts(store, run, who, labelled=True))))
        for part in _parts_of(run):
            verdicts = tuple(_verdicts(store, run, part, labelled=True, part=True))
            found.append(JudgedRun(run, *part, _count(store, run), verdicts))
    return found


def judge_of(run: RunRecord) -> tuple[str, str, str] | None:
    """The name, author and rubric of the judge that scored a run; None where none did, or only parts of it."""
    metric, judged_by, rubric = _about(run)
    several = rubric.startswith("[")
    if not judged_by and (several or not rubric):
        return None
    author = f"{metric} {run.metric[:6]}".strip() + (f" · {judged_by}" if judged_by else "")
    return _name(rubric) or metric, author, "" if several else rubric


def _parts_of(run: RunRecord) -> list[tuple[str, str, str]]:
    """The same for each of several judges whose scores are parts of those of a run."""
    metric, judged_by, rubric = _about(run)
    try:
        told: list[Any] = json.loads(rubric) if rubric.startswith("[") else []
    except (ValueError, RecursionError):
        return []
    found: list[tuple[str, str, str]] = []
    for one in told:
        name = str(cast("Mapping[str, Any]", one).get("name") or "") if isinstance(one, Mapping) else ""
        if name:
            author = f"{name} in {metric} {run.metric[:6]}" + (f" · {judged_by}" if judged_by else "")
            found.append((name, author, json.dumps(one, ensure_ascii=False)))
    return found


def _about(run: RunRecord) -> tuple[str, str, str]:
    """The metric of a run, the models that it asked, and what it judged by."""
    told = run.attributes.get("about")
    about: Mapping[str, Any] = cast("Mapping[str, Any]", told) if isinstance(told, Mapping) else {}
    return str(about.get("metric") or "judge"), str(about.get("judged_by") or ""), str(about.get("rubric") or "")


def verdict_on(store: Store, run: RunRecord, trace_id: str) -> LabelRecord | None:
    """What the judge of a run says of one trace of it, as a label; None where no judge scored it."""
    who = judge_of(run)
    found = [] if who is None else _verdicts(store, run, who, schema.results.c.trace_id == trace_id)
    return found[0] if found else None


def _name(rubric: str) -> str:
    try:
        told: Any = json.loads(rubric) if rubric else None
    except (ValueError, RecursionError):
        return ""
    return str(cast("Mapping[str, Any]", told).get("name") or "") if isinstance(told, Mapping) else ""


def _count(store: Store, run: RunRecord) -> int:
    counts = store.count_results(run.id)
    return counts.get("pass", 0) + counts.get("fail", 0)


def _verdicts(
    store: Store,
    run: RunRecord,
    who: tuple[str, str, str],
    *where: Any,
    labelled: bool = False,
    part: bool = False,
) -> list[LabelRecord]:
    """Rows of a run that passed or failed, as labels; `labelled` leaves out traces that no person labelled. With `part`
    their values are that part of the scores that has the judge's name."""
    name, author, rubric = who
    c = schema.results.c
    query = sa.select(c.trace_id, c.state, c.feedback, c.parts).where(
        c.run_id == run.id, c.state.in_(("pass", "fail")), *where
    )
    if labelled:
        said = schema.labels.c
        people = sa.select(said.trace_id).where(said.source.in_(sorted(PEOPLE)), said.undone.is_(None))
        query = query.where(c.trace_id.in_(people))
    at = run.started if run.ended is None else run.ended
    with store.reading() as connection:
        rows = connection.execute(query).all()
    values = [(id, json.loads(parts).get(name) if part else state, said) for id, state, said, parts in rows]
    return [
        LabelRecord("", trace_id, "", name, value, "" if part else feedback, (), author, "judge", rubric, "", at)
        for trace_id, value, feedback in values
        if value is not None
    ]

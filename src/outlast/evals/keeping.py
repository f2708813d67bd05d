"""Evaluations in a store of traces: a run each, with its rows."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING

from outlast.data.jsonform import json_form
from outlast.tracing.record import ResultRecord
from outlast.tracing.recorder import Place, Result
from outlast.tracing.runs import StoredRun

if TYPE_CHECKING:
    from outlast.evals.evaluation import Evaluation
    from outlast.evals.row import Row


def keep_row(place: Place, row: Row) -> None:
    """Keep a row; never waits."""
    known = row.spending.calls == 0 or row.spending.unpriced == 0
    kept = ResultRecord(
        place.run_id,
        row.index,
        row.epoch,
        row.id,
        row.trace_id,
        row.state,
        row.score,
        row.feedback,
        row.parts,
        "" if row.error is None else f"{row.error.type}: {row.error.message}",
        row.seconds,
        row.spending.dollars if known else None,
        json_form(row.inputs, lenient=True),
        json_form(row.targets, lenient=True),
        row.outputs,
        row.cluster,
    )
    place.writer.put(Result(place, kept), 1000)


def keep_run(run: StoredRun, result: Evaluation) -> None:
    """Say of a run what came of it."""
    about, score = result.about, result.score
    run.program, run.metric, run.dataset, run.lm = about.program_hash, about.metric_hash, about.data_hash, about.lm
    run.attributes = {
        "program": about.program,
        "metric": about.metric,
        "epochs": about.epochs,
        "total": about.total,
        "about": asdict(about),  # what decides whether two evaluations can be compared
        "unanswered": [[row.index, row.epoch] for row in result.rows if not row.answered],
    }
    run.summary = {
        "score": _known(score.value),
        "low": _known(score.interval.low),
        "high": _known(score.interval.high),
        "level": score.interval.level,
        "n": result.n,
        "states": dict(result.states),
        "spending": result.spending.to_json(),
        "models": result.model_counts,
        "fingerprints": result.fingerprints,
        "headline": result.headline,
        "stopped": result.stopped,
    }


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None

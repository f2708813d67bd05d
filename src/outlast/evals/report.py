"""An evaluation as one HTML page that needs nothing else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from outlast.data.jsonform import json_form
from outlast.evals import wording
from outlast.evals.policy import policy_text
from outlast.types.media import short_media

if TYPE_CHECKING:
    from outlast.evals.evaluation import Evaluation
    from outlast.evals.row import Row

_ORDER = {"error": 0, "fail": 1, "unscored": 2, "pass": 3}


def page(evaluation: Evaluation, rows: Sequence[Row], limit: int) -> str:
    """The page. Everything is escaped: what a model wrote shows as the text that it is."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["shown"] = _shown
    environment.filters["duration"] = wording.duration
    template = environment.from_string(files("outlast.evals").joinpath("report.html").read_text("utf-8"))
    ordered = sorted(rows, key=lambda row: (_ORDER[row.state], row.score or 0.0, row.index))
    return template.render(
        evaluation=evaluation,
        about=evaluation.about,
        facts=_facts(evaluation),
        shares=_shares(evaluation),
        rows=ordered[:limit],
        hidden=max(0, len(ordered) - limit),
    )


def _facts(evaluation: Evaluation) -> dict[str, str]:
    about = evaluation.about
    facts = {
        "Program": f"{about.program} ({about.program_hash[:12]})",
        "Metric": f"{about.metric} ({about.metric_hash[:12]})",
        "Errors": policy_text(about.on_error),
        "Model": wording.models_text(evaluation.model_counts, about.lm) or "none",
        "Data": f"{evaluation.n} of {about.total or 'unknown'} examples, {about.data_hash[:12] or 'no hash'}",
        "Spent": str(evaluation.spending),
        "Time": wording.duration(evaluation.seconds),
        "Time of an example": f"median {wording.duration(evaluation.latency())}, "
        f"95% within {wording.duration(evaluation.latency(0.95))}",
    }
    if about.rescored:
        facts["Scored before by"] = about.rescored
    for number, session in enumerate(evaluation.sessions):
        facts["Run" if number == 0 else f"Resumed ({number})"] = f"{session.started}; {session.machine}; {session.code}"
    if about.epochs > 1:
        facts["Epochs"] = f"{about.rule.epochs}; {evaluation.tally.flaky} flaky examples"
    if about.cluster:
        facts["Clusters"] = about.cluster
    if evaluation.retried:
        facts["Retried"] = f"{evaluation.retried} rows, after errors"
    if evaluation.reads is not None:
        facts["Held-out data"] = str(evaluation.reads)
    if evaluation.metric_spending.calls:
        facts["Spent by the metric"] = str(evaluation.metric_spending)
    return facts


def _shares(evaluation: Evaluation) -> list[tuple[str, int, float]]:
    total = max(1, evaluation.n)
    return [(state, count, 100 * count / total) for state, count in evaluation.states.items() if count]


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(short_media(json_form(value, lenient=True)), ensure_ascii=False, indent=1)

"""An evaluation as one HTML page that needs nothing else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from outlast.data.jsonform import json_form
from outlast.evals import wording
from outlast.evals.comparing.slices import By, fields_of
from outlast.evals.policy import policy_text
from outlast.evals.reports.plots import ForestRow, bins_of, calibration_error, forest, reliability
from outlast.evals.statistics.values import is_binary
from outlast.types.media import short_media

if TYPE_CHECKING:
    from jinja2 import Environment

    from outlast.evals.evaluation import Evaluation
    from outlast.evals.row import CheckOutcome, Row
    from outlast.evals.statistics import Estimate

_ORDER = {"error": 0, "fail": 1, "unscored": 2, "pass": 3}
_FLAKY = 50
_SMALL = 10
_SLICES = 60


class _Calibration(NamedTuple):
    plot: Any
    note: str


def page(evaluation: Evaluation, rows: Sequence[Row], limit: int, by: By | None = None) -> str:
    """The page. Everything is escaped: what a model wrote shows as the text that it is."""
    from markupsafe import Markup

    ordered = sorted(rows, key=lambda row: (_ORDER[row.state], row.score or 0.0, row.index, row.epoch))
    flaky = evaluation.flaky if evaluation.about.epochs > 1 else ()
    parts = [ForestRow(name, one.n, one.value, one.interval) for name, one in evaluation.parts.items()]
    return template("report.html").render(
        evaluation=evaluation,
        about=evaluation.about,
        facts=_facts(evaluation),
        shares=_shares(evaluation),
        forests=[] if by is None else [_slices(evaluation, field) for field in fields_of(by)],
        parts=Markup(forest("Mean of each part", parts, share=_within(parts))) if parts else None,
        checks=list(evaluation.checks.values()),
        calibration=_calibration(evaluation, rows),
        flaky=flaky[:_FLAKY],
        flaky_hidden=max(0, len(flaky) - _FLAKY),
        rows=ordered[:limit],
        hidden=max(0, len(ordered) - limit),
    )


def template(name: str) -> Any:
    """A page's template by its file name."""
    return _environment().get_template(name)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    def read(name: str) -> str:
        return files("outlast.evals.reports").joinpath(name).read_text("utf-8")

    environment = Environment(
        loader=FunctionLoader(read), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "shown": shown,
        "duration": wording.duration,
        "estimated": _estimated,
        "brief_inputs": brief_inputs,
        "check_text": _check_text,
    }
    return environment


def facts_of(evaluation: Evaluation) -> dict[str, str]:
    """What was run on what, for either side of a comparison."""
    about = evaluation.about
    return {
        "Program": f"{about.program} ({about.program_hash[:12]})",
        "Model": wording.models_text(evaluation.model_counts, about.lm) or "none",
        "Spent": str(evaluation.spending),
    }


def _facts(evaluation: Evaluation) -> dict[str, str]:
    about = evaluation.about
    facts = facts_of(evaluation) | {
        "Metric": f"{about.metric} ({about.metric_hash[:12]})",
        "Errors": policy_text(about.on_error),
        "Data": f"{evaluation.n} of {about.total or 'unknown'} examples, {about.data_hash[:12] or 'no hash'}",
        "Time": wording.duration(evaluation.seconds),
        "Time of an example": f"median {wording.duration(evaluation.latency())}, "
        f"95% within {wording.duration(evaluation.latency(0.95))}",
    }
    if about.rescored:
        facts["Scored before by"] = about.rescored
    for number, session in enumerate(evaluation.sessions):
        facts["Run" if number == 0 else f"Resumed ({number})"] = str(session)
    if about.epochs > 1:
        facts["Epochs"] = f"{about.rule.epochs}; {evaluation.tally.flaky} flaky examples"
    if about.cluster:
        facts["Clusters"] = about.cluster
    if evaluation.retried:
        facts["Retried"] = f"{evaluation.retried} rows, after errors"
    if evaluation.reads is not None:
        facts["Held-out data"] = str(evaluation.reads)
    if about.judged_by:
        facts["Judged by"] = about.judged_by
    if evaluation.metric_spending.calls:
        facts["Spent by the metric"] = str(evaluation.metric_spending)
    return facts


def _shares(evaluation: Evaluation) -> list[tuple[str, int, float]]:
    total = max(1, evaluation.n)
    return [(state, count, 100 * count / total) for state, count in evaluation.states.items() if count]


def _slices(evaluation: Evaluation, field: Any) -> tuple[str, Any]:
    from markupsafe import Markup

    name = field if isinstance(field, str) else getattr(field, "__name__", "function")
    found = sorted(evaluation.slices(field).items(), key=lambda pair: -pair[1].n)
    lines = [
        ForestRow(
            str(value),
            one.n,
            one.score.value,
            one.score.interval,
            note="too few" if one.n < _SMALL else "",
            tone="few" if one.n < _SMALL else "",
        )
        for value, one in found[:_SLICES]
        if one.score.n
    ]
    overall = wording.number(evaluation.score.value, evaluation.is_share)
    title = f"Mean score with its interval; dashed: all examples ({overall})"
    if len(found) > _SLICES:
        title += f"; the {_SLICES} largest of {len(found)}"
    reference = evaluation.score.value if evaluation.score.n else None
    plot = forest(title, lines, share=evaluation.is_share, reference=reference, last="note") if lines else ""
    return name, Markup(plot)


def _calibration(evaluation: Evaluation, rows: Sequence[Row]) -> _Calibration | None:
    """How honest the confidence is that rows carry (a part of the score or an output of that name, 0 to 1), where
    scores are right or wrong."""
    from markupsafe import Markup

    scored = [row for row in rows if row.score is not None]
    if not is_binary(row.score for row in scored if row.score is not None):
        return None
    pairs = [(confidence, row.score == 1) for row in scored if (confidence := _confidence(row)) is not None]
    if not pairs:
        return None
    bins = bins_of(pairs, evaluation.about.level)
    error = calibration_error(bins)
    note = (
        f"{len(pairs)} answers came with a confidence. On average it is {100 * error:.1f} points from the share that "
        "is right (expected calibration error); on the dashed line it would be honest."
    )
    return _Calibration(Markup(reliability("Confidence and share right", bins)), note)


def _confidence(row: Row) -> float | None:
    value = row.parts.get("confidence", outputs_of(row).get("confidence"))
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        return None
    return float(value)


def outputs_of(row: Row) -> dict[str, Any]:
    """The fields that the program returned; none after an error, or when it returned something else."""
    outputs: object = row.outputs
    return cast("dict[str, Any]", outputs) if isinstance(outputs, dict) else {}


def _within(rows: Sequence[ForestRow]) -> bool:
    return all(0 <= row.value <= 1 for row in rows)


def _estimated(estimate: Estimate) -> str:
    if not estimate.n or not estimate.interval.known:
        return wording.number(estimate.value, True)
    return f"{wording.number(estimate.value, True)} ({wording.span(estimate.interval, True)})"


def _check_text(outcome: CheckOutcome) -> str:
    words = {True: "passed", False: "failed", None: "did not apply"}
    if outcome.first == outcome.final:
        return words[outcome.final]
    return f"{words[outcome.first]} first, then {words[outcome.final]}"


def brief_inputs(row: Row) -> str:
    """The inputs of a row in one line."""
    return " ".join(shown(value)[:160] for value in row.inputs.values())


def shown(value: Any) -> str:
    """A value as text: strings as they are, other things as JSON."""
    if isinstance(value, str):
        return value
    return json.dumps(short_media(json_form(value, lenient=True)), ensure_ascii=False, indent=1)

"""One rollout: a program run on one example and scored, with what each of its modules did."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from outlast.data.example import Example, id_of, inputs_of
from outlast.data.jsonform import json_form
from outlast.errors import AnswerError, brief
from outlast.evals.identity import name_of
from outlast.evals.score import Score, as_score
from outlast.messages import Spending
from outlast.modules.module import Module
from outlast.modules.paths import predictors_of
from outlast.optimize.candidate import Outcome, Step
from outlast.runtime import Trace, running
from outlast.signatures.codec import codecs
from outlast.signatures.record import Record, outputs_of


@dataclass(frozen=True, slots=True)
class Rolled:
    """A rollout with everything that the ledger keeps of it. `failure` is the exception when there was one."""

    outcome: Outcome
    spending: Spending
    parts: Mapping[str, float]
    outputs: Any
    steps: list[dict[str, Any]]
    failure: BaseException | None


async def roll(program: Module, example: Example, metric: Callable[..., Any], candidate: str, sample: int) -> Rolled:
    """Run and score. Exceptions of the program, the model and the metric come back as data."""
    clock = perf_counter()
    trace = Trace()
    failure: BaseException | None = None
    prediction: Any = None
    score: Any = None
    with running(trace=trace):
        try:
            prediction = await program.acall(**inputs_of(example))
        except Exception as error:
            failure = error
    if failure is None:
        try:
            result = metric(example, prediction)
            score = as_score(await result if inspect.isawaitable(result) else result, name_of(metric))
        except Exception as error:
            failure = error
    spending = trace.spending
    outcome = _outcome(
        candidate,
        id_of(example),
        sample,
        score,
        failure,
        perf_counter() - clock,
        spending.calls + spending.cached,
    )
    parts = score.parts if isinstance(score, Score) else {}
    return Rolled(outcome, spending, parts, _outputs(prediction), steps_to_json(program, trace), failure)


def _outcome(
    candidate: str,
    example: str,
    sample: int,
    score: Any,
    failure: BaseException | None,
    seconds: float,
    calls: int,
) -> Outcome:
    if failure is not None:
        answered = not isinstance(failure, AnswerError)
        text = f"{type(failure).__name__}: {failure}"
        return Outcome(candidate, example, sample, "error", None, "", text, answered, seconds, calls)
    if isinstance(score, Score):
        state = "pass" if score.value >= 1.0 else "fail"
        return Outcome(candidate, example, sample, state, score.value, score.feedback, "", True, seconds, calls)
    return Outcome(candidate, example, sample, "unscored", None, score.reason, "", True, seconds, calls)


def _outputs(prediction: Any) -> Any:
    values = outputs_of(prediction) if isinstance(prediction, Record) else prediction
    try:
        return json_form(values, lenient=True)
    except Exception:  # what a program returns is the user's; the ledger keeps at least its looks
        return brief(values, 1000)


def steps_to_json(program: Module, trace: Sequence[Any]) -> list[dict[str, Any]]:
    """What each module of the program did, JSON-ready: the answered spans of a trace."""
    predictors = predictors_of(program)
    steps: list[dict[str, Any]] = []
    for span in trace:
        if span.path not in predictors:
            continue
        table = codecs(predictors[span.path].asked())

        def dumped(values: Mapping[str, Any], table: Any = table) -> dict[str, Any]:
            return {name: table[name].dump(value) for name, value in values.items() if name in table}

        steps.append(
            {
                "path": span.path,
                "inputs": dumped(span.inputs),
                "values": None if span.values is None else dumped(span.values),
                "reply": None if span.response is None else span.response.text,
                "model": None if span.response is None else span.response.model,
                "error": None if span.error is None else f"{type(span.error).__name__}: {span.error}",
                "attempt": span.attempt,
                "seconds": round(span.seconds, 6),
                "label": span.label.to_json(),
            }
        )
    return steps


def steps_from_json(program: Module, data: Sequence[Mapping[str, Any]]) -> list[Step]:
    """The answered steps that `steps_to_json` wrote, as values of the program's signatures."""
    predictors = predictors_of(program)
    steps: list[Step] = []
    for item in data:
        part = predictors.get(item["path"])
        if part is None or item["values"] is None:
            continue
        table = codecs(part.asked())

        def read(values: Mapping[str, Any], table: Any = table) -> dict[str, Any]:
            return {name: table[name].read_data(value) for name, value in values.items() if name in table}

        steps.append(Step(item["path"], read(item["inputs"]), read(item["values"])))
    return steps

"""What can stand where a metric is expected, and the function `(example, prediction)` that each of them means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

from outlast.checks.check import Check
from outlast.data.example import Example, inputs_of
from outlast.evals.score import Score, Unscored
from outlast.signatures.record import Record, fields_of
from outlast.tracing.shape import NEEDS


@runtime_checkable
class Judging(Protocol):
    """Something else than a function that scores: a judge, a classifier. It gives the metric that it stands for."""

    def as_metric(self) -> Callable[[Example, Any], Any]: ...


Metric = Callable[[Example, Any], Any] | Judging
"""What says how good an answer is: a function, a check, a judge, a classifier."""


def as_metric(thing: Any) -> Any:
    """The metric that something means: functions are metrics themselves, checks and judges give one."""
    if isinstance(thing, Check):
        return _of_check(thing)
    if isinstance(thing, Judging) and not isinstance(thing, type):
        return thing.as_metric()
    return thing


def fields_seen(inputs: Mapping[str, Any], prediction: Any) -> dict[str, Any]:
    """What a check or a judge may look at: inputs and outputs by name; a plain result has the name `answer`."""
    if isinstance(prediction, Record):
        return {**inputs, **fields_of(prediction)}
    if isinstance(prediction, Mapping):
        return {**inputs, **prediction}
    return {**inputs, "answer": prediction}


def _of_check(check: Check) -> Callable[[Example, Any], Any]:
    async def metric(example: Example, prediction: Any) -> Score | Unscored:
        result = await check.arun(fields_seen(inputs_of(example), prediction))
        if result is None:
            return Unscored(f"the check {check.name!r} does not apply")
        value = (1.0 if result.ok else 0.0) if result.score is None else result.score
        return Score(value, "" if result.ok else check.told(result))

    metric.__name__ = check.name
    setattr(metric, NEEDS, check.needs)
    return metric

"""Runs a program and a metric on one example, and turns whatever happens into a row."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal, cast

from outlast.data.example import Example, id_of, inputs_of, targets_of, unshared, unshared_example
from outlast.data.jsonform import json_form
from outlast.errors import (
    AnswerError,
    BudgetExceeded,
    ConfigError,
    InputError,
    LMContextError,
    LMError,
    StudyError,
    UsageError,
    brief,
    did_you_mean,
)
from outlast.evals.checking import looked, outcomes
from outlast.evals.forms import Metric
from outlast.evals.metrics import TARGETS
from outlast.evals.row import CheckOutcome, Row, RowError
from outlast.evals.score import Score, Unscored
from outlast.evals.scorer import Scorer, fingerprints_of, is_async, models_of, within
from outlast.messages import Spending
from outlast.modules.module import Module, forward_of
from outlast.modules.predict import Predict
from outlast.runtime import Run, Trace, current, enter, in_thread, leave, recording
from outlast.signatures.record import Record, outputs_of
from outlast.signatures.signature import bind_defaults
from outlast.tracing.identity import name_of
from outlast.tracing.recorder import Place as KeptIn

if TYPE_CHECKING:
    from outlast.adapters.protocol import Adapter
    from outlast.checks.check import Check
    from outlast.checks.reported import Checked
    from outlast.lms.protocol import LM

_NOTHING_SPENT = Spending()


class RowRunner:
    """`await runner(index, example)` gives a `Row`; only cancellation and a used-up budget raise.

    With `epochs`, epoch e of sample s asks as sample `s * epochs + e`, as strategies number nested draws: the epochs
    are independent, and epoch 0 of sample 0 is what a plain run asks.

    `program` is a `Module` or any callable taking the inputs as keywords; `async` ones run on the loop, plain
    functions in threads; the metric as in `Scorer`. Program and metric get copies of lists and other values that they
    could change, so that no run changes the data.

    Cost: the LM calls of the program and of the metric. Raises `UsageError` for a program or metric that
    cannot be called.
    """

    def __init__(
        self,
        program: Any,
        metric: Metric,
        *,
        lm: LM | str | None = None,
        adapter: Adapter | None = None,
        sample: int | None = None,
        epochs: int = 1,
        checks: Sequence[Check] = (),
        threshold: float = 1.0,
        traces: bool = False,
    ) -> None:
        self.scorer = Scorer(metric, threshold)
        self.checks = checks
        self.traces = traces
        self.run = run_for(lm, adapter, sample)
        self._runs = [replace(self.run, sample=self.run.sample * epochs + epoch) for epoch in range(epochs)]
        self._call = _caller(program)

    async def __call__(
        self, index: int, example: Example, run: Run | None = None, *, epoch: int = 0, cluster: str = ""
    ) -> Row:
        """Run one example, within `run` when given and else within the run that this was made in.

        Raises `BudgetExceeded` when the budget of that run is used up.
        """
        run, judge, traces = _kept(run or self._runs[epoch], example)
        trace, judging = Trace(), Trace()
        outcome: Score | Unscored | RowError
        prediction: Any = None
        outputs: Any = None
        beside: Mapping[str, Checked] = {}
        started = perf_counter()
        subject: Literal["program", "metric"] = "program"
        seconds: float | None = None
        task = _task()
        try:
            token = enter(within(run, trace, blocking=False))
            try:
                prediction = await self._call(unshared(inputs_of(example)))
            finally:
                leave(token)
            seconds, subject = perf_counter() - started, "metric"
            outputs = output_form(prediction)  # before the metric, which may change it
            if self.checks:
                beside = await looked(self.checks, inputs_of(example), prediction, judge, judging)
            outcome = await self.scorer(judge, unshared_example(example), prediction, judging)
        except (Exception, SystemExit, asyncio.CancelledError, GeneratorExit) as error:
            if must_raise(run, error) or (isinstance(error, GeneratorExit) and _task() is not task):
                raise
            outcome = RowError.of(error, subject)
        if seconds is None:
            seconds = perf_counter() - started
        place = (index, epoch, cluster)
        row = self._row(place, example, outputs, outcome, seconds, trace, judging, beside)
        return replace(row, trace_id=traces[0]) if traces else row

    def close(self) -> None:
        """Say that no more examples come. Threads are shared and end by themselves, so nothing is given back."""

    def _row(
        self,
        place: tuple[int, int, str],
        example: Example,
        outputs: Any,
        outcome: Score | Unscored | RowError,
        seconds: float,
        trace: Trace,
        judging: Trace,
        beside: Mapping[str, Checked],
    ) -> Row:
        score, state, feedback, parts, error = self.scorer.said(outcome)
        checks: Mapping[str, CheckOutcome] = {}
        if beside or trace.checks:
            checks, told = outcomes(trace, beside)
            feedback = "\n".join(text for text in (feedback, told) if text)
        index, epoch, cluster = place
        return Row(
            index,
            id_of(example),
            dict(inputs_of(example)),
            dict(targets_of(example)),
            outputs,
            score,
            state,
            feedback,
            parts,
            error,
            seconds,
            trace.spending if trace else _NOTHING_SPENT,
            judging.spending if judging else _NOTHING_SPENT,
            models_of(trace) if trace else (),
            trace if self.traces else None,
            error is None or is_answered(error, trace),
            epoch,
            checks,
            cluster,
            metric_models=models_of(judging) if judging else (),
            fingerprints=fingerprints_of(trace) if trace else (),
        )


def _kept(run: Run, example: Example) -> tuple[Run, Run, list[str]]:
    """The run for the program and the one for the metric, whose traces say what they are of; and the ids of those of
    the program, as they begin."""
    place = run.recording if run.recording is not None else recording()
    if not isinstance(place, KeptIn):
        return run, run, []
    ids: list[str] = []
    of_program = place.about(example=id_of(example), told=ids.append)
    of_metric = place.about(example=id_of(example), told=None, attributes={**place.attributes, "of": "metric"})
    return run.recorded(of_program), run.recorded(of_metric), ids


def must_raise(run: Run, error: BaseException) -> bool:
    """Whether an exception ends the evaluation instead of a row."""
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        return task is None or task.cancelling() > 0  # else the program cancelled something of its own
    if isinstance(error, BudgetExceeded):
        meter = run.meter
        while meter is not None:
            if meter.refused or meter.exceeded():
                return True
            meter = meter.outer
    return False


def is_answered(error: RowError, trace: Trace) -> bool:
    """False when the program failed on what the model said, which is the fault of the program and its prompts."""
    raised = error.exception
    if error.subject != "program":
        return True
    if isinstance(raised, AnswerError | LMContextError):
        return False
    if isinstance(raised, (LMError, OSError, BudgetExceeded, ConfigError, StudyError, asyncio.CancelledError)):
        return True
    unasked = any(span.error is raised and span.response is None for span in trace)
    return unasked or all(span.response is None for span in trace)


def _task() -> asyncio.Task[Any] | None:
    """The task that runs this; none when a coroutine is closed from outside, which is no error of a row."""
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


def _caller(program: Any) -> Callable[[Mapping[str, Any]], Awaitable[Any]]:
    """How to call a program with its inputs as a mapping."""
    if isinstance(program, type):
        raise UsageError(f"the program is a class; give an instance of it: {program.__name__}(...)")
    acall = getattr(program, "acall", None)
    if callable(acall):
        return lambda inputs: cast("Awaitable[Any]", acall(**inputs))
    if not callable(program):
        raise UsageError(f"a program is a Module or a function taking the inputs as keywords; got {brief(program)}")
    function = cast("Callable[..., Any]", program)
    if is_async(program):
        return lambda inputs: function(**inputs)

    async def call(inputs: Mapping[str, Any]) -> Any:
        result = await in_thread(lambda: function(**inputs))
        return await result if inspect.isawaitable(result) else result

    return call


def output_form(prediction: Any) -> Any:
    """The JSON form of what a program returned: the outputs of a record by name, other values as they are."""
    return json_form(outputs_of(prediction) if isinstance(prediction, Record) else prediction, lenient=True)


def check_first(program: Any, metric: Any, example: Example) -> None:
    """Refuse what one example shows to be impossible, before any call: wrong inputs of a function, missing
    targets.
    """
    refuse_missing_targets(metric, targets_of(example))
    if isinstance(program, Module):
        try:
            if isinstance(program, Predict):
                bind_defaults(program.signature, inputs_of(example))
            else:
                forward_of(program).check(type(program).__name__, inputs_of(example))
        except InputError as error:
            raise InputError(f"the first example ({id_of(example)}): {error}") from None
        return
    if hasattr(program, "acall"):
        return
    try:
        inspect.signature(program).bind(**inputs_of(example))
    except TypeError as error:
        raise UsageError(
            f"program {name_of(program)}{inspect.signature(program)} cannot be called with the inputs of the "
            f"examples ({', '.join(inputs_of(example)) or 'none'}): {error}"
        ) from None
    except ValueError:
        return  # a builtin that does not tell its signature


def refuse_missing_targets(metric: Any, targets: Mapping[str, Any]) -> None:
    """Raise `UsageError` for a metric that reads a target which the examples do not have."""
    for name in getattr(metric, TARGETS, ()):
        if name not in targets:
            raise UsageError(
                f"metric {name_of(metric)} reads the target {name!r}, which the examples do not have."
                f"{did_you_mean(name, targets)} Targets: {', '.join(targets) or 'none'}."
            )


def run_for(lm: LM | str | None, adapter: Adapter | None, sample: int | None) -> Run:
    """The surroundings of every call: those of the caller, with what was given in their place."""
    from outlast.modules.settings import as_adapter, as_lm

    outer = current()
    return replace(
        outer,
        lm=outer.lm if lm is None else as_lm(lm),
        adapter=outer.adapter if adapter is None else as_adapter(adapter),
        sample=outer.sample if sample is None else sample,
    )

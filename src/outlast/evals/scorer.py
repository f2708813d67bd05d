"""Calls a metric on an example and what a program returned, and says what that means for a row."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from time import perf_counter
from types import MappingProxyType
from typing import Any, NamedTuple

from outlast.data.example import Example
from outlast.evals.forms import as_metric
from outlast.evals.row import RowError, State
from outlast.evals.score import Score, Unscored, as_score, check_metric
from outlast.runtime import Run, Trace, enter, in_thread, leave, running_loop
from outlast.tracing.identity import name_of

_NO_PATHS: Mapping[int, str] = MappingProxyType({})
_PLAIN_RESULTS = frozenset({bool, int, float, Score, Unscored, type(None)})
_SLOW = 0.01  # seconds in which a metric that blocks holds up all others


class Said(NamedTuple):
    """What a metric's result, or an exception in its place, means for a row."""

    score: float | None
    state: State
    feedback: str
    parts: Mapping[str, float]
    error: RowError | None = None


class Scorer:
    """`await scorer(run, example, prediction, trace)` gives a `Score` or `Unscored`, and raises what the metric raises.

    A plain metric is called in place; once it has taken more than 10 ms three times, it runs in threads, so that a
    judge in it does not make an evaluation serial. A check, or anything with `as_metric`, can be the metric. Raises
    `UsageError` for what is none. Cost: the metric's.
    """

    def __init__(self, metric: Any, threshold: float = 1.0) -> None:
        self.metric = as_metric(metric)
        check_metric(self.metric)
        self.name = name_of(self.metric)
        self.threshold = threshold
        self._is_async = is_async(self.metric)
        self._slow = 0

    async def __call__(self, run: Run, example: Example, prediction: Any, trace: Trace) -> Score | Unscored:
        """What the metric says, within `run`; its exchanges with models go into `trace`."""
        return as_score(await self._result(run, example, prediction, trace), self.name)

    def said(self, outcome: Score | Unscored | RowError) -> Said:
        """What it means for a row."""
        if isinstance(outcome, Score):
            state: State = "pass" if outcome.value >= self.threshold else "fail"
            return Said(outcome.value, state, outcome.feedback, outcome.parts)
        if isinstance(outcome, Unscored):
            return Said(None, "unscored", outcome.reason, {})
        return Said(None, "error", "", {}, outcome)

    async def _result(self, run: Run, example: Example, prediction: Any, trace: Trace) -> Any:
        token = enter(within(run, trace, blocking=not self._is_async))
        try:
            if self._slow >= 3:
                result = await in_thread(lambda: self.metric(example, prediction))
            else:
                started = perf_counter()
                result = self.metric(example, prediction)
                if perf_counter() - started > _SLOW:
                    self._slow += 1
        finally:
            leave(token)
        if type(result) in _PLAIN_RESULTS or not inspect.isawaitable(result):
            return result
        token = enter(within(run, trace, blocking=False))
        try:
            return await result
        finally:
            leave(token)


def within(run: Run, trace: Trace, *, blocking: bool) -> Run:
    """The surroundings of one call inside `run`; `dataclasses.replace` would take twice as long."""
    return Run(
        run.lm,
        run.adapter,
        trace,
        run.meter,
        run.memo,
        run.label,
        run.sample,
        blocking,
        None,
        _NO_PATHS,
        run.scope,
        running_loop() if blocking else None,
        run.visiting,
        run.threaded,
        run.transport,
        approver=run.approver,
        recording=run.recording,
    )


def models_of(trace: Trace) -> tuple[str, ...]:
    """The models that answered, each once."""
    return tuple(dict.fromkeys(span.response.model for span in trace if span.response is not None))


def fingerprints_of(trace: Trace) -> tuple[tuple[str, str], ...]:
    """The models that answered with a fingerprint, and that, each once."""
    told = (span.response for span in trace if span.response is not None)
    return tuple(dict.fromkeys((one.model, one.fingerprint) for one in told if one.fingerprint))


def is_async(function: Any) -> bool:
    """Whether a call of it has to be awaited."""
    called: Callable[..., Any] = type(function).__call__
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(called)

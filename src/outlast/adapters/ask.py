"""The one loop that asks a model: render, send, read, re-ask with the error, fall back. Every try is a span."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from outlast.adapters.protocol import Adapter, Plan, Prepared
from outlast.errors import AnswerError, ParseError
from outlast.lms.protocol import LM, send
from outlast.messages import Request, Response, Settings, assistant, user
from outlast.runtime import Run, Span


@dataclass(frozen=True, slots=True)
class Answer:
    """Validated output values and the reply that they came from."""

    values: dict[str, Any]
    response: Response


@dataclass(frozen=True, slots=True)
class Question:
    """One call of one predictor: who asks, with what, whom."""

    path: str | None
    module: str
    signature: Any
    inputs: Mapping[str, Any]
    settings: Settings
    lm: LM
    run: Run


async def ask_model(question: Question, plans: Mapping[Adapter, Plan] | Any, adapter: Adapter) -> Answer:
    """Ask until a reply can be read, within the adapter's limits; raises `AnswerError` when none can.

    Cost: at most 1 + reasks LM calls for the adapter and as many for each fallback. `plans(adapter)` gives the
    compiled plan of an adapter.
    """
    tries = 0
    current: Adapter | None = adapter
    last: ParseError | None = None
    while current is not None:
        prepared: Prepared = plans(current).prepare(question.inputs)
        request = prepared.request(question.settings, question.run.sample, question.run.label)
        for left in range(current.reasks, -1, -1):
            response, values, error = await _try(question, prepared, request, tries)
            tries += 1
            if error is None:
                return Answer(values, response)
            last = error
            if left:
                request = replace(
                    request,
                    messages=(*request.messages, assistant(response.text), user(error.for_model)),
                )
        current = current.fallback
    assert last is not None
    if tries == 1:
        raise last
    raise AnswerError(
        f"no usable answer after {tries} tries; the last: {last}", response=last.response, attempts=tries
    ) from last


async def _try(
    question: Question, prepared: Prepared, request: Request, attempt: int
) -> tuple[Response, dict[str, Any], ParseError | None]:
    started = time.time()
    clock = time.perf_counter()
    response: Response | None = None
    values: dict[str, Any] = {}
    failure: Exception | None = None
    try:
        response = await send(question.lm, request)
        try:
            values = prepared.read(response)
        except ParseError as error:
            failure = error
            return response, values, error
        return response, values, None
    except Exception as error:
        failure = error
        raise
    finally:
        trace = question.run.trace
        if trace is not None:
            trace.append(
                Span(
                    question.path,
                    question.module,
                    question.signature.__name__,
                    question.inputs,
                    request,
                    response,
                    None if failure is not None else values,
                    failure,
                    attempt,
                    started,
                    time.perf_counter() - clock,
                    request.label,
                )
            )

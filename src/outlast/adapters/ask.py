"""The one loop that asks a model: render, send, read, re-ask with the error, fall back. Every try is a span."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from outlast.adapters.protocol import Adapter, Plan, Prepared
from outlast.errors import AnswerError, ParseError
from outlast.lms.protocol import LM, send
from outlast.messages import Request, Response, Settings, assistant, user
from outlast.runtime import Run, Span

_NOTHING_SAID = "(empty reply)"  # providers refuse an empty turn


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


async def ask_model(question: Question, plans: Callable[[Adapter], Plan], adapter: Adapter) -> Answer:
    """Ask until a reply can be read, within the adapter's limits; raises `AnswerError` when none can.

    Cost: at most 1 + reasks LM calls for the adapter and as many for each fallback. `plans(adapter)` gives the
    compiled plan of an adapter.
    """
    tried: dict[str, int] = {}
    current: Adapter | None = adapter
    last: ParseError | None = None
    while current is not None and not (last is not None and last.final):
        prepared = plans(current).prepare(question.inputs)
        request = prepared.request(question.settings, question.run.sample, question.run.label)
        name = type(current).__name__
        for left in range(current.reasks, -1, -1):
            response, values, last = await _try(question, prepared, request, sum(tried.values()))
            tried[name] = tried.get(name, 0) + 1
            if last is None:
                return Answer(values, response)
            if last.final:
                break
            if left:
                said = assistant(response.text if response.text.strip() else _NOTHING_SAID)
                request = replace(request, messages=(*request.messages, said, user(last.for_model)))
        current = current.fallback
    assert last is not None
    tries = sum(tried.values())
    if tries == 1:
        raise last
    counted = " and ".join(f"{count} with {name}" for name, count in tried.items())
    raise AnswerError(
        f"no usable answer after {tries} tries ({counted}); the last: {last}", response=last.response, attempts=tries
    ) from last


async def _try(
    question: Question, prepared: Prepared, request: Request, attempt: int
) -> tuple[Response, dict[str, Any], ParseError | None]:
    """Send one request and read the reply; a reply that cannot be read is given back with its error."""
    started = time.time()
    clock = time.perf_counter()
    response: Response | None = None
    values: dict[str, Any] | None = None
    failure: Exception | None = None
    try:
        response = await send(question.lm, request)
        values = prepared.read(response)
        return response, values, None
    except ParseError as error:
        if response is None:
            raise
        failure = error
        return response, {}, error
    except Exception as error:
        failure = error
        raise
    finally:
        trace = question.run.trace
        if trace is not None and (values is not None or failure is not None):
            trace.append(
                Span(
                    question.path,
                    question.module,
                    question.signature.__name__,
                    question.inputs,
                    request,
                    response,
                    values,
                    failure,
                    attempt,
                    started,
                    time.perf_counter() - clock,
                    request.label,
                )
            )

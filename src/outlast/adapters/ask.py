"""The one loop that asks a model: render, send, read, re-ask with the error, fall back. Every try is a span."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from outlast.adapters.protocol import Adapter, FollowUp, Plan, Prepared
from outlast.errors import AnswerError, CheckFailed, LMContextError, LMError, LMUnsupported, ParseError
from outlast.lms.decide import ASKER
from outlast.lms.protocol import LM, send
from outlast.messages import NO_SETTINGS, Request, Response, Settings
from outlast.runtime import Run, Span, Trace, current, enter, leave, sleep

if TYPE_CHECKING:
    from outlast.adapters.showing import Showing


_PAUSE = 0.25  # seconds before a reply that broke off is asked for again; doubled each time
_LONGEST_PAUSE = 10.0


@dataclass(frozen=True, slots=True)
class Answer:
    """Validated output values and the reply that they came from: that of the model that was asked first."""

    values: dict[str, Any]
    response: Response


class Looked(NamedTuple):
    """What checks say of an answer: the `values` to give, and those that the trace shows. With an `error` the model's
    own answer did not pass; what it is `told` goes back to it, and it is asked again."""

    values: dict[str, Any]
    shown: dict[str, Any]
    error: CheckFailed | None = None
    told: ParseError | None = None


class Watch(Protocol):
    """Who looks at the answers to one question before they are given: its checks, see `outlast.checks.running`.

    While the model is asked again the question is `pending`, and what replies take is `paid`; `settle` says what is
    given, and for which reply, when no other answer could be had. `holds` says that nothing of an answer is shown
    before `look` has passed it.
    """

    pending: bool

    @property
    def holds(self) -> bool: ...

    def paid(self, response: Response) -> None: ...

    async def look(self, values: dict[str, Any], response: Response) -> Looked: ...

    async def settle(self) -> tuple[dict[str, Any], Response]: ...


@dataclass(frozen=True, slots=True)
class Question:
    """One call of one predictor: who asks, with what, whom; `showing` tells whoever reads the stream of it, `watch` are
    the checks of its answer."""

    path: str | None
    module: str
    signature: Any
    inputs: Mapping[str, Any]
    settings: Settings
    lm: LM
    run: Run
    showing: Showing | None = None
    watch: Watch | None = None


async def ask_model(question: Question, plans: Callable[[Adapter], Plan], adapter: Adapter) -> Answer:
    """Ask until a reply can be read, within the adapter's limits; raises `AnswerError` when none can.

    Cost: at most 1 + reasks LM calls for the adapter and as many for each fallback, those of the questions that
    replies lead to, and those that checks ask for again, which count apart. `plans(adapter)` gives the compiled plan of
    an adapter; one that the model cannot follow, as is known before or when it is asked, is passed over for its
    fallback, and is an error without.
    """
    if question.run.sink is not None and question.showing is None:
        return await _shown(question, plans, adapter)
    tried: dict[str, int] = {}
    current: Adapter | None = adapter
    last: AnswerError | None = None
    while current is not None and not _is_final(last):
        plan = _plan(plans, current)
        if plan is not None:
            try:
                answer, last = await _with(question, plan, current, tried)
            except LMError as error:
                answer = await _unasked(question, error)
            if answer is not None:
                return answer
        current = current.fallback
        if current is not None and question.showing is not None and not _is_final(last):
            why = "" if last is None else f": {last}"
            question.showing.restart(f"asked with {type(current).__name__} instead{why}")
    assert last is not None
    if (answer := await _settled(question, last)) is not None:
        return answer
    tries = sum(tried.values())
    if tries == 1:
        raise last
    counted = " and ".join(f"{count} with {name}" for name, count in tried.items())
    raise AnswerError(
        f"no usable answer after {tries} tries ({counted}); the last: {last}", response=last.response, attempts=tries
    ) from last


async def _unasked(question: Question, error: LMError) -> Answer:
    """The answer that is left when a check asked for another and the model could not be asked; raises the error when
    there is none, or when the check does not allow it."""
    try:
        answer = await _settled(question, error)
    except CheckFailed as refused:
        if isinstance(error, LMContextError):  # the conversation has grown too long: no accident
            raise refused from error
        raise error from refused
    if answer is None:
        raise error
    return answer


async def _settled(question: Question, error: AnswerError | LMError) -> Answer | None:
    """The answer that is left when a check asked for another and none could be had; None when no check did."""
    watch = question.watch
    if watch is None or not watch.pending:
        return None
    values, response = await watch.settle()
    if question.showing is not None:
        question.showing.restart(f"no other answer could be had: {error}")
        question.showing.confirm(values)
    return Answer(values, response)


async def _shown(question: Question, plans: Callable[[Adapter], Plan], adapter: Adapter) -> Answer:
    """Ask in pieces and tell the stream of them. Cost: also up to two calls more for each reply that breaks off."""
    from outlast.adapters.showing import Showing

    run = question.run
    assert run.sink is not None
    showing = Showing(run.sink, question.path, run.sample, question.signature)
    answer = await ask_model(replace(question, showing=showing), plans, adapter)
    showing.answered(answer.values)
    return answer


def _is_final(error: AnswerError | None) -> bool:
    return isinstance(error, ParseError) and error.final


def _plan(plans: Callable[[Adapter], Plan], adapter: Adapter) -> Plan | None:
    """The plan of an adapter, None when the model cannot follow it and a fallback can take its place."""
    try:
        return plans(adapter)
    except LMUnsupported:
        if adapter.fallback is None:
            raise
        return None


async def _with(
    question: Question, plan: Plan, adapter: Adapter, tried: dict[str, int]
) -> tuple[Answer | None, AnswerError | None]:
    """Ask with one adapter, again with the error within its limit; gives the answer or the last error."""
    prepared = plan.prepare(question.inputs)
    request = prepared.request(question.settings, question.run.sample, question.run.label)
    name = type(adapter).__name__
    last: AnswerError | None = None
    ask_once = _try if question.showing is None else _unbroken
    left = adapter.reasks
    while True:
        try:
            response, found, last = await ask_once(question, prepared, request, sum(tried.values()), name)
        except LMUnsupported:  # the server says so only when it is asked
            if adapter.fallback is None:
                raise
            return None, last
        tried[name] = tried.get(name, 0) + 1
        if question.watch is not None:
            question.watch.paid(response)
        if isinstance(found, FollowUp):
            found, unread = await _followed(question, found, request, response, tried)
            if found is None:
                return None, unread
        refused = last
        if last is None:
            if question.watch is None:
                return Answer(found, response), None
            values, refused = await _looked(question, question.watch, request, response, found)
            if refused is None:
                return Answer(values, as_decided(response, found, values)), None
        elif last.final or not left:
            return None, last
        else:
            left -= 1
        assert refused is not None
        request = replace(request, messages=(*request.messages, *prepared.again(response, refused)))
        if question.showing is not None:
            question.showing.restart(str(refused))


def as_decided(response: Response, said: Mapping[str, Any], given: Mapping[str, Any]) -> Response:
    """The reply without the probabilities of outputs that are given otherwise than the model said."""
    if not response.decisions or said is given:
        return response
    kept = tuple((name, one) for name, one in response.decisions if given.get(name) is said.get(name))
    return replace(response, decisions=kept)


async def _looked(
    question: Question, watch: Watch, request: Request, response: Response, found: dict[str, Any]
) -> tuple[dict[str, Any], ParseError | None]:
    """What checks let pass of an answer, or what the model is told of it; either goes on the span of the reply."""
    showing = question.showing
    try:
        looked = await watch.look(found, response)
    except Exception as error:
        _complete(question, request, error=error)
        raise
    if looked.error is not None or looked.shown is not found:
        _complete(question, request, values=looked.shown, error=looked.error)
    if looked.told is not None:
        return found, looked.told
    if showing is not None and (looked.values is not found or watch.holds):
        if not watch.holds:
            showing.restart("a check put it right")
        showing.confirm(looked.values)
    return looked.values, None


async def _followed(
    question: Question, step: FollowUp, request: Request, response: Response, tried: dict[str, int]
) -> tuple[dict[str, Any] | None, AnswerError | None]:
    """Ask the question that a reply led to; its answer, or its error, goes on the span of that reply too."""
    asker = step.asker or type(step.adapter).__name__
    run, showing = question.run, question.showing
    if question.watch is not None and question.watch.holds:  # what is read is shown when the checks have passed it
        run, showing = replace(run, sink=None), None
    asked = Question(None, asker, step.signature, step.inputs, NO_SETTINGS, step.lm, run, showing)
    try:
        answer = await ask_model(asked, step.plans, step.adapter)
    except AnswerError as error:
        name = type(step.adapter).__name__
        tried[name] = tried.get(name, 0) + error.attempts
        _complete(question, request, values=None, error=error)
        return None, error.__cause__ if isinstance(error.__cause__, ParseError) else error
    except Exception as error:
        _complete(question, request, values=None, error=error)
        raise
    _complete(question, request, values=answer.values)
    return answer.values, None


def _complete(question: Question, request: Request, **outcome: Any) -> None:
    trace, kept = question.run.trace, question.run.recording
    if kept is not None:
        kept.amend(request, outcome)
    for at in range(len(trace or ()) - 1, -1, -1):
        if trace is not None and trace[at].request is request:
            trace[at] = replace(trace[at], **outcome)
            return


async def _unbroken(
    question: Question, prepared: Prepared, request: Request, attempt: int, adapter: str
) -> tuple[Response, dict[str, Any] | FollowUp, ParseError | None]:
    """`_try`, again when the stream of a reply breaks off: layers that retry cannot take back what was shown."""
    from outlast.adapters.showing import BREAKS

    assert question.showing is not None
    breaks = 0
    while True:
        try:
            return await _try(question, prepared, request, attempt, adapter)
        except LMError as error:
            if not (error.begun and error.retryable) or breaks == BREAKS:
                raise
            question.showing.restart(f"the reply broke off: {error}")
            await sleep(min(error.retry_after or _PAUSE * 2**breaks, _LONGEST_PAUSE))
            breaks += 1


async def _try(
    question: Question, prepared: Prepared, request: Request, attempt: int, adapter: str
) -> tuple[Response, dict[str, Any] | FollowUp, ParseError | None]:
    """Send one request and read the reply; a reply that cannot be read is given back with its error."""
    started = time.time()
    clock = time.perf_counter()
    response: Response | None = None
    values: dict[str, Any] | None = None
    failure: Exception | None = None
    trace = question.run.trace
    parts = Trace()
    showing = question.showing if question.watch is None or not question.watch.holds else None
    try:
        if trace is None or not request.questions:
            if showing is None or prepared.ask is not send:
                response = await prepared.ask(question.lm, request)
            else:
                response = await showing.ask(question.lm, request, prepared)
        else:
            response = await _apart(question, prepared, request, parts)
        found = prepared.read(response)
        values = {} if isinstance(found, FollowUp) else found
        if showing is not None and not isinstance(found, FollowUp):
            showing.confirm(found)
        return response, found, None
    except ParseError as error:
        if response is None:
            raise
        failure = error
        return response, {}, error
    except Exception as error:
        failure = error
        raise
    finally:
        if trace is not None:
            trace.extend(parts)
        kept = question.run.recording
        if (trace is not None or kept is not None) and (values is not None or failure is not None):
            span = Span(
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
                sum(part.module == ASKER for part in parts),
                "" if kept is None else adapter,
                question.lm.name,
                "" if kept is None else question.lm.identity,
            )
            if trace is not None:
                trace.append(span)
            if kept is not None:
                kept.exchange(span)


async def _apart(question: Question, prepared: Prepared, request: Request, parts: Trace) -> Response:
    """Ask, with what was sent instead of the request in `parts`."""
    token = enter(replace(current(), trace=parts))
    try:
        return await prepared.ask(question.lm, request)
    finally:
        leave(token)

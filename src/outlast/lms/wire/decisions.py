"""Typed questions on the wire: OpenAI's `/v1/decisions` and the `/v1/systemone` of other servers. Pure functions.

OpenAI's shapes are those of `resources/decisions` in the openai package 3.57 (public beta since October 2026);
SGLang and Fireworks serve the same. System One's are those that `transformers serve` 5.23 checks
(`cli/serving/systemone.py`, `decision/template_utils.py`) and that pydantic-ai 2.68 and Fireworks' documentation
describe; none of them was asked live. What is not certain: OpenAI's package says up to 400 questions, pydantic-ai
200; its package sets no bound on the levels of a score, others say ten, so a longer score goes as a choice between
its numbers. `transformers serve` takes up to 64 questions. A server that takes fewer says so, and the error is the
server's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, cast

from outlast.errors import LMResponseError, LMUnsupported, UsageError
from outlast.lms.decide import values_text
from outlast.lms.wire.dialect import DecisionDialect, Encoded, Notes, Told
from outlast.lms.wire.openai_chat import shown_setting
from outlast.lms.wire.openai_chat_turns import check_turn
from outlast.lms.wire.reply import count, fingerprint_in, get, no_message, objects, raise_error_in, request_id, text_of
from outlast.messages import (
    Decision,
    Message,
    Question,
    Request,
    Response,
    TextPart,
    Thought,
    ToolCall,
    ToolResult,
    Usage,
)
from outlast.types import Document, Image

_MOST_LEVELS = 10
_Body = dict[str, Any]


def encode_asked(dialect: DecisionDialect, request: Request, model: str) -> Encoded:
    """The JSON body in a dialect with the extra settings as they are, and what else of the request has no place there:
    it has none for other settings, tools and schemas. Raises what the dialect raises, and `UsageError` for an extra
    setting that outlast itself sets.
    """
    notes, settings = Notes(), request.settings
    for name, value in settings.to_json().items():
        if name != "extra":
            shown = name if name in ("prediction", "grammar") else shown_setting(name, value)
            notes.drop(f"{shown} not sent: {dialect.path!r} has no place for it")
    if request.tools:
        names = ", ".join(tool.name for tool in request.tools)
        notes.drop(f"the tools {names} not sent: {dialect.path!r} has no place for them")
    if request.output is not None:
        notes.drop(f"output not sent: {dialect.path!r} gives probabilities and no text")
    for message in request.messages:
        check_turn(message, model, notes)
        if message.role == "assistant" and any(isinstance(part, Thought) for part in message.parts):
            notes.say("reasoning of an earlier turn not sent: it is nobody's evidence")
    body = dialect.encode(request, model)
    for name in settings.extra:
        if name in body:
            raise UsageError(f"extra may not hold {name!r}: outlast sets it")
    return Encoded({**body, **settings.extra}, tuple(notes.texts), tuple(notes.dropped))


def encode_decisions(request: Request, model: str) -> _Body:
    """The JSON body for OpenAI's endpoint. Raises `LMUnsupported` for parts that are neither text nor image."""
    return {
        "model": model,
        "input": _input(request.messages, model),
        "questions": [{"name": name, **_named(question)} for name, question in request.questions],
    }


def encode_systemone(request: Request, model: str) -> _Body:
    """The JSON body for a System One endpoint. Raises `LMUnsupported` for parts that are not text."""
    return {
        "model": model,
        "state": _state(request.messages, model),
        "questions": {name: _keyed(question) for name, question in request.questions},
    }


def _input(messages: Iterable[Message], model: str) -> str | list[_Body]:
    """The messages as input items, or as the one text that they are."""
    items = [item for message in messages for item in _items(message, model)]
    only = items[0].get("content") if len(items) == 1 and items[0].get("role") == "user" else None
    return only if isinstance(only, str) else items


def _items(message: Message, model: str) -> list[_Body]:
    if isinstance(message.content, str):
        return [{"role": "user" if message.role == "tool" else message.role, "content": message.content}]
    kind = "output_text" if message.role == "assistant" else "input_text"
    results: list[_Body] = []
    content: list[_Body] = []
    calls: list[_Body] = []
    for part in message.content:
        if isinstance(part, (TextPart, Document)):
            content.append({"type": kind, "text": _text(part)})
        elif isinstance(part, Image):
            content.append({"type": "input_image", "image_url": part.address})
        elif isinstance(part, ToolCall):
            call = {"call_id": part.id, "name": part.name, "arguments": part.arguments}
            calls.append({"type": "function_call", **call})
        elif isinstance(part, ToolResult):
            results.append({"type": "function_call_output", "call_id": part.id, "output": _told(part)})
        elif not isinstance(part, Thought):  # which is nobody's evidence
            raise LMUnsupported(f"{model!r} decides on text and images; the request holds {part!r}")
    role = "user" if message.role == "tool" else message.role
    return [*results, *([{"role": role, "content": content}] if content else []), *calls]


def _text(part: TextPart | ToolResult | Document) -> str:
    return part.__prompt__() if isinstance(part, Document) else part.text


def _told(result: ToolResult) -> str:
    return f"ERROR: {result.text}" if result.error else result.text


def _state(messages: tuple[Message, ...], model: str) -> str | list[_Body]:
    """The messages as the state of affairs: the text of a single one, else what each role said."""
    told: list[_Body] = []
    for message in messages:
        spoken = [_text(part) for part in message.parts if isinstance(part, (TextPart, ToolResult, Document))]
        turn: _Body = {"role": message.role, "content": "".join(spoken)}
        for part in message.parts:
            if isinstance(part, ToolCall):
                call = {"name": part.name, "arguments": part.arguments}
                turn.setdefault("tool_calls", []).append(call)
            elif not isinstance(part, (TextPart, Document, ToolResult, Thought)):
                raise LMUnsupported(f"{model!r} decides on text; the request holds {part!r}")
        told.append(turn)
    if len(told) == 1 and told[0].keys() == {"role", "content"}:
        return told[0]["content"]
    return told


def _as_choice(question: Question) -> bool:
    """Whether a score goes as a choice between its numbers, as it has more steps than there may be levels."""
    return question.kind == "score" and len(question.answers) > _MOST_LEVELS


def _named(question: Question) -> _Body:
    """A question as OpenAI asks it."""
    described = dict(question.described)
    if question.kind == "yes_no":
        return {"type": "predicate", "instructions": _with_outcomes(question)}
    if question.kind == "choice" or _as_choice(question):
        choices = [{"value": option, **_description(described.get(option))} for option in question.answers]
        return {"type": "choice", "instructions": question.text, "choices": choices}
    levels = [{"label": step, **_description(described.get(step))} for step in question.answers]
    return {"type": "score", "instructions": question.text, "levels": levels}


def _with_outcomes(question: Question) -> str:
    """The text of a predicate, which has no place for what its outcomes mean."""
    return "\n".join([question.text, *(f"{answer}: {meaning}" for answer, meaning in question.described)])


def _description(text: str | None) -> _Body:
    return {"description": text} if text else {}


def _keyed(question: Question) -> _Body:
    """A question as System One asks it."""
    described = dict(question.described)
    asked: _Body = {"type": "noul", "instructions": question.text}
    if question.kind == "yes_no":
        outcomes = (("true", described.get("yes")), ("false", described.get("no")))
        criteria = {name: meaning for name, meaning in outcomes if meaning}
        return {**asked, "criteria": criteria} if criteria else asked
    if question.kind == "choice" or _as_choice(question):
        options = {option: described.get(option, option) for option in question.answers}
        return {**asked, "type": "choice", "criteria": options}
    levels = [f"{step}: {described[step]}" if step in described else step for step in question.answers]
    return {**asked, "type": "score", "criteria": levels}


def decode_decisions(data: dict[str, Any], request: Request, told: Told) -> Response:
    """The decisions in a reply of OpenAI's endpoint.

    A question that the model declined, or that has no answer, is in `Response.undecided`. Raises `LMResponseError`
    for an answer that fits no question or holds no probabilities, and the error that the reply holds.
    """
    raise_error_in(data, told)
    if not isinstance(data.get("answers"), list):
        raise no_message(data, told)
    answers = objects(data["answers"])
    by_name = {answer["name"]: answer for answer in answers if isinstance(answer.get("name"), str)}
    if len(by_name) < len(answers) == len(request.questions):  # a server without names answers in order
        by_name = dict(zip((name for name, _ in request.questions), answers, strict=True))
    return _response(data, request, told, by_name)


def decode_systemone(data: dict[str, Any], request: Request, told: Told) -> Response:
    """The decisions in a reply of a System One endpoint; see `decode_decisions`."""
    raise_error_in(data, told)
    answers = data.get("answers")
    if not isinstance(answers, dict):
        raise no_message(data, told)
    return _response(data, request, told, cast("dict[str, Any]", answers))


def _response(data: dict[str, Any], request: Request, told: Told, answers: Mapping[str, Any]) -> Response:
    decisions: list[tuple[str, Decision]] = []
    undecided: list[tuple[str, str]] = []
    notes = list(told.adaptations)
    for name, question in request.questions:
        answer = answers.get(name)
        if get(answer, "type") == "refusal":
            undecided.append((name, "the model declined to answer"))
        elif answer is None:
            undecided.append((name, "the server gave no answer"))
        else:
            decisions.append((name, _decision(name, question, answer, told)))
        if _as_choice(question):
            notes.append(f"the score {name!r} asked as a choice between its {len(question.answers)} numbers")
    served = data.get("model")
    return Response(
        text=values_text(tuple(decisions)) if decisions else "",
        model=served if isinstance(served, str) and served else told.model,
        usage=_usage(data.get("usage")),
        seconds=told.seconds,
        request_id=request_id(told.headers, data.get("id")),
        adaptations=tuple(notes),
        label=told.label,
        decisions=tuple(decisions),
        undecided=tuple(undecided),
        fingerprint=fingerprint_in(data),
    )


def _decision(name: str, question: Question, answer: Any, told: Told) -> Decision:
    """The answer to one question, its probabilities made to sum to 1."""
    if question.kind == "yes_no":
        given = get(answer, "probability")
        yes = _share(get(answer, "noul") if given is None else given)
        shares = {} if yes is None else {"yes": yes, "no": 1 - yes}
    else:
        shares = _shares(get(answer, "probabilities"), question)
    total = sum(shares.values())
    if total <= 0:
        raise LMResponseError(
            f"{told.subject}: the answer to {name!r} holds no probabilities of {', '.join(question.answers)[:120]}; "
            f"it has the type {text_of(get(answer, 'type'))[:40]!r}",
            status=told.status,
        )
    probabilities = {option: shares.get(option, 0.0) / total for option in question.answers}
    likeliest = max(probabilities, key=lambda option: probabilities[option])
    return Decision(question.value(likeliest), probabilities, "native")


def _shares(given: Any, question: Question) -> dict[str, float]:
    """Probabilities by answer, from a list of values or a mapping; levels of a score are counted from 0."""
    if isinstance(given, dict):
        pairs = list(cast("dict[str, Any]", given).items())
    else:
        pairs = [(item.get("value"), item.get("probability")) for item in objects(given)]
    by_level = question.kind == "score" and not _as_choice(question)
    shares: dict[str, float] = {}
    for key, value in pairs:
        option = _level(key, question) if by_level else str(key)
        share = _share(value)
        if share is not None and option in question.answers:
            shares[option] = share
    return shares


def _level(key: Any, question: Question) -> str | None:
    place = str(key)
    steps = question.answers
    return steps[int(place)] if place.isdecimal() and int(place) < len(steps) else None


def _share(value: Any) -> float | None:
    fine = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return min(1.0, max(0.0, float(value))) if fine else None


def _usage(data: Any) -> Usage:
    """Token counts as they were told."""
    details = get(data, "input_tokens_details")
    return Usage(
        count(data, "input_tokens"),
        count(data, "output_tokens"),
        count(details, "cached_tokens"),
        count(get(data, "output_tokens_details"), "reasoning_tokens"),
        cache_write_tokens=count(details, "cache_write_tokens"),
    )


DECISIONS = DecisionDialect("openai", "/decisions", encode_decisions, decode_decisions)
SYSTEM_ONE = DecisionDialect("systemone", "/systemone", encode_systemone, decode_systemone)

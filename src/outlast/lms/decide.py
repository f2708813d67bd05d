"""Typed questions with probabilities, from any model: its own, or the next best evidence, which is always named."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from string import ascii_uppercase
from typing import Any, cast

from outlast.errors import AnswerError, LMUnsupported, UsageError, brief
from outlast.lms.protocol import LM, send
from outlast.messages import (
    Decision,
    Evidence,
    Message,
    Question,
    Request,
    Response,
    Settings,
    TextPart,
    TokenLogprob,
    Usage,
    user,
)
from outlast.runtime import gather

EVIDENCE: tuple[Evidence, ...] = ("native", "logprobs", "samples", "verbal")
USUAL: tuple[Evidence, ...] = ("native", "logprobs", "samples")
_MOST_ALTERNATIVES = 20  # of a token that providers tell
_LEAST_MASS = 0.5  # of the answers among the likeliest first tokens; below it the model is not answering
_NUMBERED = re.compile(r"\W*(\w+)")


async def decide(lm: LM, request: Request, *, by: Sequence[Evidence] = USUAL, samples: int = 5) -> Response:
    """Answer `request.questions` with the first kind of evidence in `by` that the model can give.

    "native": one call for all questions (capability `decisions`). "logprobs": one call for each question; answers
    are lettered and the probabilities of the first token are taken, for at most 20 answers (capability `logprobs`).
    "samples": `samples` calls for each question; the shares of the answers, as coarse as their number. "verbal": one
    call for each question, in which the model says percentages; rarely calibrated. Each `Decision` names its
    evidence. Raises `LMUnsupported` when none can be had, `AnswerError` when the model gave no answer.
    """
    checked(by, samples)
    if not request.questions:
        raise UsageError("decide needs at least one typed question in the request; got none")
    native = "native" in by and lm.capabilities.decisions
    if native:
        return await send(lm, request)
    others: list[Evidence] = [kind for kind in by if kind != "native"]
    asked = [_one(lm, request, question, others, samples) for _, question in request.questions]
    found = await gather(*asked)
    names = [name for name, _ in request.questions]
    decisions = tuple(zip(names, (decision for decision, _ in found), strict=True))
    return _joined(lm, request, decisions, [reply for _, replies in found for reply in replies])


def checked(by: Sequence[Evidence], samples: int) -> None:
    """Raise `UsageError` unless `by` names kinds of evidence and `samples` is a count."""
    if isinstance(by, str) or not by or any(kind not in EVIDENCE for kind in by):
        raise UsageError(f"by is a list of {', '.join(repr(kind) for kind in EVIDENCE)}; got {brief(by)}")
    if isinstance(samples, bool) or not isinstance(samples, int) or samples < 1:
        raise UsageError(f"samples is a whole number from 1; got {brief(samples)}")


async def _one(
    lm: LM, request: Request, question: Question, by: Sequence[Evidence], samples: int
) -> tuple[Decision, list[Response]]:
    """The answer to one question and the replies that it took."""
    replies: list[Response] = []
    for kind in by:
        if kind == "logprobs":
            decision = await _by_logprobs(lm, request, question, replies)
        elif kind == "samples":
            decision = await _by_samples(lm, request, question, replies, samples)
        else:
            decision = await _by_word(lm, request, question, replies)
        if decision is not None:
            return decision, replies
    if not replies:
        raise LMUnsupported(
            f"{lm.name} cannot answer {brief(question.text)} by {' or '.join(by) or 'native decisions'}: it has no "
            "such capability, or there are too many answers. Allow other evidence with by="
        )
    raise AnswerError(
        f"{lm.name} answered {brief(question.text)} with none of {', '.join(question.answers[:8])}; the last reply: "
        f"{brief(replies[-1].text)}",
        response=replies[-1],
        attempts=len(replies),
    )


async def _by_logprobs(lm: LM, request: Request, question: Question, replies: list[Response]) -> Decision | None:
    """The probabilities of the letters as the first token. One call."""
    if not lm.capabilities.logprobs or len(question.answers) > _MOST_ALTERNATIVES:
        return None
    settings = replace(request.settings, logprobs=_MOST_ALTERNATIVES, max_tokens=4, temperature=0.0)
    reply = await send(lm, _asking(request, _lettered(question), settings, request.sample))
    replies.append(reply)
    letters = dict(zip(ascii_uppercase, question.answers, strict=False))
    mass = dict.fromkeys(question.answers, 0.0)
    for token, logprob in _first_alternatives(reply.logprobs):
        answer = letters.get(token.strip(" \t\r\n.():*\"'`▁Ġ").upper())
        if answer is not None:
            mass[answer] += math.exp(min(logprob, 0.0))
    total = sum(mass.values())
    return _decision(question, mass, "logprobs") if total >= _LEAST_MASS else None


def _first_alternatives(logprobs: tuple[TokenLogprob, ...] | None) -> tuple[tuple[str, float], ...]:
    """The likeliest tokens in the place of the first that is not white space."""
    for token in logprobs or ():
        if token.token.strip(" \t\r\n▁Ġ"):
            return token.top or ((token.token, token.logprob),)
    return ()


async def _by_samples(
    lm: LM, request: Request, question: Question, replies: list[Response], samples: int
) -> Decision | None:
    """How often each answer comes. `samples` calls, at the same time."""
    first = request.sample * samples
    asked = [_asking(request, _listed(question), request.settings, first + number) for number in range(samples)]
    drawn = await gather(*(send(lm, each) for each in asked))
    replies.extend(drawn)
    said = Counter(answer for reply in drawn if (answer := _read(question, reply.text)) is not None)
    counts = {answer: float(said[answer]) for answer in question.answers}
    return _decision(question, counts, "samples") if said else None


async def _by_word(lm: LM, request: Request, question: Question, replies: list[Response]) -> Decision | None:
    """The percentages that the model writes down. One call."""
    reply = await send(lm, _asking(request, _percentages(question), request.settings, request.sample))
    replies.append(reply)
    said: dict[str, float] = {}
    for answer in question.answers:
        found = re.search(rf"(?<!\w){re.escape(answer)}(?!\w)\W{{0,6}}(\d{{1,3}}(?:\.\d+)?)", reply.text, re.IGNORECASE)
        said[answer] = min(float(found[1]), 100.0) if found else 0.0
    return _decision(question, said, "verbal") if sum(said.values()) > 0 else None


def _asking(request: Request, text: str, settings: Settings, sample: int) -> Request:
    """The messages of the request with a question at their end, within the last turn when that is the user's."""
    *before, last = request.messages or (user(""),)
    if last.role != "user":
        turns: tuple[Message, ...] = (*request.messages, user(text))
    elif isinstance(last.content, str):
        turns = (*before, replace(last, content=f"{last.content}\n\n{text}".lstrip()))
    else:
        turns = (*before, replace(last, content=(*last.content, TextPart(f"\n\n{text}"))))
    return Request(turns, settings, None, sample, request.label)


def _lettered(question: Question) -> str:
    rows = "\n".join(
        f"{letter}: {_told(question, answer)}"
        for letter, answer in zip(ascii_uppercase, question.answers, strict=False)
    )
    return f"{question.text}\n{rows}\nReply with one letter and nothing else."


def _listed(question: Question) -> str:
    rows = "\n".join(f"- {_told(question, answer)}" for answer in question.answers)
    return f"{question.text}\nReply with one of these answers, as it is written, and nothing else:\n{rows}"


def _percentages(question: Question) -> str:
    rows = "\n".join(f"{_told(question, answer)}: ...%" for answer in question.answers)
    asked = "How likely is each of these answers? Reply with all lines, the percentages adding to 100:"
    return f"{question.text}\n{asked}\n{rows}"


def _told(question: Question, answer: str) -> str:
    described = dict(question.described).get(answer)
    return f"{answer} ({described})" if described else answer


def _read(question: Question, text: str) -> str | None:
    """The answer that a reply names, or None when it names none or several."""
    folded = {answer.casefold(): answer for answer in question.answers}
    said = text.strip(" \t\r\n*_`\"'.-").casefold()
    if said in folded:
        return folded[said]
    first = _NUMBERED.match(said)
    if first is not None and first[1] in folded and len(said) < 40:
        return folded[first[1]]
    named = [answer for low, answer in folded.items() if re.search(rf"(?<!\w){re.escape(low)}(?!\w)", said)]
    return named[0] if len(named) == 1 else None


def _decision(question: Question, weights: dict[str, float], evidence: Evidence) -> Decision:
    total = sum(weights.values())
    shares = {answer: weight / total for answer, weight in weights.items()}
    best = max(question.answers, key=lambda answer: shares[answer])
    return Decision(question.value(best), shares, evidence)


def _joined(lm: LM, request: Request, decisions: tuple[tuple[str, Decision], ...], replies: list[Response]) -> Response:
    """One response for all the questions, with what their calls cost together."""
    last = replies[-1]
    kinds = sorted({decision.evidence for _, decision in decisions})
    return replace(
        last,
        text=values_text(decisions),
        reasoning=None,
        thoughts=(),
        tool_calls=(),
        logprobs=None,
        finish="stop",
        usage=_summed([reply.usage for reply in replies]),
        seconds=sum(reply.seconds for reply in replies),
        cache="hit" if all(reply.cache != "miss" for reply in replies) else "miss",
        attempts=sum(reply.attempts for reply in replies),
        adaptations=(
            *dict.fromkeys(note for reply in replies for note in reply.adaptations),
            f"{lm.name} answers no typed questions: decided by {', '.join(kinds)} in {len(replies)} calls",
        ),
        decisions=decisions,
        label=request.label,
    )


def values_text(decisions: tuple[tuple[str, Decision], ...]) -> str:
    """The values of decisions as the text of their response: a JSON object."""
    return json.dumps({name: decision.value for name, decision in decisions}, ensure_ascii=False)


def _summed(usages: Sequence[Usage]) -> Usage:
    """The sum; what one of them does not tell is unknown for all."""

    def total(name: str) -> Any:
        values = [getattr(usage, name) for usage in usages]
        return None if None in values else sum(values)

    sources = {usage.cost_source for usage in usages if usage.cost_source}
    return Usage(
        total("input_tokens"),
        total("output_tokens"),
        total("cached_tokens"),
        total("reasoning_tokens"),
        total("cost"),
        ", ".join(sorted(sources)) or None,
        total("cache_write_tokens"),
    )


def as_questions(given: Any) -> tuple[tuple[str, Question], ...]:
    """Questions by name from a mapping; a text is a yes/no question. Raises `UsageError`."""
    from collections.abc import Mapping

    if not isinstance(given, Mapping) or not given:
        raise UsageError(
            f"questions are a mapping of names to Question(...) or to the text of a yes/no question; got {brief(given)}"
        )
    found: list[tuple[str, Question]] = []
    for name, question in cast("Mapping[Any, Any]", given).items():
        if isinstance(question, str):
            question = Question("yes_no", question)
        if not isinstance(name, str) or not isinstance(question, Question):
            raise UsageError(f"question {name!r} is a Question(...) or text; got {brief(question)}")
        found.append((name, question))
    return tuple(found)

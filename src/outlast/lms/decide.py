"""Typed questions with probabilities, from any model: its own, or the next best evidence, which is always named."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from string import ascii_uppercase
from typing import Any, NamedTuple, cast

from outlast.errors import AnswerError, LMUnsupported, UsageError, brief
from outlast.lms.protocol import LM, recorded, send
from outlast.lms.readings import percentages_in, read_answer, told
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
_UNFINISHED = ("length", "content_filter")  # what stands in such a reply may not be what it was to say


ASKER = "decide"  # the module in the spans of what is sent here


async def decide(
    lm: LM,
    request: Request,
    *,
    by: Sequence[Evidence] = USUAL,
    samples: int = 5,
    native: Callable[[LM, Request], Coroutine[Any, Any, Response]] = send,
) -> Response:
    """Answer `request.questions` with the first kind of evidence in `by` that the model can give.

    "native": one call for all questions (capability `decisions`). "logprobs": one call for each question; answers
    are lettered and the probabilities of the first token are taken, for at most 20 answers (capability `logprobs`).
    "samples": `samples` calls for each question; the shares of the answers, as coarse as their number, of those replies
    that name one answer beyond doubt: how many do not is in `adaptations`, and when it is half of them or more, they
    are no evidence. "verbal": one call for each question, in which the model says percentages; rarely calibrated, and
    taken only when they cover all answers and add up to about 100. Each `Decision` names its evidence. `native` puts
    the whole request to a model that decides; every other call leaves a span of its own, asked by "decide". Raises
    `LMUnsupported` when none can be had, `AnswerError` when the model gave no answer.
    """
    checked(by, samples)
    if not request.questions:
        raise UsageError("decide needs at least one typed question in the request; got none")
    if "native" in by and lm.capabilities.decisions:
        return await native(lm, request)
    others: list[Evidence] = [kind for kind in by if kind != "native"]
    asked = [_one(lm, request, question, others, samples) for _, question in request.questions]
    found = await gather(*asked)
    names = [name for name, _ in request.questions]
    decisions = tuple((name, one.decision) for name, one in zip(names, found, strict=True))
    doubts = [f"{name!r}: {doubt}" for name, one in zip(names, found, strict=True) for doubt in one.doubts]
    return _joined(lm, request, decisions, [reply for one in found for reply in one.replies], doubts)


class _Found(NamedTuple):
    """The answer to one question, the replies that it took, and what of them could not be read."""

    decision: Decision
    replies: list[Response]
    doubts: list[str]


def checked(by: Sequence[Evidence], samples: int) -> None:
    """Raise `UsageError` unless `by` names kinds of evidence and `samples` is a count."""
    if isinstance(by, str) or not by or any(kind not in EVIDENCE for kind in by):
        raise UsageError(f"by is a list of {', '.join(repr(kind) for kind in EVIDENCE)}; got {brief(by)}")
    if isinstance(samples, bool) or not isinstance(samples, int) or samples < 1:
        raise UsageError(f"samples is a whole number from 1; got {brief(samples)}")


async def _one(lm: LM, request: Request, question: Question, by: Sequence[Evidence], samples: int) -> _Found:
    """The answer to one question."""
    replies: list[Response] = []
    doubts: list[str] = []
    for kind in by:
        if kind == "logprobs":
            decision = await _by_logprobs(lm, request, question, replies)
        elif kind == "samples":
            decision = await _by_samples(lm, request, question, replies, doubts, samples)
        else:
            decision = await _by_word(lm, request, question, replies)
        if decision is not None:
            return _Found(decision, replies, doubts)
    if not replies:
        raise LMUnsupported(
            f"{lm.name} cannot answer {brief(question.text)} by {' or '.join(by) or 'native decisions'}: it has no "
            "such capability, or there are too many answers. Allow other evidence with by="
        )
    raise AnswerError(
        f"{lm.name} answered {brief(question.text)} with none of {', '.join(question.answers[:8])} that is beyond "
        f"doubt{''.join(f'; {doubt}' for doubt in doubts)}; the last reply ended with {replies[-1].finish!r}: "
        f"{brief(replies[-1].text)}",
        response=replies[-1],
        attempts=len(replies),
    )


async def _by_logprobs(lm: LM, request: Request, question: Question, replies: list[Response]) -> Decision | None:
    """The probabilities of the letters as the first token. One call."""
    if not lm.capabilities.logprobs or len(question.answers) > _MOST_ALTERNATIVES:
        return None
    settings = replace(request.settings, logprobs=_MOST_ALTERNATIVES, max_tokens=4, temperature=0.0)
    reply = await recorded(lm, _asking(request, _lettered(question), settings, request.sample), ASKER)
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
    lm: LM, request: Request, question: Question, replies: list[Response], doubts: list[str], samples: int
) -> Decision | None:
    """How often each answer comes. `samples` calls, at the same time."""
    first = request.sample * samples
    asked = [_asking(request, _listed(question), request.settings, first + number) for number in range(samples)]
    drawn = await gather(*(recorded(lm, each, ASKER) for each in asked))
    replies.extend(drawn)
    whole = [reply.text for reply in drawn if reply.finish not in _UNFINISHED]
    said = Counter(answer for text in whole if (answer := read_answer(question, text)) is not None)
    if (read := said.total()) < samples:
        doubts.append(f"{samples - read} of {samples} samples not counted: they name no answer beyond doubt")
    counts = {answer: float(said[answer]) for answer in question.answers}
    return _decision(question, counts, "samples") if 2 * read > samples else None


async def _by_word(lm: LM, request: Request, question: Question, replies: list[Response]) -> Decision | None:
    """The percentages that the model writes down. One call."""
    reply = await recorded(lm, _asking(request, _percentages(question), request.settings, request.sample), ASKER)
    replies.append(reply)
    said = None if reply.finish in _UNFINISHED else percentages_in(question, reply.text)
    return None if said is None else _decision(question, said, "verbal")


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
        f"{letter}: {told(question, answer)}" for letter, answer in zip(ascii_uppercase, question.answers, strict=False)
    )
    return f"{question.text}\n{rows}\nReply with one letter and nothing else."


def _listed(question: Question) -> str:
    rows = "\n".join(f"- {told(question, answer)}" for answer in question.answers)
    return f"{question.text}\nReply with one of these answers, as it is written, and nothing else:\n{rows}"


def _percentages(question: Question) -> str:
    rows = "\n".join(f"{told(question, answer)}: ...%" for answer in question.answers)
    asked = "How likely is each of these answers? Reply with all lines, the percentages adding to 100:"
    return f"{question.text}\n{asked}\n{rows}"


def _decision(question: Question, weights: dict[str, float], evidence: Evidence) -> Decision:
    total = sum(weights.values())
    shares = {answer: weight / total for answer, weight in weights.items()}
    best = max(question.answers, key=lambda answer: shares[answer])
    return Decision(question.value(best), shares, evidence)


def _joined(
    lm: LM,
    request: Request,
    decisions: tuple[tuple[str, Decision], ...],
    replies: list[Response],
    doubts: list[str],
) -> Response:
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
            *doubts,
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

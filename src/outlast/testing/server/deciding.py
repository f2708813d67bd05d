"""Typed questions answered with probabilities: OpenAI's /v1/decisions and the /v1/systemone of local servers.

`/v1/decisions`: `{"model", "input", "questions": [{"type", "name", "instructions", ...}]}` with the types predicate,
choice (`choices: [{"value", "description"}]`) and score (`levels: [{"label", "description"}]`, low to high) gives
`{"model", "answers": [...], "usage"}`, the answers in the order of the questions. A predicate has `probability`; a
choice `choice`, `confidence` and `probabilities: [{"value", "probability"}]`; a score the expected `score`,
`confidence` and `probabilities: [{"label", "value", "probability"}]`, `value` counting the levels from 0; a refusal
only its `name`.

`/v1/systemone`: `{"model", "state", "questions": {id: {"type", "instructions", "criteria"}}}` with the types noul,
choice (`criteria: {key: description}`) and score (`criteria: [description, ...]`, low to high) gives
`{"model", "answers": {id: {...}}, "usage"}`. A noul has its probability as `noul`; a choice `choice` and
`probabilities: {key: p}`; a score the expected `score` and `probabilities: {"0": p, ...}`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from outlast.testing.server.answers import Answer, Tokens, asked_words, words

_YES = ("yes", "true", "1")
REFUSED = "refused"


def decisions(values: str | Answer | Mapping[str, Any], request: Mapping[str, Any]) -> dict[str, Any]:
    """A whole reply of /v1/decisions, to change and return from a handler.

    `values` gives the answer to each question by its name, or by its place as text ("0") when it has none: the value,
    the probability of yes, or a mapping of values to probabilities; "refused" is a refusal. A question that is not
    named has even chances. A text answers every question.
    """
    questions = cast("Sequence[dict[str, Any]]", request.get("questions") or [])
    answers = [
        _named(question, _chances(_of(values, question.get("name") or str(place)), _options(question)))
        for place, question in enumerate(questions)
    ]
    return {"model": request.get("model", "fake"), "answers": answers, "usage": _usage(request)}


def systemone(values: str | Answer | Mapping[str, Any], request: Mapping[str, Any]) -> dict[str, Any]:
    """A whole reply of /v1/systemone, to change and return from a handler; `values` as for `decisions`."""
    questions = cast("Mapping[str, dict[str, Any]]", request.get("questions") or {})
    answers = {
        name: _keyed(question, _chances(_of(values, name), _options(question))) for name, question in questions.items()
    }
    return {"model": request.get("model", "fake"), "answers": answers, "usage": _usage(request)}


def _of(values: str | Answer | Mapping[str, Any], name: str) -> Any:
    if isinstance(values, Answer):
        return values.text
    return values if isinstance(values, str) else values.get(name)


def _options(question: Mapping[str, Any]) -> list[Any]:
    """What a question may be answered with; the values of a score are its levels' places."""
    if question["type"] in ("predicate", "noul"):
        return [True, False]
    criteria: Any = question.get("criteria")
    if question["type"] == "choice":
        return [choice["value"] for choice in question["choices"]] if criteria is None else list(criteria)
    return list(range(len(question["levels"] if criteria is None else criteria)))


def _chances(value: Any, options: Sequence[Any]) -> dict[Any, float] | None:
    """The probability of each option; None for a refusal."""
    if value == REFUSED:
        return None
    if isinstance(value, Mapping):
        given = {_option(key, options): float(p) for key, p in cast("Mapping[Any, float]", value).items()}
        return {option: given.get(option, 0.0) for option in options}
    if options == [True, False] and isinstance(value, float):
        return {True: value, False: 1 - value}
    chosen = _option(value, options)
    if chosen is None:
        return dict.fromkeys(options, 1 / len(options))
    return {option: float(option == chosen) for option in options}


def _option(value: Any, options: Sequence[Any]) -> Any:
    """The option that a value means; None when it means none."""
    if options == [True, False]:
        return None if value is None else value is True or str(value).strip().lower() in _YES
    for option in options:
        if value is option or (value is not None and str(value) == str(option)):
            return option
    return None


def _best(chances: Mapping[Any, float]) -> Any:
    return max(chances, key=lambda option: chances[option])


def _mean(chances: Mapping[int, float]) -> float:
    return sum(level * chance for level, chance in chances.items())


def _named(question: Mapping[str, Any], chances: dict[Any, float] | None) -> dict[str, Any]:
    kind, name = question["type"], question.get("name")
    if chances is None:
        return {"type": "refusal", "name": name}
    if kind == "predicate":
        return {"type": kind, "name": name, "probability": chances[True]}
    best = _best(chances)
    answer: dict[str, Any] = {"type": kind, "name": name, "confidence": chances[best]}
    if kind == "choice":
        listed = [{"value": value, "probability": chance} for value, chance in chances.items()]
        return {**answer, "choice": best, "probabilities": listed}
    labels = [level["label"] for level in question["levels"]]
    listed = [{"label": labels[level], "value": level, "probability": chance} for level, chance in chances.items()]
    return {**answer, "score": _mean(chances), "probabilities": listed}


def _keyed(question: Mapping[str, Any], chances: dict[Any, float] | None) -> dict[str, Any]:
    kind = question["type"]
    if chances is None:
        return {"type": "refusal"}
    if kind == "noul":
        return {"type": kind, "noul": chances[True]}
    listed = {str(option): chance for option, chance in chances.items()}
    best = _best(chances)
    answer: dict[str, Any] = {"type": kind, "confidence": chances[best], "probabilities": listed}
    return {**answer, "choice": best} if kind == "choice" else {**answer, "score": _mean(chances)}


def _usage(request: Mapping[str, Any]) -> dict[str, Any]:
    state = request.get("state")
    asked = asked_words(request.get("input")) or words(state if isinstance(state, str) else json.dumps(state))
    return {
        "input_tokens": asked,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 0,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": asked,
    }


def tokens(reply: Mapping[str, Any]) -> Tokens:
    """What a reply says was used."""
    usage = cast("dict[str, Any]", reply.get("usage") or {})
    return Tokens(usage.get("input_tokens") or 0, usage.get("output_tokens") or 0)

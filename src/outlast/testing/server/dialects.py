"""The dialects that the fake server speaks: for each path, how an answer is written whole and as a stream."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, cast

from outlast.testing.server import chat, deciding, messages, responses
from outlast.testing.server.answers import Answer, Event, Tokens


class Dialect(NamedTuple):
    """How one path speaks. `events` and `error_event` are None where nothing streams.

    `finishes` tells the event that says how the answer ended.
    """

    whole: Callable[[Any, Mapping[str, Any]], dict[str, Any]]
    is_whole: Callable[[Mapping[str, Any]], bool]
    tokens: Callable[[Mapping[str, Any]], Tokens]
    error_body: Callable[[int, Mapping[str, Any]], dict[str, Any]]
    events: Callable[[Mapping[str, Any], Mapping[str, Any]], Iterator[Event]] | None = None
    error_event: Callable[[Mapping[str, Any]], Event] | None = None
    finishes: Callable[[Event], bool] = lambda event: False


def written(dialect: Dialect, answer: str | Answer | Mapping[str, Any], request: Mapping[str, Any]) -> dict[str, Any]:
    """The whole reply for what a handler gave."""
    if isinstance(answer, Mapping) and dialect.is_whole(answer):
        return dict(answer)
    return dialect.whole(answer, request)


def _openai_error(status: int, error: Mapping[str, Any]) -> dict[str, Any]:
    return {"error": dict(error)}


def _has_finish(event: Event) -> bool:
    if event == chat.DONE:
        return True
    choices = cast("list[dict[str, Any]]", json.loads(event.data)["choices"])
    return not choices or any(choice["finish_reason"] for choice in choices)


def _always(reply: Mapping[str, Any]) -> bool:
    return True


def _is_named(*names: str) -> Callable[[Event], bool]:
    return lambda event: event.name in names


def _has_answers(reply: Mapping[str, Any]) -> bool:
    return isinstance(reply.get("answers"), (list, dict))


DIALECTS: Mapping[str, Dialect] = {
    "/v1/chat/completions": Dialect(
        chat.completion, _always, chat.tokens, _openai_error, chat.chunks, chat.error_event, _has_finish
    ),
    "/v1/responses": Dialect(
        responses.response,
        _always,
        responses.tokens,
        _openai_error,
        responses.events,
        responses.error_event,
        _is_named("response.completed", "response.incomplete", "response.failed"),
    ),
    "/v1/messages": Dialect(
        messages.message,
        _always,
        messages.tokens,
        messages.error_body,
        messages.events,
        messages.error_event,
        _is_named("message_delta"),
    ),
    "/v1/decisions": Dialect(deciding.decisions, _has_answers, deciding.tokens, _openai_error),
    "/v1/systemone": Dialect(deciding.systemone, _has_answers, deciding.tokens, _openai_error),
}


def shaped(dialect: Dialect, events: Iterable[Event], forms: frozenset[str]) -> Iterator[Event]:
    """The events of a stream without what a form leaves out."""
    events = list(events)
    if "no_finish" in forms:
        finish = next((place for place, event in enumerate(events) if dialect.finishes(event)), len(events))
        events = events[:finish]
    elif "no_end" in forms:
        events = events[:-1]
    return iter(events)

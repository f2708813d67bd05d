"""OpenAI's chat completions as a server writes them: whole, and cut into chunks."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, zip_longest
from typing import Any, cast

from outlast.testing.server.answers import (
    Answer,
    Event,
    Tokens,
    as_answer,
    as_text,
    asked_words,
    dumps,
    halves,
    number,
    pieces,
    token_logprobs,
)

DONE = Event("[DONE]")
_NOTHING: Mapping[str, Any] = {}


def completion(
    answer: str | Answer | Sequence[str | Answer], request: Mapping[str, Any], **message: Any
) -> dict[str, Any]:
    """A whole chat completion that says `answer`, to change and return from a handler.

    A list gives one choice each; one answer is repeated when the request has `n`. `message` adds to the message:
    `reasoning_content="..."`, `refusal="..."`.
    """
    if isinstance(answer, (str, Answer)):
        answers = [as_answer(answer)] * int(request.get("n") or 1)
    else:
        answers = [as_answer(one) for one in answer]
    asked, said = asked_words(request.get("messages")), sum(one.output_tokens for one in answers)
    first = answers[0]
    usage: dict[str, Any] = {"prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said}
    if first.cached is not None:
        usage["prompt_tokens_details"] = {"cached_tokens": first.cached}
    if first.reasoning:
        thought = sum(len(one.reasoning.split()) for one in answers)
        usage["completion_tokens_details"] = {"reasoning_tokens": thought}
    reply: dict[str, Any] = {
        "id": f"chatcmpl-{number()}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": first.model or request.get("model", "fake"),
        "choices": [_choice(index, one, request, message) for index, one in enumerate(answers)],
        "usage": usage,
    }
    if first.fingerprint:
        reply["system_fingerprint"] = first.fingerprint
    tier = first.tier or request.get("service_tier")
    return reply if tier is None else {**reply, "service_tier": tier}


def _choice(index: int, answer: Answer, request: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    silent = not answer.text and bool(answer.tools or answer.refusal)
    message: dict[str, Any] = {"role": "assistant", "content": None if silent else answer.text}
    message["refusal"] = answer.refusal
    if answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    if answer.tools:
        message["tool_calls"] = [
            {"id": f"call_{number()}", "type": "function", "function": {"name": name, "arguments": as_text(arguments)}}
            for name, arguments in answer.tools
        ]
    if answer.citations:
        message["annotations"] = [dict(citation) for citation in answer.citations]
    logprobs = None
    if request.get("logprobs"):
        logprobs = {"content": token_logprobs(answer, int(request.get("top_logprobs") or 0)), "refusal": None}
    finish = answer.finish or ("tool_calls" if answer.tools else "stop")
    return {"index": index, "message": {**message, **extra}, "logprobs": logprobs, "finish_reason": finish}


def chunks(reply: Mapping[str, Any], request: Mapping[str, Any]) -> Iterator[Event]:
    """The events of a stream that says what a whole completion says; the choices take turns."""
    options = cast("dict[str, Any]", request.get("stream_options") or {})
    tells = bool(options.get("include_usage"))
    frame: dict[str, Any] = {**reply, "object": "chat.completion.chunk"}
    usage = frame.pop("usage", None)
    if tells:
        frame["usage"] = None
    turns = zip_longest(*(_deltas(choice) for choice in reply["choices"]))
    for choice in chain.from_iterable(turns):
        if choice is not None:
            yield Event(dumps({**frame, "choices": [choice]}))
    if tells and usage is not None:
        yield Event(dumps({**frame, "choices": [], "usage": usage}))
    yield DONE


def _deltas(choice: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    index, message = choice["index"], choice["message"]
    scored: list[dict[str, Any]] | None = (choice.get("logprobs") or _NOTHING).get("content")

    def chunk(delta: dict[str, Any], logprobs: Any = None, finish: str | None = None) -> dict[str, Any]:
        return {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}

    yield chunk({"role": "assistant", "content": ""})
    for name in ("reasoning_content", "reasoning"):
        for piece in pieces(message.get(name) or ""):
            yield chunk({name: piece})
    content = message.get("content")
    content = content if isinstance(content, str) else ""
    if scored is not None and "".join(entry["token"] for entry in scored) == content:
        for entry in scored:
            yield chunk({"content": entry["token"]}, {"content": [entry], "refusal": None})
    else:
        for place, piece in enumerate(pieces(content)):
            yield chunk({"content": piece}, {"content": scored, "refusal": None} if scored and place == 0 else None)
    for piece in pieces(message.get("refusal") or ""):
        yield chunk({"refusal": piece})
    for place, call in enumerate(message.get("tool_calls") or ()):
        function = call["function"]
        opening: dict[str, Any] = {**call, "function": {"name": function["name"], "arguments": ""}, "index": place}
        yield chunk({"tool_calls": [opening]})
        for piece in halves(function["arguments"]):
            yield chunk({"tool_calls": [{"index": place, "function": {"arguments": piece}}]})
    if message.get("annotations"):
        yield chunk({"annotations": message["annotations"]})
    yield chunk({}, None, choice["finish_reason"])


def tokens(reply: Mapping[str, Any]) -> Tokens:
    """What a completion says was used."""
    usage = cast("dict[str, Any]", reply.get("usage") or {})
    return Tokens(usage.get("prompt_tokens") or 0, usage.get("completion_tokens") or 0)


def error_event(error: Mapping[str, Any]) -> Event:
    """An error in the middle of a stream."""
    return Event(json.dumps({"error": dict(error)}))

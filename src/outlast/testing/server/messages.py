"""Anthropic's messages as a server writes them: whole, cut into events, and their errors."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
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
    said_in,
    words,
)

_STOP = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
_ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


def message(answer: str | Answer, request: Mapping[str, Any]) -> dict[str, Any]:
    """A whole reply of /v1/messages that says `answer`, to change and return from a handler.

    As at Anthropic, `input_tokens` leaves out what was read from and written to the prompt cache. Arguments of a call
    that are no JSON object become `{"INVALID_JSON": text}`.
    """
    answer = as_answer(answer)
    asked = asked_words(request.get("messages")) + words(said_in(request.get("system")))
    read, written = answer.cached or 0, answer.cache_write or 0
    finish = answer.finish or ("tool_calls" if answer.tools else "stop")
    return {
        "id": f"msg_{number()}",
        "type": "message",
        "role": "assistant",
        "model": answer.model or request.get("model", "fake"),
        "content": list(_blocks(answer)),
        "stop_reason": "refusal" if answer.refusal else _STOP[finish],
        "stop_sequence": None,
        "usage": {
            "input_tokens": max(0, asked - read - written),
            "cache_creation_input_tokens": written,
            "cache_read_input_tokens": read,
            "output_tokens": answer.output_tokens,
            "service_tier": answer.tier or "standard",
        },
    }


def _blocks(answer: Answer) -> Iterator[dict[str, Any]]:
    if answer.reasoning:
        yield {"type": "thinking", "thinking": answer.reasoning, "signature": f"sealed-{number()}"}
    text = answer.text or answer.refusal or ""
    if text or not answer.tools:
        block: dict[str, Any] = {"type": "text", "text": text}
        if answer.citations:
            block["citations"] = [dict(citation) for citation in answer.citations]
        yield block
    for name, arguments in answer.tools:
        yield {"type": "tool_use", "id": f"toolu_{number()}", "name": name, "input": _object(as_text(arguments))}


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {"INVALID_JSON": text}


def events(reply: Mapping[str, Any], request: Mapping[str, Any]) -> Iterator[Event]:
    """The events of a stream that says what a whole message says."""
    usage = cast("dict[str, Any]", reply.get("usage") or {})
    begun: dict[str, Any] = {**reply, "content": [], "stop_reason": None, "stop_sequence": None}
    if usage:
        begun["usage"] = {**usage, "output_tokens": 1}
    yield _event("message_start", message=begun)
    yield _event("ping")
    for index, block in enumerate(reply["content"]):
        opening, deltas = _cut(block)
        yield _event("content_block_start", index=index, content_block=opening)
        for delta in deltas:
            yield _event("content_block_delta", index=index, delta=delta)
        yield _event("content_block_stop", index=index)
    ending = {"stop_reason": reply["stop_reason"], "stop_sequence": reply.get("stop_sequence")}
    told = {"usage": {"output_tokens": usage.get("output_tokens", 0)}} if usage else {}
    yield _event("message_delta", delta=ending, **told)
    yield _event("message_stop")


def _event(kind: str, **data: Any) -> Event:
    return Event(dumps({"type": kind, **data}), kind)


def _cut(block: Mapping[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A block as it begins, and the deltas that fill it."""
    kind = block["type"]
    if kind == "thinking":
        deltas = [{"type": "thinking_delta", "thinking": piece} for piece in pieces(block["thinking"])]
        deltas.append({"type": "signature_delta", "signature": block["signature"]})
        return {**block, "thinking": "", "signature": ""}, deltas
    if kind == "text":
        cited = [{"type": "citations_delta", "citation": citation} for citation in block.get("citations") or ()]
        spoken = [{"type": "text_delta", "text": piece} for piece in pieces(block["text"])]
        opening: dict[str, Any] = {**block, "text": ""}
        if cited:
            opening["citations"] = []
        return opening, cited + spoken
    if kind == "tool_use":
        written = ["", *halves(json.dumps(block["input"]))]
        return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": piece} for piece in written]
    return dict(block), []


def tokens(reply: Mapping[str, Any]) -> Tokens:
    """What a message says was used; the input with its cached part."""
    usage = cast("dict[str, Any]", reply.get("usage") or {})
    counted = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    return Tokens(sum(usage.get(name) or 0 for name in counted), usage.get("output_tokens") or 0)


def error_body(status: int, error: Mapping[str, Any]) -> dict[str, Any]:
    """Anthropic's error object for one of OpenAI's; the kind follows the status."""
    kind = _ERRORS.get(status, "invalid_request_error" if status < 500 else "api_error")
    told = {"type": kind, "message": error.get("message")}
    return {"type": "error", "error": told, "request_id": f"req-{number()}"}


def error_event(error: Mapping[str, Any]) -> Event:
    """An error in the middle of a stream."""
    told = {"type": error.get("type") or "api_error", "message": error.get("message")}
    return Event(json.dumps({"type": "error", "error": told}), "error")

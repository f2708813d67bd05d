"""OpenAI's responses as a server writes them: whole, and cut into typed events."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from itertools import count
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
    words,
)

_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


def response(answer: str | Answer, request: Mapping[str, Any]) -> dict[str, Any]:
    """A whole reply of /v1/responses that says `answer`, to change and return from a handler.

    Reasoning comes as a summary, with `encrypted_content` when the request includes it.
    """
    answer = as_answer(answer)
    asked = asked_words(request.get("input")) + words(request.get("instructions") or "")
    said, reason = answer.output_tokens, _INCOMPLETE.get(answer.finish or "")
    return {
        "id": f"resp_{number()}",
        "object": "response",
        "created_at": int(time.time()),
        "status": "completed" if reason is None else "incomplete",
        "error": None,
        "incomplete_details": None if reason is None else {"reason": reason},
        "model": answer.model or request.get("model", "fake"),
        "output": list(_items(answer, request)),
        "parallel_tool_calls": request.get("parallel_tool_calls", True),
        "tool_choice": request.get("tool_choice", "auto"),
        "tools": request.get("tools", []),
        "service_tier": answer.tier or request.get("service_tier") or "default",
        "usage": {
            "input_tokens": asked,
            "input_tokens_details": {
                "cached_tokens": answer.cached or 0,
                "cache_write_tokens": answer.cache_write or 0,
            },
            "output_tokens": said,
            "output_tokens_details": {"reasoning_tokens": words(answer.reasoning)},
            "total_tokens": asked + said,
        },
    }


def _items(answer: Answer, request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    included = cast("list[str]", request.get("include") or [])
    if answer.reasoning:
        summary = [{"type": "summary_text", "text": answer.reasoning}]
        item: dict[str, Any] = {"type": "reasoning", "id": f"rs_{number()}", "summary": summary}
        if "reasoning.encrypted_content" in included:
            item["encrypted_content"] = f"sealed-{number()}"
        yield item
    parts: list[dict[str, Any]] = []
    if answer.text or not (answer.tools or answer.refusal):
        part: dict[str, Any] = {"type": "output_text", "text": answer.text}
        part["annotations"] = [dict(citation) for citation in answer.citations]
        scored = "message.output_text.logprobs" in included
        part["logprobs"] = token_logprobs(answer, int(request.get("top_logprobs") or 0)) if scored else []
        parts.append(part)
    if answer.refusal:
        parts.append({"type": "refusal", "refusal": answer.refusal})
    if parts:
        status = "completed" if answer.finish in (None, "stop", "tool_calls") else "incomplete"
        yield {"type": "message", "id": f"msg_{number()}", "role": "assistant", "status": status, "content": parts}
    for name, arguments in answer.tools:
        yield {
            "type": "function_call",
            "id": f"fc_{number()}",
            "call_id": f"call_{number()}",
            "name": name,
            "arguments": as_text(arguments),
            "status": "completed",
        }


def events(reply: Mapping[str, Any], request: Mapping[str, Any]) -> Iterator[Event]:
    """The events of a stream that says what a whole reply says; a reply with status "failed" ends as one."""
    numbers = count()

    def event(kind: str, **data: Any) -> Event:
        return Event(dumps({"type": kind, "sequence_number": next(numbers), **data}), kind)

    begun: dict[str, Any] = {
        **reply,
        "status": "in_progress",
        "output": [],
        "usage": None,
        "incomplete_details": None,
        "error": None,
    }
    yield event("response.created", response=begun)
    yield event("response.in_progress", response=begun)
    for index, item in enumerate(reply["output"]):
        yield event("response.output_item.added", output_index=index, item=_opening(item))
        for kind, data in _inside(item):
            yield event(kind, item_id=item["id"], output_index=index, **data)
        yield event("response.output_item.done", output_index=index, item=item)
    yield event(f"response.{reply['status']}", response=reply)


def _opening(item: Mapping[str, Any]) -> dict[str, Any]:
    """An item as it begins: nothing in it yet."""
    empty: dict[str, Any] = {"arguments": ""} if item["type"] == "function_call" else {}
    for name in ("summary", "content"):
        if name in item:
            empty[name] = []
    opening = {**item, **empty}
    if "status" in opening:
        opening["status"] = "in_progress"
    return opening


def _inside(item: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    if item["type"] == "function_call":
        for piece in halves(item["arguments"]):
            yield "response.function_call_arguments.delta", {"delta": piece}
        yield "response.function_call_arguments.done", {"arguments": item["arguments"]}
    for index, part in enumerate(item.get("summary") or ()):
        place = {"summary_index": index}
        yield "response.reasoning_summary_part.added", {**place, "part": {**part, "text": ""}}
        for piece in pieces(part["text"]):
            yield "response.reasoning_summary_text.delta", {**place, "delta": piece}
        yield "response.reasoning_summary_text.done", {**place, "text": part["text"]}
        yield "response.reasoning_summary_part.done", {**place, "part": part}
    for index, part in enumerate(item.get("content") or ()):
        place = {"content_index": index}
        yield "response.content_part.added", {**place, "part": _empty(part)}
        yield from ((kind, {**place, **data}) for kind, data in _text(part))
        yield "response.content_part.done", {**place, "part": part}


def _empty(part: Mapping[str, Any]) -> dict[str, Any]:
    if part["type"] == "refusal":
        return {**part, "refusal": ""}
    return {**part, "text": "", "annotations": [], "logprobs": []}


def _text(part: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    if part["type"] == "refusal":
        for piece in pieces(part["refusal"]):
            yield "response.refusal.delta", {"delta": piece}
        yield "response.refusal.done", {"refusal": part["refusal"]}
        return
    scored: list[dict[str, Any]] = part.get("logprobs") or []
    matched = bool(scored) and "".join(entry["token"] for entry in scored) == part["text"]
    for place, piece in enumerate([entry["token"] for entry in scored] if matched else pieces(part["text"])):
        yield "response.output_text.delta", {"delta": piece, "logprobs": [scored[place]] if matched else []}
    for place, annotation in enumerate(part.get("annotations") or ()):
        yield "response.output_text.annotation.added", {"annotation_index": place, "annotation": annotation}
    yield "response.output_text.done", {"text": part["text"], "logprobs": scored}


def tokens(reply: Mapping[str, Any]) -> Tokens:
    """What a reply says was used."""
    usage = cast("dict[str, Any]", reply.get("usage") or {})
    return Tokens(usage.get("input_tokens") or 0, usage.get("output_tokens") or 0)


def error_event(error: Mapping[str, Any]) -> Event:
    """An error in the middle of a stream."""
    data = {"type": "error", "code": error.get("code"), "message": error.get("message"), "param": None}
    return Event(json.dumps({**data, "sequence_number": 99}), "error")

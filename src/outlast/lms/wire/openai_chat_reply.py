"""The OpenAI chat dialect: a reply, whole or streamed, as a `Response`. Pure functions."""

from __future__ import annotations

import json
import math
from typing import Any, cast

from outlast.errors import LMServerError
from outlast.lms.wire.dialect import Dialect, Notes, Told
from outlast.lms.wire.openai_chat import RESERVED, encode
from outlast.lms.wire.openai_chat_turns import NAME
from outlast.lms.wire.providers import Quirks
from outlast.lms.wire.reply import (
    as_arguments,
    count,
    fingerprint_in,
    finish_of,
    get,
    mended,
    no_message,
    objects,
    raise_error_in,
    request_id,
    text_of,
)
from outlast.lms.wire.sse import ServerEvent
from outlast.lms.wire.streaming import event_object
from outlast.messages import (
    Citation,
    Response,
    StreamEvent,
    TextDelta,
    Thought,
    ThoughtDelta,
    TokenLogprob,
    ToolCall,
    ToolDelta,
    Usage,
)

_BROKEN_OFF = ("error", "insufficient_system_resource", "abort")


def decode(data: dict[str, Any], told: Told) -> Response:
    """The response in the JSON of a reply with a status of 2xx.

    Raises `LMResponseError` when it is not a chat completion, and the error that it holds when it holds one.
    """
    choice, message = _choice(data, told)
    raw_finish = choice.get("finish_reason")
    if raw_finish in _BROKEN_OFF:
        raise LMServerError(
            f"{told.subject}: the server broke off with finish_reason {raw_finish!r}", status=told.status
        )
    notes = Notes(list(told.adaptations))
    finish = finish_of(raw_finish)
    text, reasoning = _content(message)
    refusal = message.get("refusal")
    if isinstance(refusal, str) and refusal:
        text, finish = text or refusal, "content_filter"
    text, reasoning = mended(text, reasoning, notes)
    calls = _calls(message) if "tool_calls" in message or "function_call" in message else ()
    if calls and finish in ("stop", "other"):
        finish = "tool_calls"
    served, tier = data.get("model"), data.get("service_tier")
    return Response(
        text=text,
        model=served if isinstance(served, str) and served else told.model,
        reasoning=reasoning,
        usage=usage_of(data.get("usage"), told.quirks),
        finish=finish,
        seconds=told.seconds,
        request_id=request_id(told.headers, data.get("id")),
        adaptations=tuple(notes.texts),
        label=told.label,
        tool_calls=calls,
        thoughts=_thoughts(message, reasoning),
        citations=_citations(message) if message.get("annotations") else (),
        logprobs=logprobs_of(get(choice["logprobs"], "content")) if choice.get("logprobs") else None,
        tier=tier if isinstance(tier, str) else None,
        provider_finish=raw_finish if isinstance(raw_finish, str) else None,
        fingerprint=fingerprint_in(data),
    )


def _choice(data: dict[str, Any], told: Told) -> tuple[dict[str, Any], dict[str, Any]]:
    """The first choice and its message."""
    choices = data.get("choices")
    choice: Any = cast("list[Any]", choices)[0] if isinstance(choices, list) and choices else None
    raise_error_in(data, told)
    raise_error_in(choice, told)
    message = get(choice, "message")
    if not isinstance(message, dict):
        raise no_message(data, told)
    return cast("dict[str, Any]", choice), cast("dict[str, Any]", message)


def _content(message: dict[str, Any]) -> tuple[str, str | None]:
    """The text of a message or delta and its native reasoning, from either of their shapes."""
    content = message.get("content")
    reasoning: Any = message.get("reasoning_content") or message.get("reasoning")
    text = text_of(content)
    if isinstance(content, list):
        parts = objects(cast("Any", content))
        text = "".join(str(part.get("text") or "") for part in parts if part.get("type") in ("text", "output_text"))
        thoughts = [_thought(part.get("thinking")) for part in parts if part.get("type") == "thinking"]
        reasoning = reasoning or "".join(thoughts) or None
    return text, reasoning if isinstance(reasoning, str) and reasoning else None


def _thought(thinking: Any) -> str:
    if isinstance(thinking, str):
        return thinking
    return "".join(str(chunk.get("text") or "") for chunk in objects(thinking))


def _thoughts(message: dict[str, Any], reasoning: str | None) -> tuple[Thought, ...]:
    details = message.get("reasoning_details")
    if details is None and reasoning is None and "tool_calls" not in message:
        return ()
    signed = {text_of(call.get("id")): call["extra_content"] for call in _signed(message)}
    state = json.dumps(details, ensure_ascii=False) if isinstance(details, list) and details else ""
    if signed:
        state = json.dumps({"extra_content": signed}, ensure_ascii=False)
    return (Thought(reasoning or "", state, NAME),) if reasoning or state else ()


def _signed(message: dict[str, Any]) -> list[dict[str, Any]]:
    """The calls that Gemini put a signature of its reasoning beside."""
    return [call for call in objects(message.get("tool_calls")) if isinstance(call.get("extra_content"), dict)]


def _calls(message: dict[str, Any]) -> tuple[ToolCall, ...]:
    found: list[ToolCall] = []
    for index, call in enumerate(objects(message.get("tool_calls"))):
        function = call.get("function")
        name = text_of(get(function, "name"))
        found.append(
            ToolCall(text_of(call.get("id")) or f"call_{index}", name, as_arguments(get(function, "arguments")))
        )
    legacy = message.get("function_call")
    if not found and isinstance(legacy, dict):
        found.append(ToolCall("call_0", text_of(get(legacy, "name")), as_arguments(get(legacy, "arguments"))))
    return tuple(found)


def _citations(message: dict[str, Any]) -> tuple[Citation, ...]:
    found: list[Citation] = []
    for note in objects(message.get("annotations")):
        cited = note.get("url_citation")
        if isinstance(cited, dict):
            source = text_of(get(cited, "url")) or text_of(get(cited, "title"))
            found.append(
                Citation(text_of(get(cited, "content")), source, count(cited, "start_index"), count(cited, "end_index"))
            )
    return tuple(found)


def logprobs_of(content: Any) -> tuple[TokenLogprob, ...] | None:
    """Log-probabilities of the tokens of a reply; None when none were told."""
    if not isinstance(content, list):
        return None
    found: list[TokenLogprob] = []
    for item in objects(cast("Any", content)):
        top = tuple((text_of(t.get("token")), _number(t.get("logprob"))) for t in objects(item.get("top_logprobs")))
        found.append(TokenLogprob(text_of(item.get("token")), _number(item.get("logprob")), top))
    return tuple(found)


def _number(value: Any) -> float:
    fine = isinstance(value, (int, float)) and not isinstance(value, bool) and not math.isnan(value)
    return max(float(value), -9999.0) if fine else -9999.0  # what servers send for minus infinity


def usage_of(data: Any, quirks: Quirks) -> Usage:
    """Token counts as they were told. A cost only where the server tells one that is the bill."""
    incoming, outgoing = count(data, "prompt_tokens"), count(data, "completion_tokens")
    details, inside = get(data, "prompt_tokens_details"), get(data, "completion_tokens_details")
    cached = None if details is None else count(details, "cached_tokens")
    if cached is None:
        cached = count(data, "prompt_cache_hit_tokens")
    reasoning = None if inside is None else count(inside, "reasoning_tokens")
    written = None if details is None else count(details, "cache_write_tokens")
    total = count(data, "total_tokens")
    if incoming is not None and outgoing is not None and total is not None:
        hidden = total - incoming - outgoing
        # Some servers count reasoning only in the total; it is output, and billed as such.
        if hidden > 0 and (quirks.hides_reasoning or hidden == reasoning):
            outgoing += hidden
    cost, source = None, None
    charged = get(data, "cost") if quirks.reports_cost else None
    if isinstance(charged, (int, float)) and not isinstance(charged, bool) and math.isfinite(charged):
        cost, source = float(charged), "provider"
    return Usage(incoming, outgoing, cached, reasoning, cost, source, written)


class ChatReader:
    """Reads the chunks of a streamed chat completion and puts them together again."""

    def __init__(self) -> None:
        self._data: dict[str, Any] = {}
        self._message: dict[str, Any] = {"role": "assistant"}
        self._texts: list[str] = []
        self._reasoning: list[str] = []
        self._refusal: list[str] = []
        self._calls: dict[int, dict[str, Any]] = {}
        self._arguments: dict[int, list[str]] = {}
        self._details: list[Any] = []
        self._logprobs: list[Any] | None = None
        self._finish: Any = None
        self._done = False

    def feed(self, event: ServerEvent) -> list[StreamEvent]:
        """The deltas in a chunk."""
        if event.data.strip() == "[DONE]":
            self._done = True
            return []
        data = event_object(event)
        for name in ("id", "model", "service_tier", "system_fingerprint", "usage", "error"):
            if data.get(name) is not None:
                self._data[name] = data[name]
        choices = objects(data.get("choices"))
        if not choices or choices[0].get("index") not in (0, None):
            return []
        choice = choices[0]
        if choice.get("error"):
            self._data["error"] = choice["error"]
        self._finish = choice.get("finish_reason") or self._finish
        tokens = get(choice.get("logprobs"), "content")
        if isinstance(tokens, list):
            self._logprobs = [*(self._logprobs or []), *cast("list[Any]", tokens)]
        delta = choice.get("delta") or choice.get("message")
        return self._delta(cast("dict[str, Any]", delta)) if isinstance(delta, dict) else []

    def _delta(self, delta: dict[str, Any]) -> list[StreamEvent]:
        events: list[StreamEvent] = []
        text, reasoning = _content(delta)
        if reasoning:
            self._reasoning.append(reasoning)
            events.append(ThoughtDelta(reasoning))
        if text:
            self._texts.append(text)
            events.append(TextDelta(text))
        self._refusal.append(text_of(delta.get("refusal")))
        details, annotations = delta.get("reasoning_details"), delta.get("annotations")
        if isinstance(details, list):
            self._details += details
        if isinstance(annotations, list):
            self._message.setdefault("annotations", []).extend(annotations)
        for call in objects(delta.get("tool_calls")):
            events.append(self._call(call))
        return events

    def _call(self, call: dict[str, Any]) -> StreamEvent:
        told = call.get("index")
        index = told if isinstance(told, int) else len(self._calls) if call.get("id") else max(self._calls, default=0)
        function = call.get("function")
        name, identifier = text_of(get(function, "name")), text_of(call.get("id"))
        arguments = get(function, "arguments")
        piece = "" if arguments is None else as_arguments(arguments)
        known = self._calls.setdefault(index, {"id": "", "type": "function", "function": {"name": ""}})
        first = not known["id"] and not known["function"]["name"]
        known["id"] = known["id"] or identifier
        known["function"]["name"] = known["function"]["name"] or name
        if isinstance(call.get("extra_content"), dict):
            known["extra_content"] = call["extra_content"]
        self._arguments.setdefault(index, []).append(piece)
        return ToolDelta(index, identifier if first else "", name if first else "", piece)

    def whole(self) -> dict[str, Any] | None:
        """The chat completion that the chunks make up; None when neither an end nor an error came."""
        if "error" in self._data:
            return self._data
        if not self._done and self._finish is None:
            return None
        message: dict[str, Any] = {**self._message, "content": "".join(self._texts)}
        if self._reasoning:
            message["reasoning_content"] = "".join(self._reasoning)
        if any(self._refusal):
            message["refusal"] = "".join(self._refusal)
        if self._details:
            message["reasoning_details"] = self._details
        if self._calls:
            message["tool_calls"] = [
                {**call, "function": {**call["function"], "arguments": "".join(self._arguments[index])}}
                for index, call in sorted(self._calls.items())
            ]
        choice: dict[str, Any] = {"message": message, "finish_reason": self._finish}
        if self._logprobs is not None:
            choice["logprobs"] = {"content": self._logprobs}
        return {**self._data, "choices": [choice]}


CHAT = Dialect(
    NAME,
    "/chat/completions",
    encode,
    decode,
    ChatReader,
    reserved=RESERVED,
    other_names={"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"},
)

"""The Anthropic messages dialect: the JSON of a reply, whole or streamed, as a `Response`. Pure functions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, cast

from outlast.lms.wire.anthropic_messages import RESERVED, VERSION, encode, own_bound
from outlast.lms.wire.anthropic_turns import NAME
from outlast.lms.wire.dialect import Dialect, Notes, Told
from outlast.lms.wire.reply import (
    as_arguments,
    count,
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
    ToolCall,
    ToolDelta,
    Usage,
)

_BETWEEN = "\n\n"  # between two blocks of reasoning
_Block = Mapping[str, Any]


def decode(data: dict[str, Any], told: Told) -> Response:
    """The response in the JSON of a reply with a status of 2xx.

    Raises `LMResponseError` when it is no message, and the error that it holds when it holds one.
    """
    raise_error_in(data, told)
    if not isinstance(data.get("content"), list):
        raise no_message(data, told)
    blocks = objects(data["content"])
    notes = Notes(list(told.adaptations))
    thoughts = tuple(_thought(block) for block in blocks if _is_thought(block))
    text, reasoning = mended(
        "".join(_texts(blocks)), _BETWEEN.join(thought.text for thought in thoughts if thought.text) or None, notes
    )
    calls = tuple(_call(block, index) for index, block in enumerate(_of_type(blocks, "tool_use")))
    word = data.get("stop_reason")
    finish = "stop" if word is None else finish_of(word)
    if finish == "content_filter" and not text:
        text = text_of(get(data.get("stop_details"), "explanation"))
    served, tier = data.get("model"), get(data.get("usage"), "service_tier")
    return Response(
        text=text,
        model=served if isinstance(served, str) and served else told.model,
        reasoning=reasoning,
        usage=_usage(data.get("usage")),
        finish="tool_calls" if calls and finish == "stop" else finish,
        seconds=told.seconds,
        request_id=request_id(told.headers, data.get("id")),
        adaptations=tuple(notes.texts),
        label=told.label,
        tool_calls=calls,
        thoughts=thoughts,
        citations=_citations(blocks),
        tier=tier if isinstance(tier, str) else None,
        provider_finish=word if isinstance(word, str) else None,
    )


def _of_type(blocks: Iterable[_Block], kind: str) -> list[_Block]:
    return [block for block in blocks if block.get("type") == kind]


def _texts(blocks: Iterable[_Block]) -> list[str]:
    return [text_of(block.get("text")) for block in _of_type(blocks, "text")]


def _is_thought(block: _Block) -> bool:
    return block.get("type") in ("thinking", "redacted_thinking")


def _thought(block: _Block) -> Thought:
    """A block of reasoning, its state the block itself where it bears what proves it genuine."""
    sealed = block.get("signature") or block.get("data")
    return Thought(text_of(block.get("thinking")), json.dumps(block, ensure_ascii=False) if sealed else "", NAME)


def _call(block: _Block, index: int) -> ToolCall:
    identifier = text_of(block.get("id")) or f"call_{index}"
    return ToolCall(identifier, text_of(block.get("name")), as_arguments(block.get("input")))


def _citations(blocks: Iterable[_Block]) -> tuple[Citation, ...]:
    """Each citation with the stretch of the text that it stands for: the whole of its block."""
    found: list[Citation] = []
    start = 0
    for block in _of_type(blocks, "text"):
        end = start + len(text_of(block.get("text")))
        found += [
            Citation(text_of(note.get("cited_text")), _source(note), start, end)
            for note in objects(block.get("citations"))
        ]
        start = end
    return tuple(found)


def _source(note: Mapping[str, Any]) -> str:
    """What a citation names: the address, the title, else which of the documents."""
    for name in ("url", "source", "document_title", "title"):
        if text_of(note.get(name)):
            return text_of(note.get(name))
    index = count(note, "document_index")
    return "" if index is None else f"document {index + 1}"


def _usage(data: Any) -> Usage:
    """Token counts as they were told. `input_tokens` leaves out what came from and went to the cache: it is added."""
    read, written = count(data, "cache_read_input_tokens"), count(data, "cache_creation_input_tokens")
    fresh = count(data, "input_tokens")
    return Usage(
        None if fresh is None else fresh + (read or 0) + (written or 0),
        count(data, "output_tokens"),
        read,
        count(get(data, "output_tokens_details"), "thinking_tokens"),
        cache_write_tokens=written,
    )


class MessagesReader:
    """Reads the events of a streamed message and puts its blocks together again."""

    def __init__(self) -> None:
        self._message: dict[str, Any] = {}
        self._blocks: dict[int, dict[str, Any]] = {}
        self._pieces: dict[tuple[int, str], list[str]] = {}
        self._calls: dict[int, int] = {}
        self._thinking: int | None = None
        self._ended = False

    def feed(self, event: ServerEvent) -> list[StreamEvent]:
        """The deltas in an event."""
        data = event_object(event)
        kind = text_of(data.get("type")) or event.name
        if data.get("error"):
            self._message["error"] = data["error"]
        elif kind == "message_start" and isinstance(data.get("message"), dict):
            self._message.update(data["message"])
        elif kind == "content_block_start":
            return self._start(data)
        elif kind == "content_block_delta":
            return self._delta(data)
        elif kind == "message_delta":
            self._end(data)
        elif kind == "message_stop":
            self._ended = True
        return []

    def _start(self, data: dict[str, Any]) -> list[StreamEvent]:
        block, index = data.get("content_block"), count(data, "index") or 0
        if not isinstance(block, dict):
            return []
        block = cast("dict[str, Any]", block)
        self._blocks[index] = dict(block)
        if block.get("type") == "tool_use":
            call = self._calls[index] = len(self._calls)
            return [ToolDelta(call, text_of(block.get("id")) or f"call_{call}", text_of(block.get("name")))]
        return self._text(index, text_of(block.get("text"))) + self._thought(index, text_of(block.get("thinking")))

    def _delta(self, data: dict[str, Any]) -> list[StreamEvent]:
        delta, index = data.get("delta"), count(data, "index") or 0
        kind = text_of(get(delta, "type"))
        if kind == "text_delta":
            return self._text(index, text_of(get(delta, "text")))
        if kind == "thinking_delta":
            return self._thought(index, text_of(get(delta, "thinking")))
        if kind == "input_json_delta":
            piece = text_of(get(delta, "partial_json"))
            self._pieces.setdefault((index, "input"), []).append(piece)
            return [ToolDelta(self._calls.setdefault(index, len(self._calls)), arguments=piece)] if piece else []
        if kind == "signature_delta":
            self._pieces.setdefault((index, "signature"), []).append(text_of(get(delta, "signature")))
        elif kind == "citations_delta":
            block = self._blocks.setdefault(index, {"type": "text"})
            block["citations"] = [*(block.get("citations") or ()), get(delta, "citation")]
        return []

    def _text(self, index: int, piece: str) -> list[StreamEvent]:
        if not piece:
            return []
        self._blocks.setdefault(index, {"type": "text"})
        self._pieces.setdefault((index, "text"), []).append(piece)
        return [TextDelta(piece)]

    def _thought(self, index: int, piece: str) -> list[StreamEvent]:
        if not piece:
            return []
        self._blocks.setdefault(index, {"type": "thinking"})
        self._pieces.setdefault((index, "thinking"), []).append(piece)
        between = _BETWEEN if self._thinking not in (None, index) else ""
        self._thinking = index
        return [ThoughtDelta(between + piece)]

    def _end(self, data: dict[str, Any]) -> None:
        """How it ended. Counts here are of the whole message so far; what is not told again stays."""
        delta, usage = data.get("delta"), data.get("usage")
        if isinstance(delta, dict):
            self._message.update({k: v for k, v in cast("dict[str, Any]", delta).items() if v is not None})
        if isinstance(usage, dict):
            told = {k: v for k, v in cast("dict[str, Any]", usage).items() if v is not None}
            self._message["usage"] = {**(self._message.get("usage") or {}), **told}

    def whole(self) -> dict[str, Any] | None:
        """The message that the events make up; None when neither an end nor an error came."""
        if "error" in self._message:
            return self._message
        if not self._ended and self._message.get("stop_reason") is None:
            return None
        return {**self._message, "content": [self._block(index) for index in sorted(self._blocks)]}

    def _block(self, index: int) -> dict[str, Any]:
        block = dict(self._blocks[index])
        for (place, name), pieces in self._pieces.items():
            if place == index:
                block[name] = "".join(pieces)
        if block.get("type") == "tool_use" and isinstance(block.get("input"), str):
            block["input"] = _arguments(block["input"])
        return block


def _arguments(text: str) -> Any:
    """The object that streamed arguments are, as it would have come in one piece; the text when they are none."""
    try:
        found: Any = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return text
    return cast("Any", found) if isinstance(found, dict) else text


MESSAGES = Dialect(
    NAME,
    "/messages",
    encode,
    decode,
    MessagesReader,
    reserved=RESERVED,
    headers=(("anthropic-version", VERSION),),
    auth="x-api-key",
    shaped_by=("citations",),
    own_bound=own_bound,
)

"""The OpenAI responses dialect: the JSON of a reply, whole or streamed, as a `Response`. Pure functions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, cast

from outlast.errors import LMResponseError, LMServerError
from outlast.lms.wire.dialect import Dialect, Notes, Told
from outlast.lms.wire.openai_chat_reply import logprobs_of
from outlast.lms.wire.openai_responses import NAME, RESERVED, encode, spoken
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
    FinishReason,
    Response,
    StreamEvent,
    TextDelta,
    Thought,
    ThoughtDelta,
    ToolCall,
    ToolDelta,
    Usage,
)

_BETWEEN = "\n\n"  # between two pieces of reasoning
_Item = Mapping[str, Any]


def decode(data: dict[str, Any], told: Told) -> Response:
    """The response in the JSON of a reply with a status of 2xx.

    Raises `LMResponseError` when it is no finished response, and the error that it holds when it holds one.
    """
    raise_error_in(data, told)
    status = data.get("status")
    if status in ("failed", "cancelled"):
        raise LMServerError(f"{told.subject}: the server broke off with status {status!r}", status=told.status)
    if not isinstance(data.get("output"), list):
        raise no_message(data, told)
    if status in ("queued", "in_progress"):
        raise LMResponseError(f"{told.subject}: the reply is not finished but {status!r}", status=told.status)
    items = objects(data["output"])
    notes = Notes(list(told.adaptations))
    text, refused = _text(items)
    thoughts = _thoughts(items)
    reasoning = _BETWEEN.join(thought.text for thought in thoughts if thought.text) or None
    text, reasoning = mended(text, reasoning, notes)
    calls = tuple(_call(item, index) for index, item in enumerate(_of_type(items, "function_call")))
    finish, word = _finish(data, status)
    finish = "content_filter" if refused else "tool_calls" if calls and finish == "stop" else finish
    served, tier = data.get("model"), data.get("service_tier")
    return Response(
        text=text,
        model=served if isinstance(served, str) and served else told.model,
        reasoning=reasoning,
        usage=_usage(data.get("usage")),
        finish=finish,
        seconds=told.seconds,
        request_id=request_id(told.headers, data.get("id")),
        adaptations=tuple(notes.texts),
        label=told.label,
        tool_calls=calls,
        thoughts=thoughts,
        citations=_citations(items),
        logprobs=_logprobs(items),
        tier=tier if isinstance(tier, str) else None,
        provider_finish=word,
        fingerprint=fingerprint_in(data),
    )


def _of_type(items: Iterable[_Item], kind: str) -> list[_Item]:
    return [item for item in items if item.get("type") == kind]


def _spoken(items: Iterable[_Item]) -> list[_Item]:
    """The messages that are the answer: commentary on the way to it is reasoning."""
    return [item for item in _of_type(items, "message") if not _is_commentary(item)]


def _is_commentary(item: _Item) -> bool:
    return item.get("type") == "message" and item.get("phase") == "commentary"


def _parts(items: Iterable[_Item]) -> list[dict[str, Any]]:
    return [part for item in items for part in objects(item.get("content"))]


def _text(items: list[dict[str, Any]]) -> tuple[str, bool]:
    """The text of the reply, that of a refusal when there is no other, and whether the model refused."""
    parts = _parts(_spoken(items))
    said = "".join(text_of(part.get("text")) for part in parts if part.get("type") == "output_text")
    refusal = "".join(text_of(part.get("refusal")) for part in parts)
    return said or refusal, bool(refusal)


def _thoughts(items: list[dict[str, Any]]) -> tuple[Thought, ...]:
    """Reasoning and commentary, each with its item and its place: before which call, beside which message."""
    found: list[Thought] = []
    for index, item in enumerate(items):
        if item.get("type") != "reasoning" and not _is_commentary(item):
            continue
        following = _following(items[index + 1 :])
        state: dict[str, Any] = {}
        if (sealed := _returnable(item)) is not None:
            state["item"] = sealed
        if state and following.get("type") == "function_call":
            state["before"] = _identifier(following, 0)
        elif state and isinstance(following.get("phase"), str) and not _is_commentary(following):
            state["message"] = {"phase": following["phase"]}
        text = _thought_text(item)
        if text or state:
            found.append(Thought(text, json.dumps(state, ensure_ascii=False) if state else "", NAME))
    return tuple(found)


def _following(items: list[dict[str, Any]]) -> dict[str, Any]:
    """The message or call that comes next."""
    for item in items:
        if item.get("type") in ("message", "function_call"):
            return item
    return {}


def _returnable(item: _Item) -> dict[str, Any] | None:
    """The item as it can be given back, None when the server would not know it: it keeps nothing."""
    if _is_commentary(item):
        text = "".join(text_of(part.get("text")) for part in _parts([item]))
        return spoken(text, phase="commentary")
    if not item.get("encrypted_content") and not item.get("content"):
        return None
    return {name: value for name, value in item.items() if value is not None and name != "status"}


def _thought_text(item: _Item) -> str:
    """What reasoning or commentary says: itself where it is shown, else its summary."""
    whole = "".join(text_of(part.get("text")) for part in objects(item.get("content")))
    summary = _BETWEEN.join(text_of(part.get("text")) for part in objects(item.get("summary")))
    return whole or summary


def _call(item: _Item, index: int) -> ToolCall:
    return ToolCall(_identifier(item, index), text_of(item.get("name")), as_arguments(item.get("arguments")))


def _identifier(item: _Item, index: int) -> str:
    return text_of(item.get("call_id")) or text_of(item.get("id")) or f"call_{index}"


def _finish(data: dict[str, Any], status: Any) -> tuple[FinishReason, str | None]:
    """How the reply ended, normalised and in the provider's word."""
    word = get(data.get("incomplete_details"), "reason") if status == "incomplete" else status
    if not isinstance(word, str):
        return ("stop" if status in (None, "completed") else "other"), None
    return finish_of(word), word


def _citations(items: list[dict[str, Any]]) -> tuple[Citation, ...]:
    found: list[Citation] = []
    start = 0
    for part in _parts(_spoken(items)):
        if part.get("type") != "output_text":
            continue
        for note in objects(part.get("annotations")):
            source = next((text_of(note.get(name)) for name in ("url", "filename", "title") if note.get(name)), "")
            if source:
                first, last = count(note, "start_index"), count(note, "end_index")
                found.append(
                    Citation(
                        source=source,
                        start=None if first is None else start + first,
                        stop=None if last is None else start + last,
                    )
                )
        start += len(text_of(part.get("text")))
    return tuple(found)


def _logprobs(items: list[dict[str, Any]]) -> Any:
    told = [token for part in _parts(_spoken(items)) for token in objects(part.get("logprobs"))]
    return logprobs_of(told) if told else None


def _usage(data: Any) -> Usage:
    """Token counts as they were told."""
    incoming = get(data, "input_tokens_details")
    return Usage(
        count(data, "input_tokens"),
        count(data, "output_tokens"),
        count(incoming, "cached_tokens"),
        count(get(data, "output_tokens_details"), "reasoning_tokens"),
        cache_write_tokens=count(incoming, "cache_write_tokens"),
    )


_ENDS = ("response.completed", "response.incomplete", "response.failed")
_TEXTS = {"response.output_text": "text", "response.refusal": "refusal"}
_THOUGHTS = {"response.reasoning_summary_text": "text", "response.reasoning_text": "text"}


class ResponsesReader:
    """Reads the typed events of a streamed response.

    The last event holds the whole reply. What deltas left out comes with the `done` event of its part, so that the
    pieces always make up the whole.
    """

    def __init__(self) -> None:
        self._whole: dict[str, Any] | None = None
        self._items: dict[Any, dict[str, Any]] = {}
        self._places: dict[str, Any] = {}
        self._calls: dict[Any, int] = {}
        self._said: dict[tuple[Any, ...], str] = {}
        self._thinking: tuple[Any, ...] | None = None

    def feed(self, event: ServerEvent) -> list[StreamEvent]:
        """The deltas in an event."""
        if event.data.strip() == "[DONE]":
            return []
        data = event_object(event)
        kind = text_of(data.get("type")) or event.name
        if kind in _ENDS:
            response = data.get("response")
            self._whole = cast("dict[str, Any]", response) if isinstance(response, dict) else {}
            return []
        if kind == "error" or (data.get("error") and not kind):
            self._whole = {"error": data.get("error") or {k: v for k, v in data.items() if k != "type"}}
            return []
        if kind in ("response.output_item.added", "response.output_item.done"):
            return self._item(data)
        stem, _, last = kind.rpartition(".")
        if last not in ("delta", "done"):
            return []
        return self._piece(stem, data, last == "done")

    def _item(self, data: dict[str, Any]) -> list[StreamEvent]:
        item = data.get("item")
        if not isinstance(item, dict):
            return []
        item = cast("dict[str, Any]", item)
        place = self._place(data, item)
        self._items[place] = item
        if item.get("type") != "function_call":
            return []
        events: list[StreamEvent] = []
        if place not in self._calls:
            self._calls[place] = len(self._calls)
            events.append(
                ToolDelta(self._calls[place], _identifier(item, self._calls[place]), text_of(item.get("name")))
            )
        arguments = item.get("arguments")
        if arguments:
            events += self._arguments(place, as_arguments(arguments), done=True)
        return events

    def _place(self, data: dict[str, Any], item: dict[str, Any] | None = None) -> Any:
        """What tells the items apart: their index, or their id with servers that leave it out."""
        name = text_of(data.get("item_id")) or text_of(get(item, "id")) or text_of(get(item, "call_id"))
        index = data.get("output_index")
        if isinstance(index, int):
            self._places.setdefault(name, index)
            return index
        return self._places.setdefault(name, name)

    def _piece(self, stem: str, data: dict[str, Any], done: bool) -> list[StreamEvent]:
        place = self._place(data)
        if stem == "response.function_call_arguments":
            return self._arguments(place, text_of(data.get("arguments" if done else "delta")), done)
        name = _TEXTS.get(stem) or _THOUGHTS.get(stem)
        if name is None:
            return []
        part = data.get("content_index", data.get("summary_index"))
        key = (place, stem, part)
        piece = self._more(key, text_of(data.get(name if done else "delta")), done)
        if not piece:
            return []
        if stem in _TEXTS and not _is_commentary(self._items.get(place, {})):
            return [TextDelta(piece)]
        between = _BETWEEN if self._thinking is not None and self._thinking != key else ""
        self._thinking = key
        return [ThoughtDelta(between + piece)]

    def _arguments(self, place: Any, piece: str, done: bool) -> list[StreamEvent]:
        more = self._more((place, "arguments"), piece, done)
        index = self._calls.setdefault(place, len(self._calls))
        return [ToolDelta(index, arguments=more)] if more else []

    def _more(self, key: tuple[Any, ...], piece: str, done: bool) -> str:
        """What a delta adds, or what a whole text holds beyond its deltas."""
        said = self._said.get(key, "")
        more = piece[len(said) :] if done and piece.startswith(said) else "" if done else piece
        self._said[key] = said + more
        return more

    def whole(self) -> dict[str, Any] | None:
        """The response in the last event; None when neither that nor an error came."""
        whole = self._whole
        if whole is None or whole.get("output") or not self._items or whole.get("error"):
            return whole
        return {**whole, "output": list(self._items.values())}


RESPONSES = Dialect(NAME, "/responses", encode, decode, ResponsesReader, reserved=RESERVED, shaped_by=("reasoning",))

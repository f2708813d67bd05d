"""A conversation as the messages of OpenAI's chat dialect, with what servers want of them. Pure functions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from hashlib import blake2b
from typing import Any, cast

from outlast.errors import LMUnsupported
from outlast.lms.options import check_message
from outlast.lms.wire.dialect import Notes, Wire
from outlast.messages import Message, Part, TextPart, Thought, ToolCall, ToolResult
from outlast.types import Audio, Document, File, Image

NAME = "openai-chat"
_AUDIO = {"audio/wav": "wav", "audio/x-wav": "wav", "audio/mpeg": "mp3", "audio/mp3": "mp3"}
_Body = dict[str, Any]


def messages_of(messages: Iterable[Message], wire: Wire, notes: Notes) -> Iterable[_Body]:
    """The conversation as the dialect writes it. Raises `LMUnsupported` for media that cannot go."""
    for message in messages:
        check_turn(message, wire.model, notes)
        marked = message.cache and wire.quirks.cache_control
        role = wire.quirks.system_role if message.role == "system" else message.role
        if isinstance(message.content, str):
            if marked:
                yield {"role": role, "content": [_cached({"type": "text", "text": message.content})]}
            else:
                yield {"role": role, "content": message.content}
            continue
        yield from _turn(role, message.content, wire, notes, marked)


def _turn(role: str, parts: tuple[Part, ...], wire: Wire, notes: Notes, marked: bool) -> Iterable[_Body]:
    """The messages that one turn of several parts becomes: each tool result is one of its own."""
    content = [_content(part, wire) for part in parts if isinstance(part, (TextPart, Image, Audio, File, Document))]
    turn: _Body = {"role": role}
    calls = [_call(part, wire) for part in parts if isinstance(part, ToolCall)]
    results = [part for part in parts if isinstance(part, ToolResult)]
    if marked and content:
        content[-1] = _cached(content[-1])
    if calls:
        turn["tool_calls"] = calls
    thoughts = [part for part in parts if isinstance(part, Thought) and role == "assistant"]
    if thoughts:
        turn.update(_thoughts(thoughts, wire, notes, calls))
    if calls and wire.quirks.thought_field == "reasoning_content":
        turn.setdefault("reasoning_content", "")  # DeepSeek and its like refuse calls without it
    for result in results:
        text = f"ERROR: {result.text}" if result.error else result.text
        yield {"role": "tool", "tool_call_id": _id(result.id, wire), "content": text}
    if content or calls or not results:
        plain = role == "assistant" or wire.quirks.plain_text
        only_text = all(part["type"] == "text" and "cache_control" not in part for part in content)
        if plain and only_text:
            turn["content"] = "".join(part["text"] for part in content) if content else None
        else:
            turn["content"] = content
        yield turn


def _content(part: TextPart | Image | Audio | File | Document, wire: Wire) -> _Body:
    if isinstance(part, (TextPart, Document)):
        return {"type": "text", "text": text_of_part(part)}
    refuse_media(part, wire)
    if isinstance(part, Image):
        return {"type": "image_url", "image_url": {"url": part.address}}
    if isinstance(part, Audio):
        form = _AUDIO.get(part.mime)
        if part.data is None or form is None:
            raise LMUnsupported(f"{wire.model!r} takes audio as the bytes of a wav or mp3 file; got {part!r}")
        return {"type": "input_audio", "input_audio": {"data": part.base64, "format": form}}
    if part.data is None:
        raise LMUnsupported(f"{wire.model!r} takes files as bytes, not by address; got {part!r}")
    return {"type": "file", "file": {"filename": part.name or "file", "file_data": part.address}}


def text_of_part(part: TextPart | Document) -> str:
    """The text of a part, for a dialect without documents."""
    return part.__prompt__() if isinstance(part, Document) else part.text


def check_turn(message: Message, model: str, notes: Notes) -> None:
    """Raise for a part that no dialect has a place for in such a turn: calls are the assistant's, results the user's.

    `LMUnsupported` for those, `UsageError` for what is no part at all; reasoning that is not the assistant's is noted.
    """
    if isinstance(message.content, str):
        return
    check_message(message)
    role = message.role
    for part in message.content:
        if isinstance(part, ToolCall) and role != "assistant":
            raise LMUnsupported(f"{model!r} takes calls of tools in turns of the assistant; {role!r} has {part!r}")
        if isinstance(part, ToolResult) and role not in ("tool", "user"):
            raise LMUnsupported(
                f"{model!r} takes results of tools in turns of the roles 'tool' and 'user'; {role!r} has {part!r}"
            )
        if isinstance(part, Thought) and role != "assistant":
            notes.say(f"reasoning in a turn of the role {role!r} not sent: only the assistant has any")


def refuse_media(part: Image | Audio | File, wire: Wire) -> None:
    """Raise `LMUnsupported` for a medium that the model is known not to take: without it the question is another."""
    kinds = {"image": "images", "audio": "audio", "file": "files"}
    if kinds[part.kind] in wire.capabilities.without or kinds[part.kind] in wire.refused:
        raise LMUnsupported(f"{wire.model!r} takes no {kinds[part.kind]}; the request holds {part!r}")


def _cached(part: _Body) -> _Body:
    return {**part, "cache_control": {"type": "ephemeral"}}


def _call(call: ToolCall, wire: Wire) -> _Body:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": _id(call.id, wire), "type": "function", "function": function}


def _id(identifier: str, wire: Wire) -> str:
    """The id of a call as the server takes it: another provider's may have another form."""
    if not wire.quirks.plain_ids or re.fullmatch(r"[A-Za-z0-9]{9}", identifier):
        return identifier
    return blake2b(identifier.encode(errors="replace")).hexdigest()[:9]


def _thoughts(thoughts: list[Thought], wire: Wire, notes: Notes, calls: list[_Body]) -> _Body:
    """Reasoning of an earlier turn, for the servers that want it back."""
    field = wire.quirks.thought_field
    own = [thought for thought in thoughts if thought.origin == NAME]
    if field is None or len(own) < len(thoughts):
        notes.say("reasoning of an earlier turn not sent: the server does not take it back, or another one wrote it")
    if field is None or not own:
        return {}
    if field == "extra_content":
        return _sign(calls, own)
    if field == "reasoning_details":
        details = [detail for thought in own for detail in _details(thought)]
        return {field: details} if details else {"reasoning": "".join(thought.text for thought in own)}
    return {field: "".join(thought.text for thought in own)}


def _details(thought: Thought) -> list[Any]:
    """The state of a thought that is a list of details."""
    state = _state(thought)
    return cast("list[Any]", state) if isinstance(state, list) else []


def _sign(calls: list[_Body], thoughts: list[Thought]) -> _Body:
    """Put beside each call what came beside it: Gemini refuses calls of its own without their signature."""
    for thought in thoughts:
        state = _state(thought)
        signed = cast("_Body", state).get("extra_content") if isinstance(state, dict) else None
        for call in calls:
            if isinstance(signed, dict) and call["id"] in signed:
                call["extra_content"] = signed[call["id"]]
    return {}


def _state(thought: Thought) -> Any:
    try:
        return json.loads(thought.state) if thought.state else None
    except (ValueError, RecursionError):
        return None

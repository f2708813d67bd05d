"""Requests and responses in the shapes of the two conventions. Pure functions of the JSON that the store keeps."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, cast

from outlast.tracing.otel.conventions import OpenInference as OI
from outlast.types.media import shown_address

LONGEST: Final = 32_000  # characters of one text: collectors refuse messages of a few MB
_FINISH: Final = {"tool_calls": "tool_call", "other": "stop"}  # ours on the left where they differ

Value = str | bool | int | float | list[str]
_Json = Mapping[str, Any]


def cut(text: str) -> str:
    """The text, and where it is too long its beginning with a note of how much is missing."""
    left_out = len(text) - LONGEST
    return text if left_out <= 0 else f"{text[:LONGEST]}… ({left_out:,} more characters)"


def as_json(value: Any) -> str:
    """JSON text, for attributes that hold structure."""
    return json.dumps(value, ensure_ascii=False, default=str)


def as_text(value: Any) -> tuple[str, str]:
    """A value as the text of an attribute, and its media type."""
    if isinstance(value, str):
        return cut(value), "text/plain"
    return cut(as_json(value)), "application/json"


def finish_of(finish: str) -> str:
    """Why a reply ended, in the words of OpenTelemetry."""
    return _FINISH.get(finish, finish)


def parts_of(message: _Json) -> list[_Json]:
    """The parts of a message of ours."""
    content = message.get("content")
    return [{"type": "text", "text": content}] if isinstance(content, str) else cast("list[_Json]", content or [])


def reply_of(response: _Json) -> _Json:
    """The message that a response of ours is."""
    parts: list[_Json] = [{"type": "thought", "text": response["reasoning"]}] if response.get("reasoning") else []
    if response.get("text"):
        parts.append({"type": "text", "text": response["text"]})
    for identifier, name, arguments in response.get("tool_calls", ()):
        parts.append({"type": "tool_call", "id": identifier, "name": name, "arguments": arguments})
    return {"role": "assistant", "content": parts}


def plain(message: _Json) -> dict[str, Any]:
    """A message as most servers spell it: its text in one piece, calls of tools beside it; bytes are not in it."""
    texts = [
        part.get("text", "") for part in parts_of(message) if part.get("type") in ("text", "document", "tool_result")
    ]
    calls = [part for part in parts_of(message) if part.get("type") == "tool_call"]
    told: dict[str, Any] = {"role": message["role"], "content": "\n".join(texts)}
    if calls:
        told["tool_calls"] = [{"id": c["id"], "name": c["name"], "arguments": c["arguments"]} for c in calls]
    others = [part.get("type") for part in parts_of(message) if part.get("type") in ("image", "audio", "file")]
    return {**told, "attachments": others} if others else told


# OpenTelemetry


def gen_ai_system(request: _Json) -> str | None:
    """The instructions of the first messages, which stand apart from the conversation; None when there are none."""
    found = [gen_ai_part(part) for message in _leading_system(request) for part in parts_of(message)]
    return as_json(found) if found else None


def gen_ai_input(request: _Json) -> str:
    """The conversation that was sent."""
    rest = request["messages"][len(_leading_system(request)) :]
    return as_json([_gen_ai_message(message) for message in rest])


def gen_ai_output(response: _Json) -> str:
    """The reply."""
    return as_json([{**_gen_ai_message(reply_of(response)), "finish_reason": finish_of(response["finish"])}])


def gen_ai_text(role: str, value: Any) -> str:
    """A value that is no message, as the one message of a conversation."""
    message: dict[str, Any] = {"role": role, "parts": [{"type": "text", "content": as_text(value)[0]}]}
    return as_json([message if role == "user" else {**message, "finish_reason": "stop"}])


def gen_ai_tools(request: _Json) -> str | None:
    """What the model might call, None when it might call nothing."""
    tools = request.get("tools")
    return as_json([{"type": "function", **tool} for tool in tools]) if tools else None


def _leading_system(request: _Json) -> list[_Json]:
    found: list[_Json] = []
    for message in request["messages"]:
        if message["role"] != "system":
            break
        found.append(message)
    return found


def _gen_ai_message(message: _Json) -> dict[str, Any]:
    return {"role": message["role"], "parts": [gen_ai_part(part) for part in parts_of(message)]}


def gen_ai_part(part: _Json) -> dict[str, Any]:
    """A part of a message of ours; bytes are not sent, only how many there are."""
    kind = part.get("type")
    if kind == "tool_call":
        return {"type": "tool_call", "id": part["id"], "name": part["name"], "arguments": _parsed(part["arguments"])}
    if kind == "tool_result":
        return {"type": "tool_call_response", "id": part["id"], "response": cut(part["text"])}
    if kind == "thought":
        return {"type": "reasoning", "content": cut(part["text"])}
    if kind in ("text", "document"):
        return {"type": "text", "content": cut(part.get("text", ""))}
    told = {"modality": "document" if kind == "file" else kind, "mime_type": part.get("mime")}
    if part.get("url"):
        return {"type": "uri", **told, "uri": shown_address(part["url"])}
    return {"type": "outlast.blob", **told, "bytes": _size(part)}  # a type of our own: "blob" would need the bytes


def _size(part: _Json) -> int:
    data = part.get("data")
    return len(data) * 3 // 4 - data.count("=", -2) if isinstance(data, str) else 0


def _parsed(arguments: str) -> Any:
    """The arguments of a call as a model wrote them: as an object where they are one, else as text."""
    try:
        found: Any = json.loads(arguments)
    except (ValueError, RecursionError):
        return cut(arguments)
    if isinstance(found, dict) and len(arguments) <= LONGEST:
        return cast("dict[str, Any]", found)
    return cut(arguments)


# OpenInference


def openinference_messages(prefix: str, messages: list[_Json]) -> dict[str, Value]:
    """Messages, flattened."""
    found: dict[str, Value] = {}
    position = 0
    for message in messages:
        for one in _apart(message):
            found.update(_openinference_message(f"{prefix}.{position}", one))
            position += 1
    return found


def openinference_tools(request: _Json) -> dict[str, Value]:
    """What the model might call, flattened."""
    tools = request.get("tools") or ()
    return {
        f"{OI.TOOLS}.{index}.{OI.TOOL_SCHEMA}": cut(as_json({"type": "function", "function": tool}))
        for index, tool in enumerate(tools)
    }


def _apart(message: _Json) -> list[_Json]:
    """A message for each result of a tool, as the convention has one id a message."""
    results = [part for part in parts_of(message) if part.get("type") == "tool_result"]
    if not results:
        return [message]
    rest = [part for part in parts_of(message) if part.get("type") != "tool_result"]
    groups = [[part] for part in results] + ([rest] if rest else [])
    return [{"role": message["role"], "content": group} for group in groups]


def _openinference_message(prefix: str, message: _Json) -> dict[str, Value]:
    found: dict[str, Value] = {f"{prefix}.{OI.ROLE}": message["role"]}
    shown: list[_Json] = []
    calls = 0
    for part in parts_of(message):
        if part.get("type") == "tool_call":
            at = f"{prefix}.{OI.TOOL_CALLS}.{calls}"
            found[f"{at}.{OI.CALL_ID}"] = part["id"]
            found[f"{at}.{OI.CALL_NAME}"] = part["name"]
            found[f"{at}.{OI.CALL_ARGUMENTS}"] = cut(part["arguments"])
            calls += 1
        elif part.get("type") == "tool_result":
            found[f"{prefix}.{OI.TOOL_CALL_ID}"] = part["id"]
            found[f"{prefix}.{OI.CONTENT}"] = cut(part["text"])
        else:
            shown.append(part)
    if len(shown) == 1 and shown[0].get("type") == "text":
        found[f"{prefix}.{OI.CONTENT}"] = cut(shown[0]["text"])
    else:
        for index, part in enumerate(shown):
            found.update(_openinference_part(f"{prefix}.{OI.CONTENTS}.{index}", part))
    return found


def _openinference_part(prefix: str, part: _Json) -> dict[str, Value]:
    kind = part.get("type")
    if kind == "image" and part.get("url"):
        return {
            f"{prefix}.{OI.CONTENT_TYPE}": "image",
            f"{prefix}.{OI.CONTENT_IMAGE}.{OI.IMAGE_URL}": shown_address(part["url"]),
        }
    if kind == "thought":
        return {f"{prefix}.{OI.CONTENT_TYPE}": "reasoning", f"{prefix}.{OI.CONTENT_TEXT}": cut(part["text"])}
    text = part.get("text") if kind in ("text", "document") else f"({kind}, {part.get('mime')}, {_size(part):,} bytes)"
    return {f"{prefix}.{OI.CONTENT_TYPE}": "text", f"{prefix}.{OI.CONTENT_TEXT}": cut(text or "")}

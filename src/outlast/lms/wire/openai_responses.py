"""The OpenAI responses dialect: a request as JSON. Pure functions.

Checked against the types of the openai package 3.57. Nothing is kept on the server (`store: false`): each request
tells the whole conversation, with the sealed reasoning of earlier turns.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, cast

from outlast.errors import LMUnsupported, UsageError
from outlast.lms.options import check_tools
from outlast.lms.wire.dialect import Encoded, Notes, Wire
from outlast.lms.wire.openai_chat import (
    function,
    plain_settings,
    refuse_tools,
    refused_settings,
    schema_form,
    schema_name,
    shown_setting,
)
from outlast.lms.wire.openai_chat_turns import check_turn, refuse_media, text_of_part
from outlast.lms.wire.stops import emulated
from outlast.messages import (
    Message,
    OutputSchema,
    Request,
    Settings,
    TextPart,
    Thought,
    ToolCall,
    ToolResult,
)
from outlast.types import Audio, Document, File, Image

NAME = "openai-responses"
RESERVED = ("input", "messages", "model", "n", "stream", "tools", "previous_response_id", "conversation")
_SEALED = "reasoning.encrypted_content"
_LOGPROBS = "message.output_text.logprobs"
_Body = dict[str, Any]


def encode(request: Request, wire: Wire, stream: bool = False) -> Encoded:
    """The JSON body for a request.

    Raises `UsageError` for a request that means nothing and `LMUnsupported` for what cannot be left out: media, tools
    and prefills that the model does not take.
    """
    if not request.messages:
        raise UsageError("a request needs at least one message; got none")
    if request.messages[-1].role == "assistant":
        raise LMUnsupported(
            f"{wire.model!r} cannot go on from the start of a reply (a last message of the role 'assistant') in the "
            f"dialect {NAME!r}"
        )
    if request.tools or request.tool_choice != "auto":
        check_tools(request.tools, request.tool_choice)
    notes = Notes()
    body: _Body = {"model": wire.model, "input": list(_items(request.messages, wire, notes))}
    if "store" not in wire.refused:
        body["store"] = False
    for name, value, shown in _settings(request.settings, wire, notes):
        if name == "parallel_tool_calls" and not request.tools:
            notes.say(f"{shown} not sent: the request has no tools")  # sent, it would be an error there
            continue
        if name in wire.refused:
            notes.drop(f"{shown} not sent: {wire.model!r} refuses {name!r}")
        else:
            body[name] = value
    if included := _included(body, wire):
        body["include"] = included
    lessons: dict[str, str] = {}
    strict = False
    if request.output is not None:
        form = _text_format(request.output, wire, notes)
        if form is not None:
            body["text"] = {"format": form}
            lessons["text"] = form["type"]
            strict = bool(form.get("strict"))
    if request.tools:
        body.update(_tools(request, wire, notes))
    if stream:
        body["stream"] = True
    for name in request.settings.extra:
        if name in RESERVED:
            raise UsageError(f"extra may not hold {name!r}: outlast sets it. Draw several replies with sample=")
    body.update(request.settings.extra)
    stop = emulated(request.settings.stop, f"the dialect {NAME!r} has no place for it", notes)
    return Encoded(body, tuple(notes.texts), tuple(notes.dropped), strict, lessons, stop)


def _items(messages: Iterable[Message], wire: Wire, notes: Notes) -> Iterable[_Body]:
    """The conversation as input items. Instructions stay where they stand, so that prefixes stay the same."""
    for message in messages:
        check_turn(message, wire.model, notes)
        if message.role == "assistant":
            yield from _said(message, wire, notes)
            continue
        role = wire.quirks.system_role if message.role == "system" else "user"
        if isinstance(message.content, str):
            yield {"role": role, "content": message.content}
            continue
        for part in message.content:
            if isinstance(part, ToolResult):
                text = f"ERROR: {part.text}" if part.error else part.text
                yield {"type": "function_call_output", "call_id": part.id, "output": text}
        kinds = (TextPart, Image, Audio, File, Document)
        content = [_content(part, wire) for part in message.content if isinstance(part, kinds)]
        if content or not message.content:
            yield {"role": role, "content": content}


def _content(part: TextPart | Image | Audio | File | Document, wire: Wire) -> _Body:
    if isinstance(part, (TextPart, Document)):
        return {"type": "input_text", "text": text_of_part(part)}
    refuse_media(part, wire)
    if isinstance(part, Image):
        return {"type": "input_image", "image_url": part.address, "detail": "auto"}
    if isinstance(part, Audio):
        raise LMUnsupported(f"{wire.model!r} takes no audio in the dialect {NAME!r}; the request holds {part!r}")
    if part.url is not None:
        return {"type": "input_file", "file_url": part.url}
    return {"type": "input_file", "filename": part.name or "file", "file_data": part.address}


def _said(message: Message, wire: Wire, notes: Notes) -> Iterable[_Body]:
    """A turn of the model: its reasoning where it stood, its text, its calls."""
    parts = message.parts
    before: dict[str, list[_Body]] = {}
    for part in parts:
        if isinstance(part, (Image, Audio, File)):
            raise LMUnsupported(f"{wire.model!r} takes only text and calls in a turn of the assistant; got {part!r}")
    text = "".join(text_of_part(part) for part in parts if isinstance(part, (TextPart, Document)))
    reply = spoken(text)
    for part in parts:
        if isinstance(part, Thought):
            state = _state(part)
            if state is None:
                notes.say("reasoning of an earlier turn not sent: another model wrote it, or it came without its seal")
                continue
            before.setdefault(str(state.get("before", "")), []).append(cast("_Body", state["item"]))
            reply.update(cast("_Body", state.get("message") or {}))
    calls = [part for part in parts if isinstance(part, ToolCall)]
    known = {call.id for call in calls}
    yield from (item for place, items in before.items() if place not in known for item in items)
    if text or not calls:
        yield reply
    for call in calls:
        yield from before.get(call.id, ())
        yield {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": call.arguments}


def spoken(text: str, **more: Any) -> _Body:
    """A message of the model as an item. Typed, as servers that tell items apart by their type want it."""
    content = [{"type": "output_text", "text": text}]
    return {"type": "message", "role": "assistant", "content": content, **more}


def _state(thought: Thought) -> dict[str, Any] | None:
    """The item that a thought stands for; None when it is none of ours."""
    if thought.origin != NAME or not thought.state:
        return None
    try:
        state: Any = json.loads(thought.state)
    except (ValueError, RecursionError):
        return None
    fine = isinstance(state, dict) and isinstance(cast("_Body", state).get("item"), dict)
    return cast("dict[str, Any]", state) if fine else None


def _settings(settings: Settings, wire: Wire, notes: Notes) -> Iterable[tuple[str, Any, str]]:
    """Wire name, value and how to speak of it, for each setting that is set and has a place."""
    without = refused_settings(settings, wire)
    plain: tuple[tuple[str, str, Any], ...] = (
        ("temperature", "temperature", settings.temperature),
        ("top_p", "top_p", settings.top_p),
        ("max_tokens", "max_output_tokens", settings.max_tokens),
        ("tier", "service_tier", settings.tier),
        ("parallel_tools", "parallel_tool_calls", settings.parallel_tools),
        ("logprobs", "top_logprobs", settings.logprobs),
    )
    yield from plain_settings(plain, without, wire, notes)
    for name in ("seed", "prediction", "grammar"):
        value = getattr(settings, name)
        if value is not None:
            shown = shown_setting(name, value) if name == "seed" else name
            notes.drop(f"{shown} not sent: the dialect {NAME!r} has no place for it")
    said: dict[str, Any] = {} if settings.reasoning is None else {"effort": settings.reasoning}
    if settings.show_reasoning:
        said["summary"] = "auto"
    if said:
        shown = "show_reasoning=True" if settings.reasoning is None else f"reasoning={settings.reasoning!r}"
        yield "reasoning", said, shown


def _included(body: Mapping[str, Any], wire: Wire) -> list[str]:
    """What is to come with the reply: sealed reasoning for the next turn, log-probabilities where asked for."""
    if "include" in wire.refused:
        return []
    included = [_SEALED] if wire.capabilities.reasoning else []
    return [*included, _LOGPROBS] if "top_logprobs" in body else included


def _text_format(output: OutputSchema | str, wire: Wire, notes: Notes) -> _Body | None:
    """The nearest thing to `output` that the model can be held to."""
    asked = "output='json'" if isinstance(output, str) else f"the JSON schema {output.name!r}"
    capabilities, refused = wire.capabilities, wire.refused
    if isinstance(output, OutputSchema):
        if capabilities.json_schema and not {"json_schema", "text"} & set(refused):
            schema, strict = schema_form(output, wire, notes)
            form: _Body = {"type": "json_schema", "name": schema_name(output), "schema": schema}
            return {**form, "strict": bool(strict)}  # strict is the default where nothing is said
        why = "refuses" if capabilities.json_schema else "is not known to take"
        notes.drop(f"{asked} not sent: the model {why} schemas")
    if capabilities.json_object and not {"json_object", "text"} & set(refused):
        return {"type": "json_object"}
    if isinstance(output, str):
        why = "refuses" if capabilities.json_object else "is not known to take"
        notes.drop(f"{asked} not sent: the model {why} it")
    return None


def _tools(request: Request, wire: Wire, notes: Notes) -> _Body:
    """The tools, and what is said about calling them."""
    refuse_tools(wire)
    tools = [{"type": "function", "strict": False, **function(tool, wire, notes)} for tool in request.tools]
    body: _Body = {"tools": tools}
    choice = request.tool_choice
    if choice == "auto":
        return body
    if choice != "none" and (not wire.quirks.forced_tools or "tool_choice" in wire.refused):
        notes.drop(f"tool_choice={choice!r} not sent: {wire.model!r} takes no forced tool calls")
        return body
    body["tool_choice"] = choice if choice in ("required", "none") else {"type": "function", "name": choice}
    return body

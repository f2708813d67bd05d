"""The OpenAI chat dialect, spoken by most servers there are: a request as JSON. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from outlast.errors import LMUnsupported, UsageError
from outlast.lms.dialect import Encoded, Notes, Wire
from outlast.lms.strict_schema import strict_schema
from outlast.messages import (
    NO_SETTINGS,
    Message,
    OutputSchema,
    Part,
    Request,
    Settings,
    TextPart,
    Thought,
    ToolCall,
    ToolResult,
)
from outlast.types import Audio, Document, File, Image, Tool

NAME = "openai-chat"
RESERVED = ("messages", "model", "n", "stream", "tools")
_AUDIO = {"audio/wav": "wav", "audio/x-wav": "wav", "audio/mpeg": "mp3", "audio/mp3": "mp3"}
_Body = dict[str, Any]


def encode(request: Request, wire: Wire, stream: bool = False) -> Encoded:
    """The JSON body for a request.

    Raises `UsageError` for a request that means nothing: no messages, an extra setting that outlast itself sets; and
    `LMUnsupported` for what cannot be left out without changing the question: media, tools, a prefill.
    """
    if not request.messages:
        raise UsageError("a request needs at least one message; got none")
    notes = Notes()
    body: _Body = {"model": wire.model, "messages": list(_messages(request.messages, wire, notes))}
    settings = () if request.settings is NO_SETTINGS else _settings(request.settings, wire, notes)
    for name, value, shown in settings:
        if name in wire.refused:
            notes.drop(f"{shown} not sent: {wire.model!r} refuses {name!r}")
        else:
            body[name] = value
    lessons: dict[str, str] = {}
    strict = False
    if request.output is not None:
        form = _response_format(request.output, wire, notes)
        if form is not None:
            body["response_format"] = form
            lessons["response_format"] = form["type"]
            strict = bool(form.get("json_schema", {}).get("strict"))
    if request.tools:
        body.update(_tools(request, wire, notes))
    _finish_prefill(request, wire, body)
    if stream:
        body["stream"] = True
        if wire.quirks.stream_usage and "stream_options" not in wire.refused:
            body["stream_options"] = {"include_usage": True}
    extra = request.settings.extra
    for name in extra:
        if name in RESERVED:
            raise UsageError(f"extra may not hold {name!r}: outlast sets it. Draw several replies with sample=")
    body.update(extra)
    return Encoded(body, tuple(notes.texts), tuple(notes.dropped), strict, lessons)


def _messages(messages: Iterable[Message], wire: Wire, notes: Notes) -> Iterable[_Body]:
    for message in messages:
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
    calls = [_call(part) for part in parts if isinstance(part, ToolCall)]
    results = [part for part in parts if isinstance(part, ToolResult)]
    if marked and content:
        content[-1] = _cached(content[-1])
    if calls:
        turn["tool_calls"] = calls
    thoughts = [part for part in parts if isinstance(part, Thought)]
    if thoughts:
        turn.update(_thoughts(thoughts, wire, notes))
    for result in results:
        text = f"ERROR: {result.text}" if result.error else result.text
        yield {"role": "tool", "tool_call_id": result.id, "content": text}
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
        return {"type": "text", "text": part.__prompt__() if isinstance(part, Document) else part.text}
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


def refuse_media(part: Image | Audio | File, wire: Wire) -> None:
    """Raise `LMUnsupported` for a medium that the model is known not to take: without it the question is another."""
    kinds = {"image": "images", "audio": "audio", "file": "files"}
    if kinds[part.kind] in wire.capabilities.without or kinds[part.kind] in wire.refused:
        raise LMUnsupported(f"{wire.model!r} takes no {kinds[part.kind]}; the request holds {part!r}")


def _cached(part: _Body) -> _Body:
    return {**part, "cache_control": {"type": "ephemeral"}}


def _call(call: ToolCall) -> _Body:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _thoughts(thoughts: list[Thought], wire: Wire, notes: Notes) -> _Body:
    """Reasoning of an earlier turn, for the servers that want it back."""
    field = wire.quirks.thought_field
    own = [thought for thought in thoughts if thought.origin == NAME]
    if field is None or len(own) < len(thoughts):
        notes.say("reasoning of an earlier turn not sent: the server does not take it back, or another one wrote it")
    if field is None or not own:
        return {}
    if field == "reasoning_details":
        import json

        details = [detail for thought in own if thought.state for detail in json.loads(thought.state)]
        return {field: details} if details else {"reasoning": "".join(thought.text for thought in own)}
    return {field: "".join(thought.text for thought in own)}


def _settings(settings: Settings, wire: Wire, notes: Notes) -> Iterable[tuple[str, Any, str]]:
    """Wire name, value and how to speak of it, for each setting that is set."""
    quirks, without = wire.quirks, wire.capabilities.without
    plain: tuple[tuple[str, str, Any], ...] = (
        ("temperature", "temperature", settings.temperature),
        ("top_p", "top_p", settings.top_p),
        ("max_tokens", quirks.max_tokens, settings.max_tokens),
        ("stop", "stop", None if settings.stop is None else list(settings.stop)),
        ("seed", quirks.seed, settings.seed),
        ("tier", "service_tier", settings.tier),
        ("parallel_tools", "parallel_tool_calls", settings.parallel_tools),
    )
    for name, wire_name, value in plain:
        if value is None:
            continue
        shown = f"{name}={value:g}" if isinstance(value, float) else f"{name}={value!r}"
        if name in without:
            notes.drop(f"{shown} not sent: {wire.model!r} is known not to take it")
        else:
            yield wire_name, value, shown
    if settings.logprobs is not None:
        shown = f"logprobs={settings.logprobs}"
        if "logprobs" in without:
            notes.drop(f"{shown} not sent: {wire.model!r} is known to give none")
        else:
            yield "logprobs", True, shown
            if settings.logprobs and "logprobs" not in wire.refused:
                yield "top_logprobs", settings.logprobs, shown
    if settings.prediction is not None:
        yield "prediction", {"type": "content", "content": settings.prediction}, "prediction"
    if settings.grammar is not None:
        if quirks.grammar is None:
            notes.drop(f"grammar not sent: {wire.model!r} is not known to be held to grammars")
        elif quirks.grammar == "grammar":
            yield "grammar", settings.grammar, "grammar"
        else:
            yield "structured_outputs", {"grammar": settings.grammar}, "grammar"
    yield from _reasoning(settings, wire, notes)


def _reasoning(settings: Settings, wire: Wire, notes: Notes) -> Iterable[tuple[str, Any, str]]:
    effort, show, style = settings.reasoning, settings.show_reasoning, wire.quirks.reasoning
    shown = f"reasoning={effort!r}"
    if style == "object":
        said: dict[str, Any] = {} if effort is None else {"effort": effort}
        if show is not None:
            said["exclude"] = not show
        if said:
            yield "reasoning", said, shown
        return
    if show is not None:
        notes.say(
            f"show_reasoning={show} not sent: the dialect has no word for it; the reply shows what the server shows"
        )
    if effort is None:
        return
    if style == "effort":
        yield "reasoning_effort", effort, shown
    elif style == "thinking":
        yield "thinking", {"type": "disabled" if effort == "none" else "enabled"}, shown
        if effort != "none":
            yield "reasoning_effort", effort, shown
    else:
        variables: dict[str, Any] = {"enable_thinking": effort != "none"}
        if effort != "none":
            variables["reasoning_effort"] = effort
            notes.say(f"{shown} sent as variables of the chat template, which may ignore them")
        yield "chat_template_kwargs", variables, shown


def _response_format(output: OutputSchema | str, wire: Wire, notes: Notes) -> _Body | None:
    """The nearest thing to `output` that the model can be held to."""
    asked = "output='json'" if isinstance(output, str) else f"the JSON schema {output.name!r}"
    capabilities, refused = wire.capabilities, wire.refused
    if isinstance(output, OutputSchema):
        if capabilities.json_schema and "json_schema" not in refused and "response_format" not in refused:
            return _json_schema(output, wire, notes)
        why = "refuses" if capabilities.json_schema else "is not known to take"
        notes.drop(f"{asked} not sent: the model {why} schemas")
    if capabilities.json_object and "json_object" not in refused and "response_format" not in refused:
        return {"type": "json_object"}
    if isinstance(output, str):
        notes.drop(
            f"{asked} not sent: the model {'refuses' if capabilities.json_object else 'is not known to take'} it"
        )
    return None


def _json_schema(output: OutputSchema, wire: Wire, notes: Notes) -> _Body:
    form: _Body = {"name": schema_name(output)}
    if not wire.quirks.strict:
        return {"type": "json_schema", "json_schema": {**form, "schema": output.schema}}
    form["schema"], form["strict"] = strict_form(output, wire, notes)
    return {"type": "json_schema", "json_schema": form}


def schema_name(output: OutputSchema) -> str:
    """The name of a schema in the letters that providers take."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", output.name)[:64] or "output"


def strict_form(output: OutputSchema, wire: Wire, notes: Notes) -> tuple[Mapping[str, Any], bool]:
    """The schema to send and whether it is strict, with a note where it says less than the whole one."""
    made = wire.strict(output)
    if not made.strict:
        notes.say(f"the JSON schema {output.name!r} sent without strict: {made.why}")
    elif made.left_out:
        notes.say(f"the JSON schema {output.name!r} sent without {', '.join(made.left_out)}")
    return made.schema, made.strict


def _tools(request: Request, wire: Wire, notes: Notes) -> _Body:
    """The tools, and what is said about calling them."""
    refuse_tools(wire)
    body: _Body = {"tools": [{"type": "function", "function": function(tool, wire, notes)} for tool in request.tools]}
    choice = request.tool_choice
    if choice == "auto":
        return body
    if choice != "none" and (not wire.quirks.forced_tools or "tool_choice" in wire.refused):
        notes.drop(f"tool_choice={choice!r} not sent: {wire.model!r} takes no forced tool calls")
        return body
    named = {"type": "function", "function": {"name": choice}}
    body["tool_choice"] = choice if choice in ("required", "none") else named
    return body


def refuse_tools(wire: Wire) -> None:
    """Raise `LMUnsupported` for a model that is known to take no tools."""
    if "tools" in wire.capabilities.without or "tools" in wire.refused:
        raise LMUnsupported(f"{wire.model!r} takes no tools. Use an adapter that writes tool calls as text")


def function(tool: Tool, wire: Wire, notes: Notes) -> _Body:
    """A tool as JSON; strict where it asks for it and the server knows it."""
    told: _Body = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    if not tool.strict or not wire.quirks.strict:
        return told
    made = strict_schema(tool.parameters)
    if not made.strict:
        notes.say(f"the tool {tool.name!r} sent without strict: {made.why}")
        return told
    return {**told, "parameters": made.schema, "strict": True}


def _finish_prefill(request: Request, wire: Wire, body: _Body) -> None:
    """Have the server go on from a last message of the assistant, in its own way."""
    if request.messages[-1].role != "assistant":
        return
    style = wire.quirks.prefill
    if style is None or "prefill" in wire.capabilities.without:
        raise LMUnsupported(
            f"{wire.model!r} cannot go on from the start of a reply (a last message of the role 'assistant')"
        )
    if style == "prefix":
        body["messages"][-1]["prefix"] = True
    elif style == "continue":
        body["continue_final_message"], body["add_generation_prompt"] = True, False

"""The OpenAI chat dialect, spoken by most servers there are: a request as JSON. Pure functions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any, cast

from outlast.errors import LMUnsupported, UsageError
from outlast.lms.dialect import Encoded, Notes, Shape, Wire
from outlast.lms.gemini_schema import gemini_schema
from outlast.lms.stops import emulated
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
SAMPLING = frozenset(("temperature", "top_p", "logprobs"))
SHAPES: Mapping[str, Shape] = {"plain": strict_schema, "gemini": gemini_schema}
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
        if name == "parallel_tool_calls" and not request.tools:
            continue  # which is an error there
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
    stop = emulated(request.settings.stop, f"{wire.model!r} takes none", notes) if emulates_stop(wire) else ()
    return Encoded(body, tuple(notes.texts), tuple(notes.dropped), strict, lessons, stop)


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
    calls = [_call(part, wire) for part in parts if isinstance(part, ToolCall)]
    results = [part for part in parts if isinstance(part, ToolResult)]
    if marked and content:
        content[-1] = _cached(content[-1])
    if calls:
        turn["tool_calls"] = calls
    thoughts = [part for part in parts if isinstance(part, Thought)]
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


def _settings(settings: Settings, wire: Wire, notes: Notes) -> Iterable[tuple[str, Any, str]]:
    """Wire name, value and how to speak of it, for each setting that is set."""
    quirks, without = wire.quirks, refused_settings(settings, wire)
    plain: tuple[tuple[str, str, Any], ...] = (
        ("temperature", "temperature", settings.temperature),
        ("top_p", "top_p", settings.top_p),
        ("max_tokens", quirks.max_tokens, settings.max_tokens),
        ("stop", "stop", list(settings.stop) if settings.stop and not emulates_stop(wire) else None),
        ("seed", quirks.seed, settings.seed),
        ("tier", "service_tier", settings.tier),
        ("parallel_tools", "parallel_tool_calls", settings.parallel_tools),
    )
    for name, wire_name, value in plain:
        if value is None:
            continue
        shown = shown_setting(name, value)
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
    if settings.prediction is not None and "prediction" in without:
        notes.drop(f"prediction not sent: {wire.model!r} is known not to take it")
    elif settings.prediction is not None:
        yield "prediction", {"type": "content", "content": settings.prediction}, "prediction"
    if settings.grammar is not None:
        if quirks.grammar is None:
            notes.drop(f"grammar not sent: {wire.model!r} is not known to be held to grammars")
        elif quirks.grammar == "grammar":
            yield "grammar", settings.grammar, "grammar"
        else:
            yield "structured_outputs", {"grammar": settings.grammar}, "grammar"
    yield from _reasoning(settings, wire, notes)


def shown_setting(name: str, value: Any) -> str:
    """A setting as a note speaks of it."""
    return f"{name}={value:g}" if isinstance(value, float) else f"{name}={value!r}"


def refused_settings(settings: Settings, wire: Wire) -> frozenset[str]:
    """The settings that the model is known to refuse. Some take sampling settings while they do not reason."""
    without = wire.capabilities.without
    return without - SAMPLING if settings.reasoning in wire.quirks.samples_at else without


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
    schema, strict = schema_form(output, wire, notes)
    form: _Body = {"name": schema_name(output), "schema": schema}
    return {"type": "json_schema", "json_schema": form if strict is None else {**form, "strict": strict}}


def schema_name(output: OutputSchema) -> str:
    """The name of a schema in the letters that providers take."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", output.name)[:64] or "output"


def schema_form(output: OutputSchema, wire: Wire, notes: Notes) -> tuple[Mapping[str, Any], bool | None]:
    """The schema to send and whether it is strict (None: not said), with a note where it says less than the whole."""
    if not wire.quirks.strict and wire.quirks.schemas == "plain":
        return output.schema, None
    made = wire.strict(output, SHAPES[wire.quirks.schemas])
    if not made.strict:
        form = "as it is" if wire.quirks.schemas == "gemini" else "without strict"
        notes.say(f"the JSON schema {output.name!r} sent {form}: {made.why}")
    elif made.left_out:
        how = "with {} only in its descriptions" if wire.quirks.schemas == "gemini" else "without {}"
        notes.say(f"the JSON schema {output.name!r} sent {how.format(', '.join(made.left_out))}")
    return made.schema, made.strict if wire.quirks.strict else None


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
    quirks = wire.quirks
    if quirks.schemas == "gemini":
        return {**told, "parameters": SHAPES["gemini"](tool.parameters).schema}
    if not tool.strict or not quirks.strict:
        return told
    made = strict_schema(tool.parameters)
    if not made.strict:
        notes.say(f"the tool {tool.name!r} sent without strict: {made.why}")
        return told
    return {**told, "parameters": made.schema, "strict": True}


def emulates_stop(wire: Wire) -> bool:
    """Whether stop texts do not reach the server, which is known or was seen to refuse them."""
    return "stop" in wire.refused or "stop" in wire.capabilities.without


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

"""The OpenAI chat dialect, spoken by most servers there are: a request as JSON. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from outlast.errors import LMUnsupported, UsageError
from outlast.lms.options import check_tools
from outlast.lms.wire.dialect import Encoded, Notes, Shape, Wire
from outlast.lms.wire.gemini_schema import gemini_schema
from outlast.lms.wire.openai_chat_turns import messages_of
from outlast.lms.wire.stops import emulated
from outlast.lms.wire.strict_schema import strict_schema
from outlast.messages import NO_SETTINGS, OutputSchema, Request, Settings
from outlast.types import Tool

RESERVED = ("messages", "model", "n", "stream", "tools")
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
    if request.tools or request.tool_choice != "auto":
        check_tools(request.tools, request.tool_choice)
    notes = Notes()
    body: _Body = {"model": wire.model, "messages": list(messages_of(request.messages, wire, notes))}
    settings = () if request.settings is NO_SETTINGS else _settings(request.settings, wire, notes)
    for name, value, shown in settings:
        if name == "parallel_tool_calls" and not request.tools:
            notes.say(f"{shown} not sent: the request has no tools")  # sent, it would be an error there
            continue
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
    yield from plain_settings(plain, without, wire, notes)
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


def plain_settings(
    plain: Iterable[tuple[str, str, Any]], without: frozenset[str], wire: Wire, notes: Notes
) -> Iterable[tuple[str, Any, str]]:
    """Wire name, value and how to speak of it, of those (name, wire name, value) that are set; one that the model is
    known to refuse (`without`) is noted instead."""
    for name, wire_name, value in plain:
        if value is None:
            continue
        shown = shown_setting(name, value)
        if name in without:
            notes.drop(f"{shown} not sent: {wire.model!r} is known not to take it")
        else:
            yield wire_name, value, shown


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
        notes.drop(
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

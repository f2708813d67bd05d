"""The Anthropic messages dialect: a request as JSON. Pure functions.

It is that of API version 2023-06-01, whose older models still take `temperature`; checked against the types of the
anthropic package 2.14 and against the platform's documentation of November 2026.
"""

from __future__ import annotations

from typing import Any

from outlast.errors import LMUnsupported, UsageError
from outlast.lms.options import check_tools
from outlast.lms.wire.anthropic_schema import MOST_STRICT_TOOLS, anthropic_schema
from outlast.lms.wire.anthropic_turns import NAME, conversation
from outlast.lms.wire.dialect import Encoded, Notes, Wire
from outlast.lms.wire.openai_chat import refuse_tools, shown_setting
from outlast.lms.wire.stops import emulated
from outlast.messages import OutputSchema, Request, Settings
from outlast.types import Tool

VERSION = "2023-06-01"
RESERVED = ("messages", "system", "model", "n", "stream", "tools")
_BUDGETS = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 32768, "max": 32768}
_LEAST_BUDGET = 1024
_TIERS = {"auto": "auto", "priority": "auto", "default": "standard_only", "standard": "standard_only"}
_Body = dict[str, Any]


def encode(request: Request, wire: Wire, stream: bool = False) -> Encoded:
    """The JSON body for a request.

    Raises `UsageError` for a request that means nothing and `LMUnsupported` for what cannot be left out: media, tools
    and prefills that the model does not take.
    """
    if not request.messages:
        raise UsageError("a request needs at least one message; got none")
    if request.messages[-1].role == "assistant" and not wire.capabilities.prefill:
        raise LMUnsupported(
            f"{wire.model!r} cannot go on from the start of a reply (a last message of the role 'assistant')"
        )
    if request.tools or request.tool_choice != "auto":
        check_tools(request.tools, request.tool_choice)
    notes = Notes()
    settings = request.settings
    constrained = isinstance(request.output, OutputSchema) and _takes_schemas(wire)
    body: _Body = {"model": wire.model, "max_tokens": 0}
    body.update(conversation(request.messages, wire, notes, cited=not constrained))
    thinking = _thinking(request, wire, notes)
    body.update(_plain_settings(settings, wire, notes, thinks="thinking" in thinking))
    body.update(thinking)
    body["max_tokens"] = _max_tokens(settings, wire, notes, thinking)
    lessons: dict[str, str] = {"output_config": "effort"} if "output_config" in thinking else {}
    strict = _output_format(request.output, wire, notes, body)
    if strict and "output_config" not in lessons:
        lessons["output_config"] = "output_format"
    if request.tools:
        body.update(_tools(request, wire, notes))
    elif settings.parallel_tools is not None:
        notes.say(f"parallel_tools={settings.parallel_tools} not sent: the request has no tools")
    stop = _stop(settings, wire, notes, body)
    if stream:
        body["stream"] = True
    for name in settings.extra:
        if name in RESERVED:
            raise UsageError(f"extra may not hold {name!r}: outlast sets it. Draw several replies with sample=")
    body.update(settings.extra)
    return Encoded(body, tuple(notes.texts), tuple(notes.dropped), strict, lessons, stop)


def _plain_settings(settings: Settings, wire: Wire, notes: Notes, *, thinks: bool) -> _Body:
    body: _Body = {}
    without = wire.capabilities.without
    budget = thinks and wire.quirks.reasoning == "budget"
    for name, value in (("temperature", settings.temperature), ("top_p", settings.top_p)):
        if value is None:
            continue
        shown = shown_setting(name, value)
        if name in without:
            notes.drop(f"{shown} not sent: {wire.model!r} is known not to take it")
        elif name in wire.refused:
            notes.drop(f"{shown} not sent: {wire.model!r} refuses {name!r}")
        elif budget and (name == "temperature" or value < 0.95):
            notes.drop(f"{shown} not sent: {wire.model!r} takes it only without reasoning")
        else:
            body[name] = value
    for name in ("seed", "logprobs", "prediction", "grammar"):
        value = getattr(settings, name)
        if value is not None:
            shown = name if isinstance(value, str) else shown_setting(name, value)
            notes.drop(f"{shown} not sent: the dialect {NAME!r} has no place for it")
    tier = settings.tier
    if tier is not None:
        said = _TIERS.get(tier, "")
        if not said or "service_tier" in wire.refused:
            notes.drop(f"tier={tier!r} not sent: {wire.model!r} offers no such tier")
        else:
            body["service_tier"] = said
            if tier == "priority":
                notes.say("tier='priority' sent as service_tier='auto': priority where the account has it")
    return body


def _thinking(request: Request, wire: Wire, notes: Notes) -> _Body:
    """How much to reason, and whether to show it."""
    settings, quirks = request.settings, wire.quirks
    effort, show = settings.reasoning, settings.show_reasoning
    shown = f"reasoning={effort!r}" if effort is not None else f"show_reasoning={show}"
    if effort is None and not show:
        if show is False:
            notes.drop("show_reasoning=False not sent without reasoning=: the model shows what it shows")
        return {}
    never = "reasoning" in wire.capabilities.without
    if effort == "none" and (never or quirks.reasoning_off is None):
        if not never:
            notes.drop(f"{shown} not sent: {wire.model!r} always reasons")
        return {}
    if never or "thinking" in wire.refused:
        notes.drop(f"{shown} not sent: {wire.model!r} " + ("does not reason" if never else "refuses 'thinking'"))
        return {}
    if effort == "none":
        return {"thinking": {"type": quirks.reasoning_off}}
    display = {} if show is None else {"display": "summarized" if show else "omitted"}
    if quirks.reasoning == "budget":
        return _budget(request, wire, notes, shown, display)
    body: _Body = {"thinking": {"type": "adaptive", **display}}
    if effort is not None and "effort" in wire.refused:
        notes.drop(f"{shown} sent without its effort: {wire.model!r} refuses 'effort'")
    elif effort is not None:
        if effort == "minimal":
            notes.say("reasoning='minimal' sent as 'low', the least that there is")
        body["output_config"] = {"effort": "low" if effort == "minimal" else effort}
    return body


def _budget(request: Request, wire: Wire, notes: Notes, shown: str, display: _Body) -> _Body:
    """Reasoning of models that know no effort but a budget of tokens, within `max_tokens`."""
    settings = request.settings
    if settings.reasoning is None:
        notes.drop(f"{shown} not sent: {wire.model!r} reasons only with reasoning=")
        return {}
    if _forces_a_tool(request, wire):
        notes.drop(f"{shown} not sent: {wire.model!r} does not reason when a tool call is forced")
        return {}
    budget = _BUDGETS.get(settings.reasoning, _BUDGETS["medium"])
    if settings.max_tokens is not None:
        budget = min(budget, settings.max_tokens // 2)  # the reply needs room too
    if budget < _LEAST_BUDGET:
        notes.drop(f"{shown} not sent: max_tokens={settings.max_tokens} leaves no room for it")
        return {}
    notes.say(f"{shown} sent as a budget of {budget} tokens")
    return {"thinking": {"type": "enabled", "budget_tokens": budget, **display}}


def _max_tokens(settings: Settings, wire: Wire, notes: Notes, thinking: _Body) -> int:
    if settings.max_tokens is not None:
        return settings.max_tokens
    if "max_tokens" in settings.extra:
        return 0  # that one is sent
    chosen = wire.quirks.max_output + thinking.get("thinking", {}).get("budget_tokens", 0)
    notes.say(f"max_tokens={chosen} sent: the dialect demands a bound")
    return chosen


def own_bound(request: Request, wire: Wire) -> int:
    """The bound that goes with a request which sets none."""
    return _max_tokens(request.settings, wire, Notes(), _thinking(request, wire, Notes()))


def _output_format(output: OutputSchema | str | None, wire: Wire, notes: Notes, body: _Body) -> bool:
    """Constrain the reply by a schema where the model takes one; True when it does."""
    if output is None:
        return False
    if isinstance(output, str):
        notes.drop(f"output='json' not sent: the dialect {NAME!r} knows only schemas")
        return False
    asked = f"the JSON schema {output.name!r}"
    if not _takes_schemas(wire):
        why = "refuses" if wire.capabilities.json_schema else "is not known to take"
        notes.drop(f"{asked} not sent: the model {why} schemas")
        return False
    made = wire.strict(output, anthropic_schema)
    if not made.strict:
        notes.drop(f"{asked} not sent: {made.why}")
        return False
    if made.left_out:
        notes.say(f"{asked} sent with {', '.join(made.left_out)} only in its descriptions")
    form = {"type": "json_schema", "schema": made.schema}
    body["output_config"] = {**body.get("output_config", {}), "format": form}
    return True


def _takes_schemas(wire: Wire) -> bool:
    return wire.capabilities.json_schema and "output_format" not in wire.refused


def _forces_a_tool(request: Request, wire: Wire) -> bool:
    forced = bool(request.tools) and request.tool_choice not in ("auto", "none")
    return forced and wire.quirks.forced_tools and "tool_choice" not in wire.refused


def _tools(request: Request, wire: Wire, notes: Notes) -> _Body:
    """The tools, and what is said about calling them."""
    refuse_tools(wire)
    strict = [tool.name for tool in request.tools if tool.strict][:MOST_STRICT_TOOLS]
    tools = [_tool(tool, wire, notes, strict=tool.name in strict) for tool in request.tools]
    body: _Body = {"tools": tools}
    choice, parallel = request.tool_choice, request.settings.parallel_tools
    said: _Body = {"type": "auto"}
    if choice == "none":
        said = {"type": "none"}
    elif choice != "auto" and not _forces_a_tool(request, wire):
        notes.drop(f"tool_choice={choice!r} not sent: {wire.model!r} takes no forced tool calls")
    elif choice != "auto":
        said = {"type": "any"} if choice == "required" else {"type": "tool", "name": choice}
    if parallel is not None and choice != "none":
        said["disable_parallel_tool_use"] = not parallel
    elif parallel is not None:
        notes.say(f"parallel_tools={parallel} not sent: tool_choice='none' allows no call")
    if said != {"type": "auto"}:
        body["tool_choice"] = said
    return body


def _tool(tool: Tool, wire: Wire, notes: Notes, *, strict: bool) -> _Body:
    told: _Body = {"name": tool.name, "description": tool.description, "input_schema": tool.parameters}
    if not tool.strict or not wire.quirks.strict:
        return told
    made = anthropic_schema(tool.parameters)
    why = made.why
    if not wire.capabilities.json_schema:
        why = f"{wire.model!r} is not known to take schemas"
    elif not strict:
        why = f"a request has up to {MOST_STRICT_TOOLS} strict ones"
    if why:
        notes.say(f"the tool {tool.name!r} sent without strict: {why}")
        return told
    return {**told, "input_schema": made.schema, "strict": True}


def _stop(settings: Settings, wire: Wire, notes: Notes, body: _Body) -> tuple[str, ...]:
    """Stop texts to the server, or to us where it takes none or not such: one must hold more than white space."""
    if not settings.stop:
        return ()
    blank = any(not text.strip() for text in settings.stop)
    if "stop" in wire.capabilities.without or "stop_sequences" in wire.refused:
        return emulated(settings.stop, f"{wire.model!r} takes none", notes)
    if blank:
        return emulated(settings.stop, "the dialect takes none of white space only", notes)
    body["stop_sequences"] = list(settings.stop)
    return ()

"""Our messages in the types of the `lm15` package, and its replies in ours. Pure functions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

from outlast.errors import LMUnsupported
from outlast.lms.engines import package
from outlast.lms.wire.dialect import Notes
from outlast.lms.wire.reply import finish_of
from outlast.lms.wire.strict_schema import strict_schema
from outlast.messages import (
    Citation,
    Message,
    OutputSchema,
    Part,
    Request,
    Response,
    Settings,
    TextPart,
    Thought,
    TokenLogprob,
    ToolCall,
    ToolResult,
    Usage,
)
from outlast.types import Audio, Document, File, Image

ORIGIN = "lm15"
_MESSAGE, _PART = "message", "part"
_WANTED_BACK = ("native", "unsigned")


class Turns(NamedTuple):
    """The conversation as lm15 has it: what the system says apart, and up to where a provider is to cache."""

    system: Any
    messages: tuple[Any, ...]
    cache: Any


def wanted_back(resolved: Any) -> bool:
    """Whether a server takes reasoning back that carries no state of its own. `resolved` is lm15's route to it."""
    compat = resolved.compat
    if isinstance(compat, str):
        kind = "AnthropicCompat" if "Anthropic" in resolved.adapter else "OpenAIChatCompat"
        compat = getattr(package("lm15.compat"), kind).preset(compat)
    return getattr(compat, "thinking_replay", None) in _WANTED_BACK


def turns_of(messages: Sequence[Message], wanted: bool, notes: Notes) -> Turns:
    """The conversation in lm15's types. System messages after the first turn go as "developer" messages; `wanted` is
    what `wanted_back` says."""
    lm15 = package("lm15")
    leading = 0
    while leading < len(messages) and messages[leading].role == "system":
        leading += 1
    system = "\n\n".join(message.text for message in messages[:leading]) or None
    found: list[Any] = []
    cache = lm15.CacheConfig(prefix="stable") if any(m.cache for m in messages[:leading]) else None
    for message in messages[leading:]:
        role = "developer" if message.role == "system" else message.role
        parts, continued = _parts(message.parts, wanted, notes)
        if parts or continued:
            found.append(lm15.Message(role, tuple(parts) or (lm15.TextPart(""),), tuple(continued)))
        if message.cache and found:
            cache = lm15.CacheConfig(prefix_until_index=len(found) - 1)
    return Turns(system, tuple(found), cache)


def _parts(parts: Iterable[Part], wanted: bool, notes: Notes) -> tuple[list[Any], list[Any]]:
    """The parts of a message, and what its provider wants back with it.

    Reasoning without a state of the provider goes back only where that is `wanted`: elsewhere lm15 would send it as
    if it had been said.
    """
    lm15 = package("lm15")
    made: list[Any] = []
    continued: list[Any] = []
    for part in parts:
        if isinstance(part, (TextPart, Document)):
            made.append(lm15.TextPart(part.text if isinstance(part, TextPart) else part.__prompt__()))
        elif isinstance(part, (Image, Audio, File)):
            made.append(_medium(part))
        elif isinstance(part, ToolCall):
            made.append(lm15.ToolCallPart(part.id, part.name, _arguments(part, notes)))
        elif isinstance(part, ToolResult):
            content = (lm15.TextPart(part.text),)
            made.append(lm15.ToolResultPart(part.id, content, is_error=part.error))
        elif part.origin == ORIGIN:
            states = _states(part.state)
            continued += states.get(_MESSAGE, [])
            if _PART in states or (part.text and wanted):
                made.append(lm15.ThinkingPart(part.text, tuple(states.get(_PART, []))))
            elif part.text:
                notes.say("reasoning of an earlier turn not sent: its provider does not take it back")
        else:
            notes.say("reasoning of an earlier turn not sent: another model wrote it")
    return made, continued


def _medium(part: Image | Audio | File) -> Any:
    lm15 = package("lm15")
    kind = "ImagePart" if isinstance(part, Image) else "AudioPart" if isinstance(part, Audio) else "DocumentPart"
    given = {"url": part.url} if part.url is not None else {"data": part.base64}
    return getattr(lm15, kind)(media_type=part.mime, **given)


def _arguments(call: ToolCall, notes: Notes) -> dict[str, Any]:
    try:
        data: Any = json.loads(call.arguments or "{}")
    except ValueError:
        data = None
    if isinstance(data, dict):
        return cast("dict[str, Any]", data)
    notes.say(f"arguments of the call {call.id!r} were no JSON object and are sent as text")
    return {"arguments": call.arguments}


def _states(text: str) -> dict[str, list[Any]]:
    state: Any = package("lm15").ContinuationState
    data: dict[str, list[dict[str, Any]]] = json.loads(text) if text else {}
    return {place: [state(**one) for one in states] for place, states in data.items()}


def settings_of(request: Request, cache: Any, notes: Notes) -> Any:
    """lm15's `Config` for a request."""
    lm15 = package("lm15")
    settings = request.settings
    if settings.prediction is not None:
        notes.drop("prediction not sent: lm15 has no word for it")
    return lm15.Config(
        max_tokens=settings.max_tokens,
        temperature=settings.temperature,
        top_p=settings.top_p,
        stop=settings.stop or (),
        seed=settings.seed,
        service_tier=settings.tier,
        logprobs=settings.logprobs,
        response_format=_format(request.output, notes),
        tool_choice=_choice(request, notes),
        reasoning=_reasoning(settings, notes),
        cache=cache,
        extensions=dict(settings.extra) or None,
    )


def _reasoning(settings: Settings, notes: Notes) -> Any:
    lm15 = package("lm15")
    effort, show = settings.reasoning, settings.show_reasoning
    word = "off" if effort == "none" else effort
    if word is None or word not in package("lm15.types").REASONING_EFFORTS:
        for name, value in (("reasoning", effort), ("show_reasoning", show)):
            if value is not None:
                notes.drop(f"{name}={value!r} not sent: lm15 has no such word without a known effort")
        return None
    return lm15.Reasoning(effort=word, summary="auto" if show and word != "off" else None)


def _choice(request: Request, notes: Notes) -> Any:
    choice, parallel = request.tool_choice, request.settings.parallel_tools
    if not request.tools:
        if parallel is not None:
            notes.drop(f"parallel_tools={parallel} not sent: there are no tools")
        return None
    if choice == "auto" and parallel is None:
        return None
    kind: Any = package("lm15").ToolChoice
    if choice == "none":
        return kind("none")
    if choice in ("auto", "required"):
        return kind(choice, parallel=parallel)
    return kind("required", (choice,), parallel=parallel)


def _format(output: OutputSchema | str | None, notes: Notes) -> dict[str, Any] | None:
    if output is None:
        return None
    if isinstance(output, str):
        return {"type": "json_object"}
    made = strict_schema(output.schema)
    if not made.strict:
        notes.say(f"the JSON schema {output.name!r} sent without strict: {made.why}")
    elif made.left_out:
        notes.say(f"the JSON schema {output.name!r} sent without {', '.join(made.left_out)}")
    return {"type": "json_schema", "name": output.name, "schema": dict(made.schema), "strict": made.strict}


def tools_of(request: Request, notes: Notes) -> tuple[Any, ...]:
    """The tools in lm15's types."""
    kind: Any = package("lm15").FunctionTool
    for tool in request.tools:
        if tool.strict:
            notes.drop(f"the tool {tool.name!r} sent without strict: lm15 has no word for it")
    return tuple(kind(tool.name, tool.description or None, dict(tool.parameters)) for tool in request.tools)


def refuse_prefill(request: Request, name: str, adapter: str) -> None:
    """Raise `LMUnsupported` for the start of a reply, where only Anthropic's models go on from one."""
    if request.messages[-1].role == "assistant" and "Anthropic" not in adapter:
        raise LMUnsupported(f"{name} cannot go on from the start of a reply (a last message of the role 'assistant')")


def response_of(reply: Any, adapter: str) -> Response:
    """A reply of lm15. `adapter` is the name of the class that spoke to the provider: what counts as input differs."""
    parts: Sequence[Any] = reply.message.parts
    refused = "".join(part.text for part in parts if part.type == "refusal")
    text = "".join(_text(part) for part in parts) or refused
    thoughts = _thoughts(reply.message)
    calls = tuple(
        ToolCall(part.id, part.name, json.dumps(part.input, ensure_ascii=False))
        for part in parts
        if part.type == "tool_call"
    )
    finish = "content_filter" if refused else finish_of(_FINISH.get(reply.finish_reason, reply.finish_reason))
    return Response(
        text=text,
        model=reply.model,
        reasoning="".join(thought.text for thought in thoughts) or None,
        usage=_usage(reply.usage, adapter),
        finish=finish,
        request_id=reply.id,
        adaptations=tuple(f"{a.field} {a.action}: {a.reason}" for a in reply.adaptations),
        tool_calls=calls,
        thoughts=thoughts,
        citations=tuple(
            Citation(part.text or "", part.url or part.title or "") for part in parts if part.type == "citation"
        ),
        logprobs=_logprobs(reply.logprobs),
        provider_finish=reply.finish_reason,
    )


_FINISH = {"tool_call": "tool_calls"}


def _text(part: Any) -> str:
    if part.type == "text":
        return part.text
    return json.dumps(part.value, ensure_ascii=False) if part.type == "data" else ""


def _thoughts(message: Any) -> tuple[Thought, ...]:
    """What the model thought, with what its provider wants back."""
    found: list[Thought] = []
    for part in message.parts:
        if part.type == "thinking":
            state = {_PART: [_plain(one) for one in part.continuation]} if part.continuation else {}
            found.append(Thought(part.text, json.dumps(state) if state else "", ORIGIN))
    if message.continuation:
        state = {_MESSAGE: [_plain(one) for one in message.continuation]}
        found.append(Thought("", json.dumps(state), ORIGIN))
    return tuple(found)


def _plain(state: Any) -> Mapping[str, Any]:
    return {"provider": state.provider, "kind": state.kind, "data": state.data}


def _logprobs(told: Any) -> tuple[TokenLogprob, ...] | None:
    if told is None:
        return None
    return tuple(TokenLogprob(t.token, t.logprob, tuple((top.token, top.logprob) for top in t.top)) for t in told)


def _usage(told: Any, adapter: str) -> Usage:
    """Our counts: input with what the cache read and wrote, output with reasoning. lm15 passes on what it was told."""
    incoming, outgoing = told.input_tokens, told.output_tokens
    if incoming is not None and "Anthropic" in adapter:
        incoming += (told.cache_read_tokens or 0) + (told.cache_write_tokens or 0)
    if outgoing is not None and ("Gemini" in adapter or "Xai" in adapter):
        outgoing += told.reasoning_tokens or 0
    return Usage(
        incoming, outgoing, told.cache_read_tokens, told.reasoning_tokens, cache_write_tokens=told.cache_write_tokens
    )

"""Our messages in the types of the `llm` package, and its replies in ours. Pure functions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from outlast.errors import LMUnsupported
from outlast.lms.engines import package
from outlast.lms.wire.dialect import Notes
from outlast.lms.wire.reply import count, fingerprint_in, finish_of, get, objects, text_of
from outlast.messages import (
    Message,
    OutputSchema,
    Part,
    Request,
    Response,
    Settings,
    TextPart,
    Thought,
    ToolCall,
    ToolResult,
    Usage,
)
from outlast.types import Audio, Document, File, Image

ORIGIN = "llm"

# Each plugin names its options itself; these are the names that those of the large providers use.
_NAMES: Mapping[str, tuple[str, ...]] = {
    "temperature": ("temperature",),
    "top_p": ("top_p",),
    "max_tokens": ("max_tokens", "max_output_tokens", "num_predict"),
    "stop": ("stop", "stop_sequences"),
    "seed": ("seed",),
    "reasoning": ("reasoning_effort", "thinking_effort"),
    "tier": ("service_tier",),
}
_NEVER = ("logprobs", "prediction", "parallel_tools")


def messages_of(messages: Iterable[Message], model: Any, notes: Notes) -> list[Any]:
    """The conversation in llm's types. Raises `LMUnsupported` for media that the model does not take."""
    kind: Any = package("llm").Message
    names: dict[str, str] = {}
    found: list[Any] = []
    for message in messages:
        parts: list[Any] = []
        for part in message.parts:
            if isinstance(part, ToolCall):
                names[part.id] = part.name
            made = _part(part, model, names, notes)
            if made is not None:
                parts.append(made)
        found.append(kind(role=message.role, parts=parts))
    return found


def asked_of(messages: Sequence[Message], model: Any, notes: Notes) -> dict[str, Any]:
    """The conversation as arguments of llm's `prompt`: one turn under their own names, more of them as `messages`.

    Plugins of the older interface read `prompt.prompt` and `prompt.system` and know no messages; see `as_older`.
    """
    made = messages_of(messages, model, notes)
    roles = [message.role for message in messages]
    if roles not in (["user"], ["system", "user"]) or (len(roles) == 2 and len(messages[0].parts) != 1):
        return {"messages": made}
    texts = [part.text for part in made[-1].parts if hasattr(part, "text")]
    attached = [part.attachment for part in made[-1].parts if hasattr(part, "attachment")]
    if len(texts) > 1 or (texts and attached and not hasattr(made[-1].parts[0], "text")):
        return {"messages": made}  # the order of text and pictures would be lost
    told = {"system": messages[0].text} if len(roles) == 2 else {}
    return {"prompt": texts[0] if texts else "", "attachments": attached, **told}


def as_older(prompt: Any, messages: Sequence[Message]) -> None:
    """Let a plugin of the older interface see a conversation too: its turns as one text, its instructions apart."""
    if not (hasattr(prompt, "_prompt") and hasattr(prompt, "_system")):
        return
    turns = [message for message in messages if message.role != "system"]
    instructions = [message.text for message in messages if message.role == "system"]
    shown = [message.shown for message in turns]
    if len(turns) > 1:
        shown = [f"[{message.role}]\n{text}" for message, text in zip(turns, shown, strict=True)]
    prompt._prompt = "\n\n".join(shown)
    prompt._system = "\n\n".join(instructions) or None


def _part(part: Part, model: Any, names: Mapping[str, str], notes: Notes) -> Any:
    words: Any = package("llm.parts")
    if isinstance(part, (TextPart, Document)):
        return words.TextPart(text=part.text if isinstance(part, TextPart) else part.__prompt__())
    if isinstance(part, (Image, Audio, File)):
        return words.AttachmentPart(attachment=_attachment(part, model))
    if isinstance(part, ToolCall):
        return words.ToolCallPart(name=part.name, arguments=_arguments(part, notes), tool_call_id=part.id)
    if isinstance(part, ToolResult):
        text = f"ERROR: {part.text}" if part.error else part.text
        return words.ToolResultPart(name=names.get(part.id, ""), output=text, tool_call_id=part.id)
    if part.origin == ORIGIN and part.state:
        return words.ReasoningPart(text=part.text, provider_metadata=json.loads(part.state))
    notes.say("reasoning of an earlier turn not sent: another model wrote it, or its provider does not take it back")
    return None


def _attachment(part: Image | Audio | File, model: Any) -> Any:
    if part.mime not in (model.attachment_types or ()):
        raise LMUnsupported(f"{model.model_id!r} of llm takes no {part.mime}; the request holds {part!r}")
    return package("llm").Attachment(type=part.mime, url=part.url, content=part.data)


def _arguments(call: ToolCall, notes: Notes) -> dict[str, Any]:
    try:
        data: Any = json.loads(call.arguments or "{}")
    except ValueError:
        data = None
    if isinstance(data, dict):
        return cast("dict[str, Any]", data)
    notes.say(f"arguments of the call {call.id!r} were no JSON object and are sent as text")
    return {"arguments": call.arguments}


def options_of(request: Request, model: Any, notes: Notes) -> dict[str, Any]:
    """The options of the model's plugin for the settings; what it has no name for is noted."""
    fields: Mapping[str, Any] = model.Options.model_fields
    settings = request.settings
    options: dict[str, Any] = {}
    for name, spellings in _NAMES.items():
        value: Any = getattr(settings, name)
        if value is None:
            continue
        spelled = next((spelling for spelling in spellings if spelling in fields), None)
        shown = f"{name}={value:g}" if isinstance(value, float) else f"{name}={value!r}"
        if spelled is None:
            notes.drop(f"{shown} not sent: the model has no such option in llm")
        elif name == "stop":
            options[spelled] = _stop(settings.stop or (), str(fields[spelled].annotation), notes)
        else:
            options[spelled] = value
    for name in _NEVER:
        if getattr(settings, name) is not None:
            notes.drop(f"{name}={getattr(settings, name)!r} not sent: llm has no word for it")
    for name, value in settings.extra.items():
        if name in fields:
            options[name] = value
        else:
            notes.drop(f"extra {name!r} not sent: the model has no such option in llm")
    if request.output == "json":
        if "json_object" in fields:
            options["json_object"] = True
        else:
            notes.drop("output='json' not sent: the model has no such option in llm")
    return options


def _stop(stops: Sequence[str], annotation: str, notes: Notes) -> Any:
    """Stop texts in the type that a plugin's option has."""
    if "list" in annotation:
        return list(stops)
    if len(stops) > 1:
        notes.drop(f"stop={list(stops[1:])!r} not sent: the model takes one stop text in llm")
    return stops[0] if stops else None


def schema_of(request: Request, model: Any, notes: Notes) -> dict[str, Any] | None:
    """The JSON schema to ask for, None when there is none or the model takes none."""
    output = request.output
    if not isinstance(output, OutputSchema):
        return None
    if not model.supports_schema:
        notes.drop(f"the JSON schema {output.name!r} not sent: the model takes none in llm")
        return None
    return dict(output.schema)


def tools_of(request: Request, model: Any, notes: Notes) -> list[Any]:
    """The tools in llm's types. Raises `LMUnsupported` when the model takes none."""
    if not request.tools:
        return []
    if request.tool_choice == "none":
        notes.say("tools not sent, as tool_choice='none' has no word in llm")
        return []
    if not model.supports_tools:
        raise LMUnsupported(f"{model.model_id!r} takes no tools in llm. Use an adapter that writes tool calls as text")
    if request.tool_choice != "auto":
        notes.drop(f"tool_choice={request.tool_choice!r} not sent: llm has no word for it")
    for tool in request.tools:
        if tool.strict:
            notes.drop(f"the tool {tool.name!r} sent without strict: llm has no word for it")
    kind: Any = package("llm").Tool
    return [kind(tool.name, tool.description or None, dict(tool.parameters)) for tool in request.tools]


def hides_reasoning(settings: Settings) -> dict[str, bool]:
    """What is said to a plugin about showing reasoning."""
    return {} if settings.show_reasoning is None else {"hide_reasoning": not settings.show_reasoning}


def response_of(reply: Any, messages: Sequence[Any]) -> Response:
    """A reply of llm that is read to its end. `messages` are those that it consists of."""
    parts = [part for message in messages for part in message.parts]
    raw: Any = reply.response_json or {}
    choice = next(iter(objects(get(raw, "choices"))), cast("dict[str, Any]", raw))
    told = choice.get("finish_reason") or get(raw, "stop_reason")
    refusal = text_of(get(get(choice, "message"), "refusal"))
    thoughts = tuple(_thought(part) for part in parts if type(part).__name__ == "ReasoningPart" and _says(part))
    calls = tuple(
        ToolCall(call.tool_call_id or f"call_{index}", call.name, json.dumps(call.arguments, ensure_ascii=False))
        for index, call in enumerate(reply.tool_calls_or_raise())
    )
    text = reply.text_or_raise()
    finish = "content_filter" if refusal else finish_of(told) if told else "tool_calls" if calls else "stop"
    return Response(
        text=text or refusal,
        model=reply.resolved_model or text_of(get(raw, "model")),
        reasoning="".join(thought.text for thought in thoughts) or None,
        usage=_usage(reply),
        finish=finish,
        request_id=text_of(get(raw, "id")) or None,
        tool_calls=calls,
        thoughts=thoughts,
        provider_finish=told if isinstance(told, str) else None,
        fingerprint=fingerprint_in(raw),
    )


def _says(part: Any) -> bool:
    return bool(part.text or part.provider_metadata)


def _thought(part: Any) -> Thought:
    state = part.provider_metadata
    return Thought(part.text, json.dumps(state) if state else "", ORIGIN)


def _usage(reply: Any) -> Usage:
    """Tokens as the plugin told them. Zeros are left out by llm, so an unknown count stays unknown."""
    details: Any = reply.token_details
    return Usage(
        reply.input_tokens,
        reply.output_tokens,
        count(get(details, "prompt_tokens_details"), "cached_tokens"),
        count(get(details, "completion_tokens_details"), "reasoning_tokens"),
    )

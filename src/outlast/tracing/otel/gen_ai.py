"""The attributes of OpenTelemetry's convention for generative AI."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from outlast.tracing.otel import messages
from outlast.tracing.otel.conventions import GenAI
from outlast.tracing.otel.messages import Value
from outlast.tracing.otel.naming import AGENTS, named, spent
from outlast.tracing.record import Content, LabelRecord, SpanRecord, TraceRecord

_SETTINGS: Final[Mapping[str, str]] = {
    "max_tokens": GenAI.REQUEST_MAX_TOKENS,
    "temperature": GenAI.REQUEST_TEMPERATURE,
    "top_p": GenAI.REQUEST_TOP_P,
    "seed": GenAI.REQUEST_SEED,
    "reasoning": GenAI.REQUEST_REASONING,
}


def attributes(trace: TraceRecord, span: SpanRecord, content: Content | None) -> dict[str, Value]:
    """The attributes of one span. `content` is None where none may go out."""
    told: dict[str, Any] = {GenAI.CONVERSATION: trace.session or None}
    if span.kind == "lm":
        told |= _of_call(span) | _content_of_call(span, content)
    elif span.kind == "tool":
        told |= {
            GenAI.OPERATION: GenAI.EXECUTE_TOOL,
            GenAI.TOOL: span.name,
            GenAI.TOOL_TYPE: "function",
            GenAI.TOOL_CALL: span.attributes.get("call_id"),
        }
        if content is not None:
            told |= {
                GenAI.TOOL_ARGUMENTS: messages.as_text(content.inputs)[0],
                GenAI.TOOL_RESULT: messages.as_text(content.outputs)[0],
            }
    else:
        told |= _of_step(trace, span, content)
    return {name: value for name, value in told.items() if value is not None}


def evaluation(label: LabelRecord, *, content: bool) -> dict[str, Value]:
    """The attributes of the event that a label is."""
    told: dict[str, Any] = {GenAI.EVALUATION_NAME: label.name}
    if isinstance(label.value, (bool, int, float)):
        told[GenAI.EVALUATION_SCORE] = float(label.value)
    elif isinstance(label.value, str) and (content or label.value in ("pass", "fail", "defer")):
        told[GenAI.EVALUATION_LABEL] = messages.cut(label.value)
    if content and label.note:
        told[GenAI.EVALUATION_EXPLANATION] = messages.cut(label.note)
    return told


def _of_call(span: SpanRecord) -> dict[str, Any]:
    asked = named(span.lm_asked)
    told: dict[str, Any] = {
        GenAI.OPERATION: GenAI.CHAT,
        GenAI.PROVIDER: asked.gen_ai,
        GenAI.REQUEST_MODEL: asked.model,
        GenAI.RESPONSE_MODEL: span.lm_answered or None,
        GenAI.RESPONSE_FINGERPRINT: span.fingerprint or None if asked.gen_ai == "openai" else None,
        GenAI.RESPONSE_ID: span.request_id or None,
        GenAI.RESPONSE_FINISH: [messages.finish_of(span.finish)] if span.finish else None,
        GenAI.RESPONSE_FIRST_CHUNK: span.first_token_seconds,
        GenAI.REQUEST_STREAM: None if span.first_token_seconds is None else True,
    }
    if spent(span):
        told |= {
            GenAI.INPUT_TOKENS: span.input_tokens,
            GenAI.OUTPUT_TOKENS: span.output_tokens,
            GenAI.CACHE_READ_TOKENS: span.cached_tokens,
            GenAI.REASONING_TOKENS: span.reasoning_tokens,
        }
    for ours, theirs in _SETTINGS.items():
        told[theirs] = span.settings.get(ours)
    if span.settings.get("stop"):
        told[GenAI.REQUEST_STOP] = list(span.settings["stop"])
    return told


def _content_of_call(span: SpanRecord, content: Content | None) -> dict[str, Any]:
    told: dict[str, Any] = {}
    if content is None:
        return told
    if content.request is not None:
        told[GenAI.SYSTEM_INSTRUCTIONS] = messages.gen_ai_system(content.request)
        told[GenAI.INPUT_MESSAGES] = messages.gen_ai_input(content.request)
        told[GenAI.TOOL_DEFINITIONS] = messages.gen_ai_tools(content.request)
        if content.request.get("output") is not None:
            told[GenAI.OUTPUT_TYPE] = "json"
    if content.response is not None:
        told[GenAI.OUTPUT_MESSAGES] = messages.gen_ai_output(content.response)
    return told


def _of_step(trace: TraceRecord, span: SpanRecord, content: Content | None) -> dict[str, Any]:
    """A program is a workflow and a strategy that chooses its own steps an agent; the convention has no other steps."""
    told: dict[str, Any]
    if span.name in AGENTS:
        version = span.program or None
        told = {GenAI.OPERATION: GenAI.INVOKE_AGENT, GenAI.AGENT: span.name, GenAI.AGENT_VERSION: version}
    elif span.kind == "program" and not span.parent_id:
        told = {GenAI.OPERATION: GenAI.INVOKE_WORKFLOW, GenAI.WORKFLOW: trace.name or span.name}
    else:
        return {}
    if content is not None and content.inputs is not None:
        told[GenAI.INPUT_MESSAGES] = messages.gen_ai_text("user", content.inputs)
    if content is not None and content.outputs is not None:
        told[GenAI.OUTPUT_MESSAGES] = messages.gen_ai_text("assistant", content.outputs)
    return told

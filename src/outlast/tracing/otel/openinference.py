"""The attributes of OpenInference, the convention of Phoenix."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from outlast.tracing.otel import messages
from outlast.tracing.otel.conventions import OpenInference as OI
from outlast.tracing.otel.messages import Value
from outlast.tracing.otel.naming import AGENTS, named, spent
from outlast.tracing.record import Content, LabelRecord, SpanRecord, TraceRecord

_ANNOTATORS: Final = {"human": "HUMAN", "user": "HUMAN", "judge": "LLM", "classifier": "CODE", "code": "CODE"}
_WRITTEN: Final = ("prediction", "grammar", "extra")  # settings that hold text of the program or of its user


def attributes(trace: TraceRecord, span: SpanRecord, content: Content | None) -> dict[str, Value]:
    """The attributes of one span. `content` is None where none may go out."""
    told: dict[str, Any] = {OI.SPAN_KIND: _kind(span), OI.SESSION: trace.session or None}
    if not span.parent_id and trace.tags:
        told[OI.TAGS] = list(trace.tags)
    if span.kind == "lm":
        told |= _of_call(span, content)
    elif span.kind == "tool":
        told[OI.TOOL_NAME] = span.name
    elif span.name in AGENTS:
        told[OI.AGENT_NAME] = span.name
    if content is not None and not (span.kind == "lm" and content.request is not None):
        told |= _values(content)
    return {name: value for name, value in told.items() if value is not None}


def labelled(labels: Iterable[LabelRecord], *, content: bool) -> dict[str, Value]:
    """Labels, flattened."""
    told: dict[str, Any] = {}
    for index, label in enumerate(labels):
        at = f"{OI.ANNOTATIONS}.{index}"
        told[f"{at}.{OI.ANNOTATION_NAME}"] = label.name
        told[f"{at}.{OI.ANNOTATION_KIND}"] = _ANNOTATORS.get(label.source, "CODE")
        told[f"{at}.{OI.ANNOTATION_IDENTIFIER}"] = label.id
        if isinstance(label.value, (bool, int, float)):
            told[f"{at}.{OI.ANNOTATION_SCORE}"] = float(label.value)
        elif isinstance(label.value, str) and (content or label.value in ("pass", "fail", "defer")):
            told[f"{at}.{OI.ANNOTATION_LABEL}"] = messages.cut(label.value)
        if content and label.note:
            told[f"{at}.{OI.ANNOTATION_EXPLANATION}"] = messages.cut(label.note)
    return told


def _kind(span: SpanRecord) -> str:
    if span.kind == "lm":
        return OI.LLM
    if span.kind == "tool":
        return OI.TOOL
    return OI.AGENT if span.name in AGENTS else OI.CHAIN


def _of_call(span: SpanRecord, content: Content | None) -> dict[str, Any]:
    asked = named(span.lm_asked)
    written = () if content is not None else _WRITTEN
    settings = {name: value for name, value in span.settings.items() if name not in written}
    both = (span.input_tokens, span.output_tokens)
    told: dict[str, Any] = {
        OI.PROVIDER: asked.openinference,
        OI.SYSTEM: asked.system,
        OI.MODEL: span.lm_answered or asked.model,
        OI.REQUEST_MODEL: asked.model,
        OI.RESPONSE_MODEL: span.lm_answered or None,
        OI.PARAMETERS: messages.cut(messages.as_json(settings)) if settings else None,
        OI.FINISH: span.finish or None,
    }
    if spent(span):
        told |= {
            OI.PROMPT_TOKENS: span.input_tokens,
            OI.CACHE_READ_TOKENS: span.cached_tokens,
            OI.COMPLETION_TOKENS: span.output_tokens,
            OI.REASONING_TOKENS: span.reasoning_tokens,
            OI.TOTAL_TOKENS: None if None in both else sum(count or 0 for count in both),
            OI.COST: span.cost,
        }
    if content is None:
        return told
    if content.request is not None:
        told[OI.INPUT], told[OI.INPUT_MIME] = messages.as_text(
            {"messages": [messages.plain(message) for message in content.request["messages"]]}
        )
        told |= messages.openinference_messages(OI.INPUT_MESSAGES, content.request["messages"])
        told |= messages.openinference_tools(content.request)
    if content.response is not None:
        reply = messages.reply_of(content.response)
        plain = messages.plain(reply)
        told[OI.OUTPUT], told[OI.OUTPUT_MIME] = messages.as_text(plain if len(plain) > 2 else plain["content"])
        told |= messages.openinference_messages(OI.OUTPUT_MESSAGES, [reply])
    return told


def _values(content: Content) -> dict[str, Any]:
    told: dict[str, Any] = {}
    if content.inputs is not None:
        told[OI.INPUT], told[OI.INPUT_MIME] = messages.as_text(content.inputs)
    if content.outputs is not None:
        told[OI.OUTPUT], told[OI.OUTPUT_MIME] = messages.as_text(content.outputs)
    return told

"""Our records as spans of OpenTelemetry: which, when, under what name and with which attributes. Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, cast, get_args

from outlast.errors import UsageError, brief
from outlast.tracing.otel import gen_ai, openinference
from outlast.tracing.otel.conventions import ERROR_TYPE, EXCEPTION_MESSAGE, EXCEPTION_TYPE, GenAI, Own
from outlast.tracing.otel.messages import Value, cut
from outlast.tracing.otel.naming import AGENTS, named, spent
from outlast.tracing.record import Content, LabelRecord, SpanRecord, TraceRecord

Format = Literal["gen_ai", "openinference", "both"]
FORMATS: Final[tuple[str, ...]] = get_args(Format)

JOINED_TRACE, JOINED_SPAN = "otel.trace_id", "otel.span_id"  # attributes of a trace: see `joining`


@dataclass(frozen=True, slots=True)
class Event:
    """Something at a moment of a span; `at` is in nanoseconds since the epoch."""

    name: str
    at: int
    attributes: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class ExportedSpan:
    """One span of OpenTelemetry. Times are nanoseconds since the epoch, ids the numbers that hex digits stand for.

    `calls_out` says that it is a call of a server (kind CLIENT), else it happened inside (INTERNAL). `ok` is None
    where it is not known how it ended; `problem` says what went wrong.
    """

    trace_id: int
    span_id: int
    parent_id: int | None
    name: str
    calls_out: bool
    started: int
    ended: int
    ok: bool | None
    problem: str
    attributes: Mapping[str, Value]
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class Traced:
    """A trace with all that is exported of it."""

    trace: TraceRecord
    spans: Sequence[SpanRecord]
    contents: Mapping[str, Content] = field(default_factory=dict[str, Content])
    labels: tuple[LabelRecord, ...] = ()


_WRITERS: Final[Mapping[str, tuple[Callable[..., dict[str, Value]], ...]]] = {
    "gen_ai": (gen_ai.attributes,),
    "openinference": (openinference.attributes,),
    "both": (gen_ai.attributes, openinference.attributes),
}


def checked_format(format: str) -> Format:
    """The format when it is one. Raises `UsageError`."""
    if format not in FORMATS:
        raise UsageError(f"format= is one of {', '.join(map(repr, FORMATS))}; got {brief(format)}")
    return cast("Format", format)


def exported(traced: Traced, format: Format = "both", *, content: bool = False) -> list[ExportedSpan]:
    """The spans of a trace, parents before children, with the attributes of one convention or of both.

    Without `content` nothing that a person or a model wrote goes out: no messages, inputs, outputs, texts of errors
    or notes of labels. Spans that are still open are left out, and so is what is below them.
    """
    found: list[ExportedSpan] = []
    known: set[str] = set()
    for span in traced.spans:
        if span.seconds is None or (span.parent_id and span.parent_id not in known):
            continue
        known.add(span.id)
        found.append(_exported(traced, span, format, content))
    return found


def _exported(traced: Traced, span: SpanRecord, format: Format, content: bool) -> ExportedSpan:
    trace = traced.trace
    held = traced.contents.get(span.id) if content else None
    attributes = _own(trace, span)
    for write in _WRITERS[format]:
        attributes.update(write(trace, span, held))
    root = not span.parent_id
    labels = [label for label in traced.labels if label.span_id == span.id or (root and not label.span_id)]
    if format != "gen_ai":
        attributes.update(openinference.labelled(labels, content=content))
    started, ended = _nanoseconds(span.started), _nanoseconds(span.started + (span.seconds or 0.0))
    events = [*_failure(span, ended, content)]
    if format != "openinference":
        events += _evaluations(labels, content)
    joined = trace.attributes.get(JOINED_TRACE), trace.attributes.get(JOINED_SPAN)
    above = span.parent_id if not root else joined[1]
    return ExportedSpan(
        trace_id=int(joined[0] or trace.id, 16),
        span_id=int(span.id, 16),
        parent_id=int(above, 16) if above else None,
        name=span_name(trace, span),
        calls_out=span.kind == "lm" and not named(span.lm_asked).in_process,
        started=started,
        ended=max(started, ended),
        ok={"ok": True, "error": False}.get(span.status),
        problem=(cut(span.error) if content else "") or span.error_type,
        attributes=attributes,
        events=tuple(events),
    )


def span_name(trace: TraceRecord, span: SpanRecord) -> str:
    """The name of a span as OpenTelemetry wants it: what is done and what with, of few different values."""
    if span.kind == "lm":
        return f"{GenAI.CHAT} {named(span.lm_asked).model}"
    if span.kind == "tool":
        return f"{GenAI.EXECUTE_TOOL} {span.name}"
    if span.name in AGENTS:
        return f"{GenAI.INVOKE_AGENT} {span.name}"
    if span.kind == "program" and not span.parent_id:
        return f"{GenAI.INVOKE_WORKFLOW} {trace.name or span.name}"
    return span.name or span.kind


def _own(trace: TraceRecord, span: SpanRecord) -> dict[str, Value]:
    told: dict[str, Value | None] = {
        Own.TRACE: trace.id,
        Own.RUN: trace.run_id,
        Own.SPAN_KIND: span.kind,
        Own.PATH: span.path,
        Own.SIGNATURE: span.signature,
        Own.PROGRAM: span.program or trace.program,
        Own.ADAPTER: span.adapter,
        Own.ATTEMPT: span.attempt or None,
        Own.JOINED: span.joined or None,
        Own.CACHE: span.cache,
        Own.FINGERPRINT: span.fingerprint,
        Own.COST: span.cost if spent(span) else None,
        Own.COST_SOURCE: span.cost_source,
        Own.QUEUED: span.queued_seconds or None,
        ERROR_TYPE: span.error_type,
    }
    if not span.parent_id:
        told |= {Own.EXAMPLE: trace.example, Own.TAGS: list(trace.tags) or None}
    return {name: value for name, value in told.items() if value is not None and value != ""}


def _failure(span: SpanRecord, at: int, content: bool) -> list[Event]:
    if not span.error_type:
        return []
    told: dict[str, Value] = {EXCEPTION_TYPE: span.error_type}
    if content and span.error:
        told[EXCEPTION_MESSAGE] = cut(span.error)
    return [Event("exception", at, told)]


def _evaluations(labels: Iterable[LabelRecord], content: bool) -> list[Event]:
    return [
        Event(GenAI.EVALUATION, _nanoseconds(label.created), gen_ai.evaluation(label, content=content))
        for label in labels
    ]


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e6) * 1000  # a float holds microseconds of our time, not more

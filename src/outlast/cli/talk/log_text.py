"""Traces of a store as text that people read, and as JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from outlast.cli.output import SHORT_ID
from outlast.cli.talk.terminal import at_terminal, printable

if TYPE_CHECKING:
    from outlast.messages import Message
    from outlast.tracing.record import Content, SpanRecord, TraceRecord
    from outlast.tracing.saving import WholeTrace

_BOLD, _DIM, _RED, _PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[0m"
_MOST_SYSTEM = 500  # characters of a system message in the overview of a trace


def clean(text: str) -> str:
    """A stored text as it may be printed: harmless at a terminal, as it is elsewhere."""
    return printable(text) if at_terminal() else text


def _styled(text: str, style: str) -> str:
    return f"{style}{text}{_PLAIN}" if at_terminal() and not os.environ.get("NO_COLOR") else text


def one_line(text: str, limit: int) -> str:
    """The text in one line, cut."""
    line = printable(" ".join(text.split()))
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def facts(record: TraceRecord | SpanRecord) -> str:
    """Time, tokens and cost, as far as they are known."""
    told = ["still open" if record.seconds is None else _seconds(record.seconds)]
    if record.input_tokens is not None or record.output_tokens is not None:
        told.append(f"{_count(record.input_tokens)} in, {_count(record.output_tokens)} out")
    if record.cost:
        told.append(f"${record.cost:.6f}".rstrip("0").rstrip("."))
    elif record.cost is not None and record.output_tokens is not None:
        told.append("$0")
    return " · ".join(told)


def _seconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _count(count: int | None) -> str:
    return "?" if count is None else f"{count:,}"


def moment(started: float) -> str:
    """A time in the local zone."""
    return datetime.fromtimestamp(started).strftime("%Y-%m-%d %H:%M:%S")


def short_line(trace: TraceRecord, snippet: str = "", width: int = 100) -> str:
    """A trace in one line: its beginning, time, name, and what went in and came out."""
    named = printable(trace.name or " + ".join(trace.models)) or "?"
    head = f"{printable(trace.id[:SHORT_ID])}  {moment(trace.started)}  {named}"
    state = "" if trace.status == "ok" else f"  {printable(trace.status)}"
    room = max(30, width - len(head) - len(state) - 2)
    said = snippet or (f"{trace.input} → {trace.error or trace.output}" if trace.output or trace.error else trace.input)
    return f"{head}{_styled(state, _RED)}  {one_line(said, room)}"


def reply(kept: WholeTrace) -> str:
    """What came out of a trace."""
    found = outcome(kept)
    return found.text or found.error


class Outcome:
    """What a trace was asked and what came of it, whatever its kind."""

    def __init__(self) -> None:
        self.system = ""
        self.asked = ""
        self.reasoning = ""
        self.text = ""
        self.error = ""
        self.earlier = 0
        self.inputs: Any = None
        self.outputs: Any = None


def outcome(kept: WholeTrace) -> Outcome:
    """What a trace was asked and answered: that of its one exchange, or the inputs and outputs of its program."""
    from outlast.types.media import short_media

    found, trace = Outcome(), kept.trace
    found.error = trace.error
    content = kept.contents.get(kept.spans[0].id) if kept.spans else None
    if content is None:
        found.asked, found.text = trace.input, trace.output
        return found
    if trace.kind != "lm":
        found.inputs, found.outputs = short_media(content.inputs), short_media(content.outputs)
        found.asked = values_text(found.inputs) or trace.input
        found.text = values_text(found.outputs) or trace.output
        return found
    _read_exchange(found, content)
    found.asked = found.asked or trace.input
    found.text = found.text or trace.output
    return found


def _read_exchange(found: Outcome, content: Content) -> None:
    request, response = content.as_request(), content.as_response()
    if request is not None:
        said = [message for message in request.messages if message.role != "system"]
        found.system = "\n\n".join(message.shown for message in request.messages if message.role == "system")
        found.asked = said[-1].shown if said else ""
        found.earlier = max(0, len(said) - 1)
    if response is not None:
        found.reasoning = response.reasoning or ""
        found.text = response.message.shown


def values_text(values: Any, *, named: bool = False) -> str:
    """Values by name as lines; a single one alone, unless it is to be `named` too."""
    if values is None:
        return ""
    if not isinstance(values, Mapping):
        return _value(values)
    found = cast("Mapping[str, Any]", values)
    if len(found) == 1 and not named:
        return _value(next(iter(found.values())))
    return "\n".join(f"{name}: {_value(value)}" for name, value in found.items())


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def head(trace: TraceRecord) -> Iterator[str]:
    """When it was, what it was, and by what ids it is found."""
    yield _styled(f"── {moment(trace.started)} · {clean(_named(trace))} · {facts(trace)}", _BOLD)
    again = trace.attributes.get("replay of")
    ids = f"   {clean(trace.id)}" + (f" · replay of {clean(str(again))}" if again else "")
    ids += f" · session {clean(trace.session)}" if trace.session else ""
    yield _styled(ids + (f" · {clean(' '.join(trace.tags))}" if trace.tags else ""), _DIM)


def overview(kept: WholeTrace) -> Iterator[str]:
    """A trace as lines: where and when, what was asked, what came of it."""
    found, trace = outcome(kept), kept.trace
    yield from head(trace)
    if found.system:
        yield _styled(f"system: {one_line(found.system, _MOST_SYSTEM)}", _DIM)
    if found.earlier:
        yield _styled(f"({found.earlier} earlier messages)", _DIM)
    if found.asked:
        yield "\n".join(f"> {line}" for line in clean(found.asked).splitlines())
    yield ""
    if found.text:
        yield clean(found.text)
    if found.error:
        yield _styled(f"error: {clean(found.error)}", _RED)
    elif not found.text and trace.status not in ("open", "killed"):
        yield _styled("(no reply)", _DIM)
    yield ""


def _named(trace: TraceRecord) -> str:
    models = " + ".join(trace.models)
    return (
        f"{trace.name} · {models}"
        if trace.name and trace.name not in trace.models and models
        else (trace.name or models or trace.kind)
    )


def tree(spans: Sequence[SpanRecord]) -> Iterator[str]:
    """The spans of a trace as a tree, one line each; exchanges and tools are numbered as in `steps`."""
    known = {span.id for span in spans}
    below: dict[str, list[SpanRecord]] = {}
    for span in spans:
        below.setdefault(span.parent_id if span.parent_id in known else "", []).append(span)
    numbers = {span.id: number for number, span in _numbered(spans)}

    def lines(parent: str, indent: str) -> Iterator[str]:
        found = below.get(parent, [])
        for at, span in enumerate(found):
            last = at == len(found) - 1
            top = not parent
            yield f"{indent}{'' if top else '└─ ' if last else '├─ '}{_span_line(span, numbers.get(span.id))}"
            yield from lines(span.id, indent if top else indent + ("   " if last else "│  "))

    yield from lines("", "")


def _span_line(span: SpanRecord, number: int | None) -> str:
    name = span.lm_answered or span.lm_asked or span.name if span.kind == "lm" else span.name
    where = f" {span.path}" if span.path and span.kind != "lm" else ""
    signature = f" ({span.signature})" if span.signature and span.kind != "lm" else ""
    told = [f"[{number}] " if number else "", f"{span.kind} ", name, where, signature, f"  {facts(span)}"]
    if span.cache and span.cache != "miss":
        told.append(f" · cache {span.cache}")
    if span.attempt:
        told.append(f" · try {span.attempt + 1}")
    line = clean(one_line("".join(told), 300))
    told = f"{one_line(span.error_type, 160)}: {one_line(span.error, 160)}"
    wrong = f"  {told}" if span.error or span.error_type else ""
    return line + _styled(wrong, _RED)


def _numbered(spans: Sequence[SpanRecord]) -> Iterator[tuple[int, SpanRecord]]:
    """Exchanges with models and calls of tools, in order."""
    return enumerate((span for span in spans if span.kind in ("lm", "tool")), 1)


def steps(kept: WholeTrace) -> Iterator[str]:
    """What was sent and answered in every exchange, and what tools were given and gave, as lines.

    Messages that an exchange before has sent already, in the same order, stand there only.
    """
    sent: list[tuple[int, tuple[Message, ...]]] = []
    for number, span in _numbered(kept.spans):
        if kept.trace.kind != "lm":
            yield ""
            yield _styled(f"[{number}] {clean(span.lm_asked or span.name)} · {facts(span)}", _BOLD)
        content = kept.contents.get(span.id)
        if content is None:
            lines: list[tuple[str, str]] = []
        else:
            lines = _tool(content) if span.kind == "tool" else _exchange(content, number, sent)
        for role, text in lines:
            yield _styled(f"[{clean(role)}]" if role else f"({text})", _DIM)
            if role:
                yield clean(text)
        if not lines:
            yield _styled("(what was said was not kept)", _DIM)
        if span.error and not (span.kind == "tool" and lines[1:]):  # which tells it itself
            yield _styled(f"error: {clean(span.error)}", _RED)


def _tool(content: Content) -> list[tuple[str, str]]:
    from outlast.types.media import short_media

    given = [("given", values_text(short_media(content.inputs), named=True))]
    return given if content.outputs is None else [*given, ("gave", values_text(short_media(content.outputs)))]


def _exchange(content: Content, number: int, sent: list[tuple[int, tuple[Message, ...]]]) -> list[tuple[str, str]]:
    request, response = content.as_request(), content.as_response()
    said: list[tuple[str, str]] = []
    if request is not None:
        messages = request.messages
        same = [(len(them), one) for one, them in sent if len(them) > 1 and messages[: len(them)] == them]
        known, before = max(same, default=(0, 0))
        if known:
            said.append(("", f"the {known} messages of [{before}], and then"))
        said += [(message.role, message.shown) for message in messages[known:]]
        sent.append((number, messages))
    if response is not None and response.reasoning:
        said.append(("reasoning", response.reasoning))
    return said if response is None else [*said, ("reply", response.message.shown)]


def as_data(record: Any) -> dict[str, Any]:
    """A record as JSON-ready data, without what is empty."""
    found = {f.name: getattr(record, f.name) for f in fields(record)}
    return {name: value for name, value in found.items() if value not in (None, "", (), {}, [])}


def trace_data(kept: WholeTrace) -> dict[str, Any]:
    """A trace for one line of JSON: what is known of it, what was asked and what came of it as text, of a program its
    inputs and outputs, and the fingerprints of the models that told one."""
    found = outcome(kept)
    told: dict[str, Any] = {
        "system": found.system,
        "prompt": found.asked,
        "reasoning": found.reasoning,
        "reply": found.text,
    }
    told |= {"inputs": found.inputs, "outputs": found.outputs}
    told["fingerprints"] = list(dict.fromkeys(span.fingerprint for span in kept.spans if span.fingerprint)) or None
    return {**as_data(kept.trace), **{name: value for name, value in told.items() if value not in (None, "")}}


def whole_data(kept: WholeTrace) -> dict[str, Any]:
    """A trace with its spans and what went through each, as JSON-ready data."""
    from outlast.types.media import short_media

    spans: list[dict[str, Any]] = []
    for span in kept.spans:
        content = kept.contents.get(span.id)
        spans.append({**as_data(span), **({} if content is None else short_media(asdict(content)))})
    return {**as_data(kept.trace), "spans": spans}

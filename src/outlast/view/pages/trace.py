"""One trace: its tree beside a waterfall, and every step with what went in and came out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup
from starlette.responses import RedirectResponse
from starlette.routing import Route

from outlast.tracing.record import Content, LabelRecord, SpanRecord, TraceRecord
from outlast.tracing.verdicts import DEFAULT
from outlast.view.conversation import Conversation, Reader
from outlast.view.live import live_version, unchanged, version_of
from outlast.view.rendering import render, site_of
from outlast.view.reviewing import Task, author_of, places_of
from outlast.view.step_labels import Asked, steps_of_labels
from outlast.view.values import raw, shown

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

AT_ONCE = 40  # steps whose content stands in the page from the beginning
MOST = 2_000  # steps that are shown of one trace
MOST_PLACES = 3  # queues in which it can be reviewed
_NOTHING = Content()


@dataclass(frozen=True, slots=True)
class Step:
    """A span at its place in the tree. `left` and `width` are in per cent of the time of the whole trace."""

    span: SpanRecord
    depth: int
    left: float
    width: float
    first_token: float | None
    children: int


@dataclass(frozen=True, slots=True)
class Shown:
    """What a step holds, ready for the page; a same_... is the name of the step that had the same already."""

    step: Step
    inputs: Markup | None = None
    outputs: Markup | None = None
    same_inputs: str = ""
    same_outputs: str = ""
    conversation: Conversation | None = None
    notes: Markup | None = None
    raw: Markup | None = None
    later: bool = False


def trace(request: Request) -> Response:
    """The page of a trace; an id may be the beginning of one."""
    site = site_of(request)
    found: TraceRecord = site.store.trace(request.path_params["id"])
    spans: list[SpanRecord] = site.store.spans(found.id)
    version = version_of(found.status, [(span.id, span.status) for span in spans])
    if (same := unchanged(request, version)) is not None:
        return same
    steps = steps_of(found, spans[:MOST])
    contents: Mapping[str, Content] = site.store.contents(found.id)
    at_once = MOST if site.exported else AT_ONCE
    labels: list[LabelRecord] = site.store.labels(trace_id=found.id)
    places = [] if site.exported else places_of(site.store, found.id)
    name = Task.of(places[0][0]).label if places else DEFAULT
    asked = None if site.exported or site.read_only else Asked(name)
    return render(
        request,
        "trace.html",
        media=len(steps) > at_once,
        title=found.name or found.kind,
        trace=found,
        steps=steps,
        shown=shown_steps(steps, contents, at_once=at_once, raw_too=site.exported),
        left_out=max(0, len(spans) - MOST),
        labels=[one for one in labels if not one.span_id],
        spoken=steps_of_labels(labels, author_of(request), asked),
        places=places[:MOST_PLACES],
        ticks=_ticks(_length(found, spans)),
        live=live_version(request, found.status == "open", version),
    )


def step(request: Request) -> Response:
    """The content of one step, for a page that has only its head so far; as a page of its own it is the whole trace."""
    store = site_of(request).store
    found: TraceRecord = store.trace(request.path_params["id"])
    if request.headers.get("hx-request") != "true":
        return RedirectResponse(f"/traces/{found.id}#s-{request.path_params['span']}", 303)
    steps = steps_of(found, store.spans(found.id)[:MOST])
    wanted = request.path_params["span"]
    # All contents are read: how a step is folded depends on those before it.
    chosen = shown_steps(steps, store.contents(found.id), at_once=MOST, only=wanted)
    return render(request, "step.html", trace=found, shown=chosen)


def raw_step(request: Request) -> Response:
    """Everything that is kept of one step, as JSON."""
    store = site_of(request).store
    span: SpanRecord = store.span(request.path_params["span"])
    return render(request, "raw.html", title="JSON", span=span, raw=raw(_everything(span, store.content(span))))


def steps_of(trace: TraceRecord, spans: Sequence[SpanRecord]) -> list[Step]:
    """The spans as a tree, parents first, each with its place in time. A span whose parent is missing is a root."""
    known = {span.id for span in spans}
    below: dict[str, list[SpanRecord]] = {}
    for span in spans:
        parent = span.parent_id if span.parent_id in known and span.parent_id != span.id else ""
        below.setdefault(parent, []).append(span)
    start = min((span.started for span in spans), default=trace.started)
    length = _length(trace, spans)
    found: list[Step] = []
    waiting = [(span, 0) for span in reversed(below.get("", []))]
    while waiting:
        span, depth = waiting.pop()
        inside = below.get(span.id, [])
        found.append(_step(span, depth, start, length, len(inside)))
        waiting += [(child, depth + 1) for child in reversed(inside)]
    return found


def _length(trace: TraceRecord, spans: Sequence[SpanRecord]) -> float:
    start = min((span.started for span in spans), default=trace.started)
    ends = [span.started + (span.seconds or 0.0) - start for span in spans]
    return max([trace.seconds or 0.0, *ends, 1e-9])


def _step(span: SpanRecord, depth: int, start: float, length: float, children: int) -> Step:
    left = 100 * min(1.0, max(0.0, (span.started - start) / length))
    width = 100 * max(0.0, (span.seconds if span.seconds is not None else length) / length)
    first = span.first_token_seconds
    return Step(
        span,
        depth,
        round(left, 2),
        round(max(0.3, min(width, 100 - left)), 2),
        None if first is None else round(min(100.0, left + 100 * first / length), 2),
        children,
    )


def shown_steps(
    steps: Sequence[Step],
    contents: Mapping[str, Content],
    *,
    at_once: int,
    raw_too: bool = False,
    only: str | None = None,
) -> list[Shown]:
    """Every step with its content; beyond `at_once` only its head. `only` gives the one step with that id."""
    reader = Reader.of(contents.values())
    by_id = {one.span.id: one.span for one in steps}
    found: list[Shown] = []
    for number, one in enumerate(steps):
        content = contents.get(one.span.id, _NOTHING)
        if only is not None and one.span.id != only:
            if one.span.kind == "lm":
                reader.skip(content)
        elif number >= at_once:
            found.append(Shown(one, later=True))
        else:
            parent = by_id.get(one.span.parent_id)
            above = _NOTHING if parent is None else contents.get(parent.id, _NOTHING)
            name = "" if parent is None else parent.name or parent.kind
            kept = raw(_everything(one.span, content)) if raw_too else None
            found.append(_shown(one, content, above, name, reader, kept))
    return found


def _shown(one: Step, content: Content, above: Content, name: str, reader: Reader, kept: Markup | None) -> Shown:
    notes = shown(list(one.span.notes)) if one.span.notes else None
    if one.span.kind == "lm":
        return Shown(one, conversation=reader.read(content), notes=notes, raw=kept)
    inputs, same_inputs = _beside(content.inputs, above.inputs, name)
    outputs, same_outputs = _beside(content.outputs, above.outputs, name)
    return Shown(one, inputs, outputs, same_inputs, same_outputs, None, notes, kept)


def _beside(value: Any, above: Any, name: str) -> tuple[Markup | None, str]:
    """A value as markup, or the name of the step above when that had the same."""
    if value is None:
        return None, ""
    if name and above is not None and _key(value) == _key(above):
        return None, name
    return shown(value, above, name), ""


def _key(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _everything(span: SpanRecord, content: Content) -> dict[str, Any]:
    kept = {name: value for name, value in asdict(content).items() if value is not None}
    return {**{name: value for name, value in asdict(span).items() if value not in (None, "", (), {})}, "content": kept}


def _ticks(seconds: float) -> list[tuple[float, float]]:
    """Times for the axis of the waterfall, each with its place in per cent: 3 to 6 round numbers."""
    step = 10.0 ** (len(f"{seconds:.0f}") - 1 if seconds >= 1 else -6)
    while seconds / step > 5:
        step *= 2 if f"{step:e}"[0] != "2" else 2.5
    while seconds / step < 2.5:
        step /= 2
    return [
        (round(at * step, 9), round(100 * at * step / seconds, 2)) for at in range(1, int(seconds / step * 0.96) + 1)
    ]


ROUTES = [
    Route("/traces/{id}", trace),
    Route("/traces/{id}/steps/{span}", step),
    Route("/traces/{id}/steps/{span}/raw", raw_step),
]

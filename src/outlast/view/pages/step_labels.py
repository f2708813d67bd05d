"""Labelling one step of a trace: a form in its place on the page, or a page of its own where nothing runs scripts."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from outlast.errors import DataError
from outlast.tracing.record import SpanRecord, TraceRecord
from outlast.view import reviewing, step_labels
from outlast.view.forms import Form, on_form
from outlast.view.rendering import is_part, render, site_of
from outlast.view.step_labels import Asked, Steps

if TYPE_CHECKING:
    from starlette.requests import Request

    from outlast.tracing.store import Store


def said(request: Request) -> Response:
    """What is said of a step; with `edit` in the address the form in its place."""
    store = site_of(request).store
    trace, span = _step(request, store)
    asked = _asked(request, store, trace)
    if not is_part(request) and not request.query_params.get("edit"):
        return RedirectResponse(_home(trace, span, asked), 303)
    return _shown(request, trace, span, asked, editing=bool(request.query_params.get("edit")))


def say(request: Request, form: Form) -> Response:
    """Keep a verdict, a note and tags of a step. An empty value leaves the verdict as it was."""
    store = site_of(request).store
    trace, span = _step(request, store)
    asked, author = _asked(request, store, trace), reviewing.author_of(request)
    value = form.get("value")
    if value not in ("", *reviewing.VALUES):
        raise DataError(f"a step is judged {', '.join(reviewing.VALUES)}; got {value!r}")
    step_labels.keep(
        store,
        trace.id,
        span.id,
        author,
        asked,
        value=value,
        note=form.get("note", reviewing.LONGEST_NOTE).replace("\r\n", "\n"),
        tags=reviewing.tags_of(form.all("tag"), form.get("new_tags")),
        seconds=reviewing.spent(form.number("opened"), form.number("seconds")),
    )
    if request.headers.get("x-autosave"):
        return Response(status_code=204)
    return _answer(request, trace, span, asked)


def unsay(request: Request, form: Form) -> Response:
    """Take back what somebody said last of a step; what they said before counts again."""
    store = site_of(request).store
    trace, span = _step(request, store)
    asked = _asked(request, store, trace)
    label = step_labels.mine(store, trace.id, span.id, reviewing.author_of(request), asked.label)
    if label is not None:
        store.undo_label(label.id)
    return _answer(request, trace, span, asked)


def _answer(request: Request, trace: TraceRecord, span: SpanRecord, asked: Asked) -> Response:
    if not is_part(request):
        return RedirectResponse(_home(trace, span, asked), 303)
    return _shown(request, trace, span, asked, changed=True)


def _shown(
    request: Request,
    trace: TraceRecord,
    span: SpanRecord,
    asked: Asked,
    *,
    editing: bool = False,
    changed: bool = False,
) -> Response:
    store = site_of(request).store
    author = reviewing.author_of(request)
    steps = _steps(store, trace, author, asked)
    label = steps.mine(span.id)
    values: dict[str, Any] = {
        "trace": trace,
        "span": span,
        "steps": steps,
        "editing": editing,
        "changed": changed,
        "label": label,
        "tags": list(dict.fromkeys([*(label.tags if label else ()), *reviewing.known_tags(store, asked.label)])),
        "opened": f"{time.time():.1f}",
    }
    if is_part(request):
        return render(request, "step_label.html", **values)
    return render(request, "step_label_page.html", title="Label a step", back=_home(trace, span, asked), **values)


def _steps(store: Store, trace: TraceRecord, author: str, asked: Asked) -> Steps:
    """Somebody who labels in a queue sees what others say only after their own verdict on the trace."""
    blind = asked.task is not None and not reviewing.is_labelled(
        reviewing.mine(store, asked.task, author).get(trace.id), asked.task
    )
    return step_labels.steps_of_labels(store.labels(trace_id=trace.id), author, asked, blind=blind)


def _step(request: Request, store: Store) -> tuple[TraceRecord, SpanRecord]:
    trace, span = store.trace(request.path_params["id"]), store.span(request.path_params["span"])
    if span.trace_id != trace.id:
        raise DataError(f"the trace {trace.id[:12]!r} has no step {span.id!r}")
    return trace, span


def _asked(request: Request, store: Store, trace: TraceRecord) -> Asked:
    return step_labels.asked_of(store, trace.id, request.query_params.get("queue", "")[:40])


def _home(trace: TraceRecord, span: SpanRecord, asked: Asked) -> str:
    """The page that the step stands on."""
    page = f"/traces/{trace.id}" if asked.task is None else f"/review/{asked.task.queue.id}/{asked.number}"
    return f"{page}#s-{span.id}"


ROUTES = [
    Route("/traces/{id}/steps/{span}/label", said),
    Route("/traces/{id}/steps/{span}/say", on_form(say), methods=["POST"]),
    Route("/traces/{id}/steps/{span}/unsay", on_form(unsay), methods=["POST"]),
]

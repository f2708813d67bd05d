"""Labelling: one trace a screen, pass, fail or defer, a note and tags; what others said is shown only afterwards."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from markupsafe import Markup
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from outlast.errors import DataError
from outlast.tracing.judged import verdict_on
from outlast.tracing.record import Content, LabelRecord, SpanRecord, TraceRecord
from outlast.tracing.verdicts import JUDGES, PEOPLE, verdict_of
from outlast.view import corrections, reviewing, step_labels
from outlast.view.beside import Other, Row, others_of, previews, row_of
from outlast.view.corrections import Output
from outlast.view.forms import Form, on_form
from outlast.view.pages.programs import Change, changes_between
from outlast.view.pages.trace import AT_ONCE, MOST, Shown, shown_steps, steps_of
from outlast.view.rendering import render, site_of
from outlast.view.reviewing import Task
from outlast.view.step_labels import Asked
from outlast.view.values import shown

if TYPE_CHECKING:
    from starlette.requests import Request

    from outlast.tracing.store import Store

SAID = {"saved": "Saved.", "undone": "Taken back.", "nothing": "There is nothing of yours to take back."}
_KEEP = "keep"
TELLING = frozenset({"disagreement", "failures", "uncertain"})  # queues whose reasons say what others said


@dataclass(frozen=True, slots=True)
class Look:
    """One trace, ready to be judged; `error` says why there is nothing to look at."""

    trace: TraceRecord | None = None
    top: Shown | None = None
    steps: Sequence[Shown] = ()
    exchanges: int = 0
    left_out: int = 0
    row: Row | None = None
    expected: Markup | None = None
    others: Sequence[tuple[Other, Sequence[Change]]] = ()
    error: str = ""


def start(request: Request) -> Response:
    """A queue goes on where somebody left it."""
    store = site_of(request).store
    task = _task(request)
    number = reviewing.first_open(store, task, reviewing.author_of(request))
    return RedirectResponse(f"/review/{task.queue.id}/{number or 'done'}", 303)


@dataclass(frozen=True, slots=True)
class Typed:
    """What somebody wrote that could not be kept: it stands in the form again."""

    note: str
    tags: Sequence[str]
    outputs: Sequence[Output]


def item(request: Request) -> Response:
    """The trace at one place of a queue."""
    task = _task(request)
    return _item(request, task, _number(request, task))


def _item(request: Request, task: Task, number: int, typed: Typed | None = None) -> Response:
    store = site_of(request).store
    author, trace_id = reviewing.author_of(request), task.ids[number - 1]
    label = reviewing.mine(store, task, author).get(trace_id)
    told = reviewing.is_labelled(label, task)
    look = look_at(store, trace_id)
    failed = look.trace is not None and look.trace.status == "error"  # then the reason is its error, which is seen
    ticked = typed.tags if typed else label.tags if label else ()
    return render(
        request,
        "review.html",
        status=200 if typed is None else 422,
        media=len(look.steps) > AT_ONCE,
        title=f"{number} of {len(task.ids)}",
        task=task,
        number=number,
        total=len(task.ids),
        author=author,
        standing=reviewing.standing(store, task, author),
        label=label,
        stale=label is not None and label.value in reviewing.VALUES and not task.is_current(label),
        told=told,
        said=_said_by_others(store, task, trace_id, author) if told else [],
        look=look,
        spoken=step_labels.steps_of_labels(
            [] if look.trace is None else store.labels(trace_id=look.trace.id),
            author,
            None if site_of(request).read_only else Asked(task.label, task, number),
            blind=not told,
        ),
        outputs=typed.outputs if typed else corrections.outputs_of(store, task, trace_id, author),
        note=typed.note if typed else label.note if label else "",
        ticked=ticked,
        tags=list(dict.fromkeys([*ticked, *reviewing.known_tags(store, task.label)])),
        refused=typed is not None,
        reason=task.reasons.get(trace_id, "") if told or not _is_telling(task) or failed else "",
        before=_before(request, store, task, author),
        flash=SAID.get(request.query_params.get("said", ""), ""),
        opened=f"{time.time():.1f}",
    )


def look_at(store: Store, trace_id: str) -> Look:
    """Everything of a trace that a person judges by."""
    try:
        trace = store.trace(trace_id)
    except DataError:
        return Look(error="This trace is no longer in the store.")
    spans: list[SpanRecord] = store.spans(trace.id)
    steps = steps_of(trace, spans[:MOST])
    contents: Mapping[str, Content] = store.contents(trace.id)
    ready = shown_steps(steps, contents, at_once=AT_ONCE)
    row = row_of(store, trace)
    outputs = contents[steps[0].span.id].outputs if steps else None
    return Look(
        trace,
        ready[0] if ready else None,
        ready[1:],
        sum(span.kind == "lm" for span in spans),
        max(0, len(spans) - MOST),
        row,
        None if row is None or row.targets in (None, {}) else shown(row.targets),
        [(other, _differences(other.row.outputs, outputs)) for other in others_of(store, trace)],
    )


def _differences(theirs: Any, this: Any) -> Sequence[Change]:
    return changes_between(_named(theirs), _named(this))


def _named(outputs: Any) -> Mapping[str, Any]:
    if isinstance(outputs, Mapping):
        return {str(name): value for name, value in cast("Mapping[Any, Any]", outputs).items()}
    return {} if outputs is None else {"output": outputs}


def _said_by_others(store: Store, task: Task, trace_id: str, author: str) -> list[tuple[LabelRecord, str | None]]:
    """What judges and other people say of a trace, with the verdict that each means."""
    found = [
        one
        for one in store.labels(trace_id=trace_id)
        if not one.span_id
        and (one.source in JUDGES or (one.source in PEOPLE and one.name == task.label and one.author != author))
    ]
    scored = _scored(store, trace_id)
    return [(one, verdict_of(one.value)) for one in (*scored, *found) if one.value is not None]


def _scored(store: Store, trace_id: str) -> list[LabelRecord]:
    """What the judge that scored the evaluation says of a row of it."""
    try:
        trace = store.trace(trace_id)
        run = store.run(trace.run_id) if trace.example and trace.run_id else None
    except DataError:
        return []
    label = None if run is None else verdict_on(store, run, trace.id)
    return [] if label is None else [label]


def _is_telling(task: Task) -> bool:
    """Whether the reasons of a queue say what judges, metrics or other people said."""
    return task.queue.strategy in TELLING


def _before(request: Request, store: Store, task: Task, author: str) -> Mapping[str, Any] | None:
    """What was said of the trace that somebody comes from, and what judges say of it: now it may be told."""
    text = request.query_params.get("from", "")[:40]
    if not text.isdecimal() or not 1 <= int(text) <= len(task.ids):
        return None
    trace_id = task.ids[int(text) - 1]
    label = reviewing.mine(store, task, author).get(trace_id)
    if label is None or label.value not in reviewing.VALUES:
        return None
    judges = []
    if reviewing.is_labelled(label, task):
        judges = [(one, word) for one, word in _said_by_others(store, task, trace_id, author) if one.source in JUDGES]
    return {"number": int(text), "value": label.value, "judges": judges}


def _number(request: Request, task: Task) -> int:
    number: int = request.path_params["number"]
    if not 1 <= number <= len(task.ids):
        raise DataError(f"the queue {task.queue.name!r} has places 1 to {len(task.ids)}; got {number}")
    return number


def _task(request: Request) -> Task:
    return Task.of(site_of(request).store.queue(request.path_params["queue"]))


def done(request: Request) -> Response:
    """What somebody said in a queue, and what is left."""
    store, task, author = site_of(request).store, _task(request), reviewing.author_of(request)
    found = reviewing.mine(store, task, author)
    rows = [(number, id, found.get(id)) for number, id in enumerate(task.ids, 1)]
    return render(
        request,
        "review_done.html",
        title=task.queue.name,
        task=task,
        author=author,
        standing=reviewing.standing(store, task, author),
        rows=rows,
        current=task.is_current,
        reasons={
            id: why
            for id, why in task.reasons.items()
            if why and (not _is_telling(task) or reviewing.is_labelled(found.get(id), task))
        },
        inputs=previews(store, task.ids),
        before=_before(request, store, task, author),
    )


def jump(request: Request) -> Response:
    """To a place of the queue by its number, or by the beginning or the end of a trace's id."""
    task, wanted = _task(request), request.query_params.get("to", "").strip(" …").lower()[:40]
    if wanted.isdecimal() and 1 <= int(wanted) <= len(task.ids):
        return RedirectResponse(f"/review/{task.queue.id}/{int(wanted)}", 303)
    found = [
        number for number, id in enumerate(task.ids, 1) if wanted and (id.startswith(wanted) or id.endswith(wanted))
    ]
    if len(found) != 1:
        how = "no trace" if not found else "several traces"
        raise DataError(
            f"{how} of this queue at {wanted!r}: give a number from 1 to {len(task.ids)}, or more of the id"
        )
    return RedirectResponse(f"/review/{task.queue.id}/{found[0]}", 303)


# What changes something


def say(request: Request, form: Form) -> Response:
    """Keep what somebody says of a trace, and what it should have been. With `keep` for a value the verdict stays as
    it was: a note is saved. Where an output cannot be read nothing is kept, and the page says why, with all that was
    written."""
    store, task = site_of(request).store, _task(request)
    number = _number(request, task)
    author, trace_id, value = reviewing.author_of(request), task.ids[number - 1], form.get("value") or _KEEP
    if value not in (*reviewing.VALUES, _KEEP):
        raise DataError(f"a trace is judged {', '.join(reviewing.VALUES)}; got {value!r}")
    autosave = bool(request.headers.get("x-autosave"))
    note = form.get("note", reviewing.LONGEST_NOTE).replace("\r\n", "\n")
    tags = reviewing.tags_of(form.all("tag"), form.get("new_tags"))
    if not autosave:  # half a word is no right answer
        outputs, changes = corrections.read(form, corrections.outputs_of(store, task, trace_id, author))
        if any(one.wrong for one in outputs):
            return _item(request, task, number, Typed(note, tags, outputs))
        corrections.keep(store, changes, trace_id, author)
    before = reviewing.mine(store, task, author).get(trace_id)
    kept = before is not None and value == _KEEP
    same = before is not None and (before.note, set(before.tags)) == (note, set(tags))
    if value != _KEEP or not (same or (before is None and not note and not tags)):
        store.add_label(
            trace_id,
            (before.value if before is not None else None) if value == _KEEP else value,
            name=task.label,
            note=note,
            tags=tags,
            author=author,
            rubric=task.label if task.criterion else "",
            rubric_version=before.rubric_version if kept and before is not None else task.version,
            seconds_spent=reviewing.spent(form.number("opened"), form.number("seconds")),
        )
    if autosave:
        return Response(status_code=204)
    if value == _KEEP:
        return RedirectResponse(f"/review/{task.queue.id}/{number}?said=saved", 303)
    following = number + 1 if number < len(task.ids) else "done"
    return RedirectResponse(f"/review/{task.queue.id}/{following}?from={number}", 303)


def again(request: Request) -> Response:
    """Whoever opens the address of a form that was refused is led to its page."""
    return RedirectResponse(f"/review/{request.path_params['queue']}/{request.path_params['number']}", 303)


def undo(request: Request, form: Form) -> Response:
    """Take back what somebody said last in this queue, and go there."""
    store, task = site_of(request).store, _task(request)
    last = reviewing.last_act(store, task, reviewing.author_of(request))
    if last is None:
        number = form.number("number") or 1
        return RedirectResponse(f"/review/{task.queue.id}/{int(max(1, min(number, len(task.ids))))}?said=nothing", 303)
    store.undo_label(last.id)
    anchor = f"#s-{last.span_id}" if last.span_id else ""
    return RedirectResponse(f"/review/{task.queue.id}/{task.ids.index(last.trace_id) + 1}?said=undone{anchor}", 303)


ROUTES = [
    Route("/review/{queue}", start),
    Route("/review/{queue}/done", done),
    Route("/review/{queue}/jump", jump),
    Route("/review/{queue}/undo", on_form(undo), methods=["POST"]),
    Route("/review/{queue}/{number:number}", item),
    Route("/review/{queue}/{number:number}/say", on_form(say), methods=["POST"]),
    Route("/review/{queue}/{number:number}/say", again),
]

"""Queues: what there is to look at, how far each is, and how a new one is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.responses import RedirectResponse
from starlette.routing import Route

from outlast.errors import UsageError
from outlast.tracing.queues import KEYS, STRATEGIES, count_fitting, everyday, make_queue
from outlast.tracing.record import QueueRecord
from outlast.tracing.verdicts import DEFAULT
from outlast.view import reviewing
from outlast.view.forms import Form, on_form
from outlast.view.pages.traces import FILTERS, filter_of
from outlast.view.rendering import query_of, render, site_of
from outlast.view.reviewing import Standing, Task

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from outlast.tracing.store import Store

MOST = 500  # traces of one queue that is made here
SHOWN = 60
_FIELDS = (*FILTERS, "text")


@dataclass(frozen=True, slots=True)
class Line:
    """A queue in the list: how far the one who looks is, and who else labelled in it."""

    task: Task
    standing: Standing
    others: tuple[str, ...]


def queues(request: Request) -> Response:
    """The list, newest first, and the form for a new one; filters in the address fill the form."""
    store, author = site_of(request).store, reviewing.author_of(request)
    query = query_of(request, *_FIELDS)
    where = everyday(filter_of(query), bool(request.query_params.get("evaluated")))
    return render(
        request,
        "queues.html",
        title="Review",
        lines=_lines(store, author),
        author=author,
        query=query,
        fitting=count_fitting(store, where),
        evaluated=bool(request.query_params.get("evaluated")),
        facets=store.facets(),
        strategies=STRATEGIES,
        keys=KEYS,
        most=MOST,
        labels=list(dict.fromkeys([DEFAULT, *reviewing.label_names(store)])),
    )


def _lines(store: Store, author: str) -> list[Line]:
    found: Sequence[QueueRecord] = store.queues()
    replaced = {str(one.about.get("follows")) for one in found}
    lines: list[Line] = []
    for queue in [one for one in found if one.id not in replaced][:SHOWN]:
        task = Task.of(queue)
        labels = store.labels(queue.trace_ids, task.label, source="human")
        others = tuple(sorted({one.author for one in labels} - {author}))
        lines.append(Line(task, reviewing.standing(store, task, author), others))
    return lines


def make(request: Request, form: Form) -> Response:
    """Make a queue and open it."""
    store = site_of(request).store
    n = form.number("n") or 50
    if not 1 <= n <= MOST:
        raise UsageError(f"a queue has 1 to {MOST} traces; got {n:g}")
    strategy = form.get("strategy") or "random"
    where = filter_of({name: text for name in _FIELDS if (text := form.get(name))})
    queue = make_queue(
        store,
        form.get("called", 80),
        strategy,
        int(n),
        where=where,
        evaluated=form.get("evaluated") == "yes",
        by=form.get("by") or "name",
        seed=int(form.number("seed") or 0),
        about=_asked(form, reviewing.author_of(request)),
    )
    return RedirectResponse(f"/review/{queue.id}", 303)


def one(request: Request, form: Form) -> Response:
    """Review one trace: in a queue that has it, else in one of its own."""
    store = site_of(request).store
    trace = store.trace(form.get("id", 40))
    if places := reviewing.places_of(store, trace.id):
        queue, number = places[0]
        return RedirectResponse(f"/review/{queue.id}/{number}", 303)
    about = {"label": DEFAULT, "made_by": reviewing.author_of(request)}
    made = store.add_queue(f"one {trace.name or trace.kind}"[:80], "picked", [trace.id], about)
    return RedirectResponse(f"/review/{made.id}/1", 303)


def _asked(form: Form, author: str) -> Mapping[str, Any]:
    label, criterion = " ".join(form.get("label", 60).split()), form.get("criterion", 4_000).replace("\r\n", "\n")
    told = {"label": label or DEFAULT, "criterion": criterion, "made_by": author}
    return {name: value for name, value in told.items() if value}


def criterion(request: Request, form: Form) -> Response:
    """The same traces under other words: a queue that follows this one. Labels that were given before are stale."""
    store = site_of(request).store
    before: QueueRecord = store.queue(request.path_params["queue"])
    words = form.get("criterion", 4_000).replace("\r\n", "\n")
    if words == str(before.about.get("criterion") or ""):
        return RedirectResponse(f"/review/{before.id}", 303)
    about = {**before.about, "criterion": words, "follows": before.id}
    after = store.add_queue(before.name, before.strategy, before.trace_ids, about)
    return RedirectResponse(f"/review/{after.id}/1", 303)


def name(request: Request, form: Form) -> Response:
    """Say who labels."""
    told = " ".join(form.get("author", reviewing.LONGEST_NAME).split())
    if not told:
        raise UsageError("a label needs somebody who gave it: write a name")
    answer = RedirectResponse(_own(form.get("back")), 303)
    answer.set_cookie(**reviewing.author_cookie(told))
    return answer


def _own(path: str) -> str:
    """A path of the review pages, whatever was sent."""
    parts = path.strip("/").split("/")
    plain = all(part.isalnum() for part in parts)
    return "/" + "/".join(parts) if plain and parts[0] == "review" and path.startswith("/") else "/review"


ROUTES = [
    Route("/review", queues),
    Route("/review/make", on_form(make), methods=["POST"]),
    Route("/review/trace", on_form(one), methods=["POST"]),
    Route("/review/me", on_form(name), methods=["POST"]),
    Route("/review/{queue}/criterion", on_form(criterion), methods=["POST"]),
]

"""One run: its score and what it cost, its errors by what they say, and its rows, a page at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from starlette.routing import Route

from outlast.errors import DataError, UsageError
from outlast.tracing.judged import judge_of
from outlast.tracing.record import ResultRecord, RunRecord, TraceFilter
from outlast.view.evaluations import figures_with_totals, group_key, groups_of
from outlast.view.live import live_version, unchanged, version_of
from outlast.view.opinions import key_of_judge
from outlast.view.pages.judges import address_of
from outlast.view.rendering import query_of, render, site_of
from outlast.view.values import raw, shown
from outlast.view.wording import run_title

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from outlast.tracing.store import Store

PAGE = 100
MOST_ERRORS = 2_000  # that are grouped
ORDERS = {"index": "as they ran", "score": "worst first", "seconds": "slowest first", "cost": "dearest first"}
STATES = ("pass", "fail", "error", "unscored")


def run(request: Request) -> Response:
    """The page of a run. `state`, `error` (a group), `order` and `page` stand in the address."""
    store = site_of(request).store
    found: RunRecord = store.run(request.path_params["id"])
    counts: dict[str, int] = store.count_results(found.id)
    figures = figures_with_totals(store, [found])[0][1]
    children: Sequence[RunRecord] = [one for one in store.runs(limit=200) if one.parent_id == found.id]
    version = version_of(found.status, counts, figures, [(one.id, one.status) for one in children])
    if (same := unchanged(request, version)) is not None:
        return same
    query = query_of(request, "state", "error", "order", "page")
    page = _page(query.get("page", "1"))
    errors: Sequence[ResultRecord] = (
        store.results(found.id, state="error", limit=MOST_ERRORS) if counts.get("error") else []
    )
    rows, total = _rows(store, found, query, errors, counts, page)
    return render(
        request,
        "run.html",
        title=run_title(found),
        run=found,
        figures=figures,
        judge=None if site_of(request).exported else _judge(found),
        counts=counts,
        everything=sum(counts.values()),
        groups=groups_of(errors),
        rows=rows,
        total=total,
        page=page,
        pages=max(1, -(-total // PAGE)),
        orders=ORDERS,
        states=STATES,
        others=[one for one in store.runs(kind="eval", limit=60) if one.id != found.id and one.metric == found.metric]
        if counts
        else [],
        traces=[] if counts else store.traces(TraceFilter(run=found.id), limit=PAGE),
        children=children,
        live=live_version(request, found.status == "open", version),
        provenance=shown(dict(found.provenance)) if found.provenance else None,
        summary=raw({"summary": dict(found.summary), "attributes": dict(found.attributes)}),
    )


def _judge(run: RunRecord) -> str | None:
    """Where the judge that scored a run is held against people; None where none did."""
    who = judge_of(run)
    return None if who is None else address_of(key_of_judge(*who))


def _rows(
    store: Store,
    run: RunRecord,
    query: dict[str, str],
    errors: Sequence[ResultRecord],
    counts: dict[str, int],
    page: int,
) -> tuple[Sequence[ResultRecord], int]:
    """The rows of one page, and how many there are on all."""
    start = (page - 1) * PAGE
    if "error" in query:
        same = [one for one in errors if group_key(one.error) == group_key(query["error"])]
        return same[start : start + PAGE], len(same)
    state, order = query.get("state"), query.get("order", "index")
    if state is not None and state not in STATES:
        raise UsageError(f"state is one of {', '.join(STATES)}; got {state!r}")
    if order not in ORDERS:
        raise UsageError(f"order is one of {', '.join(ORDERS)}; got {order!r}")
    total = counts.get(state, 0) if state else sum(counts.values())
    return store.results(run.id, state=state, limit=PAGE, offset=start, order=cast("Any", order)), total


def _page(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1_000_000:
        raise UsageError(f"page is a whole number from 1; got {text!r}")
    return int(text)


def row(request: Request) -> Response:
    """One row: what went in, what was expected, what came out, and why it got its score."""
    store = site_of(request).store
    found: RunRecord = store.run(request.path_params["id"])
    index, epoch = request.path_params["index"], request.path_params["epoch"]
    near: Sequence[ResultRecord] = store.results(found.id, limit=1, offset=index)
    one = next((one for one in near if (one.index, one.epoch) == (index, epoch)), None)
    if one is None:  # with epochs or gaps the index is no place in the list
        everything: Sequence[ResultRecord] = store.results(found.id)
        one = next((one for one in everything if (one.index, one.epoch) == (index, epoch)), None)
    if one is None:
        raise DataError(f"the run {found.id[:12]!r} has no row {index}, epoch {epoch}")
    total = sum(store.count_results(found.id).values())
    return render(
        request,
        "row.html",
        title=f"Row {index}",
        run=found,
        row=one,
        inputs=shown(one.inputs),
        targets=None if one.targets in (None, {}) else shown(one.targets),
        outputs=None if one.outputs is None else shown(one.outputs),
        total=total,
    )


ROUTES = [Route("/runs/{id}", run), Route("/runs/{id}/rows/{index:number}/{epoch:number}", row)]

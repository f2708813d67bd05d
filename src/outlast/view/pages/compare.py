"""Two runs side by side: the difference with its interval, the slices, what flipped, and both answers word by word."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.routing import Route

from outlast.errors import DataError, UsageError
from outlast.tracing.record import RunRecord
from outlast.view.evaluations import comparison_of, lost_clusters, slice_fields
from outlast.view.rendering import query_of, render, site_of
from outlast.view.values import shown

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from outlast.evals.comparing.comparison import Comparison
    from outlast.tracing.store import Store

PAGE = 40
WHICH = {"": "all that changed", "down": "got worse", "up": "got better"}


def compare(request: Request) -> Response:
    """`a` (before) and `b` (after) are ids of runs; two values of `run` do as well, the older is before."""
    store = site_of(request).store
    query = query_of(request, "a", "b", "by", "which", "page")
    before, after = _runs(store, query, request.query_params.getlist("run"))
    from outlast.evals import wording
    from outlast.evals.reports.comparison_page import forests_of, notes_of, sides_of, square_of

    try:
        result = comparison_of(store, before, after, query.get("by", ""))
    except DataError as error:  # both are there, and do not belong together
        raise UsageError(str(error)) from error
    which = query.get("which", "")
    flips = [flip for flip in result.flips if which == "" or (flip.change < 0) == (which == "down")]
    page = max(1, int(query["page"])) if query.get("page", "").isdecimal() else 1
    share, paired = result.is_share, result.paired
    chosen = flips[(page - 1) * PAGE : page * PAGE]
    return render(
        request,
        "compare.html",
        title="Compare",
        here="/runs",
        before=before,
        after=after,
        query={name: value for name, value in {**query, "a": before.id, "b": after.id}.items() if name != "page"},
        result=result,
        means=(wording.number(result.a_mean, share), wording.number(result.b_mean, share)),
        difference=wording.difference(paired.difference, share),
        span=wording.span(paired.interval, share) if paired.interval.known else "",
        level=wording.level(paired.interval.level),
        p=wording.p_text(result.p, result.level),
        forests=forests_of(result),
        square=square_of(result),
        notes=notes_of(result) | _warnings(before, after, result),
        fields=slice_fields(result),
        flips=[(flip, sides_of(flip), shown(dict(flip.a.inputs)), _targets(flip)) for flip in chosen],
        changed=len(flips),
        which=which,
        choices=WHICH,
        page=page,
        pages=max(1, -(-len(flips) // PAGE)),
    )


def _warnings(before: RunRecord, after: RunRecord, result: Comparison) -> dict[str, str]:
    if not lost_clusters(before, result.a) and not lost_clusters(after, result.b):
        return {}
    return {"Clusters": "they are not in the store: examples are taken as independent, so intervals are too narrow"}


def _targets(flip: Any) -> Any:
    return shown(dict(flip.a.targets)) if flip.a.targets else None


def _runs(store: Store, query: dict[str, str], named: list[str]) -> tuple[RunRecord, RunRecord]:
    if "a" in query and "b" in query:
        return store.run(query["a"]), store.run(query["b"])
    if len(named) != 2:
        raise UsageError(f"two runs are compared; {len(named)} are chosen")
    first, second = sorted((store.run(id) for id in named), key=lambda run: run.started)
    return first, second


ROUTES = [Route("/compare", compare)]

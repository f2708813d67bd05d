"""All runs: evaluations with their scores and intervals, compilations, processes; what each cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

from outlast.view.evaluations import figures_with_totals
from outlast.view.rendering import query_of, render, site_of

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

PAGE = 100
KINDS = ("eval", "compile", "process", "cli", "replay", "import")


def runs(request: Request) -> Response:
    """The table, newest first; `kind`, `metric`, `dataset` and `program` narrow it. Replays have a tab of their own."""
    store = site_of(request).store
    query = query_of(request, "kind", "metric", "dataset", "program", "before")
    found = store.runs(query.get("kind"), PAGE, query.get("before"), replays=False)
    names = ("metric", "dataset", "program")
    chosen = [run for run in found if all(getattr(run, name) == query[name] for name in names if name in query)]
    return render(
        request,
        "runs.html",
        title="Runs",
        runs=figures_with_totals(store, chosen),
        kinds=KINDS,
        comparable=sum(run.kind == "eval" for run in chosen) > 1,
        narrowed=[name for name in names if name in query],
        next_before=found.next,
    )


ROUTES = [Route("/runs", runs)]

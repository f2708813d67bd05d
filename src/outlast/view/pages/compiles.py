"""Searches: the curve while it is drawn, the candidates with their lineage, and where each line of a prompt came from.

Ledgers are named on the command line; a browser names one of these, and what a store says of a path opens nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.responses import Response
from starlette.routing import Route

from outlast.errors import DataError, StudyError
from outlast.optimize.explaining import Explanation, Part
from outlast.optimize.figures import said
from outlast.optimize.summary import changed_examples
from outlast.optimize.watching import Watched, effect_on, explain_candidate, watch
from outlast.optimize.words import search_words
from outlast.tracing.record import RunRecord
from outlast.view import searches
from outlast.view.pages.programs import changes_between
from outlast.view.rendering import is_part, query_of, render, site_of

if TYPE_CHECKING:
    from starlette.requests import Request

    from outlast.optimize.explaining import Failure

SHOWN_PAIRS = 6
_SHOWN_RUNS = 50


@dataclass(frozen=True, slots=True)
class Ledger:
    """A ledger in the list; `trouble` says why it cannot be read."""

    name: str
    watched: Watched | None
    trouble: str = ""


def compiles(request: Request) -> Response:
    """The ledgers that were named at the start, and the compilations that the store knows."""
    site = site_of(request)
    runs: Sequence[RunRecord] = site.store.runs(kind="compile", limit=_SHOWN_RUNS)
    return render(
        request,
        "compiles.html",
        title="Compile",
        ledgers=[_ledger(name, path) for name, path in site.studies.items()],
        runs=[(run, _named(site.studies, run)) for run in runs],
        said=said,
    )


def _ledger(name: str, path: Path) -> Ledger:
    try:
        return Ledger(name, watch(path))
    except StudyError as error:
        return Ledger(name, None, str(error))


def _named(studies: Mapping[str, Path], run: RunRecord) -> str:
    """The name of the ledger of a run, when it was given at the start; else ""."""
    told = run.attributes.get("ledger")
    if not isinstance(told, str) or not told:
        return ""
    if told.startswith("/"):
        return next((name for name, path in studies.items() if str(path) == told), "")
    end = f"/{told.removeprefix('./')}"  # it is relative to where the compilation ran, which nobody knows here
    return next((name for name, path in studies.items() if str(path).endswith(end)), "")


def search(request: Request) -> Response:
    """One search. htmx asks again every few seconds while it runs, and gets nothing when nothing has changed."""
    path = _path(request)
    watched = watch(path)
    query = query_of(request, "by", "seen")
    options = searches.choices(watched)
    by = query["by"] if query.get("by") in options else "calls"
    version = f"{watched.changed:.3f}-{watched.state}-{watched.summary.rollouts}"
    if is_part(request) and query.get("seen") == version:
        return Response(status_code=204)
    rows, axis = searches.beside(watched)
    drawn: dict[str, Any] = {
        "name": request.path_params["name"],
        "watched": watched,
        "version": version,
        "by": by,
        "choices": options,
        "curve": searches.curve(watched, by),
        "nodes": searches.tree(watched),
        "start_at": searches.start_at(watched),
        "hidden": max(0, len(watched.order) - searches.MOST),
        "rows": rows,
        "axis": axis,
        "share": searches.is_share(watched),
        "promised": searches.promised(watched),
        "said": said,
        "search_words": search_words,
        "result": searches.table(watched.summary.record, "result"),
        "asks_again": watched.state == "running" and not site_of(request).exported,
    }
    if is_part(request):
        return render(request, "compile_live.html", **drawn)
    explanation = _explained(path, watched, watched.leader)
    return render(
        request,
        "compile.html",
        title=request.path_params["name"],
        explanation=explanation,
        groups=grouped(explanation),
        pairs=_pairs(path, watched),
        **drawn,
    )


def candidate(request: Request) -> Response:
    """One candidate: what it changed in its parent, because of what, to what effect, and where its lines came from."""
    path = _path(request)
    watched, id = watch(path), str(request.path_params["candidate"])
    known = watched.by_id
    if id not in known:
        raise DataError(f"the search {request.path_params['name']!r} has no candidate {id!r}")
    one = known[id]
    parent = known.get(one.parent)
    explanation = _explained(path, watched, id)
    step = next((step for step in (explanation.lineage if explanation else ()) if step.id == id), None)
    effects = (
        [] if parent is None else [effect_on(path, id, parent.id, part) for part in ("train", "select", "confirm")]
    )
    return render(
        request,
        "candidate.html",
        title=id,
        name=request.path_params["name"],
        watched=watched,
        one=one,
        parent=parent,
        role=searches.role_of(watched, id),
        means=watched.means.get(id, {}),
        parts=searches.PARTS,
        effects=[effect for effect in effects if effect is not None],
        changes=changes_between(parent.changes if parent else {}, one.changes),
        failures=_failures(step),
        explanation=explanation,
        groups=grouped(explanation),
        children=[other for other in watched.summary.candidates if other.parent == id and other.id != id],
        share=searches.is_share(watched),
        said=said,
    )


def _failures(step: Any) -> Sequence[Failure]:
    return [] if step is None else step.failures


def _path(request: Request) -> Path:
    """The ledger by its name: a place in a table that was filled at the start, never a path."""
    name, studies = request.path_params["name"], site_of(request).studies
    if name not in studies:
        raise DataError(f"no ledger {name!r} was named when the page was started (--study FILE)")
    return studies[name]


def _explained(path: Path, watched: Watched, id: str) -> Explanation | None:
    if not watched.by_id.get(id, None) or not watched.by_id[id].changes:
        return None
    return explain_candidate(path, id, watched)


def grouped(explanation: Explanation | None) -> dict[str, list[Part]]:
    """The lines and demonstrations by the parameter that they stand in."""
    found: dict[str, list[Part]] = {}
    for part in () if explanation is None else explanation.parts:
        found.setdefault(part.path, []).append(part)
    return found


def _pairs(path: Path, watched: Watched) -> Mapping[str, Any] | None:
    """Held-out examples that gained and lost most, of a search that has ended."""
    if watched.state != "done" or watched.leader == "start":
        return None
    pairs = changed_examples(path, "start", watched.leader)
    up = [pair for pair in pairs if pair.change > 0]
    down = [pair for pair in reversed(pairs) if pair.change < 0]
    if not pairs:
        return None
    return {"up": up[:SHOWN_PAIRS], "down": down[:SHOWN_PAIRS], "ups": len(up), "downs": len(down)}


ROUTES = [
    Route("/compile", compiles),
    Route("/compile/{name}", search),
    Route("/compile/{name}/{candidate}", candidate),
]

"""Judges against people: how far each version agrees, on what it does not, and how that moved over versions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from markupsafe import Markup
from starlette.routing import Route

from outlast.tracing.judged import judged_runs
from outlast.view.opinions import FLOOR, LEVEL, Judged, judges
from outlast.view.rendering import query_of, render, site_of

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from outlast.evals.statistics import Estimate

SHOWN = 100


def judge_page(request: Request) -> Response:
    """All versions of all judges, and one of them in full: the one named by `judge`, else the newest."""
    store = site_of(request).store
    query = query_of(request, "judge")
    found = judges(store.labels(), judged_runs(store))
    keys = {key_of(one): one for one in found}
    newest = max(found, key=lambda one: (one.n > 0, one.last), default=None)
    chosen = keys.get(query.get("judge", "")) or newest
    return render(
        request,
        "judges.html",
        title="Judges",
        judges=list(keys.items()),
        chosen=chosen,
        chosen_key=None if chosen is None else key_of(chosen),
        plots=_plots(found),
        missed=[] if chosen is None else [(both, level) for both, level in chosen.missed[:SHOWN]],
        traces={} if chosen is None else _traces(store, chosen),
    )


def key_of(one: Judged) -> str:
    """What stands in an address for a version of a judge."""
    return address_of((one.name, one.author, one.version, one.source))


def address_of(key: tuple[str, str, str, str]) -> str:
    """The same of the four that tell a version from others."""
    from hashlib import sha256

    return sha256("\0".join(key).encode("utf-8", "replace")).hexdigest()[:16]


def _traces(store: Any, chosen: Judged) -> dict[str, Any]:
    from outlast.errors import DataError

    found: dict[str, Any] = {}
    for both, _ in chosen.missed[:SHOWN]:
        try:
            found[both.trace_id] = store.trace(both.trace_id)
        except DataError:
            continue
    return found


def _plots(found: Sequence[Judged]) -> list[Markup]:
    """TPR and TNR over the versions, as forest plots with the floor of a usable judge dashed."""
    from outlast.evals import wording
    from outlast.evals.reports.plots import ForestRow, forest

    measured = [one for one in found if one.n]
    if not measured:
        return []

    def rows(figures: Sequence[tuple[str, Estimate]]) -> list[ForestRow]:
        return [
            ForestRow(name, figure.n, figure.value, figure.interval, tone="few" if figure.n < 10 else "")
            for name, figure in figures
            if figure.n
        ]

    level, floor = wording.level(LEVEL), wording.number(FLOOR, True)
    titles = (
        (f"TPR: passes of people that the judge passes ({level} intervals; dashed: {floor})", "tpr"),
        (f"TNR: fails of people that the judge fails ({level} intervals; dashed: {floor})", "tnr"),
    )
    drawn = [
        forest(title, some, share=True, reference=FLOOR)
        for title, which in titles
        if (some := rows([(f"{one.name}: {one.title}", getattr(one, which)) for one in measured]))
    ]
    return [Markup(one) for one in drawn]


ROUTES = [Route("/review/judges", judge_page)]

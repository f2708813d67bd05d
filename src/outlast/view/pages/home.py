"""The first page: what the store holds, the newest runs, and what went wrong last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from starlette.routing import Route

from outlast.view.pages.traces import filter_of
from outlast.view.rendering import render, site_of
from outlast.view.wording import count, size

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

_RUNS, _TRACES = 8, 12


def home(request: Request) -> Response:
    """What is in the store, at a glance."""
    store = site_of(request).store
    return render(
        request,
        "home.html",
        figures=_figures(store.stats()),
        runs=store.runs(limit=_RUNS, replays=False),
        traces=store.traces(limit=_TRACES),
        failed=store.traces(filter_of({"status": "error"}), limit=6),
    )


def _figures(stats: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the store says of itself, where it is a number."""
    numbers = {name: value for name, value in stats.items() if isinstance(value, int | float)}
    return [
        (name.replace("_", " "), size(value) if name == "bytes" else count(int(value)))
        for name, value in numbers.items()
    ]


ROUTES = [Route("/", home)]

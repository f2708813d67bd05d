"""Which pages there are. A page is one file in `pages/` with its `ROUTES`; a section is a word in the navigation."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from starlette.routing import Route

    from outlast.view.site import Site


class Section(NamedTuple):
    """A word in the navigation and where it leads."""

    name: str
    path: str
    live: bool = False  # it is there to change something, and so not in an export

    def is_exported(self, site: Site) -> bool:
        """Whether an export has it: a page of searches only where one was named."""
        return not self.live and (self.path != "/compile" or bool(site.studies))


SECTIONS = (
    Section("Traces", "/traces"),
    Section("Runs", "/runs"),
    Section("Programs", "/programs"),
    Section("Review", "/review", live=True),
    Section("Compile", "/compile"),
)
PAGES = (
    "home",
    "traces",
    "trace",
    "step_labels",
    "runs",
    "run",
    "compare",
    "programs",
    "queues",
    "codes",
    "agreement",
    "judges",
    "review",
    "compiles",
    "replay",
)


def page_routes() -> list[Route]:
    """The routes of all pages."""
    return [route for name in PAGES for route in import_module(f"outlast.view.pages.{name}").ROUTES]

"""Pages of what still runs: they ask again every few seconds, and are sent something only when something changed."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from starlette.responses import Response

from outlast.view.rendering import site_of

if TYPE_CHECKING:
    from starlette.requests import Request

SEEN = "x-seen"  # the header in which a page says what it shows


def version_of(*state: object) -> str:
    """A short text that changes when anything of `state` does."""
    return sha256(repr(state).encode("utf-8", "replace")).hexdigest()[:16]


def unchanged(request: Request, version: str) -> Response | None:
    """An empty answer for a page that shows this version already."""
    return Response(status_code=204) if request.headers.get(SEEN) == version else None


def live_version(request: Request, running: bool, version: str) -> str:
    """What the page of something that runs asks with; "" for a page that asks no more."""
    return version if running and not site_of(request).exported else ""

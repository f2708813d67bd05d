"""The same pages as files: made by the application itself, along its own links, without what needs a server."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from outlast.errors import ConfigError, UsageError
from outlast.view.assets import assets
from outlast.view.links import FileLinks
from outlast.view.site import Site

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message

    from outlast.tracing.store import Store

_LEFT = ("htmx.min.js", "steps.js", "live.js")


class Exported(NamedTuple):
    """How many pages were written, and how many links lead to pages that were left out."""

    pages: int
    left_out: int


def export(
    store: Store,
    folder: str | Path,
    *,
    name: str = "traces",
    most: int = 1000,
    artifacts: Mapping[str, Mapping[str, Any]] | None = None,
    studies: Mapping[str, Path] | None = None,
) -> Exported:
    """Write the pages of a store into `folder`: from the first page along every link, at most `most`.

    Links work from `file://`, and nothing is loaded from elsewhere. Raises `UsageError` when the folder cannot be
    written, `ConfigError` when a page cannot be made.
    """
    from outlast.view.app import inner_app

    links = FileLinks(most)
    site = Site(store, name, links=links, read_only=True, artifacts=artifacts or {}, studies=studies or {})
    app = inner_app(site)
    place = Path(folder)
    try:
        place.mkdir(parents=True, exist_ok=True)
        for asset_name, asset in assets().items():
            if asset_name not in _LEFT:
                (place / links.static(asset_name, "")).write_bytes(asset.content)
        # In a thread of its own: the caller may stand in an event loop, as in a notebook.
        with ThreadPoolExecutor(1) as one:
            pages = one.submit(asyncio.run, _written(app, links, place)).result()
    except OSError as error:
        raise UsageError(f"the pages cannot be written to {str(folder)!r}: {error.strerror or error}") from error
    return Exported(pages, links.left_out)


async def _written(app: ASGIApp, links: FileLinks, target: Path) -> int:
    """Write every page that is linked to, from the first one on; gives how many."""
    links.page("/")
    written: set[str] = set()
    while waiting := [(page, file) for page, file in links.wanted.items() if page not in written]:
        for page, file in waiting:
            written.add(page)
            (target / file).write_bytes(await answer(app, page))
    return len(written)


async def answer(app: ASGIApp, address: str) -> bytes:
    """The body of the page at `address`. Raises `ConfigError` when it is none."""
    path, _, query = address.partition("?")
    status: list[int] = []
    parts: list[bytes] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            status.append(message["status"])
        else:
            parts.append(message.get("body", b""))

    from urllib.parse import unquote

    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(b"host", b"export")],
        "client": None,
        "server": ("export", 80),
    }
    await app(scope, receive, send)
    if status not in ([200], [404]):
        raise ConfigError(f"the page {address!r} could not be made (status {status})")
    return b"".join(parts)

"""The style sheet, scripts and icon of the pages: read once from the package, addressed by their content."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import NamedTuple


class Asset(NamedTuple):
    """A file that the package brings."""

    content: bytes
    kind: str
    version: str


_FILES = {
    "style.css": ("static", "text/css"),
    "page.js": ("static", "text/javascript"),
    "review.css": ("static", "text/css"),
    "review.js": ("static", "text/javascript"),
    "steps.js": ("static", "text/javascript"),
    "live.js": ("static", "text/javascript"),
    "icon.svg": ("static", "image/svg+xml"),
    "htmx.min.js": ("vendor", "text/javascript"),
}


@cache
def assets() -> dict[str, Asset]:
    """By name."""
    found: dict[str, Asset] = {}
    for name, (folder, kind) in _FILES.items():
        content = files("outlast.view").joinpath(folder, name).read_bytes()
        found[name] = Asset(content, kind, sha256(content).hexdigest()[:12])
    return found

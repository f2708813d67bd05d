"""How the address of a page is written: for a server, or for files beside each other."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

LEFT_OUT = "/left-out"


class Links:
    """Addresses for a server: "/runs/ab12?state=error"."""

    exported = False

    def page(self, path: str, query: Mapping[str, Any] | None = None, anchor: str = "") -> str:
        """The address of a page. Values of `query` that are None, "" or False are left out."""
        return address(path, query) + (f"#{anchor}" if anchor else "")

    def static(self, name: str, version: str) -> str:
        """The address of a style sheet, script or icon."""
        return f"/static/{name}?v={version}"


class FileLinks(Links):
    """Addresses as names of files in one folder. Remembers in `wanted` which pages were linked to.

    `most` bounds how many pages there are; what is linked beyond is a page that says so.
    """

    exported = True
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; base-uri 'none'; "
        "form-action 'none'"
    )

    def __init__(self, most: int) -> None:
        self.most = most
        self.wanted: dict[str, str] = {}
        self.left_out = 0

    def page(self, path: str, query: Mapping[str, Any] | None = None, anchor: str = "") -> str:
        """The name of the file for the page, which is now wanted."""
        target = address(path, query)
        if target not in self.wanted and len(self.wanted) >= self.most:
            self.left_out += 1
            target = LEFT_OUT
        name = self.wanted.setdefault(target, file_name(target))
        return name + (f"#{anchor}" if anchor else "")

    def static(self, name: str, version: str) -> str:
        """The file beside the pages."""
        return f"static-{name}"


def address(path: str, query: Mapping[str, Any] | None = None) -> str:
    """A path with the query that says something."""
    told = [(name, value) for name, value in (query or {}).items() if value not in (None, "", False)]
    return f"{path}?{urlencode(told)}" if told else path


def file_name(target: str) -> str:
    """A file name for an address: readable, of harmless characters, and different for different addresses."""
    if target == "/":
        return "index.html"
    path, _, query = target.partition("?")
    name = re.sub(r"[^A-Za-z0-9]+", "-", path).strip("-")[:80]
    plain = re.fullmatch(r"[a-z0-9/-]+", path) is not None and not query and len(name) < 80
    return f"{name}.html" if plain else f"{name}-{sha256(target.encode()).hexdigest()[:10]}.html"

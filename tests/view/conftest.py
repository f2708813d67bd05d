"""A real Chromium for the tests of the page, and what it must never do."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.view.serving import Page

PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 860}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """The browser, for the tests of one file: its driver's loop must be gone before a test with a loop of its own."""
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        assert not os.environ.get("CI"), "CI has to install Chromium (.ci/run)"
        pytest.skip("no Chromium on this machine (Debian: apt install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        options = [
            "--no-sandbox",
            "--host-resolver-rules=MAP evil.example 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        ]
        browser = driver.chromium.launch(executable_path=path, args=options)
        yield browser
        browser.close()


@dataclass
class Watched:
    """A tab, and everything that it did besides showing the page."""

    tab: Any
    base: str
    elsewhere: list[str] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)

    def open(self, path: str) -> Any:
        """Go to a path of the page; gives the response."""
        return self.tab.goto(self.base + path)


@contextmanager
def opened(chromium: Any, page: Page | None = None, *, base: str = "", **options: Any) -> Iterator[Watched]:
    """A fresh tab that was let in. It may ask only its own page for things, and nothing may pop up or fail."""
    base = base or f"http://{page.host}"
    context = chromium.new_context(**{"viewport": DESK, **options})
    context.set_default_timeout(90_000)  # a busy machine may take long for a page
    tab = context.new_page()
    watched = Watched(tab, base)

    def asked(request: Any) -> None:
        if not request.url.startswith((base, "data:image/")):
            watched.elsewhere.append(request.url)

    tab.on("request", asked)
    tab.on("dialog", lambda dialog: (watched.troubles.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    tab.on("popup", lambda _: watched.troubles.append("popup"))
    tab.on("pageerror", lambda error: watched.troubles.append(f"error: {error}"))
    tab.on("console", lambda said: said.type == "error" and watched.troubles.append(f"console: {said.text}"))
    if page is not None:
        tab.goto(page.server.url)
        tab.wait_for_url(f"{base}/")
    try:
        yield watched
    finally:
        context.close()

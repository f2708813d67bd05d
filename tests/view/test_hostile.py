"""Nothing that a model wrote runs, loads or changes the page: in a real browser, on every page, live and exported."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from outlast.tracing.store import Store
from outlast.view.exporting import export
from tests.view.conftest import Watched, opened
from tests.view.hostile import AFTER, BEFORE, TRACE, VERSIONS, hostile_records
from tests.view.payloads import PAYLOADS
from tests.view.samples import filled
from tests.view.serving import Page, served

pytestmark = pytest.mark.server

# What a page of ours never holds, wherever it comes from.
FOREIGN = """() => {
  const found = [...document.querySelectorAll(
    'script:not([src]), iframe, object, embed, video, audio, base, style, math, animate, body details[ontoggle], ' +
    'meta[http-equiv=refresh], link[href^="http"], form[action^="http"], [style], img:not(.medium), ' +
    'a[href^="javascript:"], a[href^="data:"], [hx-vals], [data-hx-post], [data-hx-get]')];
  for (const one of document.querySelectorAll('*'))
    for (const name of one.getAttributeNames())
      if (name.startsWith('on')) found.push(one);
  for (const one of document.querySelectorAll('[hx-get]'))
    if (!one.getAttribute('hx-get').startsWith('/traces/')) found.push(one);
  for (const one of document.querySelectorAll('a[target]'))
    if (!/noopener/.test(one.rel) || !/^https?:/.test(one.href)) found.push(one);
  return [...found.map((one) => one.outerHTML.slice(0, 200)), ...(window.pwned ? ['pwned'] : [])];
}"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    made = filled(tmp_path_factory.mktemp("hostile") / "traces.db", hostile_records())
    for bad in PAYLOADS:
        made.add_label(TRACE, bad, name=bad, note=bad, tags=(bad,), author=bad)
    with closing(made):
        yield made


@pytest.fixture(scope="module")
def page(store: Store) -> Iterator[Page]:
    with served(store, name=PAYLOADS[0]) as running:
        yield running


def test_there_are_enough_attacks() -> None:
    assert len(set(PAYLOADS)) >= 40


PATHS = [
    "/",
    "/traces",
    f"/traces?name={quote(PAYLOADS[0])}&tag={quote(PAYLOADS[2])}&session={quote(PAYLOADS[29])}",
    f"/traces/{TRACE}",
    *(f"/traces/{number:032x}" for number in (0, 20, 21, 36, 38)),
    "/runs",
    f"/runs?metric={quote(PAYLOADS[2])}",
    f"/runs/{BEFORE}",
    f"/runs/{BEFORE}?error={quote(PAYLOADS[5])}",
    f"/runs/{AFTER}/rows/21/0",
    f"/compare?a={BEFORE}&b={AFTER}&by=kind",
    "/programs",
    f"/programs/{VERSIONS[0]}",
    f"/programs/diff?a={VERSIONS[0]}&b={VERSIONS[1]}",
    f"/programs/diff?a=file:{quote(PAYLOADS[0])}&b=x",
    f"/nothing/{quote(PAYLOADS[2], safe='')}",
]


def test_no_attack_runs_or_loads_anything(chromium: Any, page: Page) -> None:
    with opened(chromium, page) as seen:
        for path in PATHS:
            seen.troubles.clear()
            status = seen.open(path).status
            assert status in (200, 400, 404), path
            _poke(seen)
            assert seen.tab.evaluate(FOREIGN) == [], path
            assert [one for one in seen.troubles if f"status of {status}" not in one] == [], path
        assert seen.elsewhere == []
        seen.open(f"/traces/{TRACE}")
        assert seen.tab.locator("section[data-span]").count() == 1 + 3 * len(PAYLOADS)
        assert PAYLOADS[0] in seen.tab.locator("main").inner_text()  # it is there, as the text that it is


def test_no_attack_in_a_search_runs(chromium: Any, page: Page) -> None:
    with opened(chromium, page) as seen:
        for bad in PAYLOADS:
            seen.open(f"/traces?text={quote(bad[:200])}")
            assert seen.tab.evaluate(FOREIGN) == [], bad
        assert (seen.troubles, seen.elsewhere) == ([], [])


def test_a_part_that_is_fetched_later_is_as_safe(chromium: Any, page: Page) -> None:
    with opened(chromium, page) as seen:
        seen.open(f"/traces/{TRACE}")
        step = seen.tab.locator("section[data-span]").nth(100)
        step.scroll_into_view_if_needed()
        step.locator(".io, .talk").first.wait_for()
        seen.tab.wait_for_load_state("networkidle")
        folds = seen.tab.query_selector_all("section[data-span] details[hx-get] > summary")
        for fold in folds[:20]:
            fold.click()
        seen.tab.locator("details[open] .later .code").nth(5).wait_for()
        _poke(seen)
        assert seen.tab.evaluate(FOREIGN) == []
        assert (seen.troubles, seen.elsewhere) == ([], [])


def test_an_export_is_as_safe(chromium: Any, store: Store, tmp_path: Path) -> None:
    done = export(store, tmp_path / "site", name=PAYLOADS[0])
    assert done.pages > len(PAYLOADS)
    base = (tmp_path / "site").as_uri()
    with opened(chromium, base=base) as seen:
        for file in sorted((tmp_path / "site").glob("*.html")):
            if not file.name.startswith("runs-") or file.name.count("rows") == 0 or "21" in file.name:
                seen.open(f"/{file.name}")
                assert seen.tab.evaluate(FOREIGN.replace("'/traces/'", "'none'")) == [], file.name
        assert (seen.troubles, seen.elsewhere) == ([], [])


def _poke(seen: Watched) -> None:
    """Unfold, focus and hover everything: what waits for a person must not fire either."""
    seen.tab.evaluate(
        """() => {
      for (const one of document.querySelectorAll('details:not([hx-get])')) one.open = true;
      for (const one of [...document.querySelectorAll('main *')].slice(0, 4000)) {
        one.dispatchEvent(new MouseEvent('mouseover', { bubbles: true }));
        one.dispatchEvent(new FocusEvent('focus'));
      }
    }"""
    )

"""Pages of what still runs: they bring themselves up to date, stop at the end, and leave alone what somebody does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from outlast.tracing.living import process_mark
from outlast.tracing.record import Content, ResultRecord, RunRecord, SpanRecord, TraceRecord
from outlast.tracing.saving import WholeTrace
from outlast.tracing.store import Store, open_store
from tests.tracing.test_living import mark_of_one_that_ended
from tests.view.conftest import opened
from tests.view.samples import START
from tests.view.serving import Page, served

pytestmark = pytest.mark.server

RUN, TRACE = "b" * 32, "a" * 32


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "traces.db", create=True) as made:
        yield made


@pytest.fixture
def page(store: Store) -> Iterator[Page]:
    with served(store) as running:
        yield running


def step(number: int, status: str, parent: str = "f000000000000000") -> SpanRecord:
    return SpanRecord(
        f"f{number:015x}" if number else parent,
        TRACE,
        parent if number else "",
        "tool" if number else "program",
        f"look_{number}" if number else "Agent",
        started=START + number,
        seconds=None if status == "open" else 0.5,
        status=status,
    )


def keep(store: Store, steps: int, status: str = "open", run: RunRecord | None = None) -> None:
    """The trace when `steps` of its steps have ended; the next is open until it is over."""
    spans = [step(0, status), *(step(number, "ok") for number in range(1, steps + 1))]
    if status == "open":
        spans.append(step(steps + 1, "open"))
    contents = {span.id: Content({"about": f"what {span.name} was asked"}, "found" * 40) for span in spans}
    trace = TraceRecord(TRACE, RUN, "program", "Agent", started=START, status=status, seconds=None)
    store.save_records(
        [run or RunRecord(RUN, "process", "app.py", "open", START)], [WholeTrace(trace, tuple(spans), contents)]
    )


def test_a_page_that_shows_all_is_sent_nothing(store: Store, page: Page) -> None:
    keep(store, 2)
    text = page.get(f"/traces/{TRACE}").text
    seen = text.split('data-live="')[1].split('"')[0]
    assert page.get(f"/traces/{TRACE}", X_Seen=seen).status == 204
    keep(store, 3)
    later = page.get(f"/traces/{TRACE}", X_Seen=seen)
    assert (later.status, "look_4" in later.text) == (200, True)
    keep(store, 4, "ok")
    assert "data-live" not in page.get(f"/traces/{TRACE}").text
    run = page.get(f"/runs/{RUN}").text
    assert 'data-live="' in run
    assert page.get(f"/runs/{RUN}", X_Seen=run.split('data-live="')[1].split('"')[0]).status == 204


def test_a_trace_goes_on_while_somebody_writes_about_it(chromium: Any, store: Store, page: Page) -> None:
    keep(store, 12)
    with opened(chromium, page) as seen:
        tab = seen.tab
        tab.set_default_timeout(20_000)
        seen.open(f"/traces/{TRACE}")
        last = f"f{13:015x}"
        tab.locator(f"#s-{last} [data-say]").click()
        tab.locator(f"#s-{last} textarea").focus()
        tab.keyboard.type("it hangs he")
        tab.evaluate("scrollTo(0, 700)")
        tab.evaluate("document.querySelector('.tree').scrollTop = 60")
        place = tab.evaluate("[scrollY, document.querySelector('.tree').scrollTop]")
        assert tab.locator(f"#s-{last} > header .chip.open").count() == 1
        keep(store, 13)
        tab.locator(f"#s-f{14:015x}").wait_for(state="attached")
        assert tab.locator(f"#s-{last} > header .chip.open").count() == 0
        assert tab.locator("li[id^=t-]").count() == tab.locator("section[data-span]").count() == 15
        assert tab.evaluate("[scrollY, document.querySelector('.tree').scrollTop]") == place
        tab.keyboard.type("re")
        assert tab.locator(f"#s-{last} textarea").input_value() == "it hangs here"
        keep(store, 14, "ok")
        tab.locator(".head .chip.ok").wait_for()
        assert tab.locator("main[data-live]").count() == 0
        assert tab.locator("#said").inner_text() == "It has ended."
        assert tab.locator("[data-pause]").count() == 0
        tab.keyboard.type(".")
        tab.get_by_text("Saved", exact=True).wait_for()
        assert store.labels(TRACE)[0].note == "it hangs here."
        asked: list[str] = []
        tab.on("request", lambda request: asked.append(request.url))
        tab.wait_for_timeout(2_600)
        assert asked == []
        assert (seen.troubles, seen.elsewhere) == ([], [])


def test_what_is_unfolded_and_in_focus_stays_while_a_run_goes_on(chromium: Any, store: Store, page: Page) -> None:
    run = RunRecord(RUN, "eval", "dev", "open", START)

    def rows(count: int, status: str = "open") -> None:
        wholes = [
            WholeTrace(
                TraceRecord(f"{at:032x}", RUN, "program", "Ask", started=START + at, status="ok"),
                result=ResultRecord(
                    RUN, at, 0, f"e{at}", f"{at:032x}", "pass", 1.0, inputs={"question": f"question {at}"}
                ),
            )
            for at in range(count)
        ]
        store.save_records([replace(run, status=status)], wholes)

    rows(3)
    with opened(chromium, page) as seen:
        tab = seen.tab
        tab.set_default_timeout(20_000)
        seen.open(f"/runs/{RUN}")
        tab.locator("details.fold summary").last.click()
        tab.locator("#r-1-0 a").focus()
        rows(7)
        tab.locator("#r-6-0").wait_for()
        assert tab.evaluate("document.activeElement.closest('tr').id") == "r-1-0"
        assert tab.locator("details.fold").last.get_attribute("open") is not None
        tab.get_by_role("button", name="Pause").click()
        rows(9)
        tab.wait_for_timeout(2_600)
        assert tab.locator("tbody tr[id]").count() == 7
        tab.get_by_role("button", name="Go on").click()
        tab.locator("#r-8-0").wait_for()
        rows(9, "done")
        tab.locator(".head .chip.done").wait_for()
        assert tab.locator("main[data-live]").count() == 0
        assert (seen.troubles, seen.elsewhere) == ([], [])


@pytest.mark.skipif(not process_mark(), reason="processes are told apart by /proc")
def test_what_was_killed_is_not_said_to_run(store: Store, page: Page) -> None:
    began = time.time() - 3600
    run = RunRecord(RUN, "process", "app.py", "open", began, provenance={"process": mark_of_one_that_ended()})
    store.save_records([run], [WholeTrace(TraceRecord(TRACE, RUN, "program", "Agent", started=began))])
    for path in (f"/traces/{TRACE}", f"/runs/{RUN}"):
        text = page.get(path).text
        assert "data-live" not in text
        assert '<span class="chip killed">killed</span>' in text
    assert 'title="killed"' in page.get("/traces").text
    assert ">killed</span>" in page.get("/runs").text

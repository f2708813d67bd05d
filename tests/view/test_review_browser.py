"""Labelling in a real Chromium: the keys, autosave, undo, the counter, what is there after a reload; and attacks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from outlast.tracing.queues import make_queue
from outlast.tracing.record import QueueRecord, TraceFilter
from outlast.tracing.store import Store
from tests.view.conftest import DESK, PHONE, Watched, opened
from tests.view.kept import label_some, sample_store
from tests.view.payloads import PAYLOADS
from tests.view.samples import _id
from tests.view.serving import Page, served
from tests.view.test_browser import AXE
from tests.view.test_hostile import FOREIGN

pytestmark = pytest.mark.server


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with sample_store(tmp_path / "traces.db") as opened_store:
        yield opened_store


@pytest.fixture
def queue(store: Store) -> QueueRecord:
    where = TraceFilter(run=_id(60, "b"))
    return make_queue(store, "some", "random", 5, where=where, about={"label": "tone", "criterion": "It is kind."})


@pytest.fixture
def page(store: Store) -> Iterator[Page]:
    with served(store, name="traces.db") as running:
        yield running


@contextmanager
def at(chromium: Any, page: Page, path: str, **options: Any) -> Iterator[Watched]:
    """A tab on a page; nothing may have failed or asked elsewhere at the end."""
    with opened(chromium, page, **options) as seen:
        seen.tab.set_default_timeout(10_000)
        seen.open(path)
        yield seen
        assert (seen.troubles, seen.elsewhere) == ([], [])


def arrive(seen: Watched, queue: QueueRecord, place: Any) -> None:
    seen.tab.wait_for_url(lambda url: url.split("?")[0].endswith(f"/review/{queue.id}/{place}"))
    seen.tab.wait_for_load_state("load")


def counter(seen: Watched) -> tuple[str, str]:
    return seen.tab.locator("h1.place").inner_text(), seen.tab.locator(".sofar .muted").inner_text()


def test_the_labelling_script(chromium: Any, page: Page, store: Store, queue: QueueRecord) -> None:
    """Label, note, defer, undo, move, jump; all of it by keys, and all of it there after a reload."""
    with at(chromium, page, f"/review/{queue.id}") as seen:
        tab = seen.tab
        arrive(seen, queue, 1)
        assert counter(seen) == ("1 of 5", "0 labelled, 5 left")
        tab.keyboard.press("1")
        arrive(seen, queue, 2)
        assert counter(seen) == ("2 of 5", "1 labelled, 4 left")
        assert "you said pass" in tab.locator(".before").inner_text()

        tab.keyboard.press("n")
        tab.keyboard.type("blames 1 customer, d u j k")
        tab.get_by_text("Saved", exact=True).wait_for()
        assert store.labels(trace_id=queue.trace_ids[1])[0].note == "blames 1 customer, d u j k"
        tab.keyboard.press("Escape")
        tab.keyboard.press("t")
        tab.keyboard.type("blame")
        tab.keyboard.press("Escape")
        tab.keyboard.press("2")
        arrive(seen, queue, 3)
        second = store.labels(trace_id=queue.trace_ids[1])[0]
        assert (second.value, second.tags, second.note) == ("fail", ("blame",), "blames 1 customer, d u j k")
        assert tab.locator(".tag").all_inner_texts() == ["blame"]

        tab.keyboard.press("d")
        arrive(seen, queue, 4)
        assert counter(seen)[1] == "2 labelled, 1 put off, 2 left"
        tab.keyboard.press("u")
        arrive(seen, queue, 3)
        assert "Taken back" in tab.locator("[role=status]").first.inner_text()
        assert counter(seen)[1] == "2 labelled, 3 left"

        tab.keyboard.press("k")
        arrive(seen, queue, 2)
        assert tab.locator(".verdict.fail").get_attribute("aria-pressed") == "true"
        tab.reload()
        assert tab.locator("#note").input_value() == "blames 1 customer, d u j k"
        assert tab.get_by_role("checkbox", name="blame").is_checked()
        assert counter(seen)[1] == "2 labelled, 3 left"

        tab.keyboard.press("ArrowRight")
        arrive(seen, queue, 3)
        tab.keyboard.press("j")
        arrive(seen, queue, 4)
        tab.keyboard.press("ArrowLeft")
        arrive(seen, queue, 3)
        tab.keyboard.press("g")
        tab.keyboard.type(queue.trace_ids[4][:14])
        tab.keyboard.press("Enter")
        arrive(seen, queue, 5)
        tab.keyboard.press("j")
        arrive(seen, queue, "done")
        assert "1 pass" in tab.locator(".cards").inner_text()


def test_a_note_is_kept_by_whoever_walks_away_at_once(
    chromium: Any, page: Page, store: Store, queue: QueueRecord
) -> None:
    with at(chromium, page, f"/review/{queue.id}/1") as seen:
        seen.tab.keyboard.press("n")
        seen.tab.keyboard.type("half a thou")
        seen.tab.get_by_role("link", name="Next").click()
        arrive(seen, queue, 2)
        seen.tab.keyboard.press("k")
        arrive(seen, queue, 1)
        assert seen.tab.locator("#note").input_value() == "half a thou"
    assert [one.value for one in store.labels()] == [None]


def test_a_verdict_waits_for_the_note_that_is_on_its_way(
    chromium: Any, page: Page, store: Store, queue: QueueRecord
) -> None:
    held: list[Any] = []

    def hold(route: Any) -> None:
        if route.request.headers.get("x-autosave") and not held:
            held.append(route)
        else:
            route.continue_()

    with at(chromium, page, f"/review/{queue.id}/1") as seen:
        seen.tab.route("**/say", hold)
        seen.tab.keyboard.press("n")
        seen.tab.keyboard.type("first")
        seen.tab.keyboard.press("Escape")
        seen.tab.wait_for_timeout(100)
        seen.tab.locator("#note").fill("first and second")
        seen.tab.keyboard.press("Escape")
        seen.tab.keyboard.press("1")
        seen.tab.wait_for_timeout(300)
        assert seen.tab.url.endswith("/1")
        held[0].continue_()
        arrive(seen, queue, 2)
    [label] = store.labels()
    assert (label.value, label.note) == ("pass", "first and second")


def test_two_quick_presses_label_one_trace(chromium: Any, page: Page, store: Store, queue: QueueRecord) -> None:
    with at(chromium, page, f"/review/{queue.id}/1") as seen:
        seen.tab.evaluate(
            """() => { for (let n = 0; n < 3; n++)
            document.body.dispatchEvent(new KeyboardEvent('keydown', {key: '1', bubbles: true, cancelable: true})); }"""
        )
        arrive(seen, queue, 2)
    assert len(store.labels(history=True)) == 1


def test_only_time_on_the_screen_counts(chromium: Any, page: Page, store: Store, queue: QueueRecord) -> None:
    with at(chromium, page, f"/review/{queue.id}/1") as seen:
        seen.tab.wait_for_timeout(400)
        seen.tab.keyboard.press("1")
        arrive(seen, queue, 2)
    spent = store.labels()[0].seconds_spent
    assert spent is not None
    assert 0.3 <= spent < 20


def test_keys_are_told_and_do_nothing_while_the_list_is_open(chromium: Any, page: Page, queue: QueueRecord) -> None:
    with at(chromium, page, f"/review/{queue.id}/1") as seen:
        seen.tab.keyboard.press("?")
        assert "undo what you said last" in seen.tab.get_by_role("dialog").inner_text()
        seen.tab.keyboard.press("1")
        seen.tab.keyboard.press("?")
        assert seen.tab.get_by_role("dialog").count() == 0
        assert counter(seen) == ("1 of 5", "0 labelled, 5 left")


def test_labelling_works_without_scripts(chromium: Any, page: Page, store: Store, queue: QueueRecord) -> None:
    with at(chromium, page, f"/review/{queue.id}/1", java_script_enabled=False) as seen:
        tab = seen.tab
        tab.get_by_label("Note").fill("no script")
        tab.get_by_label("New tags").fill("plain")
        tab.get_by_label("New tags").press("Enter")  # saves, and does not judge
        arrive(seen, queue, 1)
        assert [(one.value, one.tags) for one in store.labels()] == [(None, ("plain",))]
        tab.get_by_role("button", name="Fail").click()
        arrive(seen, queue, 2)
        tab.get_by_role("button", name="Undo").click()
        arrive(seen, queue, 1)
        assert tab.get_by_label("Note").input_value() == "no script"
        tab.locator(".who summary").last.click()
        tab.get_by_label("Name").fill("ann")
        tab.get_by_role("button", name="Keep", exact=True).click()
        arrive(seen, queue, 1)
        assert tab.get_by_label("Note").input_value() == ""
        tab.get_by_role("button", name="Pass").click()
        arrive(seen, queue, 2)
    assert {(one.author, one.value) for one in store.labels()} >= {("ann", "pass")}


def test_a_queue_is_made_and_opened(chromium: Any, page: Page, store: Store) -> None:
    with at(chromium, page, "/review") as seen:
        seen.tab.get_by_role("radio", name="failures").check()
        seen.tab.locator("select[name=status]").select_option("error")
        seen.tab.get_by_label("How many").fill("4")
        seen.tab.get_by_label("Name of the queue").fill("what broke")
        seen.tab.get_by_role("button", name="Make the queue").click()
        seen.tab.wait_for_url("**/review/*/1")
        assert "1 of 4" in seen.tab.locator("h1.place").inner_text()
        assert "RateLimitError" in seen.tab.locator(".reason").inner_text()
    assert store.queues()[0].name == "what broke"


@pytest.fixture
def hostile(store: Store) -> QueueRecord:
    """A queue in which names, reasons, notes, tags, authors and judges are attacks."""
    ids = [trace.id for trace in store.traces(limit=len(PAYLOADS))]
    for number, (id, bad) in enumerate(zip(ids, PAYLOADS, strict=False)):
        store.add_label(id, bad, source="judge", author=bad, name=bad, note=bad, rubric_version=bad)
        step = store.spans(id)[-1].id
        for said in (bad, "fail"):
            store.add_label(id, said, author=bad, name=said, note=bad, tags=[bad], span_id=step)
        for author in (bad, PAYLOADS[0]):
            said = ("pass", "fail")[number % 2] if author == bad else "fail"
            store.add_label(id, said, author=author, name="x", note=bad, tags=[bad, "t"], seconds_spent=1.0)
        store.add_label(id, "pass", source="judge", author=bad, name="x", note=bad, rubric_version=bad[:20])
    about = {"label": "x", "criterion": PAYLOADS[1], "reasons": dict(zip(ids, PAYLOADS, strict=False))}
    return store.add_queue(PAYLOADS[2], PAYLOADS[3], ids, about)


def test_no_attack_in_labels_runs(chromium: Any, page: Page, store: Store, hostile: QueueRecord) -> None:
    paths = ["/review", f"/review/{hostile.id}/done", f"/review/{hostile.id}/jump?to=%3Cscript%3E"]
    paths += [
        f"/review/{what}?name={name}" for what in ("codes", "agreement", "judges") for name in ("x", quote(PAYLOADS[2]))
    ]
    paths += ["/review/codes?name=x&kind=all", f"/review/codes?name=x&tag={quote(PAYLOADS[4])}&changed=%3Cb%3E"]
    paths += [f"/traces/{id}" for id in hostile.trace_ids[:12]]  # their labels, and those of their steps
    with opened(chromium, page) as seen:
        seen.tab.evaluate("name => { window.name = name; }", PAYLOADS[0])
        for number in range(1, len(hostile.trace_ids) + 1):
            seen.open(f"/review/{hostile.id}/{number}")
            seen.tab.locator("#note").fill(PAYLOADS[number - 1])
            seen.tab.get_by_label("New tags").fill(PAYLOADS[number - 1])
            seen.tab.keyboard.press("Escape")
            seen.tab.keyboard.press("1")
            arrive(seen, hostile, number + 1 if number < len(hostile.trace_ids) else "done")
            paths.append(f"/review/{hostile.id}/{number}")
        for path in paths:
            seen.troubles.clear()
            status = seen.open(path).status
            seen.tab.evaluate("for (const one of document.querySelectorAll('details:not([hx-get])')) one.open = true")
            foreign = FOREIGN.replace("[style], ", "")
            assert seen.tab.evaluate(foreign) == [], path
            assert [one for one in seen.troubles if f"status of {status}" not in one] == [], path
        assert seen.elsewhere == []


@pytest.mark.slow
@pytest.mark.parametrize("look", ["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_the_pages_of_labelling_are_accessible(
    chromium: Any, page: Page, store: Store, queue: QueueRecord, look: str, size: dict[str, int]
) -> None:
    label_some(store)
    trace = queue.trace_ids[0]
    store.add_label(trace, "pass", name="tone", author="root", rubric_version="old", seconds_spent=1.0)
    paths = ["/review", f"/review/{queue.id}/1", f"/review/{queue.id}/2?said=saved", f"/review/{queue.id}/done"]
    paths += ["/review/codes", "/review/agreement", "/review/judges"]
    found: list[str] = []
    with opened(chromium, page, color_scheme=look, viewport=size, bypass_csp=True) as seen:
        for path in paths:
            seen.open(path)
            seen.tab.evaluate("for (const one of document.querySelectorAll('details:not([hx-get])')) one.open = true")
            seen.tab.add_script_tag(path=AXE)
            result = seen.tab.evaluate("axe.run(document, {resultTypes: ['violations']})")
            for broken in result["violations"]:
                nodes = "; ".join(node["html"][:160] for node in broken["nodes"][:3])
                found.append(f"{path}: {broken['id']} ({broken['impact']}): {nodes}")
            wide = seen.tab.evaluate("document.documentElement.scrollWidth - innerWidth")
            if wide > 0:
                found.append(f"{path}: {wide} pixels wider than the screen")
    assert not found, "\n".join(found)

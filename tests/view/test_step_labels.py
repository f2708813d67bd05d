"""Labels of single steps: by forms, by keys in a real Chromium, blind in a queue, taken back, and exported."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from outlast.errors import UsageError
from outlast.tracing.otel.view import Traced, exported
from outlast.tracing.queues import make_queue
from outlast.tracing.record import LabelRecord, SpanRecord, TraceFilter, TraceRecord
from outlast.tracing.store import Store
from outlast.view import coding
from outlast.view.exporting import export
from outlast.view.reviewing import COOKIE
from tests.view.conftest import PHONE, opened
from tests.view.kept import sample_store
from tests.view.serving import Page, served
from tests.view.test_browser import AXE

pytestmark = pytest.mark.server


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with sample_store(tmp_path / "traces.db") as made:
        yield made


@pytest.fixture
def page(store: Store) -> Iterator[Page]:
    with served(store) as running:
        yield running


@pytest.fixture
def agent(store: Store) -> TraceRecord:
    return store.traces(TraceFilter(name="SupportAgent"), limit=1)[0]


@pytest.fixture
def tool(store: Store, agent: TraceRecord) -> SpanRecord:
    return next(span for span in store.spans(agent.id) if span.name == "refund")


def post(page: Page, tool: SpanRecord, what: str, author: str = "ann", queue: str = "", **fields: Any) -> Any:
    address = f"/traces/{tool.trace_id}/steps/{tool.id}/{what}" + (f"?queue={queue}" if queue else "")
    return page.post(address, {"seconds": "3", **fields}, Cookie=f"{page.cookie}; {COOKIE}={author}")


def test_a_label_of_a_step_is_kept_beside_that_of_its_trace(store: Store, page: Page, tool: SpanRecord) -> None:
    store.add_label(tool.trace_id, "pass", author="ann")
    answer = post(page, tool, "say", value="fail", note="refunds unasked", tag="policy", new_tags="too early")
    assert (answer.status, answer.headers["location"]) == (303, f"/traces/{tool.trace_id}#s-{tool.id}")
    whole, step = store.labels(tool.trace_id)
    assert (whole.span_id, whole.value) == ("", "pass")
    assert (step.span_id, step.value, step.note) == (tool.id, "fail", "refunds unasked")
    assert (step.tags, step.author, step.source) == (("policy", "too early"), "ann", "human")
    text = page.get(f"/traces/{tool.trace_id}").text
    assert text.count("refunds unasked") == 1
    assert f'id="m-{tool.id}"><span class="chip fail">fail</span>' in text


def test_undo_gives_back_what_was_said_before(store: Store, page: Page, tool: SpanRecord) -> None:
    post(page, tool, "say", value="pass")
    post(page, tool, "say", value="", note="on second thought")
    assert [(one.value, one.note) for one in store.labels(tool.trace_id)] == [("pass", "on second thought")]
    post(page, tool, "say", value="", note="on second thought")
    assert len(store.labels(tool.trace_id, history=True)) == 2
    post(page, tool, "unsay")
    assert [(one.value, one.note) for one in store.labels(tool.trace_id)] == [("pass", "")]
    post(page, tool, "unsay", author="bob")
    assert len(store.labels(tool.trace_id)) == 1
    post(page, tool, "unsay")
    assert store.labels(tool.trace_id) == []


def test_what_is_no_step_of_the_trace_is_refused(store: Store, page: Page, tool: SpanRecord) -> None:
    other = store.traces(TraceFilter(name="Triage"), limit=1)[0]
    form = {"value": "fail"}
    assert page.post(f"/traces/{other.id}/steps/{tool.id}/say", form).status == 404
    assert page.get(f"/traces/{other.id}/steps/{tool.id}/label?edit=1").status == 404
    assert post(page, tool, "say", value="great").status == 404
    queue = make_queue(store, "others", "random", 3, where=TraceFilter(name="Triage"))
    assert post(page, tool, "say", queue=queue.id, value="fail").status == 404
    assert store.labels() == []
    with pytest.raises(UsageError, match=f"is of the trace {tool.trace_id}"):
        store.add_label(other.id, "fail", span_id=tool.id)


def test_in_a_queue_steps_are_labelled_blind_under_its_name_and_undone_with_the_rest(
    store: Store, page: Page, tool: SpanRecord
) -> None:
    where = TraceFilter(name="SupportAgent")
    queue = make_queue(store, "agents", "random", 3, where=where, about={"label": "safe", "criterion": "No harm."})
    number = queue.trace_ids.index(tool.trace_id) + 1
    store.add_label(
        tool.trace_id, "fail", name="safe", source="judge", author="J", span_id=tool.id, note="a judge said"
    )
    store.add_label(tool.trace_id, "fail", name="safe", author="bob", span_id=tool.id, note="bob said")
    cookie = f"{page.cookie}; {COOKIE}=ann"
    here = f"/review/{queue.id}/{number}"
    assert (
        post(page, tool, "say", queue=queue.id, value="fail", note="mine").headers["location"] == f"{here}#s-{tool.id}"
    )
    label = store.labels(author="ann")[0]
    assert (label.name, label.rubric) == ("safe", "safe")
    old = label.rubric_version
    assert old
    form = {"criterion": "No harm, no money."}
    anew = page.post(f"/review/{queue.id}/criterion", form, Cookie=cookie).headers["location"].split("/")[2]
    post(page, tool, "say", queue=anew, value="", note="mine, still")
    assert store.labels(author="ann")[0].rubric_version == old
    post(page, tool, "say", queue=anew, value="fail", note="mine, still")
    assert store.labels(author="ann")[0].rubric_version not in ("", old)
    post(page, tool, "unsay", queue=anew)
    post(page, tool, "unsay", queue=anew)
    text = page.get(here, Cookie=cookie).text
    assert ("mine" in text, "a judge said" in text, "bob said" in text) == (True, False, False)
    part = page.get(f"/traces/{tool.trace_id}/steps/{tool.id}/label?queue={queue.id}", Cookie=cookie, HX_Request="true")
    assert ("mine" in part.text, "a judge said" in part.text) == (True, False)
    page.post(f"{here}/say", {"value": "fail", "seconds": "2"}, Cookie=cookie)
    text = page.get(here, Cookie=cookie).text
    assert ("mine" in text, "a judge said" in text, "bob said" in text) == (True, True, True)
    page.post(f"/review/{queue.id}/undo", {}, Cookie=cookie)
    undone = page.post(f"/review/{queue.id}/undo", {}, Cookie=cookie)
    assert undone.headers["location"] == f"{here}?said=undone#s-{tool.id}"
    assert [one.author for one in store.labels()] == ["J", "bob"]
    assert "0</b> labelled" in page.get(here, Cookie=cookie).text


def test_notes_on_steps_are_coded_with_the_rest(store: Store, page: Page, tool: SpanRecord) -> None:
    post(page, tool, "say", value="fail", note="refunds unasked", new_tags="early")
    text = page.get("/review/codes").text
    assert f"/traces/{tool.trace_id}#s-{tool.id}" in text
    assert coding.merge(store, "label", ["early"], "too early") == 1
    [label] = store.labels(tool.trace_id)
    assert (label.span_id, label.tags) == (tool.id, ("too early",))


def test_labels_of_steps_are_exported_with_the_rest(
    store: Store, page: Page, tool: SpanRecord, agent: TraceRecord, tmp_path: Path
) -> None:
    post(page, tool, "say", value="fail", note="refunds unasked")
    [kept] = store.whole([agent.id])
    sent = exported(
        Traced(kept.trace, kept.spans, kept.contents, tuple(store.labels(agent.id))), "gen_ai", content=True
    )
    told = [(one.name, event) for one in sent for event in one.events if "refunds unasked" in str(event)]
    assert [name for name, _ in told] == ["execute_tool refund"]
    export(store, tmp_path / "site")
    pages = [file.read_text() for file in (tmp_path / "site").glob("*.html")]
    assert any("refunds unasked" in text and "step-says" in text for text in pages)
    assert not any("step-form" in text or "data-say" in text for text in pages)


def test_plain_sql_knows_which_step_a_label_is_of(store: Store, page: Page, tool: SpanRecord) -> None:
    post(page, tool, "say", value="fail")
    store.add_label(tool.trace_id, "pass", author="ann")
    store.add_label(tool.trace_id, "pass", author="J", source="judge", span_id=tool.id)
    with store.reading() as connection:
        rows = connection.exec_driver_sql("SELECT span_id, step, value FROM v_labels WHERE author = 'ann'").all()
        differ = connection.exec_driver_sql("SELECT span_id, said, judged FROM v_disagreements").all()
    assert {tuple(row) for row in rows} == {(tool.id, "refund", '"fail"'), ("", None, '"pass"')}
    assert [tuple(row) for row in differ] == [(tool.id, '"fail"', '"pass"')]


def test_a_page_that_only_reads_labels_no_step(store: Store, tool: SpanRecord) -> None:
    store.add_label(tool.trace_id, "fail", author="ann", span_id=tool.id, note="refunds unasked")
    with served(store, read_only=True) as page:
        text = page.get(f"/traces/{tool.trace_id}").text
        assert "refunds unasked" in text
        assert "data-say" not in text
        assert post(page, tool, "say", value="pass").status == 403


def step_of(store: Store, tool: SpanRecord) -> list[LabelRecord]:
    return [one for one in store.labels(tool.trace_id) if one.span_id == tool.id]


def test_a_step_is_labelled_by_keys_in_its_place(chromium: Any, store: Store, page: Page, tool: SpanRecord) -> None:
    with opened(chromium, page) as seen:
        tab = seen.tab
        tab.set_default_timeout(10_000)
        seen.open(f"/traces/{tool.trace_id}#s-{tool.id}")
        tab.locator(f'.tree a[href="#s-{tool.id}"]').click()
        tab.keyboard.press("l")
        tab.locator(".step-form").wait_for()
        place = tab.evaluate("scrollY")
        tab.keyboard.press("n")
        tab.keyboard.type("refunds 1 too early, d l")
        tab.get_by_text("Saved", exact=True).wait_for()
        assert [(one.value, one.note) for one in step_of(store, tool)] == [(None, "refunds 1 too early, d l")]
        tab.keyboard.press("Escape")
        tab.keyboard.press("2")
        tab.locator(f"#m-{tool.id} .chip.fail").wait_for()
        assert [(one.value, one.note) for one in step_of(store, tool)] == [("fail", "refunds 1 too early, d l")]
        tab.wait_for_function(f"document.activeElement.id === 's-{tool.id}'")
        assert abs(tab.evaluate("scrollY") - place) < 400
        tab.reload()
        assert "refunds 1 too early" in tab.locator(f"#o-{tool.id}").inner_text()
        tab.get_by_role("button", name="Take back").click()
        tab.locator(f"#m-{tool.id} .chip.fail").wait_for(state="detached")
        assert [one.value for one in step_of(store, tool)] == [None]
        assert (seen.troubles, seen.elsewhere) == ([], [])


@pytest.mark.parametrize("look", ["light", "dark"])
def test_the_form_of_a_step_is_accessible(chromium: Any, store: Store, page: Page, tool: SpanRecord, look: str) -> None:
    store.add_label(tool.trace_id, "fail", author="ann", span_id=tool.id, note="refunds unasked", tags=["early"])
    with opened(chromium, page, bypass_csp=True, color_scheme=look, viewport=PHONE) as seen:
        for path in (f"/traces/{tool.trace_id}", f"/traces/{tool.trace_id}/steps/{tool.id}/label?edit=1"):
            seen.open(path)
            if "/steps/" not in path:
                seen.tab.locator(f"#s-{tool.id} [data-say]").click()
                seen.tab.locator(".step-form").wait_for()
            seen.tab.add_script_tag(path=AXE)
            result = seen.tab.evaluate("axe.run(document, {resultTypes: ['violations']})")
            assert [(one["id"], one["nodes"][0]["html"]) for one in result["violations"]] == []
            assert seen.tab.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def test_in_a_queue_the_keys_of_a_step_do_not_judge_the_trace(
    chromium: Any, store: Store, page: Page, tool: SpanRecord
) -> None:
    queue = store.add_queue("one", "picked", [tool.trace_id, store.traces(limit=1)[0].id], {"label": "safe"})
    with opened(chromium, page, viewport=PHONE) as seen:
        tab = seen.tab
        tab.set_default_timeout(10_000)
        seen.open(f"/review/{queue.id}/1")
        tab.keyboard.press("s")
        tab.keyboard.press("s")
        tab.keyboard.press("l")
        tab.keyboard.press("1")  # before the form is there
        tab.locator(".step-says .chip.pass").wait_for()
        assert [(one.name, one.value, bool(one.span_id)) for one in store.labels()] == [("safe", "pass", True)]
        assert f"/review/{queue.id}/1" in tab.url
        tab.keyboard.press("2")
        tab.wait_for_url(lambda url: f"/review/{queue.id}/2" in url)
        assert [(one.value, bool(one.span_id)) for one in store.labels()] == [("pass", True), ("fail", False)]
        assert (seen.troubles, seen.elsewhere) == ([], [])


def test_without_scripts_the_form_is_a_page_of_its_own(
    chromium: Any, store: Store, page: Page, tool: SpanRecord
) -> None:
    with opened(chromium, page, java_script_enabled=False) as seen:
        tab = seen.tab
        tab.set_default_timeout(10_000)
        seen.open(f"/traces/{tool.trace_id}")
        tab.locator(f"#s-{tool.id}").get_by_role("link", name="Label").click()
        tab.get_by_label("Note on this step").fill("by hand")
        tab.get_by_role("button", name="Fail").click()
        tab.wait_for_url(lambda url: url.endswith(f"/traces/{tool.trace_id}#s-{tool.id}"))
        assert [(one.value, one.note) for one in step_of(store, tool)] == [("fail", "by hand")]

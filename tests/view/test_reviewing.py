"""Labelling by forms alone: what is kept, what is hidden until one has judged, what is taken back, who may do it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from outlast.errors import UsageError
from outlast.tracing.queues import make_queue
from outlast.tracing.record import QueueRecord, TraceFilter
from outlast.tracing.store import Store
from outlast.view.corrections import Output
from outlast.view.reviewing import COOKIE, spent, tags_of
from outlast.view.schemas import choices_in, schema_in
from tests.view.kept import sample_store
from tests.view.samples import _id
from tests.view.serving import Page, served

pytestmark = pytest.mark.server

RUN = _id(60, "b")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with sample_store(tmp_path / "traces.db") as opened:
        yield opened


@pytest.fixture
def queue(store: Store) -> QueueRecord:
    return make_queue(store, "some", "random", 6, where=TraceFilter(run=RUN))


@pytest.fixture
def page(store: Store) -> Iterator[Page]:
    with served(store) as running:
        yield running


def as_ann(page: Page) -> dict[str, str]:
    return {"Cookie": f"{page.cookie}; {COOKIE}=ann"}


def say(page: Page, queue: QueueRecord, number: int, author: str = "ann", **fields: Any) -> Any:
    cookie = f"{page.cookie}; {COOKIE}={author}"
    return page.post(f"/review/{queue.id}/{number}/say", {"seconds": "7.5", **fields}, Cookie=cookie)


def test_a_verdict_is_kept_with_note_tags_author_and_time(store: Store, page: Page, queue: QueueRecord) -> None:
    answer = say(page, queue, 1, value="fail", note="wrong team", tag="routing", new_tags="Tone,  asks   twice ,")
    assert (answer.status, answer.headers["location"]) == (303, f"/review/{queue.id}/2?from=1")
    [label] = store.labels()
    assert (label.trace_id, label.value, label.note, label.author) == (queue.trace_ids[0], "fail", "wrong team", "ann")
    assert (label.tags, label.seconds_spent) == (("routing", "Tone", "asks twice"), 7.5)
    assert (label.name, label.source, label.rubric, label.rubric_version) == ("label", "human", "", "")
    assert say(page, queue, 6, value="defer").headers["location"] == f"/review/{queue.id}/done?from=6"


def test_a_note_alone_is_kept_and_a_verdict_outlives_it(store: Store, page: Page, queue: QueueRecord) -> None:
    assert say(page, queue, 1, value="keep", note="odd").headers["location"].endswith("/1?said=saved")
    assert (store.labels()[0].value, store.labels()[0].note) == (None, "odd")
    say(page, queue, 1, value="pass", note="odd")
    answer = page.post(f"/review/{queue.id}/1/say", {"note": "odd, but right"}, X_Autosave="1", **as_ann(page))
    assert answer.status == 204
    assert (store.labels()[0].value, store.labels()[0].note) == ("pass", "odd, but right")
    before = len(store.labels(history=True))
    page.post(f"/review/{queue.id}/1/say", {"note": "odd, but right"}, X_Autosave="1", **as_ann(page))
    page.post(f"/review/{queue.id}/2/say", {"note": ""}, X_Autosave="1", **as_ann(page))
    assert len(store.labels(history=True)) == before == 3


def test_undo_takes_back_the_last_and_goes_there(store: Store, page: Page, queue: QueueRecord) -> None:
    for number, value in ((1, "pass"), (2, "fail"), (2, "pass")):
        say(page, queue, number, value=value)
    undone = page.post(f"/review/{queue.id}/undo", {}, **as_ann(page))
    assert undone.headers["location"] == f"/review/{queue.id}/2?said=undone"
    assert {one.trace_id: one.value for one in store.labels()} == {
        queue.trace_ids[0]: "pass",
        queue.trace_ids[1]: "fail",
    }
    page.post(f"/review/{queue.id}/undo", {}, **as_ann(page))
    page.post(f"/review/{queue.id}/undo", {}, **as_ann(page))
    assert store.labels() == []
    nothing = page.post(f"/review/{queue.id}/undo", {"number": "4"}, **as_ann(page))
    assert nothing.headers["location"] == f"/review/{queue.id}/4?said=nothing"


def test_nobody_takes_back_what_another_said(store: Store, page: Page, queue: QueueRecord) -> None:
    say(page, queue, 1, "bob", value="pass")
    page.post(f"/review/{queue.id}/undo", {}, **as_ann(page))
    assert [one.author for one in store.labels()] == ["bob"]


def test_what_others_say_is_hidden_until_one_has_judged(store: Store, page: Page, queue: QueueRecord) -> None:
    trace = queue.trace_ids[0]
    store.add_label(trace, "fail", source="judge", author="gpt-judge", note="blames the customer")
    store.add_label(trace, "pass", author="bob", note="seems fine to me")
    path = f"/review/{queue.id}/1"
    hidden = ["gpt-judge", "blames the customer", "bob", "seems fine to me", "What others say"]
    for value in (None, "defer", "keep"):
        if value:
            say(page, queue, 1, value=value, note="hm")
        text = page.get(path, **as_ann(page)).text
        assert [word for word in hidden if word in text] == []
    say(page, queue, 1, value="pass")
    text = page.get(path, **as_ann(page)).text
    assert [word for word in hidden if word not in text] == []
    assert "differs" in text
    assert "gpt-judge says" in page.get(f"/review/{queue.id}/2?from=1", **as_ann(page)).text


def test_the_target_stands_beside_and_what_another_run_answered(page: Page, queue: QueueRecord) -> None:
    text = page.get(f"/review/{queue.id}/1").text
    assert "Expected" in text
    assert "Other runs on the same example" in text
    assert "How it came about" in text


def test_a_queue_goes_on_at_the_first_that_is_open(page: Page, queue: QueueRecord) -> None:
    for number in (1, 2, 4):
        say(page, queue, number, value="pass")
    assert page.get(f"/review/{queue.id}", **as_ann(page)).headers["location"] == f"/review/{queue.id}/3"
    assert page.get(f"/review/{queue.id}", Cookie=f"{page.cookie}; {COOKIE}=bob").headers["location"].endswith("/1")
    for number in (3, 5, 6):
        say(page, queue, number, value="fail")
    assert page.get(f"/review/{queue.id}", **as_ann(page)).headers["location"] == f"/review/{queue.id}/done"
    done = page.get(f"/review/{queue.id}/done", **as_ann(page)).text
    assert "3 pass" in done
    assert "3 fail" in done


def test_other_words_make_labels_stale_and_lose_none(store: Store, page: Page) -> None:
    about = {"label": "tone", "criterion": "The reply is kind."}
    queue = make_queue(store, "tone", "random", 3, about=about)
    say(page, queue, 1, value="fail", note="rude")
    [label] = store.labels()
    assert (label.name, label.rubric) == ("tone", "tone")
    assert label.rubric_version
    answer = page.post(f"/review/{queue.id}/criterion", {"criterion": "The reply is kind and brief."}, **as_ann(page))
    later = store.queues()[0]
    assert answer.headers["location"] == f"/review/{later.id}/1"
    assert later.trace_ids == queue.trace_ids
    text = page.get(f"/review/{later.id}/1", **as_ann(page)).text
    assert "when the criterion had other words" in text
    assert "rude" in text
    assert page.get(f"/review/{later.id}", **as_ann(page)).headers["location"].endswith("/1")
    say(page, later, 1, value="fail", note="rude")
    assert page.get(f"/review/{later.id}", **as_ann(page)).headers["location"].endswith("/2")
    assert len({one.rubric_version for one in store.labels(history=True)}) == 2
    listed = page.get("/review", **as_ann(page)).text
    assert listed.count(f'href="/review/{later.id}"') == 1
    assert queue.id not in listed


def test_jumping_is_by_number_and_by_id(page: Page, queue: QueueRecord) -> None:
    def to(text: str) -> Any:
        return page.get(f"/review/{queue.id}/jump?to={text}")

    assert to("5").headers["location"] == f"/review/{queue.id}/5"
    assert to(queue.trace_ids[2][:12]).headers["location"] == f"/review/{queue.id}/3"
    assert to("99").status == 404
    assert to("zzz").status == 404
    assert "Several traces" in to("0").text
    assert page.get(f"/review/{queue.id}/7").status == 404


def test_ids_are_told_apart_by_their_ends(store: Store, page: Page) -> None:
    ids = ["01a2291b458bdce99afdefd4edb1206c", "01a2291b42fffbc4a2031ef83a5230f3"]
    queue = store.add_queue("two", "random", ids)
    assert page.get(f"/review/{queue.id}/jump?to=3a5230f3").headers["location"].endswith("/2")
    assert page.get(f"/review/{queue.id}/jump?to=%E2%80%A6edb1206c").headers["location"].endswith("/1")
    done = page.get(f"/review/{queue.id}/done").text
    assert [f'title="{id}">…{id[-8:]}<' in done for id in ids] == [True, True]


def test_a_trace_shows_its_notes_and_leads_to_its_review(store: Store, page: Page, queue: QueueRecord) -> None:
    inside, alone = queue.trace_ids[0], next(t.id for t in store.traces(limit=50) if t.id not in queue.trace_ids)
    store.add_label(inside, "fail", author="bob", note="blames <b>the customer</b>")
    text = page.get(f"/traces/{inside}").text
    assert "<p>blames &lt;b&gt;the customer&lt;/b&gt;</p>" in text
    assert f'href="/review/{queue.id}/1"' in text
    assert f'value="{alone}">Review this trace' in page.get(f"/traces/{alone}").text
    there = page.post("/review/trace", {"id": alone}).headers["location"]
    assert page.get(there).status == 200
    assert page.post("/review/trace", {"id": alone}).headers["location"] == there
    assert page.post("/review/trace", {"id": inside}).headers["location"] == f"/review/{queue.id}/1"
    assert page.post("/review/trace", {"id": "zzz"}).status == 404


def test_a_queue_is_made_by_the_form(store: Store, page: Page) -> None:
    fields = {"strategy": "stratified", "by": "status", "n": "4", "called": "mix", "name": "Triage", "label": "ok?"}
    answer = page.post("/review/make", fields, **as_ann(page))
    [queue] = store.queues()
    assert answer.headers["location"] == f"/review/{queue.id}"
    assert (queue.name, queue.strategy, len(queue.trace_ids), queue.about["label"]) == ("mix", "stratified", 4, "ok?")
    assert queue.about["filter"] == {"name": "Triage"}
    assert page.post("/review/make", {"n": "5000"}).status == 400
    assert page.post("/review/make", {"name": "nobody"}).status == 400
    assert "279" in page.get("/review").text or "fit" in page.get("/review").text


def test_who_labels_is_remembered_and_a_path_leads_nowhere_else(page: Page) -> None:
    answer = page.post("/review/me", {"author": " Änne  K ", "back": "/review"})
    assert answer.headers["location"] == "/review"
    assert "HttpOnly" in answer.headers["set-cookie"]
    cookie = answer.headers["set-cookie"].partition(";")[0]
    assert "Änne K" in page.get("/review", Cookie=f"{page.cookie}; {cookie}").text
    for back in ("//evil.example", "https://evil.example", "/traces", "/review/../../x", "/\\evil.example", ""):
        assert page.post("/review/me", {"author": "x", "back": back}).headers["location"] == "/review"
    assert page.post("/review/me", {"author": "  "}).status == 400


def test_a_trace_that_was_removed_stops_nobody(store: Store, page: Page) -> None:
    queue = store.add_queue("gone", "random", ["0" * 31 + "f", store.traces(limit=1)[0].id], {})
    assert "no longer in the store" in page.get(f"/review/{queue.id}/1").text
    assert page.get(f"/review/{queue.id}/2").status == 200


FORMS = ["make", "me", "{queue}/criterion", "{queue}/undo", "{queue}/1/say"]


@pytest.mark.parametrize("path", FORMS)
def test_another_page_changes_nothing(store: Store, page: Page, queue: QueueRecord, path: str) -> None:
    where = f"/review/{path.format(queue=queue.id)}"
    fields = {"value": "pass", "author": "x", "criterion": "y"}
    assert page.post(where, fields, Origin="http://evil.example").status == 403
    assert page.post(where, fields, X_Form_Token="").status == 403
    assert page.post(where, fields, Cookie="").status == 401
    assert (store.labels(), len(store.queues())) == ([], 1)


def test_a_store_that_is_read_only_stays_as_it_is(store: Store, queue: QueueRecord) -> None:
    with served(store, read_only=True) as page:
        assert say(page, queue, 1, value="pass").status == 403
        assert re.search(r'value="pass"[^>]* disabled', page.get(f"/review/{queue.id}/1").text)
    assert store.labels() == []


def test_time_is_what_the_browser_counted_within_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1_000.0)
    assert spent(990.0, None) == 10.0
    assert spent(990.0, 3.21) == 3.2
    assert spent(None, None) == 0.0
    assert spent(0.0, 1e9) == 1_800.0
    assert spent(5_000.0, None) == 0.0


def test_tags_are_few_short_and_each_once() -> None:
    assert tags_of(["a", "b"], "b, c ,,a") == ("a", "b", "c")
    assert len(tags_of([str(number) for number in range(99)], "")) == 12
    assert len(tags_of([], "x" * 500)[0]) == 60


def test_the_right_answer_is_kept_as_labels_named_after_the_outputs(
    store: Store, page: Page, queue: QueueRecord
) -> None:
    trace = queue.trace_ids[0]
    outputs = store.content(store.spans(trace)[0]).outputs
    text = page.get(f"/review/{queue.id}/1", **as_ann(page)).text
    assert "What it should have been" in text
    assert re.search(
        rf'<select [^>]*name="right.team".*<option value="{outputs["team"]}" selected>{outputs["team"]}</option>', text
    )
    assert re.search(r'<(input|textarea) [^>]*name="right.reasoning"', text)
    team = next(one for one in ("cards", "billing") if one != outputs["team"])
    fields = {f"{before}.{name}": value for before in ("was", "right") for name, value in outputs.items()}
    say(page, queue, 1, value="fail", **{**fields, "right.team": team, "right.reasoning": "Cards, says he."})
    assert {(one.name, one.value, one.source, one.author) for one in store.labels()} == {
        ("label", "fail", "human", "ann"),
        ("team", team, "human", "ann"),
        ("reasoning", "Cards, says he.", "human", "ann"),
    }
    again = page.get(f"/review/{queue.id}/1", **as_ann(page)).text
    assert f"came: {outputs['team']}" in again
    say(
        page,
        queue,
        1,
        value="keep",
        **{**fields, "was.team": team, "right.reasoning": "Cards, says he.", "was.reasoning": "Cards, says he."},
    )
    assert {one.name for one in store.labels()} == {"label", "reasoning"}


def test_what_is_no_right_answer_is_refused_and_none_is_kept_while_one_writes(
    store: Store, page: Page, queue: QueueRecord
) -> None:
    assert "is one of" in say(page, queue, 1, value="fail", **{"right.team": "the moon", "was.team": "?"}).text
    page.post(f"/review/{queue.id}/1/say", {"note": "x", "right.reasoning": "Car"}, X_Autosave="1", **as_ann(page))
    say(page, queue, 1, value="pass", **{"right.nobody": "x", "right.label": "x"})
    assert [one.name for one in store.labels()] == ["label"]


def test_what_is_written_becomes_a_value_of_the_kind_that_came() -> None:
    assert Output("n", "number", 3, 3).read("7") == 7
    assert Output("n", "number", 0.5, 0.5).read("7.25") == 7.25
    assert Output("ok", "truth", True, True, (True, False)).read("no") is False
    assert Output("said", "text", "7", "7").read("8") == "8"
    with pytest.raises(UsageError, match="is a number; got 'high'"):
        Output("n", "number", 3, 3).read("high")
    with pytest.raises(UsageError, match="is a number"):
        Output("n", "number", 3, 3).read("nan")


def test_the_program_says_which_values_there_are() -> None:
    def allowed(name: str, line: str) -> tuple[Any, ...]:
        return choices_in(schema_in(name, line))

    line = "output team: {'enum': ['a | b', 'c'], 'type': 'string'} | the team | of today"
    assert allowed("team", line) == ("a | b", "c")
    assert allowed("team", "output team: {'anyOf': [{'const': 'x'}, {'type': 'null'}]} | ") == ("x",)
    assert allowed("team", "output team: {'anyOf': [{'const': 'x'}, {'type': 'string'}]} | ") == ()
    assert allowed("team", "output team: {'type': 'string'} | an 'enum' of teams") == ()


def test_numbers_and_ids_that_no_store_holds_are_not_found(page: Page, queue: QueueRecord) -> None:
    assert page.get(f"/runs/{RUN}/rows/0/0").status == 200
    for digits in ("9" * 15, "9" * 21, "9" * 5_000):
        for path in (f"/runs/{RUN}/rows/{digits}/0", f"/runs/{RUN}/rows/0/{digits}", f"/review/{queue.id}/{digits}"):
            assert page.get(path).status == 404, path[:60]
        assert page.get(f"/review/{queue.id}/1?from={digits}", **as_ann(page)).status == 200
    for path in ("/traces/{}", "/runs/{}", "/traces/{}/steps/a", "/review/{}", "/compare?a={}&b={}"):
        for id in ("%ED%A0%80", "%FF", "%00"):
            assert page.get(path.replace("{}", id)).status in (400, 404), path

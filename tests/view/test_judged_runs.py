"""Evaluations that a judge scored: reviewed blind, then beside its verdict, and measured version by version."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import outlast as ol
from outlast.testing import JudgingLM, ScriptedLM
from outlast.tracing.judged import judged_runs
from outlast.tracing.queues import choose, make_queue
from outlast.tracing.record import QueueRecord, RunRecord, TraceFilter
from outlast.tracing.saving import WholeTrace
from outlast.tracing.store import Store, open_store
from outlast.view.opinions import judges
from outlast.view.reviewing import COOKIE
from tests.view.serving import Page, served

pytestmark = pytest.mark.server

TONE = ol.Rubric("tone", "The reply is friendly.")
DATA = ol.Dataset([ol.Example({"message": f"message {n}"}) for n in range(8)])


class Reply(ol.Signature):
    """Reply to the customer."""

    message: str = ol.input()
    reply: str = ol.output()


def evaluate(store: Path, decide: Any, rubric: ol.Rubric = TONE, name: str = "judge-1") -> None:
    judge = ol.Judge(rubric, ["message", "reply"], lm=JudgingLM(decide, name=name))
    with ol.trace(store=store), ol.context(lm=ScriptedLM(lambda messages: {"reply": f"on {messages[-1].text[-1]}"})):
        ol.evaluate(ol.Predict(Reply), DATA, judge)


def strict(fields: Mapping[str, str]) -> str:
    return "fail"


def even(fields: Mapping[str, str]) -> str:
    return "pass" if int(fields["message"].split()[1]) % 2 == 0 else "fail"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    evaluate(tmp_path / "traces.db", strict)
    return tmp_path / "traces.db"


@pytest.fixture
def store(place: Path) -> Iterator[Store]:
    with open_store(place) as made:
        yield made


@pytest.fixture
def run(store: Store) -> RunRecord:
    return store.runs(kind="eval")[0]


@pytest.fixture
def queue(store: Store, run: RunRecord) -> QueueRecord:
    return make_queue(store, "rows", "random", 8, where=TraceFilter(run=run.id), about={"label": "tone"})


@pytest.fixture
def page(store: Store) -> Iterator[Page]:
    with served(store) as running:
        yield running


def ann(page: Page) -> dict[str, str]:
    return {"Cookie": f"{page.cookie}; {COOKIE}=ann"}


def test_the_verdict_of_the_judge_is_shown_after_ones_own(page: Page, queue: QueueRecord) -> None:
    here = f"/review/{queue.id}/1"
    before = page.get(here, **ann(page)).text
    assert not re.search(r"It is fail|chip fail|expected|judge-1", before)
    page.post(f"{here}/say", {"value": "defer", "seconds": "1"}, **ann(page))
    assert "It is fail" not in page.get(here, **ann(page)).text
    page.post(f"{here}/say", {"value": "pass", "seconds": "1"}, **ann(page))
    after = page.get(here, **ann(page)).text
    assert "It is fail" in after
    assert "differs" in after
    assert after.count("It is fail") == 1
    following = page.get(f"/review/{queue.id}/2?from=1", **ann(page)).text
    said = following.split('class="before"')[1].split("</p>")[0]
    assert "says" in said
    assert "differs" in said
    assert "It is fail" not in following


@pytest.mark.parametrize("strategy", ["failures", "disagreement", "uncertain"])
def test_why_a_trace_is_in_a_queue_tells_no_verdict_before_ones_own(
    store: Store, page: Page, run: RunRecord, strategy: str
) -> None:
    ids = [one.id for one in store.traces(TraceFilter(run=run.id))]
    for id in ids[:2]:
        store.add_label(id, "pass", name="tone", author="bob")
        store.add_label(id, 0.45, name="tone", author="J", source="judge")
    queue = make_queue(store, strategy, strategy, 2, where=TraceFilter(run=run.id), about={"label": "tone"})
    reason = dict(queue.about["reasons"])[queue.trace_ids[0]]
    page_of = f"/review/{queue.id}/1"
    assert reason not in page.get(page_of, **ann(page)).text
    page.post(f"{page_of}/say", {"value": "pass", "seconds": "1"}, **ann(page))
    assert reason in page.get(page_of, **ann(page)).text.replace("&#39;", "'")


def test_people_against_the_judge_of_an_evaluation_are_a_queue(store: Store, run: RunRecord) -> None:
    ids = [one.id for one in store.traces(TraceFilter(run=run.id))]
    store.add_label(ids[3], "pass", name="tone", author="ann")
    store.add_label(ids[4], "fail", name="tone", author="ann")
    queue = make_queue(store, "split", "disagreement", 5, where=TraceFilter(run=run.id), evaluated=True)
    assert queue.trace_ids == (ids[3],)


def test_the_page_of_judges_holds_every_version_of_one_against_people(store: Store, page: Page, place: Path) -> None:
    assert "no verdict of people" in page.get("/review/judges").text
    evaluate(place, even, name="judge-2")
    evaluate(place, even, ol.Rubric("tone", "The reply is friendly, and short."), name="judge-2")
    for run in store.runs(kind="eval"):
        for trace in store.traces(TraceFilter(run=run.id)):
            number = int(store.content(store.spans(trace.id)[0]).inputs["message"].split()[1])
            store.add_label(trace.id, "pass" if number % 2 == 0 else "fail", name="tone", author="ann")
    found = judges(store.labels(), judged_runs(store))
    assert [(one.name, one.n, one.labels, one.equal.value) for one in found] == [
        ("tone", 8, 8, 0.5),
        ("tone", 8, 8, 1.0),
        ("tone", 8, 8, 1.0),
    ]
    assert len({one.title for one in found}) == 3
    assert found[0].version == found[1].version == TONE.version != found[2].version
    text = page.get("/review/judges").text
    assert "judge-1" in text
    assert "judge-2" in text
    assert "Over versions" in text


def test_the_page_of_judges_is_a_click_away(page: Page, run: RunRecord) -> None:
    assert 'href="/review/judges"' in page.get("/review").text
    assert 'href="/review/judges?judge=' in page.get(f"/runs/{run.id}").text


def test_the_page_counts_what_a_queue_could_have(store: Store, page: Page, run: RunRecord) -> None:
    """Not what the judge was asked of each row, nor a trace that is still open."""
    one = store.traces(TraceFilter(run=run.id, name="Predict"), limit=1)[0]
    still = replace(one, id="ab" * 16, status="open", seconds=None)
    store.save_records([], [WholeTrace(still)])
    assert store.count(TraceFilter(run=run.id)) == 17
    for query in (f"run={run.id}", "evaluated=yes"):
        assert re.findall(r'class="muted fit">(\d+) fit', page.get(f"/review?{query}").text) == ["8"]
    assert "0 fit<" in page.get("/review").text
    chosen = choose(store, "random", 50, evaluated=True)
    assert (chosen.pool, chosen.fitting, len(chosen.trace_ids)) == (8, 8, 8)
    assert choose(store, "random", 1, evaluated=True, most=2).fitting == 8
    assert store.count(TraceFilter(metrics=True)) == 8

"""Runs of the store as evaluations, with the numbers of `outlast.evals`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import outlast as ol
from outlast.errors import DataError
from outlast.testing import ScriptedLM
from outlast.tracing.record import ResultRecord, RunRecord
from outlast.tracing.store import Store, open_store
from outlast.tracing.switch import flush
from outlast.view.evaluations import (
    comparison_of,
    evaluation_of,
    figures_of,
    group_key,
    groups_of,
    lost_clusters,
    slice_fields,
)
from tests.view.samples import _id, filled, sample_records
from tests.view.serving import served

BEFORE, AFTER = _id(60, "b"), _id(70, "b")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with closing(filled(tmp_path_factory.mktemp("sample") / "traces.db", sample_records())) as made:
        yield made


def test_a_run_becomes_an_evaluation(store: Store) -> None:
    run = store.run(BEFORE)
    evaluation = evaluation_of(store, run)
    assert evaluation.n == 120
    assert {state: count for state, count in evaluation.states.items() if count} == {"pass": 80, "fail": 37, "error": 3}
    assert evaluation.score.value == pytest.approx(run.summary["score"])
    assert evaluation.rows[30].error is not None
    assert evaluation.rows[30].error.type == "ParseError"


def test_two_runs_are_compared_with_the_statistics_of_compare(store: Store) -> None:
    result = comparison_of(store, store.run(BEFORE), store.run(AFTER), "team")
    assert (result.verdict, result.paired.wins, result.paired.losses) == ("better", 20, 1)
    assert slice_fields(result) == ["lang", "team"]
    assert {one.value for one in result.slices} == {"cards", "transfers", "identity", "billing"}
    assert comparison_of(store, store.run(BEFORE), store.run(AFTER), "team") is result  # finished runs, once


def test_runs_of_different_metrics_are_not_compared(store: Store) -> None:
    other = replace(store.run(AFTER), metric="ff" * 16, status="open")
    with pytest.raises(DataError, match="different metrics"):
        comparison_of(store, store.run(BEFORE), other, "")


def test_a_run_without_results_says_so(store: Store) -> None:
    with pytest.raises(DataError, match="no results"):
        evaluation_of(store, store.run(_id(1, "a")))


def test_errors_are_grouped_by_what_they_say() -> None:
    rows = [ResultRecord("r", n, error=f"Timeout: after {n} s\nin request {n:04d}") for n in range(5)]
    rows.append(ResultRecord("r", 9, error="ParseError: no field"))
    groups = groups_of(rows)
    assert [(one.count, one.key) for one in groups] == [
        (5, "Timeout: after # s in request #"),
        (1, "ParseError: no field"),
    ]
    assert group_key(groups[0].key) == groups[0].key  # it stands in an address


@pytest.mark.parametrize(
    "summary",
    [{}, {"score": None, "low": [1], "states": 3, "spending": [], "n": "x"}, {"score": True}, {"low": "ab"}],
)
def test_a_summary_of_no_known_form_gives_no_figures(summary: dict[str, object]) -> None:
    figures = figures_of(RunRecord("r", "eval", summary=summary))
    assert (figures.n, figures.score, figures.cost, figures.tokens) == (None, None, None, None)


def test_figures_are_those_of_the_summary() -> None:
    told = {
        "score": 0.5,
        "low": 0.4,
        "high": 0.6,
        "n": 10,
        "spending": {"dollars": 0.25, "calls": 10, "input_tokens": 5, "output_tokens": 6},
    }
    figures = figures_of(RunRecord("r", "eval", summary=told))
    assert (figures.score, figures.low, figures.high, figures.cost, figures.tokens, figures.share) == (
        0.5,
        0.4,
        0.6,
        0.25,
        11,
        True,
    )
    assert not figures_of(RunRecord("r", "eval", summary={"score": 3.5})).share


class Guess(ol.Signature):
    """Name the team."""

    message: str = ol.input()
    lang: str = ol.input()
    team: str = ol.output()


@ol.metric
def exact(example: Any, out: Any) -> bool:
    return out.team == example.team


def guessing(wrong: int) -> ScriptedLM:
    """A model that is wrong now and then, and once says nothing that can be read."""

    def reply(messages: Any) -> str:
        number = int(messages[-1].text.split("message ")[1].split()[0])
        if number == 39:
            return "no idea"
        return f"<<team>>\n{'x' if number % wrong == 0 else 'ab'[number % 2]}\n<<end>>"

    return ScriptedLM(reply)


def test_stored_runs_give_what_the_evaluations_themselves_give(tmp_path: Path) -> None:
    langs = ["en", "de", "fr"]
    data = [ol.Example({"message": f"message {n} .", "lang": langs[n % 3]}, {"team": "ab"[n % 2]}) for n in range(40)]
    results: list[Any] = []
    with ol.trace(store=tmp_path / "traces.db"):
        for wrong in (2, 5):
            with ol.context(lm=guessing(wrong)):
                results.append(ol.evaluate(ol.Predict(Guess), data, exact, cluster="lang", progress=False))
    assert flush()
    with open_store(tmp_path / "traces.db", read_only=True) as store:
        after, before = store.runs(kind="eval")
        stored, live = comparison_of(store, before, after, "lang"), ol.compare(*results, by="lang")
        assert stored.headline == live.headline
        assert [one.to_json() for one in stored.slices] == [one.to_json() for one in live.slices]
        assert not lost_clusters(before, stored.a)
        assert stored.a.about == live.a.about
        figures = figures_of(after)
        assert (figures.score, figures.n) == (results[1].score.value, 40)
        assert evaluation_of(store, after).score.value == pytest.approx(results[1].score.value)
        with served(store) as page:
            assert live.verdict in page.get(f"/compare?a={before.id}&b={after.id}&by=lang").text
            row = page.get(f"/runs/{after.id}/rows/39/0").text
            assert "message 39" in row
            assert "Trace" in row

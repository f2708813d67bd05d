"""Runs of the store as evaluations, with the numbers of `outlast.evals`."""

from __future__ import annotations

from dataclasses import replace

import pytest

from outlast.errors import DataError
from outlast.tracing.record import ResultRecord, RunRecord
from outlast.view.evaluations import comparison_of, evaluation_of, figures_of, group_key, groups_of, slice_fields
from tests.view.fakes import FakeStore
from tests.view.samples import _id, sample_records

BEFORE, AFTER = _id(60, "b"), _id(70, "b")


@pytest.fixture(scope="module")
def store() -> FakeStore:
    return FakeStore(sample_records())


def test_a_run_becomes_an_evaluation(store: FakeStore) -> None:
    run = store.run(BEFORE)
    evaluation = evaluation_of(store, run)
    assert evaluation.n == 120
    assert evaluation.states == {"pass": 80, "fail": 37, "error": 3, "unscored": 0} or evaluation.states["pass"] == 80
    assert evaluation.score.value == pytest.approx(run.summary["score"])
    assert evaluation.rows[30].error is not None
    assert evaluation.rows[30].error.type == "ParseError"


def test_two_runs_are_compared_with_the_statistics_of_compare(store: FakeStore) -> None:
    result = comparison_of(store, store.run(BEFORE), store.run(AFTER), "team")
    assert (result.verdict, result.paired.wins, result.paired.losses) == ("better", 20, 1)
    assert slice_fields(result) == ["lang", "message", "team"] or "team" in slice_fields(result)
    assert {one.value for one in result.slices} == {"cards", "transfers", "identity", "billing"}
    assert comparison_of(store, store.run(BEFORE), store.run(AFTER), "team") is result  # finished runs, once


def test_runs_of_different_metrics_are_not_compared(store: FakeStore) -> None:
    other = replace(store.run(AFTER), metric="length", status="open")
    with pytest.raises(DataError, match="different metrics"):
        comparison_of(store, store.run(BEFORE), other, "")


def test_a_run_without_results_says_so(store: FakeStore) -> None:
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
    [{}, {"score": None, "interval": [1], "states": 3, "spending": [], "n": "x"}, {"score": True}, {"interval": "ab"}],
)
def test_a_summary_of_no_known_form_gives_no_figures(summary: dict[str, object]) -> None:
    figures = figures_of(RunRecord("r", "eval", summary=summary))
    assert (figures.n, figures.score, figures.cost, figures.tokens) == (None, None, None, None)


def test_figures_are_those_of_the_summary() -> None:
    told = {
        "score": 0.5,
        "interval": [0.4, 0.6],
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

"""A search from outside: its curve with what was paid, means by part, whether it runs, where each line came from."""

from __future__ import annotations

import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.optimize.test_explain import FIRST, SECOND, THIRD, compiled

from outlast.errors import StudyError
from outlast.optimize.summary import summarize
from outlast.optimize.watching import chain_of, effect_on, explain_candidate, watch


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return compiled(tmp_path_factory.mktemp("watch") / "steps.study.db")


@pytest.fixture
def unfinished(found: Any, tmp_path: Path) -> Path:
    """The same ledger as it was before its report was written."""
    path = tmp_path / "unfinished.study.db"
    with closing(sqlite3.connect(found.ledger)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(found.ledger, path)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("DELETE FROM event WHERE kind = 'report'")
    return path


def named(watched: Any) -> dict[str, str]:
    """The ids of the candidates by what made them."""
    return {one.origin: one.id for one in watched.summary.candidates}


def test_the_curve_has_what_was_paid_at_each_point(found: Any) -> None:
    seen = watch(found.ledger)
    assert [one.point for one in seen.moments] == list(summarize(found.ledger).points)
    paid = [one.paid_calls for one in seen.moments]
    assert paid == sorted(paid)
    assert 0 < paid[0] <= paid[-1] <= seen.summary.spending.calls
    assert {one.dollars for one in seen.moments} == {None}  # this model is free
    assert seen.began <= seen.moments[0].at <= seen.moments[-1].at <= seen.changed


def test_dollars_add_up_where_prices_are_known(found: Any, unfinished: Path) -> None:
    with closing(sqlite3.connect(unfinished)) as db, db:
        db.execute("UPDATE reply SET dollars = 0.5 WHERE paid")
    seen = watch(unfinished)
    assert [one.dollars for one in seen.moments] == [one.paid_calls * 0.5 for one in seen.moments]


def test_candidates_stand_in_order_with_their_means_by_part(found: Any) -> None:
    seen = watch(found.ledger)
    assert seen.order[0] == "start"
    assert set(seen.order) == {one.id for one in seen.summary.candidates}
    assert seen.order.index(named(seen)["both"]) < seen.order.index(named(seen)["more"])
    for one in seen.summary.candidates:
        mean = seen.means.get(one.id, {}).get("select")
        assert (mean and mean.n, mean and mean.value) == (one.n or None, one.mean)
    assert seen.means["start"]["train"].n == 12
    assert seen.means["start"]["confirm"].n == seen.means[seen.leader]["confirm"].n > 0
    assert [one.origin for one in chain_of(seen.by_id, seen.leader)][1:] == ["reflected", "both", "more"]


def test_it_says_whether_a_search_runs(found: Any, unfinished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert watch(found.ledger).state == "done"
    assert watch(unfinished).state == "running"
    now = time.time()
    monkeypatch.setattr("time.time", lambda: now + 3_600)
    assert watch(unfinished).state == "stopped"
    assert watch(found.ledger).state == "done"


def test_the_winner_is_explained_as_its_record_says(found: Any) -> None:
    told = explain_candidate(found.ledger, watch(found.ledger).leader)
    steps = {part.text: part.step for part in told.parts}
    assert steps == {"Give back the number.": 0, FIRST: 1, SECOND: 4, THIRD: 3}
    assert [one.how for one in told.lineage] == ["reflected", "both", "more", "reflected"]
    assert (told.own, told.removed) == (3, {"instruction": ("Take your time.",)})
    assert told.lineage[0].siblings == 2
    assert told.lineage[0].failures[0].said.startswith("expected")
    assert told.lineage[0].effect is not None


def test_anybody_else_is_explained_while_it_runs(unfinished: Path) -> None:
    seen = watch(unfinished)
    told = explain_candidate(unfinished, named(seen)["more"], seen)
    steps = {part.text: part.step for part in told.parts}
    assert steps == {"Give back the number.": 1, FIRST: 1, SECOND: 2, THIRD: 3}
    assert [one.how for one in told.lineage] == ["reflected", "both", "more"]
    assert explain_candidate(unfinished, "start", seen).parts == ()
    with pytest.raises(StudyError, match="no candidate 'nobody'"):
        explain_candidate(unfinished, "nobody")


def test_the_effect_of_a_change_is_paired(found: Any) -> None:
    ids = named(watch(found.ledger))
    effect = effect_on(found.ledger, ids["both"], "start", "select")
    assert effect is not None
    assert effect.low is not None
    assert effect.difference > effect.low > 0
    assert effect_on(found.ledger, ids["both"], "start", "confirm") is None


def test_what_is_no_ledger_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="no ledger"):
        watch(tmp_path / "nothing.db")

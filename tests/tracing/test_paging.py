"""Lists that are read a page at a time: none is skipped and none comes twice, however many began at one moment."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import outlast as ol
from outlast.errors import UsageError
from outlast.tracing.record import RunRecord, TraceFilter, TraceRecord
from outlast.tracing.saving import WholeTrace

MOMENT = 1_795_989_110.1234567


def traces(number: int, started: float = MOMENT, first: int = 0) -> list[WholeTrace]:
    return [
        WholeTrace(TraceRecord(f"{at:032x}", name="many", started=started, seconds=0.1, status="ok", input=str(at)))
        for at in range(first, first + number)
    ]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ol.Store]:
    with ol.open_store(tmp_path / "traces.db", create=True) as opened:
        yield opened


def pages(store: ol.Store, limit: int, **how: Any) -> list[list[str]]:
    found: list[list[str]] = []
    page = store.traces(limit=limit, **how)
    while True:
        found.append([one.input for one in page])
        if page.next is None:
            return found
        page = store.traces(limit=limit, before=page.next, **how)


def test_traces_of_one_moment_come_once_each_the_last_that_was_kept_first(store: ol.Store) -> None:
    store.save_records([], traces(7))
    assert pages(store, 3) == [["6", "5", "4"], ["3", "2", "1"], ["0"]]
    assert pages(store, 7) == [["6", "5", "4", "3", "2", "1", "0"]]
    assert pages(store, 1) == [[str(at)] for at in range(6, -1, -1)]


def test_moments_that_differ_by_the_smallest_number_are_told_apart(store: ol.Store) -> None:
    import math

    moments = [MOMENT, MOMENT, math.nextafter(MOMENT, math.inf), math.nextafter(MOMENT, math.inf), MOMENT - 1]
    for at, started in enumerate(moments):
        store.save_records([], traces(1, started, at))
    assert pages(store, 1) == [["3"], ["2"], ["1"], ["0"], ["4"]]


def test_a_place_holds_when_its_trace_goes_and_others_come(store: ol.Store) -> None:
    store.save_records([], traces(6))
    first = store.traces(limit=2)
    assert [one.input for one in first] == ["5", "4"]
    with store.database.changing() as connection:
        connection.exec_driver_sql("DELETE FROM traces WHERE id = ?", (first[-1].id,))
    store.save_records([], traces(2, MOMENT + 1, 100))
    assert [one.input for one in store.traces(limit=9, before=first.next)] == ["3", "2", "1", "0"]


def test_pages_of_a_filter_and_all_of_them(store: ol.Store) -> None:
    store.save_records([], [*traces(5), *traces(5, MOMENT - 10, 5)])
    assert pages(store, 2, where=TraceFilter(since=MOMENT)) == [["4", "3"], ["2", "1"], ["0"]]
    inputs = [one.input for one in store.all_traces()]
    assert inputs == ["4", "3", "2", "1", "0", "9", "8", "7", "6", "5"]
    assert [one.input for one in store.all_traces(limit=6)] == inputs[:6]
    assert list(store.all_traces(limit=0)) == []


def test_all_traces_reads_more_than_a_page_of_one_moment(store: ol.Store) -> None:
    store.save_records([], traces(2_100))
    assert [int(one.input) for one in store.all_traces()] == list(range(2_099, -1, -1))


def test_before_takes_a_moment_too(store: ol.Store) -> None:
    store.save_records([], [*traces(2), *traces(2, MOMENT - 10, 2)])
    for moment in (MOMENT, repr(MOMENT)):
        assert [one.input for one in store.traces(before=moment)] == ["3", "2"]
    assert store.traces(before=int(MOMENT) - 100) == []


def test_runs_of_one_moment_come_once_each(store: ol.Store) -> None:
    store.save_records([RunRecord(f"{at:032x}", "eval", started=MOMENT) for at in range(5)], [])
    page = store.runs(limit=2)
    seen = [run.id for run in page]
    while page.next is not None:
        page = store.runs(limit=2, before=page.next)
        seen += [run.id for run in page]
    assert seen == [f"{at:032x}" for at in range(4, -1, -1)]


def test_a_page_is_a_list_and_ends(store: ol.Store) -> None:
    assert store.traces() == []
    assert store.traces().next is None
    store.save_records([], traces(1))
    assert store.traces(limit=0) == []
    assert store.traces(limit=0).next is None
    assert store.traces(limit=1).next is None


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "~",
        "1~",
        "x~1",
        "1~x",
        "inf~1",
        "nan",
        "1~9223372036854775808",
        "1~1~1",
        "1~'",
        True,
        float("nan"),
        [1],
        b"1~1",
    ],
)
def test_what_is_no_place_is_refused(store: ol.Store, bad: Any) -> None:
    with pytest.raises(UsageError, match="`next` of a page"):
        store.traces(before=bad)


def test_what_is_no_place_of_a_run_is_refused(store: ol.Store) -> None:
    with pytest.raises(UsageError, match="`next` of a page"):
        store.runs(before="1~not-hex")

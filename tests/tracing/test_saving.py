"""Whole records in and out of a store."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.tracing.otel.records import contents, spans, trace

import outlast as ol
from outlast.errors import UsageError
from outlast.tracing.record import Content, ResultRecord, RunRecord
from outlast.tracing.saving import Saved, WholeTrace

FIRST = WholeTrace(trace(), tuple(spans()), contents())
OTHER = WholeTrace(replace(trace(), id="f" * 32))


def test_what_goes_in_comes_out(tmp_path: Path) -> None:
    run = RunRecord(trace().run_id, "import", "a run", "done", 1.0, 2.0, summary={"a": 1}, attributes={"b": [2]})
    result = ResultRecord(run.id, 3, 1, "ex", trace().id, "pass", 1.0, "good", {"m": 0.5}, inputs={"q": 1}, outputs="x")
    with ol.open_store(tmp_path / "t.db", create=True) as store:
        saved = store.save_records([run], [replace(FIRST, result=result), OTHER])
        assert saved == Saved(runs=1, traces=2, spans=5, results=1)
        assert store.run(run.id) == run
        assert store.results(run.id) == [result]
        assert store.whole([OTHER.trace.id, FIRST.trace.id, "0" * 32]) == [OTHER, FIRST]
        assert store.whole([FIRST.trace.id], contents=False) == [replace(FIRST, contents={})]


def test_the_same_ids_replace_what_is_there(tmp_path: Path) -> None:
    with ol.open_store(tmp_path / "t.db", create=True) as store:
        store.save_records([], [FIRST])
        store.save_records([], [replace(FIRST, trace=replace(FIRST.trace, output="new"))])
        assert (store.count(), store.trace(FIRST.trace.id).output) == (1, "new")
        assert len(store.spans(FIRST.trace.id)) == 5


def test_a_request_that_cannot_be_sent_again_is_lost_alone(tmp_path: Path) -> None:
    broken = {**contents(), f"{3:016x}": Content(None, None, {"messages": [{"role": "alien"}]}, None)}
    with ol.open_store(tmp_path / "t.db", create=True) as store:
        store.save_records([], [replace(FIRST, contents=broken)])
        found = store.contents(FIRST.trace.id)
        assert found[f"{3:016x}"].request is None
        assert found[f"{4:016x}"] == contents()[f"{4:016x}"]


def test_many_are_written_a_few_hundred_at_a_time(tmp_path: Path) -> None:
    many = (replace(OTHER, trace=replace(OTHER.trace, id=f"{n:032x}", started=float(n))) for n in range(1001))
    with ol.open_store(tmp_path / "t.db", create=True) as store:
        assert store.save_records([], many).traces == 1001
        assert store.count() == 1001


def test_an_error_in_the_midst_keeps_what_was_written(tmp_path: Path) -> None:
    def broken():
        for n in range(500):
            yield replace(OTHER, trace=replace(OTHER.trace, id=f"{n:032x}"))
        raise RuntimeError("the source is gone")

    with ol.open_store(tmp_path / "t.db", create=True) as store:
        with pytest.raises(RuntimeError, match="the source is gone"):
            store.save_records([], broken())
        assert store.count() == 400


def test_too_many_at_once_are_refused(tmp_path: Path) -> None:
    with ol.open_store(tmp_path / "t.db", create=True) as store, pytest.raises(UsageError, match="500 ids at most"):
        store.whole(str(n) for n in range(501))

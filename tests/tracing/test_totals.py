"""What runs came to, added up by the store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import outlast as ol
from outlast.errors import UsageError
from outlast.messages import Response, Usage
from outlast.runtime import set_defaults
from outlast.testing import ScriptedLM
from outlast.tracing.record import RunRecord, TraceRecord
from outlast.tracing.saving import WholeTrace
from outlast.tracing.switch import flush
from outlast.tracing.totals import RunTotals


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "traces.db"
    set_defaults(recording=None)
    flush()


def answering(*costs: float | None) -> ScriptedLM:
    return ScriptedLM([Response("<<answer>>\nx\n<<end>>", "s", usage=Usage(10, 5, cost=cost)) for cost in costs])


def ask(lm: Any, count: int = 1) -> None:
    program = ol.Predict("question -> answer", lm=lm)
    for _ in range(count):
        program(question="q")


def opened(path: Path) -> ol.Store:
    assert flush()
    return ol.open_store(path)


def test_a_process_shows_what_its_calls_came_to(path: Path) -> None:
    with ol.trace(store=path):
        ask(answering(0.5, 0.25), 2)
        with pytest.raises(ZeroDivisionError):
            ask(ScriptedLM(lambda messages: 1 / 0))
    store = opened(path)
    [run] = store.runs("process")
    assert store.totals([run]) == {run.id: RunTotals(3, 1, 0, 2, 20, 10, 0.75, 0)}
    assert store.totals([run.id, "f" * 32]) == store.totals([run])


def test_the_runs_inside_a_run_count_and_stand_for_themselves(path: Path) -> None:
    data = [ol.Example({"question": text}, {"answer": "x"}) for text in "ab"]
    with ol.trace(store=path):
        ask(answering(1.0))
        ol.evaluate(
            ol.Predict("question -> answer", lm=answering(0.1, 0.2)), data, ol.exact_match("answer"), progress=False
        )
    store = opened(path)
    [process], [inner] = store.runs("process"), store.runs("eval")
    found = store.totals(store.runs())
    assert (found[inner.id].traces, found[inner.id].calls) == (2, 2)
    assert (found[inner.id].cost, found[process.id].cost) == (pytest.approx(0.3), pytest.approx(1.3))
    assert found[process.id].traces == 3


def test_replays_inside_a_run_may_be_left_out(path: Path) -> None:
    kinds = {"a" * 32: ("process", ""), "b" * 32: ("replay", "a" * 32), "c" * 32: ("eval", "a" * 32)}
    runs = [RunRecord(id, kind, started=1.0, parent_id=parent) for id, (kind, parent) in kinds.items()]
    traces = [
        WholeTrace(TraceRecord(id[::-1][1:] + "f", id, started=1.0, status="ok", calls=2), (), {}) for id in kinds
    ]
    with ol.open_store(path, create=True) as store:
        store.save_records(runs, traces)
        assert [one.traces for one in store.totals(runs).values()] == [3, 1, 1]
        found = store.totals(runs, replays=False)
    assert [found[id].traces for id in kinds] == [2, 1, 1]  # one that is asked for stands for itself


@pytest.mark.parametrize(
    ("costs", "told"),
    [((), (0.0, 0)), ((None,), (None, 1)), ((0.0, None), (0.0, 1)), ((0.0,), (0.0, 0)), ((0.5, None), (0.5, 1))],
)
def test_an_unknown_price_is_not_0(path: Path, costs: tuple[float | None, ...], told: tuple[float | None, int]) -> None:
    runs = [RunRecord("a" * 32, "import", started=1.0), RunRecord("b" * 32, "import", started=2.0)]
    traces = [
        WholeTrace(TraceRecord(f"{at:032x}", "a" * 32, started=1.0, status="ok", calls=1, cost=cost), (), {})
        for at, cost in enumerate(costs)
    ]
    with ol.open_store(path, create=True) as store:
        store.save_records(runs, traces)
        found = store.totals(runs)
    assert (found["a" * 32].cost, found["a" * 32].unpriced) == told
    assert found["b" * 32] == RunTotals()


def test_a_call_that_failed_does_not_make_an_unknown_price_0(path: Path) -> None:
    with ol.trace(store=path):
        with pytest.raises(ZeroDivisionError):
            ask(ScriptedLM(lambda messages: 1 / 0))
        ask(answering(None))
    store = opened(path)
    [found] = store.totals(store.runs()).values()
    assert (found.calls, found.cost, found.unpriced) == (1, None, 1)


def test_many_runs_deep_inside_one_another_are_added_up(path: Path) -> None:
    ids = [f"{at:032x}" for at in range(1200)]
    runs = [RunRecord(id, "eval", started=at, parent_id=ids[at - 1] if at else "") for at, id in enumerate(ids)]
    traces = [WholeTrace(TraceRecord(f"f{id[1:]}", id, started=1.0, status="ok", calls=2), (), {}) for id in ids]
    with ol.open_store(path, create=True) as store:
        store.save_records(runs, traces)
        found = store.totals([ids[0], ids[-1]])
        assert (found[ids[0]].calls, found[ids[-1]].calls) == (2400, 2)
        assert len(store.totals(runs)) == 1200


def test_what_is_read_stands_in_one_index(path: Path) -> None:
    """A store of a million spans answers at once only without looking at each trace."""
    with ol.open_store(path, create=True) as store:
        statements: list[str] = []
        import sqlalchemy as sa

        store.save_records([RunRecord("a" * 32, "process")], [])
        sa.event.listen(store.database.open(), "before_cursor_execute", lambda *told: statements.append(told[2]))
        store.totals(["a" * 32])
        [query] = [one for one in statements if "sum(traces" in one]
        with store.reading() as connection:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}", ("a" * 32,) * query.count("?")).all()
    assert [row[3] for row in plan] == ["SEARCH traces USING COVERING INDEX traces_sums (run_id=?)"]


def test_what_is_no_run_is_refused(path: Path) -> None:
    wrong: Any = 3
    with ol.open_store(path, create=True) as store, pytest.raises(UsageError, match="runs or their ids"):
        store.totals([wrong])

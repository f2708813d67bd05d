"""A block whose calls a store keeps may last as long as a server: it holds the last spans, and the sums of all."""

from __future__ import annotations

import threading
from pathlib import Path

import outlast as ol
from outlast.messages import Response, Usage
from outlast.runtime.trace import LATEST
from outlast.testing import ScriptedLM


def model() -> ScriptedLM:
    return ScriptedLM(lambda messages: Response("yes", usage=Usage(10, 1, cost=0.001)))


def test_a_block_with_a_store_holds_the_last_spans_and_all_sums(tmp_path: Path) -> None:
    lm, calls = model(), 2 * LATEST + 300
    with ol.trace(store=tmp_path / "t.db") as outer, ol.trace(store=tmp_path / "u.db") as spans:
        for number in range(calls):
            lm(f"question {number}")
        assert LATEST <= len(spans) < 2 * LATEST
        assert [span.request.messages[-1].text for span in spans[-2:]] == [
            f"question {calls - 2}",
            f"question {calls - 1}",
        ]
    for some in (spans, outer):
        assert LATEST <= len(some) < 2 * LATEST
        assert (some.spending.calls, some.spending.input_tokens) == (calls, 10 * calls)
        assert abs(some.spending.dollars - calls * 0.001) < 1e-6


def test_a_block_around_it_without_a_store_gets_all(tmp_path: Path) -> None:
    lm, calls = model(), 2 * LATEST + 10
    with ol.trace() as every, ol.trace(store=tmp_path / "t.db"):
        for number in range(calls):
            lm(f"question {number}")
    assert len(every) == calls


def test_threads_lose_no_sum(tmp_path: Path) -> None:
    from contextvars import copy_context

    lm, each = model(), LATEST
    with ol.trace(store=tmp_path / "t.db") as spans:
        threads = [
            threading.Thread(target=copy_context().run, args=(lambda: [lm("x") for _ in range(each)],))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert spans.spending.calls == 4 * each
    assert len(spans) < 2 * LATEST

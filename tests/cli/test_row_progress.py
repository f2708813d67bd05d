"""How far `outlast run` is: told where somebody watches, and nowhere else."""

from __future__ import annotations

import argparse
import io
import sys

import pytest

from outlast.cli.row_progress import RowProgress, progress_of
from outlast.messages import Response, Usage
from outlast.runtime import Meter
from outlast.testing import ScriptedLM


class Terminal(io.StringIO):
    """A terminal that keeps what it is sent."""

    def isatty(self) -> bool:
        return True


def test_one_line_of_rows_pace_and_cost(monkeypatch) -> None:
    err = Terminal()
    monkeypatch.setattr(sys, "stderr", err)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    lm = ScriptedLM(lambda messages: Response("x", usage=Usage(3, 4, cost=0.25)))
    with progress_of(argparse.Namespace(no_progress=False, data="rows.jsonl")) as progress:
        assert progress is not None
        for number in range(1, 4):
            lm("hi")
            progress.show(number, number // 3)
        assert "3 rows  1 failed" in progress.line()
    last = err.getvalue().rsplit("\r\x1b[K", 1)[1]
    assert last.endswith("\n")
    assert "21 tokens  $0.7500" in last


def test_a_cost_that_is_unknown_is_not_told() -> None:
    meter = Meter(on_unknown="count")
    meter.spent.unpriced = 1
    assert "$" not in RowProgress(meter).line()
    meter.spent.dollars = 0.5
    assert "$0.5000 and more" in RowProgress(meter).line()


@pytest.mark.parametrize(
    ("out", "err", "words"),
    [
        (io.StringIO, io.StringIO, {}),
        (Terminal, Terminal, {}),
        (io.StringIO, Terminal, {"no_progress": True}),
        (io.StringIO, Terminal, {"data": None}),
    ],
)
def test_nobody_is_told_who_does_not_watch(monkeypatch, out, err, words) -> None:
    seen = err()
    monkeypatch.setattr(sys, "stderr", seen)
    monkeypatch.setattr(sys, "stdout", out())
    with progress_of(argparse.Namespace(**{"no_progress": False, "data": "rows.jsonl", **words})) as progress:
        assert progress is None
    assert seen.getvalue() == ""

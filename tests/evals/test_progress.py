from __future__ import annotations

import asyncio
import io
import sys

import pytest

from outlast.data import Example
from outlast.evals import Snapshot, evaluate
from outlast.evals.progress import _Bar, _Lines, display_for
from outlast.evals.statistics import estimate_mean
from outlast.messages import Spending

DATA = [Example({"message": f"m{i}"}, {}) for i in range(30)]


async def program(message):
    await asyncio.sleep(0.02)
    if message == "m3":
        raise ValueError("no")
    return 1


def snapshot(**changes):
    values = {
        "done": 50,
        "total": 200,
        "score": estimate_mean([1.0] * 40 + [0.0] * 8),
        "states": {"pass": 40, "fail": 8, "error": 2, "unscored": 0},
        "spending": Spending(calls=50, dollars=1.25),
        "seconds": 10.0,
    }
    return Snapshot(**{**values, **changes})


def test_a_callable_gets_snapshots_and_a_last_one():
    seen = []
    evaluate(program, DATA, lambda e, p: True, concurrency=4, progress=seen.append)
    assert 1 < len(seen) < 10
    assert [s.done for s in seen] == sorted(s.done for s in seen)
    last = seen[-1]
    assert last.finished
    assert (last.done, last.total) == (30, 30)
    assert last.states["error"] == 1
    assert last.score.value == 1
    assert last.eta == 0
    assert not any(s.finished for s in seen[:-1])


def test_a_callable_that_fails_does_not_end_the_evaluation():
    def broken(snapshot):
        raise KeyError("oops")

    with pytest.warns(RuntimeWarning, match="progress display failed and was switched off: KeyError"):
        result = evaluate(program, DATA, lambda e, p: True, progress=broken)
    assert result.n == 30


def test_a_snapshot_says_what_matters():
    text = snapshot().text()
    assert text.startswith("50/200  score 83.3% (70.4..91.3)  2 errors  $1.25  30 s left")
    unknown = snapshot(total=None, score=None, spending=Spending(calls=3, unpriced=3))
    assert unknown.text() == "50/?  2 errors"
    assert unknown.eta is None
    assert snapshot(done=0).eta is None
    assert snapshot(finished=True).text().endswith("10 s")


def test_short_runs_say_nothing_without_a_terminal(capsys):
    evaluate(program, DATA, lambda e, p: True)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_long_runs_say_a_line_now_and_then_without_a_terminal(capsys):
    lines = _Lines()
    for tenth in range(300):
        lines.show(snapshot(seconds=tenth / 10))
    lines.show(snapshot(seconds=30.0, finished=True))
    err = capsys.readouterr().err.splitlines()
    assert len(err) == 5  # at 10, 15, 20, 25 s and the end
    assert all(line.startswith("evaluate: 50/200  score 83.3%") for line in err)


def test_a_terminal_gets_a_bar(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(display_for(True), _Bar)
    evaluate(program, DATA, lambda e, p: True, concurrency=4)
    assert "30/30" in terminal.getvalue()
    assert "1 error" in terminal.getvalue()


def test_no_progress_at_all():
    assert display_for(False) is None

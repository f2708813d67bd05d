"""What was open when its process was killed is shown so, and nothing that lives is."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import outlast as ol
from outlast.tracing import living
from outlast.tracing.living import is_gone, process_mark
from outlast.tracing.record import RunRecord, TraceFilter, TraceRecord
from outlast.tracing.saving import WholeTrace

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are told apart by /proc")

RUN, TRACE = "a" * 32, "b" * 32


def mark_of_one_that_ended() -> str:
    """The mark of a process that was killed."""
    code = "from outlast.tracing.living import process_mark; print(process_mark(), flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        mark = process.stdout.readline().decode().strip()
        assert not is_gone(mark)
        process.kill()
    return mark


def store_of(path: Path | str, mark: object, *, age: float = 3600.0, newest: float = 3600.0) -> ol.Store:
    """A store of a run that began so long ago, with a trace that did."""
    now = time.time()
    store = ol.open_store(path, create=True)
    runs = [RunRecord(RUN, "process", started=now - age, provenance={"process": mark} if mark else {})]
    store.save_records(runs, [WholeTrace(TraceRecord(TRACE, RUN, "program", "T", started=now - newest))])
    return store


def test_a_process_is_told_from_all_others() -> None:
    mine = process_mark()
    number, began, here = mine.split(":")
    assert number == str(os.getpid())
    assert not is_gone(mine)
    assert is_gone(f"{number}:{int(began) - 1}:{here}")  # its number has another now
    assert is_gone(f"4194305:{began}:{here}")
    for unknown in (
        f"{number}:{int(began) - 1}:elsewhere",
        "",
        "::",
        f"x:1:{here}",
        f"{10**30}:1:{here}",
        f"-1:1:{here}",
    ):
        assert not is_gone(unknown)


def test_what_was_killed_is_shown_so_everywhere(tmp_path: Path) -> None:
    store = store_of(tmp_path / "t.db", mark_of_one_that_ended())
    assert store.run(RUN).status == store.runs()[0].status == "killed"
    assert store.trace(TRACE).status == store.traces()[0].status == store.whole([TRACE])[0].trace.status == "killed"
    assert [store.count(TraceFilter(status=word)) for word in ("killed", "open", "error", "ok")] == [1, 0, 0, 0]


@pytest.mark.parametrize(
    ("mark", "age", "newest"),
    [("living", 9e6, 9e6), ("gone", 10.0, 10.0), ("gone", 9e6, 10.0), ("", 9e6, 9e6), (5, 9e6, 9e6)],
)
def test_what_may_live_is_open(tmp_path: Path, mark: object, age: float, newest: float) -> None:
    """A process that lives, and forks of one that is gone, which go on with its run."""
    told = {"living": process_mark(), "gone": mark_of_one_that_ended() if mark == "gone" else ""}.get(str(mark), mark)
    store = store_of(tmp_path / "t.db", told, age=age, newest=newest)
    assert (store.run(RUN).status, store.trace(TRACE).status) == ("open", "open")
    assert [store.count(TraceFilter(status=word)) for word in ("killed", "open")] == [0, 1]


def test_a_run_says_by_itself_which_process_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = f"""
import os, signal
import outlast as ol
from outlast.testing import ScriptedLM
from outlast.tracing.switch import flush
class Stuck(ol.Module):
    def forward(self, x: str) -> str:
        assert flush()
        os.kill(os.getpid(), signal.SIGKILL)
with ol.trace(store={str(tmp_path / "t.db")!r}):
    Stuck()(x="x")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (-9, "")
    store = ol.open_store(tmp_path / "t.db")
    [run], [trace] = store.runs(), store.traces()
    assert (run.status, trace.status) == ("open", "open")  # not yet: nothing came for a moment only
    monkeypatch.setattr(living, "QUIET", 0.0)
    [run], [trace] = store.runs(), store.traces()
    assert (run.status, trace.status) == ("killed", "killed")

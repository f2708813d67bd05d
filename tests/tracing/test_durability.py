"""What a store keeps when processes are killed, when many write at once, and when it cannot be written."""

from __future__ import annotations

import gc
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import outlast as ol
from outlast.testing import ScriptedLM
from outlast.tracing import writer as writing
from outlast.tracing.record import ResultRecord
from outlast.tracing.recorder import Place, Result
from outlast.tracing.switch import flush

# A process that says on stdout when each call was over, with the id of its trace. Its clock goes by twentieths of a
# second and stands still while the machine gives it no turn, as its writer does.
BUSY = """
import sys, threading, time
import outlast as ol
from outlast.testing import ScriptedLM
program = ol.Predict("question -> answer", lm=ScriptedLM(lambda messages: "<<answer>>\\nyes\\n<<end>>"))
clock = 0
def tick():
    global clock
    while True:
        time.sleep(0.05)
        clock += 1
threading.Thread(target=tick, daemon=True).start()
with ol.trace(store=sys.argv[1]):
    for number in range(int(sys.argv[2])):
        out = program(question=f"{number} of {sys.argv[3]} " + "and so on " * 20)
        print(clock, out.trace.id, flush=True)
        time.sleep(float(sys.argv[4]))
"""


def busy(path: Path, count: int, name: str = "p", pause: float = 0.0) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", BUSY, str(path), str(count), name, str(pause)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
@pytest.mark.server
def test_a_killed_process_loses_nothing_that_ended_more_than_a_second_before(tmp_path: Path) -> None:
    draw = random.Random(3)
    path = tmp_path / "traces.db"
    told = 0
    for life in range(6):
        pair = [busy(path, 100_000, f"life {life}.{number}", 0.001) for number in range(2)]
        for process in pair:
            assert process.stdout is not None
            process.stdout.readline()
        for process in pair:
            time.sleep(draw.uniform(0.05, 0.6) + (0.8 if life % 3 == 0 else 0.0))
            process.send_signal(signal.SIGKILL)
            lines = [line.split() for line in process.communicate()[0].splitlines()]
            ended = [(int(when), id) for when, id in (line for line in lines if len(line) == 2)]
            old = {id for when, id in ended if when < ended[-1][0] - 20}
            told += len(old)
            with ol.open_store(path) as store:
                assert old <= {trace.id for trace in store.traces(limit=100_000)}
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        kept = db.execute("SELECT count(*) FROM traces WHERE status = 'ok'").fetchone()[0]
        lost = db.execute(
            "SELECT count(*) FROM traces t WHERE status = 'ok' AND "
            "2 <> (SELECT count(*) FROM spans s WHERE s.trace_id = t.id)"
        ).fetchone()[0]
    db.close()
    assert told > 100  # there was something to lose
    assert kept > 0
    assert lost == 0  # no trace without its spans


@pytest.mark.slow
@pytest.mark.server
def test_eight_processes_write_at_once_and_every_row_is_there(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    processes = [busy(path, 250, f"p{number}") for number in range(8)]
    ids = [line.split()[1] for process in processes for line in process.communicate()[0].splitlines()]
    assert [process.returncode for process in processes] == [0] * 8
    assert len(ids) == 2000
    with ol.open_store(path) as store:
        assert {trace.id for trace in store.traces(limit=3000)} == set(ids)
        stats = store.stats()
        assert (stats["spans"], stats["dropped"], stats["runs"]) == (4000, 0, 8)
        assert {run.status for run in store.runs()} == {"done"}


def test_a_fork_writes_what_the_child_does(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    program = ol.Predict("question -> answer", lm=ScriptedLM(lambda messages: "<<answer>>\nyes\n<<end>>"))
    with ol.trace(store=path):
        program(question="before")
        assert flush()
        child = os.fork()
        if child == 0:  # pragma: no cover - another process
            code = 1
            try:
                program(question="in the child")
                code = 0 if flush() else 2
            finally:
                os._exit(code)
        program(question="in the parent")
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert flush()
    with ol.open_store(path) as store:
        assert {trace.input for trace in store.traces()} == {"before", "in the child", "in the parent"}


def test_a_file_that_is_removed_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    program = ol.Predict("question -> answer", lm=ScriptedLM(lambda messages: "<<answer>>\nyes\n<<end>>"))
    with ol.trace(store=path):
        program(question="one")
        assert flush()
        for file in tmp_path.iterdir():
            file.unlink()
        program(question="two")
        assert flush()
    with ol.open_store(path) as store:
        [trace] = store.traces()
        assert trace.input == "two"
        assert [one.id for one in store.runs()] == [trace.run_id]
        request = store.content(store.spans(trace.id)[-1]).as_request()
        assert request is not None
        assert [message.role for message in request.messages] == ["system", "user"]


def test_one_span_that_no_database_takes_does_not_cost_the_others(tmp_path: Path, caplog: Any) -> None:
    path = tmp_path / "traces.db"
    program = ol.Predict("question -> answer", lm=ScriptedLM(lambda messages: "<<answer>>\nyes\n<<end>>"))
    with ol.trace(store=path):
        program(question="one")
        [writer] = [one for one in writing.all_writers() if one.database.path == path]
        place = Place(writer, "r")
        writer.put(Result(place, ResultRecord("r", 0, score=object())), 1)  # type: ignore[arg-type]
        writer.put(Result(place, ResultRecord("r", 1, parts=None)), 1)  # type: ignore[arg-type]
        program(question="two")
    assert flush()
    with ol.open_store(path) as store:
        assert {trace.input for trace in store.traces()} == {"one", "two"}
    assert writer.dropped == 2
    assert "a span could not be written" in caplog.text


def test_a_full_disk_costs_the_program_nothing_and_is_counted(tmp_path: Path) -> None:
    code = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
import random
import outlast as ol
from outlast.testing import ScriptedLM
from outlast.tracing import writer
from outlast.tracing.switch import flush
writer._RETRY = 0.01
writer._FAREWELL = 0.5
draw = random.Random(1)
program = ol.Predict("question -> answer", lm=ScriptedLM(lambda messages: "<<answer>>\\nyes\\n<<end>>"))
with ol.trace(store=sys.argv[1]):
    for number in range(300):
        out = program(question="".join(draw.choices("abcdefghij", k=4000)))
        assert out.answer == "yes"
flush(2)
print("done")
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "traces.db")], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
    assert "cannot be written now" in done.stderr
    with sqlite3.connect(tmp_path / "traces.db") as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()


def test_what_arrives_too_fast_is_dropped_counted_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    path = tmp_path / "traces.db"
    program = ol.Predict("question -> answer", lm=ScriptedLM(lambda messages: "<<answer>>\nyes\n<<end>>"))
    monkeypatch.setattr(writing, "MOST_WAITING", 10)
    monkeypatch.setattr(writing.Writer, "_start", lambda self: None)
    with ol.trace(store=path):
        for number in range(20):
            program(question=str(number))
    monkeypatch.undo()
    assert flush()
    [writer] = [one for one in writing.all_writers() if one.database.path == path]
    assert writer.dropped > 10
    assert "some are dropped" in caplog.text
    assert writer.run is not None
    writer.put(writer.run, 0)
    assert flush()
    with ol.open_store(path) as store:
        assert store.stats()["dropped"] == writer.dropped
        assert 0 < store.count() < 20


def test_what_waits_to_be_written_is_bounded_in_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing.Writer, "_start", lambda self: None)
    monkeypatch.setattr(writing, "MOST_BYTES", 1 << 20)
    program = ol.Predict("question -> answer", lm=ScriptedLM(lambda messages: "<<answer>>\nyes\n<<end>>"))
    path = tmp_path / "traces.db"
    with ol.trace(store=path):
        for number in range(40):
            program(question=f"{number}" + "x" * 100_000)
    monkeypatch.undo()
    [writer] = [one for one in writing.all_writers() if one.database.path == path]
    assert writer.dropped > 20
    assert flush()


def test_a_program_ends_at_once_when_nothing_waits(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BUSY, str(tmp_path / "t.db"), "3", "p", "0"], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0
    assert done.stderr == ""
    with ol.open_store(tmp_path / "t.db") as store:
        assert store.count() == 3


def test_what_a_process_did_last_is_found_by_who_may_only_read(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    busy(path, 20).communicate(timeout=30)
    with ol.open_store(path, read_only=True) as store:
        assert len(store.search("19 of")) == 1
        assert len(store.search("of")) == 20


def test_memory_stays_flat_while_traces_are_kept(tmp_path: Path) -> None:
    code = (
        BUSY.replace("print(clock, out.trace.id, flush=True)", "pass")
        + """
import json, re
from outlast.tracing.switch import flush
flush(60)
print(json.dumps(int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])))
"""
    )
    sizes = [
        json.loads(
            subprocess.run(
                [sys.executable, "-c", code, str(tmp_path / f"{count}.db"), str(count), "p", "0.0005"],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        )
        for count in (500, 5000)
    ]
    assert sizes[1] - sizes[0] < 30_000  # kB


def test_a_store_that_nobody_writes_to_takes_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that opens a store for each job has thousands of them; only a few dozen objects of each stay."""
    monkeypatch.setattr(writing, "_PAUSE", 0.01)
    monkeypatch.setattr(writing, "_IDLE", 0.01)
    program = ol.Predict("question -> answer", lm=ScriptedLM(lambda messages: "<<answer>>\nyes\n<<end>>"))

    def objects_after(names: range) -> int:
        for name in names:
            with ol.trace(store=tmp_path / f"{name}.db"):
                program(question="x")
        assert flush(60)
        until = time.monotonic() + 60
        while any(one._thread for one in writing.all_writers()) and time.monotonic() < until:
            time.sleep(0.01)
        gc.collect()
        return len(gc.get_objects())

    before = objects_after(range(5))
    after = objects_after(range(5, 25))
    assert after - before < 20 * 100  # about 25 each; an open one has a thousand
    with ol.trace(store=tmp_path / "3.db"):
        program(question="again")
    assert flush(60)
    with ol.open_store(tmp_path / "3.db") as store:
        assert store.count() == 2
        assert len(store.runs()) == 1  # it is still the same run of this process


def test_a_file_that_is_removed_while_its_writer_rests_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "_PAUSE", 0.01)
    monkeypatch.setattr(writing, "_IDLE", 0.01)
    path = tmp_path / "traces.db"
    program = ol.Predict("question -> answer", lm=ScriptedLM(lambda messages: "<<answer>>\nyes\n<<end>>"))
    with ol.trace(store=path):
        program(question="x")
    assert flush(60)
    [writer] = [one for one in writing.all_writers() if one.database.path == path]
    until = time.monotonic() + 60
    while writer._thread and time.monotonic() < until:
        time.sleep(0.01)
    for file in tmp_path.glob("traces.db*"):
        file.unlink()
    with ol.trace(store=path):
        program(question="y")
    assert flush(60)
    with ol.open_store(path) as store:
        assert (store.count(), len(store.runs())) == (1, 1)


def test_a_second_interrupt_at_the_end_leaves_without_a_traceback(tmp_path: Path, monkeypatch) -> None:
    from outlast.tracing.database import database_at
    from outlast.tracing.writer import Writer

    def interrupted(timeout: float) -> bool:
        raise KeyboardInterrupt

    writer = Writer(database_at(tmp_path / "t.db"))
    monkeypatch.setattr(writer, "_start", lambda: None)
    writer.put(object(), 1)
    monkeypatch.setattr(writer, "flush", interrupted)
    writer._farewell()
    assert writer._ended
    monkeypatch.undo()
    writer._queue.clear()

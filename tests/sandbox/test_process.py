"""A guest in a process: what comes back is not believed, and nothing is left behind."""

import asyncio
import gc
import os
import sys
import time

import pytest

from outlast.errors import SandboxUnavailable
from outlast.sandbox.local import Local, worker_argv
from outlast.sandbox.process import Command, ProcessGuest, read_step
from outlast.sandbox.values import Call, Done, Limits

BOX = Local(trust_me=True)


def alive(pid):
    """True while a process of this id runs; one that is dead and not yet waited for does not count."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone(pid, seconds=5.0):
    end = time.monotonic() + seconds
    while alive(pid):
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def test_variables_outlive_a_step_and_the_last_expression_is_the_value():
    with BOX.session() as session:
        assert session.execute("x = a + 1\nprint(x)", {"a": 2}).stdout == "3\n"
        assert session.execute("x * 2").value == 6
        assert session.execute("y = 1").value is None


def test_a_session_may_be_used_from_one_event_loop_after_another_and_from_none():
    with BOX.session() as session:
        assert session.execute("x = 1\nx").value == 1
        assert asyncio.run(session.aexecute("x + 1")).value == 2
        assert asyncio.run(session.aexecute("x + 2")).value == 3
        assert session.execute("x + 3").value == 4


def test_the_time_limit_keeps_the_variables_of_code_that_a_signal_reaches():
    with BOX.session(limits=Limits(seconds=0.3)) as session:
        session.execute("x = 1")
        started = time.monotonic()
        result = session.execute("while True: pass")
        assert (result.stopped, result.state_lost) == ("time", False)
        assert time.monotonic() - started < 20
        assert session.execute("x").value == 1


def test_code_that_no_signal_reaches_is_killed_and_the_next_step_has_a_fresh_interpreter():
    code = "import signal\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)\nwhile True: pass"
    with BOX.session(limits=Limits(seconds=0.3)) as session:
        result = session.execute(code)
        assert (result.stopped, result.state_lost) == ("time", True)
        assert session.execute("1").value == 1


def test_a_closed_session_leaves_neither_its_process_nor_the_children_of_it():
    session = BOX.session()
    code = "import os, subprocess, sys\nchild = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])"
    pids = session.execute(f"{code}\n[os.getpid(), child.pid]").value
    assert all(map(alive, pids))
    session.close()
    assert all(map(gone, pids))


def test_a_session_that_is_forgotten_leaves_no_process():
    session = BOX.session()
    pid = session.execute("import os\nos.getpid()").value
    assert alive(pid)
    del session
    gc.collect()
    assert gone(pid)


async def test_a_cancelled_step_ends_the_process():
    session = BOX.session()
    pid = (await session.aexecute("import os\nos.getpid()")).value
    task = asyncio.create_task(session.aexecute("while True: pass"))
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert gone(pid)
    assert (await session.aexecute("1")).value == 1
    session.close()


def test_the_directory_of_a_session_is_its_own_and_goes_with_it():
    with BOX.session() as session:
        where = session.execute("import os\nopen('x', 'w').close()\nos.getcwd()").value
        assert os.path.exists(f"{where}/x")
        assert where != os.getcwd()
    assert not os.path.exists(where)


FORGED = """
import os
for fd in range(3, 20):
    try:
        os.write(fd, LINE)
    except OSError:
        pass
while True:
    pass
"""


@pytest.mark.parametrize("line", [b'{"done": {"value": 1, "stdout": ""}}\n', b"\xff\x00\n", b"x" * 100 + b"\n"])
def test_lines_without_the_nonce_are_passed_over(line):
    with BOX.session(limits=Limits(seconds=0.3)) as session:
        result = session.execute(FORGED.replace("LINE", repr(line)))
        assert (result.value, result.stopped) == (None, "time")


def test_a_flood_of_bytes_on_the_wire_ends_the_guest():
    code = FORGED.replace("for", "while True:\n  for", 1).replace("\n    ", "\n      ").replace("LINE", "b'x' * 60000")
    with BOX.session(limits=Limits(seconds=20, value=1000, output=1000)) as session:
        result = session.execute(code)
        assert (result.stopped, result.state_lost) == ("output", True)
        assert result.used.seconds < 10


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"call": 1},
        {"call": {"name": 1, "arguments": {}}},
        {"call": {"name": "f", "arguments": []}},
        {"call": {"name": "f" * 1000, "arguments": {}}},
        {"call": {"name": "f", "arguments": {"a": "x" * 2000}}},
        {"done": []},
        {"done": {"value": 1}},
        {"done": {"value": 1, "stdout": b"x".hex, "stopped": None}},
        {"done": {"value": 1, "stdout": "", "stopped": "tired"}},
        {"done": {"value": float("nan"), "stdout": ""}},
    ],
)
def test_what_has_not_the_form_of_a_step_is_refused(data):
    with pytest.raises((ValueError, TypeError)):
        read_step(data, Limits(value=1000))


def test_texts_and_figures_of_a_guest_are_cut_and_cleaned():
    data = {"value": ["\ud800", {"\udfff": 1}], "stdout": "x" * 90 + "é" * 90, "memory": True, "state_lost": "yes"}
    step = read_step({"done": {**data, "error": {"kind": None, "message": "m" * 10**5, "lines": 3}}}, Limits(output=91))
    assert isinstance(step, Done)
    assert step.value == ["?", {"?": 1}]
    assert (step.stdout, step.truncated, step.memory, step.state_lost) == ("x" * 90, True, None, False)
    assert step.error is not None
    assert (step.error.kind, len(step.error.message), step.error.lines) == ("Exception", 16_000, "3")
    assert read_step({"call": {"name": "f", "arguments": {"a": "\ud800"}}}, Limits()) == Call("f", {"a": "?"})


def test_a_worker_that_does_not_start_says_why():
    script = "import sys; print('no such thing', file=sys.stderr)"
    guest = ProcessGuest(Command([sys.executable, "-c", script]), Limits(), ())
    with pytest.raises(SandboxUnavailable, match="no such thing"):
        asyncio.run(guest.start())


def test_a_program_that_is_not_there_is_told():
    with pytest.raises(SandboxUnavailable, match="could not be started"):
        asyncio.run(ProcessGuest(Command(["/no/such/program"]), Limits(), ()).start())


def test_a_worker_that_never_gets_ready_is_killed():
    guest = ProcessGuest(Command([sys.executable, "-c", "import time; time.sleep(60)"]), Limits(), (), boot=0.3)
    with pytest.raises(SandboxUnavailable, match="time"):
        asyncio.run(guest.start())


def test_the_watch_may_end_a_step():
    seen = []

    def watch(pid):
        seen.append(pid)
        return "memory" if len(seen) > 3 else None

    async def run():
        guest = ProcessGuest(Command(worker_argv(sys.executable)), Limits(), (), watch=watch)
        await guest.start()
        seen.clear()
        try:
            return guest.pid, await guest.begin("while True: pass", {}, 10)
        finally:
            guest.close()

    pid, step = asyncio.run(run())
    assert step == Done(stopped="memory", state_lost=True)
    assert set(seen) == {pid}
    assert gone(pid)

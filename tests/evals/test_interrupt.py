from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from outlast.data import Example
from outlast.evals import aevaluate

SCRIPT = """
import asyncio, sys, time
from outlast.data import Example
from outlast.evals import Evaluation, evaluate

def examples():
    return [Example({{"message": str(i)}}, {{}}) for i in range(100)]

{program}

def started(snapshot):
    if snapshot.done >= 5 and not snapshot.finished:
        print("ready", flush=True)

{main}
"""
PROGRAMS = {
    "async": """
async def program(message):
    await asyncio.sleep(0.01 if int(message) < 10 else 60)
    return 1
""",
    "plain": """
def program(message):
    time.sleep(0.01 if int(message) < 10 else 60)
    return 1
""",
    "instant": """
done = 0
async def program(message):
    global done
    done += 1
    return 1

def examples():
    i = 0
    while True:
        i += 1
        yield Example({"message": str(i)}, {})
""",
}
RUN = """
result = evaluate(program, examples(), lambda e, p: True, concurrency=4, progress=started)
print(result.stopped, result.n, len(result.rows) == result.n * result.kept, flush=True)
"""
IN_A_LOOP = """
async def notebook():  # a loop runs in this thread and Ctrl-C raises KeyboardInterrupt, as in a notebook's kernel
    return evaluate(program, examples(), lambda e, p: True, concurrency=4, progress=started)

result = asyncio.new_event_loop().run_until_complete(notebook())
print(result.stopped, result.n, len(result.rows) == result.n, flush=True)
"""


def interrupted(program, main=RUN):
    """What a process prints that gets SIGINT while it evaluates, and how long it took to end."""
    script = SCRIPT.format(program=PROGRAMS[program], main=main)
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline() == "ready\n"
        sent = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 0, err
    return out.splitlines()[-1].split(), time.monotonic() - sent


@pytest.mark.parametrize(("program", "main"), [("async", RUN), ("plain", RUN), ("instant", RUN), ("async", IN_A_LOOP)])
def test_ctrl_c_returns_what_is_done(program, main):
    (stopped, n, all_rows), seconds = interrupted(program, main)
    assert stopped == "interrupted"
    assert int(n) >= 5
    assert all_rows == "True"
    assert seconds < 8


async def test_a_cancelled_task_gets_what_is_done():
    waiting = asyncio.Semaphore(0)

    async def program(message):
        if int(message) >= 10:
            waiting.release()
            await asyncio.sleep(60)
        return 1

    data = [Example({"message": str(i)}, {}) for i in range(50)]
    task = asyncio.ensure_future(aevaluate(program, data, lambda e, p: True, concurrency=4, progress=False))
    for _ in range(4):
        await waiting.acquire()
    task.cancel()
    result = await task
    assert (result.stopped, result.n) == ("interrupted", 10)
    assert "[interrupted after 10 of 50]" in repr(result)
    assert not [other for other in asyncio.all_tasks() if other is not asyncio.current_task()]


async def test_a_program_that_swallows_cancellation_does_not_hold_up_the_end(monkeypatch):
    monkeypatch.setattr("outlast.evals.engine._FAREWELL", 0.1)
    let_go = asyncio.Event()

    started = asyncio.Event()

    async def stubborn(message):
        started.set()
        while not let_go.is_set():
            try:
                await let_go.wait()
            except asyncio.CancelledError:
                continue
        return 1

    data = [Example({"message": str(i)}, {}) for i in range(5)]
    task = asyncio.ensure_future(aevaluate(stubborn, data, lambda e, p: True, progress=False))
    await started.wait()
    task.cancel()
    result = await asyncio.wait_for(task, 30)
    assert (result.stopped, result.n) == ("interrupted", 0)
    let_go.set()
    await asyncio.sleep(0.01)

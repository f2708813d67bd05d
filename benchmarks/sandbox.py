"""What running a model's code costs in each sandbox, beside Python in this process.

    python benchmarks/sandbox.py

A session from its start to the first result (wall time and CPU of its processes), a further step, one call of a host
tool, two computations, and the memory of a session. Then 100 sessions at once in each that starts in milliseconds, and
6 of Pyodide. Bars: a start takes at most 20 ms of CPU in Monty and 1 s in Pyodide; a step at most 2 ms and 5 ms; after
all of it, and after sessions that were killed in a loop, no process is left.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import outlast as ol
from outlast.errors import SandboxUnavailable
from outlast.sandbox.protocol import Sandbox
from outlast.testing.sandbox_contract import children

SANDBOXES: dict[str, Sandbox] = {
    "Monty()": ol.Monty(),
    "Bubblewrap()": ol.Bubblewrap(),
    "Bubblewrap(Monty())": ol.Bubblewrap(ol.Monty()),
    "Pyodide()": ol.Pyodide(),
    "Local(trust_me=True)": ol.Local(trust_me=True),
}
SUM = "sum(range(10**6))"
LOOP = "total = 0\nfor i in range(10**6):\n    total += i\ntotal"
CALLS = 100
LIMITS = ol.Limits(seconds=60.0, tool_calls=10 * CALLS)


def add(a: int, b: int) -> int:
    """Add."""
    return a + b


def cpu() -> float:
    """CPU seconds of the processes that have ended."""
    spent = os.times()
    return spent.children_user + spent.children_system


def best(work: Callable[[], object], times: int) -> float:
    """Seconds of the fastest run."""
    took = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return min(took)


def resident() -> int:
    """Bytes that our processes hold now."""
    page = os.sysconf("SC_PAGE_SIZE")
    return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * page for pid in children())


def start(sandbox: Sandbox) -> None:
    with sandbox.session() as session:
        assert session.execute("1 + 1").value == 2


def measure(sandbox: Sandbox) -> tuple[float, float, float, float, float, float, float]:
    """Start (wall, CPU), step, tool call, sum, loop: milliseconds; memory: MB."""
    start(sandbox)
    before, began, walls = cpu(), time.perf_counter(), []
    for _ in range(7):
        began = time.perf_counter()
        start(sandbox)
        walls.append(time.perf_counter() - began)
    spent = (cpu() - before) / 7
    with sandbox.session([add], LIMITS) as session:
        session.execute("1")
        step = best(lambda: session.execute("1 + 1"), 200)
        calls = f"[add(a=i, b=1) for i in range({CALLS})][-1]"
        assert session.execute(calls).value == CALLS
        call = best(lambda: session.execute(calls), 5) / CALLS
        assert session.execute(SUM).value == session.execute(LOOP).value
        figures = (
            min(walls),
            spent,
            step,
            call,
            best(lambda: session.execute(SUM), 5),
            best(lambda: session.execute(LOOP), 3),
        )
        return (*(1000 * figure for figure in figures), resident() / 1e6)  # type: ignore[return-value]


def at_once(sandbox: Sandbox, count: int) -> float:
    """Seconds until so many sessions, all open at the same time, have each given two results."""
    began = time.perf_counter()
    sessions = [sandbox.session() for _ in range(count)]
    with ThreadPoolExecutor(count) as threads:
        assert all(done.ok for done in threads.map(lambda one: one.execute("x = 2"), sessions))
        assert [done.value for done in threads.map(lambda one: one.execute("x + 1"), sessions)] == [3] * count
    for session in sessions:
        session.close()
    return time.perf_counter() - began


def killed(sandbox: Sandbox) -> None:
    limits = ol.Limits(seconds=0.2)
    stubborn = "while True:\n    try:\n        while True:\n            pass\n    except BaseException:\n        pass"
    with sandbox.session(limits=limits) as session:
        session.execute("1")
        assert session.execute(stubborn).stopped == "time"


def main() -> int:
    here: dict[str, Sandbox] = {}
    for name, sandbox in SANDBOXES.items():
        try:
            sandbox.check()
            here[name] = sandbox
        except SandboxUnavailable as error:
            print(f"{name} is not here: {error}")
    print(f"{'ms':22}{'start':>8}{'CPU':>8}{'step':>8}{'tool':>8}{'sum':>8}{'loop':>8}{'MB':>8}")
    found = {}
    for name, sandbox in here.items():
        found[name] = measure(sandbox)
        print(f"{name:22}{''.join(f'{figure:8.1f}' if figure >= 10 else f'{figure:8.2f}' for figure in found[name])}")
    own = [1000 * best(lambda code=code: exec(code, {}), 5) for code in (SUM, LOOP)]
    print(f"{'(this process)':22}{'':32}{own[0]:8.1f}{own[1]:8.1f}\n")
    for name, sandbox in here.items():
        count = 6 if name == "Pyodide()" else 100
        print(f"{name:22}{count:4} sessions at once: {at_once(sandbox, count):.1f} s")
        killed(sandbox)
    time.sleep(0.5)
    left = len(children())
    bars = [(f"no process is left behind ({left})", left == 0)]
    for name, most_start, most_step in (("Monty()", 20.0, 2.0), ("Pyodide()", 1000.0, 5.0)):
        if name in found:
            _, spent, step, *_ = found[name]
            bars.append((f"{name} starts in {spent:.0f} ms of CPU (at most {most_start:.0f})", spent <= most_start))
            bars.append((f"a step in {name} takes {step:.2f} ms (at most {most_step:.0f})", step <= most_step))
    for text, met in bars:
        print(f"BAR {'PASS' if met else 'FAIL'} {text}")
    return 0 if all(met for _, met in bars) else 1


if __name__ == "__main__":
    sys.exit(main())

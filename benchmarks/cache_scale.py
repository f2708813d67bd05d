"""The cache at its size: 8 processes fill one file with a million answers while some of them are killed.

    python benchmarks/cache_scale.py [--entries 1000000] [--processes 8] [--bound 64] [--kills 6] [--checks 25000]

Every answer encodes its question, so that a wrong one is noticed. The processes ask through `Cached`; while they do,
one after the other is killed with SIGKILL and started again. Then the file must open, be whole, and answer nothing
wrong; what a killed process had not written yet may be missing, and is asked again. Then the CPU of a hit is
measured, by driving `Cached.complete` in place: from memory, and from the disk, at random in the full file. At last
the processes write without end into a file that is bounded (to --bound MB), and its size on the disk is watched.

Bars: no wrong answer, a whole file, at most 0.5% missing; at most 50 us of CPU for a hit from memory and 150 us for
one from disk; a bounded file never more than 10% beyond its bound.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any

from outlast.lms.caching.cache import Cached
from outlast.lms.caching.files import open_file
from outlast.lms.protocol import LM
from outlast.messages import Request, Response, Usage, system, user
from outlast.runtime import drive, running

HUGE = 1 << 40
FLUSH_EVERY = 1000
FILLER = "The customer wrote about a transfer that has not arrived yet and asks what to do about it. " * 10


class Echo(LM):
    """Answers with a text that is made of the question; `calls` counts."""

    name, blocking_safe = "echo", True

    def __init__(self) -> None:
        self.calls = 0

    async def complete(self, request: Request) -> Response:
        self.calls += 1
        return Response(
            answer_to(request.messages[-1].text), "echo-1", usage=Usage(250, 100, 0, None, 0.001, "echo"), seconds=0.5
        )


def answer_to(question: str) -> str:
    code = blake2b(question.encode(), digest_size=32).hexdigest()
    return f"{code} " * 6


def request(number: int) -> Request:
    return Request((system("You help the customers of a bank."), user(f"{FILLER}{number}")))


def right(response: Response, asked: Request) -> bool:
    return response.text == answer_to(asked.messages[-1].text)


# What the processes do


def fill(path: Path, first: int, stop: int) -> None:
    """Ask questions `first` to `stop`; says how far what it asked is in the file."""
    lm, file = Cached(Echo(), path, max_bytes=HUGE, memory=100), open_file(path, HUGE)
    with running(blocking=True):
        for number in range(first, stop):
            asked = request(number)
            assert right(drive(lm.complete(asked)), asked), f"WRONG {number}"
            if number % FLUSH_EVERY == FLUSH_EVERY - 1 or number == stop - 1:
                assert file.flush(120)
                print(number + 1, flush=True)
    assert usable(file.problem), file.problem


def check(path: Path, entries: int, count: int, seed: int) -> None:
    """Ask questions at random and say how many answers came from the file, and how many were wrong."""
    inner = Echo()
    lm = Cached(inner, path, max_bytes=HUGE, memory=0)
    wrong = 0
    with running(blocking=True):
        for _ in range(count):
            asked = request(random_number(seed, entries))
            seed += 1
            wrong += not right(drive(lm.complete(asked)), asked)
    print(json.dumps({"asked": count, "missing": inner.calls, "wrong": wrong, "problem": lm.stats().problem}))


def random_number(seed: int, entries: int) -> int:
    return random.Random(seed).randrange(entries)


def overfill(path: Path, bound: int, seconds: float, seed: int) -> None:
    """Ask new questions for some time, as fast as the file takes the answers."""
    lm, file = Cached(Echo(), path, max_bytes=bound, memory=100), open_file(path, bound)
    until, number = time.monotonic() + seconds, seed * 10_000_000
    with running(blocking=True):
        while time.monotonic() < until:
            for _ in range(200):
                number += 1
                asked = request(number)
                assert right(drive(lm.complete(asked)), asked), f"WRONG {number}"
            assert file.flush(120)
    assert usable(file.problem), file.problem
    print(number - seed * 10_000_000)


def usable(problem: str | None) -> bool:
    """Whether a file had no trouble but a lock that lasted: where the machine holds up one process while it has the
    lock, the others go on without the file for that moment. What they did not store is counted as missing."""
    return problem is None or "locked" in problem


def start(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, "--work", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


# The parts of the benchmark


def filled(path: Path, entries: int, processes: int, kills: int) -> dict[str, Any]:
    """Fill the file, killing some of those who do."""
    began = time.monotonic()
    share = -(-entries // processes)
    reached = [n * share for n in range(processes)]
    ends = [min(entries, (n + 1) * share) for n in range(processes)]
    workers = [start("fill", path, reached[n], ends[n]) for n in range(processes)]
    killed = 0
    for worker in workers:
        assert worker.stdout is not None
        os.set_blocking(worker.stdout.fileno(), False)
    while any(reached[n] < ends[n] for n in range(processes)):
        time.sleep(0.1)
        for n, worker in enumerate(workers):
            assert worker.stdout is not None
            for line in iter(worker.stdout.readline, ""):
                reached[n] = int(line)
            if worker.poll() not in (None, 0, -signal.SIGKILL):
                sys.exit(f"a process failed with {worker.returncode}")
        due = entries * (killed + 1) / (kills + 1)
        victim = killed % processes
        done = sum(reached) - sum(n * share for n in range(processes))
        if killed < kills and done >= due and reached[victim] < ends[victim]:
            workers[victim].kill()
            workers[victim].wait()
            killed += 1
            workers[victim] = start("fill", path, reached[victim], ends[victim])
            out = workers[victim].stdout
            assert out is not None
            os.set_blocking(out.fileno(), False)
    for worker in workers:
        worker.wait()
    return {"seconds": time.monotonic() - began, "killed": killed, "bytes": path.stat().st_size}


def checked(path: Path, entries: int, processes: int, count: int) -> dict[str, Any]:
    """Read the file from all processes at once, then have SQLite look at all of it."""
    workers = [start("check", path, entries, count, n * 10_000_000) for n in range(processes)]
    told = [json.loads(worker.communicate()[0]) for worker in workers]
    for one in told:
        assert usable(one["problem"]), one
    with sqlite3.connect(path) as db:
        whole = db.execute("PRAGMA quick_check").fetchone() == ("ok",)
        rows = db.execute("SELECT count(*) FROM responses").fetchone()[0]
    db.close()
    return {
        **{name: sum(one[name] for one in told) for name in ("asked", "missing", "wrong")},
        "whole": whole,
        "rows": rows,
    }


def costs(path: Path, entries: int, count: int = 5000, rounds: int = 5) -> dict[str, float]:
    """Microseconds of CPU for a hit, best of some rounds, each with requests that were not asked before."""
    chosen = random.Random(7)
    best = {"memory": float("inf"), "disk": float("inf")}
    with running(blocking=True):
        for _ in range(rounds):
            inner = Echo()
            lm = Cached(inner, path, max_bytes=HUGE, memory=count + 1)
            drive(lm.complete(request(0)))  # opens the file
            asked = [request(number) for number in {chosen.randrange(entries) for _ in range(count)}]
            for tier in ("disk", "memory"):
                began = time.process_time()
                for one in asked:
                    drive(lm.complete(one))
                best[tier] = min(best[tier], (time.process_time() - began) / len(asked) * 1e6)
            stats = lm.stats()
            assert inner.calls < len(asked) * 0.01, "these were no hits"
            assert stats.memory_hits >= len(asked)
    return best


def bounded(path: Path, bound: int, processes: int, seconds: float) -> dict[str, Any]:
    """The largest size of the file with its log, and of the log, while all processes write more than it may hold."""
    workers = [start("overfill", path, bound, seconds, n) for n in range(1, processes + 1)]
    largest = log = 0
    while any(worker.poll() is None for worker in workers):
        now = size_of(Path(f"{path}-wal"))
        largest, log = max(largest, size_of(path) + now), max(log, now)
        time.sleep(0.02)
    written = sum(int(worker.communicate()[0]) for worker in workers)
    if any(worker.returncode for worker in workers):
        sys.exit("a process failed while it wrote into a bounded file")
    with sqlite3.connect(path) as db:
        whole = db.execute("PRAGMA quick_check").fetchone() == ("ok",)
        rows = db.execute("SELECT count(*) FROM responses").fetchone()[0]
    db.close()
    return {"bound": bound, "largest": largest, "log": log, "written": written, "rows": rows, "whole": whole}


def size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def bars(figures: dict[str, Any]) -> Iterator[tuple[bool, str]]:
    seen, cost, limit = figures["checked"], figures["costs"], figures["bounded"]
    yield seen["wrong"] == 0 and seen["whole"], f"no wrong answer in {seen['asked']:,}, the file is whole"
    yield seen["missing"] <= 0.005 * seen["asked"], f"at most 0.5% missing after SIGKILL: {seen['missing']:,}"
    yield cost["memory"] <= 50, f"a hit from memory <= 50 us of CPU: {cost['memory']:.1f} us"
    yield cost["disk"] <= 150, f"a hit from disk <= 150 us of CPU: {cost['disk']:.1f} us"
    share = limit["largest"] / limit["bound"]
    yield share <= 1.1 and limit["whole"], f"a bounded file with its log <= 110% of the bound: {share:.1%}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--bound", type=int, default=64, help="MB")
    parser.add_argument("--seconds", type=float, default=40.0, help="of writing into the bounded file")
    parser.add_argument("--checks", type=int, default=25_000, help="questions that each process asks at random after")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--work", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        what, path, *numbers = options.work
        values = [float(number) if "." in number else int(number) for number in numbers]
        {"fill": fill, "check": check, "overfill": overfill}[what](Path(path), *values)  # type: ignore[operator]
        return 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "responses.db"
        figures: dict[str, Any] = {"filled": filled(path, options.entries, options.processes, options.kills)}
        figures["checked"] = checked(path, options.entries, options.processes, options.checks)
        figures["costs"] = costs(path, options.entries)
        small = Path(folder) / "bounded.db"
        figures["bounded"] = bounded(small, options.bound << 20, options.processes, options.seconds)
    if options.json:
        print(json.dumps(figures))
        return 0
    told, limit = figures["filled"], figures["bounded"]
    print(
        f"{options.entries:,} answers by {options.processes} processes in {told['seconds']:.0f} s, {told['killed']} "
        f"killed; {told['bytes'] / 1e6:,.0f} MB, {figures['checked']['rows']:,} rows"
    )
    print(
        f"bounded to {limit['bound'] / 1e6:,.0f} MB: {limit['written']:,} answers written, largest "
        f"{limit['largest'] / 1e6:,.0f} MB with its log, which had up to {limit['log'] / 1e6:,.0f} MB; "
        f"{limit['rows']:,} rows left"
    )
    met = True
    for good, text in bars(figures):
        met = met and good
        print(f"BAR {'PASS' if good else 'FAIL'} {text}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())

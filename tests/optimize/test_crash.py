"""Searches in processes that die: killed, interrupted, out of disk, two at once."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from outlast.optimize.ledger import Ledger

pytestmark = [pytest.mark.server, pytest.mark.slow]

SCRIPT = """
import hashlib, json, os, sys
import outlast as ol
from outlast.testing.world import SimulatedLM, Triage, World, right

folder, name = sys.argv[1:3]
if "LIMIT" in os.environ:
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(os.environ["LIMIT"]),) * 2)

log = os.open(f"{folder}/{name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

class Logging(SimulatedLM):
    async def complete(self, request):
        text = json.dumps(request.to_json(), sort_keys=True)
        digest = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
        os.write(log, f"{digest}\\n".encode())
        self.latency = 0.002 + 0.003 * int(digest[:4], 16) / 65536
        return await super().complete(request)

world = World(seed=5, examples=100, base=0.35, gain=0.6)
try:
    found = ol.compile(
        Triage(), world.data(), right, lm=Logging(world), study=f"{folder}/{name}.study.db",
        optimizer=ol.RandomSearch(candidates=5, max_demos=6), progress=False, concurrency=16,
    )
except ol.OutlastError as error:
    print(f"{type(error).__name__}: {error}")
    sys.exit(3)
record = dict(found.report.record, compiled_at="")
print(json.dumps({
    "record": record, "points": [p.to_json() for p in found.report.points], "rollouts": found.report.rollouts,
    "parameters": ol.parameters(found.program)["route.demos"].__repr__(), "winner": repr(ol.parameters(found.winner)),
    "known": found.report.known, "paid": found.report.spending.calls, "stopped": found.report.stopped,
}))
"""
SAME = ("record", "points", "rollouts", "parameters", "winner")


class Place:
    """A folder in which searches run as processes of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: list[subprocess.Popen[str]] = []
        (folder / "search.py").write_text(SCRIPT)

    def start(self, name: str, **environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, str(self.folder / "search.py"), str(self.folder), name],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        self.running.append(process)
        return process

    def finish(self, process: subprocess.Popen[str], code: int = 0) -> Any:
        out, err = process.communicate(timeout=120)
        assert process.returncode == code, (process.returncode, out, err)
        return json.loads(out) if code == 0 else out

    def log(self, name: str) -> list[str]:
        path = self.folder / f"{name}.log"
        return path.read_text().split() if path.exists() else []

    def wait_for_calls(self, process: subprocess.Popen[str], name: str, calls: int) -> bool:
        """True once so many calls were made; False when the process ended before."""
        path = self.folder / f"{name}.log"
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if path.exists() and path.stat().st_size >= 17 * calls:
                return True
            if process.poll() is not None:
                return False
            time.sleep(0.0005)
        raise AssertionError("the search made no progress for a minute")

    def known(self, name: str) -> set[str]:
        """The requests whose replies are in the ledger, as the log names them."""
        path = self.folder / f"{name}.study.db"
        db = sqlite3.connect(path)
        meta = dict(db.execute("SELECT key, value FROM meta WHERE key != 'version'"))
        keys = [row[0] for row in db.execute("SELECT key FROM reply")]
        db.close()
        ledger = Ledger(path, meta)
        texts = [json.dumps(ledger.request(key), sort_keys=True) for key in keys]
        ledger.close()
        return {hashlib.blake2b(text.encode(), digest_size=8).hexdigest() for text in texts}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    found = Place(tmp_path)
    yield found
    for process in found.running:
        if process.poll() is None:
            process.kill()
            process.communicate()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The result of a search that nobody disturbed."""
    there = Place(tmp_path_factory.mktemp("whole"))
    result = there.finish(there.start("whole"))
    assert result["paid"] == len(there.log("whole")) > 400
    return result


def test_a_search_killed_at_ten_points_ends_in_the_same_result_and_pays_no_finished_call_twice(
    place: Place, whole: dict[str, Any]
):
    targets = sorted(random.Random(os.environ.get("PYTEST_SEED", "7")).sample(range(5, whole["paid"] - 5), 10))
    finished: set[str] = set()
    made = 0
    for target in [*targets, None]:
        process = place.start("killed")
        if target is not None:
            assert place.wait_for_calls(process, "killed", target)
            process.send_signal(signal.SIGKILL)
        process.communicate()
        log = place.log("killed")
        assert not finished & set(log[made:]), "a call whose reply was in the ledger was made again"
        finished, made = place.known("killed"), len(log)
        assert finished <= set(log)
    result = place.finish(place.start("killed"))
    assert {name: result[name] for name in SAME} == {name: whole[name] for name in SAME}
    assert result["paid"] == 0
    assert len(place.log("killed")) <= whole["paid"] + 10 * 16  # ten kills, each with at most sixteen calls in flight
    assert len(set(place.log("killed"))) == whole["paid"]


def test_ctrl_c_gives_an_unproven_result_and_running_again_goes_on(place: Place, whole: dict[str, Any]):
    process = place.start("interrupted")
    assert place.wait_for_calls(process, "interrupted", 250)
    process.send_signal(signal.SIGINT)
    result = place.finish(process)
    assert result["stopped"] == "interrupted"
    assert result["record"]["result"]["verdict"] == "unproven"
    assert result["record"]["kept"] == "original"
    finished, made = place.known("interrupted"), len(place.log("interrupted"))
    again = place.finish(place.start("interrupted"))
    assert again["known"] == len(finished)
    assert not finished & set(place.log("interrupted")[made:])
    assert {name: again[name] for name in SAME} == {name: whole[name] for name in SAME}


def test_ctrl_c_before_the_search_is_unproven_too(place: Place):
    process = place.start("early")
    assert place.wait_for_calls(process, "early", 20)
    process.send_signal(signal.SIGINT)
    result = place.finish(process)
    assert result["record"]["result"]["verdict"] == "unproven"


def test_a_full_disk_ends_in_a_clear_error_and_a_rerun_pays_only_what_is_missing(place: Place, whole: dict[str, Any]):
    out = place.finish(place.start("full", LIMIT="400000"), code=3)
    assert out.startswith("StudyError: cannot write to the ledger")
    assert "run the same search again" in out
    finished, made = place.known("full"), len(place.log("full"))
    assert 0 < len(finished) < whole["paid"]
    result = place.finish(place.start("full"))
    assert not finished & set(place.log("full")[made:])
    assert {name: result[name] for name in SAME} == {name: whole[name] for name in SAME}


def test_a_disk_that_is_full_from_the_start_costs_no_call(place: Place):
    out = place.finish(place.start("none", LIMIT="4096"), code=3)
    assert "StudyError" in out
    assert len(place.log("none")) == 0


def test_two_processes_may_search_on_one_ledger_at_the_same_time(place: Place, whole: dict[str, Any]):
    both = [place.start("shared"), place.start("shared")]
    results = [place.finish(process) for process in both]
    for result in results:
        assert {name: result[name] for name in SAME} == {name: whole[name] for name in SAME}
    assert len(place.known("shared")) == whole["paid"]

"""The cache under processes that are killed while they write, scaled down from benchmarks/cache_scale.py."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARK = Path(__file__).parents[3] / "benchmarks" / "cache_scale.py"


@pytest.mark.slow
@pytest.mark.server
def test_killed_processes_leave_a_whole_file_without_a_wrong_answer_within_its_bound() -> None:
    options = [
        "--entries",
        "12000",
        "--processes",
        "8",
        "--kills",
        "4",
        "--bound",
        "4",
        "--seconds",
        "4",
        "--checks",
        "1500",
        "--json",
    ]
    timely = False
    for _ in range(3):
        figures = _figures(options)
        # These hold every time, whatever else the machine does.
        assert (figures["checked"]["wrong"], figures["checked"]["whole"]) == (0, True)
        assert figures["checked"]["missing"] <= 0.005 * figures["checked"]["asked"]
        assert figures["bounded"]["whole"]
        assert figures["bounded"]["written"] > figures["bounded"]["rows"] > 0  # it had to drop some
        # These are matters of time: somebody was killed before all was done, and the log was emptied often enough.
        # 1.2 times on a quiet machine (the benchmark judges that); a starved one may not get to it for a moment.
        small = figures["bounded"]["largest"] <= 1.25 * figures["bounded"]["bound"] + (24 << 20)
        quick = figures["costs"]["memory"] <= 50 and figures["costs"]["disk"] <= 150
        timely = figures["filled"]["killed"] >= 1 and small and quick
        if timely:
            break
    assert timely, figures


def _figures(options: list[str]) -> dict[str, Any]:
    done = subprocess.run([sys.executable, BENCHMARK, *options], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)

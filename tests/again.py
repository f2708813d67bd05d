"""Runs pytest; tests that failed beside the others run once more, alone, and are named where they then pass.

The machines have two cores, and a test that starts eight processes may be starved by the one beside it. A fault of
the code fails again; what fails only in a crowd is printed, so that nobody takes it for clean. At most three tests
get this second run: more is no accident.

    python tests/again.py [options of pytest]
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

MOST = 3
FAILED = 1  # pytest: tests ran, and some failed
RECORD = Path(".pytest_cache/v/cache/lastfailed")


def main(options: list[str]) -> int:
    """The exit code of pytest, or 0 when all that failed passed alone."""
    RECORD.unlink(missing_ok=True)
    code = pytest(options)
    if code != FAILED:
        return code
    failed = failures()
    if not 0 < len(failed) <= MOST:
        return code
    print(f"\n{len(failed)} failed beside the others; now alone:", *failed, sep="\n  ", flush=True)
    if pytest([*failed]) != 0:
        return code
    print("\nNOT STEADY, failed beside the others and passed alone:", *failed, sep="\n  ", flush=True)
    return 0


def pytest(options: list[str]) -> int:
    return subprocess.run([sys.executable, "-m", "pytest", *options], check=False).returncode


def failures() -> list[str]:
    try:
        return list(json.loads(RECORD.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return []


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

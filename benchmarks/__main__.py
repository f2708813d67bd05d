"""Runs the benchmarks one after the other and ends with the list of bars.

    python benchmarks [NAME ...] [--peer /path/to/python-with-dspy]

Every other script of this folder is one; names choose some of them. A script prints its table, and a line
`BAR PASS text` or `BAR FAIL text` for each bar. Those that know `--peer` get it. Ends with 1 when a bar is not met or
a script fails.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent


def main() -> int:
    """Run the scripts; gives the exit code."""
    scripts = {path.stem: path for path in sorted(HERE.glob("*.py")) if not path.stem.startswith("_")}
    parser = argparse.ArgumentParser(prog="python benchmarks", description="Run the benchmarks and list the bars.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which ones (all): {', '.join(scripts)}")
    parser.add_argument("--peer", metavar="PYTHON", help="python of an environment that has the peer (dspy)")
    options = parser.parse_args()
    for name in options.names:
        if name not in scripts:
            parser.error(f"no benchmark {name!r}; there are {', '.join(scripts)}")
    if options.peer and not os.access(options.peer, os.X_OK):
        parser.error(f"--peer is a Python interpreter; got {options.peer!r}")
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start")
    bars: list[tuple[str, str]] = []
    failed: list[str] = []
    for name in options.names or scripts:
        found, code = run(scripts[name], options.peer)
        bars += [(name, bar) for bar in found]
        if code and not any(bar.startswith("FAIL") for bar in found):
            failed.append(f"{name} ended with {code}")
    print("\nbars")
    for name, bar in bars:
        print(f"  {bar.split(' ', 1)[0]}  {name}: {bar.split(' ', 1)[1]}")
    for line in failed:
        print(f"  FAIL  {line}")
    missed = sum(bar.startswith("FAIL") for _, bar in bars) + len(failed)
    print(f"{len(bars) + len(failed) - missed} met, {missed} not met")
    return 1 if missed else 0


def run(script: Path, peer: str | None) -> tuple[list[str], int]:
    """Run one script, showing what it prints as it comes; gives its bars and its exit code."""
    command = [sys.executable, str(script)]
    if peer and "--peer" in script.read_text(encoding="utf-8"):
        command += ["--peer", peer]
    print(f"\n== {script.stem}", flush=True)
    began = time.monotonic()
    bars: list[str] = []
    env = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("BAR "):
                bars.append(line[4:].strip())
            print(line, end="", flush=True)
    print(f"({time.monotonic() - began:.0f} s)")
    return bars, process.returncode


if __name__ == "__main__":
    sys.exit(main())

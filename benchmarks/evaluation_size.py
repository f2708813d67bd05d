"""What an evaluation of 100,000 rows costs: to read, to show, to slice and to compare; and to run, with nothing kept.

    python benchmarks/evaluation_size.py [--rows N] [--json]

Two files of rows are written first. Bars: tables, page, slices and comparison of both together under 10 s of CPU, all
of it in under 1 GB; a run that keeps nothing under 150 bytes of memory a row.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import outlast as ol
from outlast.evals import About, Evaluation, Row

ROWS = 100_000
WORDS = "the customer asks why the transfer of last month has not arrived on the account " * 3


def rows(n: int, shift: int) -> Iterator[Row]:
    for index in range(n):
        score = float((index * 7919 + shift) % 11 > 2)
        state = "pass" if score else "fail"
        inputs = {"message": f"{index} {WORDS}", "doc": f"d{index // 20}"}
        targets = {"lang": "abcdefgh"[index % 8], "right": True}
        outputs = {"answer": WORDS[: 40 + index % 100], "right": bool(score)}
        more: dict[str, Any] = {"parts": {"a": score, "b": 0.5}, "seconds": 0.1, "cluster": f"d{index // 20}"}
        yield Row(index, f"{index:032x}", inputs, targets, outputs, score, state, "told why", **more)


def written(path: Path, n: int, shift: int) -> Path:
    about = About("program", f"p{shift}", "metric", "m", "model", data_hash="d", total=n, cluster="doc")
    Evaluation.of(about, list(rows(n, shift))).to_jsonl(path)
    return path


class Laps:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.process_time()

    def lap(self, name: str) -> None:
        now = time.process_time()
        self.seconds[name] = now - self._last
        self._last = time.process_time()


def shown(folder: Path) -> dict[str, Any]:
    """Everything that a person does with two finished evaluations."""
    laps = Laps()
    before, after = Evaluation.from_jsonl(folder / "a.jsonl"), Evaluation.from_jsonl(folder / "b.jsonl")
    laps.lap("read both")
    with open(os.devnull, "w") as nowhere:
        before.print_table(by="lang", file=nowhere)
        laps.lap("table by lang")
        before.to_html(folder / "a.html")
        laps.lap("page")
        {value: part.score for value, part in before.slices("lang").items()}
        laps.lap("slices")
        change = ol.compare(before, after, by="lang")
        change.print_table(file=nowhere)
        laps.lap("compare by lang")
    work = sum(value for name, value in laps.seconds.items() if name != "read both")
    return {"seconds": laps.seconds, "work": work, "peak_mb": peak()}


def ran(n: int) -> dict[str, Any]:
    """A run over a stream that keeps nothing, saved to a file."""

    async def program(message: str) -> str:
        return message

    def stream(count: int) -> Iterator[ol.Example]:
        return (ol.Example({"message": f"{index} {WORDS}"}, {}) for index in range(count))

    with tempfile.TemporaryDirectory() as folder:
        options: dict[str, Any] = {"progress": False, "keep": "nothing"}
        ol.evaluate(program, stream(1000), lambda example, out: True, save=f"{folder}/warm.jsonl", **options)
        start, begun = peak(), time.process_time()
        ol.evaluate(program, stream(n), lambda example, out: True, save=f"{folder}/rows.jsonl", **options)
        return {"us_a_row": (time.process_time() - begun) / n * 1e6, "bytes_a_row": (peak() - start) * 2**20 / n}


def peak() -> float:
    """The most memory that this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    run = ran(args.rows)  # first: the peak is that of the process
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if os.fork() == 0:  # writing takes memory that is none of the reader's
            written(folder / "a.jsonl", args.rows, 0)
            written(folder / "b.jsonl", args.rows, 4)
            os._exit(0)
        os.wait()
        show = shown(folder)
    if args.json:
        print(json.dumps({"rows": args.rows, "run": run, "show": show}))
        return 0
    print(f"{args.rows:,} rows")
    print(f"run, nothing kept   {run['us_a_row']:8.0f} us and {run['bytes_a_row']:.0f} bytes of memory a row")
    for what, seconds in show["seconds"].items():
        print(f"{what:20}{seconds:8.2f} s")
    scale = max(1.0, args.rows / ROWS)
    bars = [
        (f"tables, page, slices and comparison in 10 s of CPU: {show['work']:.1f}", show["work"] < 10 * scale),
        (f"all of it in 1 GB: {show['peak_mb']:.0f} MB", show["peak_mb"] < 1000 * scale),
        (f"a run that keeps nothing in 150 bytes a row: {run['bytes_a_row']:.0f}", run["bytes_a_row"] < 150),
    ]
    for text, met in bars:
        print(f"BAR {'PASS' if met else 'FAIL'} {text}")
    return 0 if all(met for _, met in bars) else 1


if __name__ == "__main__":
    sys.exit(main())

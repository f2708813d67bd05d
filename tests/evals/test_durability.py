"""Files of evaluations under kills, full disks and second writers; what is run again and what is said of that."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from outlast.adapters import Chat
from outlast.data import Example
from outlast.errors import ConfigError, DataError, EvaluationStopped
from outlast.evals import Evaluation, evaluate
from outlast.evals.rowfile import RowWriter
from outlast.lms.protocol import LM
from outlast.messages import Response
from outlast.modules import Predict

TOTAL, FLIGHT, KILLS = 400, 8, 4
SCRIPT = """
import asyncio, os, resource, signal, sys
from outlast.data import Example
from outlast.evals import evaluate

path, log = sys.argv[1:3]
calls = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

async def program(message):
    os.write(calls, message.encode() + b"\\n")
    await asyncio.sleep(0.005 + 0.015 * (int(message) % 3))
    return "x" * (int(message) % 50) * 40  # lines of many lengths

def told(snapshot):
    print(snapshot.done, flush=True)

data = [Example({"message": str(i)}, {}) for i in range(400)]
"""
RUN = """
result = evaluate(program, data, lambda e, p: True, concurrency=8, save=path, resume=True, progress=told)
print("end", result.n, result.stopped, flush=True)
"""
SMALL_DISK = """
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
result = evaluate(program, data, lambda e, p: True, concurrency=8, save=path, progress=False)
print("end", result.n, len(result.rows), result.save_error, flush=True)
"""


def started(tmp_path, main=RUN):
    script = textwrap.dedent(SCRIPT + main)
    arguments = [sys.executable, "-W", "ignore", "-c", script, str(tmp_path / "rows.jsonl"), str(tmp_path / "calls")]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)


def test_a_process_killed_again_and_again_loses_no_finished_row_and_pays_for_none_twice(tmp_path):
    rng, kills, finished = random.Random(7), 0, 0
    while True:
        with started(tmp_path) as process:
            told = [process.stdout.readline()]
            if kills < KILLS:
                time.sleep(rng.uniform(0, 0.12))
                process.send_signal(signal.SIGKILL)
                kills += 1
            told += process.stdout.read().splitlines()
        if told[-1].startswith("end"):
            break
        before, finished = finished, Evaluation.from_jsonl(tmp_path / "rows.jsonl").runs
        assert finished >= max(int(told[-1] or 0), before)
    assert kills == KILLS
    assert told[-1] == f"end {TOTAL} "
    whole = Evaluation.from_jsonl(tmp_path / "rows.jsonl")
    assert (whole.n, whole.stopped, whole.score.value) == (TOTAL, "", 1.0)
    calls = (tmp_path / "calls").read_text().split()
    assert len(set(calls)) == TOTAL
    assert len(calls) <= TOTAL + kills * FLIGHT  # only what was in flight is run twice


def test_a_disk_that_fills_up_costs_no_row_and_leaves_a_file_to_go_on_with(tmp_path):
    process = started(tmp_path, SMALL_DISK)
    assert process.communicate()[0] == f"end {TOTAL} {TOTAL} File too large\n"
    content = (tmp_path / "rows.jsonl").read_bytes()
    assert content.endswith(b"}\n")
    assert 50_000 < len(content) <= 60_000
    saved = Evaluation.from_jsonl(tmp_path / "rows.jsonl")
    assert saved.stopped == "unfinished"
    (tmp_path / "calls").unlink()
    assert started(tmp_path).communicate()[0].endswith(f"end {TOTAL} \n")
    assert len((tmp_path / "calls").read_text().split()) == TOTAL - saved.n


def examples(n):
    return [Example({"message": f"m{i}"}, {}) for i in range(n)]


async def echo(message):
    return message


def right(example, out):
    return out == example.message


def run(program=echo, data=None, **options):
    return evaluate(program, data or examples(6), right, progress=False, **options)


def test_a_write_cut_at_any_byte_loses_at_most_the_row_that_was_being_written(tmp_path):
    path = tmp_path / "rows.jsonl"
    whole = run(save=path, concurrency=1)
    lines = path.read_bytes().splitlines(keepends=True)
    content = b"".join(line for line in lines if b'"outlast": "provenance"' not in line)
    head = content.index(b"\n") + 1
    for cut in [*range(head, len(content), 23), content.rindex(b"\n", 0, -1)]:
        path.write_bytes(content[:cut])
        calls = []

        async def program(message):
            calls.append(message)  # noqa: B023 - run at once
            return message

        program.__name__ = "echo"
        before = Evaluation.from_jsonl(path).runs
        assert before >= content[:cut].count(b"\n") - 1 - (cut == len(content))
        assert repr(run(save=path, resume=True, concurrency=1)) == repr(whole)
        lines = path.read_bytes().splitlines()
        assert all(isinstance(json.loads(line), dict) for line in lines)
        assert [row.index for row in Evaluation.from_jsonl(path).rows] == list(range(6))


def test_a_row_that_lacks_only_the_end_of_its_line_is_kept(tmp_path):
    path = tmp_path / "rows.jsonl"
    run(save=path, concurrency=1)
    lines = [line for line in path.read_bytes().splitlines(keepends=True) if b'"provenance"' not in line]
    path.write_bytes(b"".join(lines[:3]).rstrip(b"\n"))
    run(save=path, resume=True, concurrency=1)
    indexes = [json.loads(line).get("index") for line in path.read_bytes().splitlines()]
    assert [index for index in indexes if index is not None] == list(range(6))


def test_a_file_that_is_no_evaluation_is_left_as_it_is(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("line\nlast line without an end")
    with pytest.raises(DataError):
        run(save=path, resume=True)
    assert path.read_text() == "line\nlast line without an end"


def test_two_runs_do_not_write_one_file(tmp_path):
    path = tmp_path / "rows.jsonl"
    run(save=path)
    writer = RowWriter(path, resume=True)
    with pytest.raises(DataError, match="is being written by another evaluation"):
        run(save=path, resume=True)
    writer.close()
    assert run(save=path, resume=True).n == 6


class Moody(LM):
    """Down for m1, mumbling for m2, until `well`."""

    name = "moody"
    blocking_safe = True

    def __init__(self):
        self.well = False
        self.asked = []

    async def complete(self, request):
        text = request.messages[-1].text
        self.asked.append(next(word for word in ("m0", "m1", "m2", "m3") if word in text))
        if not self.well and "m1" in text:
            raise ConnectionError("down")
        said = "hm" if not self.well and "m2" in text else "<<n>>\n1\n<<end>>"
        return Response(text=said, model="moody-1")


@pytest.mark.parametrize(
    ("retry", "asked", "states", "redrawn"),
    [
        ("accidents", ["m1"], {"pass": 3, "fail": 0, "error": 1, "unscored": 0}, 0),
        ("errors", ["m1", "m2"], {"pass": 4, "fail": 0, "error": 0, "unscored": 0}, 1),
        ("nothing", [], {"pass": 2, "fail": 0, "error": 2, "unscored": 0}, 0),
    ],
)
def test_what_is_run_again_is_chosen_and_said(tmp_path, retry, asked, states, redrawn):
    lm, path = Moody(), tmp_path / "rows.jsonl"

    def go(**options):
        program = Predict("message -> n: int", adapter=Chat(reasks=0))
        return evaluate(program, examples(4), lambda e, o: o.n == 1, lm=lm, save=path, progress=False, **options)

    assert go().states["error"] == 2
    lm.asked.clear()
    lm.well = True
    result = go(resume=True, retry=retry)
    assert sorted(lm.asked) == asked
    assert result.states == states
    assert (result.retried, result.redrawn) == (len(asked), redrawn)
    assert ("1 run drawn again after an unusable answer, which favours the program" in repr(result)) == bool(redrawn)
    again = Evaluation.from_jsonl(path)
    assert repr(again) == repr(result)
    if retry == "errors":
        assert [(one.type, one.answered) for row in again.rows for one in row.retried] == [
            ("ConnectionError", True),
            ("ParseError", False),
        ]


def test_rows_reach_the_system_while_the_run_goes_on(tmp_path):
    path = tmp_path / "rows.jsonl"
    seen = []

    async def program(message):
        seen.append(os.stat(path).st_size)
        return message

    run(program, save=path, concurrency=1)
    assert seen == sorted(set(seen))


def test_a_stream_in_another_order_does_not_spoil_the_file(tmp_path):
    path, asked = tmp_path / "rows.jsonl", []

    async def program(message):
        asked.append(message)
        if len(asked) == 4:
            raise ConfigError("no model")
        return message

    def stream(*numbers):
        return (Example({"message": str(number)}, {}) for number in numbers)

    def go(*numbers, **options):
        return evaluate(
            program, stream(*numbers), lambda e, o: 1, concurrency=1, progress=False, keep="rows", save=path, **options
        )

    with pytest.raises(EvaluationStopped):
        go(0, 1, 2, 3, 4)
    with pytest.raises(EvaluationStopped, match="example 1 is another one than in the file"):
        go(0, 2, 1, 3, 4, resume=True)
    assert Evaluation.from_jsonl(path).n == 4
    assert go(0, 1, 2, 3, 4, resume=True).states["pass"] == 5


def test_a_first_line_that_was_cut_begins_anew(tmp_path):
    path = tmp_path / "rows.jsonl"
    whole = run(save=path, concurrency=1)
    first = path.read_bytes().splitlines()[0]
    for cut in (1, 10, 26, len(first) // 2, len(first) - 1, len(first)):
        path.write_bytes(first[:cut])
        if cut < len(first):
            with pytest.raises(DataError, match="exists"):
                run(save=path)
        assert repr(run(save=path, resume=True, concurrency=1)) == repr(whole)
        assert repr(Evaluation.from_jsonl(path)) == repr(whole)
    for other in (b'{"outlast": "evaluation"}\nmine', b'{"outlast": "evaluatio\nmine', b"mine"):
        path.write_bytes(other)
        with pytest.raises(DataError):
            run(save=path, resume=True)
        assert path.read_bytes() == other

"""Runs that are killed and go on: nothing is paid twice, no tool runs twice, and the result is the same."""

from __future__ import annotations

import json
import os
import random
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import outlast as ol
from outlast.errors import BudgetExceeded, DataError
from outlast.messages import Response, ToolCall, Usage
from outlast.testing import FakeServer, ScriptedLM

NATIVE = ol.Capabilities(tools=True)
TURNS = 6


def agent_model(**options: Any) -> ScriptedLM:
    def reply(messages: Any) -> Any:
        done = sum(message.role == "tool" for message in messages)
        if done == TURNS:
            return Response(text="<<total>>\n15\n<<end>>", usage=Usage(input_tokens=5, output_tokens=2, cost=0.01))
        call = ToolCall(f"c{done}", "note", json.dumps({"number": done}))
        return Response(text="", tool_calls=(call,), usage=Usage(input_tokens=5, output_tokens=2, cost=0.01))

    return ScriptedLM(reply, capabilities=NATIVE, **options)


def agent(ran: list[int], **options: Any) -> Any:
    def note(number: int) -> str:
        """Note a number."""
        ran.append(number)
        return f"noted {number}"

    return ol.ReAct("task -> total: int", tools=[ol.tool(note, **options)])


def test_a_run_again_asks_nothing_and_runs_nothing(tmp_path: Path) -> None:
    ran: list[int] = []
    lm, program = agent_model(), agent(ran)
    found = []
    for _ in range(2):
        with ol.context(lm=lm), ol.checkpoint(tmp_path / "run.jsonl") as journal:
            found.append(program(task="x"))
    assert found[0] == found[1]
    assert (lm.calls, ran) == (TURNS + 1, list(range(TURNS)))
    assert journal.added == 0
    assert found[0].trace.spending.calls == found[1].trace.spending.calls == TURNS + 1
    assert found[0].trace.spending.dollars == pytest.approx(found[1].trace.spending.dollars)
    assert stat.S_IMODE((tmp_path / "run.jsonl").stat().st_mode) == 0o600


async def test_it_works_in_async_code_with_many_conversations(tmp_path: Path) -> None:
    ran: list[int] = []
    lm, program = agent_model(), agent(ran)
    for _ in range(2):
        with ol.context(lm=lm), ol.checkpoint(tmp_path / "run.jsonl"):
            await ol.gather(*(program.acall(task=str(n)) for n in range(8)))
    assert lm.calls == 8 * (TURNS + 1)
    assert len(ran) == 8 * TURNS


def test_a_budget_that_ends_is_gone_on_with(tmp_path: Path) -> None:
    ran: list[int] = []
    lm, program = agent_model(), agent(ran)
    with ol.context(lm=lm):
        with pytest.raises(BudgetExceeded), ol.checkpoint(tmp_path / "run.jsonl"), ol.budget(calls=3):
            program(task="x")
        assert lm.calls == 3
        with ol.checkpoint(tmp_path / "run.jsonl"), ol.budget(calls=TURNS + 1) as spent:
            assert program(task="x").total == 15
    assert lm.calls == TURNS + 1 == spent.calls
    assert ran == list(range(TURNS))


def test_a_tool_whose_outcome_is_unknown_is_not_run_again(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    ran: list[int] = []
    with ol.context(lm=agent_model()), ol.checkpoint(path):
        agent(ran)(task="x")
    lines = path.read_bytes().splitlines(keepends=True)
    at = next(n for n, line in enumerate(lines) if b"noted 2" in line)
    for repeatable, again in ((False, [3, 4, 5]), (True, [2, 3, 4, 5])):
        path.write_bytes(b"".join(lines[:at]))  # it died after this tool was begun
        ran.clear()
        lm = agent_model(keep=True)
        with ol.context(lm=lm), ol.checkpoint(path):
            assert agent(ran, repeatable=repeatable)(task="x").total == 15
        assert ran == again
        told = [part.text for m in lm.requests[0].messages for part in m.parts if hasattr(part, "error")]
        assert ("not known" in told[2]) is not repeatable


def test_a_line_that_was_cut_off_does_not_count(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    ran: list[int] = []
    with ol.context(lm=agent_model()), ol.checkpoint(path):
        agent(ran)(task="x")
    whole = path.read_bytes()
    luck = random.Random(1)
    for cut in sorted(luck.sample(range(len(whole)), 40)):
        path.write_bytes(whole[:cut])
        with ol.context(lm=agent_model()), ol.checkpoint(path):
            assert agent(ran)(task="x").total == 15
        assert path.read_bytes().endswith(b"\n")


def test_somebody_who_said_yes_is_not_asked_again(tmp_path: Path) -> None:
    asked: list[Any] = []

    def approver(call: Any, tool: Any) -> Any:
        asked.append(call)
        return len(asked) != 2 or "not that one"

    ran: list[int] = []
    for _ in range(2):
        with ol.context(lm=agent_model(), approver=approver), ol.checkpoint(tmp_path / "run.jsonl"):
            agent(ran, approve=True)(task="x")
    assert len(asked) == TURNS
    assert ran == [0, 2, 3, 4, 5]


def test_code_in_a_sandbox_goes_on_too(tmp_path: Path) -> None:
    ran: list[int] = []

    def note(number: int) -> int:
        """Note a number."""
        ran.append(number)
        return number

    text = "<<thought>>\nx\n<<code>>\n```python\nsubmit(total=sum(note(n) for n in range(4)))\n```\n<<end>>"
    lm = ScriptedLM(lambda messages: text)
    for _ in range(2):
        with ol.context(lm=lm), ol.checkpoint(tmp_path / "run.jsonl"):
            assert ol.CodeAct("task -> total: int", tools=[note])(task="x").total == 6
    assert (lm.calls, ran) == (1, [0, 1, 2, 3])


def test_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    with ol.checkpoint(path, about={"run": 1}):
        with pytest.raises(DataError, match="in use"), ol.checkpoint(path, about={"run": 1}):
            pass
    with pytest.raises(DataError, match="is for"), ol.checkpoint(path, about={"run": 2}):
        pass
    for bad in (b"garbage\n", b"{}\n", b'{"checkpoint": 99, "about": {}}\n', b'{"checkpoint": 1, "about": {}}\n[1]\n'):
        path.write_bytes(bad)
        with pytest.raises(DataError), ol.checkpoint(path):
            pass
        assert path.read_bytes() == bad
    with pytest.raises(DataError, match="cannot be opened"), ol.checkpoint(tmp_path):
        pass


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_disk_stops_the_run_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run.jsonl"
    ran: list[int] = []
    left = [6]
    fsync = os.fsync

    def full(descriptor: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    lm = agent_model()
    with ol.context(lm=lm), pytest.raises(DataError, match="No space left"), ol.checkpoint(path):
        agent(ran)(task="x")
    monkeypatch.undo()
    paid = lm.calls
    with ol.context(lm=lm), ol.checkpoint(path):
        assert agent(ran)(task="x").total == 15
    assert lm.calls <= TURNS + 1 + 1  # the one whose reply could not be kept
    assert paid >= 2


PROGRAM = """
import json, os, sys, time
import outlast as ol

def note(number: int) -> str:
    "Note a number."
    with open(os.environ["NOTES"], "a") as file:
        file.write(f"{number}\\n")
    time.sleep(0.02)
    return f"noted {number}"

agent = ol.ReAct("task -> total: int", tools=[note])
"""


@pytest.mark.server
def test_killed_again_and_again_nothing_is_paid_or_done_twice(tmp_path: Path) -> None:
    """`kill -9` at random moments; then `--resume` until it is done."""
    lines: list[str] = []

    def reply(request: Any) -> str:
        lines.append("asked")
        done = sum(message["role"] == "assistant" for message in request["messages"])
        if "Give the outputs now" in str(request["messages"][-1]["content"]):
            return '{"total": 15}'
        calls = [{"name": "note", "arguments": {"number": done}}] if done < TURNS else []
        return json.dumps({"thought": "so", "calls": calls})

    app, notes, path = tmp_path / "app.py", tmp_path / "notes", tmp_path / "run.jsonl"
    app.write_text(PROGRAM)
    luck = random.Random(5)
    kills, out = 0, ""
    with FakeServer(reply, latency=0.1) as server:
        base = [sys.executable, "-m", "outlast.cli", "run", f"{app}:agent", "--no-progress"]
        model = ["--lm", "openai/fake", "--base-url", server.url]
        for attempt in range(30):
            begun = path.exists() and path.stat().st_size > 0
            how = ["--resume", str(path)] if begun else ["--input", "task=x", "--checkpoint", str(path)]
            environment = {
                **os.environ,
                "NOTES": str(notes),
                "OPENAI_API_KEY": "k",
                "XDG_CACHE_HOME": str(tmp_path / f"cache{attempt}"),  # the response cache is not to help
            }
            process = subprocess.Popen([*base, *how, *model], env=environment, stdout=subprocess.PIPE, text=True)
            before = len(lines)
            enough = before + luck.randrange(1, 4)
            deadline = time.monotonic() + 20
            while kills < 5 and process.poll() is None and len(lines) < enough and time.monotonic() < deadline:
                time.sleep(0.005)
            time.sleep(luck.random() * 0.12)
            if kills < 5 and process.poll() is None:
                process.send_signal(signal.SIGKILL)
                process.communicate()
                kills += 1
                continue
            out, _ = process.communicate(timeout=60)
            assert process.returncode == 0
            break
    assert kills >= 2
    assert json.loads(out) == {"total": 15}
    done = [int(line) for line in notes.read_text().split()]
    assert len(done) == len(set(done))
    assert len(set(range(TURNS)) - set(done)) <= kills  # one that was killed before it did anything is not run again
    assert len(lines) <= TURNS + 2 + kills  # paid twice: only what was in flight

"""Code that broke out of WebAssembly: JavaScript of its own in the worker of Deno, with nothing stripped."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import outlast as ol
from outlast.sandbox import pyodide_home
from outlast.sandbox.values import Executed, Limits

pytestmark = pytest.mark.server


@pytest.fixture
def hostile(pyodide: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ol.Pyodide:
    code = tmp_path / "wasm"
    shutil.copytree(pyodide_home._CODE, code)
    shutil.copy(pyodide_home._CODE.with_name("worker.py"), tmp_path)
    shutil.copy(Path(__file__).with_name("hostile.mjs"), code / "guest.mjs")
    monkeypatch.setattr(pyodide_home, "_CODE", code)
    monkeypatch.setattr(pyodide_home, "_READ", (code / "guest.mjs", code / "guest.py", tmp_path / "worker.py"))
    return ol.Pyodide()


def act(sandbox: ol.Pyodide, name: str) -> Executed:
    return sandbox.execute(name, limits=Limits(seconds=5.0))


def test_the_worker_of_deno_may_do_nothing(hostile: ol.Pyodide) -> None:
    tried = act(hostile, "escape").value
    assert len(tried) == 23
    assert {name: told for name, told in tried.items() if "ESCAPED" in told} == {}


def test_what_is_written_to_stdout_past_the_main_thread_is_no_reply(hostile: ol.Pyodide) -> None:
    assert act(hostile, "forge").value == "honest"


@pytest.mark.parametrize(
    ("name", "stopped"),
    [("two lines in one", "crash"), ("no message", "crash"), ("too long", "output"), ("flood", "output")],
)
def test_messages_that_are_none_end_the_guest(hostile: ol.Pyodide, name: str, stopped: str) -> None:
    result = act(hostile, name)
    assert (result.stopped, result.state_lost, result.value) == (stopped, True, None)


def test_a_message_that_nobody_waits_for_ends_the_guest(hostile: ol.Pyodide) -> None:
    with hostile.session(limits=Limits(seconds=5.0)) as session:
        assert session.execute("two messages").value == 1
        assert session.execute("forge").stopped == "crash"
        assert session.execute("forge").value == "honest"

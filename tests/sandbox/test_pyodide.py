"""Pyodide: what is special to CPython in WebAssembly under Deno. What all sandboxes share is in the contract."""

from __future__ import annotations

import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import outlast as ol
from outlast.errors import ConfigError, SandboxUnavailable, UsageError
from outlast.sandbox.protocol import Session
from outlast.sandbox.pyodide import resident
from outlast.sandbox.values import Limits

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("pyodide")]


def shout(text: str) -> str:
    """Say it loudly."""
    return text.upper()


@pytest.fixture(scope="module")
def session(pyodide: None) -> Iterator[Session]:
    """One interpreter for the tests that do it no harm: a start takes half a second of CPU."""
    with ol.Pyodide().session([shout], Limits(seconds=20.0)) as session:
        yield session


def test_it_is_all_of_python(session: Session) -> None:
    code = """
import asyncio, dataclasses, sqlite3, statistics, sys
class Odd(ValueError): ...
@dataclasses.dataclass
class Point:
    x: int
async def later():
    await asyncio.sleep(0.001)
    return 7
def numbers():
    yield from (1, 2, 3)
match Point(2):
    case Point(x=2): hit = True
[sys.version_info[:2], statistics.median([3, 1, 2]), asyncio.run(later()), list(numbers()), hit, Point(1)]
"""
    assert session.execute(code).value == [[3, 14], 2, 7, [1, 2, 3], True, {"x": 1}]


def test_variables_stay_and_tools_are_called(session: Session) -> None:
    assert session.execute("total = 40", {"more": 2}).ok
    assert session.execute("shout(text='abc') + str(total + more)").value == "ABC42"


def test_two_sessions_draw_other_random_numbers() -> None:
    code = "import random, secrets; [random.random(), secrets.token_hex(4)]"
    first, second = (ol.Pyodide().execute(code).value for _ in range(2))
    assert first[0] != second[0]
    assert first[1] != second[1]


ATTEMPTS = {
    "a file of the host": "open('/etc/passwd').read()",
    "a file of the host by a link": "import os; os.symlink('/etc/passwd', '/tmp/link'); open('/tmp/link').read()",
    "a folder of the host": "import os; assert 'etc' in os.listdir('/')",
    "a program": "import subprocess; subprocess.run(['id'], check=True)",
    "a shell": "import os; assert os.system('id') == 0",
    "a fork": "import os; os.fork()",
    "a socket": "import socket; socket.create_connection(('127.0.0.1', 80), timeout=1)",
    "a request": "import urllib.request; urllib.request.urlopen('http://127.0.0.1/')",
    "a library of C": "import ctypes; ctypes.CDLL('libc.so.6')",
    "code of JavaScript": "from pyodide.code import run_js; run_js('1 + 1')",
    "the globals of JavaScript": "import js; js.globalThis",
    "Deno": "import js; js.Deno.readTextFileSync('/etc/passwd')",
    "the stdout of Deno": "import js; js.process.stdout.write('forged')",
    "fetch": "import js; js.fetch('http://127.0.0.1/')",
    "fetch by Pyodide": "import asyncio, pyodide.http as h; asyncio.run(h.pyfetch('http://127.0.0.1/'))",
    "a worker": "import js; js.Worker.new('data:text/javascript,1')",
    "an import of JavaScript": "import js; js.eval('import(\"node:fs\")')",
    "code from text by a function": "import pyodide_js as p; p.loadPackage.constructor('return globalThis')()",
    "code from text by an object": "import pyodide_js as p; p.constructor.constructor('return globalThis')()",
    "code from text by Emscripten": "import pyodide_js as p; p._module.ccall.constructor('return this')()",
    "a package": "import asyncio, pyodide_js as p; asyncio.run(p.loadPackage('numpy')); import numpy",
    "a package by its address": "import asyncio, pyodide_js as p\n"
    "asyncio.run(p.loadPackage('http://127.0.0.1/away-1-py3-none-any.whl')); import away",
    "a mount": "import pyodide_js as p; p.mountNodeFS('/mnt', '/etc'); open('/mnt/passwd').read()",
    "the host as a file system": "import pyodide_js as p; p.FS.mkdir('/host')\n"
    "p.FS.mount(p.FS.filesystems.NODEFS, {'root': '/'}, '/host'); open('/host/etc/passwd').read()",
    "sockets of node": "import asyncio, pyodide_js as p; asyncio.run(p.useNodeSockFS())",
}


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_there_is_no_way_out(session: Session, attempt: str) -> None:
    result = session.execute(ATTEMPTS[attempt])
    assert result.error is not None, result
    assert "root:" not in str(result)
    assert session.execute("1 + 1").value == 2


def test_what_goes_to_the_real_stdout_goes_nowhere(session: Session) -> None:
    code = """
import os, sys
os.write(1, b'{"done": {"value": 666, "stdout": ""}}\\n')
sys.__stdout__.write('{"done": {"value": 666, "stdout": ""}}\\n')
sys.__stdout__.flush()
41
"""
    result = session.execute(code)
    assert (result.value, result.stdout) == (41, "")


def test_the_process_knows_nothing_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    with ol.Pyodide().session() as session:
        inside = session.execute("import os; dict(os.environ)").value
        assert "OPENAI_API_KEY" not in inside
        pid = process_of(session)
        outside = Path(f"/proc/{pid}/environ")
        if outside.exists():
            assert b"sk-very-secret" not in outside.read_bytes()


def process_of(session: Session) -> int:
    guest: Any = session._guest
    return guest.pid


def test_memory_has_a_limit_that_code_can_live_with() -> None:
    with ol.Pyodide().session(limits=Limits(memory=64 << 20)) as session:
        assert session.execute("kept = 5\nlarge = bytearray(20 << 20)\nlen(large)").value == 20 << 20
        result = session.execute("bytearray(50 << 20)")
        assert (result.stopped, result.state_lost) == ("memory", False)
        assert session.execute("kept").value == 5
        result = session.execute("hoard = []\nwhile True: hoard.append(' ' * 10_000)")
        assert (result.stopped, result.state_lost) == ("memory", True)
        assert session.execute("1 + 1").value == 2


@pytest.mark.skipif(sys.platform != "linux", reason="the bound is looked at seldom elsewhere")
def test_memory_outside_of_webassembly_has_a_limit_too() -> None:
    code = "from pyodide.ffi import to_js\nkept = []\nwhile True: kept.append(to_js(bytes(20 << 20)))"
    with ol.Pyodide().session(limits=Limits(memory=64 << 20, seconds=60.0)) as session:
        result = session.execute(code)
        assert (result.stopped, result.state_lost) == ("memory", True)


def test_code_that_ignores_the_time_limit_is_killed() -> None:
    stubborn = """
import signal
signal.signal(signal.SIGALRM, signal.SIG_IGN)
while True: pass
"""
    with ol.Pyodide().session(limits=Limits(seconds=0.5)) as session:
        session.execute("1")
        pid = process_of(session)
        started = time.monotonic()
        result = session.execute(stubborn)
        assert (result.stopped, result.state_lost) == ("time", True)
        assert time.monotonic() - started < 20
        assert resident(pid) is None


def test_it_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(SandboxUnavailable, match="outlast sandbox install pyodide"):
        ol.Pyodide(folder=tmp_path).session()
    with pytest.raises(SandboxUnavailable, match="names no program"):
        ol.Pyodide(deno=str(tmp_path / "deno")).session()
    with pytest.raises(ConfigError, match="is a path"):
        ol.Pyodide(folder=3)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="67108864 bytes or more"):
        ol.Pyodide().execute("1", limits=Limits(memory=1 << 20))


def test_tasks_that_are_left_behind_rest_between_runs(session: Session) -> None:
    leave = """
import asyncio
turns = 0
async def spin():
    global turns
    while True:
        turns += 1
        await asyncio.sleep(0)
task = asyncio.get_event_loop().create_task(spin())
"""
    assert session.execute(leave).ok
    before = session.execute("turns").value
    time.sleep(0.1)
    assert session.execute("turns").value <= before + 2
    assert session.execute("asyncio.run(asyncio.sleep(0.2))\nturns").value > before + 5
    assert session.execute("task.cancel()").value is True


def test_a_wait_ends_at_the_time_limit() -> None:
    with ol.Pyodide().session(limits=Limits(seconds=0.5)) as session:
        session.execute("x = 1")
        started = time.monotonic()
        assert session.execute("import time; time.sleep(30)").stopped == "time"
        assert session.execute("import asyncio; asyncio.run(asyncio.sleep(30))").stopped == "time"
        assert time.monotonic() - started < 20


def test_wheels_are_there_to_import(tmp_path: Path) -> None:
    wheel = tmp_path / "greeting-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("greeting/__init__.py", "WORD = 'hello'")
        archive.writestr("greeting-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: greeting\nVersion: 1.0\n")
        archive.writestr("greeting-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("greeting-1.0.dist-info/RECORD", "")
    sandbox = ol.Pyodide(wheels=(wheel,))
    assert sandbox.packages == {"greeting"}
    assert sandbox.execute("import greeting; greeting.WORD").value == "hello"
    assert ol.Pyodide().packages == frozenset()
    wheel.unlink()
    with pytest.raises(SandboxUnavailable, match="there is no file"):
        sandbox.session()


@pytest.mark.parametrize(
    "tags", ["cp314-cp314-manylinux_2_17_x86_64", "cp313-cp313-pyemscripten_2026_0_wasm32", "py2-none-any"]
)
def test_a_wheel_for_another_machine_is_refused(tags: str) -> None:
    with pytest.raises(ConfigError, match=f"'numpy-2.4-{tags}.whl' is no wheel for CPython 3.14 in WebAssembly"):
        ol.Pyodide(wheels=(f"/x/numpy-2.4-{tags}.whl",))


def test_a_wheel_with_compiled_code_is_taken_by_its_name() -> None:
    wheels = ("a-1-cp314-cp314-pyemscripten_2026_0_wasm32.whl", "b-1-cp310-abi3-pyemscripten_2026_0_wasm32.whl")
    assert ol.Pyodide(wheels=wheels).packages == {"a", "b"}
    for wrong in (("a.whl",), ("numpy",), ["x"], (3,)):
        with pytest.raises(ConfigError):
            ol.Pyodide(wheels=wrong)  # type: ignore[arg-type]

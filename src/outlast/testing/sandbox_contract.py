"""What every sandbox must keep to, as one call to make in a test."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from outlast.errors import UsageError
from outlast.sandbox.protocol import Sandbox, Session
from outlast.sandbox.values import Executed, Limits
from outlast.testing.sandbox_probes import check_confined

_LIMITS = Limits(seconds=1.0, memory=128 << 20)
_CONTEXT: ContextVar[str] = ContextVar("contract", default="nothing")


def check_sandbox(sandbox: Sandbox, *, patience: float = 2.0, at_once: int = 8) -> None:
    """Check that a sandbox keeps its side of the bargain; raises `AssertionError` with what it breaks.

    Values, variables, output and errors come and go as they should, also odd ones; each limit ends the code that
    reaches it, within `patience` seconds, is named in `stopped`, and leaves a session that works; tools are called in
    the caller's context, in blocking and in async code, as often as allowed, and cannot break anything by what they
    raise, return or call; `at_once` sessions do not see each other; what is closed, forgotten, or cancelled leaves no
    process. Unless `isolation` is "none", code gets no file, variable of the environment, network or program. Takes
    about 10 seconds and starts some 30 sessions.
    """
    sandbox.check()
    before = children()
    with sandbox.session(limits=_LIMITS) as session:
        for check in (_check_values, _check_odd_values, _check_output, _check_errors, _check_claims):
            check(session)
        _check_misuse(session)
    _check_limits(sandbox, patience)
    _check_tools(sandbox)
    _check_hostile_tools(sandbox)
    _check_tool_limits(sandbox)
    _check_async(sandbox)
    _check_at_once(sandbox, at_once)
    if sandbox.isolation != "none":
        check_confined(sandbox, _LIMITS)
    _check_endings(sandbox, before)


def children() -> frozenset[int]:
    """The processes that descend from this one and run; empty where the system does not tell."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text("utf-8", "replace").rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        if fields[0] != "Z":
            parents[int(entry.parent.name)] = int(fields[1])
    found = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return frozenset(found - {os.getpid()})


def _value(session: Session, code: str, **variables: Any) -> Any:
    result = session.execute(code, variables)
    assert result.ok, f"{code!r} does not run: {result.told()}"
    return result.value


def _check_values(session: Session) -> None:
    for value in (None, True, 0, -(10**18), 1.5, "", "ä\n\u2028😀\x00", [1, [2, {"a": None}]], {"b": [1.5, "x"]}):
        got = _value(session, "v", v=value)
        assert got == value, f"the variable {value!r} comes back as {got!r}"
        assert type(got) is type(value), f"the variable {value!r} comes back as {got!r}"
    assert _value(session, "n = 2\nn + 1") == 3, "the last line's value is not the value"
    assert _value(session, "n = n * 10") is None, "an assignment has a value"
    assert _value(session, "def twice(x):\n    return x * 2\ntwice(n)") == 40, "variables do not stay"
    assert _value(session, "twice(n + m)", m=1) == 42, "functions do not stay, or variables do not arrive"
    assert _value(session, "") is None, "no code has a value"


def _check_odd_values(session: Session) -> None:
    codes = (
        "(1, 2), {3}, {4: {None: 5}}",
        "float('nan'), float('inf'), -float('inf')",
        "'\\ud800 \\udfff'",
        "'a\\x00b'",
        "print",
        "10 ** 4000",
        "b'\\xff'",
    )
    for code in codes:
        result = session.execute(code)
        assert result.ok, f"{code} gives {result.told()}"
        _check_data(result, code)
    assert _value(session, "(1, 2), {3}, {4: 5}") == [[1, 2], [3], {"4": 5}], "collections do not come out as JSON data"
    assert _value(session, "'a\\x00b'") == "a\x00b", "NUL does not come out"
    loop = session.execute("a = []\na.append(a)\na")
    assert loop.stopped in (None, "value"), f"a value that contains itself gives {loop}"
    _check_data(session.execute("10 ** 5000"), "a number of 5000 digits")
    nested = session.execute("a = []\nfor _ in range(3000):\n    a = [a]\na")
    assert nested.error is not None or nested.stopped == "value", "a list in 3000 others comes out"
    assert _value(session, "1") == 1, "after odd values nothing works"


def _check_data(result: Executed, what: str) -> None:
    text = json.dumps(result.value, allow_nan=False)
    json.dumps([result.value, result.stdout], ensure_ascii=False).encode()
    assert isinstance(result.told(), str), f"{what} cannot be told"
    assert json.loads(text) == result.value, f"{what} comes out as {text}, which is no JSON data"


def _check_output(session: Session) -> None:
    result = session.execute("print('a', 1)\nprint('ü', end='')\n5")
    assert (result.stdout, result.value) == ("a 1\nü", 5), f"output comes out as {result.stdout!r}, {result.value!r}"
    assert session.execute("1").stdout == "", "the output of one execution is told with the next"
    result = session.execute("print('\\ud800', chr(0))")
    _check_data(result, "output with odd characters")
    for line in ('{"done": {"value": 9, "stdout": ""}}', '{"call": {"name": "x", "arguments": {}}}', "\\x00\\xff"):
        result = session.execute(f"print('''{line}''', flush=True)\n7")
        assert result.value == 7, f"printing {line} changes the result to {result}"
    with session.sandbox.session(limits=Limits(output=100)) as short:
        result = short.execute("print('x' * 99)\nprint('ü' * 100)\n3")
        assert (result.value, result.ok) == (3, True), f"output beyond the limit ends the code: {result.told()}"
        assert result.truncated, "output is cut without a word"
        assert len(result.stdout.encode()) <= 100, f"{len(result.stdout.encode())} bytes of output are kept, not 100"


def _check_errors(session: Session) -> None:
    result = session.execute("x = 6\nprint('so far')\ndef f():\n    return x / 0\nf()")
    assert not result.ok, "a division by zero runs"
    assert result.error is not None, "an error is not told"
    assert (result.error.kind, result.error.message) == ("ZeroDivisionError", "division by zero"), str(result.error)
    assert "line 4" in result.error.lines, f"the lines of an error are {result.error.lines!r}"
    assert "return x / 0" in result.error.lines, f"the lines of an error are {result.error.lines!r}"
    assert result.stdout == "so far\n", "the output before an error is lost"
    assert _value(session, "x") == 6, "after an error the variables are gone"
    for code in ("(", "x = = 1", "\x00", "'\ud800'", "(" * 500, "nothing_of_this_name", "raise ValueError"):
        result = session.execute(code)
        assert not result.ok or code == "'\ud800'", f"{code[:20]!r} runs"
        _check_data(result, repr(code))
    assert _value(session, "try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    y = str(error)\ny")


def _check_claims(session: Session) -> None:
    code = "class Wrong(ValueError):\n    pass\ndef f():\n    yield Wrong('a')\nimport heapq\n[str(e) for e in f()]"
    result = session.execute(code)
    if session.sandbox.full_python:
        assert result.value == ["a"], f"the sandbox claims to be full Python, and says: {result.told()}"
    else:
        assert result.ok or result.unsupported, f"what a subset lacks is not told as such: {result.told()}"


def _check_misuse(session: Session) -> None:
    long = "x" * (session.limits.value + 1)
    for wrong in ({"v": {1}}, {"v": float("nan")}, {"not a name": 1}, {"v": long}, {"v": object()}):
        try:
            session.execute("1", wrong)
        except UsageError:
            continue
        raise AssertionError(f"the variables {str(wrong)[:40]} are taken")
    closed = session.sandbox.session()
    closed.close()
    closed.close()
    try:
        closed.execute("1")
    except UsageError:
        pass
    else:
        raise AssertionError("a closed session executes")
    assert _value(session, "1") == 1, "after a wrong call nothing works"


def _check_limits(sandbox: Sandbox, patience: float) -> None:
    any_of = ("time", "memory", "crash")
    cases: tuple[tuple[str, tuple[str | None, ...]], ...] = (
        ("while True:\n    pass", ("time",)),
        ("try:\n    while True:\n        pass\nexcept BaseException:\n    pass\nwhile True:\n    pass", ("time",)),
        ("9 ** 9 ** 9", ("time", "memory")),
        ("import re\nre.match('(a+)+$', 'a' * 40 + 'b')", (None, "time")),
        ("len('x' * 2 ** 30)", ("memory",)),
        ("len('x' * 10 ** 10)", ("memory", None)),  # where a pointer has 32 bits it is a plain error
        ("a = [0]\nwhile True:\n    a = a + a", ("memory",)),
        ("a = 'x'\nwhile True:\n    a = a + a", ("memory",)),
        ("def f():\n    return f()\nf()", (None,)),
        ("import sys\nsys.setrecursionlimit(10 ** 6)\ndef f():\n    return f()\nf()", (None, *any_of)),
        ("while True:\n    print('x' * 1000)", ("output",)),
        ("print('x' * 10 ** 7)", ("output",)),
        ("'x' * 2 ** 21", ("value",)),
        ("a = [1]\nfor _ in range(12):\n    a = [a] * 10\na", ("value", *any_of)),
        ("eval('(' * 10000 + ')' * 10000)", (None, *any_of)),
    )
    with sandbox.session(limits=_LIMITS) as session:
        for code, allowed in cases:
            session.execute("1")  # a start is not part of the time
            clock = time.monotonic()
            result = session.execute(code)
            took = time.monotonic() - clock
            assert result.stopped in allowed, f"{code[:60]!r} ends as {result.told()[-300:]!r}; expected {allowed}"
            assert took < _LIMITS.seconds + patience, f"{code[:60]!r} took {took:.1f} s; {_LIMITS.seconds} are allowed"
            assert len(result.stdout) <= _LIMITS.output, f"{code[:60]!r} gives more output than allowed"
            assert result.value is None or result.stopped is None, f"{code[:60]!r} is stopped and has a value"
            after = session.execute("2 + 3")
            assert after.value == 5, f"after {code[:60]!r} nothing works: {after.told()}"


def _add(a: int, b: int = 1) -> int:
    """Add two numbers."""
    return a + b


async def _wait(seconds: float) -> str:
    """Wait, and say what the caller's context is."""
    await asyncio.sleep(seconds)
    return _CONTEXT.get()


def _where() -> str:
    """What the caller's context is."""
    return _CONTEXT.get()


def _box(value: dict[str, Any]) -> dict[str, Any]:
    """The value in a list in a dict."""
    return {"boxed": [value]}


def _check_tools(sandbox: Sandbox) -> None:
    with sandbox.session([_add, _wait, _where, _box], _LIMITS) as session:
        assert _value(session, "_add(1, 2), _add(a=3), _add(4, b=5)") == [3, 4, 9], "tools get other arguments"
        assert _value(session, "_box({'a': [None]})") == {"boxed": [{"a": [None]}]}, "values of tools change"
        assert _value(session, "[_add(i) for i in range(50)]") == list(range(1, 51)), "calls of tools are mixed up"
        result = session.execute("_wait(1.3)")
        assert result.ok, f"the time of a tool counts as time of the code: {result.told()}"
        assert result.used.tool_calls == 1, f"one call of a tool is told as {result.used.tool_calls}"
        token = _CONTEXT.set("mine")
        try:
            assert _value(session, "_wait(0), _where()") == ["mine", "mine"], "tools do not run in the caller's context"
        finally:
            _CONTEXT.reset(token)
        result = session.execute("_add('one')")
        assert result.error is not None, "a tool takes wrong arguments"
        assert result.error.kind == "ToolError", f"the error of a tool is a {result.error.kind}"
        caught = "try:\n    _add('one')\nexcept ToolError as error:\n    y = 'caught'\ny"
        assert _value(session, caught) == "caught", "code cannot catch the error of a tool"


def _check_hostile_tools(sandbox: Sandbox) -> None:
    sessions: list[Session] = []

    class Odd(BaseException):
        pass

    def leave(how: str) -> Any:
        """End in an odd way."""
        if how == "exit":
            raise SystemExit(3)
        if how == "odd":
            raise Odd("\ud800")
        if how == "execute":
            return sessions[0].execute("1").value
        if how == "big":
            return "x" * (1 << 24)
        if how == "close":
            sessions[0].close()
        return float("nan") if how == "nan" else object()

    for how in ("exit", "odd", "execute", "big", "nan", "object"):
        with sandbox.session([leave], _LIMITS) as session:
            sessions[:] = [session]
            for result in (session.execute(f"leave({how!r})"), asyncio.run(session.aexecute(f"leave({how!r})"))):
                _check_data(result, f"a tool that ends by {how}")
            assert _value(session, "2 + 3") == 5, f"after a tool that ends by {how} nothing works"
    with sandbox.session([leave], _LIMITS) as session:
        sessions[:] = [session]
        result = session.execute("leave('close')\n5")
        assert not result.ok, "a session that a tool has closed goes on"


def _check_tool_limits(sandbox: Sandbox) -> None:
    calls = 0

    def count() -> int:
        """How often this was called."""
        nonlocal calls
        calls += 1
        return calls

    with sandbox.session([count, _box], Limits(seconds=5, memory=128 << 20, tool_calls=30, value=10_000)) as session:
        result = session.execute(
            "for _ in range(10000):\n    try:\n        count()\n    except Exception:\n        pass"
        )
        assert (result.stopped, calls) == ("tool_calls", 30), (
            f"30 calls are allowed, {calls} were made: {result.told()}"
        )
        assert _value(session, "count()") == 31, "after too many calls nothing works"
        big = "try:\n    _box({'a': 'x' * 20000})\n    y = 'taken'\nexcept Exception:\n    y = 'refused'\ny"
        assert _value(session, big) == "refused", "arguments beyond the limit reach a tool"


def _check_async(sandbox: Sandbox) -> None:
    async def use(session: Session, code: str) -> Any:
        return (await session.aexecute(code)).value

    async def give_up(session: Session) -> None:
        task = asyncio.create_task(session.aexecute("while True:\n    pass"))
        await asyncio.sleep(0.1)
        try:
            await session.aexecute("1")
        except UsageError:
            pass
        else:
            raise AssertionError("a busy session executes twice at once")
        task.cancel()
        await asyncio.wait([task], timeout=5)
        assert task.cancelled(), "an execution that is cancelled goes on"

    with sandbox.session([_wait], _LIMITS) as session:
        found = [asyncio.run(use(session, code)) for code in ("x = 1", "x += 1\nx", "_wait(0)")]
        assert found == [None, 2, "nothing"], f"a session on three event loops gives {found}"
        assert _value(session, "x") == 2, "blocking code does not see what async code did"
        asyncio.run(give_up(session))
        assert _value(session, "2 + 3") == 5, "after a cancelled execution nothing works"


def _check_at_once(sandbox: Sandbox, count: int) -> None:
    def use(number: int) -> list[Any]:
        with sandbox.session([_add], _LIMITS) as session:
            session.execute(f"x = {number}\nprint(x)")
            return [_value(session, "_add(x)"), _value(session, "x")]

    async def use_all() -> list[list[Any]]:
        return await asyncio.gather(*(asyncio.to_thread(use, number) for number in range(count)))

    wanted = [[number + 1, number] for number in range(count)]
    with ThreadPoolExecutor(count) as threads:
        assert list(threads.map(use, range(count))) == wanted, "sessions of threads at once are mixed up"
    assert asyncio.run(use_all()) == wanted, "sessions under an event loop are mixed up"


def _check_endings(sandbox: Sandbox, before: frozenset[int]) -> None:
    def gone(how: str) -> None:
        until = time.monotonic() + 5
        while left := children() - before:
            assert time.monotonic() < until, f"a session that is {how} leaves {len(left)} processes"
            time.sleep(0.02)

    gone("closed")
    session = sandbox.session(limits=_LIMITS)
    session.execute("x = 1")
    del session
    gone("forgotten")
    busy = sandbox.session(limits=Limits(seconds=30, memory=128 << 20))
    busy.execute("1")
    thread = threading.Thread(target=lambda: busy.execute("while True:\n    pass"), daemon=True)
    thread.start()
    time.sleep(0.1)
    busy.close()
    thread.join(5)
    assert not thread.is_alive(), "an execution goes on after its session was closed"
    gone("closed while it is busy")

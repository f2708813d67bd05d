"""Servers that do what they should, built with the official SDK, over stdio and over streamable HTTP."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import outlast as ol
from outlast.errors import ToolServerError, UsageError
from outlast.runtime import drive
from outlast.tools.calling import Toolbox

FRIENDLY = str(Path(__file__).parent / "friendly.py")
COMMAND = (sys.executable, FRIENDLY)


@pytest.fixture(params=["stdio", "http"])
def server(request: pytest.FixtureRequest, address: str) -> Iterator[ol.MCP]:
    """The friendly server over either transport."""
    if request.param == "stdio":
        opened = ol.MCP(*COMMAND)
    else:
        opened = ol.MCP(url=address, name="friendly")
    with opened:
        yield opened


def ask(server: ol.MCP, name: str, /, **arguments: Any) -> Any:
    """Call a tool as a blocking program does."""
    called = drive(Toolbox(server.tools).answer(name, arguments))
    if called.failure is not None:
        raise called.failure
    return called.data


async def aask(server: ol.MCP, name: str, **arguments: Any) -> Any:
    """Call a tool as an async program does."""
    called = await Toolbox(server.tools).answer(name, arguments)
    if called.failure is not None:
        raise called.failure
    return called.data


def test_results_are_data_and_text(server: ol.MCP) -> None:
    assert ask(server, "add", a=1, b=2) == 3
    assert ask(server, "greet", person={"name": "Ana"}) == "¡Hola, Ana! 你好 🙂"
    assert ask(server, "split", text="a b c") == ["a", "b", "c"]
    assert ask(server, "split", text="") == []
    assert ask(server, "profile", name="Bo") == {"name": "Bo", "age": 7}
    assert ask(server, "odd_name_with_signs") == "odd"
    assert ask(server, "picture") == "[image: image/png, 12 bytes, not shown]"
    assert len(ask(server, "big", size=3_000_000)) == 3_000_000


def test_tools_have_the_schema_and_the_words_of_the_server(server: ol.MCP) -> None:
    tools = {tool.name: tool for tool in server.tools}
    assert tools["add"].description == "Add two numbers."
    assert tools["add"].parameters["required"] == ["a", "b"]
    assert tools["greet"].parameters["properties"]["person"] == {"$ref": "#/$defs/Person"}
    assert tools["greet"].parameters["$defs"]["Person"]["properties"]["name"]["type"] == "string"
    assert server.tools == server.tools
    assert server.instructions == "Ask it anything."


def test_results_carry_where_they_come_from(server: ol.MCP) -> None:
    called = drive(Toolbox(server.tools).answer("add", {"a": 1, "b": 2}))
    assert called.label.sources == {"mcp:friendly"}


def test_a_failing_tool_is_an_error_that_says_what_the_server_said(server: ol.MCP) -> None:
    with pytest.raises(ToolServerError, match="Error executing tool fail"):
        ask(server, "fail")
    with pytest.raises(ToolServerError, match="valid string"):
        ask(server, "greet", person={"name": 5})
    called = drive(Toolbox(server.tools).answer("add", {"a": "many"}))  # never sent
    assert called.why == "arguments"
    assert "the argument 'b' is missing" in called.text
    assert ask(server, "add", a=1, b=1) == 2


def test_resources_are_documents_images_and_files(server: ol.MCP) -> None:
    found = {one.uri: one for one in server.resources()}
    assert set(found) == {"memo://today", "memo://logo.png", "memo://day/{day}"}
    assert (found["memo://today"].name, found["memo://today"].mime) == ("Today", "text/plain")
    assert found["memo://day/{day}"].template
    assert not found["memo://today"].template
    assert server.read("memo://today") == ol.Document("buy milk ☕", "", "memo://today")
    assert server.read("memo://day/monday") == ol.Document("nothing on monday", "", "memo://day/monday")
    assert server.read("memo://logo.png") == ol.Image("image/png", b"\x89PNG\r\n\x1a\nlogo", name="logo.png")
    assert server.read_all("memo://today") == (server.read("memo://today"),)
    with pytest.raises(ToolServerError, match="memo://nothing"):
        server.read("memo://nothing")


def test_prompts_are_messages(server: ol.MCP) -> None:
    (prompt,) = server.prompts()
    assert (prompt.name, prompt.description, prompt.required) == ("review", "Review some code.", frozenset({"code"}))
    assert list(prompt.arguments) == ["code", "tone"]
    assert server.prompt("review", code="x = 1") == (ol.Message("user", "Review this in a kind tone:\nx = 1"),)
    with pytest.raises(ToolServerError, match="review"):
        server.prompt("review")
    with pytest.raises(UsageError, match="'code' is a int"):
        server.prompt("review", code=1)  # type: ignore[arg-type]


def test_fifty_calls_at_once_from_threads(server: ol.MCP) -> None:
    found: list[Any] = []
    threads = [threading.Thread(target=lambda n=n: found.append(ask(server, "add", a=n, b=n))) for n in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [2 * n for n in range(50)]


async def test_fifty_calls_at_once_from_tasks(address: str) -> None:
    for opened in (ol.MCP(*COMMAND), ol.MCP(url=address)):
        async with opened as server:
            clock = time.monotonic()
            slow = [aask(server, "slow", seconds=0.5) for _ in range(50)]
            assert await asyncio.gather(*slow) == ["waited 0.5"] * 50
            assert time.monotonic() - clock < 5


async def test_everything_has_an_async_form() -> None:
    async with ol.MCP(*COMMAND) as server:
        assert len(await server.aresources()) == 3
        assert await server.aread("memo://today") == ol.Document("buy milk ☕", "", "memo://today")
        assert [one.name for one in await server.aprompts()] == ["review"]
        assert (await server.aprompt("review", code="x"))[0].role == "user"
        assert await server.arefresh() == server.tools
        assert await server.aconnect() is server


def test_one_session_serves_other_event_loops_and_threads(server: ol.MCP) -> None:
    assert asyncio.run(aask(server, "add", a=1, b=2)) == 3
    assert asyncio.run(aask(server, "add", a=2, b=2)) == 4
    assert ask(server, "add", a=3, b=2) == 5


def test_an_async_session_that_nobody_closed_is_closed_with_what_it_belongs_to() -> None:
    async def forgetful() -> Any:
        server = await ol.MCP(*COMMAND).aconnect()
        return await aask(server, "pid")

    pid = asyncio.run(forgetful())
    until = time.monotonic() + 30
    while alive(pid) and time.monotonic() < until:
        time.sleep(0.02)
    assert not alive(pid)


def alive(pid: int) -> bool:
    """Whether a process runs."""
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


async def test_a_cancelled_call_leaves_the_session_whole(address: str) -> None:
    for opened in (ol.MCP(*COMMAND), ol.MCP(url=address)):
        async with opened as server:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await aask(server, "slow", seconds=30)
            assert await aask(server, "add", a=1, b=2) == 3


def test_a_slow_call_is_given_up_and_the_next_one_works(address: str) -> None:
    for opened in (ol.MCP(*COMMAND, timeout=0.5), ol.MCP(url=address, timeout=0.5)):
        with opened as server:
            with pytest.raises(ToolServerError, match=r"no answer in 0.5 s; what became of it is not known"):
                ask(server, "slow", seconds=30)
            assert ask(server, "add", a=1, b=2) == 3


def test_a_server_sees_no_variables_but_those_that_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret-key-of-mine")
    with ol.MCP(*COMMAND, env={"GIVEN": "yes"}) as server:
        seen = ask(server, "environment")
    assert seen["GIVEN"] == "yes"
    assert "OPENAI_API_KEY" not in seen
    assert set(seen) - {"GIVEN", "LC_CTYPE"} <= {"HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER"}


def test_a_server_that_dies_mid_call_is_told_and_started_again_for_the_next_call() -> None:
    notices: list[Any] = []
    with ol.MCP(*COMMAND, on_message=notices.append) as server:
        before = ask(server, "pid")
        with pytest.raises(ToolServerError, match=r"ended with status 3\. It was not repeated") as raised:
            ask(server, "die")
        assert "goodbye" in raised.value.stderr
        assert "goodbye" not in str(raised.value)
        assert ask(server, "pid") != before
    assert [notice.kind for notice in notices] == ["reconnected"]


def test_progress_goes_to_a_callback() -> None:
    notices: list[Any] = []
    with ol.MCP(*COMMAND, on_message=notices.append) as server:
        assert ask(server, "work", steps=3) == "done"
    assert [(one.kind, one.text) for one in notices] == [("progress", f"{n} of 3: step {n}") for n in (1, 2, 3)]


def test_a_changed_list_of_tools_is_seen() -> None:
    notices: list[Any] = []
    with ol.MCP(*COMMAND, on_message=notices.append) as server:
        before = server.fingerprint
        ask(server, "grow")
        until = time.monotonic() + 30
        while not notices and time.monotonic() < until:
            time.sleep(0.01)
        assert [one.kind for one in notices] == ["changed"]
        assert ask(server, "add", a=1, b=2) == 3
        assert server.fingerprint != before
        assert ask(server, "extra") == "extra"


def test_tools_are_chosen_and_named() -> None:
    with ol.MCP(*COMMAND, only=["add", "odd name/with:signs"], prefix="f_") as server:
        assert [tool.name for tool in server.tools] == ["f_add", "f_odd_name_with_signs"]
        assert ask(server, "f_add", a=1, b=2) == 3
    with ol.MCP(*COMMAND, without=["die", "fail"]) as server:
        names = [tool.name for tool in server.tools]
        assert len(names) == 13
        assert "die" not in names
    with pytest.raises(UsageError, match=r"no tool 'ad'\. Did you mean 'add'\?"):
        ol.MCP(*COMMAND, only=["ad"]).connect()


def test_a_pin_holds_and_tells_what_differs() -> None:
    with ol.MCP(*COMMAND, only=["add", "split"]) as server:
        pin, definitions = server.fingerprint, server.definitions
    for fine in (pin, definitions):
        with ol.MCP(*COMMAND, only=["split", "add"], pin=fine) as server:
            assert ask(server, "add", a=1, b=2) == 3
    with pytest.raises(ToolServerError, match=f"fingerprint is .* and not {pin}; its tools are now: 'add'"):
        ol.MCP(*COMMAND, only=["add"], pin=pin).connect()
    other = {**definitions, "add": {**definitions["add"], "description": "Add two numerals."}}
    with pytest.raises(
        ToolServerError, match=r"description of 'add' was 'Add two numerals\.' and is 'Add two numbers\.'"
    ):
        ol.MCP(*COMMAND, only=["add", "split"], pin=other).connect()


def test_a_session_is_open_between_connect_and_close() -> None:
    server = ol.MCP(*COMMAND)
    with pytest.raises(UsageError, match="not open"):
        _ = server.tools
    server.connect()
    tools = server.tools
    server.close()
    server.close()
    with pytest.raises(UsageError, match="not open"):
        drive(tools[0].function(a=1, b=2))  # type: ignore[misc]
    with server.connect():
        assert drive(tools[0].function(a=1, b=2)) == 3  # type: ignore[misc]


async def test_the_blocking_form_inside_async_code_waits_too() -> None:
    server = ol.MCP(*COMMAND).connect()  # as in a notebook, whose loop runs
    try:
        assert await aask(server, "add", a=1, b=2) == 3
    finally:
        await server.aclose()


def test_a_forgotten_server_ends_with_the_interpreter() -> None:
    import subprocess

    code = (
        f"import outlast as ol; s = ol.MCP({sys.executable!r}, {FRIENDLY!r}).connect(); "
        "from outlast.runtime import drive; "
        "print(drive({t.name: t for t in s.tools}['pid'].function()))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60, env=environment
    )
    assert done.stderr == ""
    assert not alive(int(done.stdout))


@pytest.mark.parametrize("signal", ["SIGINT", "SIGTERM", "SIGKILL"])
def test_a_server_ends_with_a_process_that_is_killed(signal: str) -> None:
    import signal as signals
    import subprocess

    code = (
        f"import outlast as ol, time; s = ol.MCP({sys.executable!r}, {FRIENDLY!r}).connect(); "
        "from outlast.runtime import drive; "
        "print(drive({t.name: t for t in s.tools}['pid'].function()), flush=True); time.sleep(60)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", code], stdout=-1, stderr=-3, text=True, env=environment) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        process.send_signal(getattr(signals, signal))
        process.wait(20)
    until = time.monotonic() + 30
    while alive(pid) and time.monotonic() < until:
        time.sleep(0.02)
    assert not alive(pid)


def test_a_forked_child_gets_a_server_of_its_own() -> None:
    with ol.MCP(*COMMAND) as server:
        mine = ask(server, "pid")
        read, write = os.pipe()
        child = os.fork()
        if child == 0:  # pragma: no cover - the child
            try:
                os.write(write, str(ask(server, "pid")).encode())
                server.close()
            finally:
                os._exit(0)
        os.close(write)
        os.waitpid(child, 0)
        theirs = int(os.read(read, 100))
        os.close(read)
        assert theirs != mine
        assert not alive(theirs)
        assert ask(server, "pid") == mine


def test_importing_outlast_loads_no_sdk() -> None:
    import subprocess

    heavy = "('mcp', 'mcp_types', 'anyio', 'httpx2')"
    code = f"import outlast as ol, sys; ol.MCP('x'); print([n for n in sys.modules if n.split('.')[0] in {heavy}])"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == "[]"


def test_what_cannot_mean_anything_is_refused_at_construction() -> None:
    for wrong, said in [
        (lambda: ol.MCP(), "give a command"),
        (lambda: ol.MCP("x", url="http://a"), "give a command"),
        (lambda: ol.MCP("x", ""), "texts"),
        (lambda: ol.MCP("x", 5), "texts"),  # type: ignore[arg-type]
        (lambda: ol.MCP("x", headers={}), "headers= belongs to url="),
        (lambda: ol.MCP(url="http://a", env={}), "env= and cwd= belong to a command"),
        (lambda: ol.MCP(url="ftp://a"), "http"),
        (lambda: ol.MCP(url="http://a b"), "http"),
        (lambda: ol.MCP("x", env={"A": 1}), "env holds texts; 'A' is a int"),  # type: ignore[dict-item]
        (lambda: ol.MCP("x", timeout=0), "timeout is a finite number above 0"),
        (lambda: ol.MCP("x", timeout=float("inf")), "finite"),
        (lambda: ol.MCP("x", connect_timeout=-1), "connect_timeout"),
        (lambda: ol.MCP("x", max_bytes=0), "max_bytes"),
        (lambda: ol.MCP("x", only="add"), "list of names"),
        (lambda: ol.MCP("x", without=[1]), "without"),  # type: ignore[list-item]
        (lambda: ol.MCP("x", pin=5), "pin"),  # type: ignore[arg-type]
        (lambda: ol.MCP("x", prefix=5), "prefix"),  # type: ignore[arg-type]
        (lambda: ol.MCP("x", on_message=5), "on_message"),  # type: ignore[arg-type]
    ]:
        with pytest.raises(UsageError, match=said):
            wrong()


def test_a_server_is_called_what_it_runs() -> None:
    names = [
        (("python", "server.py"), "server"),
        (("python3.11", "-m", "my.server"), "my.server"),
        (("npx", "-y", "@modelcontextprotocol/server-everything", "stdio"), "server-everything"),
        (("uvx", "mcp-server-git", "--repository", "/x"), "mcp-server-git"),
        (("/opt/tools/weather", "run"), "weather"),
    ]
    for command, name in names:
        assert ol.MCP(*command).name == name
    assert ol.MCP(url="https://user:pw@mcp.example.org:80/x?key=1").name == "mcp.example.org"
    assert repr(ol.MCP("x", name="mine")) == "MCP(name='mine')"

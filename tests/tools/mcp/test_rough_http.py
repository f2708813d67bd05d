"""Servers that misbehave, over HTTP: each gives a clear error, in time, and leaves no socket behind."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

import outlast as ol
from outlast.errors import ToolServerError
from outlast.runtime import drive
from outlast.tools.calling import Toolbox

TOOL = {"name": "do", "description": "Do it.", "inputSchema": {"type": "object", "properties": {}}}


def plain(request: dict[str, Any]) -> dict[str, Any]:
    """What a server of the older protocol answers."""
    match request["method"]:
        case "initialize":
            result: Any = {
                "protocolVersion": "2025-06-18",
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "rough", "version": "1"},
            }
        case "tools/list":
            result = {"tools": [TOOL]}
        case "tools/call":
            result = {"content": [{"type": "text", "text": "done"}]}
        case _:
            error = {"code": -32601, "message": "no such method"}
            return {"jsonrpc": "2.0", "id": request["id"], "error": error}
    return {"jsonrpc": "2.0", "id": request["id"], "result": result}


class Handler(BaseHTTPRequestHandler):
    """A server by hand; `act` on the server may answer in its place."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.seen.append((request.get("method"), dict(self.headers)))  # type: ignore[attr-defined]
        if self.server.act(self, request):  # type: ignore[attr-defined]
            return
        if "id" not in request:
            self.reply(202, b"")
        else:
            extra = {"mcp-session-id": self.server.session} if request["method"] == "initialize" else {}  # type: ignore[attr-defined]
            self.reply(200, json.dumps(plain(request)).encode(), **extra)

    def do_GET(self) -> None:
        self.reply(405, b"")

    do_DELETE = do_GET

    def reply(self, status: int, body: bytes, kind: str = "application/json", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"content-type": kind, "content-length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


class Server(ThreadingHTTPServer):
    """Connections that a client breaks are what the tests are about."""

    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Quiet."""


@contextmanager
def serving(act: Callable[[Handler, dict[str, Any]], bool] = lambda handler, request: False) -> Iterator[Any]:
    """A server on loopback, with its address."""
    server: Any = Server(("127.0.0.1", 0), Handler)
    server.act, server.seen, server.session = act, [], "one"
    server.address = f"http://127.0.0.1:{server.server_port}/mcp"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def on(method: str, act: Callable[[Handler], None]) -> Callable[[Handler, dict[str, Any]], bool]:
    """Answer one method in another way."""

    def answer(handler: Handler, request: dict[str, Any]) -> bool:
        if request.get("method") != method:
            return False
        act(handler)
        return True

    return answer


def rough(address: str, **options: Any) -> ol.MCP:
    """A server with short time limits."""
    return ol.MCP(url=address, **{"name": "rough", "timeout": 1.0, "connect_timeout": 5.0, **options})


def ask(server: ol.MCP) -> Any:
    """Call the tool as a program does."""
    called = drive(Toolbox(server.tools).answer("do", {}))
    if called.failure is not None:
        raise called.failure
    return called.data


def why_failed(act: Callable[[Handler], None], **options: Any) -> str:
    """What is said when a call is answered like this; the session goes on or comes back for the next call."""
    calls = 0

    def once(handler: Handler) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            act(handler)
        else:
            body = {"jsonrpc": "2.0", "id": 0, "result": {"content": []}}
            handler.reply(200, f"event: message\ndata: {json.dumps(body)}\n\n".encode(), "text/event-stream")

    with serving(on("tools/call", once)) as served, rough(served.address, **options) as server:
        with pytest.raises(ToolServerError) as raised:
            ask(server)
        assert ask(server) == ""
        assert calls == 2  # none was repeated
    return str(raised.value)


def test_a_plain_server_works_and_gets_the_headers() -> None:
    with serving() as served, rough(served.address, headers={"Authorization": "Bearer secret-of-mine"}) as server:
        assert ask(server) == "done"
    assert {headers.get("Authorization") for _, headers in served.seen} == {"Bearer secret-of-mine"}


@pytest.mark.parametrize(
    ("status", "said"),
    [(401, r"HTTP 401 \(give what it asks for in headers=\)"), (403, "HTTP 403"), (404, "HTTP 404"), (500, "HTTP 500")],
)
def test_a_status_is_told(status: int, said: str) -> None:
    def refuse(handler: Handler, request: dict[str, Any]) -> bool:
        handler.reply(status, b"go away", "text/plain")
        return True

    with serving(refuse) as served, pytest.raises(ToolServerError, match=said):
        rough(served.address).connect()


def test_nobody_listens() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{probe.getsockname()[1]}/mcp"
        with pytest.raises(ToolServerError, match="no connection: ConnectError"):
            rough(address).connect()


def test_an_address_that_is_silent() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        clock = time.monotonic()
        with pytest.raises(ToolServerError, match=r"no connection: no answer in 0\.5 s"):
            rough(f"http://127.0.0.1:{silent.getsockname()[1]}/mcp", connect_timeout=0.5).connect()
        assert time.monotonic() - clock < 3


def test_an_answer_that_is_no_json() -> None:
    assert "Failed to parse JSON response" in why_failed(lambda handler: handler.reply(200, b"<html>"))
    assert "Unexpected content type" in why_failed(lambda handler: handler.reply(200, b"<html>", "text/html"))


def test_an_answer_that_is_too_long() -> None:
    def long(handler: Handler) -> None:
        handler.reply(200, b'{"jsonrpc": "2.0", "id": 3, "result": "' + b"x" * 200_000 + b'"}')

    def long_event(handler: Handler) -> None:
        handler.reply(200, b"event: message\ndata: " + b"x" * 200_000 + b"\n\n", "text/event-stream")

    assert "longer than 100000 bytes" in why_failed(long, max_bytes=100_000)
    assert "SSE stream failed" in why_failed(long_event, max_bytes=100_000)


def test_a_small_answer_that_would_unpack_to_a_huge_one_is_refused() -> None:
    def packed(handler: Handler) -> None:
        handler.reply(200, gzip.compress(b"x" * 10_000_000), **{"content-encoding": "gzip"})

    assert "compressed" in why_failed(packed)


def test_a_stream_that_is_cut() -> None:
    def cut(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("content-type", "text/event-stream")
        handler.send_header("content-length", "1000")
        handler.end_headers()
        handler.wfile.write(b'event: message\ndata: {"jsonrpc": "2.0", "id"')
        handler.wfile.flush()
        handler.connection.shutdown(socket.SHUT_RDWR)

    assert "SSE stream ended without a response; what became of it is not known" in why_failed(cut)


def test_a_connection_that_breaks_before_the_answer() -> None:
    said = why_failed(lambda handler: handler.connection.shutdown(socket.SHUT_RDWR))
    assert "the connection broke during the call of 'do', and what became of it is not known" in said


def test_a_call_that_is_never_answered() -> None:
    assert "had no answer in 1 s" in why_failed(lambda handler: time.sleep(2))


def test_an_error_while_it_works_is_told_and_no_more() -> None:
    assert "HTTP 500" in why_failed(lambda handler: handler.reply(500, b"oops", "text/plain"))


def test_a_redirect_to_another_host_is_not_followed() -> None:
    with serving() as other:

        def away(handler: Handler) -> None:
            handler.reply(307, b"", location=other.address)

        assert "not followed" in why_failed(away)
        assert other.seen == []


def test_a_server_that_lost_the_session_did_not_do_what_was_asked_so_it_is_asked_again() -> None:
    def forgetful(handler: Handler, request: dict[str, Any]) -> bool:
        if handler.headers.get("mcp-session-id") not in (None, handler.server.session):  # type: ignore[attr-defined]
            handler.reply(404, b"", "text/plain")
            return True
        return False

    notices: list[Any] = []
    with serving(forgetful) as served, rough(served.address, on_message=notices.append) as server:
        assert ask(server) == "done"
        served.session = "two"
        assert ask(server) == "done"
    assert [notice.kind for notice in notices] == ["reconnected"]


def test_secrets_of_the_headers_are_in_no_error() -> None:
    def echo(handler: Handler) -> None:
        error = {"code": -1, "message": f"I was told {handler.headers['Authorization']}"}
        body = json.dumps({"jsonrpc": "2.0", "id": 0, "error": error})
        handler.reply(200, f"event: message\ndata: {body}\n\n".encode(), "text/event-stream")

    said = why_failed(echo, headers={"Authorization": "Bearer secret-of-mine"})
    assert "[Authorization]" in said
    assert "secret-of-mine" not in said

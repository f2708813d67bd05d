"""HTTP against a real server on loopback: every way in which an exchange can fail, and sessions that get closed."""

from __future__ import annotations

import asyncio
import gc
import logging
import pickle
import shutil
import socket
import ssl
import subprocess
import threading
import traceback
import warnings

import pytest

from outlast.errors import ConfigError, LMConnectionError, LMError, LMResponseError, LMTimeout
from outlast.lms.wire import transport
from outlast.lms.wire.transport import Endpoint, Secret, checked_url, open_stream, post
from outlast.testing.server import FakeServer, Fault

KEY = "sk-very-secret-123"
BODY = b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'


async def exchange(url: str, *, timeout: float = 5.0, max_bytes: int = 1_000_000, key: Secret | None = Secret(KEY)):
    return await post(Endpoint(url, timeout, max_bytes), "/chat/completions", BODY, key)


async def failure(url: str, **options) -> LMError:
    with pytest.raises(LMError) as caught:
        await exchange(url, **options)
    return caught.value


async def test_a_post_carries_body_key_and_name_and_brings_the_reply_back():
    with FakeServer() as server:
        reply = await exchange(server.url)
        assert reply.status == 200
        assert b'"content": "hi"' in reply.body
        assert reply.headers["content-type"].startswith("application/json")
        assert server.requests[0].body == {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
        sent = server.requests[0].headers
        assert sent["authorization"] == f"Bearer {KEY}"
        assert sent["user-agent"].startswith("outlast/")
        assert "cookie" not in sent
        await exchange(server.url, key=None)
        assert "authorization" not in server.requests[1].headers


@pytest.mark.parametrize(
    ("fault", "kind", "words", "retryable"),
    [
        (Fault.drop(), LMConnectionError, "closed the connection without a reply", True),
        (Fault.cut(), LMConnectionError, "cut off", True),
        (Fault.slow(10), LMTimeout, "no whole reply within timeout=0.2 s", True),
        (Fault.huge(2_000_000), LMResponseError, "larger than max_response_bytes=1000000", False),
        (Fault.huge(2_000_000, announced=True), LMResponseError, "announces 2000000 bytes", False),
        (Fault.not_http(), LMResponseError, "not HTTP", False),
    ],
)
async def test_each_broken_exchange_is_its_own_error(fault, kind, words, retryable):
    with FakeServer(fault) as server:
        error = await failure(server.url, timeout=0.2 if fault.kind == "slow" else 5.0)
    assert type(error) is kind
    assert words in str(error)
    assert error.retryable is retryable


async def test_error_replies_and_redirects_come_back_as_replies_and_are_not_followed():
    with FakeServer() as other:
        faults = [Fault.error(429, retry_after=7), Fault.redirect(other.url + "/chat/completions")]
        with FakeServer(faults) as server:
            reply = await exchange(server.url)
            assert (reply.status, reply.headers["retry-after"]) == (429, "7")
            assert (await exchange(server.url)).status == 307
        assert other.count == 0


async def test_a_long_error_page_is_read_in_part_and_the_next_call_works():
    with FakeServer([Fault.error(500, "x" * 500_000), "fine"]) as server:
        reply = await exchange(server.url)
        assert reply.status == 500
        assert 0 < len(reply.body) <= 1 << 16
        assert b"fine" in (await exchange(server.url)).body


async def test_a_compressed_bomb_is_stopped_at_the_limit():
    import gzip

    bomb = gzip.compress(b" " * 50_000_000)
    fault = Fault("body", body=bomb, headers={"Content-Encoding": "gzip", "Content-Type": "application/json"})
    with FakeServer(fault) as server:
        error = await failure(server.url)
    assert isinstance(error, LMResponseError)
    assert "larger than" in str(error)


async def test_nobody_listening_is_a_connection_error():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        error = await failure(f"http://127.0.0.1:{taken.getsockname()[1]}/v1")
    assert type(error) is LMConnectionError
    assert "no connection" in str(error)


async def test_plain_http_behind_https_is_a_connection_error():
    with FakeServer() as server:
        error = await failure(server.url.replace("http://", "https://"))
    assert isinstance(error, LMConnectionError)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
async def test_a_certificate_that_nobody_vouches_for_is_refused_for_good(tmp_path):
    certificate, private = tmp_path / "certificate.pem", tmp_path / "private.pem"
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    made += ["-subj", "/CN=localhost", "-keyout", str(private), "-out", str(certificate)]
    await asyncio.to_thread(subprocess.run, made, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, private)
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(100))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        error = await failure(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1")
    assert type(error) is LMConnectionError
    assert not error.retryable
    assert "certificate does not check out" in str(error)
    assert heard == []


async def test_no_failure_shows_the_key_not_even_in_a_traceback_with_local_variables():
    for fault in (Fault.drop(), Fault.cut(), Fault.not_http(), Fault.huge(2_000_000)):
        with FakeServer(fault) as server:
            error = await failure(server.url)
        assert error.__cause__ is None
        assert error.__context__ is None
        told = traceback.TracebackException.from_exception(error, capture_locals=True)
        shown = "".join(told.format()) + repr(error) + str(vars(error))
        assert KEY not in shown


def test_a_secret_shows_itself_to_nobody():
    secret = Secret(KEY)
    assert KEY not in repr(secret) + str(secret) + f"{secret}" + f"{secret!s:>30}"
    assert not hasattr(secret, "__dict__")
    assert secret == Secret(KEY)
    assert hash(secret) == hash(Secret(KEY))
    assert secret != Secret("other")
    assert secret.redact(f"a {KEY} b") == "a [key] b"
    with pytest.raises(TypeError, match="never pickled"):
        pickle.dumps(secret)


@pytest.mark.parametrize("value", ["", "  ", "two words", "line\nend", "ключ", "a\x00b"])
def test_keys_that_no_header_can_hold_are_refused_unseen(value):
    with pytest.raises(ConfigError, match="api_key holds what no key has") as caught:
        Secret(value).checked("api_key")
    if value.strip():
        assert value not in str(caught.value)
    assert Secret(f" {KEY}\n").checked("api_key").reveal() == KEY


def test_base_urls_are_checked():
    assert checked_url(" http://h:1/v1/ ") == "http://h:1/v1"
    assert checked_url("https://h") == "https://h"
    for secret in ("http://user:pw@h/v1", "http://token@h/v1", "https://h/v1?key=abc", "https://h/v1#abc"):
        with pytest.raises(ConfigError, match="no user name, password, query") as caught:
            checked_url(secret)
        assert "abc" not in str(caught.value)
        assert "pw" not in str(caught.value)
    for wrong in (
        "",
        "h/v1",
        "ftp://h",
        "http://",
        "http://h:port/v1",
        "http://[::1/v1",
        "http://h /v1",
        "file:///etc",
        7,
    ):
        with pytest.raises(ConfigError):
            checked_url(wrong)
    with pytest.raises(ConfigError, match="ends where '/chat/completions' begins"):
        checked_url("http://h/v1/chat/completions")


@pytest.fixture
def new_loops():
    """Gives the loops that came to have sessions during the test."""
    before = set(transport._sessions)
    return lambda: set(transport._sessions) - before


@pytest.fixture
def no_complaints(caplog):
    """Fails when anything is left unclosed: aiohttp says so with warnings and through the loop's logger."""
    caplog.set_level(logging.WARNING)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
        gc.collect()
    assert [str(warning.message) for warning in caught] == []
    assert [record.getMessage() for record in caplog.records] == []


def test_sessions_close_with_their_loop(no_complaints, new_loops):
    with FakeServer(latency=0.01) as server:

        async def several() -> int:
            replies = await asyncio.gather(*(exchange(server.url) for _ in range(10)))
            assert len(transport._sessions[asyncio.get_running_loop()]) == 1
            await exchange(server.url, key=Secret("another"))
            assert len(transport._sessions[asyncio.get_running_loop()]) == 2
            return len(replies)

        for _ in range(2):
            assert asyncio.run(several()) == 10
        assert new_loops() == set()


def test_sessions_of_loops_that_were_closed_rudely_are_let_go(new_loops):
    with FakeServer() as server:
        loop = asyncio.new_event_loop()
        loop.run_until_complete(exchange(server.url))
        # The server hangs up first, so that no open socket is left behind for the garbage collector to complain of.
    loop.run_until_complete(asyncio.sleep(0.05))
    loop.close()
    assert loop in transport._sessions
    with FakeServer() as server:
        asyncio.run(exchange(server.url))
    assert new_loops() == set()


def test_each_loop_has_its_own_session(no_complaints, new_loops):
    with FakeServer(latency=0.05) as server:
        statuses: list[int] = []
        threads = [
            threading.Thread(target=lambda: statuses.append(asyncio.run(exchange(server.url)).status)) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert statuses == [200] * 4
    assert new_loops() == set()


async def test_sessions_for_many_keys_are_bounded(monkeypatch):
    monkeypatch.setattr(transport, "_MOST_SESSIONS", 3)
    with FakeServer(latency=0.05) as server:
        slow = asyncio.ensure_future(exchange(server.url, key=Secret("slow")))
        await asyncio.sleep(0.01)
        server.latency = 0.0
        for number in range(10):
            await exchange(server.url, key=Secret(str(number)))
        of_loop = transport._sessions[asyncio.get_running_loop()]
        assert len(of_loop) == 3
        assert (await slow).status == 200


async def test_connections_are_kept_between_calls():
    with FakeServer() as server:
        for _ in range(5):
            await exchange(server.url)
        of_loop = transport._sessions[asyncio.get_running_loop()]
        (opened,) = of_loop.values()
        assert sum(len(kept) for kept in opened.session.connector._conns.values()) == 1


async def test_a_proxy_of_the_environment_is_used_and_its_exceptions_are_respected(monkeypatch):
    with FakeServer() as proxy, FakeServer() as direct:
        monkeypatch.setenv("http_proxy", proxy.url.removesuffix("/v1"))
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert (await exchange("http://model.test/v1")).status == 200
        assert proxy.requests[0].headers["host"] == "model.test"
        await exchange(direct.url)
        assert (proxy.count, direct.count) == (1, 1)


async def test_a_proxy_that_is_not_http_is_a_clear_error(monkeypatch):
    monkeypatch.setenv("http_proxy", "socks5://127.0.0.1:1080")
    with pytest.raises(ConfigError, match="not an HTTP proxy"):
        await exchange("http://model.test/v1")


async def test_keys_are_never_taken_from_netrc(monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password from-file\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with FakeServer() as server:
        await exchange(server.url, key=None)
        assert "authorization" not in server.requests[0].headers


async def test_an_error_that_breaks_off_instead_of_a_stream_is_an_error_of_ours():
    async def broken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 500 Oops\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(broken, "127.0.0.1")
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        stream = await open_stream(Endpoint(url), "/chat/completions", b"{}", None)
        assert stream.status == 500
        with pytest.raises(LMConnectionError, match="cut off"):
            await stream.rest()
        stream.abandon()

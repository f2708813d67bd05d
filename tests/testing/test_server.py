"""The fake server against a real client, and each of its faults."""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import sys
import threading
import time
import urllib.error
import urllib.request

import openai
import pytest

from outlast.errors import UsageError
from outlast.testing.server import FakeServer, Fault, completion


def ask(server: FakeServer, text: str = "hi there", **changes) -> tuple[int, str, bytes]:
    """Status, content type and body of one call, by the standard library's client."""
    body = {"model": "m", "messages": [{"role": "user", "content": text}], **changes}
    request = urllib.request.Request(
        f"{server.url}/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            return reply.status, reply.headers.get("Content-Type", ""), reply.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers.get("Content-Type", ""), error.read()


def text_of(reply: tuple[int, str, bytes]) -> str:
    return json.loads(reply[2])["choices"][0]["message"]["content"]


@pytest.mark.server
def test_the_official_client_understands_it():
    answers = ["yes", Fault.error(429, "slow down", retry_after=0), "after a retry", Fault.error(401, "bad key")]
    with FakeServer(answers, models=("a", "b"), key="sk-1") as server:
        with openai.OpenAI(base_url=server.url, api_key="sk-1", max_retries=1) as client:
            reply = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "one two"}])
            assert reply.choices[0].message.content == "yes"
            assert reply.choices[0].finish_reason == "stop"
            assert (reply.usage.prompt_tokens, reply.usage.completion_tokens, reply.usage.total_tokens) == (2, 1, 3)
            assert reply.model == "m"
            assert reply._request_id.startswith("req-")
            assert [model.id for model in client.models.list()] == ["a", "b"]
            again = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}])
            assert again.choices[0].message.content == "after a retry"
            with pytest.raises(openai.AuthenticationError, match="bad key"):
                client.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}])
        with openai.OpenAI(base_url=server.url, api_key="wrong", max_retries=0) as client:
            with pytest.raises(openai.AuthenticationError):
                client.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}])


def test_it_repeats_the_last_message_unless_told_otherwise():
    with FakeServer() as server:
        assert text_of(ask(server, "say this")) == "say this"
        parts = [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]
        assert text_of(ask(server, messages=parts)) == "ab"


def test_handlers_answer_with_text_whole_replies_and_coroutines():
    def whole(request):
        return completion("deep", request, reasoning_content="because")

    async def later(request):
        await asyncio.sleep(0.01)
        return f"{request['model']} says so"

    with FakeServer(whole) as server:
        message = json.loads(ask(server)[2])["choices"][0]["message"]
        assert (message["content"], message["reasoning_content"]) == ("deep", "because")
    with FakeServer(later) as server:
        assert text_of(ask(server)) == "m says so"
    with FakeServer("always") as server:
        assert [text_of(ask(server)) for _ in range(2)] == ["always"] * 2


def test_a_list_answers_in_order_and_then_fails():
    with FakeServer(["a", "b"]) as server:
        assert [text_of(ask(server)) for _ in range(2)] == ["a", "b"]
        status, _, body = ask(server)
        assert status == 500
        assert b"list of 2 answers is used up" in body


def test_a_handler_that_raises_answers_500_with_the_reason():
    def broken(request):
        raise KeyError("missing")

    with FakeServer(broken) as server:
        status, _, body = ask(server)
        assert status == 500
        assert b"KeyError" in body


def test_requests_are_kept_and_counted_and_those_at_once_too():
    with FakeServer(latency=0.8) as server:
        threads = [threading.Thread(target=ask, args=(server, str(number))) for number in range(6)]
        started = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert 0.8 <= time.perf_counter() - started < 4  # 4.8 s one after another
        assert (server.count, server.in_flight, server.max_in_flight) == (6, 0, 6)
        assert sorted(seen.body["messages"][0]["content"] for seen in server.requests) == list("012345")
        assert server.requests[0].headers["content-type"] == "application/json"


def test_bodies_that_are_no_json_are_refused():
    with FakeServer() as server:
        request = urllib.request.Request(f"{server.url}/chat/completions", b"{nonsense")
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request, timeout=10)
        assert caught.value.code == 400
        caught.value.close()


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault.error(503, "busy"), (503, "application/json", b"busy")),
        (Fault.garbage(b"{]"), (200, "application/json", b"{]")),
        (Fault.empty(), (200, "application/json", b"")),
        (Fault.html(), (200, "text/html", b"Welcome")),
        (Fault.huge(100_000), (200, "application/json", b" " * 100_000)),
        (Fault.slow(0.1), (200, "application/json", b"never arrive whole")),
    ],
)
def test_faults_that_are_replies(fault, expected):
    with FakeServer(fault) as server:
        status, kind, body = ask(server)
    assert (status, kind.split(";")[0]) == expected[:2]
    assert expected[2] in body


def test_faults_that_break_the_connection():
    for fault in (Fault.drop(), Fault.cut(), Fault.not_http()):
        with FakeServer([fault, "fine"]) as server:
            with pytest.raises((OSError, ValueError, urllib.error.URLError, __import__("http").client.HTTPException)):
                ask(server)
            assert text_of(ask(server)) == "fine"


def test_errors_carry_what_clients_look_for():
    fault = Fault.error(429, "slow", retry_after=3, code="c", param="p", kind="k", headers={"x-a": "b"})
    assert json.loads(fault.body) == {"error": {"message": "slow", "type": "k", "param": "p", "code": "c"}}
    assert fault.headers == {"Retry-After": "3", "x-a": "b"}
    assert Fault.redirect("http://h").headers == {"Location": "http://h"}


def test_it_stops_and_says_when_it_is_not_running():
    server = FakeServer()
    with pytest.raises(UsageError, match="`with` block"):
        _ = server.url
    before = set(threading.enumerate())
    with server:
        url = server.url
        assert set(threading.enumerate()) - before
    assert not set(threading.enumerate()) - before  # those of earlier tests may end meanwhile
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(url, timeout=2)
    with pytest.raises(UsageError, match="a function, an answer or a list"):
        FakeServer(7)


def test_a_taken_port_is_an_error_and_not_a_hang():
    with FakeServer() as server:
        port = int(server.url.split(":")[2].split("/")[0])
        with pytest.raises(OSError):
            with FakeServer(port=port):
                pass


def test_the_end_of_a_server_leaves_no_socket_open() -> None:
    """A client that comes at the last moment, and one that does not read its answer."""
    for _ in range(10):
        with FakeServer("x" * 5_000_000) as server:
            place = ("127.0.0.1", int(server.url.rpartition(":")[2].partition("/")[0]))
            reader = socket.create_connection(place)
            body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]}).encode()
            head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
            reader.sendall(head.encode() + body)
            assert reader.recv(8) == b"HTTP/1.1"
            late = socket.create_connection(place)
        reader.close()
        late.close()
    found: list[object] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "unraisablehook", lambda given: found.append(given.exc_value))
        gc.collect()
    assert found == []

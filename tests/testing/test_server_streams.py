"""Streams of the fake server as bytes: every form and fault of them, and clients that leave early."""

from __future__ import annotations

import http.client
import json
import time

import pytest

from outlast.errors import UsageError
from outlast.testing import Answer, FakeServer, Fault
from outlast.testing.server import systemone

SAID = "grüße an alle, and more words to come"
PATHS = {
    "/v1/chat/completions": {
        "messages": [{"role": "user", "content": "hi"}],
        "stream_options": {"include_usage": True},
    },
    "/v1/responses": {"input": "hi"},
    "/v1/messages": {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 9},
}
CHAT = "/v1/chat/completions"


OPENED: list = []


@pytest.fixture(autouse=True)
def everything_is_closed():
    yield
    while OPENED:
        OPENED.pop().close()


def post(server: FakeServer, path: str = CHAT, *, stream: bool = True, timeout: float = 10, **body):
    """The reply, not yet read."""
    host, port = server.root.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=timeout)
    sent = json.dumps({"model": "m", **PATHS.get(path, {}), "stream": stream, **body})
    headers = {"Content-Type": "application/json", "anthropic-version": "2023-06-01", "Connection": "close"}
    OPENED.append(connection)
    connection.request("POST", path, sent, headers)
    OPENED.append(connection.getresponse())
    return OPENED[-1]


def events(raw: bytes) -> list[str]:
    """The data of the events, read by the rules of the HTML standard, section 9.2.6."""
    text = raw.decode().removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    found = []
    for block in text.split("\n\n"):
        lines = [line.partition(":") for line in block.split("\n") if line and not line.startswith(":")]
        data = [value.removeprefix(" ") for name, _, value in lines if name == "data"]
        if data:
            found.append("\n".join(data))
    return found


def said(raw: bytes) -> str:
    """The text of a stream in any of the three dialects."""
    text = ""
    for data in events(raw):
        event = {} if data == "[DONE]" else json.loads(data)
        if "choices" in event:
            text += "".join(choice["delta"].get("content") or "" for choice in event["choices"])
        elif event.get("type") == "response.output_text.delta":
            text += event["delta"]
        elif event.get("type") == "content_block_delta":
            text += event["delta"].get("text", "")
    return text


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "forms", [(), ("crlf",), ("cr",), ("tight", "bom"), ("comments", "fields"), ("lines",), ("split",), ("json_type",)]
)
def test_every_form_says_the_same(path, forms):
    with FakeServer(Fault.form(*forms, answer=SAID)) as server:
        reply = post(server, path)
        raw = reply.read()
        assert server.told == (1, len(SAID.split()))
    assert said(raw) == SAID
    expected = "application/json" if "json_type" in forms else "text/event-stream"
    assert reply.headers["Content-Type"] == expected
    marks = {
        "crlf": b"\r\n\r\n",
        "tight": b"data:{",
        "comments": b": keep-alive",
        "fields": b"retry: 100",
        "bom": b"\xef\xbb\xbf",
    }
    for form in forms:
        assert marks.get(form, b"") in raw
    if "lines" in forms:
        assert len(raw.split(b"data: ")) > 3 * len(events(raw))


def test_split_pieces_end_within_characters():
    with FakeServer(Fault.form("split", answer="üüüü")) as server:
        reply = post(server)
        pieces = []
        while piece := reply.read1(1 << 16):
            pieces.append(piece)
    assert said(b"".join(pieces)) == "üüüü"
    with pytest.raises(UnicodeDecodeError):
        [piece.decode() for piece in pieces]


@pytest.mark.parametrize("path", PATHS)
def test_what_a_form_leaves_out(path):
    def raw(*forms):
        with FakeServer(Fault.form(*forms, answer=SAID)) as server:
            return post(server, path).read()

    whole = events(raw())
    assert len(events(raw("no_end"))) == len(whole) - 1
    unfinished = events(raw("no_finish"))
    assert len(unfinished) < len(whole)
    assert not any('"stop"' in data or "end_turn" in data or "response.completed" in data for data in unfinished)
    assert not any('_tokens"' in data for data in events(raw("no_usage")))
    assert any('_tokens"' in data for data in whole)
    assert json.loads(raw("whole"))["model"] == "m"


def test_forms_that_do_not_exist_are_refused():
    with pytest.raises(UsageError, match="no form 'nonsense'"):
        Fault.form("nonsense")


@pytest.mark.parametrize("path", PATHS)
def test_a_stream_can_be_cut(path):
    with FakeServer([Fault.cut(after=3, answer=SAID), "fine"]) as server:
        reply = post(server, path)
        with pytest.raises(http.client.IncompleteRead) as caught:
            reply.read()
        assert len(events(caught.value.partial)) == 3
        assert said(post(server, path).read()) == "fine"
        assert (server.answered, server.disconnects) == (1, 0)


def test_a_stream_can_stall_and_trickle():
    for fault in (Fault.stall(0.2, answer=SAID), Fault.slow(0.2, answer=SAID)):
        with FakeServer(fault) as server:
            started = time.perf_counter()
            assert said(post(server).read()) == SAID
            assert 0.2 <= time.perf_counter() - started < 20
            assert server.answered == 1
    with FakeServer(Fault.stall()) as server:
        reply = post(server, timeout=0.3)
        with pytest.raises(TimeoutError):
            reply.read()


def test_an_event_can_be_malformed_and_the_rest_comes():
    with FakeServer(Fault.malformed(answer=SAID)) as server:
        data = events(post(server).read())
        body = post(server, stream=False).read()
        assert server.answered == 0
    with pytest.raises(ValueError):
        [json.loads(one) for one in data if one != "[DONE]"]
    assert data[-1] == "[DONE]"
    with pytest.raises(ValueError):
        json.loads(body)


@pytest.mark.parametrize("path", PATHS)
def test_an_error_can_come_under_status_200(path):
    with FakeServer(Fault.error_event("overheated", answer=SAID)) as server:
        data = events(post(server, path).read())
        body = json.loads(post(server, path, stream=False).read())
        assert server.answered == 0
    assert len(data) == 3
    assert "overheated" in data[-1]
    assert body["error"]["message"] == "overheated"


def test_streams_can_be_endless():
    with FakeServer(Fault.huge(3_000_000)) as server:
        raw = post(server).read()
    assert len(raw) > 2_900_000
    assert b"\n" not in raw
    with FakeServer(Fault.flood(2_000_000)) as server:
        raw = post(server).read()
    assert len(raw) > 1_900_000
    assert len(said(raw)) > 10_000


def test_errors_before_a_stream_are_plain_replies():
    with FakeServer(Fault.error(503, "busy", retry_after=1)) as server:
        reply = post(server)
        assert (reply.status, reply.headers["Retry-After"]) == (503, "1")
        assert json.loads(reply.read())["error"]["message"] == "busy"


def test_clients_that_leave_are_counted():
    with FakeServer("many words to say " * 50, pace=0.02) as server:
        reply = post(server)
        reply.read1(10)
        reply.close()
        deadline = time.monotonic() + 30
        while server.in_flight and time.monotonic() < deadline:
            time.sleep(0.01)
        assert (server.disconnects, server.answered, server.in_flight) == (1, 0, 0)
    with FakeServer(latency=5) as server:
        with pytest.raises(TimeoutError):
            post(server, stream=False, timeout=0.1)
        OPENED.pop().close()
        deadline = time.monotonic() + 30
        while server.in_flight and time.monotonic() < deadline:
            time.sleep(0.01)
        assert (server.disconnects, server.in_flight) == (1, 0)


def test_clients_that_leave_are_no_error_of_the_server(caplog):
    with FakeServer("word " * 4000) as server:
        for _ in range(5):
            reply = post(server)
            reply.read1(10)
            reply.close()
            OPENED.pop().close()
            OPENED.pop().close()
        deadline = time.monotonic() + 30
        while server.in_flight and time.monotonic() < deadline:
            time.sleep(0.01)
        assert server.disconnects == 5
    assert not caplog.records


def test_answers_carry_headers_and_models():
    with FakeServer(Answer("x", headers={"x-ratelimit-remaining-requests": "3"}, model="m-2026")) as server:
        whole, stream = post(server, stream=False), post(server)
        for reply in (whole, stream):
            assert reply.headers["x-ratelimit-remaining-requests"] == "3"
            assert b'"m-2026"' in reply.read()


def test_systemone():
    questions = {
        "angry": {"type": "noul", "instructions": "Angry?"},
        "team": {"type": "choice", "instructions": "Which?", "criteria": {"cards": None, "loans": "money lent"}},
        "urgent": {"type": "score", "instructions": "How urgent?", "criteria": ["low", "mid", "high"]},
    }
    values = {"angry": True, "team": {"cards": 0.75, "loans": 0.25}, "urgent": 2}
    with FakeServer(lambda body: systemone(values, body)) as server:
        body = {"state": "my card is gone", "questions": questions}
        reply = json.loads(post(server, "/v1/systemone", stream=False, **body).read())
        refused = post(server, "/v1/systemone", **body)
        assert refused.status == 400
        refused.close()
    answers = reply["answers"]
    assert answers["angry"] == {"type": "noul", "noul": 1.0}
    assert answers["team"]["choice"] == "cards"
    assert answers["team"]["probabilities"] == {"cards": 0.75, "loans": 0.25}
    assert answers["urgent"] == {
        "type": "score",
        "confidence": 1.0,
        "score": 2.0,
        "probabilities": {"0": 0.0, "1": 0.0, "2": 1.0},
    }
    assert reply["usage"]["input_tokens"] == 4

"""Replies in pieces: from the bytes of a stream to events, through the whole stack, blocking and async."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from contextlib import aclosing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outlast.errors import LMConnectionError, LMError, LMRateLimited, LMResponseError, LMTimeout, UsageError
from outlast.lms.events import partial_json
from outlast.lms.protocol import LM, Wrapper
from outlast.lms.wire.dialect import Told
from outlast.lms.wire.openai_chat_reply import ChatReader, decode
from outlast.lms.wire.sse import EventBytes, ServerEvent
from outlast.messages import Finished, Request, Response, TextDelta, ThoughtDelta, ToolCall, ToolDelta, user
from outlast.runtime import running
from outlast.testing import FakeServer, Fault, ScriptedLM
from outlast.testing.server import Answer, completion

EVENTS = [("", "plain"), ("delta", "two\nlines"), ("", "é€😀"), ("", "[DONE]")]


def as_bytes(end: str, *, closed: bool = True, bom: bool = False) -> bytes:
    text = "\ufeff" if bom else ""
    for name, data in EVENTS:
        text += ": a comment" + end + "id: 7" + end
        if name:
            text += f"event: {name}{end}"
        text += "".join(f"data: {line}{end}" for line in data.split("\n")) + end
    return (text if closed else text.removesuffix(end)).encode()


@given(
    cuts=st.lists(st.integers(0, 400), max_size=30), end=st.sampled_from(["\n", "\r\n", "\r"]), closed=st.booleans(),
    bom=st.booleans(),
)  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_events_are_the_same_however_their_bytes_are_cut(cuts, end, closed, bom):
    data = as_bytes(end, closed=closed, bom=bom)
    places = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    reader = EventBytes()
    events = [event for a, b in zip(places, places[1:], strict=False) for event in reader.feed(data[a:b])]
    events += reader.finish()
    assert events == [ServerEvent(name, text) for name, text in EVENTS]
    assert reader.pending == 0


def chunk(delta: dict[str, Any] | None = None, **more: Any) -> ServerEvent:
    choice = {"index": 0, "delta": delta or {}, "finish_reason": more.pop("finish", None)}
    return ServerEvent("", json.dumps({"id": "c", "model": "m-1", "choices": [choice], **more}))


def read(*events: ServerEvent) -> tuple[list[Any], Response]:
    reader = ChatReader()
    deltas = [delta for event in events for delta in reader.feed(event)]
    whole = reader.whole()
    assert whole is not None
    return deltas, decode(whole, Told())


def test_chunks_add_up_to_the_whole_reply():
    deltas, response = read(
        chunk({"role": "assistant", "content": ""}),
        chunk({"reasoning_content": "let me "}),
        chunk({"reasoning_content": "see"}),
        chunk({"content": "Hel"}),
        chunk({"content": "lo"}),
        chunk({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "look", "arguments": ""}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"q"'}}]}),
        chunk({"tool_calls": [{"index": 1, "id": "b", "function": {"name": "go", "arguments": "{}"}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": ": 1}"}}]}),
        chunk({}, finish="tool_calls"),
        ServerEvent("", json.dumps({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 5}})),
        ServerEvent("", "[DONE]"),
    )
    assert response.text == "".join(delta.text for delta in deltas if isinstance(delta, TextDelta)) == "Hello"
    assert response.reasoning == "let me see"
    assert [delta.text for delta in deltas if isinstance(delta, ThoughtDelta)] == ["let me ", "see"]
    assert response.tool_calls == (ToolCall("a", "look", '{"q": 1}'), ToolCall("b", "go", "{}"))
    assert [delta for delta in deltas if isinstance(delta, ToolDelta)][0] == ToolDelta(0, "a", "look", "")
    assert response.finish == "tool_calls"
    assert (response.usage.input_tokens, response.usage.output_tokens) == (3, 5)
    assert response.model == "m-1"


def test_a_stream_without_its_end_is_no_reply():
    reader = ChatReader()
    reader.feed(chunk({"content": "half"}))
    assert reader.whole() is None


def test_an_event_that_is_no_json_is_an_error_that_does_not_show_it():
    with pytest.raises(LMResponseError, match="garbled") as caught:
        ChatReader().feed(ServerEvent("", '{"key": "sk-secret'))
    assert "sk-secret" not in str(caught.value)


# Through the stack


def model(server: FakeServer, **options: Any) -> LM:
    return LM("openai/test", base_url=server.url, **{"cache": False, "retries": 0, **options})


def test_blocking_code_reads_a_stream_with_for():
    with FakeServer("one two three four five six") as server:
        events = model(server).events("hi", temperature=0.5)
        seen = list(events)
    assert len(seen) > 3
    assert "".join(event.text for event in seen if isinstance(event, TextDelta)) == "one two three four five six"
    assert isinstance(seen[-1], Finished)
    response = events.response
    assert response is not None
    assert (response.text, events.text) == ("one two three four five six",) * 2
    assert (response.usage.input_tokens, response.usage.output_tokens) == (1, 6)
    assert response.first_token_seconds is not None
    assert response.first_token_seconds <= response.seconds
    assert server.requests[0].body["stream"] is True
    assert server.requests[0].body["temperature"] == 0.5


async def test_async_code_reads_it_with_async_for():
    with FakeServer(Answer("done", reasoning="hm", tools=(("look", {"q": 1}),))) as server:
        seen = [event async for event in model(server).events("hi")]
    assert isinstance(seen[0], ThoughtDelta)
    last = seen[-1]
    assert isinstance(last, Finished)
    assert last.response.tool_calls[0].name == "look"
    assert json.loads(last.response.tool_calls[0].arguments) == {"q": 1}
    assert last.response.reasoning == "hm"


def waited(condition: Any, seconds: float = 5.0) -> bool:
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.01)
    return bool(condition())


def test_leaving_a_stream_closes_its_connection():
    with FakeServer("word " * 200, pace=0.02) as server:
        lm = model(server)
        with lm.events("hi") as events:
            for event in events:
                assert isinstance(event, TextDelta)
                break
        assert waited(lambda: server.disconnects == 1)
        assert waited(lambda: server.in_flight == 0)
        assert lm.info()[-2].facts["in_flight"] == 0
        assert events.response is None


async def test_cancelling_a_task_closes_the_connection_too():
    with FakeServer("word " * 200, pace=0.02) as server:
        lm = model(server)

        async def follow() -> None:
            async for _ in lm.events("hi"):
                pass

        task = asyncio.create_task(follow())
        for _ in range(300):
            if server.in_flight:
                break
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        for _ in range(300):
            if server.disconnects:
                break
            await asyncio.sleep(0.01)
        assert server.disconnects == 1
        assert lm.info()[-2].facts["in_flight"] == 0


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        (Fault.error(429, retry_after=1), LMRateLimited, "429"),
        (Fault.cut(after=2), LMConnectionError, "cut off|ended before"),
        (Fault.malformed(after=2), LMResponseError, "garbled"),
        (Fault.error_event(), LMError, "broke off"),
        (Fault.drop(), LMConnectionError, "without a reply|cut off"),
        (Fault.huge(1 << 20), LMResponseError, "larger than max_response_bytes"),
        (Fault.flood(1 << 20), LMResponseError, "larger than max_response_bytes"),
        (Fault.html(), LMResponseError, "not JSON"),
    ],
)
def test_what_goes_wrong_in_a_stream_is_an_error_and_never_half_a_reply(fault, error, words):
    with FakeServer(fault) as server:
        events = model(server, max_response_bytes=100_000).events("hi")
        with pytest.raises(error, match=words) as caught:
            list(events)
        assert events.response is None
        assert caught.value.request is not None
        assert waited(lambda: server.in_flight == 0)


def test_a_stream_that_stalls_is_given_up_after_the_timeout():
    with FakeServer(Fault.stall(60, after=2)) as server:
        started = time.monotonic()
        with pytest.raises(LMTimeout):
            list(model(server, timeout=0.3).events("hi"))
        assert time.monotonic() - started < 20


def test_a_server_that_does_not_stream_answers_in_one_piece_and_that_is_said():
    def whole(body: dict[str, Any]) -> Any:

        return Fault.garbage(json.dumps(completion("all at once", body)).encode())

    with FakeServer(whole) as server:
        events = model(server).events("hi")
        assert [event.text for event in events if isinstance(event, TextDelta)] == ["all at once"]
        assert events.response is not None
        assert "the server did not stream" in events.response.adaptations[-1]


def test_many_streams_at_once_in_threads_each_read_their_own():
    with FakeServer(lambda body: f"answer to {body['messages'][-1]['content']} " * 5) as server:
        lm = model(server)
        found: dict[int, str] = {}

        def follow(number: int) -> None:
            events = lm.events(f"q{number}")
            for _ in events:
                pass
            found[number] = events.text

        threads = [threading.Thread(target=follow, args=(number,)) for number in range(24)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == {number: f"answer to q{number} " * 5 for number in range(24)}


def test_a_wrapper_that_only_knows_complete_streams_what_it_completes():
    class Shouting(Wrapper):
        async def complete(self, request: Request) -> Response:
            response = await self.inner.complete(request)
            return Response(response.text.upper(), response.model)

    events = Shouting(ScriptedLM(["quiet"])).events("x")
    assert [event.text for event in events if isinstance(event, TextDelta)] == ["QUIET"]


def test_events_are_read_once_and_never_with_for_in_async_code():
    events = ScriptedLM(["a", "b"]).events("x")
    list(events)
    with pytest.raises(UsageError, match="read once"):
        list(events)

    async def wrong() -> None:
        with running(blocking=False), pytest.raises(UsageError, match="async for"):
            list(ScriptedLM(["a"]).events("x"))

    asyncio.run(wrong())


def test_json_is_read_as_far_as_it_came():
    text = '{"name": "Ann", "tags": ["a", "b"], "age": 31}'
    seen: list[Any] = []
    with FakeServer(text) as server:
        events = model(server).events("x")
        for _ in events:
            seen.append(events.partial)
    assert seen[-1] == json.loads(text)
    assert len(seen) > 3
    for earlier, later in zip(seen, seen[1:], strict=False):
        assert earlier is None or set(earlier) <= set(later)
    assert partial_json('```json\n{"a": [1, 2, {"b": "hal') == {"a": [1, 2, {"b": "hal"}]}
    assert partial_json('{"a": 12') in ({}, {"a": 12})
    for nothing in ("", "Sure! {", "{]", "[" * 100_000):
        assert partial_json(nothing) in (None, []), nothing


def test_tool_calls_are_put_together_as_they_come():
    with FakeServer(Answer(tools=(("look", {"q": "a long question"}), ("go", {})))) as server:
        events = model(server).events("x")
        parts = [partial_json(events.tool_calls[0].arguments) for _ in events if events.tool_calls]
        assert [call.name for call in events.tool_calls] == ["look", "go"]
    assert {"q": "a long question"} in parts


def test_a_stream_without_finished_is_the_models_mistake():
    class Mute(LM):
        name = "mute"

        async def complete(self, request: Request) -> Response:
            return Response("")

        async def stream(self, request: Request):
            yield TextDelta("half")

    with pytest.raises(UsageError, match="must end its stream with Finished"):
        list(Mute().events("x"))


def test_a_stream_is_in_the_trace_and_on_the_bill():
    import outlast as ol
    from outlast.runtime import Meter

    meter = Meter(calls=1)
    with ol.trace() as spans, running(meter=meter):
        list(ScriptedLM(["hello"]).events("x"))
        with pytest.raises(ol.errors.BudgetExceeded):
            list(ScriptedLM(["hello"]).events("x"))
    assert spans[0].response is not None
    assert spans[0].response.text == "hello"
    assert meter.spent.calls == 1


async def test_draws_are_asked_at_the_same_time_and_numbered():
    lm = ScriptedLM(lambda messages: "x", latency=0.6, keep=True)
    started = time.monotonic()
    replies = await lm.adraw("hi", 8, sample=3)
    assert time.monotonic() - started < 3.5  # 4.8 s one after another
    assert len(replies) == 8
    assert sorted(request.sample for request in lm.requests) == list(range(3, 11))
    with pytest.raises(UsageError, match="n is a whole number from 1"):
        await lm.adraw("hi", 0)


def test_draws_from_blocking_code_run_at_the_same_time_too():
    lm = ScriptedLM(lambda messages: "x", latency=0.6)
    started = time.monotonic()
    assert len(lm.draw("hi", 8)) == 8
    assert time.monotonic() - started < 3.5  # 4.8 s one after another


async def test_a_generator_of_events_may_be_closed_before_it_begins():
    with FakeServer("x") as server:
        async with aclosing(model(server).stream(Request((user("hi"),)))):
            pass
        assert server.count == 0

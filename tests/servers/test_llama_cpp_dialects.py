"""llama.cpp's server in its other two dialects: what others wrote takes what we write, and we read what it writes.

Seen here (build of xllamacpp 2026.10): both ignore JSON schemas, a reply of /v1/responses that ran into the bound
still calls itself completed, and neither constrains `tool_choice`.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import outlast as ol
from outlast.errors import LMContextError, LMRequestError
from outlast.lms.protocol import LM, Capabilities
from outlast.messages import (
    Finished,
    Message,
    OutputSchema,
    Request,
    Settings,
    TextDelta,
    TextPart,
    ToolCall,
    assistant,
    system,
    tool_result,
    user,
)
from outlast.types import Tool

pytestmark = pytest.mark.server
DIALECTS = ["openai-responses", "anthropic-messages"]
GO_ON = {"ignore_eos": True}  # then a reply is as long as the bound says; unheard by /v1/messages
ABLE = Capabilities(json_schema=True, json_object=True, tools=True, streaming=True, prefill=True)
FIND = Tool("find", "Look it up.", {"type": "object", "properties": {"q": {"type": "integer"}}, "required": ["q"]})


def opened(url: str, dialect: str, **options: Any) -> LM:
    chosen: dict[str, Any] = {"cache": False, "retries": 0, "max_tokens": 12, "capabilities": ABLE, **options}
    return ol.LM("llama_cpp/tiny", base_url=url, dialect=dialect, **chosen)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_reply_tells_its_tokens_with_the_cached_ones(url, dialect):
    lm = opened(url, dialect, extra=GO_ON)
    first, second = lm("a long beginning that stays, then this"), lm("a long beginning that stays, then this")
    assert first.text
    assert 0 < first.usage.output_tokens <= 12
    assert first.usage.input_tokens == second.usage.input_tokens
    assert 5 < second.usage.cached_tokens <= second.usage.input_tokens
    assert first.request_id
    assert first.adaptations == ()


def test_how_a_reply_ended(url):
    assert opened(url, "anthropic-messages", max_tokens=2, temperature=0.0)("hi").finish == "length"
    assert opened(url, "openai-responses", extra=GO_ON)("hi").finish == "stop"  # says "completed", wrongly


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_stream_says_what_its_reply_says(url, dialect):
    lm = opened(url, dialect, max_tokens=40, extra=GO_ON, temperature=0.0)
    *events, last = lm.events("hello")
    assert isinstance(last, Finished)
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == last.response.text
    assert last.response.text == lm("hello").text
    assert len(events) > 5
    assert last.response.usage.output_tokens == lm("hello").usage.output_tokens > 5
    assert last.response.usage.input_tokens == lm("hello").usage.input_tokens
    assert 0 < last.response.first_token_seconds <= last.response.seconds


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_conversation_with_calls_and_results_is_taken(url, dialect):
    call = ToolCall("call_1", "find", '{"q": 1}')
    turns = (
        system("Be brief."),
        user("hi"),
        assistant("yes?"),
        user("find it"),
        Message("assistant", (TextPart("wait"), call)),
        tool_result(call, "42"),
        user("so?"),
    )
    request = Request(turns, Settings(extra=GO_ON), tools=(FIND,))
    response = asyncio.run(opened(url, dialect).complete(request))
    assert 0 < response.usage.output_tokens <= 12
    assert response.usage.input_tokens > 20


@pytest.mark.parametrize("dialect", DIALECTS)
def test_stop_texts_end_a_reply_by_the_server_or_by_us(url, dialect):
    lm = opened(url, dialect, max_tokens=60, temperature=0.0, extra=GO_ON)
    whole = lm("hello").text
    stop = whole[len(whole) // 2 : len(whole) // 2 + 2]
    reply = lm("hello", stop=[stop])
    assert (reply.text, reply.finish) == (whole[: whole.index(stop)], "stop")
    assert len(reply.adaptations) == (dialect == "openai-responses")
    *events, last = lm.events("hello", stop=[stop])
    assert isinstance(last, Finished)
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == last.response.text == reply.text


def test_the_start_of_a_reply_is_gone_on_from(url):
    lm = opened(url, "anthropic-messages", temperature=0.0, extra=GO_ON)
    plain = asyncio.run(lm.complete(Request((user("hello"),))))
    begun = asyncio.run(lm.complete(Request((user("hello"), assistant("yes no")))))
    assert begun.text != plain.text
    assert begun.usage.input_tokens > plain.usage.input_tokens


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_schema_is_sent_and_ignored_so_replies_are_always_validated(url, dialect):
    schema = OutputSchema("o", {"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"]})
    response = asyncio.run(opened(url, dialect).complete(Request((user("hi"),), output=schema)))
    assert not response.text.startswith('{"a"')


@pytest.mark.parametrize("dialect", DIALECTS)
def test_errors_are_what_they_say(url, dialect):
    with pytest.raises(LMContextError, match="exceeds the available context size"):
        opened(url, dialect)("word " * 9000)
    with pytest.raises(LMRequestError):
        opened(url.removesuffix("/v1") + "/v2", dialect)("hi")


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_64_calls_in_flight_all_come_back(url, dialect):
    lm = opened(url, dialect, concurrency=64, extra=GO_ON)
    replies = await asyncio.gather(*(lm.acall(f"number {number}") for number in range(100)))
    assert all(0 < reply.usage.output_tokens <= 12 for reply in replies)

"""The official anthropic SDK against the fake server: what it reads is what we said, so our wire forms are real."""

from __future__ import annotations

import anthropic
import pytest

from outlast.testing import Answer, FakeServer, Fault

pytestmark = pytest.mark.server
ASK = {"model": "m", "max_tokens": 99, "messages": [{"role": "user", "content": "one two three four"}]}
CITED = {
    "type": "char_location",
    "cited_text": "blue",
    "document_index": 0,
    "document_title": "sky",
    "start_char_index": 0,
    "end_char_index": 4,
}
RICH = Answer(
    "The sky is blåu.",
    reasoning="Rayleigh, so blue.",
    tools=[("look", {"where": "up"}), ("look", {"where": "down the street"})],
    citations=[CITED],
    cached=2,
    cache_write=1,
)


def client(server: FakeServer, key: str = "k") -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=server.root, api_key=key, max_retries=0, timeout=10)


def check_rich(message) -> None:
    thinking, text, *calls = message.content
    assert (thinking.type, thinking.thinking) == ("thinking", RICH.reasoning)
    assert thinking.signature.startswith("sealed-")
    assert text.text == RICH.text
    assert text.citations[0].cited_text == "blue"
    assert [(call.name, call.input) for call in calls] == list(RICH.tools)
    assert len({call.id for call in calls}) == 2
    assert message.stop_reason == "tool_use"
    assert message.usage.input_tokens == 5 - 2 - 1
    assert message.usage.cache_read_input_tokens == 2
    assert message.usage.cache_creation_input_tokens == 1
    assert message.usage.output_tokens == RICH.output_tokens


def test_a_message_whole_and_as_a_stream():
    with FakeServer(RICH, key="k") as server, client(server) as sdk:
        check_rich(sdk.messages.create(**ASK, system="five"))
        with sdk.messages.stream(**ASK, system="five") as stream:
            said = "".join(stream.text_stream)
            check_rich(stream.get_final_message())
        assert said == RICH.text
        assert server.told == (10, 2 * RICH.output_tokens)
        seen = server.requests[0]
        assert (seen.path, seen.headers["authorization"]) == ("/v1/messages", "Bearer k")
        sdk.messages.create(**ASK, extra_headers={"Authorization": anthropic.omit, "x-api-key": "k"})


def test_raw_events_come_in_the_order_of_the_wire():
    with FakeServer(RICH) as server, client(server) as sdk:
        kinds = [event.type for event in sdk.messages.create(**ASK, stream=True)]
    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]
    assert kinds.count("content_block_start") == kinds.count("content_block_stop") == 4


def test_the_headers_are_demanded():
    with FakeServer("hi", key="right") as server:
        with client(server, "wrong") as sdk, pytest.raises(anthropic.AuthenticationError, match="invalid x-api-key"):
            sdk.messages.create(**ASK)
        headers = {"anthropic-version": anthropic.omit}
        with client(server, "right") as sdk, pytest.raises(anthropic.BadRequestError, match="anthropic-version"):
            sdk.messages.create(**ASK, extra_headers=headers)


@pytest.mark.parametrize(
    ("finish", "expected"),
    [("stop", "end_turn"), ("length", "max_tokens"), ("content_filter", "refusal"), (None, "end_turn")],
)
def test_how_it_stopped(finish, expected):
    with FakeServer(Answer("x", finish=finish)) as server, client(server) as sdk:
        assert sdk.messages.create(**ASK).stop_reason == expected


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, anthropic.BadRequestError),
        (401, anthropic.AuthenticationError),
        (429, anthropic.RateLimitError),
        (529, anthropic.APIStatusError),
    ],
)
def test_errors_are_in_its_form(status, error):
    with FakeServer(Fault.error(status, "no way")) as server, client(server) as sdk:
        with pytest.raises(error, match="no way") as caught:
            sdk.messages.create(**ASK)
    assert caught.value.body["type"] == "error"
    assert caught.value.body["error"]["type"].endswith("_error")


def test_errors_in_the_middle_of_a_stream():
    with FakeServer(Fault.error_event("too much")) as server, client(server) as sdk:
        with pytest.raises(anthropic.APIError, match="too much"):
            list(sdk.messages.create(**ASK, stream=True))

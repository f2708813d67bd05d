"""The OpenAI responses dialect as pure functions: what a reply means, whole and streamed, and what goes back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlast.errors import LMRateLimited, LMRequestError, LMResponseError, LMServerError, LMUnsupported, UsageError
from outlast.lms.protocol import Capabilities
from outlast.lms.wire.dialect import Told, Wire
from outlast.lms.wire.openai_responses import encode
from outlast.lms.wire.openai_responses_reply import RESPONSES, ResponsesReader, decode
from outlast.lms.wire.providers import PROVIDERS, Quirks
from outlast.lms.wire.sse import EventBytes
from outlast.messages import (
    Message,
    Request,
    Response,
    Settings,
    StreamEvent,
    TextDelta,
    Thought,
    ThoughtDelta,
    ToolDelta,
    assistant,
    tool_result,
    user,
)
from outlast.testing.server import responses
from outlast.testing.server.answers import Answer
from outlast.types import Audio, Tool

ROW = PROVIDERS["openai-responses"]
WIRE = Wire("gpt-5-mini", ROW.quirks, ROW.capabilities("gpt-5-mini"))
REASONING = {
    "type": "reasoning",
    "id": "rs_1",
    "summary": [{"type": "summary_text", "text": "First."}, {"type": "summary_text", "text": "Then."}],
    "encrypted_content": "sealed-1",
    "status": None,
}
COMMENTARY = {
    "type": "message",
    "id": "msg_0",
    "role": "assistant",
    "phase": "commentary",
    "content": [{"type": "output_text", "text": "Looking it up.", "annotations": []}],
}
ANSWER = {
    "type": "message",
    "id": "msg_1",
    "role": "assistant",
    "phase": "final_answer",
    "status": "completed",
    "content": [
        {"type": "output_text", "text": "A fob ", "annotations": []},
        {
            "type": "output_text",
            "text": "is a pocket.",
            "annotations": [
                {"type": "url_citation", "url": "https://x.org/fob", "title": "Fob", "start_index": 0, "end_index": 2},
                {"type": "file_citation", "file_id": "f1", "filename": "words.txt", "index": 3},
                {"type": "file_path", "file_id": "f2"},
            ],
            "logprobs": [{"token": "is", "logprob": -0.5, "top_logprobs": [{"token": "was", "logprob": -1.5}]}],
        },
    ],
}
CALL = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "find", "arguments": '{"word": "fob"}'}


def reply(*output: dict[str, Any], **changes: Any) -> dict[str, Any]:
    data = {
        "id": "resp_1",
        "object": "response",
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "model": "gpt-5-mini-2026-08-07",
        "output": list(output),
        "service_tier": "flex",
        "usage": {
            "input_tokens": 50,
            "input_tokens_details": {"cached_tokens": 40, "cache_write_tokens": 0},
            "output_tokens": 30,
            "output_tokens_details": {"reasoning_tokens": 20},
            "total_tokens": 80,
        },
    }
    return data | changes


def broken_off(reason: str) -> dict[str, Any]:
    return {"status": "incomplete", "incomplete_details": {"reason": reason}}


def test_a_reply_becomes_a_response():
    response = decode(reply(REASONING, COMMENTARY, ANSWER), Told("m", seconds=2.0, headers={"x-request-id": "r1"}))
    assert response.text == "A fob is a pocket."
    assert response.reasoning == "First.\n\nThen.\n\nLooking it up."
    assert (response.model, response.finish, response.provider_finish) == ("gpt-5-mini-2026-08-07", "stop", "completed")
    assert (response.tier, response.request_id, response.seconds) == ("flex", "r1", 2.0)
    usage = response.usage
    assert (usage.input_tokens, usage.output_tokens, usage.cached_tokens) == (50, 30, 40)
    assert (usage.reasoning_tokens, usage.cache_write_tokens, usage.cost) == (20, 0, None)
    assert [(c.source, c.start, c.stop) for c in response.citations] == [
        ("https://x.org/fob", 6, 8),
        ("words.txt", None, None),
    ]
    assert response.logprobs is not None
    assert response.logprobs[0].top == (("was", -1.5),)


def test_calls_carry_the_id_that_their_result_names():
    response = decode(reply(REASONING, CALL), Told())
    assert [(c.id, c.name, c.arguments) for c in response.tool_calls] == [("call_1", "find", '{"word": "fob"}')]
    assert response.finish == "tool_calls"


@pytest.mark.parametrize(
    ("changes", "finish", "word"),
    [
        (
            {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
            "length",
            "max_output_tokens",
        ),
        (
            {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}},
            "content_filter",
            "content_filter",
        ),
        ({"status": "incomplete", "incomplete_details": None}, "other", None),
        ({"status": None}, "stop", None),
    ],
)
def test_how_it_ended(changes, finish, word):
    response = decode(reply(ANSWER, **changes), Told())
    assert (response.finish, response.provider_finish) == (finish, word)


def test_a_refusal_is_told_and_is_the_text_when_there_is_no_other():
    item = {"type": "message", "content": [{"type": "refusal", "refusal": "I cannot."}]}
    response = decode(reply(item), Told())
    assert (response.text, response.finish) == ("I cannot.", "content_filter")


def test_usage_that_is_not_told_is_none_and_not_zero():
    usage = decode(reply(ANSWER, usage=None), Told()).usage
    assert set(vars_of(usage)) == {None}


def vars_of(usage: Any) -> list[Any]:
    return [getattr(usage, name) for name in usage.__dataclass_fields__]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"status": "failed", "error": {"code": "rate_limit_exceeded", "message": "slow"}}, LMRateLimited),
        ({"status": "failed", "error": {"code": "server_error", "message": "oops"}}, LMServerError),
        ({"status": "failed", "error": {"code": "invalid_prompt", "message": "no"}}, LMRequestError),
        ({"status": "failed", "error": None}, LMServerError),
        ({"status": "cancelled"}, LMServerError),
        ({"status": "queued", "output": []}, LMResponseError),
        ({"output": None}, LMResponseError),
    ],
)
def test_what_is_no_answer_is_an_error(changes, error):
    with pytest.raises(error):
        decode(reply(**changes), Told())


# Reasoning across turns


def test_reasoning_goes_back_sealed_and_in_its_place():
    second = REASONING | {"id": "rs_2", "encrypted_content": "sealed-2"}
    other = CALL | {"call_id": "call_2"}
    response = decode(reply(REASONING, CALL, second, other), Told())
    turns = (user("fob?"), response.message, tool_result(response.tool_calls[0], "a pocket"), user("so?"))
    told = encode(Request(turns), WIRE).body["input"]
    kinds = [
        (item.get("type", item.get("role")), item.get("encrypted_content") or item.get("call_id")) for item in told
    ]
    assert kinds == [
        ("user", None),
        ("reasoning", "sealed-1"),
        ("function_call", "call_1"),
        ("reasoning", "sealed-2"),
        ("function_call", "call_2"),
        ("function_call_output", "call_1"),
        ("user", None),
    ]
    assert "status" not in told[1]


def test_commentary_goes_back_as_such_and_the_answer_with_its_phase():
    response = decode(reply(REASONING, COMMENTARY, CALL), Told())
    assert (response.text, response.finish) == ("", "tool_calls")
    items = encode(Request((user("q"), response.message, user("q2"))), WIRE).body["input"]
    assert [item.get("phase") for item in items] == [None, None, "commentary", None, None]
    answered = decode(reply(REASONING, ANSWER), Told()).message
    items = encode(Request((user("q"), answered, user("q2"))), WIRE).body["input"]
    assert items[2] == {
        "type": "message",
        "role": "assistant",
        "content": [{"type": "output_text", "text": "A fob is a pocket."}],
        "phase": "final_answer",
    }


def test_reasoning_without_a_seal_stays_here_and_is_told():
    bare = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}]}
    response = decode(reply(bare, ANSWER), Told())
    assert response.thoughts == (Thought("Hm.", "", "openai-responses"),)
    encoded = encode(Request((user("q"), response.message, user("q2"))), WIRE)
    assert [item.get("type") for item in encoded.body["input"]] == [None, "message", None]
    assert "without its seal" in encoded.adaptations[0]


@pytest.mark.parametrize("state", ["{", "[]", '"x"', '{"item": 3}', ""])
def test_a_garbled_state_is_left_out(state):
    turn = Message("assistant", (Thought("", state, "openai-responses"),))
    encoded = encode(Request((user("q"), turn, user("q2"))), WIRE)
    assert len(encoded.body["input"]) == 3
    assert len(encoded.adaptations) == 1


# What is refused


def test_a_prefill_and_audio_are_refused():
    with pytest.raises(LMUnsupported, match="go on from the start"):
        encode(Request((user("q"), assistant("{"))), WIRE)
    with pytest.raises(LMUnsupported, match="no audio"):
        encode(Request((Message("user", (Audio("audio/wav", b"x"),)),)), WIRE)
    with pytest.raises(UsageError, match="at least one message"):
        encode(Request(()), WIRE)
    with pytest.raises(UsageError, match="previous_response_id"):
        encode(Request((user("q"),), Settings(extra={"previous_response_id": "r"})), WIRE)


def test_extra_may_keep_the_reply_on_the_server():
    assert encode(Request((user("q"),), Settings(extra={"store": True})), WIRE).body["store"] is True


@pytest.mark.parametrize(
    ("refused", "missing"), [("include", "include"), ("store", "store"), ("reasoning", "reasoning"), ("text", "text")]
)
def test_what_was_refused_is_left_out(refused, missing):
    request = Request((user("q"),), Settings(reasoning="low"), "json")
    assert missing in encode(request, WIRE).body
    assert missing not in encode(request, Wire("m", WIRE.quirks, WIRE.capabilities, {refused})).body


def test_log_probabilities_come_with_the_text_where_the_model_gives_them():
    wire = Wire("gpt-4.1", Quirks(), ROW.capabilities("gpt-4.1"))
    body = encode(Request((user("q"),), Settings(logprobs=0)), wire).body
    assert body["include"] == ["message.output_text.logprobs"]
    assert body["top_logprobs"] == 0


def test_tools_are_not_strict_unless_they_say_so():
    tools = (Tool("a"), Tool("b", strict=True))
    told = encode(Request((user("q"),), tools=tools, tool_choice="required"), WIRE).body
    assert [tool["strict"] for tool in told["tools"]] == [False, True]
    assert told["tool_choice"] == "required"
    with pytest.raises(LMUnsupported, match="takes no tools"):
        encode(Request((user("q"),), tools=tools), Wire("m", capabilities=Capabilities(without=frozenset({"tools"}))))


# Streams


def streamed(data: bytes, cuts: list[int] | None = None) -> tuple[list[StreamEvent], dict[str, Any] | None]:
    lines, reader = EventBytes(), ResponsesReader()
    events: list[StreamEvent] = []
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts or ())})
    for start, end in zip(places, places[1:], strict=False):
        for event in lines.feed(data[start:end]):
            events += reader.feed(event)
    for event in lines.finish():
        events += reader.feed(event)
    return events, reader.whole()


def as_bytes(data: dict[str, Any]) -> bytes:
    told = responses.events(data, {})
    return b"".join(f"event: {event.name}\ndata: {event.data}\n\n".encode() for event in told)


ANSWERS = [
    Answer("héllo wörld 😀", reasoning="let me think"),
    Answer("", tools=[("find", {"word": "é"}), ("now", {})]),
    Answer("cut", finish="length"),
    Answer(refusal="I cannot, sorry"),
]


@pytest.mark.parametrize("answer", ANSWERS)
def test_the_pieces_make_up_the_whole(answer):
    data = responses.response(answer, {"include": ["reasoning.encrypted_content"]})
    events, whole = streamed(as_bytes(data))
    assert whole == data
    response = decode(whole, Told())
    assert joined(events) == told_by(response)


def joined(events: list[StreamEvent]) -> tuple[str, str, list[list[str]]]:
    calls: list[list[str]] = []
    for event in events:
        if isinstance(event, ToolDelta):
            while len(calls) <= event.index:
                calls.append(["", "", ""])
            calls[event.index][0] += event.id
            calls[event.index][1] += event.name
            calls[event.index][2] += event.arguments
    text = "".join(event.text for event in events if isinstance(event, TextDelta))
    return text, "".join(event.text for event in events if isinstance(event, ThoughtDelta)), calls


def told_by(response: Response) -> tuple[str, str, list[list[str]]]:
    return response.text, response.reasoning or "", [[c.id, c.name, c.arguments] for c in response.tool_calls]


STREAM = as_bytes(
    reply(REASONING | {"summary": REASONING["summary"]}, COMMENTARY, ANSWER, CALL | {"arguments": '{"wörd": 1}'})
)
WHOLE = streamed(STREAM)


@given(st.lists(st.integers(0, len(STREAM)), max_size=40))
def test_any_cuts_of_the_bytes_give_the_same_events(cuts):
    assert streamed(STREAM, cuts) == WHOLE


def test_commentary_and_parts_of_reasoning_are_thought_in_a_stream_too():
    events, whole = WHOLE
    assert whole is not None
    assert joined(events) == told_by(decode(whole, Told()))


def test_every_prefix_of_the_bytes_is_a_reply_without_an_end():
    ends = [place for place in range(len(STREAM)) if STREAM[place : place + 2] == b"\n\n"]
    for end in ends[:-1]:
        assert streamed(STREAM[: end + 2])[1] is None


def lines_of(*events: dict[str, Any]) -> bytes:
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)


def test_what_deltas_left_out_comes_with_the_end_of_a_part():
    told = lines_of(
        {"type": "response.output_item.added", "output_index": 0, "item": {"type": "message", "id": "m"}},
        {"type": "response.output_text.delta", "item_id": "m", "output_index": 0, "content_index": 0, "delta": "ab"},
        {"type": "response.output_text.done", "item_id": "m", "output_index": 0, "content_index": 0, "text": "abcd"},
        {"type": "response.output_item.done", "output_index": 1, "item": CALL},
    )
    events, whole = streamed(told)
    assert joined(events) == ("abcd", "", [["call_1", "find", '{"word": "fob"}']])
    assert whole is None


def test_a_last_event_without_output_is_filled_from_the_items():
    told = lines_of(
        {"type": "response.output_item.added", "item": CALL | {"arguments": ""}},
        {"type": "response.function_call_arguments.delta", "item_id": "fc_1", "delta": '{"word": '},
        {"type": "response.function_call_arguments.delta", "item_id": "fc_1", "delta": '"fob"}'},
        {"type": "response.output_item.done", "item": CALL},
        {"type": "response.completed", "response": {"id": "r", "status": "completed", "output": []}},
    )
    events, whole = streamed(told)
    assert whole is not None
    assert whole["output"] == [CALL]
    assert joined(events)[2] == [["call_1", "find", '{"word": "fob"}']]


@pytest.mark.parametrize(
    "event",
    [
        {"type": "error", "code": "server_error", "message": "oops", "param": None},
        {"type": "error", "error": {"type": "server_error", "message": "oops"}},
        {"error": {"message": "oops"}},
        {
            "type": "response.failed",
            "response": {"status": "failed", "error": {"code": "server_error", "message": "oops"}},
        },
    ],
)
def test_an_error_in_a_stream_is_raised(event):
    whole = streamed(lines_of(event))[1]
    assert whole is not None
    with pytest.raises(LMServerError, match="oops"):
        decode(whole, Told())


def test_a_garbled_event_is_an_error_and_unknown_ones_are_not():
    with pytest.raises(LMResponseError, match="garbled"):
        streamed(b"data: {nope\n\n")
    assert streamed(lines_of({"type": "response.web_search_call.searching"}, {"type": "keepalive"})) == ([], None)
    assert streamed(b"data: [DONE]\n\n") == ([], None)


def test_the_dialect_says_where_it_is_spoken():
    assert (RESPONSES.path, RESPONSES.auth, RESPONSES.headers) == ("/responses", "bearer", ())

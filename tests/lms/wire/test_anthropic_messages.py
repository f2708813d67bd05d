"""The Anthropic messages dialect as pure functions: what is sent, what a reply means, whole and streamed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlast.errors import (
    LMContextError,
    LMQuotaError,
    LMRateLimited,
    LMResponseError,
    LMServerError,
    LMUnsupported,
    UsageError,
)
from outlast.lms.protocol import Capabilities
from outlast.lms.wire.anthropic_messages import encode
from outlast.lms.wire.anthropic_messages_reply import MESSAGES, MessagesReader, decode
from outlast.lms.wire.dialect import Encoded, Told, Wire
from outlast.lms.wire.openai_errors import error_from, refused_parameter, refuses_schema
from outlast.lms.wire.providers import PROVIDERS
from outlast.lms.wire.sse import EventBytes
from outlast.messages import (
    Message,
    OutputSchema,
    Request,
    Response,
    Settings,
    StreamEvent,
    TextDelta,
    TextPart,
    Thought,
    ThoughtDelta,
    ToolCall,
    ToolDelta,
    assistant,
    system,
    tool_result,
    user,
)
from outlast.testing.server import messages as fake
from outlast.testing.server.answers import Answer
from outlast.types import Audio, File, Image, Tool

ROW = PROVIDERS["anthropic"]
CARD = OutputSchema("card", {"type": "object", "properties": {"team": {"type": "string"}}, "required": ["team"]})


def model(name: str, *refused: str) -> Wire:
    return Wire(name, ROW.quirks_of(name), ROW.capabilities(name), refused)


OPUS = model("claude-opus-5")
SONNET = model("claude-sonnet-4-5")


def ask(settings: Settings = Settings(), wire: Wire = OPUS, *turns: Message, **options: Any) -> Encoded:
    return encode(Request(turns or (user("hi"),), settings, **options), wire)


# Turns


def turns_of(*turns: Message, wire: Wire = OPUS, tools: tuple[Tool, ...] = ()) -> Any:
    return encode(Request(turns, Settings(max_tokens=9), tools=tools), wire).body["messages"]


def test_neighbours_of_one_role_are_one_turn_and_results_stand_first():
    call = ToolCall("c1", "f", "{}")
    told = turns_of(
        user("a"),
        user("b"),
        Message("assistant", (call,)),
        user("by the way"),
        Message("tool", tool_result(call, "42").content),
    )
    assert [turn["role"] for turn in told] == ["user", "assistant", "user"]
    assert [block["text"] for block in told[0]["content"]] == ["a", "b"]
    assert [block["type"] for block in told[2]["content"]] == ["tool_result", "text"]


def test_instructions_lead_as_system_and_later_ones_stand_where_they_are():
    encoded = ask(Settings(max_tokens=9), OPUS, system("one"), system("two"), user("hi"), system("three"), user("so?"))
    assert [block["text"] for block in encoded.body["system"]] == ["one", "two"]
    (turn,) = encoded.body["messages"]
    assert [block["text"] for block in turn["content"]] == ["hi", "<system>\nthree\n</system>", "so?"]
    assert "inside the conversation" in encoded.adaptations[0]


def test_texts_of_nothing_are_left_out_as_the_dialect_refuses_them():
    encoded = ask(Settings(max_tokens=9), OPUS, user("q"), assistant(""), user(" \n"), user("z"))
    (turn,) = encoded.body["messages"]
    assert [block["text"] for block in turn["content"]] == ["q", "z"]
    assert encoded.adaptations == (
        "an empty turn of the role 'assistant' not sent: the dialect refuses it",
        "a text of white space only not sent: the dialect refuses it",
        "an empty turn of the role 'user' not sent: the dialect refuses it",
    )


def test_ids_of_other_providers_are_put_into_letters_that_are_taken():
    call = ToolCall("functions.find:0", "find", '{"a": 1}')
    told = turns_of(user("q"), Message("assistant", (call,)), tool_result(call, "x"))
    assert told[1]["content"][0]["id"] == told[2]["content"][0]["tool_use_id"] == "functions_find_0"


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [('{"a": [1]}', {"a": [1]}), ("", {}), ("[1]", {"INVALID_JSON": "[1]"}), ('{"a', {"INVALID_JSON": '{"a'})],
)
def test_arguments_go_as_an_object(arguments, sent):
    told = turns_of(user("q"), Message("assistant", (ToolCall("c", "f", arguments),)), user("z"))
    assert told[1]["content"][0]["input"] == sent


def test_only_own_reasoning_goes_back_and_redacted_too():
    seen = {"type": "thinking", "thinking": "Hm.", "signature": "s"}
    hidden = {"type": "redacted_thinking", "data": "opaque"}
    mine = [Thought("Hm.", json.dumps(block), "anthropic-messages") for block in (seen, hidden)]
    others = [Thought("x", "{}", "openai-responses"), Thought("x", "{", "anthropic-messages")]
    encoded = ask(
        Settings(max_tokens=9), OPUS, user("q"), Message("assistant", (*mine, *others, TextPart("a"))), user("z")
    )
    assert encoded.body["messages"][1]["content"] == [seen, hidden, {"type": "text", "text": "a"}]
    assert len(encoded.adaptations) == 2


def test_media_that_the_dialect_lacks_are_refused():
    for part in (
        Audio("audio/wav", b"x"),
        Image("image/bmp", b"x"),
        File("application/zip", b"x"),
    ):
        with pytest.raises(LMUnsupported, match="claude-opus-5"):
            turns_of(Message("user", (part,)))
    with pytest.raises(LMUnsupported, match="only text in a system message"):
        turns_of(Message("system", (Image("image/png", b"x"),)), user("q"))
    with pytest.raises(UsageError, match="at least one message"):
        encode(Request(()), OPUS)


def test_documents_are_cited_unless_a_schema_excludes_it():
    letter = Message("user", (File("text/plain", b"Dear", name="Letter"), TextPart("?")))
    free = ask(Settings(max_tokens=9), OPUS, letter)
    assert free.body["messages"][0]["content"][0]["citations"] == {"enabled": True}
    bound = ask(Settings(max_tokens=9), OPUS, letter, output=CARD)
    assert "citations" not in bound.body["messages"][0]["content"][0]
    assert any("without asking for citations" in note for note in bound.adaptations)


# A prefill


def test_old_models_go_on_from_the_start_of_a_reply_and_new_ones_refuse():
    encoded = ask(Settings(max_tokens=9), SONNET, user("q"), assistant("The answer: "))
    assert encoded.body["messages"][-1] == {
        "role": "assistant",
        "content": [{"type": "text", "text": "The answer:"}],
    }
    assert "white space at the end" in encoded.adaptations[0]
    for name in ("claude-opus-4-6", "claude-sonnet-4-6", "claude-opus-5-5", "claude-haiku-5-5"):
        with pytest.raises(LMUnsupported, match="go on from the start"):
            ask(Settings(), model(name), user("q"), assistant("{"))


# Settings


@pytest.mark.parametrize(
    ("name", "effort", "thinking", "effort_sent"),
    [
        ("claude-opus-5", "low", {"type": "adaptive"}, "low"),
        ("claude-opus-5", "minimal", {"type": "adaptive"}, "low"),
        ("claude-opus-5", "max", {"type": "adaptive"}, "max"),
        ("claude-opus-5", "none", {"type": "disabled"}, None),
        ("claude-sonnet-5-5", "none", {"type": "between_tools"}, None),
        ("claude-opus-5-5", "none", None, None),
        ("claude-sonnet-4-5", "high", {"type": "enabled", "budget_tokens": 16384}, None),
        ("claude-sonnet-4-5", "none", {"type": "disabled"}, None),
        ("claude-3-haiku", "high", None, None),
        ("claude-3-haiku", "none", None, None),
        ("claude-unheard-of", "high", {"type": "adaptive"}, "high"),
    ],
)
def test_effort_is_said_as_each_family_takes_it(name, effort, thinking, effort_sent):
    body = ask(Settings(reasoning=effort), model(name)).body
    assert body.get("thinking") == thinking
    assert body.get("output_config", {}).get("effort") == effort_sent


@pytest.mark.parametrize(
    ("show", "effort", "display"),
    [(True, "low", "summarized"), (False, "low", "omitted"), (None, "low", None), (True, None, "summarized")],
)
def test_whether_reasoning_is_shown_can_be_said(show, effort, display):
    assert ask(Settings(show_reasoning=show, reasoning=effort)).body["thinking"].get("display") == display


def test_hiding_reasoning_alone_does_not_switch_it_on():
    encoded = ask(Settings(show_reasoning=False, max_tokens=9))
    assert "thinking" not in encoded.body
    assert len(encoded.adaptations) == 1
    assert "reasons only with" in ask(Settings(show_reasoning=True, max_tokens=9), SONNET).dropped[0]


def test_a_budget_leaves_room_for_the_reply():
    assert ask(Settings(reasoning="high", max_tokens=4096), SONNET).body["thinking"]["budget_tokens"] == 2048
    small = ask(Settings(reasoning="high", max_tokens=1500), SONNET)
    assert "thinking" not in small.body
    assert "leaves no room" in small.dropped[0]
    assert ask(Settings(reasoning="low"), SONNET).body["max_tokens"] == 32_000 + 2048


def test_sampling_settings_go_only_where_they_are_taken():
    settings = Settings(temperature=0.5, top_p=0.9, max_tokens=9)
    assert {"temperature", "top_p"} <= ask(settings, SONNET).body.keys()
    assert not {"temperature", "top_p"} & ask(settings, OPUS).body.keys()
    assert not {"temperature"} & ask(settings, model("claude-sonnet-4-5", "temperature")).body.keys()
    thinking = ask(Settings(temperature=0.5, top_p=0.99, reasoning="low"), SONNET)
    assert "temperature" not in thinking.body
    assert thinking.body["top_p"] == 0.99
    assert "only without reasoning" in thinking.dropped[0]


def test_a_bound_is_always_sent_and_said_when_it_is_ours():
    assert ask().body["max_tokens"] == 32_000
    assert ask(wire=model("claude-3-haiku")).body["max_tokens"] == 4096
    assert ask().adaptations == ("max_tokens=32000 sent: the dialect demands a bound",)
    assert ask(Settings(max_tokens=7)).adaptations == ()
    extra = ask(Settings(extra={"max_tokens": 8, "top_k": 3}))
    assert (extra.body["max_tokens"], extra.body["top_k"], extra.adaptations) == (8, 3, ())


@pytest.mark.parametrize(
    ("tier", "sent", "dropped"),
    [("auto", "auto", 0), ("priority", "auto", 0), ("default", "standard_only", 0), ("flex", None, 1)],
)
def test_tiers(tier, sent, dropped):
    encoded = ask(Settings(tier=tier, max_tokens=9))
    assert (encoded.body.get("service_tier"), len(encoded.dropped)) == (sent, dropped)


def test_stop_texts_of_white_space_are_our_business():
    assert ask(Settings(stop=("END", "\n"), max_tokens=9)).stop == ("END", "\n")
    native = ask(Settings(stop=("END",), max_tokens=9))
    assert (native.stop, native.body["stop_sequences"]) == ((), ["END"])
    assert ask(Settings(stop=("END",)), model("claude-opus-5", "stop_sequences")).stop == ("END",)


# Output and tools


def test_a_schema_goes_beside_the_effort_and_each_can_be_refused_alone():
    encoded = ask(Settings(reasoning="low", max_tokens=9), output=CARD)
    assert encoded.body["output_config"].keys() == {"effort", "format"}
    assert encoded.strict
    assert encoded.lessons == {"output_config": "effort"}
    less = ask(Settings(reasoning="low", max_tokens=9), model("claude-opus-5", "effort"), output=CARD)
    assert less.body["output_config"].keys() == {"format"}
    assert less.lessons == {"output_config": "output_format"}
    least = ask(Settings(max_tokens=9), model("claude-opus-5", "effort", "output_format"), output=CARD)
    assert "output_config" not in least.body
    assert "refuses schemas" in least.dropped[0]


@pytest.mark.parametrize("output", [CARD, "json"])
def test_models_without_schemas_get_none(output):
    encoded = ask(Settings(max_tokens=9), model("claude-3-haiku"), output=output)
    assert "output_config" not in encoded.body
    assert len(encoded.dropped) == 1


def test_a_schema_that_cannot_be_told_is_left_out_with_the_reason():
    tree = OutputSchema(
        "tree", {"$ref": "#/$defs/N", "$defs": {"N": {"type": "object", "properties": {"n": {"$ref": "#/$defs/N"}}}}}
    )
    assert ask(Settings(max_tokens=9), output=tree).dropped == ("the JSON schema 'tree' not sent: it refers to itself",)


@pytest.mark.parametrize(
    ("choice", "parallel", "sent"),
    [
        ("auto", None, None),
        ("auto", False, {"type": "auto", "disable_parallel_tool_use": True}),
        ("required", None, {"type": "any"}),
        ("required", False, {"type": "any", "disable_parallel_tool_use": True}),
        ("none", False, {"type": "none"}),
        ("f", True, {"type": "tool", "name": "f", "disable_parallel_tool_use": False}),
    ],
)
def test_how_tools_are_to_be_called(choice, parallel, sent):
    settings = Settings(parallel_tools=parallel, max_tokens=9)
    assert ask(settings, OPUS, tools=(Tool("f"),), tool_choice=choice).body.get("tool_choice") == sent


def test_a_forced_call_is_dropped_where_it_is_refused_and_excludes_a_budget():
    new = ask(Settings(max_tokens=9), model("claude-opus-5-5"), tools=(Tool("f"),), tool_choice="f")
    assert "tool_choice" not in new.body
    assert "no forced tool calls" in new.dropped[0]
    old = ask(Settings(reasoning="low"), SONNET, tools=(Tool("f"),), tool_choice="required")
    assert old.body["tool_choice"] == {"type": "any"}
    assert "thinking" not in old.body


def test_strict_tools_have_their_limits():
    many = tuple(Tool(f"t{n}", strict=True) for n in range(22))
    encoded = ask(Settings(max_tokens=9), OPUS, tools=many)
    assert sum(tool.get("strict", False) for tool in encoded.body["tools"]) == 20
    assert len(encoded.adaptations) == 2
    old = ask(Settings(max_tokens=9), model("claude-3-haiku"), tools=(Tool("t", strict=True),))
    assert "strict" not in old.body["tools"][0]
    open_object = Tool("t", "", {"type": "object", "additionalProperties": {"type": "string"}}, strict=True)
    assert "open properties" in ask(Settings(max_tokens=9), OPUS, tools=(open_object,)).adaptations[0]
    with pytest.raises(LMUnsupported, match="takes no tools"):
        ask(Settings(), Wire("m", capabilities=Capabilities(without=frozenset({"tools"}))), tools=many)


# What comes back

BLOCKS: list[dict[str, Any]] = [
    {"type": "thinking", "thinking": "First.", "signature": "s1"},
    {"type": "redacted_thinking", "data": "opaque"},
    {"type": "thinking", "thinking": "Thén.", "signature": "s2"},
    {"type": "text", "text": "A fob "},
    {
        "type": "text",
        "text": "is a pocket",
        "citations": [
            {"type": "page_location", "cited_text": "a pocket", "document_index": 0, "document_title": "Words"},
            {"type": "char_location", "cited_text": "pocket", "document_index": 1, "document_title": None},
        ],
    },
    {"type": "text", "text": "."},
    {"type": "tool_use", "id": "toolu_1", "name": "find", "input": {"word": "fób"}},
    {"type": "server_tool_use", "id": "x", "name": "web_search", "input": {}},
]
USAGE = {
    "input_tokens": 5,
    "cache_read_input_tokens": 40,
    "cache_creation_input_tokens": 10,
    "output_tokens": 30,
    "output_tokens_details": {"thinking_tokens": 20},
    "service_tier": "priority",
}


def reply(*blocks: dict[str, Any], **changes: Any) -> dict[str, Any]:
    data = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-opus-5-20260801",
        "content": list(blocks),
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": USAGE,
    }
    return data | changes


def test_a_reply_becomes_a_response():
    response = decode(reply(*BLOCKS, stop_reason="tool_use"), Told("m", headers={"request-id": "req_1"}))
    assert (response.text, response.reasoning) == ("A fob is a pocket.", "First.\n\nThén.")
    assert [json.loads(thought.state) for thought in response.thoughts] == BLOCKS[:3]
    assert [(c.id, c.name, c.arguments) for c in response.tool_calls] == [("toolu_1", "find", '{"word": "fób"}')]
    assert (response.finish, response.provider_finish, response.request_id) == ("tool_calls", "tool_use", "req_1")
    assert [(c.cited, c.source, c.start, c.stop) for c in response.citations] == [
        ("a pocket", "Words", 6, 17),
        ("pocket", "document 2", 6, 17),
    ]
    usage = response.usage
    assert (usage.input_tokens, usage.cached_tokens, usage.cache_write_tokens) == (55, 40, 10)
    assert (usage.output_tokens, usage.reasoning_tokens, response.tier) == (30, 20, "priority")


def test_usage_that_is_not_told_is_none():
    usage = decode(reply(usage={"output_tokens": 3}), Told()).usage
    assert (usage.input_tokens, usage.output_tokens, usage.cached_tokens) == (None, 3, None)


@pytest.mark.parametrize(
    ("word", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("refusal", "content_filter"),
        ("pause_turn", "other"),
        ("unheard_of", "other"),
        (None, "stop"),
    ],
)
def test_how_it_ended(word, finish):
    response = decode(reply({"type": "text", "text": "x"}, stop_reason=word), Told())
    assert (response.finish, response.provider_finish) == (finish, word)


def test_a_refusal_without_text_says_why():
    details = {"type": "refusal", "category": "cyber", "explanation": "Not that."}
    response = decode(reply(stop_reason="refusal", stop_details=details), Told())
    assert (response.text, response.finish) == ("Not that.", "content_filter")


def test_a_multi_turn_conversation_comes_round():
    response = decode(reply(*BLOCKS[:3], BLOCKS[3], BLOCKS[6], stop_reason="tool_use"), Told())
    told = turns_of(
        user("fob?"), response.message, tool_result(response.tool_calls[0], "a pocket"), tools=(Tool("find"),)
    )
    assert told[1]["content"] == [*BLOCKS[:3], BLOCKS[3], BLOCKS[6]]
    assert told[2]["content"] == [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "a pocket"}]


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}, LMServerError),
        ({"type": "error", "error": {"type": "rate_limit_error", "message": "slow"}}, LMRateLimited),
        ({"type": "error", "error": {"type": "billing_error", "message": "pay"}}, LMQuotaError),
        ({"content": "text"}, LMResponseError),
    ],
)
def test_what_is_no_message_is_an_error(data, error):
    with pytest.raises(error):
        decode(data, Told())


def body_of(kind: str, message: str) -> bytes:
    return json.dumps({"type": "error", "error": {"type": kind, "message": message}, "request_id": "r"}).encode()


@pytest.mark.parametrize(
    ("status", "kind", "message", "error"),
    [
        (529, "overloaded_error", "Overloaded", LMServerError),
        (429, "rate_limit_error", "This request would exceed your rate limit", LMRateLimited),
        (400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum", LMContextError),
        (
            400,
            "invalid_request_error",
            "input length and `max_tokens` exceed context limit: 190000 + 32000 > 200000",
            LMContextError,
        ),
        (400, "invalid_request_error", "Your credit balance is too low to access the Anthropic API.", LMQuotaError),
        (402, "billing_error", "There's an issue with your billing", LMQuotaError),
    ],
)
def test_errors_are_what_they_say(status, kind, message, error):
    found = error_from(status, {"request-id": "req_7"}, body_of(kind, message))
    assert type(found) is error
    assert "req_7" in str(found)


def test_refused_settings_are_found_in_the_words_of_the_server():
    sent = ("temperature", "thinking", "output_config", "max_tokens")
    for message, name in (
        ("`temperature` is deprecated for this model.", "temperature"),
        ("adaptive thinking is not supported on this model", "thinking"),
        ("output_config.effort: not supported on this model", "output_config"),
        ("max_tokens: 99999 > 64000, which is the maximum allowed number of output tokens", None),
    ):
        assert refused_parameter(400, body_of("invalid_request_error", message), sent) == name
    assert refuses_schema(400, body_of("invalid_request_error", "The compiled grammar is too large"))


# Streams


def streamed(data: bytes, cuts: list[int] | None = None) -> tuple[list[StreamEvent], dict[str, Any] | None]:
    lines, reader = EventBytes(), MessagesReader()
    events: list[StreamEvent] = []
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts or ())})
    for start, end in zip(places, places[1:], strict=False):
        for event in lines.feed(data[start:end]):
            events += reader.feed(event)
    for event in lines.finish():
        events += reader.feed(event)
    return events, reader.whole()


def as_bytes(data: dict[str, Any]) -> bytes:
    told = fake.events(data, {})
    return b"".join(f"event: {event.name}\ndata: {event.data}\n\n".encode() for event in told)


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


@pytest.mark.parametrize(
    "answer",
    [
        Answer("héllo wörld 😀", reasoning="let me think", cached=3),
        Answer("", tools=[("find", {"word": 1}), ("now", {})]),
        Answer("cut", finish="length"),
        Answer(refusal="I cannot, sorry"),
    ],
)
def test_the_pieces_make_up_the_whole(answer):
    data = fake.message(answer, {})
    events, whole = streamed(as_bytes(data))
    assert whole == data
    assert joined(events) == told_by(decode(whole, Told()))


# The fake server writes JSON of calls in ASCII, so text and reasoning hold the letters that may be cut.
STREAM = as_bytes(reply(*BLOCKS[:7], stop_reason="tool_use"))
WHOLE = streamed(STREAM)


def test_a_long_stream_is_the_same_reply():
    assert WHOLE[1] is not None
    assert decode(WHOLE[1], Told()) == decode(reply(*BLOCKS[:7], stop_reason="tool_use"), Told())
    text, reasoning, _ = joined(WHOLE[0])
    assert (text, reasoning) == ("A fob is a pocket.", "First.\n\nThén.")


@given(st.lists(st.integers(0, len(STREAM)), max_size=40))
def test_any_cuts_of_the_bytes_give_the_same_events(cuts):
    assert streamed(STREAM, cuts) == WHOLE


def test_a_stream_without_its_end_is_no_reply():
    told = STREAM.split(b"\n\n")
    ended = next(place for place, event in enumerate(told) if b"message_delta" in event)
    for end in range(ended):
        assert streamed(b"\n\n".join(told[:end]) + b"\n\n")[1] is None
    assert streamed(b"\n\n".join(told[: ended + 1]) + b"\n\n")[1] is not None


def lines_of(*events: dict[str, Any]) -> bytes:
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)


def test_arguments_cut_by_the_bound_stay_text():
    block = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    told = lines_of(
        {"type": "message_start", "message": reply(usage={"input_tokens": 3, "output_tokens": 1}, stop_reason=None)},
        {"type": "ping"},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": '{"a": [1'}},
        {"type": "message_delta", "delta": {"stop_reason": "max_tokens"}, "usage": {"output_tokens": 9}},
        {"type": "message_stop"},
    )
    whole = streamed(told)[1]
    assert whole is not None
    response = decode(whole, Told())
    assert (response.tool_calls[0].arguments, response.finish) == ('{"a": [1', "length")
    assert (response.usage.input_tokens, response.usage.output_tokens) == (3, 9)


def test_an_error_in_a_stream_is_raised_and_a_garbled_event_too():
    whole = streamed(lines_of({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}))[1]
    assert whole is not None
    with pytest.raises(LMServerError, match="busy"):
        decode(whole, Told())
    with pytest.raises(LMResponseError, match="garbled"):
        streamed(b"event: ping\ndata: nope\n\n")


def test_the_dialect_says_how_it_is_spoken():
    assert (MESSAGES.path, MESSAGES.auth) == ("/messages", "x-api-key")
    assert MESSAGES.headers == (("anthropic-version", "2023-06-01"),)

"""What is known of providers and of families of their models."""

from __future__ import annotations

import pytest

import outlast as ol
from outlast.lms.wire.dialect import Wire
from outlast.lms.wire.dialects import NAMES, decisions_named, dialect_named
from outlast.lms.wire.openai_chat import encode
from outlast.lms.wire.providers import PROVIDERS
from outlast.messages import Message, Request, Settings, TextPart, Thought, ToolCall, tool_result, user


def wire_of(name: str) -> Wire:
    provider, _, model = name.partition("/")
    row = PROVIDERS[provider]
    return Wire(model, row.quirks_of(model), row.capabilities(model))


def body(name: str, *turns: Message, **settings) -> dict:
    return encode(Request(turns or (user("hi"),), Settings(**settings)), wire_of(name)).body


@pytest.mark.parametrize("name", PROVIDERS)
def test_every_row_can_be_spoken(name):
    row = PROVIDERS[name]
    assert row.dialect in NAMES
    assert row.base_url.startswith(("https://", "http://localhost")) or name == "azure"
    assert not row.base_url.endswith("/")
    for family in (*row.families, row.family("unheard-of")):
        model = (family.patterns or ("unheard-of",))[0].replace("*", "x").replace("?", "1").replace("[12]", "1")
        encoded = dialect_named(row.dialect).encode(
            Request((user("hi"),)), Wire(model, row.quirks_of(model), row.capabilities(model)), False
        )
        assert encoded.body["model"] == model
    if row.decisions is not None:
        assert decisions_named(row.decisions).path.startswith("/")


@pytest.mark.parametrize("name", PROVIDERS)
def test_no_family_is_hidden_behind_an_earlier_one(name):
    table = PROVIDERS[name].families
    for place, family in enumerate(table):
        for pattern in family.patterns:
            sample = pattern.replace("*", "").replace("?", "3").replace("[12]", "1").replace("[78]", "7")
            sample = sample.replace("[5-9]", "9")
            first = next(earlier for earlier in table if earlier.knows(sample))
            assert table.index(first) == place, f"{sample} of {pattern} is known as {first.patterns}"


@pytest.mark.parametrize(
    ("name", "effort", "sampled"),
    [
        ("openai/gpt-5-mini", None, False),
        ("openai/gpt-5-mini", "none", False),
        ("openai/gpt-5.1", None, True),
        ("openai/gpt-5.4-mini", "none", True),
        ("openai/gpt-5.4-mini", "low", False),
        ("openai/gpt-5.4-pro", None, False),
        ("openai/gpt-5.2-chat-latest", None, False),
        ("openai/gpt-5.6-sol", None, False),
        ("openai/gpt-5.6-sol", "none", True),
        ("openai/gpt-6-luna", "none", True),
        ("openai/gpt-6.1-sol", "none", False),
        ("openai/o4-mini", None, False),
        ("openai/gpt-4.1", None, True),
        ("openai/gpt-5-chat-latest", None, True),
    ],
)
def test_openai_samples_only_while_a_model_does_not_reason(name, effort, sampled):
    sent = body(name, temperature=0.5, reasoning=effort)
    assert ("temperature" in sent) is sampled


@pytest.mark.parametrize(
    ("name", "can", "cannot"),
    [
        ("anthropic/claude-opus-5-5", "json_schema reasoning tools citations", "prefill decisions"),
        ("anthropic/claude-sonnet-4-5", "json_schema reasoning prefill", "decisions"),
        ("anthropic/claude-sonnet-4-20250514", "reasoning prefill", "json_schema"),
        ("anthropic/claude-3-5-haiku-latest", "prefill tools", "json_schema reasoning"),
        ("openai/gpt-6-luna", "decisions reasoning json_schema", "prefill"),
        ("gemini/gemini-4-argon", "reasoning images json_schema", "prefill"),
        ("gemini/gemini-2.0-flash", "images json_schema", "reasoning"),
        ("deepseek/deepseek-chat", "json_object prefill", "json_schema images"),
        ("zai/glm-5.3", "json_object reasoning", "json_schema"),
    ],
)
def test_what_models_can(name, can, cannot):
    capabilities = wire_of(name).capabilities
    assert [word for word in can.split() if not getattr(capabilities, word)] == []
    assert [word for word in cannot.split() if getattr(capabilities, word)] == []


def test_mistral_gets_ids_of_nine_letters():
    call = ToolCall("toolu_01ABC", "f", "{}")
    own = ToolCall("abcDEF123", "f", "{}")
    told = body("mistral/m", user("q"), Message("assistant", (call, own)), tool_result(call, "x"))["messages"]
    first, second = (told_call["id"] for told_call in told[1]["tool_calls"])
    assert len(first) == 9
    assert first.isalnum()
    assert told[2]["tool_call_id"] == first
    assert second == "abcDEF123"


def test_gemini_gets_the_signature_of_each_call_back():
    from outlast.lms.wire.dialect import Told
    from outlast.lms.wire.openai_chat_reply import decode

    signed = {"google": {"thought_signature": "sig"}}
    calls = [
        {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}, "extra_content": signed},
        {"id": "c2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
    ]
    reply = {"choices": [{"message": {"content": None, "tool_calls": calls}, "finish_reason": "tool_calls"}]}
    response = decode(reply, Told())
    turn = body("gemini/gemini-3-flash", user("q"), response.message, tool_result(response.tool_calls[0], "x"))
    assert turn["messages"][1]["tool_calls"] == calls
    elsewhere = body("openai/gpt-4.1", user("q"), response.message, tool_result(response.tool_calls[0], "x"))
    assert "extra_content" not in elsewhere["messages"][1]["tool_calls"][0]


def test_deepseek_gets_a_place_for_reasoning_beside_every_call():
    turns = (user("q"), Message("assistant", (ToolCall("c", "f", "{}"),)), Message("assistant", (TextPart("a"),)))
    told = body("deepseek/deepseek-chat", *turns, user("z"))["messages"]
    assert told[1]["reasoning_content"] == ""
    assert "reasoning_content" not in told[2]


@pytest.mark.parametrize("state", ["", "{", "[]", '{"extra_content": 3}', "3"])
def test_a_garbled_thought_does_no_harm(state):
    thought = Thought("hm", state, "openai-chat")
    for name in ("gemini/gemini-3-flash", "openrouter/some", "deepseek/deepseek-chat"):
        told = body(name, user("q"), Message("assistant", (thought, ToolCall("c", "f", "{}"))), user("z"))
        assert told["messages"][1]["tool_calls"][0]["id"] == "c"


def test_calls_at_once_are_spoken_of_only_with_tools():
    assert "parallel_tool_calls" not in body("openai/gpt-4.1", parallel_tools=False)


def test_stop_texts_that_a_server_refused_are_cut_here():
    wire = Wire("o4-mini", refused={"stop"})
    encoded = encode(Request((user("hi"),), Settings(stop=("END",))), wire)
    assert "stop" not in encoded.body
    assert encoded.stop == ("END",)
    assert encoded.dropped == ()


def test_a_gateway_keeps_what_is_known_of_a_model_and_a_name_that_nobody_knows_is_unknown(monkeypatch):
    behind = ol.LM("anthropic/claude-3-haiku", base_url="http://127.0.0.1:9/v1", cache=False)
    assert behind.capabilities == ol.LM("anthropic/claude-3-haiku", cache=False).capabilities
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    assert "temperature" in ol.LM("openai/gpt-5-mini", cache=False).capabilities.without
    assert ol.LM("openai/my-own", cache=False).capabilities == ol.Capabilities(streaming=True)


def test_another_address_is_another_server():
    lm = ol.LM("anthropic/my-own", base_url="http://127.0.0.1:9/v1", cache=False)
    assert not lm.capabilities.prefill
    assert lm.info()[-1].facts["dialect"] == "anthropic-messages"

"""What lm15 adds: providers in their own dialects, with what they want back in the next turn."""

from __future__ import annotations

import json

import pytest

from outlast.errors import LMAuthError, LMError, LMRequestError, LMUnsupported
from outlast.lms.protocol import LM
from outlast.messages import Message, OutputSchema, Thought, ToolCall, ToolResult, assistant, system, user
from outlast.testing.server import Answer, FakeServer
from outlast.types import Audio, File, Image, Tool

LOOK = Tool("look", "Looks.", {"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"]})


def model(name: str, server: FakeServer, **options) -> LM:
    return LM(
        f"lm15:{name}", **{"base_url": server.url, "api_key": "k-0123456789", "cache": False, "retries": 0, **options}
    )


def test_claude_gets_its_thoughts_back_with_their_signature():
    first = Answer("Hm.", reasoning="Let me look.", tools=[("look", {"word": "fee"})], cached=3, cache_write=2)
    with FakeServer([first, "Five days."]) as server:
        lm = model("anthropic:claude-opus-4-1", server, reasoning="low")
        asked = [Message("system", "Be brief.", cache=True), user("How long?")]
        call = lm(asked, tools=[LOOK])
        assert (call.text, call.reasoning, call.finish) == ("Hm.", "Let me look.", "tool_calls")
        assert call.thoughts[0].origin == "lm15"
        answer = lm([*asked, call.message, Message("tool", (ToolResult(call.tool_calls[0].id, "5"),))], tools=[LOOK])
        assert answer.text == "Five days."
        body = server.requests[1].body
        assert body["system"] == [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]
        thinking, text, use = body["messages"][1]["content"]
        assert (thinking["type"], thinking["thinking"], bool(thinking["signature"])) == (
            "thinking",
            "Let me look.",
            True,
        )
        assert (text["text"], use["input"]) == ("Hm.", {"word": "fee"})
        assert body["messages"][2]["content"][0]["tool_use_id"] == use["id"]


def test_input_of_claude_includes_what_the_cache_read_and_wrote():
    with FakeServer(Answer("yes", cached=3, cache_write=2)) as server:
        usage = model("anthropic:claude-opus-4-1", server)("a b c d e f g h").usage
        assert (usage.input_tokens, usage.cached_tokens, usage.cache_write_tokens) == (8, 3, 2)


def test_openai_gets_its_reasoning_item_back():
    with FakeServer([Answer("Hm.", reasoning="I think."), "yes"]) as server:
        lm = model("openai:gpt-5", server, reasoning="low")
        first = lm("a")
        lm([user("a"), first.message, user("b")])
        kinds = [item.get("type") for item in server.requests[1].body["input"]]
        assert "reasoning" in kinds


def test_what_lm15_adapts_is_told_or_refused():
    with FakeServer("yes") as server:
        notes = model("anthropic:claude-opus-4-1", server)("hi", seed=3).adaptations
        assert any(note.startswith("config.seed dropped: ") for note in notes)
        with pytest.raises(LMUnsupported, match="seed"):
            model("anthropic:claude-opus-4-1", server, adapt="refuse")("hi", seed=3)
        assert server.count == 1


def test_thoughts_of_others_and_unwanted_ones_are_told():
    with FakeServer("yes") as server:
        lm = model("openai-chat:fake", server)
        turn = Message(
            "assistant", (Thought("mine", "", "openai-chat"), Thought("old", "", "lm15"), *assistant("b").parts)
        )
        reply = lm([user("a"), turn, user("c")])
        assert [note.split(": ")[1] for note in reply.adaptations] == [
            "another model wrote it",
            "its provider does not take it back",
        ]
        assert "old" not in json.dumps(server.requests[0].body)
        assert model("deepseek:deepseek-chat", server)([user("a"), turn, user("c")]).text == "yes"
        assert server.requests[1].body["messages"][1]["reasoning_content"] == "old"


def test_media_are_sent_in_the_providers_form():
    parts = (Image("image/png", b"\x89PNG\r\n\x1a\n..."), File("application/pdf", b"%PDF-1.4"), *user("What?").parts)
    with FakeServer("yes") as server:
        model("anthropic:claude-opus-4-1", server)([Message("user", parts)])
        kinds = [block["type"] for block in server.requests[0].body["messages"][0]["content"]]
        assert kinds == ["image", "document", "text"]
        with pytest.raises(LMError, match="[Aa]udio"):
            model("anthropic:claude-opus-4-1", server)([Message("user", (Audio("audio/wav", b"RIFF....WAVE"),))])


def test_claude_goes_on_from_a_prefill():
    with FakeServer("b") as server:
        model("anthropic:claude-opus-4-1", server)([user("a"), assistant("{")])
        assert server.requests[0].body["messages"][-1]["role"] == "assistant"


def test_later_system_messages_keep_their_place():
    with FakeServer("yes") as server:
        model("openai-chat:fake", server)([system("one"), system("two"), user("a"), system("three"), user("b")])
        turns = server.requests[0].body["messages"]
        assert [turn["content"] for turn in turns] == ["one\n\ntwo", "a", "three", "b"]


def test_arguments_that_are_no_json_are_told():
    with FakeServer("yes") as server:
        turn = Message("assistant", (ToolCall("c1", "look", "{broken"),))
        reply = model("openai-chat:fake", server)([user("a"), turn, Message("tool", (ToolResult("c1", "x"),))])
        assert ["no JSON object" in note for note in reply.adaptations] == [True]


def test_a_schema_is_held_strictly():
    odd = OutputSchema("odd", {"type": "object", "properties": {"n": {"type": "integer", "minimum": 3}}})
    with FakeServer('{"n": 3}') as server:
        reply = model("openai-chat:fake", server)("hi", output=odd)
        form = server.requests[0].body["response_format"]["json_schema"]
        assert isinstance(form["strict"], bool)
        assert reply.text == '{"n": 3}'


def test_a_missing_key_and_an_unknown_model_say_what_to_do(monkeypatch):
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    with pytest.raises(LMAuthError, match=r"ANTHROPIC_API_KEY.*Pass api_key="):
        LM("lm15:anthropic:claude-opus-4-1", cache=False, retries=0)("hi")
    with pytest.raises(LMRequestError, match="no-such"):
        LM("lm15:no-such-model-of-anybody", cache=False, retries=0)("hi")

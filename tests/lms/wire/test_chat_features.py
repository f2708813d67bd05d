"""The OpenAI chat dialect beyond text: tools, media, reasoning of earlier turns, prefills, tiers, log-probabilities."""

from __future__ import annotations

import json
import sys
from types import ModuleType
from typing import Any

import pytest

from outlast.errors import ConfigError, LMUnsupported
from outlast.lms.protocol import LM, Capabilities
from outlast.lms.wire import model as wire
from outlast.lms.wire.dialect import Told, Wire
from outlast.lms.wire.openai_chat import encode
from outlast.lms.wire.openai_chat_reply import decode
from outlast.lms.wire.providers import PROVIDERS, Quirks
from outlast.messages import (
    Message,
    Request,
    Settings,
    TextPart,
    Thought,
    ToolCall,
    ToolResult,
    assistant,
    system,
    tool_result,
    user,
)
from outlast.testing import FakeServer, Fault
from outlast.testing.server import Answer
from outlast.types import Audio, File, Image, Tool

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 8
LOOK = Tool("look", "Look something up.", {"type": "object", "properties": {"q": {"type": "string"}}}, strict=True)


def body(request: Request, quirks: Quirks = Quirks(), **options: Any) -> dict[str, Any]:
    return encode(request, Wire("m", quirks, **options)).body


def test_tools_go_out_strict_and_their_calls_and_results_in_order():
    call = ToolCall("c1", "look", '{"q": "x"}')
    turns = (
        user("find x"),
        Message("assistant", (TextPart("looking"), call)),
        Message("tool", (ToolResult("c1", "found"), ToolResult("c2", "no such thing", error=True))),
    )
    sent = body(Request(turns, Settings(parallel_tools=False), tools=(LOOK,), tool_choice="look"))
    assert sent["messages"] == [
        {"role": "user", "content": "find x"},
        {
            "role": "assistant",
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"q": "x"}'}}],
            "content": "looking",
        },
        {"role": "tool", "tool_call_id": "c1", "content": "found"},
        {"role": "tool", "tool_call_id": "c2", "content": "ERROR: no such thing"},
    ]
    function = sent["tools"][0]["function"]
    assert function["strict"] is True
    assert function["parameters"]["required"] == ["q"]
    assert function["parameters"]["additionalProperties"] is False
    assert sent["tool_choice"] == {"type": "function", "function": {"name": "look"}}
    assert sent["parallel_tool_calls"] is False
    assert tool_result(call, "found") == Message("tool", (ToolResult("c1", "found"),))


@pytest.mark.parametrize(("choice", "sent"), [("auto", None), ("required", "required"), ("none", "none")])
def test_the_choice_of_tools(choice, sent):
    assert body(Request((user("x"),), tools=(LOOK,), tool_choice=choice)).get("tool_choice") == sent


def test_a_server_that_takes_no_forced_calls_is_told_nothing_and_the_caller_is():
    encoded = encode(
        Request((user("x"),), tools=(LOOK,), tool_choice="required"), Wire("m", Quirks(forced_tools=False))
    )
    assert "tool_choice" not in encoded.body
    assert encoded.dropped == ("tool_choice='required' not sent: 'm' takes no forced tool calls",)


def test_what_would_change_the_question_is_refused_and_never_left_out():
    blind = Capabilities(without=frozenset(("images", "tools", "prefill")))
    image = Request((Message("user", (Image("image/png", PNG),)),))
    with pytest.raises(LMUnsupported, match="takes no images"):
        body(image, capabilities=blind)
    with pytest.raises(LMUnsupported, match="takes no tools"):
        body(Request((user("x"),), tools=(LOOK,)), capabilities=blind)
    with pytest.raises(LMUnsupported, match="cannot go on from the start of a reply"):
        body(Request((user("x"), assistant("{"))))
    with pytest.raises(LMUnsupported, match="wav or mp3"):
        body(Request((Message("user", (Audio("audio/ogg", b"OggS1"),)),)))
    with pytest.raises(LMUnsupported, match="as bytes, not by address"):
        body(Request((Message("user", (File.from_url("https://x.test/a.pdf"),)),)))


def test_media_go_out_as_parts():
    parts = (
        TextPart("see"),
        Image("image/png", PNG),
        Image.from_url("https://x.test/a.png"),
        Audio("audio/mpeg", b"ID3x"),
        File("application/pdf", b"%PDF-1", name="a.pdf"),
    )
    content = body(Request((Message("user", parts),)))["messages"][0]["content"]
    assert [part["type"] for part in content] == ["text", "image_url", "image_url", "input_audio", "file"]
    assert content[1]["image_url"]["url"].startswith("data:image/png;base64,iVBORw0KGgo")
    assert content[2]["image_url"]["url"] == "https://x.test/a.png"
    assert content[3]["input_audio"]["format"] == "mp3"
    assert content[4]["file"]["filename"] == "a.pdf"


@pytest.mark.parametrize(
    ("provider", "marks"),
    [
        ("vllm", {"continue_final_message": True, "add_generation_prompt": False}),
        ("llama_cpp", {}),
    ],
)
def test_a_prefill_is_asked_for_in_the_servers_way(provider, marks):
    sent = body(Request((user("x"), assistant('{"a":'))), PROVIDERS[provider].quirks)
    assert sent["messages"][-1] == {"role": "assistant", "content": '{"a":'}
    assert {name: sent.get(name) for name in marks} == marks


def test_a_prefill_with_a_mark_on_the_message():
    sent = body(Request((user("x"), assistant("Sure"))), PROVIDERS["mistral"].quirks)
    assert sent["messages"][-1] == {"role": "assistant", "content": "Sure", "prefix": True}


def test_settings_beyond_sampling():
    sent = body(Request((user("x"),), Settings(logprobs=5, tier="flex", prediction="draft")))
    assert (sent["logprobs"], sent["top_logprobs"]) == (True, 5)
    assert sent["service_tier"] == "flex"
    assert sent["prediction"] == {"type": "content", "content": "draft"}
    assert "top_logprobs" not in body(Request((user("x"),), Settings(logprobs=0)))


def test_what_a_model_is_known_to_refuse_is_left_out_and_told():
    known = Capabilities(without=frozenset(("temperature", "logprobs")))
    encoded = encode(
        Request((user("x"),), Settings(temperature=0.5, logprobs=3, seed=1)), Wire("m", capabilities=known)
    )
    assert encoded.body.keys() == {"model", "messages", "seed"}
    assert len(encoded.dropped) == 2


def test_thoughts_go_back_only_where_they_came_from_and_are_wanted():
    own = Message("assistant", (Thought("hm", "", "openai-chat"), TextPart("yes")))
    foreign = Message("assistant", (Thought("hm", "{}", "anthropic-messages"), TextPart("yes")))
    deepseek = PROVIDERS["deepseek"].quirks
    sent = body(Request((user("x"), own, user("y"))), deepseek)["messages"][1]
    assert sent == {"role": "assistant", "reasoning_content": "hm", "content": "yes"}
    encoded = encode(Request((user("x"), foreign, user("y"))), Wire("m", deepseek))
    assert "reasoning_content" not in encoded.body["messages"][1]
    assert "not sent" in encoded.adaptations[0]
    assert "reasoning_content" not in body(Request((user("x"), own, user("y"))))["messages"][1]


def test_details_of_reasoning_survive_a_turn():
    details = [{"type": "reasoning.encrypted", "data": "abc"}]
    reply = {"choices": [{"message": {"content": "yes", "reasoning": "hm", "reasoning_details": details}}]}
    response = decode(reply, Told())
    sent = body(Request((user("x"), response.message, user("y"))), PROVIDERS["openrouter"].quirks)
    assert sent["messages"][1]["reasoning_details"] == details


def test_breakpoints_for_the_prompt_cache_where_the_server_knows_them():
    turns = (Message("system", "long", cache=True), user("x"))
    marked = body(Request(turns), PROVIDERS["openrouter"].quirks)["messages"][0]["content"]
    assert marked == [{"type": "text", "text": "long", "cache_control": {"type": "ephemeral"}}]
    assert body(Request(turns))["messages"][0] == {"role": "system", "content": "long"}
    assert Request(turns).to_json() == Request((system("long"), user("x"))).to_json()


def test_reasoning_is_hidden_or_shown_where_there_is_a_word_for_it():
    settings = Settings(reasoning="low", show_reasoning=False)
    assert body(Request((user("x"),), settings), PROVIDERS["openrouter"].quirks)["reasoning"] == {
        "effort": "low",
        "exclude": True,
    }
    assert "no word for it" in encode(Request((user("x"),), settings), Wire("m")).adaptations[0]


def test_a_reply_with_everything():
    reply = {
        "id": "c1",
        "model": "m-2",
        "service_tier": "flex",
        "choices": [
            {
                "finish_reason": "tool_calls",
                "logprobs": {
                    "content": [
                        {
                            "token": "a",
                            "logprob": -0.5,
                            "top_logprobs": [{"token": "a", "logprob": -0.5}, {"token": "b"}],
                        }
                    ]
                },
                "message": {
                    "content": None,
                    "tool_calls": [
                        {"id": "c", "function": {"name": "look", "arguments": '{"q":1}'}},
                        {"function": {"name": "go", "arguments": {"x": 1}}},
                    ],
                    "annotations": [
                        {"type": "url_citation", "url_citation": {"url": "http://s", "start_index": 0, "end_index": 3}}
                    ],
                },
            }
        ],
        "usage": {"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}},
    }
    response = decode(reply, Told())
    assert response.tool_calls == (ToolCall("c", "look", '{"q":1}'), ToolCall("call_1", "go", '{"x": 1}'))
    assert response.finish == "tool_calls"
    assert response.tier == "flex"
    assert response.logprobs is not None
    assert response.logprobs[0].top == (("a", -0.5), ("b", -9999.0))
    assert response.citations[0].source == "http://s"
    assert response.usage.cached_tokens == 4
    assert type(response).from_json(json.loads(json.dumps(response.to_json()))) == response


# The model behind a server


def test_a_conversation_with_tools_goes_round():
    def answer(request: dict[str, Any]) -> Answer:
        if request["messages"][-1]["role"] == "tool":
            return Answer(f"it says {request['messages'][-1]['content']}")
        return Answer(tools=(("look", {"q": "x"}),))

    with FakeServer(answer) as server:
        lm = LM("m", base_url=server.url, cache=False)
        turns = [user("find x")]
        first = lm(turns, tools=[LOOK])
        call = first.tool_calls[0]
        assert (first.finish, call.name, json.loads(call.arguments)) == ("tool_calls", "look", {"q": "x"})
        second = lm([*turns, first.message, tool_result(call, "42")], tools=[LOOK])
    assert second.text == "it says 42"


def test_refusing_is_a_policy():
    with FakeServer("x") as server:
        known = Capabilities(without=frozenset(("temperature",)))
        noting = LM("m", base_url=server.url, cache=False, capabilities=known)
        assert noting("hi", temperature=0.5).adaptations == ("temperature=0.5 not sent: 'm' is known not to take it",)
        refusing = LM("m", base_url=server.url, cache=False, capabilities=known, adapt="refuse")
        with pytest.raises(LMUnsupported, match="adapt='refuse': temperature=0.5 not sent"):
            refusing("hi", temperature=0.5)
        assert refusing("hi").text == "x"
        assert server.count == 2


def test_a_lesson_learnt_from_a_400_is_a_fact_of_the_model():
    def answer(request: dict[str, Any]) -> Any:
        if "seed" in request:
            return Fault.error(400, "Unsupported parameter: 'seed'", param="seed", code="unsupported_parameter")
        return "x"

    with FakeServer(answer) as server:
        lm = LM("m", base_url=server.url, cache=False)
        assert "refuses 'seed'" in lm("hi", seed=1).adaptations[0]
        assert server.count == 2
        events = lm.events("hi", seed=2)
        list(events)
        assert events.response is not None
        assert "refuses 'seed'" in events.response.adaptations[0]
        assert server.count == 3
        assert lm.info()[-1].facts["learned"] == ["seed"]


def test_azure_takes_its_key_in_a_header_of_its_own(monkeypatch):
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "sk-azure")
    with FakeServer("x") as server:
        lm = LM("azure/gpt-5-mini", base_url=server.url, api_key="sk-given", cache=False)
        assert lm("hi").text == "x"
        assert server.requests[0].headers["api-key"] == "sk-given"
        assert "authorization" not in server.requests[0].headers
    with pytest.raises(ConfigError, match="AZURE_OPENAI_ENDPOINT"):
        LM("azure/gpt-5-mini")
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://mine.openai.azure.com")
    assert LM("azure/gpt-5-mini").info()[-1].facts["server"] == "https://mine.openai.azure.com/openai/v1"


def test_a_key_may_come_from_the_keyring(monkeypatch):
    keyring = ModuleType("keyring")
    asked: list[tuple[str, str]] = []

    def get_password(service: str, name: str) -> str | None:
        asked.append((service, name))
        return "sk-from-keyring"

    keyring.get_password = get_password  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    monkeypatch.delenv("VLLM_API_KEY", raising=False)
    wire._from_keyring.cache_clear()
    try:
        with FakeServer("x") as server:
            monkeypatch.setenv("VLLM_BASE_URL", server.url)
            lm = LM("vllm/m", cache=False)
            lm("hi")
            lm("again")
            assert server.requests[0].headers["authorization"] == "Bearer sk-from-keyring"
        assert asked == [("outlast", "VLLM_API_KEY")]
        assert "sk-from" not in repr(lm) + str(lm.info()) + lm.identity
    finally:
        wire._from_keyring.cache_clear()


def test_the_stack_says_what_it_is():
    lm = LM("openai/gpt-5-mini", cache=False)
    assert [layer.kind for layer in lm.info()] == ["OpenedModel", "Retrying", "Limited", "WireLM"]
    assert str(lm.info()[-1]).startswith("WireLM(model='gpt-5-mini', dialect='openai-chat'")

"""What is special about llm: options that each plugin names itself, its keys, models without async."""

from __future__ import annotations

import json

import llm
import pytest
from pydantic import Field

from outlast.errors import ConfigError, LMAuthError, LMRequestError, LMUnsupported
from outlast.lms.protocol import LM
from outlast.messages import Message, OutputSchema, TextPart, Thought, ToolCall, ToolResult, system, user
from outlast.testing.server import Answer, FakeServer
from outlast.types import Audio, Image, Tool

LOOK = Tool("look", "Looks.", {"type": "object", "properties": {}})


class Recorder:
    """Keeps what llm handed to a model of the test."""

    seen: list[llm.Prompt] = []


class GeminiLike(llm.AsyncModel):
    """A plugin's model with options of its own names, that thinks."""

    model_id = "test-thinker"
    can_stream = True

    class Options(llm.Options):
        max_output_tokens: int | None = Field(default=None)
        stop_sequences: list[str] | None = Field(default=None)
        temperature: float | None = Field(default=None)
        odd: int | None = Field(default=None)

    async def execute(self, prompt, stream, response, conversation):
        Recorder.seen.append(prompt)
        from llm.parts import StreamEvent

        yield StreamEvent(type="reasoning", chunk="I wonder.", provider_metadata={"signature": "s1"})
        for word in ("yes", " indeed"):
            yield StreamEvent(type="text", chunk=word)
        response.set_usage(input=3, output=2)


class Blocking(llm.Model):
    """A plugin's model that knows no async."""

    model_id = "test-blocking"

    class Options(llm.Options):
        temperature: float | None = Field(default=None)

    def execute(self, prompt, stream, response, conversation):
        yield f"heard {prompt.messages[-1].parts[0].text}"


@pytest.fixture(autouse=True)
def plugin(monkeypatch, tmp_path):
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    Recorder.seen.clear()

    class Plugin:
        @llm.hookimpl
        def register_models(self, register):
            register(Blocking(), None, aliases=("slow",))
            register(Older())
            register(GeminiSync(), GeminiLike())

    llm.get_models()  # loads the others first
    mine = Plugin()
    llm.pm.register(mine, name="outlast-test")
    yield
    llm.pm.unregister(mine)


class GeminiSync(llm.Model):
    model_id = "test-thinker"

    def execute(self, prompt, stream, response, conversation):
        raise AssertionError("the async model is there")


def model(name: str, **options) -> LM:
    return LM(f"llm:{name}", **{"cache": False, "retries": 0, **options})


def test_options_go_under_the_names_of_the_plugin():
    reply = model("test-thinker")(
        "hi", max_tokens=9, stop=["a", "b"], temperature=0.5, seed=3, extra={"odd": 1, "no": 2}
    )
    options = Recorder.seen[0].options
    assert (options.max_output_tokens, options.stop_sequences, options.temperature, options.odd) == (
        9,
        ["a", "b"],
        0.5,
        1,
    )
    assert reply.adaptations == (
        "seed=3 not sent: the model has no such option in llm",
        "extra 'no' not sent: the model has no such option in llm",
    )
    with pytest.raises(LMUnsupported, match="seed=3"):
        model("test-thinker", adapt="refuse")("hi", seed=3)


class Older(llm.Model):
    """A plugin's model of the interface before llm had messages."""

    model_id = "test-older"
    attachment_types = {"image/png"}

    def execute(self, prompt, stream, response, conversation):
        Recorder.seen.append(prompt)
        yield f"{prompt.system}|{prompt.prompt}|{[one.content for one in prompt.attachments]}"


def test_a_plugin_of_the_older_interface_sees_what_is_asked():
    assert model("test-older")("hi").text == "|hi|[]"
    assert model("test-older")([system("Be brief."), user("hi")]).text == "Be brief.|hi|[]"
    picture = Image("image/png", b"\x89PNG....")
    assert model("test-older")([Message("user", (TextPart("what?"), picture))]).text == "|what?|[b'\\x89PNG....']"
    talk = [system("Be brief."), user("a"), Message("assistant", "b"), user("c")]
    assert model("test-older")(talk).text == "Be brief.|[user]\na\n\n[assistant]\nb\n\n[user]\nc|[]"
    for seen, roles in zip(Recorder.seen, (1, 2, 1, 4), strict=True):
        assert len(seen.messages) == roles


def test_thoughts_come_and_go_back_with_what_the_plugin_wants():
    lm = model("test-thinker")
    first = lm("a")
    assert (first.text, first.reasoning, first.usage.input_tokens) == ("yes indeed", "I wonder.", 3)
    foreign = Message("assistant", (Thought("hm", "", "openai-chat"),))
    reply = lm([user("a"), first.message, user("b"), foreign, user("c")])
    thought = Recorder.seen[1].messages[1].parts[0]
    assert (thought.text, thought.provider_metadata) == ("I wonder.", {"signature": "s1"})
    assert ["another model wrote it" in note for note in reply.adaptations] == [True]


async def test_a_model_without_async_is_asked_in_a_thread():
    lm = model("slow")
    assert (await lm.acall("hello")).text == "heard hello"
    assert lm("hello").text == "heard hello"
    events = [event async for event in lm.leaf.events("hello")]
    assert events[-1].response.text == "heard hello"


def test_what_a_model_does_not_take():
    lm = model("slow")
    with pytest.raises(LMUnsupported, match="takes no tools in llm"):
        lm("hi", tools=[LOOK])
    with pytest.raises(LMUnsupported, match="takes no audio/wav"):
        lm([Message("user", (Audio("audio/wav", b"RIFF....WAVE"),))])
    reply = lm("hi", output=OutputSchema("card", {"type": "object"}), logprobs=1, prediction="x")
    assert [note.split(" not sent")[0] for note in reply.adaptations] == [
        "the JSON schema 'card'",
        "logprobs=1",
        "prediction='x'",
    ]
    assert ["output='json'" in note for note in lm("hi", output="json").adaptations] == [True]


def test_names_that_llm_does_not_know_are_refused():
    with pytest.raises(LMRequestError, match="Unknown model: no-such"):
        model("no-such")("hi")
    with pytest.raises(ConfigError, match="base_url= works for OpenAI models of llm only"):
        model("slow", base_url="http://localhost:1/v1")("hi")


def test_a_missing_key_says_what_to_do():
    with pytest.raises(LMAuthError, match=r"llm keys set openai.*Pass api_key="):
        model("gpt-4o")("hi")


def test_keys_that_llm_keeps_are_for_the_provider_only(tmp_path):
    (tmp_path / "keys.json").write_text(json.dumps({"openai": "sk-kept-by-llm-0123"}))
    with FakeServer("yes") as server:
        model("gpt-4o", base_url=server.url)("hi")
        assert "sk-kept" not in str(server.requests[0].headers)


def test_several_stop_texts_are_told_where_the_model_takes_one():
    with FakeServer("yes") as server:
        reply = model("gpt-4o", base_url=server.url)("hi", stop=["a", "b"])
        assert server.requests[0].body["stop"] == "a"
        assert reply.adaptations == ("stop=['b'] not sent: the model takes one stop text in llm",)


def test_tool_results_and_broken_arguments():
    with FakeServer("yes") as server:
        lm = model("gpt-4o", base_url=server.url)
        turn = Message("assistant", (ToolCall("c1", "look", "{broken"),))
        reply = lm([user("a"), turn, Message("tool", (ToolResult("c1", "no", error=True),))], tools=[LOOK])
        assert server.requests[0].body["messages"][2]["content"] == "ERROR: no"
        assert ["no JSON object" in note for note in reply.adaptations] == [True]
        told = lm("hi", tools=[LOOK], tool_choice="none")
        assert "tools" not in server.requests[1].body
        assert ["tools not sent" in note for note in told.adaptations] == [True]


def test_nothing_is_written_to_the_log_of_llm(tmp_path):
    with FakeServer(Answer("yes")) as server:
        model("gpt-4o", base_url=server.url)("hi")
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".db"] == []

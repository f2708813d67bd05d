"""The official openai SDK against the fake server: what it reads is what we said, so our wire forms are real."""

from __future__ import annotations

import json
import math

import openai
import pytest

from outlast.testing import Answer, FakeServer, Fault
from outlast.testing.server import completion, decisions

pytestmark = pytest.mark.server
ASK = [{"role": "user", "content": "one two three"}]
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
RICH = Answer(
    "The sky, seen from here, is blåu.",
    reasoning="Rayleigh scattering, so blue.",
    tools=[("look", {"where": "up"}), ("look", {"where": "down the long street"})],
    cached=2,
)


def client(server: FakeServer) -> openai.OpenAI:
    return openai.OpenAI(base_url=server.url, api_key="k", max_retries=0, timeout=10)


def joined(chunks) -> dict:
    """What a reader of a stream puts together, and the usage."""
    text, thought, calls, finish, usage = "", "", {}, None, None
    for chunk in chunks:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            delta = choice.delta
            text += delta.content or ""
            thought += getattr(delta, "reasoning_content", None) or ""
            finish = choice.finish_reason or finish
            for call in delta.tool_calls or ():
                kept = calls.setdefault(call.index, ["", "", ""])
                kept[0] += call.id or ""
                kept[1] += call.function.name or ""
                kept[2] += call.function.arguments or ""
    return {"text": text, "thought": thought, "calls": calls, "finish": finish, "usage": usage}


def test_a_chat_with_reasoning_and_calls():
    with FakeServer(RICH) as server, client(server) as sdk:
        reply = sdk.chat.completions.create(model="m", messages=ASK, tools=[TOOL])
    message = reply.choices[0].message
    assert message.content == RICH.text
    assert message.reasoning_content == RICH.reasoning
    assert [json.loads(call.function.arguments) for call in message.tool_calls] == [args for _, args in RICH.tools]
    assert len({call.id for call in message.tool_calls}) == 2
    assert reply.choices[0].finish_reason == "tool_calls"
    assert reply.usage.prompt_tokens_details.cached_tokens == 2
    assert reply.usage.completion_tokens_details.reasoning_tokens == 4
    assert reply.usage.completion_tokens == RICH.output_tokens


def test_a_chat_as_a_stream_says_the_same():
    with FakeServer(RICH) as server, client(server) as sdk:
        options = {"include_usage": True}
        got = joined(sdk.chat.completions.create(model="m", messages=ASK, stream=True, stream_options=options))
        bare = list(sdk.chat.completions.create(model="m", messages=ASK, stream=True))
        assert server.told == (6, 2 * RICH.output_tokens)
        assert server.answered == 2
    assert got["text"] == RICH.text
    assert got["thought"] == RICH.reasoning
    assert got["finish"] == "tool_calls"
    assert [call[1] for call in got["calls"].values()] == ["look", "look"]
    assert [json.loads(call[2]) for call in got["calls"].values()] == [args for _, args in RICH.tools]
    assert all(call[0].startswith("call_") for call in got["calls"].values())
    assert (got["usage"].prompt_tokens, got["usage"].completion_tokens) == (3, RICH.output_tokens)
    assert all(chunk.usage is None for chunk in bare)
    assert len(bare) > 10


def test_several_choices_and_their_logprobs():
    said = Answer("yes indeed", logprobs=[{"yes": -0.25, "no": -1.5}, {" indeed": -0.5}])
    with FakeServer(said) as server, client(server) as sdk:
        asked = {"model": "m", "messages": ASK, "n": 2, "logprobs": True, "top_logprobs": 2}
        reply = sdk.chat.completions.create(**asked)
        streamed: dict[int, list] = {0: [], 1: []}
        for chunk in sdk.chat.completions.create(**asked, stream=True):
            for choice in chunk.choices:
                streamed[choice.index] += choice.logprobs.content if choice.logprobs else []
    assert [choice.message.content for choice in reply.choices] == ["yes indeed"] * 2
    first = reply.choices[0].logprobs.content[0]
    assert (first.token, first.logprob, bytes(first.bytes)) == ("yes", -0.25, b"yes")
    assert {other.token: other.logprob for other in first.top_logprobs} == {"yes": -0.25, "no": -1.5}
    for tokens in streamed.values():
        assert "".join(token.token for token in tokens) == "yes indeed"
    with FakeServer(lambda body: completion(["a", "b"], body)) as server, client(server) as sdk:
        choices = sdk.chat.completions.create(model="m", messages=ASK).choices
    assert [(choice.index, choice.message.content) for choice in choices] == [(0, "a"), (1, "b")]


def test_the_helper_of_the_sdk_puts_a_stream_together():
    with FakeServer(RICH) as server, client(server) as sdk:
        with sdk.chat.completions.stream(model="m", messages=ASK) as stream:
            final = stream.get_final_completion()
    assert final.choices[0].message.content == RICH.text
    assert [call.function.name for call in final.choices[0].message.tool_calls] == ["look", "look"]


def test_a_response_with_reasoning_and_calls():
    with FakeServer(RICH) as server, client(server) as sdk:
        reply = sdk.responses.create(model="m", input="one two", include=["reasoning.encrypted_content"])
    kinds = [item.type for item in reply.output]
    assert kinds == ["reasoning", "message", "function_call", "function_call"]
    assert reply.output_text == RICH.text
    assert reply.output[0].summary[0].text == RICH.reasoning
    assert reply.output[0].encrypted_content
    assert json.loads(reply.output[3].arguments) == {"where": "down the long street"}
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (2, RICH.output_tokens)
    assert reply.usage.input_tokens_details.cached_tokens == 2
    assert reply.status == "completed"


def test_a_response_as_a_stream_says_the_same():
    with FakeServer(RICH) as server, client(server) as sdk:
        events = list(sdk.responses.create(model="m", input="one two", stream=True))
        with sdk.responses.stream(model="m", input="one two") as stream:
            final = stream.get_final_response()
    by_kind = {kind: [event for event in events if event.type == kind] for kind in {event.type for event in events}}
    assert "".join(event.delta for event in by_kind["response.output_text.delta"]) == RICH.text
    assert "".join(event.delta for event in by_kind["response.reasoning_summary_text.delta"]) == RICH.reasoning
    written = "".join(event.delta for event in by_kind["response.function_call_arguments.delta"])
    assert written == "".join(json.dumps(args) for _, args in RICH.tools)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert (events[0].type, events[-1].type) == ("response.created", "response.completed")
    assert events[-1].response.output_text == RICH.text == final.output_text
    assert len(by_kind["response.output_item.added"]) == len(by_kind["response.output_item.done"]) == 4


@pytest.mark.parametrize("finish", ["length", "content_filter"])
def test_an_incomplete_response(finish):
    with FakeServer(Answer("half an", finish=finish)) as server, client(server) as sdk:
        reply = sdk.responses.create(model="m", input="x")
        last = list(sdk.responses.create(model="m", input="x", stream=True))[-1]
    expected = {"length": "max_output_tokens", "content_filter": "content_filter"}[finish]
    assert (reply.status, reply.incomplete_details.reason) == ("incomplete", expected)
    assert (last.type, last.response.incomplete_details.reason) == ("response.incomplete", expected)


def test_logprobs_of_a_response():
    with FakeServer("yes no") as server, client(server) as sdk:
        asked = {"model": "m", "input": "x", "include": ["message.output_text.logprobs"], "top_logprobs": 2}
        tokens = sdk.responses.create(**asked).output[0].content[0].logprobs
        events = [event for event in sdk.responses.create(**asked, stream=True) if event.type.endswith("text.delta")]
    assert [(token.token, len(token.top_logprobs)) for token in tokens] == [("yes", 2), (" no", 2)]
    assert [event.logprobs[0].token for event in events] == ["yes", " no"]


def test_refusals_and_tiers():
    with FakeServer(Answer(refusal="I will not")) as server, client(server) as sdk:
        chat = sdk.chat.completions.create(model="m", messages=ASK, service_tier="flex")
        reply = sdk.responses.create(model="m", input="x")
        said = [
            chunk.choices[0].delta.refusal
            for chunk in sdk.chat.completions.create(model="m", messages=ASK, stream=True)
        ]
    assert (chat.choices[0].message.refusal, chat.service_tier) == ("I will not", "flex")
    assert reply.output[0].content[0].refusal == "I will not"
    assert "".join(part or "" for part in said) == "I will not"


def test_errors_in_the_middle_of_streams_reach_the_caller():
    with FakeServer(Fault.error_event("it broke")) as server, client(server) as sdk:
        with pytest.raises(openai.APIError, match="it broke"):
            list(sdk.chat.completions.create(model="m", messages=ASK, stream=True))
        last = list(sdk.responses.create(model="m", input="x", stream=True))[-1]
        assert (last.type, last.message, last.code) == ("error", "it broke", "server_error")
    with FakeServer(Fault.error(429, "slow down")) as server, client(server) as sdk:
        with pytest.raises(openai.RateLimitError, match="slow down"):
            sdk.chat.completions.create(model="m", messages=ASK, stream=True)


QUESTIONS = [
    {"type": "predicate", "name": "angry", "instructions": "Is the customer angry?"},
    {"type": "choice", "name": "team", "instructions": "Which?", "choices": [{"value": "cards"}, {"value": "loans"}]},
    {"type": "score", "instructions": "How urgent?", "levels": [{"label": "low"}, {"label": "mid"}, {"label": "high"}]},
    {"type": "predicate", "name": "unfit", "instructions": "?"},
    {"type": "choice", "name": "left", "instructions": "?", "choices": [{"value": True}, {"value": False}]},
]


def test_decisions():
    values = {"angry": 0.75, "team": "loans", "2": {0: 0.25, 2: 0.75}, "unfit": "refused"}
    with FakeServer(values) as server, client(server) as sdk:
        reply = sdk.decisions.create(model="m", input="my card is gone", questions=QUESTIONS)
        assert server.told == (4, 0)
    angry, team, urgent, unfit, left = reply.answers
    assert (angry.name, angry.probability) == ("angry", 0.75)
    assert (team.choice, team.confidence) == ("loans", 1.0)
    assert {one.value: one.probability for one in team.probabilities} == {"cards": 0.0, "loans": 1.0}
    assert math.isclose(urgent.score, 1.5)
    assert [(one.label, one.value, one.probability) for one in urgent.probabilities] == [
        ("low", 0, 0.25),
        ("mid", 1, 0.0),
        ("high", 2, 0.75),
    ]
    assert (unfit.type, unfit.name) == ("refusal", "unfit")
    assert [one.probability for one in left.probabilities] == [0.5, 0.5]


def test_text_decides_too_and_handlers_may_change_the_reply():
    with FakeServer("yes") as server, client(server) as sdk:
        reply = sdk.decisions.create(model="m", input="x", questions=QUESTIONS[:2])
    assert reply.answers[0].probability == 1.0
    assert [one.probability for one in reply.answers[1].probabilities] == [0.5, 0.5]
    with FakeServer(lambda body: {**decisions("no", body), "model": "other"}) as server, client(server) as sdk:
        reply = sdk.decisions.create(model="m", input="x", questions=QUESTIONS[:1])
    assert (reply.model, reply.answers[0].probability) == ("other", 0.0)

"""A server that others wrote, llama.cpp's, running a random model made on the spot: our client against it.

What it says means nothing; that every form arrives as it should is the point. That constrained decoding holds here is
no promise: llama.cpp falls back to free text when it can't compile a grammar, and ignores schemas on /v1/responses
(seen below), so what comes out is always validated.
"""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Any, Literal

import openai
import pydantic
import pytest

import outlast as ol
from outlast.errors import AnswerError, LMContextError, LMError
from outlast.lms.decide import decide
from outlast.lms.protocol import LM
from outlast.messages import Finished, Question, Request, Response, TextDelta, user

pytestmark = pytest.mark.server
GO_ON = {"ignore_eos": True}  # then a reply is as long as max_tokens says


class Order(pydantic.BaseModel):
    item: Annotated[str, pydantic.Field(max_length=8)]
    count: Annotated[int, pydantic.Field(ge=1, le=9)]


class Card(ol.Signature):
    """Route a message."""

    message: str = ol.input()
    team: Literal["cards", "loans"] = ol.output()
    urgent: bool = ol.output()
    urgency: int = ol.output(ge=1, le=5)
    order: Order = ol.output()


def opened(url: str, **options: Any) -> LM:
    return LM("llama_cpp/tiny", base_url=url, **{"cache": False, "retries": 0, **options})


def streamed(lm: LM, prompt: str, **options: Any) -> tuple[list[str], Response]:
    """The deltas of a stream, and the response at its end."""
    *events, last = lm.events(prompt, **options)
    assert isinstance(last, Finished)
    return [event.text for event in events if isinstance(event, TextDelta)], last.response


def test_a_reply_tells_its_tokens_and_how_it_ended(url):
    reply = opened(url, max_tokens=20, extra=GO_ON)("hello there")
    assert reply.text
    assert (reply.usage.output_tokens, reply.finish) == (20, "length")
    assert reply.usage.input_tokens > 5
    assert reply.request_id
    assert reply.adaptations == ()


def test_prompts_that_begin_alike_are_cached_and_say_so(url):
    lm = opened(url, max_tokens=1, temperature=0.0)
    _, second = (lm("a long beginning that stays the same, and then " + end) for end in ("this", "that"))
    assert 10 < second.usage.cached_tokens < second.usage.input_tokens


def test_the_same_seed_or_no_temperature_give_the_same_text(url):
    lm = opened(url, max_tokens=30, extra=GO_ON)
    assert lm("hello", seed=7).text == lm("hello", seed=7).text
    assert lm("hello", seed=7).text != lm("hello", seed=8).text
    assert lm("hello", temperature=0.0).text == lm("hello", temperature=0.0).text


def test_stop_ends_a_reply_before_the_word(url):
    lm = opened(url, max_tokens=60, temperature=0.0, extra=GO_ON)
    whole = lm("hello").text
    stop = whole[len(whole) // 2 : len(whole) // 2 + 2]
    reply = lm("hello", stop=[stop])
    assert reply.text == whole[: whole.index(stop)]
    assert reply.finish == "stop"


def test_logprobs_are_those_of_the_tokens(url):
    reply = opened(url, max_tokens=8, temperature=0.0, logprobs=5, extra=GO_ON)("hello")
    assert "".join(token.token for token in reply.logprobs) == reply.text
    assert len(reply.logprobs) == 8
    for token in reply.logprobs:
        assert len(token.top) == 5
        assert token.logprob == max(logprob for _, logprob in token.top) < 0, "without temperature the likeliest wins"


def test_a_stream_says_what_a_reply_says(url):
    lm = opened(url, max_tokens=40, seed=3, extra=GO_ON)
    deltas, response = streamed(lm, "hello")
    assert "".join(deltas) == response.text == lm("hello").text
    assert len(deltas) > 5
    assert response.usage.output_tokens == 40
    assert response.usage.input_tokens > 3
    assert response.finish == "length"
    assert 0 < response.first_token_seconds <= response.seconds


def test_a_stream_that_is_left_stops_the_server(url):
    lm = opened(url, max_tokens=1500, extra=GO_ON)

    async def leave() -> None:
        async with lm.events("hello") as events:
            async for _ in events:
                break

    for _ in range(8):  # twice as many as it has slots, each of which would take seconds
        asyncio.run(leave())
    assert opened(url, max_tokens=1, timeout=2.0)("are you there?").usage.output_tokens == 1


def test_typed_outputs_by_constrained_decoding_are_valid_at_once(url):
    program = ol.Predict(Card, lm=opened(url, max_tokens=600), adapter=ol.JSON())
    outs = [program(message=f"my card is gone {number}") for number in range(20)]
    assert [len(out.trace) for out in outs] == [1] * 20, "no re-ask was needed"
    for out in outs:
        assert json.loads(out.trace[0].response.text)
        assert 1 <= out.urgency <= 5
        assert len(out.order.item) <= 8
    assert len({out.team for out in outs}) == 2


def test_a_prompt_that_is_too_long_is_a_context_error(url):
    with pytest.raises(LMContextError, match="exceeds the available context size"):
        opened(url, max_tokens=5)("word " * 9000)


async def test_64_calls_in_flight_all_come_back(url):
    lm = opened(url, max_tokens=20, concurrency=64, extra=GO_ON)
    replies = await asyncio.gather(*(lm.acall(f"number {number}") for number in range(300)))
    assert all(reply.usage.output_tokens == 20 for reply in replies)


async def test_64_streams_at_once_all_come_to_their_end(url):
    lm = opened(url, max_tokens=20, concurrency=64, extra=GO_ON)

    async def one(number: int) -> tuple[str, Response]:
        events = [event async for event in lm.events(f"number {number}")]
        return "".join(event.text for event in events[:-1]), events[-1].response

    for text, response in await asyncio.gather(*(one(number) for number in range(64))):
        assert text == response.text
        assert response.usage.output_tokens == 20


@pytest.mark.parametrize("dialect", ["openai-responses", "anthropic-messages"])
def test_the_other_dialects(url, dialect):
    lm = LM("tiny", base_url=url, dialect=dialect, cache=False, retries=0, max_tokens=30, temperature=0.0)
    reply = lm("hello there")
    deltas, response = streamed(lm, "hello there")
    assert "".join(deltas) == response.text == reply.text != ""
    assert 0 < reply.usage.output_tokens == response.usage.output_tokens <= 30
    chat = opened(url, max_tokens=30, temperature=0.0)("hello there")
    assert (reply.text, reply.usage.input_tokens) == (chat.text, chat.usage.input_tokens)
    with pytest.raises(LMError):
        lm("word " * 9000)


def test_a_schema_that_the_server_ignores_is_found_out(url):
    lm = LM("tiny", base_url=url, dialect="openai-responses", cache=False, retries=0, max_tokens=60)
    program = ol.Predict(Card, lm=lm, adapter=ol.JSON())
    with pytest.raises(ol.OutlastError):
        program(message="my card is gone")


def test_the_official_client_as_a_control(url):
    with openai.OpenAI(base_url=url, api_key="none", max_retries=0) as sdk:
        asked: dict[str, Any] = {"model": "tiny", "messages": [{"role": "user", "content": "hello"}], "seed": 3}
        asked |= {"max_tokens": 40, "extra_body": GO_ON}
        reply = sdk.chat.completions.create(**asked)
        chunks = list(sdk.chat.completions.create(**asked, stream=True))
    ours = opened(url, max_tokens=40, seed=3, extra=GO_ON)("hello")
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert ours.text == reply.choices[0].message.content == text
    assert ours.usage.output_tokens == reply.usage.completion_tokens


TEAM = Question("choice", "Which team should have this?", options=("cards", "loans"))


async def test_what_a_model_that_cannot_answer_says_is_not_taken_for_an_answer(url):
    asked = Request((user("my card is gone"),), questions=(("team", TEAM),))
    lm = opened(url, max_tokens=4)
    for evidence in ("logprobs", "samples"):
        with pytest.raises(AnswerError, match="with none of cards, loans"):
            await decide(lm, asked, by=(evidence,))


async def test_typed_questions_are_answered_by_samples_of_a_model_held_to_its_answers(url):
    asked = Request((user("my card is gone"),), questions=(("team", TEAM),))
    lm = opened(url, max_tokens=12, extra={"grammar": 'root ::= "cards" | "loans"'})
    response = await decide(lm, asked, by=("samples",), samples=8)
    decision = dict(response.decisions)["team"]
    assert decision.evidence == "samples"
    assert decision.value in TEAM.options
    assert sum(decision.probabilities.values()) == pytest.approx(1)
    assert set(decision.probabilities) == set(TEAM.options)

"""Every dialect through the whole client to a server, which is itself held to the official packages."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest

import outlast as ol
from outlast.errors import (
    BudgetExceeded,
    LMConnectionError,
    LMError,
    LMQuotaError,
    LMRateLimited,
    LMServerError,
    LMUnsupported,
)
from outlast.lms.batch.batched import Batched
from outlast.lms.protocol import LM, Capabilities
from outlast.lms.wire.dialects import NAMES
from outlast.messages import (
    Finished,
    OutputSchema,
    Request,
    Response,
    Settings,
    StreamEvent,
    TextDelta,
    ThoughtDelta,
    tool_result,
    user,
)
from outlast.testing.server import FakeServer, Fault
from outlast.testing.server.answers import Answer
from outlast.testing.server.faults import FORMS
from outlast.types import Tool

pytestmark = pytest.mark.server
ABLE = Capabilities(
    json_schema=True, json_object=True, reasoning=True, tools=True, images=True, files=True, citations=True,
    streaming=True,
)  # fmt: skip
FIND = Tool("find", "Look it up.", {"type": "object", "properties": {"word": {"type": "string"}}})
SAID = Answer("Grüße, 世界 😀.", reasoning="let me think", cached=2)


def opened(server: FakeServer, dialect: str, **options: Any) -> LM:
    chosen: dict[str, Any] = {"cache": False, "retries": 0, "capabilities": ABLE, "max_tokens": 99, **options}
    return ol.LM("m", base_url=server.url, dialect=dialect, **chosen)


def streamed(lm: LM, prompt: Any = "hi", **options: Any) -> tuple[list[StreamEvent], Response]:
    *events, last = lm.events(prompt, **options)
    assert isinstance(last, Finished)
    return events, last.response


def timeless(response: Response) -> Response:
    """Without what differs from call to call."""
    return replace(response, seconds=0.0, queued_seconds=0.0, request_id=None, first_token_seconds=None, thoughts=())


@pytest.mark.parametrize("dialect", NAMES)
def test_a_stream_ends_in_what_the_whole_reply_says(dialect):
    with FakeServer(SAID) as server:
        lm = opened(server, dialect)
        whole = lm("hi there")
        events, response = streamed(lm, "hi there")
    assert whole.text == "Grüße, 世界 😀."
    assert whole.reasoning == "let me think"
    assert timeless(response) == timeless(whole)
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == whole.text
    assert "".join(event.text for event in events if isinstance(event, ThoughtDelta)) == whole.reasoning
    assert whole.usage.cached_tokens == 2
    assert whole.usage.input_tokens == 2


@pytest.mark.parametrize("dialect", NAMES)
@pytest.mark.parametrize("form", [form for form in FORMS if form not in ("no_finish", "no_end", "json_type")])
def test_streams_of_any_form_are_read(dialect, form):
    with FakeServer(Fault.form(form, answer=SAID)) as server:
        _, response = streamed(opened(server, dialect))
    assert (response.text, response.reasoning) == ("Grüße, 世界 😀.", "let me think")


@pytest.mark.parametrize("dialect", NAMES)
@pytest.mark.parametrize("after", range(8))
def test_a_stream_that_is_cut_is_an_error_and_never_a_short_reply(dialect, after):
    with FakeServer(Fault.cut(after=after, answer=Answer("one two three four five six seven eight"))) as server:
        with pytest.raises(LMConnectionError):
            streamed(opened(server, dialect))


@pytest.mark.parametrize("dialect", NAMES)
def test_an_error_in_the_middle_of_a_stream_is_raised(dialect):
    with FakeServer(Fault.error_event("busy", after=3)) as server:
        with pytest.raises(LMError, match="busy"):
            streamed(opened(server, dialect))


@pytest.mark.parametrize("dialect", NAMES)
@pytest.mark.parametrize(("kind", "code"), [("overloaded_error", "server_error"), ("rate_limit_error", None)])
def test_a_stream_that_ends_in_an_error_may_be_billed_for_what_it_wrote(dialect, kind, code):
    fault = Fault.error_event("busy", kind=kind, code=code, after=20, answer="word " * 40)
    with FakeServer(fault) as server, ol.budget(dollars=1) as spent:
        lm = opened(server, dialect, price=(1000, 1000))
        errors: list[type[Exception]] = []
        for _ in range(4):
            with pytest.raises((LMError, BudgetExceeded)) as caught:
                streamed(lm)
            errors.append(caught.type)
    assert errors[-1] is BudgetExceeded
    assert spent.uncertain == len(server.requests) == 2
    assert spent.uncertain_dollars > 0.5


@pytest.mark.parametrize("dialect", NAMES)
def test_a_stream_that_begins_with_a_refusal_costs_nothing(dialect):
    fault = Fault.error_event("slow down", kind="rate_limit_error", code="rate_limit_exceeded", after=0)
    with FakeServer(fault) as server, ol.budget(dollars=0.5) as spent:
        with pytest.raises(LMRateLimited):
            streamed(opened(server, dialect, price=(1000, 1000)))
    assert (spent.calls, spent.uncertain, spent.uncertain_dollars) == (1, 0, 0)


@pytest.mark.parametrize("dialect", NAMES)
def test_a_conversation_with_thoughts_and_tools_comes_round(dialect):
    answers = [Answer("One moment.", reasoning="I should look", tools=[("find", {"word": "fob"})]), Answer("A pocket.")]
    with FakeServer(answers) as server:
        lm = opened(server, dialect)
        first = lm("fob?", tools=[FIND])
        (call,) = first.tool_calls
        assert (call.name, call.arguments, first.finish) == ("find", '{"word": "fob"}', "tool_calls")
        turns = [user("fob?"), first.message, tool_result(call, "a small pocket")]
        assert lm(turns, tools=[FIND]).text == "A pocket."
        told = str(server.requests[1].body)
    assert call.id in told
    assert "a small pocket" in told
    if dialect != "openai-chat":  # which has no place for it
        assert "sealed-" in told


@pytest.mark.parametrize("dialect", NAMES)
def test_what_the_server_refuses_is_left_out_once_learnt(dialect):
    def answer(request: dict[str, Any]) -> Any:
        if "temperature" in request:
            return Fault.error(400, "Unsupported parameter: 'temperature' is not supported", param="temperature")
        return "fine"

    with FakeServer(answer) as server:
        lm = opened(server, dialect, temperature=0.5)
        for asked in (2, 3):
            assert lm("hi").adaptations == ("temperature=0.5 not sent: 'm' refuses 'temperature'",)
            assert server.count == asked
        with pytest.raises(LMUnsupported, match="temperature"):
            opened(server, dialect, temperature=0.5, adapt="refuse")("hi")


def test_effort_and_schema_are_unlearnt_one_by_one():
    def answer(request: dict[str, Any]) -> Any:
        for name in request.get("output_config", ()):
            return Fault.error(400, f"output_config.{name}: not supported on this model")
        return "fine"

    schema = OutputSchema("o", {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]})
    with FakeServer(answer) as server:
        lm = opened(server, "anthropic-messages", reasoning="low")
        response = lm("hi", output=schema)
        assert server.count == 3
        assert [request.body.get("output_config", {}).keys() for request in server.requests] == [
            {"effort", "format"},
            {"format"},
            set(),
        ]
    assert len(response.adaptations) == 2


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.error(529, "Overloaded", kind="overloaded_error"), LMServerError),
        (Fault.error(429, "slow down", retry_after=7), LMRateLimited),
        (Fault.error(400, "Your credit balance is too low to access the API"), LMQuotaError),
    ],
)
def test_errors_of_the_messages_dialect(fault, error):
    with FakeServer(fault) as server:
        lm = opened(server, "anthropic-messages")
        for ask in (lambda: lm("hi"), lambda: streamed(lm)):
            with pytest.raises(error) as caught:
                ask()
            assert caught.value.retry_after == (7 if error is LMRateLimited else None)


def test_the_key_goes_where_the_dialect_wants_it():
    with FakeServer("yes", key="secret") as server:
        for dialect in NAMES:
            assert opened(server, dialect, api_key="secret")("hi").text == "yes"
        seen = [request.headers for request in server.requests]
    assert [headers.get("authorization") for headers in seen] == ["Bearer secret", "Bearer secret", None]
    assert [headers.get("x-api-key") for headers in seen] == [None, None, "secret"]
    assert [headers.get("anthropic-version") for headers in seen] == [None, None, "2023-06-01"]


@pytest.mark.parametrize(("dialect", "text"), [("openai-responses", "one "), ("anthropic-messages", "one STOP two")])
async def test_batches_cut_too_where_the_server_does_not(dialect, text, tmp_path):
    with FakeServer("one STOP two") as server:
        lm = Batched(opened(server, dialect), tmp_path / "b.db", idle=0.03, poll=(0.02, 0.05))
        response = await lm.acall("hi", stop=["STOP"])
    assert (response.text, response.tier) == (text, "batch")


def test_a_budget_knows_the_bound_that_the_messages_dialect_sends():
    def most(lm: LM, **settings: Any) -> int | None:
        return lm.bound(Request((user("hi"),), Settings(**settings))).tokens

    for name in NAMES:
        lm = ol.LM("m", base_url="http://h/v1", dialect=name, cache=False)
        one = most(lm, max_tokens=1)
        assert one is not None
        assert most(lm) == (one - 1 + 4096 if name == "anthropic-messages" else None)
    lm = ol.LM("anthropic/claude-sonnet-4-5", cache=False)
    assert most(lm) == one - 1 + 32_000
    assert most(lm, reasoning="high") == one - 1 + 32_000 + 16_384


@pytest.mark.parametrize("dialect", NAMES)
def test_closing_a_stream_closes_the_connection(dialect):
    with FakeServer(Answer("word " * 400), pace=0.01) as server:
        with opened(server, dialect).events("hi") as events:
            next(iter(events))
        deadline = time.monotonic() + 30
        while server.disconnects == 0 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert server.disconnects == 1


async def test_the_same_in_async_code():
    with FakeServer(SAID) as server:
        for dialect in NAMES:
            lm = opened(server, dialect)
            assert (await lm.acall("hi")).text == SAID.text
            *_, last = [event async for event in lm.events("hi")]
            assert isinstance(last, Finished)
            assert last.response.text == SAID.text

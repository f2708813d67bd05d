"""What every engine keeps to, through its real library and a real server on loopback; for those installed here."""

from __future__ import annotations

import asyncio
import gc
import json
import pickle
import time
import traceback
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import pytest

from outlast.errors import (
    ConfigError,
    LMAuthError,
    LMConnectionError,
    LMContextError,
    LMError,
    LMQuotaError,
    LMRateLimited,
    LMRequestError,
    LMServerError,
    LMTimeout,
    LMUnsupported,
    UsageError,
)
from outlast.lms.engines import ENGINES
from outlast.lms.protocol import LM, Capabilities
from outlast.messages import (
    Finished,
    Message,
    OutputSchema,
    Request,
    Settings,
    TextDelta,
    TextPart,
    ThoughtDelta,
    ToolCall,
    ToolDelta,
    ToolResult,
    assistant,
    system,
    user,
)
from outlast.testing.lm_contract import check_lm
from outlast.testing.server import Answer, FakeServer, Fault
from outlast.types import Document, Image, Tool

KEY = "sk-do-not-show-0123456789"
LOOK = Tool(
    "look", "Looks something up.", {"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"]}
)
CARD = OutputSchema(
    "card",
    {
        "type": "object",
        "properties": {"team": {"type": "string"}},
        "required": ["team"],
        "additionalProperties": False,
    },
)
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20


@dataclass(frozen=True)
class Row:
    """An engine, how it names a model of the fake server, and what its library does not carry."""

    engine: str
    model: str
    without: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        return f"{self.engine}:{self.model}"

    def __str__(self) -> str:
        return self.engine


ROWS = [
    Row("openai-sdk", "fake"),
    Row("litellm", "openai/fake"),
    Row("any-llm", "openai/fake"),
    Row("lm15", "openai-chat:fake"),
    Row("llm", "gpt-4o", frozenset({"logprobs", "reasoning", "tool_choice", "extra"})),
]
HERE = [row for row in ROWS if find_spec(ENGINES[row.engine].package) is not None]
MISSING = [row for row in ROWS if row not in HERE]


# their own, with the newest pydantic
NOISY = [pytest.mark.filterwarnings(f"ignore::{kind}") for kind in ("DeprecationWarning", "UserWarning")]


@pytest.fixture(
    params=[pytest.param(row, marks=NOISY if row.engine in ("litellm", "any-llm") else ()) for row in HERE], ids=str
)
def row(request) -> Row:
    return request.param


@pytest.fixture(autouse=True)
def no_keys_of_the_user(monkeypatch, tmp_path):
    for variable in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path))


def model(row: Row, server: FakeServer, **options: Any) -> LM:
    given = {"base_url": server.url, "api_key": KEY, "cache": False, "retries": 0, **options}
    return LM(row.name, **given)


def bare(row: Row, server: FakeServer, **options: Any) -> LM:
    """Without the wrappers around it."""
    return model(row, server, **options).leaf


def say(*answers: Any) -> FakeServer:
    return FakeServer(list(answers) if len(answers) > 1 else answers[0])


def needs(row: Row, ability: str) -> bool:
    return ability not in row.without


# Answers


def test_an_answer(row):
    with say(Answer("It takes five days.", cached=2)) as server:
        reply = model(row, server)([system("Be brief."), user("How long?"), assistant("What?"), user("The refund.")])
        assert (reply.text, reply.finish, reply.attempts, reply.adaptations) == ("It takes five days.", "stop", 1, ())
        assert reply.usage.output_tokens == 4
        assert reply.usage.input_tokens == 7
        assert reply.usage.cached_tokens == 2
        assert reply.seconds > 0
        body = server.requests[0].body
        assert [message["role"] for message in body["messages"]] == ["system", "user", "assistant", "user"]
        assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"


async def test_an_answer_in_async_code(row):
    with say("yes") as server:
        lm = model(row, server)
        replies = await asyncio.gather(*(lm.acall(f"{n}?") for n in range(20)))
        assert [reply.text for reply in replies] == ["yes"] * 20
        assert server.count == 20


def test_settings_arrive(row):
    with say("yes") as server:
        reply = model(row, server, temperature=0.5, top_p=0.9, max_tokens=7, stop=["x"], seed=3)("hi")
        assert reply.adaptations == ()
        body = server.requests[0].body
        assert (body["temperature"], body["top_p"], body["seed"]) == (0.5, 0.9, 3)
        assert body.get("max_tokens", body.get("max_completion_tokens")) == 7
        assert body["stop"] in (["x"], "x")


def test_nothing_is_sent_unasked(row):
    with say("yes") as server:
        model(row, server)("hi")
        assert server.requests[0].body.keys() - {"model", "messages", "stream"} == set()


def test_extra_settings_are_passed_on(row):
    with say("yes") as server:
        reply = model(row, server, extra={"presence_penalty": 0.25})("hi")
        assert server.requests[0].body["presence_penalty"] == 0.25
        assert reply.adaptations == ()


def test_a_cut_answer_says_so(row):
    with say(Answer("and then", finish="length")) as server:
        assert model(row, server)("hi").finish == "length"


def test_a_refusal_is_no_answer(row):
    with say(Answer(refusal="I will not.")) as server:
        reply = model(row, server)("hi")
        assert (reply.text, reply.finish) == ("I will not.", "content_filter")


def test_reasoning_is_told_apart(row):
    with say(Answer("Five.", reasoning="Two and three.")) as server:
        reply = model(row, server, reasoning="low")("2+3?")
        assert reply.text == "Five."
        if needs(row, "reasoning"):
            assert reply.reasoning == "Two and three."
            assert reply.adaptations == ()
            assert server.requests[0].body["reasoning_effort"] == "low"
        else:
            assert len(reply.adaptations) == 1


def test_logprobs(row):
    if not needs(row, "logprobs"):
        with say("a b") as server:
            reply = model(row, server)("hi", logprobs=2)
            assert reply.logprobs is None
            assert ["logprobs" in note for note in reply.adaptations] == [True]
        return
    with say("a b") as server:
        reply = model(row, server)("hi", logprobs=2)
        assert [token.token for token in reply.logprobs] == ["a", " b"]
        assert reply.logprobs[0].logprob == -0.125
        assert len(reply.logprobs[0].top) == 2


def test_a_schema_is_sent_as_one(row):
    with say('{"team": "cards"}') as server:
        reply = model(row, server)("hi", output=CARD)
        form = server.requests[0].body["response_format"]
        assert form["type"] == "json_schema"
        assert form["json_schema"]["schema"]["required"] == ["team"]
        assert json.loads(reply.text) == {"team": "cards"}


def test_any_json_is_asked_for(row):
    with say('{"a": 1}') as server:
        model(row, server)("json please", output="json")
        assert server.requests[0].body["response_format"] == {"type": "json_object"}


def test_tools_are_called_and_answered(row):
    with say(Answer(tools=[("look", {"word": "fee"}), ("look", {"word": "day"})]), "Five days.") as server:
        lm = model(row, server)
        asked = [user("How long?")]
        call = lm(asked, tools=[LOOK])
        assert call.finish == "tool_calls"
        assert [(c.name, json.loads(c.arguments)) for c in call.tool_calls] == [
            ("look", {"word": "fee"}),
            ("look", {"word": "day"}),
        ]
        assert len({c.id for c in call.tool_calls}) == 2
        results = tuple(ToolResult(c.id, f"about {n}") for n, c in enumerate(call.tool_calls))
        assert lm([*asked, call.message, Message("tool", results)], tools=[LOOK]).text == "Five days."
        first, second = server.requests
        assert first.body["tools"][0]["function"]["name"] == "look"
        assert first.body["tools"][0]["function"]["parameters"]["required"] == ["word"]
        turns = second.body["messages"]
        assert [turn["role"] for turn in turns] == ["user", "assistant", "tool", "tool"]
        assert [turn["tool_call_id"] for turn in turns[2:]] == [c["id"] for c in turns[1]["tool_calls"]]
        assert [turn["content"] for turn in turns[2:]] == ["about 0", "about 1"]


def test_a_tool_can_be_forced(row):
    with say(Answer(tools=[("look", {"word": "fee"})])) as server:
        if not needs(row, "tool_choice"):
            reply = model(row, server)("hi", tools=[LOOK], tool_choice="look")
            assert ["tool_choice" in note for note in reply.adaptations] == [True]
            return
        model(row, server)("hi", tools=[LOOK], tool_choice="look")
        assert server.requests[0].body["tool_choice"] == {"type": "function", "function": {"name": "look"}}


def test_an_image_is_sent(row):
    with say("a dog") as server:
        model(row, server)([Message("user", (Image("image/png", PNG), *user("What is it?").parts))])
        content = server.requests[0].body["messages"][0]["content"]
        image = next(part for part in content if part["type"] == "image_url")
        assert image["image_url"]["url"].startswith("data:image/png;base64,")


def test_a_document_is_sent_as_text(row):
    paper = Document("Refunds take five days.", title="Terms")
    with say("five") as server:
        model(row, server)([Message("user", (paper, *user("How long?").parts))])
        sent = json.dumps(server.requests[0].body["messages"])
        assert "Refunds take five days." in sent
        assert "Terms" in sent


def test_odd_letters_survive(row):
    text = "añ🙂\u2028\"'\\ \n<b>"
    with FakeServer() as server:
        assert model(row, server)(text).text == text


def test_it_keeps_the_contract_of_models(row):
    with FakeServer("yes indeed it is", latency=0.02) as server:
        check_lm(bare(row, server))


# Streams


async def test_a_stream(row):
    with say(Answer("It takes five days.", reasoning="Hm, well.")) as server:
        events = [event async for event in bare(row, server).events("How long?")]
        *deltas, last = events
        assert isinstance(last, Finished)
        texts = [event.text for event in deltas if isinstance(event, TextDelta)]
        assert texts == ["It", " takes", " five", " days."]
        assert last.response.text == "It takes five days."
        assert last.response.usage.output_tokens == 6
        assert last.response.finish == "stop"
        assert 0 < last.response.first_token_seconds <= last.response.seconds
        if needs(row, "reasoning"):
            assert "".join(event.text for event in deltas if isinstance(event, ThoughtDelta)) == "Hm, well."
            assert last.response.reasoning == "Hm, well."


def test_a_stream_in_blocking_code(row):
    with say("a b c") as server:
        *deltas, last = bare(row, server).events("hi")
        assert "".join(event.text for event in deltas) == last.response.text == "a b c"


async def test_tool_calls_are_streamed(row):
    with say(Answer(tools=[("look", {"word": "fee and day"})])) as server:
        events = [event async for event in bare(row, server).events("hi", tools=[LOOK])]
        pieces = [event for event in events if isinstance(event, ToolDelta)]
        assert (pieces[0].name, bool(pieces[0].id)) == ("look", True)
        assert json.loads("".join(piece.arguments for piece in pieces)) == {"word": "fee and day"}
        calls = events[-1].response.tool_calls
        assert [(call.name, json.loads(call.arguments)) for call in calls] == [("look", {"word": "fee and day"})]
        assert events[-1].response.finish == "tool_calls"


async def test_closing_a_stream_closes_the_connection(row):
    with FakeServer("word " * 2000, pace=0.01) as server:
        events = bare(row, server).stream(Request((user("hi"),)))
        assert isinstance(await anext(events), TextDelta)
        await events.aclose()
        for _ in range(200):
            if server.disconnects:
                break
            await asyncio.sleep(0.01)
        assert server.disconnects == 1


async def test_a_stream_that_breaks_is_an_error(row):
    with say(Fault.cut(after=3, answer="one two three four five six")) as server:
        with pytest.raises(LMError) as caught:
            async for _ in bare(row, server).events("hi"):
                pass
        assert isinstance(caught.value, LMConnectionError), repr(caught.value)


async def test_a_stream_that_loses_its_end_is_an_error(row):
    with say(Fault.form("no_finish", answer="one two")) as server:
        if row.engine == "llm":  # it does not look for one: see the guide
            events = [event async for event in bare(row, server).events("hi")]
            assert events[-1].response.text == "one two"
            return
        with pytest.raises(LMConnectionError):
            async for _ in bare(row, server).events("hi"):
                pass


async def test_a_refused_stream_is_the_same_error(row):
    with say(Fault.error(429, "slow down", retry_after=2)) as server:
        with pytest.raises(LMRateLimited) as caught:
            async for _ in bare(row, server).events("hi"):
                pass
        assert caught.value.retry_after == 2
        assert server.count == 1


# Errors


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault.error(429, "slow down", retry_after=2), LMRateLimited),
        (Fault.error(429, "You exceeded your current quota", code="insufficient_quota"), LMQuotaError),
        (Fault.error(401, "bad key"), LMAuthError),
        (Fault.error(400, "the maximum context length is 10 tokens", code="context_length_exceeded"), LMContextError),
        (Fault.error(400, "messages: wrong"), LMRequestError),
        (Fault.error(404, "no such model"), LMRequestError),
        (Fault.error(500, "broken"), LMServerError),
        (Fault.error(503, "busy"), LMServerError),
        (Fault.drop(), LMConnectionError),
        (Fault.cut(), LMConnectionError),
    ],
    ids=["rate", "quota", "key", "context", "request", "model", "500", "503", "drop", "cut"],
)  # fmt: skip
def test_errors_are_told_apart_and_asked_once(row, fault, kind):
    with say(fault) as server:
        with pytest.raises(LMError) as caught:
            model(row, server)("hi")
        assert type(caught.value) is kind, repr(caught.value)
        assert server.count == 1, "the library tried again on its own"
        assert caught.value.request is not None
        assert caught.value.retry_after == (2 if fault.headers.get("Retry-After") else None)


def test_no_server_is_a_connection_error(row):
    with FakeServer() as server:
        pass
    with pytest.raises(LMConnectionError):
        LM(row.name, base_url="http://127.0.0.1:9/v1", api_key=KEY, cache=False, retries=0)("hi")
    assert server.count == 0


def test_a_reply_that_is_no_reply_is_an_error(row):
    for fault in (Fault.html(), Fault.garbage(), Fault.empty()):
        with say(fault) as server:
            with pytest.raises(LMError):
                model(row, server)("hi")


def test_a_slow_reply_is_a_timeout(row):
    with FakeServer("yes", latency=60) as server:
        started = time.perf_counter()
        with pytest.raises(LMTimeout, match=r"timeout=0\.3 s"):
            model(row, server, timeout=0.3)("hi")
        assert time.perf_counter() - started < 20


def test_our_retries_go_around(row):
    with say(Fault.error(500, "broken"), Fault.error(429, "slow", retry_after=0), "yes") as server:
        reply = model(row, server, retries=3)("hi")
        assert (reply.text, reply.attempts, server.count) == ("yes", 3, 3)


async def test_a_cancelled_call_is_given_up(row):
    with FakeServer("yes", latency=5) as server:
        call = asyncio.create_task(model(row, server).acall("hi"))
        for _ in range(300):
            if server.in_flight:
                break
            await asyncio.sleep(0.01)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call


# What a model does not take


def test_a_refused_setting_is_left_out_once_and_told(row):
    def picky(body: dict[str, Any]) -> Any:
        if "temperature" in body:
            return Fault.error(
                400, "Unsupported parameter: 'temperature'", code="unsupported_parameter", param="temperature"
            )
        return "yes"

    with FakeServer(picky) as server:
        lm = model(row, server, temperature=0.5)
        if row.engine in ("lm15", "llm"):  # these know their models themselves
            with pytest.raises(LMRequestError, match="temperature"):
                lm("hi")
            return
        assert [("temperature=0.5 not sent" in note) for note in lm("hi").adaptations] == [True]
        assert lm("again").text == "yes"
        assert server.count == 3


def test_what_it_is_known_not_to_take_is_not_sent(row):
    cold = Capabilities(without=frozenset({"temperature"}))
    with say("yes") as server:
        reply = model(row, server, capabilities=cold, temperature=0.5)("hi")
        assert ["temperature=0.5 not sent" in note for note in reply.adaptations] == [True]
        assert "temperature" not in server.requests[0].body
        with pytest.raises(LMUnsupported, match="adapt='refuse'.*temperature"):
            model(row, server, capabilities=cold, temperature=0.5, adapt="refuse")("hi")
        with pytest.raises(LMUnsupported, match="start of a reply"):
            model(row, server)([user("a"), assistant("b")])
        assert server.count == 1


def test_what_stands_in_the_wrong_turn_is_refused(row):
    with say("yes") as server:
        lm = model(row, server)
        for role, part in (("user", ToolCall("1", "look", "{}")), ("assistant", ToolResult("1", "found"))):
            with pytest.raises(LMUnsupported, match=f"'{role}' has Tool"):
                lm([user("a"), Message(role, (TextPart("b"), part)), user("c")])
        with pytest.raises(UsageError, match="two that are named 'look'"):
            lm("hi", tools=[LOOK, Tool("look", "Another.")])
        assert server.count == 0


def test_what_it_can_do_is_the_usual_or_what_we_know_of_the_provider(row):
    unknown = LM(row.name, base_url="http://a.test/v1").capabilities
    assert (unknown.json_schema, unknown.tools, unknown.streaming) == (True, True, True)
    assert (unknown.reasoning, unknown.prefill, unknown.citations, unknown.decisions) == (False, False, False, False)
    named = {"openai-sdk": "gpt-5-mini", "lm15": "openai:gpt-5-mini"}.get(row.engine, "openai/gpt-5-mini")
    if row.engine != "llm":  # whose names do not hold the provider
        ours = LM("openai/gpt-5-mini").capabilities
        known = LM(f"{row.engine}:{named}").capabilities
        assert (known.reasoning, known.without) == (ours.reasoning, ours.without) == (True, ours.without)
    assert LM(row.name, capabilities=Capabilities()).capabilities == Capabilities()


# Keys, names, values


def test_the_key_is_shown_nowhere(row):
    def echo(body: dict[str, Any]) -> Fault:
        return Fault.error(401, f"Incorrect API key provided: {KEY}")

    with FakeServer(echo) as server:
        lm = model(row, server)
        with pytest.raises(LMAuthError) as caught:
            lm("hi")
        shown = "".join(traceback.format_exception(caught.value)) + str(vars(caught.value))
        assert KEY not in shown
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None
        for text in (repr(lm), str(lm.info()), lm.identity, str(vars(lm)), str(vars(lm.leaf))):
            assert KEY not in text
        assert KEY.encode() not in pickle.dumps(lm)


def test_a_key_of_the_environment_goes_to_no_other_server(row, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with say("yes") as server:
        LM(row.name, base_url=server.url, cache=False, retries=0)("hi")
        assert KEY not in str(server.requests[0].headers)


def test_secrets_of_the_environment_are_not_repeated(row, monkeypatch):
    monkeypatch.setenv("SOME_ACCESS_TOKEN", "tok-0123456789")
    with say(Fault.error(400, "you sent tok-0123456789")) as server:
        with pytest.raises(LMRequestError) as caught:
            model(row, server)("hi")
        assert "tok-0123456789" not in str(caught.value)


def test_it_is_cached_like_any_model(row, tmp_path):
    with say("yes", "no") as server:
        lm = model(row, server, cache=str(tmp_path / "cache.db"))
        assert [lm("hi").cache, lm("hi").cache, lm("hi", sample=1).text] == ["miss", "hit", "no"]
        assert server.count == 2


def test_a_price_gives_a_cost(row):
    with say("a b c d") as server:
        usage = model(row, server, price=(1.0, 10.0))("x y").usage
        assert (usage.cost, usage.cost_source) == ((2 * 1.0 + 4 * 10.0) / 1e6, "user")
        assert model(row, server)("x").usage.cost is None


def test_identity_is_engine_model_server_and_settings(row):
    def identity(**options: Any) -> str:
        return LM(row.name, **{"base_url": "http://a.test/v1", "api_key": KEY, **options}).identity

    others = ({"base_url": "http://b.test/v1"}, {"temperature": 0.5}, {"adapt": "refuse"})
    assert len({identity(), *(identity(**other) for other in others)}) == 4
    assert identity() == identity(api_key="another-key-0123456789")
    assert row.engine in identity()


def test_copies_and_pickles_are_the_same_model(row):
    lm = LM(row.name, base_url="http://a.test/v1", cache=False)
    assert pickle.loads(pickle.dumps(lm)) == lm


def test_it_is_opened_without_loading_the_library(row):
    import subprocess
    import sys

    package = ENGINES[row.engine].package
    code = (
        f"import sys; from outlast.lms.protocol import LM; LM({row.name!r}, base_url='http://a.test/v1', api_key='k');"
        f"sys.exit({package!r} in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_loops_that_come_and_go_leave_nothing_open(row):
    with say("yes") as server:
        lm = model(row, server)

        async def ask() -> str:
            return (await lm.acall("hi")).text

        assert [asyncio.run(ask()) for _ in range(4)] == ["yes"] * 4
        assert lm("hi").text == "yes"
        gc.collect()  # warnings of sockets left open are errors here


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"base_url": "nonsense"}, "base_url"),
        ({"api_key": "two words"}, "api_key"),
        ({"dialect": "openai-chat"}, "dialect= means nothing"),
        ({"device": "cpu"}, "no option 'device'"),
        ({"temperature": 3}, "temperature"),
    ],
)
def test_wrong_options_are_refused_at_once(row, options, words):
    with pytest.raises((ConfigError, UsageError), match=words):
        LM(row.name, **options)


def test_a_name_without_a_model_is_refused(row):
    with pytest.raises(ConfigError, match="names an engine but no model"):
        LM(f"{row.engine}:")


def test_engines_that_are_not_installed_say_what_to_install(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    for row in MISSING:
        extra = ENGINES[row.engine].extra
        with pytest.raises(ConfigError, match=rf"pip install 'outlast\[{extra}\]'"):
            LM(row.name)
    if find_spec("transformers") is None:
        with pytest.raises(ConfigError, match=r"pip install 'outlast\[hf\]'"):
            LM(f"hf/{tmp_path}")
    with pytest.raises(ConfigError, match="no provider"):
        LM("no-engine:x/y")


def test_every_engine_has_a_row_and_an_extra():
    import tomllib
    from pathlib import Path

    assert [row.engine for row in sorted(ROWS, key=str)] == sorted(ENGINES)
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    for engine in ENGINES.values():
        (requirement,) = extras[engine.extra]
        assert requirement.replace("-", "_").startswith(engine.package)
        assert ">=" in requirement
        assert "<" not in requirement.replace(">=", "")


def test_settings_is_not_shared_between_calls(row):
    with say("yes") as server:
        lm = model(row, server, seed=1)
        lm("a", temperature=0.1)
        lm("b")
        assert "temperature" not in server.requests[1].body
        assert Settings() == Settings()

"""Opening models by name, and the whole stack against a real server on loopback."""

from __future__ import annotations

import asyncio
import copy
import gc
import json
import logging
import pickle
import subprocess
import sys
import threading
import traceback
import warnings

import pytest

import outlast as ol
from outlast.errors import (
    ConfigError,
    LMAuthError,
    LMContextError,
    LMQuotaError,
    LMRateLimited,
    LMRequestError,
    LMResponseError,
    LMServerError,
    LMTimeout,
    OutlastError,
    UsageError,
)
from outlast.lms.hf.opening import LocalOptions
from outlast.lms.models import open_model
from outlast.lms.protocol import LM, Capabilities
from outlast.lms.wire.providers import PROVIDERS
from outlast.messages import OutputSchema, user
from outlast.testing.server import FakeServer, Fault, completion

KEY = "sk-do-not-show-0123456789"
SCHEMA = OutputSchema("card", {"type": "object", "properties": {"team": {"type": "string"}}, "required": ["team"]})
BOTH = Capabilities(json_schema=True, json_object=True)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch, tmp_path):
    for provider in PROVIDERS.values():
        for variable in (provider.key_env, provider.url_env):
            if variable:
                monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("OUTLAST_CACHE", str(tmp_path / "cache.db"))


@pytest.fixture
def server():
    with FakeServer() as running:
        yield running


def model(server: FakeServer, **options) -> LM:
    return LM("openai/test", base_url=server.url, **{"cache": False, "retries": 0, **options})


# Names


def test_a_provider_names_its_server(monkeypatch):
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://mine.openai.azure.com/")
    for prefix, provider in PROVIDERS.items():
        lm = open_model(f"{prefix}/some/model:1")
        facts = json.loads(lm.identity)
        assert facts["server"] == (provider.base_url or "https://mine.openai.azure.com/openai/v1")
        assert facts["model"] == "some/model:1"
        assert lm.name == f"{prefix}/some/model:1"


def test_base_urls_come_from_the_option_then_the_environment_then_the_provider(monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://env.test/v1/")
    monkeypatch.setenv("VLLM_BASE_URL", "http://gpu:9000/v1")
    assert json.loads(LM("openai/m").identity)["server"] == "http://env.test/v1"
    assert json.loads(LM("vllm/m").identity)["server"] == "http://gpu:9000/v1"
    assert json.loads(LM("openai/m", base_url="http://mine.test/v1").identity)["server"] == "http://mine.test/v1"
    monkeypatch.setenv("OPENAI_BASE_URL", "http://user:pw@env.test/v1")
    with pytest.raises(ConfigError, match="OPENAI_BASE_URL must hold no user name") as caught:
        LM("openai/m")
    assert "pw@" not in str(caught.value)


def test_with_a_base_url_any_name_goes_to_the_server_as_it_is(server):
    lm = LM("meta-llama/Llama-9", base_url=server.url, cache=False)
    assert lm("hi").model == "meta-llama/Llama-9"
    assert LM("plain", base_url=server.url, cache=False)("hi").model == "plain"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gpt-5", ["'provider/model'", "openrouter", "outlast/baseline", "base_url="]),
        ("opnai/gpt-5", ["no provider 'opnai'", "Did you mean 'openai'?", "base_url="]),
        ("acme/m", ["no provider 'acme'", "openai, openai-responses"]),
        ("openai/", ["names a provider but no model"]),
        ("outlast/basline", ["no built-in model", "Did you mean 'outlast/baseline'?"]),
        ("", ["named by text"]),
        (7, ["named by text", "7"]),
    ],
)
def test_wrong_names_are_explained(name, words):
    with pytest.raises(ConfigError) as caught:
        LM(name)
    for word in words:
        assert word in str(caught.value)


def test_the_baseline_is_a_model_without_options():
    lm = LM("outlast/baseline")
    assert lm.name == "outlast/baseline"
    with pytest.raises(ConfigError, match="takes no options.*got temperature"):
        LM("outlast/baseline", temperature=0.5)


def can(name: str, **options) -> tuple[bool, bool, bool]:
    found = LM(name, **options).capabilities
    return found.json_schema, found.json_object, found.reasoning


def test_capabilities_are_known_assumed_or_given():
    assert can("openai/gpt-5-mini") == (True, True, True)
    assert LM("openai/gpt-5-mini").capabilities.without == {"temperature", "top_p", "logprobs"}
    assert can("openai/gpt-4.1") == (True, True, False)
    assert LM("openai/gpt-4.1").capabilities.without == frozenset()
    assert LM("openai/gpt-5-chat-latest").capabilities.reasoning is False
    assert can("deepseek/deepseek-chat") == (False, True, False)
    assert LM("openai/m", base_url="http://unknown.test/v1").capabilities == Capabilities(streaming=True)
    assert LM("openai/m", base_url="https://eu.api.openai.com/v1").capabilities.json_schema
    assert LM("vllm/m", base_url="http://gpu.test/v1").capabilities.json_schema
    assert LM("vllm/m", capabilities=Capabilities()).capabilities == Capabilities()


# Options


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("base_url", "localhost:8000"),
        ("base_url", "http://u:p@h/v1"),
        ("base_url", 7),
        ("api_key", 7),
        ("api_key", "two words"),
        ("api_key", ""),
        ("capabilities", {"json_schema": True}),
        ("cache", 7),
        ("cache", ""),
        ("retries", -1),
        ("retries", 2.5),
        ("retries", True),
        ("timeout", 0),
        ("timeout", -1),
        ("timeout", float("nan")),
        ("timeout", float("inf")),
        ("timeout", "long"),
        ("concurrency", 0),
        ("price", 5),
        ("price", (1,)),
        ("price", (1, -1)),
        ("price", (1, float("nan"))),
        ("price", "ab"),
        ("max_response_bytes", 0),
        ("temperature", 2.5),
        ("temperature", -0.1),
        ("temperature", float("nan")),
        ("temperature", True),
        ("temperature", "hot"),
        ("top_p", 1.5),
        ("max_tokens", 0),
        ("max_tokens", 1.5),
        ("seed", 1.5),
        ("stop", [""]),
        ("stop", [7]),
        ("stop", 7),
        ("reasoning", ""),
        ("reasoning", 7),
        ("extra", [1]),
        ("extra", {7: 1}),
        ("extra", {"stream": True}),
        ("extra", {"x": float("nan")}),
        ("extra", {"x": object()}),
    ],
)
def test_options_out_of_range_are_refused_by_name(option, value):
    with pytest.raises((ConfigError, UsageError)) as caught:
        LM("openai/m", **{option: value})
    assert option in str(caught.value) or "JSON" in str(caught.value)


def test_misspelt_options_are_refused_with_the_right_name():
    with pytest.raises(UsageError, match="no option 'temprature'. Did you mean 'temperature'"):
        LM("openai/m", temprature=1)


def test_the_options_are_those_that_the_protocol_promises():
    import ast
    import inspect
    from dataclasses import fields

    from outlast.lms import protocol
    from outlast.lms.models import ModelOptions

    promised = next(
        node
        for node in ast.walk(ast.parse(inspect.getsource(protocol)))
        if isinstance(node, ast.FunctionDef) and node.name == "__init__" and node.args.kwonlyargs
    )
    defaults = {
        argument.arg: None if default is None else eval(compile(ast.Expression(default), "", "eval"))
        for argument, default in zip(promised.args.kwonlyargs, promised.args.kw_defaults, strict=True)
    }
    options = [*fields(LocalOptions), *fields(ModelOptions)]  # with the defaults of servers where they differ
    assert {option.name: option.default for option in options} == defaults


# Keys


def test_a_missing_key_is_told_at_the_first_call_before_any_network():
    lm = LM("openai/gpt-5-mini", cache=False)
    with pytest.raises(ConfigError, match=r"needs a key.*OPENAI_API_KEY.*api_key=.*outlast/baseline"):
        lm("hi")


def test_keys_are_read_at_each_call_and_go_out_as_bearer(server, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    lm = LM("openai/m", cache=False)
    lm("without")
    monkeypatch.setenv("OPENAI_API_KEY", "first\n")
    lm("with")
    monkeypatch.setenv("OPENAI_API_KEY", "second")
    lm("with another")
    sent = [request.headers.get("authorization") for request in server.requests]
    assert sent == [None, "Bearer first", "Bearer second"]
    monkeypatch.setenv("OPENAI_API_KEY", "ключ")
    with pytest.raises(ConfigError, match="OPENAI_API_KEY holds what no key has"):
        lm("x")


def test_a_key_in_the_environment_does_not_go_to_a_server_named_in_code(server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("GROQ_API_KEY", KEY)
    model(server)("hi")
    LM("groq/m", base_url=server.url, cache=False)("hi")
    assert [request.headers.get("authorization") for request in server.requests] == [None, None]
    model(server, api_key="mine")("hi")
    assert server.requests[2].headers["authorization"] == "Bearer mine"


def test_a_refused_call_without_key_says_that_none_was_sent():
    with FakeServer(key="needed") as server:
        with pytest.raises(LMAuthError, match="No key was sent: pass api_key="):
            model(server)("hi")
        with pytest.raises(LMAuthError, match="Check the key"):
            model(server, api_key="wrong")("hi")
        assert model(server, api_key="needed")("hi").text == "hi"


def everything_in(value: object, seen: set[int] | None = None, depth: int = 0) -> str:
    """All that can be seen of an object: repr, str and the same for its variables, slots and items."""
    seen = set() if seen is None else seen
    if id(value) in seen or depth > 8:
        return ""
    seen.add(id(value))
    text = repr(value) + str(value)
    inner = list(getattr(value, "__dict__", {}).values())
    if isinstance(value, dict):
        inner += [*value.keys(), *value.values()]
    elif isinstance(value, (list, tuple, set, frozenset)):
        inner += list(value)
    return text + "".join(everything_in(item, seen, depth + 1) for item in inner)


def test_the_key_is_nowhere_to_be_seen(server, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    lm = LM("openai/m", base_url=server.url, api_key=KEY, cache=str(tmp_path / "c.db"), extra={"k": 1}, retries=0)
    response = lm("hi")
    shown = everything_in(lm) + everything_in(response) + repr(lm.identity) + caplog.text
    for fault in (
        Fault.error(401, f"Incorrect API key provided: {KEY}"),
        Fault.error(400, f"Unsupported parameter: 'temperature' {KEY}", headers={"x-request-id": KEY}),
        Fault.garbage(f"not json {KEY}".encode()),
        Fault.garbage(json.dumps({"echo": KEY}).encode()),
        Fault.garbage(json.dumps({"error": KEY}).encode()),
        Fault.redirect(f"http://other.test/{KEY}"),
        Fault.drop(),
        Fault.cut(),
        Fault.not_http(),
    ):
        server.handler = lambda request, fault=fault: fault
        with pytest.raises(OutlastError) as caught:
            lm(f"question {fault.kind} {fault.body!r}".replace(KEY, ""), temperature=0.5)
        error = caught.value
        assert error.__cause__ is None
        assert error.__context__ is None
        shown += everything_in(error)
        if KEY not in repr(fault):  # what the server sent is what it sent; it is the rest that must be clean
            frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__) if "src" in frame.f_code.co_filename]
            assert len(frames) > 3
            shown += everything_in([list(frame.f_locals.values()) for frame in frames])
    start = max(0, shown.find(KEY) - 500)
    assert KEY not in shown, shown[start : start + 600]
    lm.inner.close()
    for file in tmp_path.iterdir():
        assert KEY.encode() not in file.read_bytes()


def test_a_pickle_leaves_the_key_behind_and_opens_the_same_model(monkeypatch):
    lm = LM("openai/gpt-5", api_key=KEY, temperature=0.5, extra={"k": [1]}, cache=False)
    data = pickle.dumps(lm)
    assert KEY.encode() not in data
    again = pickle.loads(data)
    assert again == lm
    assert again.options == lm.options
    with pytest.raises(ConfigError, match="needs a key"):
        again("hi")
    assert copy.deepcopy(lm) is lm
    assert copy.copy(lm) is lm


# One value


def test_models_are_equal_when_their_answers_have_the_same_source():
    assert LM("openai/m") == LM("openai/m", api_key="k", retries=9)
    assert hash(LM("openai/m")) == hash(LM("openai/m", timeout=3))
    different = [
        LM("openai/m"),
        LM("openai/n"),
        LM("openai/m", temperature=0.0),
        LM("openai/m", base_url="http://h/v1"),
        LM("openai/m", extra={"a": 1}),
        LM("openai/m", extra={"a": 2}),
        LM("openai/m", capabilities=Capabilities()),
        LM("vllm/m"),
    ]
    assert len(set(different)) == len(different)
    assert LM("openai/m") != "openai/m"
    assert "a" not in json.loads(LM("openai/m", extra={"secret-name": "secret-value"}).identity)["settings"]


def test_the_repr_shows_the_stack():
    assert repr(LM("openai/m", base_url="http://h/v1", retries=2, concurrency=8)) == (
        "LM('openai/m': Cached(Retrying(Limited(WireLM('m' at 'http://h/v1'), concurrency=8), retries=2)))"
    )
    assert "Cached" not in repr(LM("openai/m", cache=False))


def test_opening_imports_no_network_code_and_no_database():
    code = (
        "import sys, outlast as ol\nol.LM('openai/gpt-5')\n"
        "heavy = {'aiohttp', 'sqlite3', 'jiter', 'json_repair', 'numpy', 'openai'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# Calls


def test_settings_of_the_model_and_of_the_call_are_sent(server):
    lm = model(server, temperature=0.5, max_tokens=7, stop="\n", seed=3, extra={"top_k": 4})
    lm("hi", temperature=0.0, top_p=0.9)
    sent = server.requests[0].body
    del sent["messages"], sent["model"]
    assert sent == {"temperature": 0.0, "top_p": 0.9, "max_tokens": 7, "stop": ["\n"], "seed": 3, "top_k": 4}


def test_a_call_from_a_script_a_thread_async_code_and_a_notebook(server):
    lm = model(server)
    assert lm("script").text == "script"
    texts: list[str] = []
    thread = threading.Thread(target=lambda: texts.append(lm("thread").text))
    thread.start()
    thread.join()
    assert texts == ["thread"]

    async def from_async() -> str:
        return (await lm.acall("async")).text

    async def cell() -> str:
        return lm("cell").text  # a blocking call while a loop runs in this thread

    assert asyncio.run(from_async()) == "async"
    assert asyncio.run(cell()) == "cell"


def test_asyncio_run_twice_leaves_nothing_open(server, caplog):
    lm = LM("openai/m", base_url=server.url)

    async def several() -> set[str]:
        return {response.text for response in await asyncio.gather(*(lm.acall(str(n)) for n in range(20)))}

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            assert len(asyncio.run(several())) == 20
        gc.collect()
    assert [str(warning.message) for warning in caught] == []
    assert caplog.records == []
    assert server.count == 20


@pytest.mark.server
def test_a_script_that_just_ends_is_silent(server):
    code = (
        "import asyncio, sys, outlast as ol\nlm = ol.LM('openai/m', base_url=sys.argv[1])\n"
        "print(lm('one').text)\nprint(asyncio.run(lm.acall('two')).text)\nprint(lm('three').text)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, server.url], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "one\ntwo\nthree\n", "")


def test_the_cap_holds_and_is_reached():
    with FakeServer(latency=0.05) as server:
        lm = model(server, concurrency=5)

        async def many() -> None:
            await asyncio.gather(*(lm.acall(str(number)) for number in range(20)))

        asyncio.run(many())
        assert server.max_in_flight == 5


def test_the_default_cache_answers_again_and_tells_servers_apart(server):
    with FakeServer("other") as second:
        lm, other = LM("openai/m", base_url=server.url), LM("openai/m", base_url=second.url)
        assert [lm("hi").cache, lm("hi").cache] == ["miss", "hit"]
        assert other("hi").text == "other"
        assert LM("openai/m", base_url=server.url)("hi").cache == "hit"
        assert LM("openai/m", base_url=server.url, temperature=0.3)("hi").cache == "miss"
    assert server.count == 2


def test_answers_in_the_cache_need_no_key_and_no_server(server, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    LM("openai/m")("hi")
    monkeypatch.delenv("OPENAI_API_KEY")
    server.handler = lambda request: Fault.error(500)
    assert LM("openai/m", retries=0)("hi").cache == "hit"


def test_failures_are_tried_again_and_counted():
    with FakeServer(
        [Fault.error(503, retry_after=0), Fault.drop(), Fault.error(429, retry_after="0"), "fine"]
    ) as server:
        lm = model(server, retries=3)
        lm.inner.base = 0.001
        response = lm("hi")
        assert (response.text, response.attempts, server.count) == ("fine", 4, 4)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault.error(401), LMAuthError),
        (Fault.error(429, code="insufficient_quota"), LMQuotaError),
        (Fault.error(400, code="context_length_exceeded"), LMContextError),
        (Fault.error(404, "no such model"), LMRequestError),
        (Fault.redirect("http://127.0.0.1:1/v1"), LMRequestError),
        (Fault.empty(), LMResponseError),
        (Fault.html(), LMResponseError),
        (Fault.garbage(), LMResponseError),
        (Fault.huge(200_000), LMResponseError),
    ],
)
def test_what_waiting_cannot_mend_is_asked_once_and_carries_the_request(fault, kind):
    with FakeServer(fault) as server:
        with pytest.raises(kind) as caught:
            model(server, retries=3, max_response_bytes=100_000)("hi")
        assert server.count == 1
        if fault.kind != "huge":
            assert str(caught.value).startswith("openai/test: ")
        assert caught.value.request.messages == (user("hi"),)
        assert type(caught.value) is kind


def test_time_runs_out_for_a_whole_exchange():
    with FakeServer(latency=5) as server:
        with pytest.raises(LMTimeout, match=r"timeout=0.1 s"):
            model(server, timeout=0.1)("hi")


def test_price_gives_cost_and_unknown_stays_unknown(server):
    assert model(server, price=(1.0, 2.0))("a b c").usage.cost == pytest.approx(9e-6)
    assert model(server)("a b c").usage.cost is None


# Learning what a server refuses


def picky(*refused: str, message: str = "Unsupported parameter: '{}' is not supported with this model."):
    """A handler that refuses parameters the way OpenAI does."""

    def handler(request):
        for name in refused:
            if name in request:
                return Fault.error(400, message.format(name), param=name, code="unsupported_parameter")
        return "fine"

    return handler


def test_a_refused_parameter_is_dropped_once_remembered_and_told():
    with FakeServer(picky("temperature", "seed")) as server:
        lm = model(server, temperature=0.3, seed=1, top_p=0.5)
        first = lm("a")
        assert server.count == 3
        told = ("temperature=0.3 not sent: 'test' refuses 'temperature'", "seed=1 not sent: 'test' refuses 'seed'")
        assert first.adaptations == told
        assert (first.attempts, first.text) == (1, "fine")
        assert lm("b").adaptations == told
        assert server.count == 4
        assert server.requests[-1].body["top_p"] == 0.5


def test_many_calls_at_once_learn_together():
    with FakeServer(picky("temperature"), latency=0.02) as server:
        lm = model(server, temperature=0.3)

        async def many() -> list[str]:
            return [response.text for response in await asyncio.gather(*(lm.acall(str(n)) for n in range(20)))]

        assert asyncio.run(many()) == ["fine"] * 20


def test_the_other_name_of_max_tokens_is_tried_before_giving_it_up():
    with FakeServer(picky("max_tokens")) as server:
        response = model(server, max_tokens=5)("a")
        assert server.requests[-1].body["max_completion_tokens"] == 5
        assert response.adaptations == ()
    with FakeServer(picky("max_tokens", "max_completion_tokens")) as server:
        response = model(server, max_tokens=5)("a")
        assert server.count == 3
        assert response.adaptations == ("max_tokens=5 not sent: 'test' refuses 'max_completion_tokens'",)


def test_a_server_without_schemas_gets_json_and_one_without_json_gets_neither():
    def no_schema(request):
        kind = request.get("response_format", {}).get("type")
        if kind == "json_schema":
            return Fault.error(400, "This response_format type is unavailable now")
        return kind or "none"

    with FakeServer(no_schema) as server:
        lm = model(server, capabilities=BOTH)
        assert lm("a", output=SCHEMA).text == "json_object"
        assert lm("b", output=SCHEMA).adaptations == ("the JSON schema 'card' not sent: the model refuses schemas",)
        assert server.count == 3
    with FakeServer(picky("response_format")) as server:
        response = model(server, capabilities=BOTH)("a", output=SCHEMA)
        assert (response.text, server.count, len(response.adaptations)) == ("fine", 3, 1)


def test_one_bad_schema_goes_out_loose_and_others_stay_strict():
    def fussy(request):
        form = request["response_format"]["json_schema"]
        if form["strict"] and "minimum" in json.dumps(form["schema"]):
            return Fault.error(
                400, "Invalid schema for response_format 'n': 'minimum' is not permitted", param="response_format"
            )
        return "strict" if form["strict"] else "loose"

    bounded = OutputSchema("n", {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}})
    with FakeServer(fussy) as server:
        lm = model(server, capabilities=BOTH)
        assert lm("a", output=bounded).text == "loose"
        assert lm("b", output=bounded).text == "loose"
        assert server.count == 3
        assert "without strict" in lm("c", output=bounded).adaptations[0]
        assert lm("d", output=SCHEMA).text == "strict"


def test_what_the_user_puts_in_extra_is_never_dropped():
    with FakeServer(picky("top_k")) as server:
        with pytest.raises(LMRequestError, match="top_k"):
            model(server, extra={"top_k": 3})("a")
        assert server.count == 1


def test_a_server_that_refuses_for_ever_is_left_after_a_few_tries():
    with FakeServer(Fault.error(400, "Unsupported parameter: 'temperature'", param="temperature")) as server:
        with pytest.raises(LMRequestError, match="temperature"):
            model(server, temperature=0.5)("a")
        assert server.count == 2


def test_broken_text_goes_out_mended_and_told(server):
    response = model(server)("a \ud800 b")
    assert response.text == "a � b"
    assert response.adaptations == ("lone surrogates in the request replaced by U+FFFD",)


def test_errors_that_can_pass_are_retryable_and_say_when():
    with FakeServer(Fault.error(429, "slow down", retry_after=17)) as server:
        with pytest.raises(LMRateLimited, match="slow down") as caught:
            model(server)("a")
        assert (caught.value.retry_after, caught.value.retryable, caught.value.status) == (17.0, True, 429)
    with FakeServer(lambda request: completion("half", request) | {"choices": [], "error": {"message": "x"}}) as server:
        with pytest.raises(LMServerError):
            model(server)("a")


def test_a_program_runs_on_a_real_server():
    with FakeServer("<<answer>>\n42\n\n<<end>>") as server:
        with ol.context(lm=model(server)):
            assert ol.Predict("question -> answer: int")(question="6 * 7").answer == 42

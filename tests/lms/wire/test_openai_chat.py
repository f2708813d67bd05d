"""The OpenAI chat dialect as pure functions: what is sent, and what a reply means."""

from __future__ import annotations

import json
from types import MappingProxyType

import pytest

from outlast.errors import (
    LMAuthError,
    LMContextError,
    LMError,
    LMQuotaError,
    LMRateLimited,
    LMRequestError,
    LMResponseError,
    LMServerError,
    LMTimeout,
    UsageError,
)
from outlast.lms.protocol import Capabilities
from outlast.lms.wire import openai_chat
from outlast.lms.wire.dialect import Encoded, Told, Wire
from outlast.lms.wire.model import WireLM
from outlast.lms.wire.openai_chat_reply import CHAT, decode
from outlast.lms.wire.openai_errors import error_from, refused_parameter, refuses_schema, retry_after
from outlast.lms.wire.providers import PROVIDERS, Quirks
from outlast.lms.wire.reply import mend, object_in, serialize
from outlast.lms.wire.transport import Endpoint
from outlast.messages import Message, OutputSchema, Request, Settings, TextPart, assistant, system, user
from outlast.types import Label

SCHEMA = OutputSchema(
    "Triage card!", {"type": "object", "properties": {"team": {"type": "string"}}, "required": ["team"]}
)


def encode(request: Request, model: str, quirks: Quirks = Quirks(), **options) -> Encoded:
    return openai_chat.encode(request, Wire(model, quirks, **options))


def ask(settings: Settings = Settings(), output=None, **options) -> Encoded:
    return encode(Request((user("hi"),), settings, output), "m", **options)


def completion(message: dict | None = None, **changes) -> bytes:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": "yes", **(message or {})},
        "finish_reason": "stop",
    }
    choice |= {name: changes.pop(name) for name in ("finish_reason", "error") if name in changes}
    return json.dumps({"id": "c1", "model": "m-2026", "choices": [choice], **changes}).encode()


def read(body: bytes, price=None, **options):
    told = Told(**options)
    response = decode(object_in(body, told), told)
    return WireLM("m", Endpoint("http://h/v1"), CHAT, price=price)._priced(response)


# What is sent


def test_messages_go_out_in_order_with_their_roles_and_parts():
    turns = (system("s"), user("u"), assistant("a"), Message("user", (TextPart("x"), TextPart("y"))))
    assert encode(Request(turns), "gpt").body == {
        "model": "gpt",
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "content": "u"},
            {"role": "assistant", "content": "a"},
            {"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "text", "text": "y"}]},
        ],
    }


def test_unset_settings_are_not_sent_and_set_ones_are_even_when_zero():
    assert ask().body.keys() == {"model", "messages"}
    body, notes = ask(Settings(temperature=0.0, top_p=0.0, max_tokens=5, stop=("\n",), seed=0, reasoning="low"))[:2]
    del body["model"], body["messages"]
    assert body == {
        "temperature": 0.0,
        "top_p": 0.0,
        "max_tokens": 5,
        "stop": ["\n"],
        "seed": 0,
        "reasoning_effort": "low",
    }
    assert notes == ()


@pytest.mark.parametrize(
    ("provider", "expected"),
    [
        ("openai", {"max_completion_tokens": 9, "seed": 1, "reasoning_effort": "high"}),
        ("groq", {"max_completion_tokens": 9, "seed": 1, "reasoning_effort": "high"}),
        ("mistral", {"max_tokens": 9, "random_seed": 1, "reasoning_effort": "high"}),
        ("deepseek", {"max_tokens": 9, "seed": 1, "thinking": {"type": "enabled"}, "reasoning_effort": "high"}),
        ("vllm", {"max_tokens": 9, "seed": 1, "reasoning_effort": "high"}),
    ],
)
def test_each_provider_gets_the_names_it_knows(provider, expected):
    body = ask(Settings(max_tokens=9, seed=1, reasoning="high"), quirks=PROVIDERS[provider].quirks).body
    assert {name: value for name, value in body.items() if name not in ("model", "messages")} == expected


def test_reasoning_none_switches_thinking_off():
    assert ask(Settings(reasoning="none"), quirks=Quirks(reasoning="thinking")).body["thinking"] == {"type": "disabled"}
    body, notes = ask(Settings(reasoning="none"), quirks=Quirks(reasoning="template"))[:2]
    assert body["chat_template_kwargs"] == {"enable_thinking": False}
    assert notes == ()
    body, notes = ask(Settings(reasoning="low"), quirks=Quirks(reasoning="template"))[:2]
    assert body["chat_template_kwargs"] == {"enable_thinking": True, "reasoning_effort": "low"}
    assert "chat template" in notes[0]


def test_extra_is_merged_last_and_may_not_take_over_the_request():
    assert ask(Settings(temperature=0.5, extra={"temperature": 1, "top_k": 3})).body["temperature"] == 1
    for name in ("messages", "model", "stream", "n"):
        with pytest.raises(UsageError, match=repr(name)):
            ask(Settings(extra={name: 1}))


def test_a_request_without_messages_is_refused():
    with pytest.raises(UsageError, match="at least one message"):
        encode(Request(()), "m")


def test_refused_settings_are_left_out_and_told():
    body, notes = ask(Settings(temperature=0.3, seed=4), refused={"temperature"})[:2]
    assert "temperature" not in body
    assert body["seed"] == 4
    assert notes == ("temperature=0.3 not sent: 'm' refuses 'temperature'",)


def test_a_schema_goes_out_strict_with_a_name_that_is_allowed():
    body, notes = ask(output=SCHEMA)[:2]
    assert body["response_format"] == {
        "type": "json_schema",
        "json_schema": {
            "name": "Triage_card_",
            "strict": True,
            "schema": {
                "type": "object",
                "properties": {"team": {"type": "string"}},
                "required": ["team"],
                "additionalProperties": False,
            },
        },
    }
    assert notes == ()


def test_servers_without_the_strict_subset_get_the_schema_as_it_is():
    form = ask(output=SCHEMA, quirks=Quirks(strict=False)).body["response_format"]["json_schema"]
    assert form == {"name": "Triage_card_", "schema": SCHEMA.schema}


def test_a_schema_that_cannot_be_strict_goes_out_loose_and_says_so():
    open_object = OutputSchema("o", {"type": "object", "additionalProperties": {"type": "integer"}})
    body, notes = ask(output=open_object)[:2]
    assert body["response_format"]["json_schema"]["strict"] is False
    assert body["response_format"]["json_schema"]["schema"] == open_object.schema
    assert notes == ("the JSON schema 'o' sent without strict: an object has open properties",)


@pytest.mark.parametrize(
    ("capabilities", "refused", "output", "form", "told"),
    [
        (Capabilities(json_object=True), (), SCHEMA, "json_object", 1),
        (Capabilities(), (), SCHEMA, None, 1),
        (Capabilities(), (), "json", None, 1),
        (Capabilities(json_object=True), (), "json", "json_object", 0),
        (Capabilities(True, True), ("json_schema",), SCHEMA, "json_object", 1),
        (Capabilities(True, True), ("json_schema", "json_object"), SCHEMA, None, 1),
        (Capabilities(True, True), ("json_object",), "json", None, 1),
        (Capabilities(True, True), ("response_format",), SCHEMA, None, 1),
    ],
)
def test_output_falls_back_to_what_the_model_takes_and_tells(capabilities, refused, output, form, told):
    body, notes = ask(output=output, capabilities=capabilities, refused=refused)[:2]
    assert body.get("response_format", {}).get("type") == form
    assert len(notes) == told


def test_bytes_are_utf8_and_lone_surrogates_become_replacement_characters():
    assert serialize({"a": "é😀"}) == ('{"a":"é😀"}'.encode(), False)
    data, mended = serialize({"a": "x\ud800y", "b": "\ud83d\ude00", "\udfff": 1})
    assert mended
    assert json.loads(data) == {"a": "x�y", "b": "😀", "�": 1}
    assert mend("end\ud800") == "end�"


def test_bodies_take_mappings_and_refuse_what_json_cannot_hold():
    assert serialize({"a": MappingProxyType({"b": 1})})[0] == b'{"a":{"b":1}}'
    for value in (float("nan"), object(), b"bytes"):
        with pytest.raises(UsageError, match="JSON"):
            serialize({"a": value})


# What comes back


def test_a_reply_becomes_a_response():
    body = completion(
        usage={
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "total_tokens": 15,
            "prompt_tokens_details": {"cached_tokens": 8},
            "completion_tokens_details": {"reasoning_tokens": 3},
        }
    )
    label = Label(frozenset({"web"}))
    response = read(body, headers={"x-request-id": "r1"}, seconds=1.5, adaptations=("a",), label=label)
    assert (response.text, response.model, response.finish, response.request_id) == ("yes", "m-2026", "stop", "r1")
    usage = response.usage
    assert (usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.reasoning_tokens) == (10, 5, 8, 3)
    assert (usage.cost, usage.cost_source) == (None, None)
    assert (response.seconds, response.adaptations, response.label, response.cache) == (1.5, ("a",), label, "miss")


def test_counts_that_were_not_told_are_none_and_zero_stays_zero():
    told = read(completion(usage={"prompt_tokens": 0, "prompt_tokens_details": {"cached_tokens": 0}})).usage
    assert (told.input_tokens, told.cached_tokens, told.output_tokens, told.reasoning_tokens) == (0, 0, None, None)
    for usage in (None, [], {"prompt_tokens": "7", "completion_tokens": True}, {"prompt_tokens": -1}):
        assert read(completion(usage=usage)).usage.to_json() == {}


def test_deepseek_tells_cached_tokens_its_own_way():
    assert read(completion(usage={"prompt_cache_hit_tokens": 4})).usage.cached_tokens == 4


def test_reasoning_that_only_the_total_counts_is_added_to_the_output():
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 45}
    assert read(completion(usage=usage)).usage.output_tokens == 5
    assert read(completion(usage=usage), quirks=Quirks(hides_reasoning=True)).usage.output_tokens == 35
    details = {"completion_tokens_details": {"reasoning_tokens": 30}}
    assert read(completion(usage=usage | details)).usage.output_tokens == 35
    inside = {"prompt_tokens": 10, "completion_tokens": 35, "total_tokens": 45} | details
    assert read(completion(usage=inside)).usage.output_tokens == 35


def test_cost_comes_from_the_users_price_or_from_a_provider_that_charges_or_stays_unknown():
    usage = {"prompt_tokens": 1_000_000, "completion_tokens": 500_000, "cost": 0.25}
    priced = read(completion(usage=usage), price=(2.0, 8.0)).usage
    assert (priced.cost, priced.cost_source) == (6.0, "user")
    assert read(completion(usage=usage), price=(0.0, 0.0)).usage.cost == 0.0
    reported = read(completion(usage=usage), quirks=Quirks(reports_cost=True)).usage
    assert (reported.cost, reported.cost_source) == (0.25, "provider")
    assert read(completion(usage=usage)).usage.cost is None
    assert read(completion(), price=(2.0, 8.0)).usage.cost is None


@pytest.mark.parametrize(
    ("raw", "finish"),
    [
        ("stop", "stop"),
        ("eos", "stop"),
        ("length", "length"),
        ("MAX_TOKENS", "length"),
        ("content_filter", "content_filter"),
        ("SAFETY", "content_filter"),
        ("tool_calls", "tool_calls"),
        ("something new", "other"),
        (None, "other"),
    ],
)
def test_finish_reasons_are_one_small_set(raw, finish):
    assert read(completion(finish_reason=raw)).finish == finish


def test_native_reasoning_is_found_under_either_name_and_in_parts():
    assert read(completion({"reasoning_content": "so"})).reasoning == "so"
    assert read(completion({"reasoning": "thus"})).reasoning == "thus"
    assert read(completion({"reasoning": ""})).reasoning is None
    assert read(completion()).reasoning is None
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}, {"type": "text", "text": "m"}]},
        {"type": "text", "text": "a"},
        {"type": "text", "text": "b"},
    ]
    response = read(completion({"content": parts}))
    assert (response.text, response.reasoning) == ("ab", "hmm")


def test_a_refusal_is_text_that_no_adapter_takes_for_an_answer():
    response = read(completion({"content": None, "refusal": "I can't help with that."}))
    assert (response.text, response.finish) == ("I can't help with that.", "content_filter")


def test_no_content_is_empty_text():
    response = read(completion({"content": None, "tool_calls": [{}]}, finish_reason="tool_calls"))
    assert (response.text, response.finish) == ("", "tool_calls")


def test_broken_text_is_mended_and_told():
    body = completion({"content": "X"}).replace(b'"X"', b'"a\\ud800b"')
    response = read(body)
    assert response.text == "a�b"
    assert response.adaptations == ("lone surrogates in the reply replaced by U+FFFD",)
    assert read(completion({"content": "X"}).replace(b"X", b"\xff\xfe")).text == "��"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "empty body"),
        (b"  \n", "empty body"),
        (b"<html>", "not JSON but 'text/html'"),
        (b'{"choices": [', "not JSON"),
        (b"[1]", "a JSON list"),
        (b"{}", "no message"),
        (b'{"choices": []}', "no message"),
        (b'{"choices": [7]}', "no message"),
        (b'{"choices": [{"message": "x"}]}', "no message"),
        (b"[" * 100_000, "not JSON"),
        (b'{"choices": [{"message": {"content": ' + b"9" * 100_000 + b"}}]}", "not JSON"),
    ],
)
def test_what_is_no_completion_is_a_clear_error(body, words):
    with pytest.raises(LMResponseError, match=words) as caught:
        read(body, headers={"content-type": "text/html"}, subject="openai/m")
    assert str(caught.value).startswith("openai/m: ")
    assert not caught.value.retryable


def test_an_error_inside_a_reply_with_status_200_is_that_error():
    with pytest.raises(LMRateLimited, match="slow down"):
        read(json.dumps({"error": {"code": 429, "message": "slow down"}}).encode())
    with pytest.raises(LMServerError, match="upstream"):
        read(json.dumps({"error": "upstream died"}).encode())
    with pytest.raises(LMServerError, match="half way"):
        read(completion(error={"message": "half way"}))
    with pytest.raises(LMServerError, match="broke off"):
        read(completion(finish_reason="error"))


# What errors mean


def wrong(status: int, message: str = "m", *, headers: dict[str, str] | None = None, **fields) -> LMError:
    return error_from(status, headers or {}, json.dumps({"error": {"message": message, **fields}}).encode())


@pytest.mark.parametrize(
    ("error", "kind", "retryable"),
    [
        (wrong(400), LMRequestError, False),
        (wrong(401), LMAuthError, False),
        (wrong(402), LMQuotaError, False),
        (wrong(403), LMAuthError, False),
        (wrong(403, "Key out of credits"), LMQuotaError, False),
        (wrong(404), LMRequestError, False),
        (wrong(408), LMTimeout, True),
        (wrong(409), LMServerError, True),
        (wrong(413), LMRequestError, False),
        (wrong(422), LMRequestError, False),
        (wrong(429), LMRateLimited, True),
        (
            wrong(429, "You exceeded your current quota", code="insufficient_quota"),
            LMQuotaError,
            False,
        ),
        (wrong(429, type="insufficient_quota"), LMQuotaError, False),
        (wrong(498), LMRateLimited, True),
        (wrong(500), LMServerError, True),
        (wrong(501), LMRequestError, False),
        (wrong(503), LMServerError, True),
        (wrong(529), LMServerError, True),
        (wrong(400, code="context_length_exceeded"), LMContextError, False),
        (wrong(400, "This model's maximum context length is 8192 tokens."), LMContextError, False),
        (
            wrong(400, "the request exceeds the available context size", type="exceed_context_size_error"),
            LMContextError,
            False,
        ),
        (wrong(413, "prompt is too long: 250000 tokens > 200000"), LMContextError, False),
        (wrong(400, headers={"x-should-retry": "true"}), LMRequestError, True),
        (wrong(500, headers={"x-should-retry": "false"}), LMServerError, False),
        (wrong(401, headers={"x-should-retry": "true"}), LMAuthError, False),
        (wrong(429, code="insufficient_quota", headers={"x-should-retry": "true"}), LMQuotaError, False),
    ],
)
def test_statuses_and_codes_become_the_right_error(error, kind, retryable):
    assert type(error) is kind
    assert error.retryable is retryable


@pytest.mark.parametrize(
    "body",
    [
        b'{"error": {"message": "the reason"}}',
        b'{"error": "the reason"}',
        b'{"message": "the reason"}',
        b'{"detail": "the reason"}',
        b'{"detail": [{"msg": "the reason", "loc": ["body", "x"]}]}',
        b'[{"error": {"message": "the reason"}}]',
        b"the reason",
        b'{"other": "the reason"}',
    ],
)
def test_the_servers_reason_is_found_in_every_shape(body):
    error = error_from(400, {"x-request-id": "r-7"}, body, subject="groq/m")
    assert "the reason" in str(error)
    assert str(error).startswith("groq/m: HTTP 400, ")
    assert "r-7" in str(error)
    assert error.status == 400


def test_server_words_are_one_clean_short_line():
    text = str(error_from(400, {}, b"\x1b[31mred\x07\r\nnext " + b"x" * 100_000))
    assert text.isprintable()
    assert len(text) < 800
    assert "red next" in text


def test_a_redirect_shows_where_to_without_what_may_be_secret():
    error = error_from(307, {"location": "https://u:p@other.test/v1?token=abc"}, b"")
    assert "https://other.test/v1" in str(error)
    assert "abc" not in str(error)
    assert "u:p" not in str(error)


def test_a_key_that_the_server_echoes_is_taken_out():
    error = error_from(
        401, {}, b'{"error": {"message": "bad key sk-1/2"}}', redact=lambda t: t.replace("sk-1/2", "[key]")
    )
    assert "[key]" in str(error)
    escaped = error_from(
        401, {}, b'{"error": {"message": "bad key sk-1\\/2"}}', redact=lambda t: t.replace("sk-1/2", "[key]")
    )
    assert "sk-1" not in str(escaped)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "-5"}, 0.0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"x-ms-retry-after-ms": "500"}, 0.5),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, 40.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:00:00 GMT"}, 0.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT", "date": "Wed, 21 Oct 2026 07:27:50 GMT"}, 10.0),
    ],
)
def test_retry_after_is_read_in_every_form(headers, seconds):
    now = 1_792_567_640.0  # 2026-10-21 07:27:20 UTC
    assert retry_after(headers, now) == seconds


SENT = ("temperature", "seed", "response_format", "max_tokens", "reasoning_effort", "top_p", "stop")


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [
        (
            400,
            {"message": "Unsupported parameter: 'max_tokens'.", "param": "max_tokens"},
            "max_tokens",
        ),
        (
            400,
            {"message": "'temperature' does not support 0.0", "param": "temperature"},
            "temperature",
        ),
        (400, {"message": "Unrecognized request argument supplied: reasoning_effort"}, "reasoning_effort"),
        (400, {"message": "property 'seed' is unsupported"}, "seed"),
        (400, {"message": 'Unknown name "seed": Cannot find field.'}, "seed"),
        (400, {"message": "`temperature` is deprecated for this model"}, "temperature"),
        (400, {"message": "not supported", "param": "response_format.json_schema"}, "response_format"),
        (400, {"message": "This response_format type is unavailable now"}, "response_format"),
        (400, {"message": "temperature must be at most 2", "param": "temperature"}, None),
        (400, {"message": "unknown model 'x'"}, None),
        (400, {"message": "Unsupported parameter", "param": "logit_bias"}, None),
        (400, {"message": "max_tokens is not supported beyond the maximum context length of 9"}, None),
        (500, {"message": "Unsupported parameter: 'seed'", "param": "seed"}, None),
    ],
)
def test_a_refused_parameter_is_recognised_and_a_wrong_value_is_not(status, error, expected):
    assert refused_parameter(status, json.dumps({"error": error}).encode(), SENT) == expected


def test_a_refused_parameter_is_found_in_a_list_of_complaints():
    complaint = {"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}
    assert refused_parameter(422, json.dumps({"detail": [complaint]}).encode(), SENT) == "seed"
    assert refused_parameter(422, json.dumps({"message": {"detail": [complaint]}}).encode(), SENT) == "seed"


def test_a_complaint_about_one_schema_is_told_from_one_about_schemas():
    bad = {"message": "Invalid schema for response_format 'x': 'required' is required to be supplied"}
    assert refuses_schema(400, json.dumps({"error": bad}).encode())
    assert not refuses_schema(400, b'{"error": {"message": "response_format is not supported"}}')

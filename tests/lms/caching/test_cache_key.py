"""What is the same question: the key of a request, over generated requests and every field there is."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outlast.lms.caching.key import Keys
from outlast.lms.caching.redis_cache import _packed, _unpacked
from outlast.messages import (
    Decision,
    Message,
    OutputSchema,
    Question,
    Request,
    Response,
    Settings,
    TextPart,
    Thought,
    TokenLogprob,
    ToolCall,
    ToolResult,
    Usage,
    canonical,
    user,
)
from outlast.types import Audio, Document, File, Image, Label, Tool


def key(request: Request, identity: str = "m", namespace: str = "") -> bytes | None:
    return Keys(namespace).of(identity, request)


texts = st.text(st.characters(exclude_categories=()), max_size=12)
names = texts.map(lambda text: "".join(one for one in text if one.isprintable()) or "x")
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
data = st.binary(min_size=1, max_size=8)
parts = st.one_of(
    st.builds(TextPart, texts),
    st.builds(lambda d, n: Image("image/png", d, name=n), data, st.none() | names),
    st.builds(lambda d: Audio("audio/wav", d), data),
    st.builds(lambda d, n: File("text/plain", d, name=n), data, st.none() | names),
    st.sampled_from(["http://a/b.png", "http://a/c.png"]).map(lambda url: Image("image/png", url=url)),
    st.builds(Document, texts.filter(str.strip), texts, texts),
    st.builds(ToolCall, texts, texts, texts),
    st.builds(ToolResult, texts, texts, st.booleans()),
    st.builds(Thought, texts, texts, texts),
)
messages = st.builds(
    Message,
    st.sampled_from(["system", "user", "assistant", "tool"]),
    texts | st.lists(parts, max_size=3).map(tuple),
    st.booleans(),
)
schemas = st.dictionaries(texts, json_values, max_size=3)
options = st.builds(
    Settings,
    temperature=st.none() | st.sampled_from([0, 0.0, -0.0, 1, 1.0, 0.5]),
    top_p=st.none() | st.sampled_from([0.5, 1, 1.0]),
    max_tokens=st.none() | st.integers(1, 3),
    stop=st.none() | st.lists(texts, min_size=1, max_size=2).map(tuple),
    seed=st.none() | st.integers(0, 2),
    reasoning=st.none() | texts,
    extra=st.dictionaries(texts, json_values, max_size=2),
    show_reasoning=st.none() | st.booleans(),
    logprobs=st.none() | st.integers(0, 2),
    tier=st.none() | texts,
    prediction=st.none() | texts,
    parallel_tools=st.none() | st.booleans(),
    grammar=st.none() | texts,
)
labels = st.builds(Label, st.frozensets(texts, max_size=2), st.none() | st.frozensets(texts, max_size=2))
tools = st.builds(
    Tool,
    st.sampled_from(["look", "find"]),
    texts,
    schemas.map(lambda schema: {**schema, "type": "object"}),
    st.booleans(),
)
questions = st.sampled_from(
    [
        Question("yes_no", "a"),
        Question("yes_no", "b"),
        Question("choice", "a", ("x", "y")),
        Question("score", "a", low=1, high=3),
    ]
)
requests = st.builds(
    Request,
    messages=st.lists(messages, max_size=3).map(tuple),
    settings=st.just(Settings()) | options,
    output=st.none() | st.just("json") | st.builds(OutputSchema, texts, schemas),
    sample=st.integers(0, 2),
    label=st.just(Label()) | labels,
    tools=st.just(()) | st.lists(tools, max_size=2).map(tuple),
    tool_choice=st.sampled_from(["auto", "required", "none", "look"]),
    questions=st.just(()) | st.lists(st.tuples(texts, questions), max_size=2).map(tuple),
)


def told(value: Any) -> Any:
    """All that decides the answer, spelt out in plain values, without any code of ours."""
    if isinstance(value, Mapping):  # the order of a schema's properties decides
        return ("map", tuple((name, told(inner)) for name, inner in value.items()))
    if isinstance(value, list | tuple):
        return ("list", tuple(told(inner) for inner in value))
    if isinstance(value, Settings):
        plain = {f.name: getattr(value, f.name) for f in fields(value)}
        plain["extra"] = dict(sorted(plain["extra"].items()))
        plain = {name: told(inner) for name, inner in plain.items()}
        for name in ("temperature", "top_p"):
            plain[name] = getattr(value, name)  # 1 and 1.0 are equal
        return tuple(plain.items())
    if isinstance(value, Request):
        rest = {f.name: told(getattr(value, f.name)) for f in fields(value)}
        if not value.tools:
            rest["tool_choice"] = None  # no tool, no choice
        return tuple(rest.items())
    if isinstance(value, Label):
        return (value.sources, value.readers)
    if hasattr(value, "__dataclass_fields__"):
        inner = [(f.name, told(getattr(value, f.name))) for f in fields(value) if f.name != "cache"]
        return (type(value).__name__, tuple(inner))
    return (type(value).__name__, repr(value))


@settings(max_examples=400, deadline=None)
@given(requests, requests)
def test_two_requests_have_one_key_exactly_when_no_model_could_tell_them_apart(one: Request, two: Request) -> None:
    assert (key(one) == key(two)) == (told(one) == told(two))


@settings(max_examples=300, deadline=None)
@given(requests, st.data())
def test_a_change_of_any_field_is_another_key(request_: Request, data_: st.DataObject) -> None:
    other = data_.draw(requests)
    name = data_.draw(st.sampled_from([f.name for f in fields(Request)]))
    changed = replace(request_, **{name: getattr(other, name)})
    assert (key(changed) == key(request_)) == (told(changed) == told(request_))


def changed_settings() -> Iterator[Settings]:
    values = {
        "temperature": 0.5, "top_p": 0.5, "max_tokens": 7, "stop": ("x",), "seed": 3, "reasoning": "low",
        "extra": {"a": 1}, "show_reasoning": True, "logprobs": 2, "tier": "flex", "prediction": "p",
        "parallel_tools": False, "grammar": "g",
    }  # fmt: skip
    assert set(values) == {f.name for f in fields(Settings)}, "a new setting: say here how it changes"
    for name, value in values.items():
        yield replace(Settings(), **{name: value})
    yield Settings(show_reasoning=False)
    yield Settings(parallel_tools=True)
    yield Settings(logprobs=0)


def test_every_setting_and_every_field_is_part_of_the_key() -> None:
    base = Request((user("x"),), tools=(Tool("look"),))
    variants: dict[str, list[Any]] = {
        "messages": [(user("y"),), (user("x"), Message("assistant", "x"))],
        "settings": list(changed_settings()),
        "output": ["json", OutputSchema("a", {})],
        "sample": [1, 2],
        "label": [Label(frozenset({"web"})), Label(readers=frozenset({"me"}))],
        "tools": [(), (Tool("look", "d"),), (Tool("look", strict=True),), (Tool("look"), Tool("find"))],
        "tool_choice": ["required", "none", "look"],
        "questions": [(("q", Question("yes_no", "Is it?")),)],
    }
    assert set(variants) == {f.name for f in fields(Request)}, "a new field: say here how it changes"
    keys = [key(base), *(key(replace(base, **{name: value})) for name in variants for value in variants[name])]
    assert None not in keys
    assert len(set(keys)) == len(keys)


def test_breakpoints_of_the_prompt_cache_are_no_part_of_the_key() -> None:
    assert key(Request((Message("user", "x", cache=True),))) == key(Request((user("x"),)))
    rich = (TextPart("x"),)
    assert key(Request((Message("user", rich, True),))) == key(Request((Message("user", rich),)))


def test_equal_values_written_in_another_way_have_one_key() -> None:
    def extra(value: Any) -> bytes | None:
        return key(Request((user("x"),), Settings(temperature=1, extra=value)))

    assert extra({"a": 1, "b": 2}) == extra(MappingProxyType({"b": 2, "a": 1}))
    assert key(Request((user("x"),), Settings(temperature=1))) == key(Request((user("x"),), Settings(temperature=1.0)))
    assert key(Request((user("x"),), Settings())) == key(Request((user("x"),)))


def test_namespaces_and_identities_are_separate_worlds() -> None:
    request = Request((user("x"),))
    keys = [key(request, i, n) for i, n in [("m", ""), ("m", "a"), ("n", "a"), ("", "m"), ("m\n1", ""), ("", "")]]
    assert len(set(keys)) == len(keys)
    keep = Keys("a")
    assert [keep.of(i, request) for i in ("m", "n", "m")] == [keys[1], keys[2], keys[1]]


def test_all_of_a_typed_question_is_part_of_the_key() -> None:
    ask = Question("yes_no", "Is it?")
    asked: list[tuple[tuple[str, Question], ...]] = [
        (),
        (("q", ask),),
        (("r", ask),),
        (("q", Question("yes_no", "Is it not?")),),
        (("q", Question("choice", "Is it?", ("yes", "no"))),),
        (("q", Question("choice", "Is it?", ("no", "yes"))),),
        (("q", Question("choice", "Is it?", ("yes", "no"), described=(("no", "d"),))),),
        (("q", Question("score", "Is it?", low=1, high=2)),),
        (("q", Question("score", "Is it?", low=1, high=3)),),
        (("q", ask), ("r", ask)),
        (("r", ask), ("q", ask)),
        (("q", ask), ("q", ask)),
    ]
    keys = [key(Request((user("x"),), questions=questions)) for questions in asked]
    assert len(set(keys)) == len(keys)
    assert key(Request((user("x"),), questions=(("q", Question("yes_no", "Is it?")),))) == keys[1]


def test_what_json_cannot_hold_has_no_key() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for value in (object(), deep, {1, 2}):
        assert key(Request((user("x"),), Settings(extra={"f": value}))) is None


responses = st.builds(
    Response,
    text=texts,
    model=texts,
    reasoning=st.none() | texts,
    usage=st.builds(Usage, *[st.none() | st.integers(0, 9)] * 4, st.none() | st.floats(0, 1), st.none() | texts),
    finish=st.sampled_from(["stop", "length", "content_filter", "tool_calls", "other"]),
    request_id=st.none() | texts,
    adaptations=st.lists(texts, max_size=2).map(tuple),
    label=st.just(Label()) | labels,
    tool_calls=st.lists(st.builds(ToolCall, texts, texts, texts), max_size=2).map(tuple),
    thoughts=st.lists(st.builds(Thought, texts, texts, texts), max_size=2).map(tuple),
    logprobs=st.none() | st.just((TokenLogprob("t", -0.1, (("u", -2.0),)),)),
    decisions=st.just(()) | st.just((("q", Decision(2, {"1": 0.25, "2": 0.75}, "samples")),)),
)


@settings(max_examples=300, deadline=None)
@given(responses, st.binary(min_size=20, max_size=20), st.integers(0, 1 << 41), st.data())
def test_what_a_store_gives_back_is_what_was_put_or_nothing(
    response: Response, key_: bytes, made: int, data_: st.DataObject
) -> None:
    text = canonical(response.to_json())
    assert Response.from_json(json.loads(text)) == response
    packed = _packed(key_, text, made)
    assert _unpacked(key_, packed) == (text, made)
    other = bytes(reversed(key_))
    assert other == key_ or _unpacked(other, packed) is None
    place = data_.draw(st.integers(0, len(packed) - 1))
    damaged = bytearray(packed)
    damaged[place] ^= data_.draw(st.integers(1, 255))
    assert _unpacked(key_, bytes(damaged)) in (None, (text, made))
    assert _unpacked(key_, packed[:place]) in (None, (text, made))


ELSEWHERE = """
import sys
from outlast.lms.caching.key import Keys
from outlast.messages import *
from outlast.types import *
request = Request(
    (system("s"), Message("user", (TextPart("t"), Image("image/png", b"12")))),
    Settings(temperature=0.5, extra={"b": 1}),
    OutputSchema("n", {"b": 1, "a": 2}), 3, Label(frozenset({"z", "y", "x"})), (Tool("look"),), "look",
)
print(Keys("space").of("model", request).hex())
"""


@pytest.mark.server
def test_another_process_makes_the_same_key() -> None:
    keys = {
        subprocess.run(
            [sys.executable, "-c", ELSEWHERE], capture_output=True, text=True, check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
        ).stdout
        for seed in ("1", "2", "3")
    }  # fmt: skip
    assert len(keys) == 1

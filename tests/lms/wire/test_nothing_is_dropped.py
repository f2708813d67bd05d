"""Whatever a dialect cannot say is noted or refused: no setting, tool or schema goes missing in silence."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import pytest

from outlast.errors import LMUnsupported, UsageError
from outlast.lms.protocol import Capabilities
from outlast.lms.wire.decisions import DECISIONS, SYSTEM_ONE, encode_asked
from outlast.lms.wire.dialect import Wire
from outlast.lms.wire.dialects import NAMES, dialect_named
from outlast.lms.wire.providers import PROVIDERS
from outlast.messages import (
    Message,
    OutputSchema,
    Question,
    Request,
    Settings,
    TextPart,
    Thought,
    ToolCall,
    ToolResult,
    assistant,
    user,
)
from outlast.types import Audio, Document, File, Image, Tool

VALUES: dict[str, Any] = {
    "temperature": 0.5,
    "top_p": 0.5,
    "max_tokens": 77,
    "stop": ("END",),
    "seed": 7,
    "reasoning": "low",
    "show_reasoning": True,
    "logprobs": 3,
    "tier": "flex",
    "prediction": "draft",
    "parallel_tools": False,
    "grammar": 'root ::= "yes"',
    "extra": {"made_up": 1},
}
TOOL = Tool("look", "Look.", {"type": "object", "properties": {}, "additionalProperties": False})
PLAIN = Request((user("hi"),))
CALLING = Request((user("hi"),), tools=(TOOL,))
PARTS = {
    "image": Image("image/png", b"\x89PNG\r\n\x1a\n0"),
    "audio": Audio("audio/wav", b"RIFF0000WAVE"),
    "file": File("application/pdf", b"%PDF-1.4", name="a.pdf"),
}
EVERY = [(dialect, provider) for provider, row in PROVIDERS.items() for dialect in (row.dialect,)]


def test_every_setting_has_a_value_here():
    assert VALUES.keys() == {field.name for field in fields(Settings)}


def changes(dialect: str, wire: Wire, request: Request, other: Request) -> bool:
    """Whether two requests differ on the wire, or one of them is noted or refused."""
    speak = dialect_named(dialect)
    before = speak.encode(request, wire, False)
    try:
        after = speak.encode(other, wire, False)
    except LMUnsupported:
        return True
    return after.body != before.body or len(after.adaptations) > len(before.adaptations)


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize(("dialect", "provider"), EVERY)
def test_a_setting_is_sent_noted_or_refused(dialect, provider, name):
    row = PROVIDERS[provider]
    for base in (PLAIN, CALLING, replace(CALLING, tool_choice="none")):
        other = replace(base, settings=replace(Settings(), **{name: VALUES[name]}))
        for model in ("some-model", "gpt-5-mini", "claude-opus-5-1", "deepseek-reasoner"):
            wire = Wire(model, row.quirks, row.capabilities(model))
            assert changes(dialect, wire, base, other), f"{provider}/{model} says nothing of {name}"


@pytest.mark.parametrize("dialect", NAMES)
def test_schemas_tools_media_and_prefills_are_too(dialect):
    schema = OutputSchema("reply", {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]})
    for capabilities in (Capabilities(), Capabilities(json_schema=True, tools=True, images=True)):
        wire = Wire("m", capabilities=capabilities)
        for other in (
            replace(PLAIN, output=schema),
            replace(PLAIN, output="json"),
            CALLING,
            replace(CALLING, tool_choice="required"),
            replace(CALLING, tool_choice="look"),
            Request((user("hi"), assistant("start"))),
            *(Request((Message("user", (TextPart("hi"), part)),)) for part in PARTS.values()),
        ):
            assert changes(dialect, wire, PLAIN, other), other
        assert changes(dialect, wire, CALLING, replace(CALLING, tool_choice="required"))


SAID = {  # parts, and what of them is to be seen in the body
    "text": (TextPart("marked-text"), "marked-text"),
    "document": (Document("marked-document", "title"), "marked-document"),
    "image": (PARTS["image"], PARTS["image"].base64),
    "audio": (PARTS["audio"], PARTS["audio"].base64),
    "file": (PARTS["file"], PARTS["file"].base64),
    "call": (ToolCall("call_1", "marked_call", "{}"), "marked_call"),
    "result": (ToolResult("call_1", "marked-result"), "marked-result"),
    "thought": (Thought("marked-thought", "{}", "another-dialect"), "marked-thought"),
}


@pytest.mark.parametrize("role", ["system", "user", "assistant", "tool"])
@pytest.mark.parametrize("part", SAID)
@pytest.mark.parametrize("dialect", NAMES)
def test_a_part_is_sent_noted_or_refused_in_whatever_turn_it_stands(dialect, part, role):
    held, mark = SAID[part]
    for content in ((held,), (TextPart("hi"), held), (held, ToolCall("call_2", "look", "{}"))):
        request = Request((user("hi"), Message(role, content), user("go on")))
        try:
            encoded = dialect_named(dialect).encode(request, Wire("m"), False)
        except LMUnsupported:
            continue
        assert mark in json.dumps(encoded.body) or "not sent" in str(encoded.adaptations), content


@pytest.mark.parametrize("role", ["system", "user", "assistant", "tool"])
@pytest.mark.parametrize("part", SAID)
@pytest.mark.parametrize("dialect", [DECISIONS, SYSTEM_ONE], ids=lambda dialect: dialect.name)
def test_a_part_is_so_among_typed_questions_too(dialect, part, role):
    held, mark = SAID[part]
    request = Request((user("hi"), Message(role, (held,))), questions=(("sure", Question("yes_no", "Sure?")),))
    try:
        encoded = encode_asked(dialect, request, "m")
    except LMUnsupported:
        return
    assert mark in json.dumps(encoded.body) or "not sent" in str(encoded.adaptations)


@pytest.mark.parametrize("dialect", NAMES)
def test_calls_and_results_in_the_wrong_turn_are_refused(dialect):
    for role, part in (
        ("user", "call"), ("system", "call"), ("tool", "call"), ("assistant", "result"), ("system", "result"),
    ):  # fmt: skip
        with pytest.raises(LMUnsupported, match=f"'{role}' has Tool"):
            dialect_named(dialect).encode(Request((Message(role, (SAID[part][0],)), user("hi"))), Wire("m"), False)
    encoded = dialect_named(dialect).encode(Request((Message("user", (SAID["thought"][0],)),)), Wire("m"), False)
    assert "reasoning in a turn of the role 'user' not sent: only the assistant has any" in encoded.adaptations


@pytest.mark.parametrize("dialect", NAMES)
@pytest.mark.parametrize("role", ["user", "assistant"])
def test_an_empty_turn_is_sent_or_noted(dialect, role):
    for content in ("", ()):
        assert changes(dialect, Wire("m"), PLAIN, Request((user("hi"), Message(role, content), user("go on"))))
        other = Request((user("hi"), Message(role, content)))
        assert changes(dialect, Wire("m"), PLAIN, other)


@pytest.mark.parametrize("dialect", NAMES)
def test_what_means_nothing_is_no_request(dialect):
    for request, words in (
        (replace(PLAIN, tool_choice="required"), "there are none"),
        (replace(PLAIN, tool_choice="look"), "name of a tool"),
        (replace(CALLING, tools=(TOOL, TOOL)), "two that are named 'look'"),
        (Request((Message("user", ("hello",)),)), "TextPart"),  # pyright: ignore[reportArgumentType]
    ):
        with pytest.raises(UsageError, match=words):
            dialect_named(dialect).encode(request, Wire("m"), False)


def test_showing_no_reasoning_is_left_out_where_there_is_no_word_for_it():
    for dialect in ("openai-chat", "anthropic-messages"):
        settings = Settings(show_reasoning=False)
        encoded = dialect_named(dialect).encode(replace(PLAIN, settings=settings), Wire("m"), False)
        assert any("show_reasoning=False not sent" in text for text in encoded.dropped)


@pytest.mark.parametrize("dialect", NAMES)
def test_the_bytes_of_a_text_file_arrive_or_it_is_refused(dialect):
    for data in (b"\xff\xfeabc", "grün".encode("latin-1")):
        held = File("text/plain", data, name="a.txt")
        request = Request((Message("user", (held,)),))
        if dialect == "anthropic-messages":  # which takes text as text
            with pytest.raises(LMUnsupported, match="UTF-8"):
                dialect_named(dialect).encode(request, Wire("m"), False)
        else:
            assert held.base64 in str(dialect_named(dialect).encode(request, Wire("m"), False).body)
    fine = File("text/plain", "grün".encode(), name="a.txt")
    body = str(dialect_named(dialect).encode(Request((Message("user", (fine,)),)), Wire("m"), False).body)
    assert fine.base64 in body or "grün" in body

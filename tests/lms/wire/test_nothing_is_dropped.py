"""Whatever a dialect cannot say is noted or refused: no setting, tool or schema goes missing in silence."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from outlast.errors import LMUnsupported
from outlast.lms.protocol import Capabilities
from outlast.lms.wire.dialect import Wire
from outlast.lms.wire.dialects import NAMES, dialect_named
from outlast.lms.wire.providers import PROVIDERS
from outlast.messages import Message, OutputSchema, Request, Settings, TextPart, assistant, user
from outlast.types import Audio, File, Image, Tool

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
    base = CALLING if name == "parallel_tools" else PLAIN
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

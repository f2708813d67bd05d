"""A document is sent in every dialect: as one that can be cited where there is such a thing, else as its text."""

from __future__ import annotations

import json

import pytest

import outlast as ol
from outlast.lms.protocol import Capabilities
from outlast.lms.wire.dialect import Wire
from outlast.lms.wire.dialects import NAMES, dialect_named
from outlast.lms.wire.providers import PROVIDERS
from outlast.messages import Message, Request, Settings, TextPart

LETTER = ol.Document("My car is broken.", title="Letter", source="mail/17")
REQUEST = Request((Message("user", (TextPart("[document 1]"), LETTER, TextPart("?"))),), Settings(max_tokens=9))


@pytest.mark.parametrize("name", NAMES)
def test_no_dialect_drops_a_document(name: str) -> None:
    encoded = dialect_named(name).encode(REQUEST, Wire("m", capabilities=Capabilities(citations=True)))
    text = json.dumps(encoded.body)
    for word in ("My car is broken.", "Letter", "mail/17"):
        assert word in text


def test_anthropic_gets_a_document_to_cite() -> None:
    row = PROVIDERS["anthropic"]
    wire = Wire("claude-opus-5", row.quirks_of("claude-opus-5"), row.capabilities("claude-opus-5"))
    content = dialect_named("anthropic-messages").encode(REQUEST, wire).body["messages"][0]["content"]
    assert content[1] == {
        "type": "document",
        "source": {"type": "text", "media_type": "text/plain", "data": "My car is broken."},
        "context": "Source: mail/17",
        "title": "Letter",
        "citations": {"enabled": True},
    }


def test_chat_and_responses_get_its_text() -> None:
    wire = Wire("m", capabilities=Capabilities(citations=True))
    chat = dialect_named("openai-chat").encode(REQUEST, wire).body["messages"][0]["content"]
    assert chat[1] == {"type": "text", "text": LETTER.__prompt__()}
    responses = dialect_named("openai-responses").encode(REQUEST, wire).body["input"][0]["content"]
    assert responses[1] == {"type": "input_text", "text": LETTER.__prompt__()}

"""The exact JSON that each dialect sends, so that a change is a visible diff.

`OUTLAST_GOLDEN=update make test` writes the files anew.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from outlast.errors import LMUnsupported
from outlast.lms.wire.dialect import Wire
from outlast.lms.wire.dialects import NAMES, dialect_named
from outlast.lms.wire.providers import PROVIDERS
from outlast.messages import (
    Message,
    OutputSchema,
    Request,
    Settings,
    TextPart,
    Thought,
    ToolCall,
    ToolResult,
    assistant,
    system,
    user,
)
from outlast.types import File, Image, Tool

GOLDEN = Path(__file__).parent / "golden"
PNG = b"\x89PNG\r\n\x1a\n-"
CARD = OutputSchema(
    "Triage card!",
    {
        "type": "object",
        "properties": {
            "why": {"type": "string", "description": "first think", "minLength": 3},
            "team": {"type": "string", "enum": ["billing", "cards"]},
            "urgency": {"type": "integer", "minimum": 1, "maximum": 5},
            "note": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
        },
        "required": ["why", "team", "urgency"],
    },
)
FIND = Tool(
    "find",
    "Look a word up.",
    {"type": "object", "properties": {"word": {"type": "string", "maxLength": 40}}, "required": ["word"]},
    strict=True,
)
NOW = Tool("now")
ALL = Settings(
    temperature=0.5,
    top_p=0.9,
    max_tokens=2000,
    stop=("\n\n", "END"),
    seed=7,
    reasoning="low",
    show_reasoning=True,
    logprobs=3,
    tier="flex",
    prediction="as before",
    grammar='root ::= "yes" | "no"',
    parallel_tools=False,
    extra={"metadata": {"run": "1"}},
)


def spoken(origin: str, state: str) -> tuple[Message, ...]:
    """A conversation with a thought, two calls, one of which failed, and the reply to them."""
    return (
        system("Be brief."),
        user("What is a fob?"),
        Message(
            "assistant",
            (
                Thought("I should look it up.", state, origin),
                Thought("Not mine.", '{"item": {}}', "another-dialect"),
                TextPart("One moment."),
                ToolCall("call_1", "find", '{"word": "fob"}'),
                ToolCall("call:2", "now", "not json"),
            ),
        ),
        Message("tool", (ToolResult("call_1", "a small pocket"),)),
        Message("tool", (ToolResult("call:2", "no clock", error=True),)),
        user("And?"),
    )


def cases(origin: str, state: str) -> dict[str, Request]:
    """Every case by name; `state` is that of a thought of the dialect called `origin`."""
    media = (
        TextPart("What is this?"),
        Image("image/png", PNG),
        Image.from_url("https://example.org/a.jpg"),
        File("application/pdf", b"%PDF-1.4", name="a.pdf"),
        File("text/plain", "Grüße".encode(), name="Letter"),
    )
    return {
        "plain": Request((system("Be brief."), user("hi"), assistant("Hello."), user("bye"))),
        "settings": Request((user("hi"),), ALL),
        "schema": Request((user("hi"),), Settings(max_tokens=100), CARD),
        "json": Request((user("hi"),), Settings(max_tokens=100), "json"),
        "tools": Request((user("hi"),), Settings(max_tokens=100), tools=(FIND, NOW), tool_choice="find"),
        "conversation": Request(spoken(origin, state), Settings(max_tokens=100), tools=(FIND, NOW)),
        "media": Request((Message("user", media),), Settings(max_tokens=100)),
        "cached": Request(
            (
                Message("system", "Long instructions.", cache=True),
                Message("user", (TextPart("Long document."),), cache=True),
                assistant("Read."),
                user("One"),
                assistant("two"),
                Message("user", "three", cache=True),
                Message("assistant", "four", cache=True),
                Message("user", "five", cache=True),
            ),
            Settings(max_tokens=100),
        ),
    }


ITEM = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "sealed"}
STATES = {
    "openai-chat": "",
    "openai-responses": json.dumps({"item": ITEM, "before": "call_1"}),
    "anthropic-messages": json.dumps({"type": "thinking", "thinking": "I should look it up.", "signature": "sealed"}),
}
# A common form of each dialect, and providers with their own.
WIRES = {
    "openai-chat": ("openai-chat", Wire("m")),
    "openai-responses": ("openai-responses", Wire("m")),
    "anthropic-messages": ("anthropic-messages", Wire("m")),
    **{
        name.replace("/", "-"): (PROVIDERS[name.split("/")[0]].dialect, wire)
        for name in (
            "openai/gpt-5-mini",
            "openai-responses/gpt-5-mini",
            "openai-responses/gpt-4.1",
            "anthropic/claude-opus-5-5",
            "anthropic/claude-sonnet-4-5",
            "gemini/gemini-3-flash",
            "deepseek/deepseek-chat",
            "mistral/mistral-small",
            "openrouter/some",
            "vllm/some",
        )
        for provider, _, model in [name.partition("/")]
        for wire in [
            Wire(model, PROVIDERS[provider].quirks_of(model), PROVIDERS[provider].capabilities(model)),
        ]
    },
}


def written(wire_name: str) -> dict[str, object]:
    """Every case as it goes on the wire, and what is noted about it."""
    dialect, wire = WIRES[wire_name]
    told: dict[str, object] = {}
    for name, request in cases(dialect, STATES[dialect]).items():
        try:
            encoded = dialect_named(dialect).encode(request, wire, name == "plain")
        except LMUnsupported as error:
            told[name] = {"refused": str(error)}
            continue
        told[name] = {"body": encoded.body, "adaptations": encoded.adaptations, "dropped": len(encoded.dropped)}
        if encoded.stop:
            told[name] |= {"stop": encoded.stop}
    return told


@pytest.mark.parametrize("name", WIRES)
def test_the_body_is_the_golden_one(name: str) -> None:
    text = json.dumps(written(name), indent=1, ensure_ascii=False, default=dict) + "\n"
    path = GOLDEN / f"{name}.json"
    if os.environ.get("OUTLAST_GOLDEN") == "update":
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8"), f"{path} differs; OUTLAST_GOLDEN=update writes it anew"


def test_every_golden_file_has_a_case_and_every_dialect_a_file() -> None:
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(WIRES)
    assert set(NAMES) <= set(WIRES)

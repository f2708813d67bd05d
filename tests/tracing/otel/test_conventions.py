"""Our names and shapes beside those of the package that OpenTelemetry's own instrumentations write with.

`make test-otel` brings it; it is a beta and moves, so it is not in the environment of the other tests.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.util import genai
from opentelemetry.util.genai import types

from outlast.tracing.otel import Traced, exported
from outlast.tracing.otel.conventions import GenAI

PARTS = {
    "text": types.TextPart,
    "reasoning": types.ReasoningPart,
    "tool_call": types.ToolCallRequestPart,
    "tool_call_response": types.ToolCallResponsePart,
    "uri": types.UriPart,
}


def test_every_name_is_one_of_theirs() -> None:
    folder = Path(str(genai.__file__)).parent
    written = {found for file in folder.rglob("*.py") for found in re.findall(r"gen_ai\.[a-z_.]+", file.read_text())}
    known = {value for value in vars(gen_ai_attributes).values() if isinstance(value, str)}
    mine = {value for name, value in vars(GenAI).items() if name.isupper() and value.startswith("gen_ai.")}
    events = {GenAI.EVALUATION, GenAI.EVALUATION_NAME, GenAI.EVALUATION_SCORE}
    events |= {GenAI.EVALUATION_LABEL, GenAI.EVALUATION_EXPLANATION}  # of their documentation alone
    operations = {item.value for item in gen_ai_attributes.GenAiOperationNameValues}
    assert mine - written - known - events <= {GenAI.RESPONSE_FIRST_CHUNK, GenAI.WORKFLOW, GenAI.AGENT_VERSION}
    assert {GenAI.CHAT, GenAI.EXECUTE_TOOL, GenAI.INVOKE_AGENT} <= operations


def test_messages_have_the_shape_of_theirs(traced: Traced) -> None:
    found: list[dict[str, Any]] = []
    for span in exported(traced, "gen_ai", content=True):
        for name in (GenAI.INPUT_MESSAGES, GenAI.OUTPUT_MESSAGES):
            for message in json.loads(str(span.attributes.get(name, "[]"))):
                kind = types.InputMessage if name == GenAI.INPUT_MESSAGES else types.OutputMessage
                assert kind(**message).role in ("user", "assistant", "tool")
                found += message["parts"]
        found += json.loads(str(span.attributes.get(GenAI.SYSTEM_INSTRUCTIONS, "[]")))
    kinds = {part["type"] for part in found}
    assert kinds == {*PARTS, "outlast.blob"}  # the last is a type of ours: theirs would need the bytes
    for part in found:
        if part["type"] in PARTS:
            assert PARTS[part["type"]](**part).type == part["type"]


def test_tools_have_the_shape_of_theirs(traced: Traced) -> None:
    call = exported(traced, "gen_ai", content=True)[2]
    (tool,) = json.loads(str(call.attributes[GenAI.TOOL_DEFINITIONS]))
    assert types.FunctionToolDefinition(**tool).name == "look"


def test_ends_have_the_words_of_theirs() -> None:
    from outlast.tracing.otel.messages import finish_of

    known = set(getattr(types.FinishReason, "__args__", ()))
    if not known:
        pytest.fail("the package no longer lists how a reply ends; look it up anew")
    assert {finish_of(word) for word in ("stop", "length", "content_filter", "tool_calls", "other")} <= known

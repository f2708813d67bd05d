"""What we send is what the official packages' types describe, member by member."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast

import pydantic
import pytest
from anthropic.types import message_create_params
from openai.types import decision_create_params
from openai.types.chat import completion_create_params
from openai.types.responses import response_create_params

from outlast.lms.wire.decisions import encode_decisions
from outlast.messages import Message, Question, Request, TextPart, ToolCall, ToolResult, assistant, system, user
from outlast.types import Image

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.json"))
CHAT = completion_create_params.CompletionCreateParamsNonStreaming
RESPONSES = response_create_params.ResponseCreateParamsNonStreaming
MESSAGES = message_create_params.MessageCreateParamsNonStreaming
# What is sent beyond the types: an older API version's, or another server's than the one the package is for.
BEYOND = {
    "anthropic-messages": {"temperature", "top_p"},
    "anthropic-claude-sonnet-4-5": {"temperature", "top_p"},
    "deepseek-deepseek-chat": {"thinking"},
    "mistral-mistral-small": {"random_seed"},
    "openrouter-some": {"reasoning"},
    "vllm-some": {"structured_outputs"},
}


@cache
def adapter_of(kind: Any) -> pydantic.TypeAdapter[Any]:
    """The one that checks this type; it has to live as long as what it made is being read."""
    return pydantic.TypeAdapter(kind)


def checked(kind: Any, body: Mapping[str, Any]) -> Any:
    """The body as the type reads it, raising for what does not fit."""
    return exhausted(adapter_of(kind).validate_python(body))


def exhausted(value: Any) -> Any:
    """The value with all that pydantic checks only when it is taken."""
    if isinstance(value, Mapping):
        return {name: exhausted(part) for name, part in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes)):
        return [exhausted(part) for part in cast("Iterable[Any]", value)]
    return value


def with_ids(item: dict[str, Any]) -> dict[str, Any]:
    """A message of the model with what the type demands and no server does of messages that it does not keep."""
    if item.get("type") != "message":
        return item
    parts = [{"annotations": [], **part} for part in item["content"]]
    return {"id": "msg_1", "status": "completed", **item, "content": parts}


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_bodies_fit_the_official_types(path: Path) -> None:
    kind = MESSAGES if path.stem.startswith("anthropic") else RESPONSES if "responses" in path.stem else CHAT
    bodies = [case["body"] for case in json.loads(path.read_text()).values() if "body" in case]
    assert bodies
    beyond: set[str] = set()
    for body in bodies:
        body.pop("stream", None)
        if kind is RESPONSES:
            body["input"] = [with_ids(item) for item in body["input"]]
        beyond |= body.keys() - checked(kind, body).keys()
    assert beyond == BEYOND.get(path.stem, set())


def test_questions_fit_the_official_types() -> None:
    turns = (
        system("Rules."),
        Message("user", (TextPart("look"), Image("image/png", b"x"))),
        Message("assistant", (TextPart("wait"), ToolCall("c1", "find", "{}"))),
        Message("tool", (ToolResult("c1", "x"),)),
        assistant("done"),
        user("so?"),
    )
    questions = (
        ("urgent", Question("yes_no", "Is it?", described=(("yes", "now"),))),
        ("team", Question("choice", "Which?", ("a", "b"), described=(("a", "the first"),))),
        ("grade", Question("score", "How?", low=1, high=3)),
    )
    for messages in (turns, (user("only"),)):
        body = encode_decisions(Request(messages, questions=questions), "gpt-6-luna")
        assert checked(decision_create_params.DecisionCreateParams, body).keys() == body.keys()


def test_a_body_that_does_not_fit_is_found() -> None:
    with pytest.raises(pydantic.ValidationError):
        checked(
            MESSAGES, {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": [{"type": "text"}]}]}
        )

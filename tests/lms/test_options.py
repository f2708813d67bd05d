"""What a person types is checked when it is typed: nothing odd goes on its way and is lost there."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

import outlast as ol
from outlast.errors import UsageError
from outlast.lms.options import as_request
from outlast.messages import Message, TextPart, ToolResult, user
from outlast.testing import ScriptedLM
from outlast.tracing.switch import flush
from outlast.types import Image, Tool

LOOK = Tool("look", "Look.")


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        (None, "text or a list of messages; got None"),
        (5, "text or a list of messages; got 5"),
        (user("x"), "text or a list of messages"),
        ([], "at least one message"),
        (["hi"], "text or messages; got 'hi' in the list"),
        ({"role": "user", "content": "hi"}, "text or messages"),
        ([Message("usr", "x")], "system, user, assistant or tool; got 'usr'"),  # pyright: ignore[reportArgumentType]
        ([Message("user", None)], "text or a tuple of parts; got None"),  # pyright: ignore[reportArgumentType]
        ([Message("user", 5)], "text or a tuple of parts; got 5"),  # pyright: ignore[reportArgumentType]
        ([Message("user", [TextPart("x")])], "a tuple of parts"),  # pyright: ignore[reportArgumentType]
        ([Message("user", ("hello",))], r"got 'hello'; text inside a tuple is TextPart"),  # pyright: ignore[reportArgumentType]
        ([Message("user", (TextPart("x"), None))], "one of TextPart, Image"),  # pyright: ignore[reportArgumentType]
    ],
)
async def test_what_is_no_conversation_is_refused(prompt: Any, words: str):
    lm = ScriptedLM(["never"])
    for ask in (lm, lm.events, lambda prompt: lm.draw(prompt, 1), lambda prompt: lm.decide(prompt, {"a": "Yes?"})):
        with pytest.raises(UsageError, match=words):
            ask(prompt)
    with pytest.raises(UsageError, match=words):
        await lm.acall(prompt)
    assert lm.calls == 0


def test_what_is_a_conversation_is_taken_as_it_is():
    image = Image("image/png", b"\x89PNG\r\n\x1a\n0")
    turns = [user("q"), Message("user", (TextPart("x"), image)), Message("tool", (ToolResult("1", "r"),)), user("")]
    for prompt in (turns, tuple(turns)):
        assert as_request(prompt, {}).messages == tuple(turns)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tools": 5}, "list of Tool"),
        ({"tools": LOOK}, "list of Tool"),
        ({"tools": ["look"]}, "list of Tool"),
        ({"tools": [LOOK, Tool("look", "Another.")]}, "two that are named 'look'"),
        ({"tool_choice": "required"}, "there are none"),
        ({"tool_choice": "look"}, "name of a tool; got 'look'"),
        ({"tools": [LOOK], "tool_choice": None}, "name of a tool; got None"),
    ],
)
def test_tools_and_the_choice_between_them_mean_something(options: dict[str, Any], words: str):
    with pytest.raises(UsageError, match=words):
        as_request("hi", options)


def test_tools_are_taken():
    for choice in ("auto", "none", "required", "look"):
        request = as_request("hi", {"tools": [LOOK], "tool_choice": choice})
        assert (request.tools, request.tool_choice) == ((LOOK,), choice)
    assert as_request("hi", {"tools": None, "tool_choice": "none"}).tools == ()


def test_what_is_sent_in_extra_is_what_it_was_when_it_was_said(tmp_path: Path) -> None:
    given: dict[str, Any] = {"provider": {"order": ["a"]}, "pair": (1, [2])}
    as_sent = copy.deepcopy(given)
    lm = ScriptedLM(lambda messages: "x", keep=True)
    settings = ol.Settings(extra=given)
    with ol.trace(store=tmp_path / "t.db"):
        lm("x", extra=given)
        given["provider"]["order"].append("b")
        given["pair"][1].append(3)
        given["new"] = True
        assert flush()
    assert settings.extra == as_sent
    assert lm.requests[0].settings.extra == as_sent
    [span] = ol.open_store(tmp_path / "t.db").spans(ol.open_store(tmp_path / "t.db").traces()[0].id)
    assert span.settings == {"extra": {"provider": {"order": ["a"]}, "pair": [1, [2]]}}


def test_extra_that_holds_itself_is_told_by_whoever_writes_it() -> None:
    given: dict[str, Any] = {}
    given["itself"] = given
    assert ol.Settings(extra=given).extra is given

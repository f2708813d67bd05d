"""`ol.tool` makes tools of functions, methods, models, programs and what LangChain has."""

from __future__ import annotations

import asyncio
import functools
import math
from typing import Annotated, Any

import pydantic
import pytest

import outlast as ol
from outlast.errors import InputError, UsageError
from outlast.runtime import drive
from outlast.testing import ScriptedLM
from outlast.tools.calling import Called, Toolbox
from outlast.types import Label


def search(query: str, limit: int = 3) -> list[str]:
    """Find passages.

    Args:
        query: what to look for
    """
    return [query] * limit


def run(tool: Any, arguments: Any, **options: Any) -> Called:
    box = Toolbox([ol.tool(tool, **options)])
    name = next(iter(box))
    found = drive(box.answer(name, arguments))
    again = asyncio.run(_run(box, name, arguments))
    assert (again.text, again.why) == (found.text, found.why)
    return found


async def _run(box: Toolbox, name: str, arguments: Any) -> Called:
    with ol.context():
        return await box.answer(name, arguments)


def test_a_decorator_with_and_without_options_and_a_function() -> None:
    @ol.tool
    def one(x: int) -> int:
        """One."""
        return x

    @ol.tool(timeout=5, approve=True, max_calls=2, concurrent=False, errors="hidden", limit=10)
    async def two(x: int) -> int:
        """Two."""
        return x

    three = ol.tool(search, name="find", description="Find.", arguments={"limit": "how many"}, strict=False)
    assert (one.name, one.description, one(3)) == ("one", "One.", 3)
    assert (two.timeout, two.approve, two.max_calls, two.concurrent, two.errors, two.limit) == (
        5,
        True,
        2,
        False,
        "hidden",
        10,
    )
    assert (three.name, three.description, three.strict) == ("find", "Find.", False)
    assert three.arguments == {"query": "what to look for", "limit": "how many"}
    assert run(one, '{"x": "4"}').data == 4


def test_how_it_runs_is_nothing_that_a_model_sees() -> None:
    plain = ol.tool(search)
    tuned = ol.tool(search, timeout=5, approve=True, max_calls=2, limit=10, label=Label(frozenset({"web"})))
    assert plain.to_json() == tuned.to_json()
    assert plain == tuned
    assert repr(plain) == repr(tuned)
    assert ol.Tool.from_json(tuned.to_json()).timeout == 60


def test_a_tool_is_made_into_a_changed_copy() -> None:
    first = ol.tool(search, timeout=5)
    second = ol.tool(first, name="find", limit=7, description="Other.")
    assert (second.name, second.timeout, second.limit, second.description) == ("find", 5, 7, "Other.")
    assert (first.name, first.limit) == ("search", 20_000)
    assert run(second, {"query": "x"}).text == '["x", "\n(cut here: 8 of 15 characters are missing)'


def test_methods_partial_applications_and_callable_objects_are_tools() -> None:
    class Shop:
        def price(self, item: str) -> str:
            """The price of an item."""
            return f"{item}: 3"

        async def __call__(self, item: str) -> str:
            """Buy an item."""
            return f"bought {item}"

    assert run(Shop().price, {"item": "tea"}).data == "tea: 3"
    made = ol.tool(Shop(), name="buy")
    assert made.description == "Buy an item."
    assert run(made, {"item": "tea"}).data == "bought tea"
    some = ol.tool(functools.partial(search, limit=1))
    assert (some.name, list(some.arguments), some.description) == ("search", ["query"], "Find passages.")
    assert run(some, {"query": "x"}).data == ["x"]
    assert run(functools.partial(search, "y"), {"limit": 1}).data == ["y"]
    assert run(functools.partial(Shop(), "z"), {}, name="buy").data == "bought z"


def test_a_decorated_function_is_read_through() -> None:
    def loud(function: Any) -> Any:
        @functools.wraps(function)
        def call(*args: Any, **arguments: Any) -> Any:
            return [one.upper() for one in function(*args, **arguments)]

        return call

    assert run(loud(search), {"query": "x", "limit": "1"}).data == ["X"]


class Person(pydantic.BaseModel):
    """Somebody to invite."""

    name: str = pydantic.Field(description="first and last")
    age: Annotated[int, pydantic.Field(ge=0)] = 3


def test_a_pydantic_model_gives_its_instance_or_runs_something() -> None:
    tool = ol.tool(Person)
    assert (tool.name, tool.description) == ("Person", "Somebody to invite.")
    assert tool.arguments == {"name": "first and last", "age": ""}
    assert tool.parameters["additionalProperties"] is False
    assert "description" not in tool.parameters
    assert run(tool, '{"name": "x"}').data == {"name": "x", "age": 3}
    wrong = run(tool, '{"age": -1, "nam": "x"}').text
    for words in ("no argument 'nam'", "'name' is missing", "age: "):
        assert words in wrong
    seen: list[Any] = []

    async def invite(person: Person) -> str:
        seen.append(person)
        return f"invited {person.name}"

    assert run(Person, '{"name": "x"}', name="invite", run=invite).text == "invited x"
    assert seen[0] == Person(name="x")


def test_a_program_is_a_tool_with_its_inputs_as_arguments() -> None:
    class Triage(ol.Signature):
        """Route a message."""

        message: str = ol.input(desc="as the customer wrote it")
        urgency: int = ol.input(default=1)
        team: str = ol.output()
        sure: float = ol.output()

    lm = ScriptedLM([{"team": "cards", "sure": 0.5}] * 2)
    triage = ol.Predict(Triage, lm=lm, fields={"urgency": "5 is most"})
    tool = ol.tool(triage)
    assert (tool.name, tool.description) == ("Triage", "Route a message.")
    assert tool.arguments == {"message": "as the customer wrote it", "urgency": "5 is most"}
    assert tool.parameters["required"] == ["message"]
    assert run(tool, '{"message": "x", "urgency": "2"}').data == {"team": "cards", "sure": 0.5}
    one = ol.ChainOfThought("question -> answer: int", lm=ScriptedLM([{"reasoning": "r", "answer": 3}] * 2))
    assert run(one, {"question": "x"}, name="count").data == 3


def test_a_program_of_several_steps_is_a_tool_plain_or_async() -> None:
    class Twice(ol.Module):
        """Say it twice."""

        def forward(self, text: str, times: int = 2) -> str:
            """Not this.

            Args:
                text: what to say
            """
            return text * times

    class Later(ol.Module):
        async def forward(self, text: str) -> str:
            """Say it later."""
            await asyncio.sleep(0.001)
            return text

    tool = ol.tool(Twice())
    assert (tool.name, tool.description, tool.arguments) == (
        "Twice",
        "Say it twice.",
        {"text": "what to say", "times": ""},
    )
    assert run(tool, {"text": "x"}).data == "xx"
    assert ol.tool(Later()).description == "Say it later."
    assert run(Later(), {"text": "x"}).data == "x"


class Injected:
    """A tool of LangChain, as far as it is looked at."""

    name = "look up!"
    description = "Look a word up."
    args_schema: Any = Person
    tool_call_schema: Any = Person

    async def ainvoke(self, arguments: dict[str, Any]) -> Any:
        if arguments["name"] == "x":
            raise ValueError("no such word")
        return arguments


def test_a_tool_of_langchain_is_a_tool() -> None:
    tool = ol.tool(Injected(), timeout=3)
    assert (tool.name, tool.description, tool.timeout) == ("look_up_", "Look a word up.", 3)
    assert tool.arguments == {"name": "first and last", "age": ""}
    assert run(tool, '{"name": "y"}').data == {"name": "y"}
    assert run(tool, '{"name": "x"}').text == "ValueError: no such word"
    assert run(tool, '{"age": "old"}').why == "arguments"


def test_a_tool_of_langchain_that_takes_one_text_is_a_tool() -> None:
    class Old:
        name, description, args_schema = "old", "Old.", None
        tool_call_schema = None
        args = {"tool_input": {"type": "string"}}

        async def ainvoke(self, arguments: dict[str, Any]) -> Any:
            return arguments["tool_input"].upper()

    assert run(Old(), '{"tool_input": "x"}').data == "X"


class Untyped(ol.Module):
    def forward(self, text):  # type: ignore[no-untyped-def]
        return text


class AnyInput(ol.Module):
    def forward(self, **inputs: Any) -> Any:
        return inputs


def takes_image(picture: ol.Image) -> str:
    return ""


def takes_images(pictures: list[ol.Image]) -> str:
    return ""


@pytest.mark.parametrize(
    ("thing", "words"),
    [
        (3, "a tool is made of"),
        (dict, "a tool is made of"),
        (Untyped(), "needs a type"),
        (AnyInput(), "cannot be a tool"),
        (takes_image, "image, audio or a file"),
        (takes_images, "image, audio or a file"),
        (ol.Predict("picture: Image -> text"), "image, audio or a file"),
        (lambda x: x, "needs a type"),
        (math.hypot, "tool"),
    ],
)
def test_what_is_no_tool_is_refused(thing: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        ol.tool(thing, name="x")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"timeout": 0}, "timeout"),
        ({"timeout": math.inf}, "timeout"),
        ({"timeout": "5"}, "timeout"),
        ({"limit": 1.5}, "limit"),
        ({"max_calls": 0}, "max_calls"),
        ({"max_calls": True}, "max_calls"),
        ({"approve": "yes"}, "approve"),
        ({"concurrent": 1}, "concurrent"),
        ({"errors": "all"}, "errors"),
        ({"label": "web"}, "label"),
        ({"timout": 3}, "Did you mean 'timeout'"),
        ({"arguments": {"qery": "x"}}, "Did you mean 'query'"),
        ({"arguments": {"query": 3}}, "is text"),
        ({"run": search}, "pydantic model class"),
    ],
)
def test_options_that_mean_nothing_are_refused_at_once(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        ol.tool(search, **options)
    if "arguments" not in options and "run" not in options:
        with pytest.raises(UsageError, match=words):
            ol.tool(search).with_(**options)


def test_descriptions_can_be_read_changed_and_put_back() -> None:
    tool = ol.tool(search)
    changed = tool.described("Other.", {"limit": "how many"})
    assert (changed.description, changed.arguments) == ("Other.", {"query": "what to look for", "limit": "how many"})
    assert changed.described(tool.description, tool.arguments) == tool
    assert tool.arguments["limit"] == ""
    assert run(changed, {"query": "x", "limit": 1}).data == ["x"]


def test_another_function_is_checked_by_its_own_types() -> None:
    def other(query: int, limit: int = 1) -> int:
        return query * limit

    assert run(ol.tool(search).with_(function=other), '{"query": "4"}').data == 4

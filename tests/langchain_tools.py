"""Tools of the real LangChain as tools of outlast; `langchain_tools.sh` runs it."""

from __future__ import annotations

import asyncio
from importlib.metadata import version
from typing import Annotated, Any

from langchain_core.tools import BaseTool, InjectedToolArg, StructuredTool, tool
from langchain_core.tools import Tool as OneText

import outlast as ol
from outlast.runtime import drive


@tool
def multiply(a: int, b: int) -> int:
    """Multiply two numbers."""
    return a * b


@tool
async def later(text: str) -> str:
    """Give the text back, later."""
    await asyncio.sleep(0.01)
    return text


@tool
def injected(x: int, user: Annotated[str, InjectedToolArg] = "nobody") -> str:
    """A tool with an argument that is none of the model's."""
    return f"{user} {x}"


class Mine(BaseTool):
    name: str = "mine"
    description: str = "A class."

    def _run(self, city: str) -> dict[str, str]:
        return {"city": city}


SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
TOOLS = [
    multiply,
    later,
    injected,
    Mine(),
    OneText(name="one text", description="Old.", func=str.upper),
    StructuredTool.from_function(func=lambda a: a, name="by_schema", description="x", args_schema=SCHEMA),
]
CASES: list[tuple[str, str, Any]] = [
    ("multiply", '{"a": 2, "b": 3}', 6),
    ("later", '{"text": "x"}', "x"),
    ("injected", '{"x": 1}', "nobody 1"),
    ("mine", '{"city": "Rome"}', {"city": "Rome"}),
    ("one_text", '{"tool_input": "x"}', "X"),
    ("by_schema", '{"a": "b"}', "b"),
    ("multiply", '{"a": "two"}', None),
    ("injected", '{"x": 1, "user": "root"}', None),
]


def main() -> None:
    box = ol.Toolbox(TOOLS)
    for name, arguments, expected in CASES:
        for called in (drive(box.answer(name, arguments)), asyncio.run(awaited(box, name, arguments))):
            assert called.data == expected, (name, called)
            assert called.why == ("arguments" if expected is None else None), (name, called)
    print(f"passed  langchain-core {version('langchain-core')}: {len(CASES)} cases, blocking and async")


async def awaited(box: ol.Toolbox, name: str, arguments: str) -> Any:
    return await box.answer(name, arguments)


main()

"""Running a tool when a model asks: arguments are checked, and whatever goes wrong is an answer to the model."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from outlast.errors import BudgetExceeded, UsageError, brief, did_you_mean
from outlast.messages import ToolCall, ToolResult
from outlast.runtime import blocking, in_thread
from outlast.types import Tool

Why = Literal["unknown", "arguments", "failed", "timeout", "refused", "limit"]


@dataclass(frozen=True, slots=True)
class Called:
    """What became of one call: `data` is the result as JSON data, `text` what the model is told, cut at the tool's
    limit (`truncated`). `why` says what went wrong, None when nothing did; then `text` is an error the model can act
    on, and `failure` the exception of the tool."""

    name: str
    arguments: Mapping[str, Any]
    data: Any = None
    text: str = ""
    why: Why | None = None
    truncated: bool = False
    seconds: float = 0.0
    failure: BaseException | None = None

    @property
    def error(self) -> bool:
        """True when there is no result."""
        return self.why is not None


class Toolbox(Mapping[str, Tool]):
    """Tools by name, from `Tool`s and typed functions. Raises `UsageError` for two of one name."""

    def __init__(self, tools: Iterable[Any] | Toolbox = ()) -> None:
        found: dict[str, Tool] = {}
        for one in tools.values() if isinstance(tools, Toolbox) else tools:
            tool = one if isinstance(one, Tool) else Tool.of(one)
            if tool.function is None:
                raise UsageError(f"the tool {tool.name!r} has no function, so nothing could run it")
            if tool.name in found:
                raise UsageError(f"there are two tools of the name {tool.name!r}; give one of them another name")
            found[tool.name] = tool
        self._tools = found

    def __getitem__(self, name: str) -> Tool:
        return self._tools[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tools)

    def __len__(self) -> int:
        return len(self._tools)

    async def call(self, call: ToolCall) -> ToolResult:
        """Run what a model asked for in native form."""
        called = await self.answer(call.name, call.arguments)
        return ToolResult(call.id, called.text, called.error)

    async def answer(self, name: str, arguments: Mapping[str, Any] | str) -> Called:
        """Run a tool by name with arguments as a model gave them, as JSON text or as data.

        Never raises for what the tool did or for what the model asked; giving up and a budget that is used up go on
        upwards.
        """
        clock = time.perf_counter()
        tool = self._tools.get(name)
        if tool is None:
            known = ", ".join(self._tools)
            return Called(
                name,
                {},
                text=f"there is no tool {name!r}.{did_you_mean(name, self._tools)} Tools: {known}.",
                why="unknown",
            )
        try:
            data = json.loads(arguments or "{}") if isinstance(arguments, str) else arguments
            if not isinstance(data, Mapping):
                raise ValueError(f"the arguments are a JSON object; got {brief(data)}")
        except ValueError as error:
            return Called(name, {}, text=f"the arguments of {name} cannot be read: {error}", why="arguments")
        given = cast("Mapping[str, Any]", data)
        try:
            value = await _run(cast("Callable[..., Any]", tool.function), given)
        except BudgetExceeded:
            raise
        except Exception as error:
            return Called(name, given, text=f"{type(error).__name__}: {error}", why="failed", failure=error)
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
        return Called(name, given, value, text, seconds=time.perf_counter() - clock)


async def _run(function: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    import inspect

    if inspect.iscoroutinefunction(function):
        return await function(**arguments)
    return function(**arguments) if blocking() else await in_thread(lambda: function(**arguments))

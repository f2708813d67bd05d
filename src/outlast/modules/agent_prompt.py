"""What an agent asks a model: with native calls of tools, or with calls as a field where the model has none."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, cast

from pydantic import BaseModel, Field, model_validator

from outlast.adapters.layout import failed, row
from outlast.adapters.protocol import Following, Given, Prepared, Task
from outlast.messages import Message, Part, Response, TextPart, ToolCall, ToolResult, Turn, assistant
from outlast.modules.agent_state import AgentTurn
from outlast.modules.deriving import free_name
from outlast.modules.tool_text import spelled
from outlast.signatures.field import output
from outlast.signatures.signature import without_field
from outlast.types import Tool

CALLS = "tool calls"  # under this name, which no field can have, a trace holds them in place of outputs
KEPT = 300  # characters of a result that is cut to make room
NATIVE = (
    "Call tools where they help, several at once when none needs the result of another. Reply with the outputs once "
    "you know them."
)
IN_TURNS = (
    "Work in turns, with the tools below. In each turn say what you think, then which tools to call now: several at "
    "once when none needs the result of another. You get their results next. Call none once you know what is wanted; "
    "you are asked for it then."
)
NOW = "Give the outputs now, from what is known. No tool can be called any more."
LOOP = "You have made this same call several times, with the same result. Do something else, or answer."
_AGO = "(Earlier turns are left out here. In short: {})"
_WRITTEN = ("<tool_call>", "<function_call>", "[TOOL_CALLS]", "<|python_tag|>")


class Call(BaseModel):
    """A call of a tool, as a model writes it in a field."""

    name: str
    arguments: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _other_spellings(cls, data: Any) -> Any:
        """Models write `{"function": {...}}`, `tool`, `args` and arguments as JSON text too."""
        if not isinstance(data, dict):
            return cast("object", data)
        given = cast("dict[str, Any]", data)
        inner = given.get("function")
        if isinstance(inner, dict):
            given = cast("dict[str, Any]", inner)
        name = next((given[key] for key in ("name", "tool", "tool_name", "function") if key in given), None)
        written = [given[key] for key in ("arguments", "args", "parameters", "input") if key in given]
        arguments: Any = written[0] if written else None
        if isinstance(arguments, str):
            try:
                arguments = json.loads(arguments or "{}")
            except ValueError:
                return given
        return given if name is None else {"name": name, "arguments": {} if arguments is None else arguments}


def turn_signature(signature: Any) -> tuple[Any, str, str]:
    """The inputs of a signature with a thought and calls as outputs, and the names of these two; made once."""
    found = signature.__dict__.get("__turned__")
    if found is None:
        thought, calls = (free_name(signature, name) for name in ("thought", "calls"))
        kind = signature.append(thought, str, output(desc="what is known, what is missing, what to do next"))
        kind = kind.append(calls, list[Call], output(desc="the tools to call now, [] when none is needed any more"))
        for name in signature.outputs:
            kind = without_field(kind, name)
        found = kind, thought, calls
        type.__setattr__(signature, "__turned__", found)
    return found


def turn_task(task: Task, tools: Iterable[Tool]) -> Task:
    """What a model without native calls is asked in each turn."""
    signature, _, _ = turn_signature(task.signature)
    wanted = "\n".join(row(task, name) for name in task.signature.outputs)
    offered = "\n".join(f"- {spelled(tool)}" for tool in tools)
    parts = (task.instruction.strip(), IN_TURNS, f"Wanted in the end:\n{wanted}", f"Tools:\n{offered}")
    known = {name: text for name, text in task.descriptions.items() if name in signature.fields}
    return Task(signature, "\n\n".join(filter(None, parts)), known, (), task.settings)


def with_tools(prepared: Prepared, signature: Any, tools: tuple[Tool, ...], *, last: bool) -> Prepared:
    """A question that the model may answer by calling tools; with `last`, one that it may not.

    A schema for the reply goes along only with the last one: servers that hold a reply to it make no calls.
    """
    own = frozenset(tool.name for tool in prepared.tools)

    def read(response: Response) -> Any:
        calls = [call for call in response.tool_calls if call.name not in own]
        if calls and last:
            raise failed(signature, response, [f"it calls {calls[0].name}, and no tool can be called any more. {NOW}"])
        if calls:
            return {CALLS: [{"name": call.name, "arguments": call.arguments} for call in response.tool_calls]}
        if not response.tool_calls and any(mark in response.text for mark in _WRITTEN):
            raise failed(
                signature, response, ["it writes a call of a tool as text; call the tool, or give the outputs"]
            )
        return prepared.read(response)

    choice = prepared.tool_choice if prepared.tools else "none"
    if not last:
        choice = "required" if prepared.tools else "auto"
    return replace(
        prepared,
        read=read,
        tools=(*tools, *prepared.tools),
        tool_choice=choice,
        output=prepared.output if last else None,
    )


def asks_for_tools(response: Response, known: Iterable[str]) -> bool:
    """Whether a reply calls any tool but those that take the answer."""
    return any(call.name not in known for call in response.tool_calls)


def numbered(calls: Iterable[ToolCall], turn: int) -> tuple[ToolCall, ...]:
    """Calls with an id each, which some servers leave out or give twice."""
    seen: set[str] = set()
    found: list[ToolCall] = []
    for number, call in enumerate(calls):
        one = call if call.id and call.id not in seen else replace(call, id=f"call_{turn}_{number}")
        seen.add(one.id)
        found.append(one)
    return tuple(found)


def calls_of(values: Iterable[Call], turn: int) -> tuple[ToolCall, ...]:
    """Calls in a field as those that native ones are."""
    return tuple(
        ToolCall(f"call_{turn}_{number}", one.name, json.dumps(one.arguments, ensure_ascii=False))
        for number, one in enumerate(values)
    )


def native_turn(turn: AgentTurn, results: Sequence[ToolResult], note: str) -> list[Following]:
    """A turn as a conversation with native calls."""
    text: tuple[Part, ...] = (TextPart(turn.thought),) if turn.thought else ()
    found: list[Following] = [Message("assistant", (*turn.thoughts, *text, *turn.calls))] if turn.calls or text else []
    found += [Message("tool", (one,)) for one in results]
    return [*found, Given((), note)] if note else found


def written_turn(turn: AgentTurn, results: Sequence[ToolResult], note: str, names: tuple[str, str]) -> list[Following]:
    """A turn in the form of the adapter, with its results as what the model is given next."""
    values = {names[0]: turn.thought, names[1]: [_call(call) for call in turn.calls]}
    return [Turn({}, values, turn.thoughts), Given(_told(results), note)]


def plain_turn(turn: AgentTurn, results: Sequence[ToolResult], note: str) -> list[Following]:
    """A turn as plain text, for a question in another form than the turn was in."""
    calls = [_call(call).model_dump() for call in turn.calls]
    said = "\n\n".join(filter(None, (turn.thought, json.dumps(calls, ensure_ascii=False) if calls else "")))
    return [assistant(said or "(nothing said)"), Given(_told(results), note)]


def ago(summary: str) -> list[Following]:
    """What stands for turns that are left out."""
    return [assistant(_AGO.format(summary)), Given((), "Go on from there.")] if summary else []


def cut(result: ToolResult) -> ToolResult:
    """A result of which the model has seen all, cut to make room."""
    size = len(result.text)
    if size <= KEPT + 100:
        return result
    return replace(result, text=f"{result.text[:KEPT]}… [the rest of {size:,} characters is left out to make room]")


def _told(results: Sequence[ToolResult]) -> tuple[tuple[str, str], ...]:
    texts = [f"Error: {one.text}" if one.error else one.text for one in results]
    if len(texts) == 1:
        return (("tool_result", texts[0]),)
    return tuple((f"tool_result_{number}", text) for number, text in enumerate(texts, 1))


def _call(call: ToolCall) -> Call:
    try:
        data: Any = json.loads(call.arguments or "{}")
    except ValueError:
        data = None
    return Call(name=call.name, arguments=cast("dict[str, Any]", data) if isinstance(data, dict) else {})

"""Asking somebody before a tool runs: yes, no, no with a reason, another call instead, or not yet."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from outlast.errors import UsageError, brief
from outlast.messages import ToolCall
from outlast.runtime import blocking, current, default, in_thread, run_blocking
from outlast.tools.running import is_async
from outlast.types import Tool

Approver = Callable[..., Any]
Decision = bool | str | ToolCall


def as_approver(value: Any) -> Approver:
    """The approver, or `UsageError` when it is none."""
    if callable(value):
        return value
    raise UsageError(f"an approver is a function of a ToolCall and its Tool; got {brief(value)}")


async def decided(tool: Tool, call: ToolCall, approver: Approver | None) -> Decision:
    """The decision about one call of a tool that asks first: by the tool's own function, else by the approver of the
    toolbox or the run.

    Without anybody to ask the call is refused. Raises `Suspend` where the approver does.
    """
    if not isinstance(tool.approve, bool):
        found = checked(await _ask(tool.approve, call), tool, none=True)
        if found is not None:
            return found
    if approver is None:
        approver = current().approver or default("approver")
    if approver is None:
        return "it needs the approval of a person, and nobody is there to ask"
    found = checked(await _ask(approver, call, tool), tool)
    assert found is not None
    return found


async def _ask(approver: Approver, *question: Any) -> Any:
    if not blocking():
        answer = approver(*question) if is_async(approver) else await in_thread(lambda: approver(*question))
        return await answer if inspect.isawaitable(answer) else answer
    answer = approver(*question)
    return run_blocking(lambda: _awaited(answer), visiting=True) if inspect.isawaitable(answer) else answer


async def _awaited(answer: Any) -> Any:
    return await answer


def checked(answer: Any, tool: Tool, *, none: bool = False) -> Decision | None:
    """What an approver answered; raises `UsageError` for what is no decision."""
    if isinstance(answer, (bool, str)) or (none and answer is None):
        return answer
    if isinstance(answer, ToolCall) and answer.name == tool.name:
        return answer
    what = f"another ToolCall of {tool.name!r}" + (", or None to ask the approver of the run" if none else "")
    raise UsageError(f"an approver gives True, False, the reason for a no as text, or {what}; got {brief(answer)}")

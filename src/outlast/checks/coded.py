"""A check that is code, such as a model writes: it runs in a sandbox, for each value anew, never in this process."""

from __future__ import annotations

import ast
import textwrap
from typing import TYPE_CHECKING, Any

from outlast.checks.check import Check, CheckResult, built
from outlast.checks.factory import factory
from outlast.checks.policy import Policy
from outlast.checks.reading import named
from outlast.errors import MetricError, UsageError, brief

if TYPE_CHECKING:
    from outlast.sandbox.protocol import Sandbox
    from outlast.sandbox.values import Limits

FUNCTION = "check"
MOST = 20_000
"""Characters of code."""


@factory
def sandboxed(
    code: str,
    *fields: str,
    name: str = "sandboxed",
    message: str = "",
    sandbox: Sandbox | None = None,
    limits: Limits | None = None,
    on_fail: Policy | str = "raise",
) -> Check:
    """The function `check` that `code` defines says yes to the fields, which it gets by position, as JSON data.

        ol.checks.sandboxed('''
        def check(answer):
            return answer.count("http") <= 1, "give one link at most"
        ''', "answer")

    It gives a bool, a pair of bool and message, or None where it does not apply. It runs in `sandbox` (default:
    `ol.Monty()`), in a session of its own each time, so that one value tells it nothing of another; `limits` default
    to 2 seconds and 64 MB. Raises `UsageError` for code without such a function, `MetricError` when the code raises,
    runs into a limit or gives something else. Time: some ten milliseconds; no LM call.
    """
    for field in fields:
        named("sandboxed", field, "each field")
    text = checked_code(code, fields)
    if not isinstance(message, str) or not isinstance(name, str) or not name:
        raise UsageError(f"ol.checks.sandboxed: name and message are texts; got {brief(name)} and {brief(message)}")
    asked = f"{text}\n\n{FUNCTION}({', '.join(_variable(place) for place in range(len(fields)))})"

    async def look(*values: Any) -> CheckResult | None:
        given = {_variable(place): _data(value, fields[place], name) for place, value in enumerate(values)}
        return await _ran(asked, given, _sandbox(sandbox), limits, name)

    told = repr(sandbox) if sandbox is not None else "Monty()"
    options: dict[str, Any] = {"code": text, "sandbox": told, "limits": repr(limits)}
    return built(name, fields, look, on_fail=on_fail, message=message, cost="slow", **options)


def checked_code(code: Any, fields: tuple[str, ...]) -> str:
    """The code without common indentation; raises `UsageError` unless it defines `check` for as many fields.

    It is parsed here and never run here.
    """
    if not isinstance(code, str) or len(code) > MOST:
        raise UsageError(f"ol.checks.sandboxed takes code of at most {MOST:,} characters; got {brief(code)}")
    if not fields:
        raise UsageError("ol.checks.sandboxed: say which fields the function gets, sandboxed(code, 'answer')")
    text = textwrap.dedent(code).strip()
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise UsageError(f"ol.checks.sandboxed: the code is no Python: {brief(str(error))}") from None
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == FUNCTION:
            takes = node.args.posonlyargs + node.args.args
            if len(takes) == len(fields) and not node.args.kwonlyargs and node.args.vararg is None:
                return text
    raise UsageError(
        f"ol.checks.sandboxed: the code defines no function {FUNCTION}({', '.join(fields)}) of {len(fields)} "
        f"parameter{'s' * (len(fields) != 1)}"
    )


def _variable(place: int) -> str:
    return f"given_{place}"


def _data(value: Any, field: str, name: str) -> Any:
    """A value as JSON data: dates as text, models and dataclasses as dicts. Raises `UsageError`."""
    if value is None or isinstance(value, str | int | float):
        return value
    from pydantic_core import PydanticSerializationError, to_jsonable_python

    try:
        return to_jsonable_python(value)
    except (PydanticSerializationError, RecursionError, ValueError) as error:
        raise UsageError(f"check {name!r}: {field!r} has no JSON form: {brief(str(error), 200)}") from error


def _sandbox(sandbox: Sandbox | None) -> Sandbox:
    if sandbox is not None:
        return sandbox
    from outlast.sandbox.monty import Monty

    return Monty()


async def _ran(
    code: str, values: dict[str, Any], sandbox: Sandbox, limits: Limits | None, name: str
) -> CheckResult | None:
    from outlast.sandbox.values import Limits

    executed = await sandbox.aexecute(
        code, values, limits=limits or Limits(seconds=2.0, memory=64 << 20, output=4 << 10)
    )
    if not executed.ok:
        told = (
            str(executed.error) if executed.error is not None else f"it was stopped by the limit on {executed.stopped}"
        )
        raise MetricError(f"check {name!r}: its code did not run: {brief(told, 400)}")
    value = executed.value
    match value:
        case None:
            return None
        case bool():
            return CheckResult(value)
        case [bool() as ok, str() as told]:
            return CheckResult(ok, "" if ok else told[:500])
        case _:
            raise MetricError(f"check {name!r}: its code gives a bool, (bool, message) or None; got {brief(value)}")

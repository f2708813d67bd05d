"""Tools made of what is no function: pydantic models, programs, and the tools of LangChain, which is never imported."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Mapping
from typing import Any, cast

from outlast.errors import InputError, brief
from outlast.types import Tool
from outlast.types.tool_schema import model_from, name_of, schema_of, told


def is_model(thing: Any) -> bool:
    """True for a pydantic model class."""
    return isinstance(thing, type) and hasattr(thing, "__pydantic_validator__") and hasattr(thing, "model_validate")


def is_program(thing: Any) -> bool:
    """True for a program of outlast; the layer of programs is above this one."""
    return not isinstance(thing, type) and all(hasattr(thing, name) for name in ("acall", "forward", "__signature__"))


def is_langchain(thing: Any) -> bool:
    """True for a tool of LangChain."""
    return not isinstance(thing, type) and all(hasattr(thing, name) for name in ("name", "args_schema", "ainvoke"))


class Making:
    """Gives the instance of a pydantic model, or what `run` makes of it."""

    def __init__(self, run: Callable[[Any], Any] | None) -> None:
        self.run = run

    def __call__(self, given: Any) -> Any:
        return given if self.run is None else self.run(given)


class Asking:
    """Runs a program."""

    blocking_safe = True

    def __init__(self, program: Any) -> None:
        self.program = program

    async def __call__(self, **inputs: Any) -> Any:
        return await self.program.acall(**inputs)


class Invoking:
    """Runs a tool of LangChain."""

    def __init__(self, tool: Any) -> None:
        self.tool = tool

    async def __call__(self, **arguments: Any) -> Any:
        return await self.tool.ainvoke(arguments)


def from_model(model: Any, run: Any, name: str | None) -> Tool:
    """A tool whose arguments are the fields of a pydantic model."""
    if run is not None and not callable(run):
        raise InputError(f"ol.tool(run=...) is a function of the instance; got {brief(run)}")
    doc = "" if "__doc__" not in model.__dict__ else told(model).summary
    schema = schema_of(model)
    schema.pop("description", None)
    schema.setdefault("additionalProperties", False)
    return Tool(_plain(name or name_of(model)), doc, schema, True, Making(run), _model=model)


def from_program(program: Any, name: str | None) -> Tool:
    """A tool whose arguments are the inputs of a program."""
    signature = getattr(program, "signature", None)
    fields: Mapping[str, Any] = getattr(signature, "inputs", {})
    own = fields and signature is not None
    said = str(getattr(program, "instruction", "") or cast("Any", signature).description) if own else _doc(program)
    descriptions = {field: one.desc or "" for field, one in fields.items()} if own else _told(program)
    overrides: Any = getattr(program, "fields", None)
    if own and isinstance(overrides, Mapping):
        descriptions.update({key: text for key, text in cast("Mapping[str, str]", overrides).items() if key in fields})
    called = _plain(name or (signature.__name__ if own and signature is not None else type(program).__name__))
    shown = inspect.signature(program)
    hints = {} if own else typing.get_type_hints(program.forward, include_extras=True)
    found: dict[str, tuple[Any, Any, str | None]] = {}
    for key, parameter in shown.parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise InputError(f"tool {called!r}: a program that takes any input, {str(parameter)!r}, cannot be a tool")
        annotation: Any = hints.get(key, parameter.annotation)
        if annotation is parameter.empty or isinstance(annotation, str):
            raise InputError(f"tool {called!r}: the input {key!r} needs a type")
        default: Any = ... if parameter.default is parameter.empty else parameter.default
        found[key] = (annotation, default, descriptions.get(key) or None)
    model = model_from(called, found)
    return Tool(called, said, schema_of(model, program), True, Asking(program), _model=model, _inner=True)


def from_langchain(tool: Any, name: str | None) -> Tool:
    """A tool of LangChain; what it injects itself is no argument."""
    schema: Any = getattr(tool, "tool_call_schema", None) or tool.args_schema
    told_apart: Any = getattr(tool, "args", None)
    if tool.args_schema is None and isinstance(told_apart, Mapping) and [*told_apart] == ["tool_input"]:  # one text
        schema = {"properties": dict(cast("Mapping[str, Any]", told_apart)), "required": ["tool_input"]}
    parameters: Any = schema_of(schema, tool) if isinstance(schema, type) else schema
    if not isinstance(parameters, Mapping):
        raise InputError(f"the LangChain tool {brief(tool.name)} has no schema of its arguments; got {brief(schema)}")
    closed: dict[str, Any] = {"type": "object", "additionalProperties": False, **cast("Any", parameters)}
    for extra in ("title", "description"):
        closed.pop(extra, None)
    closed.setdefault("properties", {})
    return Tool(_plain(name or str(tool.name)), str(tool.description or ""), closed, False, Invoking(tool))


def _plain(name: str) -> str:
    """A name in the letters that a tool may have."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name)[:64]


def _doc(program: Any) -> str:
    kind = cast("Any", type(program))
    doc = kind.__doc__ if "__doc__" in kind.__dict__ else None
    return inspect.cleandoc(doc) if doc else told(kind.forward).summary


def _told(program: Any) -> dict[str, str]:
    return told(cast("Any", type(program)).forward).parameters

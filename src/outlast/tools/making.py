"""`ol.tool`: what a model may call, made of functions, methods, pydantic models, programs and LangChain tools."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypedDict, Unpack, cast, overload

from outlast.errors import InputError, UsageError, brief, refuse_unknown
from outlast.signatures.shown import holds_media
from outlast.tools.foreign import from_langchain, from_model, from_program, is_langchain, is_model, is_program
from outlast.types import Label, Tool


class Options(TypedDict, total=False):
    """What `ol.tool` takes besides the object; see `Tool`."""

    name: str | None
    description: str | None
    arguments: Mapping[str, str]
    strict: bool
    timeout: float
    limit: int
    max_calls: int | None
    approve: bool | Callable[..., Any]
    concurrent: bool
    errors: str
    repeatable: bool
    label: Label
    run: Callable[[Any], Any]


_OPTIONS = tuple(Options.__annotations__)


@overload
def tool(thing: Any, /, **options: Unpack[Options]) -> Tool: ...


@overload
def tool(**options: Unpack[Options]) -> Callable[[Any], Tool]: ...


def tool(thing: Any = None, /, **options: Any) -> Any:
    """A `Tool` that a model may call: `@ol.tool`, `@ol.tool(timeout=5, approve=True)`, or `ol.tool(thing, ...)`.

    `thing` is a typed function, plain or async, a method, a partial application or a callable object (its docstring
    and types are what the model sees); a pydantic model class, whose fields are the arguments and whose instance is
    the result, or goes to `run=`; a program, whose inputs are the arguments and whose outputs are the result; a
    LangChain tool; or a `Tool`, of which this is a changed copy. `arguments` are descriptions by name; the other
    options are those of `Tool`. Raises `InputError` for what has no types or no schema. Cost: no LM call.
    """
    refuse_unknown(options, _OPTIONS, "ol.tool")

    def make(one: Any) -> Tool:
        return _made(one, dict(options))

    return make if thing is None else make(thing)


def as_tool(thing: Any) -> Tool:
    """The tool that a thing is or makes."""
    return thing if isinstance(thing, Tool) else tool(thing)


def _made(thing: Any, options: dict[str, Any]) -> Tool:
    name, description = options.pop("name", None), options.pop("description", None)
    arguments, run = options.pop("arguments", None), options.pop("run", None)
    made = _of(thing, run, name)
    if name is not None:
        options["name"] = name
    if options:
        made = made.with_(**options)
    return made if description is None and not arguments else made.described(description, arguments)


def _of(thing: Any, run: Any, name: str | None) -> Tool:
    if is_model(thing):
        return from_model(thing, run, name)
    if run is not None:
        raise UsageError(f"ol.tool(run=...) goes with a pydantic model class; got {brief(thing)}")
    if isinstance(thing, Tool):
        return thing
    if is_program(thing):
        made = from_program(thing, name)
    elif is_langchain(thing):
        return from_langchain(thing, name)
    elif inspect.isclass(thing) or not callable(thing):
        raise InputError(
            f"a tool is made of a typed function, a pydantic model class, a program or a LangChain tool; "
            f"got {brief(thing)}"
        )
    else:
        made = Tool.of(cast("Callable[..., Any]", thing), name=name)
    if holds_media(made._model.__pydantic_core_schema__):
        raise InputError(
            f"tool {made.name!r} takes an image, audio or a file, which no model can write as an argument: "
            f"take a name or an address as text instead"
        )
    return made

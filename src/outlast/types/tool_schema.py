"""The description and the argument schema of a typed function, for `Tool.of`."""

from __future__ import annotations

import functools
import inspect
import re
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any, NamedTuple, cast, get_args, get_origin

from outlast.errors import InputError, brief

_SECTION = re.compile(
    r"^(args|arguments|parameters|params|returns?|raises|yields|examples?|notes?):\s*$", re.IGNORECASE
)
_ENTRY = re.compile(r"^(\s+)\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)$")
_FIELD = re.compile(r"^\s*:(param|parameter|arg|returns?|raises|type|rtype)\b\s*([^:]*):\s*(.*)$")


class Told(NamedTuple):
    """What a docstring says: the text before its sections, and a description for each parameter that has one."""

    summary: str
    parameters: dict[str, str]


def told(function: Callable[..., Any]) -> Told:
    """What the docstring of a function says of it."""
    summary: list[str] = []
    found: dict[str, str] = {}
    section = name = indent = ""
    text = inspect.getdoc(inner(function)) or inspect.getdoc(code_of(function)) or ""
    for line in text.splitlines():
        header, own, entry = _SECTION.match(line), _FIELD.match(line), _ENTRY.match(line)
        if header:
            section, name, indent = header[1].lower(), "", ""
        elif own:
            section, name = "fields", own[2].split()[-1] if own[1].startswith(("param", "arg")) and own[2] else ""
            if name:
                found[name] = own[3].strip()
        elif section and line[:1].strip() and section != "fields":  # prose again
            section = ""
            summary.append(line)
        elif section in ("args", "arguments", "parameters", "params") and entry and indent in ("", entry[1]):
            name, indent = entry[2], entry[1]
            found[name] = entry[3].strip()
        elif section and name and line.strip():
            found[name] = f"{found[name]} {line.strip()}".strip()
        elif not section:
            summary.append(line)
    return Told("\n".join(summary).strip(), found)


def inner(function: Any) -> Any:
    """The function inside partial applications."""
    while isinstance(function, functools.partial):
        function = function.func
    return function


def code_of(function: Any) -> Any:
    """The function that a call of a thing runs: its own or that of its class."""
    own = inner(function)
    plain = inspect.isroutine(own) or isinstance(own, type) or not callable(own)
    return own if plain else cast("Any", type(own)).__call__


def name_of(function: Any) -> str:
    """The name of a function or of the class of a callable object; "" when it has none of its own."""
    function = inner(function)
    name = getattr(function, "__name__", type(function).__name__)
    return name if isinstance(name, str) and name != "<lambda>" else ""


def hints_of(function: Any) -> tuple[inspect.Signature, dict[str, Any]]:
    """The parameters of a function and their types. Raises `InputError`."""
    try:
        signature = inspect.signature(function)
        hints = typing.get_type_hints(code_of(function), include_extras=True)
    except (TypeError, ValueError, NameError, AttributeError) as error:
        raise InputError(f"tool {name_of(function)!r}: its parameters cannot be read: {error}") from error
    given: tuple[str, ...] = ()
    while isinstance(function, functools.partial):
        given = (*given, *function.keywords)
        function = cast("Any", function.func)
    kept = [one for name, one in signature.parameters.items() if name not in given]
    return signature.replace(parameters=kept), hints


def model_of(function: Callable[..., Any], descriptions: Mapping[str, str]) -> Any:
    """The pydantic model of the arguments of a function, closed to others, with their names as aliases.

    Raises `InputError`."""
    what = name_of(function)
    signature, hints = hints_of(function)
    found: dict[str, tuple[Any, Any, str | None]] = {}
    for name, parameter in signature.parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise InputError(f"tool {what!r}: a model gives arguments by name; {str(parameter)!r} cannot be")
        if name not in hints:
            raise InputError(f"tool {what!r}: the parameter {name!r} needs a type")
        described, annotation = _split(hints[name])
        default: Any = ... if parameter.default is parameter.empty else parameter.default
        found[name] = (annotation, default, described or descriptions.get(name))
    return model_from(what, found)


def model_from(what: str, arguments: Mapping[str, tuple[Any, Any, str | None]]) -> Any:
    """A pydantic model of arguments: by name the type, the default (`...` for none) and the description."""
    from pydantic import ConfigDict, Field, create_model

    fields: dict[str, Any] = {
        f"field_{index}": (annotation, Field(default, alias=name, description=words))
        for index, (name, (annotation, default, words)) in enumerate(arguments.items())
    }
    try:
        config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)
        return create_model("Arguments", __config__=config, **fields)
    except Exception as error:  # pydantic raises several kinds
        raise InputError(f"tool {what!r}: its arguments have no types: {brief(str(error), 300)}") from error


def schema_of(model: Any, function: Any = None) -> dict[str, Any]:
    """The JSON schema of a pydantic model, for a model to see. Raises `InputError`."""
    try:
        schema = _untitled(model.model_json_schema(by_alias=True))
    except Exception as error:  # pydantic raises several kinds for types that JSON cannot say
        what = name_of(model if function is None else function)
        raise InputError(f"tool {what!r}: its arguments have no JSON schema: {brief(str(error), 300)}") from error
    schema.setdefault("properties", {})
    return schema


def _split(annotation: Any) -> tuple[str, Any]:
    """The text in `Annotated[T, "text"]`, and the type without it."""
    if get_origin(annotation) is not Annotated:
        return "", annotation
    base, *metadata = get_args(annotation)
    texts = [item for item in metadata if isinstance(item, str)]
    kept = [item for item in metadata if not isinstance(item, str)]
    return (texts[0] if texts else ""), (Annotated[base, *kept] if kept else base)


def _untitled(schema: Any, *, names: bool = False) -> Any:
    """A schema without the titles that pydantic makes; keys of `properties` and `$defs` are names and stay."""
    if isinstance(schema, list):
        return [_untitled(item) for item in cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    return {
        key: item if key in ("default", "const", "enum") else _untitled(item, names=key in ("properties", "$defs"))
        for key, item in cast("dict[str, Any]", schema).items()
        if names or key != "title"
    }

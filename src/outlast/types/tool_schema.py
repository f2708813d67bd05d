"""The description and the argument schema of a typed function, for `Tool.of`."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable
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
    for line in (inspect.getdoc(function) or "").splitlines():
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


def parameters_of(function: Callable[..., Any], descriptions: dict[str, str]) -> dict[str, Any]:
    """The JSON schema of the arguments of a function, closed to others. Raises `InputError`."""
    from pydantic import ConfigDict, Field, create_model

    what = getattr(function, "__name__", type(function).__name__)
    try:
        signature = inspect.signature(function)
        own = function if inspect.isroutine(function) else cast("Any", function).__call__
        hints = typing.get_type_hints(own, include_extras=True)
    except (TypeError, ValueError, NameError, AttributeError) as error:
        raise InputError(f"tool {what!r}: its parameters cannot be read: {error}") from error
    fields: dict[str, Any] = {}
    for name, parameter in signature.parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise InputError(f"tool {what!r}: a model gives arguments by name; {str(parameter)!r} cannot be")
        if name not in hints:
            raise InputError(f"tool {what!r}: the parameter {name!r} needs a type")
        described, annotation = _split(hints[name])
        default: Any = ... if parameter.default is parameter.empty else parameter.default
        words = described or descriptions.get(name)
        fields[f"field_{len(fields)}"] = (annotation, Field(default, alias=name, description=words))
    try:
        model = create_model("Arguments", __config__=ConfigDict(extra="forbid", arbitrary_types_allowed=True), **fields)
        schema = _untitled(model.model_json_schema(by_alias=True))
    except Exception as error:  # pydantic raises several kinds for types that JSON cannot say
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

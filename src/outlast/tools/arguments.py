"""The arguments of a call as a model wrote them: read, mended within bounds, checked, and made what the tool takes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from outlast.adapters.extract import Unfit, Wanted, find_object, unwrapped
from outlast.errors import InputError, brief, did_you_mean
from outlast.signatures.fitting import fitting
from outlast.signatures.jsontext import DuplicateKey, strict
from outlast.signatures.walking import Misfit
from outlast.types import Tool
from outlast.types.tool_schema import model_of

MOST_TEXT = 4 << 20  # characters of arguments
_MOST_SCHEMA = 4_000  # characters of the schema in an error
_MOST_WRONG = 8  # problems in an error
_KINDS: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list, tuple),
    "object": (Mapping,),
    "null": (type(None),),
}


class BadArguments(ValueError):
    """Arguments that cannot be used; the text is for the model. `given` is what could be read of them."""

    def __init__(self, problems: Iterable[str], tool: Tool, given: Mapping[str, Any] | None = None) -> None:
        listed = list(problems)
        lines = [f"- {one}" for one in listed[:_MOST_WRONG]]
        if len(listed) > _MOST_WRONG:
            lines.append(f"- and {len(listed) - _MOST_WRONG} more")
        schema = json.dumps(tool.parameters, ensure_ascii=False, default=str)
        if len(schema) > _MOST_SCHEMA:
            schema = f"{schema[:_MOST_SCHEMA]}…"
        head = f"The arguments of {tool.name} cannot be used, and nothing was done:"
        super().__init__("\n".join((head, *lines, f"Give a JSON object that matches the schema {schema}")))
        self.given: Mapping[str, Any] = {} if given is None else given


class Reader:
    """How the arguments of one tool are read and checked; compiled once per tool."""

    def __init__(self, tool: Tool) -> None:
        self.tool = tool
        properties: Mapping[str, Any] = tool.parameters.get("properties") or {}
        self.names = tuple(properties)
        self.required = frozenset(cast("Iterable[str]", tool.parameters.get("required") or ()))
        self.closed = tool.parameters.get("additionalProperties", False if properties else None) is False
        self._wanted = Wanted(frozenset(self.names), self.required)
        model: Any = tool._model or _model_for(tool)
        self._model = model
        self._fit = None if model is None else fitting(model.__pydantic_core_schema__)
        self._whole = model is not None and model.__name__ != "Arguments"
        self._names: Mapping[str, str] = {} if model is None else _by_field(model)

    def read(self, arguments: Mapping[str, Any] | str) -> dict[str, Any]:
        """The arguments as data by name, not yet checked. Raises `BadArguments`."""
        if isinstance(arguments, str):
            return self._spelled(self._parsed(arguments))
        if not isinstance(arguments, Mapping):
            raise BadArguments([f"the arguments are a JSON object; got {brief(arguments)}"], self.tool)
        return self._spelled(self._placed(dict(arguments)))

    def check(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """What the function takes, by name. Raises `BadArguments`."""
        problems = list(self._misnamed(data))
        if self._model is None:
            problems += _misfits(self.tool.parameters, data)
            if problems:
                raise BadArguments(problems, self.tool, data)
            return dict(data)
        try:
            made = self._validated(data)
        except ValueError as error:
            raise BadArguments([*problems, *_explained(error)], self.tool, data) from None
        if problems:
            raise BadArguments(problems, self.tool, data)
        if self._whole:
            return {"given": made}
        return {self._names[field]: getattr(made, field) for field in made.model_fields_set}

    def _parsed(self, text: str) -> dict[str, Any]:
        if len(text) > MOST_TEXT:
            raise BadArguments([f"they have more than {MOST_TEXT:,} characters"], self.tool)
        if not text or text.isspace():
            return {}
        try:
            data: Any = strict(text)
            if isinstance(data, str):  # an object inside a JSON string
                data = strict(data) if data.strip() else {}
        except DuplicateKey as error:
            raise BadArguments([str(error)], self.tool) from None
        except ValueError:
            try:
                return find_object(text, self._wanted)
            except DuplicateKey as error:
                raise BadArguments([str(error)], self.tool) from None
            except Unfit:
                raise BadArguments([f"they are no valid JSON; got {brief(text, 200)}"], self.tool) from None
        if data is None:
            return {}
        if not isinstance(data, dict):
            raise BadArguments([f"they are a JSON object; got {brief(data)}"], self.tool)
        return cast("dict[str, Any]", data)

    def _spelled(self, data: dict[str, Any]) -> dict[str, Any]:
        """The data with names that differ in case and decoration only set right."""
        if not data or self._wanted.keys.issuperset(data):
            return data
        try:
            return unwrapped(self._wanted.spelled(data), self._wanted)
        except DuplicateKey as error:
            raise BadArguments([str(error)], self.tool, data) from None

    def _placed(self, data: dict[str, Any]) -> dict[str, Any]:
        """Positional arguments, which code in a sandbox may give under "0", "1", ..., by name."""
        for place, name in enumerate(self.names):
            key = str(place)
            if key not in data:
                break
            if key in self.names:
                continue
            if name in data:
                raise BadArguments([f"{name!r} is given twice: by its place and by its name"], self.tool, data)
            data[name] = data.pop(key)
        return data

    def _misnamed(self, data: Mapping[str, Any]) -> Iterable[str]:
        if self.closed:
            missing = [name for name in self.names if name not in data]
            for name in data:
                if name not in self.names:
                    near = did_you_mean(name, missing) or did_you_mean(name, self.names)
                    yield f"there is no argument {brief(name, 60)}.{near} Arguments: {', '.join(self.names) or 'none'}"
        for name in self.names:
            if name in self.required and name not in data:
                yield f"the argument {name!r} is missing"

    def _validated(self, data: Mapping[str, Any]) -> Any:
        from pydantic import ValidationError

        try:
            return self._once(data)
        except (ValidationError, Misfit) as error:
            opened = _opened(data, error)
            if opened is None:
                raise
            return self._once(opened)

    def _once(self, data: Mapping[str, Any]) -> Any:
        from pydantic_core import PydanticSerializationError, to_json

        if self._fit is not None:
            data = self._fit(dict(data))
        validator = self._model.__pydantic_validator__
        try:
            text = to_json(data, inf_nan_mode="constants")
        except PydanticSerializationError:  # a lone surrogate, which UTF-8 cannot hold
            return validator.validate_python(data)
        return validator.validate_json(text)


def _model_for(tool: Tool) -> Any:
    """The model of a function that was given with a schema of its own, when its types can be told."""
    properties: Mapping[str, Any] = tool.parameters.get("properties") or {}
    try:
        model = model_of(cast("Callable[..., Any]", tool.function), {})
    except InputError:
        return None
    return model if set(_by_field(model).values()) == set(properties) else None


def _by_field(model: Any) -> dict[str, str]:
    """The names of arguments by the fields of the model of them."""
    return {name: field.alias or name for name, field in model.model_fields.items()}


def _opened(data: Mapping[str, Any], error: ValueError) -> dict[str, Any] | None:
    """The data with arguments that did not fit, and are JSON written as text, as what that says; None without any."""
    places: Iterable[Any] = (
        [error.where[0]] if isinstance(error, Misfit) else [one["loc"][0] for one in cast("Any", error).errors()]
    )
    found = dict(data)
    for name in places:
        text = found.get(name)
        if isinstance(text, str) and text.strip()[:1] in ("{", "["):
            try:
                found[name] = strict(text)
            except ValueError:
                continue
    return None if found == data else found


def _explained(error: ValueError) -> list[str]:
    """What is wrong, a line each, in words that a model can act on."""
    if isinstance(error, Misfit):
        return [str(error)]
    found: list[str] = []
    for one in cast("Any", error).errors(include_url=False, include_context=False):
        where = ".".join(str(step) for step in one["loc"])
        if len(one["loc"]) == 1 and one["type"] in ("missing", "extra_forbidden"):
            continue  # told already, with the names
        rule = re.sub(r"^Value error, ", "", one["msg"])
        got = "" if one["type"] == "missing" else f"; got {brief(one['input'], 80)}"
        found.append(f"{where}: {rule}{got}" if where else f"{rule}{got}")
    return found


def _misfits(schema: Mapping[str, Any], data: Mapping[str, Any]) -> Iterable[str]:
    """What does not fit the types and choices of a schema, at its top; the tool itself checks the rest."""
    properties: Mapping[str, Any] = schema.get("properties") or {}
    for name, value in data.items():
        one = properties.get(name)
        if not isinstance(one, Mapping):
            continue
        rule = cast("Mapping[str, Any]", one)
        kinds: Any = rule.get("type")
        names = [kinds] if isinstance(kinds, str) else cast("list[str]", kinds or ())
        if names and not any(_is(value, kind) for kind in names):
            yield f"{name}: must be {' or '.join(names)}; got {brief(value, 80)}"
        choices: Any = rule.get("enum")
        if isinstance(choices, (list, tuple)) and value not in cast("list[Any]", choices):
            yield f"{name}: must be one of {json.dumps(choices, ensure_ascii=False)}; got {brief(value, 80)}"


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _KINDS.get(kind, (object,)))

"""A tool as a model sees it: a name, what it does, and the JSON schema of its arguments."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

from outlast.errors import InputError, brief
from outlast.types.shown import FieldType

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_NO_ARGUMENTS: Mapping[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}


@dataclass(frozen=True, slots=True)
class Tool(FieldType):
    """What a model may call. `name` has up to 64 ASCII letters, digits, _ and -; `parameters` is a JSON schema of an
    object; `strict` asks the provider to hold the model to it. `function` is what runs; it is no part of the value,
    of its JSON form or of what a model sees. Raises `InputError` for another name or schema."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=lambda: dict(_NO_ARGUMENTS))
    strict: bool = False
    function: Callable[..., Any] | None = field(default=None, compare=False, repr=False)

    kind: ClassVar[str] = "tool"
    only_input: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise InputError(f"the name of a tool is up to 64 letters, digits, _ and -; got {brief(self.name)}")
        if not isinstance(self.description, str):
            raise InputError(f"tool {self.name!r}: its description is text; got {brief(self.description)}")
        if not isinstance(self.parameters, Mapping) or self.parameters.get("type") != "object":
            raise InputError(
                f"tool {self.name!r}: parameters is the JSON schema of an object; got {brief(self.parameters)}"
            )

    @classmethod
    def of(
        cls,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        description: str | None = None,
        strict: bool = True,
    ) -> Self:
        """A tool from a typed function: its name, the text of its docstring, and a schema of its parameters.

        Parameters are described by the docstring (`Args:` or `:param x:`) or by `Annotated[int, "..."]`. Raises
        `InputError` for *args, parameters without a type, and types that have no JSON schema.
        """
        from outlast.types.tool_schema import parameters_of, told

        text = told(function)
        called = name if name is not None else getattr(function, "__name__", "")
        return cls(
            called,
            text.summary if description is None else description,
            parameters_of(function, text.parameters),
            strict,
            function,
        )

    @property
    def arguments(self) -> dict[str, str]:
        """The description of each argument, "" where there is none."""
        properties: Mapping[str, Any] = self.parameters.get("properties", {})
        return {name: str(dict(one).get("description", "")) for name, one in properties.items()}

    def described(self, description: str | None = None, arguments: Mapping[str, str] | None = None) -> Self:
        """This tool with other texts for the model; None and arguments that are not named stay as they are."""
        properties = dict(self.parameters.get("properties", {}))
        for name, text in (arguments or {}).items():
            if name not in properties:
                raise InputError(f"tool {self.name!r} has no argument {name!r}")
            rest = {key: value for key, value in properties[name].items() if key != "description"}
            properties[name] = {**rest, "description": text} if text else rest
        parameters = {**self.parameters, "properties": properties} if arguments else self.parameters
        return replace(
            self, description=self.description if description is None else description, parameters=parameters
        )

    def __prompt__(self) -> str:
        """Name, description and the schema of the arguments."""
        said = f"{self.name}: {self.description}" if self.description else self.name
        return f"{said}\nArguments: JSON matching the schema {json.dumps(self.parameters, ensure_ascii=False)}"

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready form; `from_json` reads it back, without the function."""
        data: dict[str, Any] = {"name": self.name, "description": self.description, "parameters": dict(self.parameters)}
        if self.strict:
            data["strict"] = True
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The tool that `to_json` wrote; it has no function. Raises `InputError`."""
        parameters = data.get("parameters", _NO_ARGUMENTS)
        return cls(data.get("name", ""), data.get("description", ""), parameters, bool(data.get("strict", False)))

    def __hash__(self) -> int:
        return hash((self.name, self.description, self.strict))

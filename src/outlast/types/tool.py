"""A tool as a model sees it: a name, what it does, and the JSON schema of its arguments."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from outlast.errors import InputError, brief

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_NO_ARGUMENTS: Mapping[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}


@dataclass(frozen=True, slots=True)
class Tool:
    """What a model may call. `name` has up to 64 ASCII letters, digits, _ and -; `parameters` is a JSON schema of an
    object; `strict` asks the provider to hold the model to it. Raises `InputError` for another name or schema."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=lambda: dict(_NO_ARGUMENTS))
    strict: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise InputError(f"the name of a tool is up to 64 letters, digits, _ and -; got {brief(self.name)}")
        if not isinstance(self.parameters, Mapping) or self.parameters.get("type") != "object":
            raise InputError(
                f"tool {self.name!r}: parameters is the JSON schema of an object; got {brief(self.parameters)}"
            )

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready form."""
        data: dict[str, Any] = {"name": self.name, "description": self.description, "parameters": dict(self.parameters)}
        if self.strict:
            data["strict"] = True
        return data

    def __hash__(self) -> int:
        return hash((self.name, self.description, self.strict))

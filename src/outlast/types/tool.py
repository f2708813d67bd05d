"""A tool as a model sees it: a name, what it does, and the JSON schema of its arguments; and how it runs."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Literal, Self, cast

from outlast.errors import InputError, UsageError, brief, did_you_mean, refuse_unknown
from outlast.types.label import TRUSTED, Label
from outlast.types.shown import FieldType

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_NO_ARGUMENTS: Mapping[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}


@dataclass(frozen=True, slots=True)
class Tool(FieldType):
    """What a model may call. `name` has up to 64 ASCII letters, digits, _ and -; `parameters` is a JSON schema of an
    object; `strict` asks the provider to hold the model to it. `function` is what runs; it is no part of the value,
    of its JSON form or of what a model sees. Raises `InputError` for another name or schema.

    Nor are these, which say how it runs: `timeout`, the seconds that a call may take; `limit`, the characters of a
    result that the model sees; `max_calls` in one run (None: no limit); `approve`, whether somebody is asked before a
    call (True: the approver of the run; or a function of the `ToolCall`, see the guide to tools); `concurrent`, whether
    it may run while others do; `errors`, whether the model sees the "message" of an exception or it is "hidden";
    `repeatable`, whether a call whose outcome a crash has left unknown may be made again (see `checkpoint`); and
    `label`, where its results come from.
    """

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=lambda: dict(_NO_ARGUMENTS))
    strict: bool = False
    function: Callable[..., Any] | None = field(default=None, compare=False, repr=False)
    timeout: float = field(default=60.0, compare=False, repr=False, kw_only=True)
    limit: int = field(default=20_000, compare=False, repr=False, kw_only=True)
    max_calls: int | None = field(default=None, compare=False, repr=False, kw_only=True)
    approve: bool | Callable[..., Any] = field(default=False, compare=False, repr=False, kw_only=True)
    concurrent: bool = field(default=True, compare=False, repr=False, kw_only=True)
    errors: Literal["message", "hidden"] = field(default="message", compare=False, repr=False, kw_only=True)
    repeatable: bool = field(default=False, compare=False, repr=False, kw_only=True)
    label: Label = field(default=TRUSTED, compare=False, repr=False, kw_only=True)
    # It is a part of the program, which runs again when a checkpoint is gone on with: what it asks is known there.
    _inner: bool = field(default=False, compare=False, repr=False, kw_only=True)
    # The pydantic model that its arguments are checked by, when there is one.
    _model: Any = field(default=None, compare=False, repr=False, kw_only=True)

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
        for option, rule, fits in _OPTIONS:
            if not fits(getattr(self, option)):
                raise UsageError(f"tool {self.name!r}: {option} is {rule}; got {brief(getattr(self, option))}")

    def with_(self, **changes: Any) -> Self:
        """A copy with other attributes: `tool.with_(timeout=5, approve=True)`. Raises `UsageError`."""
        refuse_unknown(changes, [f.name for f in fields(self) if f.name[0] != "_"], "a tool")
        if "function" in changes:
            changes["_model"] = None
        return replace(self, **changes)

    def described(self, description: str | None = None, arguments: Mapping[str, str] | None = None) -> Self:
        """A copy with other texts for the model: of the tool, and of arguments by name; what is None or not named
        stays as it is. Raises `InputError`."""
        known: Mapping[str, Any] = self.parameters.get("properties") or {}
        told: dict[str, Any] = dict(known)
        for name, text in (arguments or {}).items():
            if name not in known or not isinstance(known[name], Mapping):
                raise InputError(
                    f"tool {self.name!r} has no argument {name!r} to describe.{did_you_mean(name, known)} "
                    f"Arguments: {', '.join(known) or 'none'}."
                )
            if not isinstance(text, str):
                raise InputError(f"tool {self.name!r}: the description of {name!r} is text; got {brief(text)}")
            told[name] = {**known[name], "description": text}
            if not text:
                del told[name]["description"]
        parameters = {**self.parameters, "properties": told} if arguments else self.parameters
        return replace(
            self, description=self.description if description is None else description, parameters=parameters
        )

    @property
    def arguments(self) -> dict[str, str]:
        """The descriptions of its arguments by name, "" where there is none."""
        known: Mapping[str, Any] = self.parameters.get("properties") or {}
        return {
            name: cast("Mapping[str, Any]", one).get("description", "") if isinstance(one, Mapping) else ""
            for name, one in known.items()
        }

    def __call__(self, *args: Any, **arguments: Any) -> Any:
        """Call the function, as any other code would: nothing is checked, limited or asked."""
        if self.function is None:
            raise UsageError(f"the tool {self.name!r} has no function, so nothing could run it")
        return self.function(*args, **arguments)

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
        from outlast.types.tool_schema import model_of, name_of, schema_of, told

        text = told(function)
        model = model_of(function, text.parameters)
        return cls(
            name_of(function) if name is None else name,
            text.summary if description is None else description,
            schema_of(model, function),
            strict,
            function,
            _model=model,
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

    def __reduce__(self) -> Any:  # the model is a class that nobody can find by its name
        return _remade, (type(self), {f.name: getattr(self, f.name) for f in fields(self) if f.name != "_model"})


def _remade(kind: type[Tool], values: dict[str, Any]) -> Tool:
    return kind(**values)


def _positive(value: Any, *kinds: type) -> bool:
    return isinstance(value, kinds) and not isinstance(value, bool) and 0 < value < math.inf


_OPTIONS: tuple[tuple[str, str, Callable[[Any], bool]], ...] = (
    ("timeout", "a number of seconds above 0 that is finite", lambda value: _positive(value, int, float)),
    ("limit", "a whole number of characters above 0", lambda value: _positive(value, int)),
    ("max_calls", "a whole number above 0, or None", lambda value: value is None or _positive(value, int)),
    ("approve", "True, False or a function of the call", lambda value: isinstance(value, bool) or callable(value)),
    ("concurrent", "True or False", lambda value: isinstance(value, bool)),
    ("repeatable", "True or False", lambda value: isinstance(value, bool)),
    ("errors", "'message' or 'hidden'", lambda value: value in ("message", "hidden")),
    ("label", "a Label", lambda value: isinstance(value, Label)),
)

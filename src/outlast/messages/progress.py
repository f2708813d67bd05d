"""What a running program tells whoever watches it: the events of `program.stream(...)`, frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from outlast.messages.parts import ToolCall
from outlast.signatures.record import Record, outputs_of

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    R = TypeVar("R", default=Any)
else:
    R = TypeVar("R")


class Told:
    """What all events have: a form for JSON."""

    __slots__ = ()

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data with the kind of the event as `event`; what JSON does not know is shown as text."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}  # pyright: ignore[reportArgumentType]
        return {"event": type(self).__name__, **{name: _plain(value) for name, value in values.items()}}


def _plain(value: Any) -> Any:
    if value is None or type(value) in (str, int, bool):
        return value
    from pydantic_core import to_jsonable_python

    if isinstance(value, Record):
        value = outputs_of(value)
    return to_jsonable_python(value, fallback=str, inf_nan_mode="constants", bytes_mode="base64")


@dataclass(frozen=True, slots=True)
class FieldDelta(Told):
    """More text of an output, as the reply shows it: the characters of a text, the JSON of a list or a model.

    `path` is that of the module that asks, "" for the program itself, None for a module that is no part of it;
    `sample` tells apart the draws of one module. `attempt` counts how often the answer was begun anew: what came with
    a lower one does not count. `field` is "" for a draft that is no field yet (the first answer of `TwoStep`).
    """

    path: str | None
    field: str
    text: str
    sample: int = 0
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Partial(Told):
    """The value of an output so far, as its type where that has a beginning.

    A text as far as it came, a list with the items that are whole, a dict or a model as a dict of the keys that are;
    all else when it is whole. `complete` says that the field is closed and valid. A long text comes at every 64th of
    its length, so that all of them together cost no more than a multiple of the text.
    """

    path: str | None
    field: str
    value: Any
    complete: bool = False
    sample: int = 0
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Thinking(Told):
    """More of what a model thinks before it answers."""

    path: str | None
    text: str
    sample: int = 0
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Restarted(Told):
    """What was shown of this answer so far does not count: `reason` says why. What follows has the new `attempt`."""

    path: str | None
    reason: str
    sample: int = 0
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Answered(Told):
    """A module has its answer: all outputs, checked, by name."""

    path: str | None
    values: Mapping[str, Any]
    sample: int = 0
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class ToolCalled(Told):
    """An agent calls a tool."""

    path: str | None
    call: ToolCall
    sample: int = 0
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class ToolReturned(Told):
    """What a call of a tool gave; `failed` says that it is the text of an error."""

    path: str | None
    call: ToolCall
    result: Any
    failed: bool = False
    sample: int = 0
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Status(Told):
    """What `ol.status(...)` says of how far a program is."""

    path: str | None
    text: str
    sample: int = 0
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Final(Told, Generic[R]):
    """The end: what the program returned. Always the last event, and only when all went well."""

    prediction: R


ProgramEvent = FieldDelta | Partial | Thinking | Restarted | Answered | ToolCalled | ToolReturned | Status | Final[Any]

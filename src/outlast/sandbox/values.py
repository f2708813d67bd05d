"""What goes into a sandbox and what comes out of it: limits, results and the two steps between host and guest."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from outlast.errors import UsageError, brief
from outlast.types import TRUSTED, Label

Stopped = Literal["time", "memory", "output", "value", "tool_calls", "crash"]
Isolation = Literal["process", "wasm", "os", "none"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one `execute` may take; every limit is finite.

    `seconds` is the wall time of the guest, without the time that host tools take (those have limits of their own);
    `memory` the bytes of the guest; `output` the bytes of stdout that are kept, and eight times as many end the run;
    `value` the bytes of JSON that cross at once, in each direction; `tool_calls` how many calls of host tools one
    `execute` makes at most.
    """

    seconds: float = 10.0
    memory: int = 256 << 20
    output: int = 64 << 10
    value: int = 1 << 20
    tool_calls: int = 200

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            whole = f.name != "seconds"
            if isinstance(value, bool) or not isinstance(value, int if whole else int | float) or not value > 0:
                raise UsageError(
                    f"Limits({f.name}=...) is a {'whole ' if whole else ''}number above 0; got {brief(value)}"
                )
            if math.isinf(value):
                raise UsageError(f"Limits({f.name}=...) is finite; got {value}")


@dataclass(frozen=True, slots=True)
class GuestError:
    """An exception in the guest: its type's name, its message, and the lines of the guest's own code that it came
    through. Text from the guest: data, never to be trusted."""

    kind: str
    message: str
    lines: str = ""

    def __str__(self) -> str:
        return f"{self.lines}\n{self.kind}: {self.message}" if self.lines else f"{self.kind}: {self.message}"


@dataclass(frozen=True, slots=True)
class Used:
    """What one `execute` took: seconds of the guest, calls of host tools, and bytes at the peak (None: not known)."""

    seconds: float = 0.0
    tool_calls: int = 0
    memory: int | None = None


@dataclass(frozen=True, slots=True)
class Executed:
    """What the code did. `value` is that of a last line that is an expression, as JSON data (None without one).

    `error` is the exception that ended it, `stopped` the limit that did ("crash": the worker died by itself), both
    None when it ran to its end. `state_lost`: the variables of the session are gone. `truncated`: stdout was cut at
    the limit. `unsupported`: the error is the backend's, which is a subset of Python; another one may run the code.
    All of it is the guest's word: data.
    """

    value: Any = None
    stdout: str = ""
    error: GuestError | None = None
    stopped: Stopped | None = None
    state_lost: bool = False
    truncated: bool = False
    unsupported: bool = False
    used: Used = field(default_factory=Used)
    label: Label = TRUSTED

    @property
    def ok(self) -> bool:
        """True when the code ran to its end."""
        return self.error is None and self.stopped is None

    def told(self) -> str:
        """The result as a text for a model: stdout, the value, the error or the limit, in this order."""
        parts = [self.stdout.rstrip("\n")] if self.stdout else []
        if self.truncated:
            parts.append("(the output was cut here)")
        if self.value is not None:
            parts.append(f"=> {brief(self.value, 4_000)}")
        if self.error is not None:
            parts.append(str(self.error))
        if self.stopped is not None:
            parts.append(f"(stopped: {_STOPPED[self.stopped]})")
        if self.state_lost:
            parts.append("(all variables are lost)")
        return "\n".join(parts) or "(no output)"


_STOPPED: Mapping[Stopped, str] = {
    "time": "the code ran too long",
    "memory": "the code used too much memory",
    "output": "the code printed too much",
    "value": "a value was too big to cross",
    "tool_calls": "the code called tools too often",
    "crash": "the interpreter died",
}


@dataclass(frozen=True, slots=True)
class Call:
    """The guest waits for a host tool. `arguments` are JSON data by name; positional ones are under "0", "1", ..."""

    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """What a host tool answers to the guest: JSON data, or an error that is raised there as `ToolError(error)`."""

    value: Any = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """The guest is done; the fields are those of `Executed`."""

    value: Any = None
    stdout: str = ""
    error: GuestError | None = None
    stopped: Stopped | None = None
    state_lost: bool = False
    truncated: bool = False
    unsupported: bool = False
    memory: int | None = None


Step = Call | Done

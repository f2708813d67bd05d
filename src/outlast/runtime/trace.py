"""What happened in a run: spans in order."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from outlast.errors import LMCircuitOpen, LMError, LMReplayError
from outlast.messages import Request, Response, Spending
from outlast.types import TRUSTED, Label


@dataclass(frozen=True, slots=True)
class Span:
    """One exchange with a model, in the order in which it happened.

    `path` is the parameter path of the module that asked ("hops.1.answer"), "" for a program that is itself one
    module and None for a module outside the program. `attempt` counts from 0 within one question; later ones are
    re-asks. `values` are the parsed outputs, None when parsing failed; then `error` says why. `started` is in
    seconds since the epoch, `seconds` is how long it took. `joined` is not 0 where the reply was made of that many
    exchanges, whose spans stand before it: they are what was sent and what counts; this request never was.
    An answer that a check refused has both `values` and `error`, a `CheckFailed`. `adapter` and `lm` are the names of
    the adapter that asked, "" where none did, and of the model that was asked; `identity` is that model's where the
    span is kept in a store, for replays.
    """

    path: str | None
    module: str
    signature: str
    inputs: Mapping[str, Any]
    request: Request
    response: Response | None
    values: Mapping[str, Any] | None
    error: Exception | None
    attempt: int
    started: float
    seconds: float
    label: Label = TRUSTED
    joined: int = 0
    adapter: str = ""
    lm: str = ""
    identity: str = ""


LATEST = 1_000  # spans that `Latest` holds at least, once there were so many


class Noted(NamedTuple):
    """What became of one check of a question or a module: `path` as in a span, `checked` says first and final result.

    `name` is that of the check; the module at `path` may be asked several times in a run, each with its own note.
    """

    path: str | None
    name: str
    checked: Any


class Trace(list[Span]):
    """The spans of one program call, in the order in which they ended; `checks` are the notes on checks."""

    __slots__ = ("__weakref__", "_id", "_noted")

    _noted: list[Noted]
    _id: str

    @property
    def id(self) -> str:
        """The id under which it stands in a store of traces (32 hexadecimal digits), "" when it is not kept."""
        return getattr(self, "_id", "")

    def kept_as(self, id: str) -> None:
        """Say under which id it is kept."""
        self._id = id

    @property
    def checks(self) -> tuple[Noted, ...]:
        """What became of each check that was run, in order."""
        return tuple(getattr(self, "_noted", ()))

    def note(self, path: str | None, checks: Mapping[str, Any]) -> None:
        """Add what became of checks, by name."""
        if not hasattr(self, "_noted"):
            self._noted = []
        self._noted.extend(Noted(path, name, checked) for name, checked in checks.items())

    def extend(self, spans: Iterable[Span]) -> None:
        """Add spans; those of a trace with its notes."""
        super().extend(spans)
        if isinstance(spans, Trace) and hasattr(spans, "_noted"):
            if not hasattr(self, "_noted"):
                self._noted = []
            self._noted.extend(spans._noted)

    @property
    def spending(self) -> Spending:
        """Calls, tokens and dollars of all spans; of a joined reply those of its exchanges, once. A request that
        brought no answer is a failed call."""
        from outlast.runtime.meter import may_be_billed  # it waits, and so imports the run that has a trace

        total = Spending()
        for span in self:
            if span.response is not None:
                if not span.joined:
                    total.add(span.response)
            elif isinstance(span.error, LMError) and not isinstance(span.error, LMCircuitOpen | LMReplayError):
                total.fail(uncertain=may_be_billed(span.error))
        return total

    def __repr__(self) -> str:
        return f"<Trace of {len(self)} spans, {self.spending}>"


class Latest(Trace):
    """The last spans of a block whose calls are kept elsewhere, and the sums of all: such a block may last as long as
    a server does."""

    __slots__ = ("_gone", "_lock")

    def __init__(self) -> None:
        super().__init__()
        self._gone = Spending()
        self._lock = threading.Lock()

    def append(self, span: Span) -> None:
        """Add a span."""
        super().append(span)
        self._shorten()

    def extend(self, spans: Iterable[Span]) -> None:
        """Add spans; those of a trace with its notes, and with the sums of those that it has no more."""
        super().extend(spans)
        if isinstance(spans, Latest):
            with self._lock:
                self._gone.include(spans._gone)
        self._shorten()

    def _shorten(self) -> None:
        if len(self) < 2 * LATEST and len(getattr(self, "_noted", ())) < 2 * LATEST:
            return
        with self._lock:
            old = Trace(self[:-LATEST])
            del self[: len(old)]
            self._gone.include(old.spending)
            if hasattr(self, "_noted"):
                del self._noted[:-LATEST]

    @property
    def spending(self) -> Spending:
        """Calls, tokens and dollars of all spans, also of those that are no longer here."""
        total = super().spending
        with self._lock:
            total.include(self._gone)
        return total

"""What the running code tells of itself, on its way to the store: cheap to tell, and never in the way.

Telling costs a few microseconds: values are referred to, not written; a thread of the process writes them.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast

from outlast.data.jsonform import json_form
from outlast.lms.caching.hiding import known_secrets, longest_first
from outlast.messages import Request, Spending
from outlast.runtime import Recording, Span, current
from outlast.signatures.record import Record, outputs_of
from outlast.tracing.packing import new_span_id, new_trace_id
from outlast.tracing.record import ResultRecord
from outlast.tracing.writer import Writer
from outlast.types import TRUSTED, Label

Capture = Literal["full", "redacted", "hash", "off"]
CAPTURES = ("full", "redacted", "hash", "off")
_LONGEST = 100_000  # characters of the text of an exception
_ATOMS = frozenset((str, int, float, bool, type(None)))


_seen: list[Mapping[str, str]] = [{}]  # replaced as a whole: another thread may look through it


def remember_secrets() -> Mapping[str, str]:
    """All secrets that were known while something was told, also now: a variable may be gone when that is written."""
    now, seen = known_secrets(), _seen[0]
    if any(seen.get(value) != sign for value, sign in now.items()):
        _seen[0] = seen = longest_first({**seen, **now})
    return seen


class Nowhere:
    """Keeps nothing: for the thread that writes, so that what it runs is not told in turn."""

    trace = ""

    def module(self, module: object, path: str | None, inputs: Mapping[str, Any]) -> Recording:
        """Nothing is kept."""
        return self

    def tool(self, name: str, arguments: Mapping[str, Any]) -> Recording:
        """Nothing is kept."""
        return self

    def exchange(self, span: Span) -> None:
        """Nothing is kept."""

    def amend(self, request: Request, outcome: Mapping[str, Any]) -> None:
        """Nothing is kept."""

    def note(self, checks: Mapping[str, Any]) -> None:
        """Nothing is kept."""

    def end(self, value: Any, *, error: BaseException | None = None, label: Label | None = None) -> None:
        """Nothing is kept."""


class TraceState:
    """A trace while it goes on. The sums are the writer's, which is alone in its thread."""

    __slots__ = ("id", "models", "place", "root", "sample", "spent")

    def __init__(self, place: Place) -> None:
        self.id = new_trace_id()
        self.place = place
        self.sample = current().sample  # which draw of the whole program it is
        self.root: Open | Exchange | None = None
        self.spent = Spending()
        self.models: dict[str, None] = {}


@dataclass(frozen=True, slots=True)
class Place:
    """Where traces begin: the run that they belong to, and what is said of each."""

    writer: Writer
    run_id: str
    capture: Capture = "full"
    redact: Callable[[str], str] | None = None
    session: str = ""
    example: str = ""
    tags: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict[str, Any])
    told: Callable[[str], None] | None = None  # gets the id of each trace that begins
    around: Place | None = None  # what is said outside of the block

    @property
    def trace(self) -> str:
        """No trace has begun."""
        return ""

    def module(self, module: object, path: str | None, inputs: Mapping[str, Any]) -> Recording:
        """A program begins."""
        state = self._begun()
        state.root = span = Open(state, "", "program", type(module).__name__, path)
        span.begin(module, inputs)
        return span

    def tool(self, name: str, arguments: Mapping[str, Any]) -> Recording:
        """A tool that no program called begins."""
        state = self._begun()
        state.root = span = Open(state, "", "tool", name, None)
        span.begin(None, arguments)
        return span

    def exchange(self, span: Span) -> None:
        """A model was asked outside of any program."""
        state = self._begun()
        state.root = kept = Exchange(state, "", span)
        self.writer.put(kept, size_of(span))

    def amend(self, request: Request, outcome: Mapping[str, Any]) -> None:
        """Nothing is open here."""

    def note(self, checks: Mapping[str, Any]) -> None:
        """Nothing is open here."""

    def end(self, value: Any, *, error: BaseException | None = None, label: Label | None = None) -> None:
        """Nothing is open here."""

    def _begun(self) -> TraceState:
        place = self
        if "opentelemetry.trace" in sys.modules:  # the application may trace itself: ours becomes a part of that
            from outlast.tracing.otel.joining import around

            if found := around():
                place = replace(self, attributes={**self.attributes, **found})
        state = TraceState(place)
        if self.told is not None:
            self.told(state.id)
        return state

    def about(self, **changes: Any) -> Place:
        """The same place with other things said of its traces."""
        return replace(self, **changes)


@dataclass(frozen=True, slots=True)
class Result:
    """A row of an evaluation, and the place that says how much of it is kept."""

    place: Place
    record: ResultRecord


class Open:
    """A span of a module or a tool. It is written when it begins and, with what it gave, when it ends."""

    __slots__ = (
        "clock",
        "error",
        "exchanges",
        "id",
        "inputs",
        "kept",
        "kind",
        "label",
        "module_value",
        "name",
        "notes",
        "outputs",
        "parent",
        "path",
        "seconds",
        "seen",
        "started",
        "state",
    )

    def __init__(self, state: TraceState, parent: str, kind: str, name: str, path: str | None) -> None:
        self.state = state
        self.id = new_span_id()
        self.parent = parent
        self.kind = kind
        self.name = name
        self.path = path
        self.module_value: object | None = None
        self.inputs: Any = None
        self.outputs: Any = None
        self.error: tuple[str, str] | None = None
        self.label: Label = TRUSTED
        self.notes: Mapping[str, Any] | None = None
        self.seconds: float | None = None
        self.exchanges: dict[int, Exchange] | None = None
        self.seen = (
            0  # how often the writer was told of it: when it began, and when it ended with all that is inside it
        )
        self.started = time.time()
        self.clock = time.perf_counter()

    @property
    def trace(self) -> str:
        """The id of its trace."""
        return self.state.id

    def begin(self, module: object | None, inputs: Mapping[str, Any]) -> None:
        """Tell that it begins."""
        self.module_value = module
        self.inputs = still(inputs)
        self.kept = self.state.place.writer.put(self, 1000)

    def module(self, module: object, path: str | None, inputs: Mapping[str, Any]) -> Recording:
        """A part of it begins."""
        span = Open(self.state, self.id, "module", type(module).__name__, path)
        span.begin(module, inputs)
        return span

    def tool(self, name: str, arguments: Mapping[str, Any]) -> Recording:
        """A tool begins that it called."""
        span = Open(self.state, self.id, "tool", name, None)
        span.begin(None, arguments)
        return span

    def exchange(self, span: Span) -> None:
        """It asked a model."""
        kept = Exchange(self.state, self.id, span)
        if self.state.place.writer.put(kept, size_of(span)):
            if self.exchanges is None:
                self.exchanges = {}
            self.exchanges[id(span.request)] = kept

    def amend(self, request: Request, outcome: Mapping[str, Any]) -> None:
        """What became of an answer."""
        kept = None if self.exchanges is None else self.exchanges.get(id(request))
        if kept is not None:
            kept.span = replace(kept.span, **outcome)
            self.state.place.writer.put(kept, 0)

    def note(self, checks: Mapping[str, Any]) -> None:
        """What became of checks."""
        self.notes = {**(self.notes or {}), **checks}

    def end(self, value: Any, *, error: BaseException | None = None, label: Label | None = None) -> None:
        """It is over."""
        self.seconds = time.perf_counter() - self.clock
        self.exchanges = None
        if error is not None:
            self.error = told_of(error)
        if error is None or value is not None:  # a tool that failed still tells the model something
            self.outputs = still(value)
        if label is not None:
            self.label = label
        if self.kept:
            self.state.place.writer.put(self, 0)


class Exchange:
    """A span of an exchange with a model; it is over when it is told."""

    __slots__ = ("counted", "id", "parent", "span", "state")

    def __init__(self, state: TraceState, parent: str, span: Span) -> None:
        self.state = state
        self.id = new_span_id()
        self.parent = parent
        self.span = span
        self.counted = False  # in the sums of the trace, by the writer


def told_of(error: BaseException) -> tuple[str, str]:
    """The type and the text of an exception, of which the store keeps the beginning."""
    try:
        text = str(error)
    except BaseException:  # of a user's class, whose error it is that goes on
        text = "(its text cannot be made)"
    return type(error).__name__, text[:_LONGEST]


def still(value: Any) -> Any:
    """The value as it is now: itself where it cannot change, else as JSON-ready data."""
    if type(value) in _ATOMS:
        return value
    try:
        return _still(value)
    except Exception as error:  # of a user's class, whose call goes on
        return f"(not kept: {type(error).__name__})"


def _still(value: Any) -> Any:
    if isinstance(value, Record):
        value = outputs_of(value)
    if isinstance(value, Mapping):
        items = cast("Mapping[str, Any]", value)
        if all(type(item) in _ATOMS for item in items.values()):
            return dict(items)
    return json_form(value, lenient=True)


def size_of(span: Span) -> int:
    """About how many bytes a span holds that nothing else does."""
    last = span.request.messages[-1] if span.request.messages else None
    told = 0 if span.response is None else len(span.response.text)
    if last is None:
        return told + 500
    if isinstance(last.content, str):
        return told + len(last.content) + 500
    held = sum(len(getattr(part, "data", None) or getattr(part, "text", "") or "") for part in last.content)
    return told + held + 500

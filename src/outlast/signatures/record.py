"""What a program returns: named values, with the way they came about one attribute away."""

from __future__ import annotations

import copy
import html
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

from outlast.errors import FrozenError, brief, did_you_mean

if TYPE_CHECKING:
    from outlast.checks.reported import Checked
    from outlast.messages import Decision
    from outlast.runtime import Trace

ABOUT_RESULTS = ("trace", "reasoning", "decisions", "outcome", "checks")
_NOTHING: Mapping[str, Any] = MappingProxyType({})
_Meta = tuple["Trace | None", str | None, "Mapping[str, Decision]", Any, Mapping[str, Any]]
_NO_META: _Meta = (None, None, _NOTHING, None, _NOTHING)


class Record:
    """Named values as attributes.

    Values live in the instance dictionary, so a field may have any name. `trace` (the exchanges with the model),
    `reasoning` (what the model thought before answering, or None), `decisions` (the probabilities of outputs that
    were answered as typed questions, by name), `outcome` (how a strategy of several steps came to it, or None) and
    `checks` (what became of each check, by name) are reached as attributes too unless a field has that name.
    `record["team"]`, `"team" in record`, `for name in record` and `==` work as on a mapping.
    """

    __slots__ = ("__dict__", "__weakref__", "_meta")

    _meta: _Meta

    if TYPE_CHECKING:

        @property
        def trace(self) -> Trace:
            """The exchanges with models that led to this, in order."""
            ...

        @property
        def reasoning(self) -> str | None:
            """What the model thought before it answered, when it said so."""
            ...

        @property
        def decisions(self) -> Mapping[str, Decision]:
            """The answers with their probabilities, of outputs that were asked as typed questions."""
            ...

        @property
        def outcome(self) -> Any:
            """How a strategy of several steps came to this (an `Outcome`), None when there was one call only."""
            ...

        @property
        def checks(self) -> Mapping[str, Checked]:
            """What became of each check on the way to this (a `Checked`), by name."""
            ...

    def __getitem__(self, name: str) -> Any:
        try:
            return self.__dict__[name]
        except KeyError:
            raise KeyError(_unknown(self, name)) from None

    def __contains__(self, name: object) -> bool:
        return name in self.__dict__

    def __iter__(self) -> Iterator[str]:
        return iter(self.__dict__)

    def __len__(self) -> int:
        return len(self.__dict__)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Record):
            return NotImplemented
        return self.__dict__ == other.__dict__

    __hash__ = None  # pyright: ignore[reportAssignmentType]

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if name in ABOUT_RESULTS:
                return getattr(self, "_meta", _NO_META)[ABOUT_RESULTS.index(name)]
            if name.startswith("_"):
                raise AttributeError(name)
            raise AttributeError(_unknown(self, name), name=name, obj=self)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "_meta":
            object.__setattr__(self, name, value)
            return
        raise FrozenError(
            f"{type(self).__name__} is a value: {name!r} cannot be assigned; make a new one with "
            f"Prediction(**{{**fields_of(out), {name!r}: ...}})"
        )

    def __delattr__(self, name: str) -> None:
        raise FrozenError(f"{type(self).__name__} is a value: {name!r} cannot be deleted")

    def __copy__(self) -> Any:
        return self._with(dict(self.__dict__))

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return self._with(copy.deepcopy(dict(self.__dict__), memo))

    def _with(self, values: dict[str, Any]) -> Any:
        """A record of this class with other values, that came about the same way."""
        other = make_record(type(self), values)
        other._meta = getattr(self, "_meta", _NO_META)
        return other

    def __getstate__(self) -> tuple[dict[str, Any], Any]:
        meta = getattr(self, "_meta", _NO_META)
        return dict(self.__dict__), (meta[1], dict(meta[2]), meta[3], dict(meta[4]))

    def __setstate__(self, state: tuple[dict[str, Any], Any]) -> None:
        self.__dict__.update(state[0])
        self._meta = cast("_Meta", (None, *state[1], *_NO_META[1 + len(state[1]) :]))

    def __repr__(self) -> str:
        shown = outputs_of(self) or self.__dict__
        parts = [f"{name}={value!r}" for name, value in shown.items()]
        line = f"{type(self).__name__}({', '.join(parts)})"
        if len(line) <= 100:
            return line
        rows = "".join(f"    {name}={brief(value, 400)},\n" for name, value in shown.items())
        return f"{type(self).__name__}(\n{rows})"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left;vertical-align:top'>{html.escape(name)}</th>"
            f"<td style='text-align:left;white-space:pre-wrap'>{html.escape(_shown(value))}</td></tr>"
            for name, value in (outputs_of(self) or self.__dict__).items()
        )
        return f"<table>{rows}</table>"


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else brief(value, 2000)


def _unknown(record: Record, name: object) -> str:
    names = list(record.__dict__)
    return f"{type(record).__name__} has no field {name!r}.{did_you_mean(str(name), names)} Fields: {', '.join(names)}."


class Prediction(Record):
    """A `Record` of any fields: `Prediction(team="cards", urgency=3)`.

    A program's own `forward` may return one; calls of string signatures do.
    """

    __slots__ = ()

    if TYPE_CHECKING:

        def __init__(self, **values: Any) -> None: ...

        def __getattr__(self, name: str) -> Any: ...

    else:

        def __init__(self, /, **values: Any) -> None:
            fill(self, values)


def fill(record: Record, values: Mapping[str, Any]) -> None:
    """Give a new record its values; there is no other way in."""
    record.__dict__.update(values)
    record._meta = _NO_META


def make_record(
    cls: type[Record],
    values: Mapping[str, Any],
    reasoning: str | None = None,
    decisions: tuple[tuple[str, Decision], ...] = (),
) -> Any:
    """A record of class `cls` without any checks."""
    record = object.__new__(cls)
    record.__dict__.update(values)
    record._meta = (None, reasoning, dict(decisions) if decisions else _NOTHING, None, _NOTHING)
    return record


def attach_trace(record: Record, trace: Trace) -> None:
    """Say how a record came about."""
    record._meta = (trace, *cast("_Meta", getattr(record, "_meta", _NO_META))[1:])


def with_outcome(record: Record, outcome: Any) -> Any:
    """A record with the same values and history that says how a strategy came to it."""
    other = record._with(dict(record.__dict__))
    meta = cast("_Meta", getattr(record, "_meta", _NO_META))
    other._meta = (*meta[:3], outcome, meta[4])
    return other


def attach_checks(record: Record, checks: Mapping[str, Any]) -> None:
    """Say what became of checks, besides those that are known."""
    meta = cast("_Meta", getattr(record, "_meta", _NO_META))
    record._meta = (*meta[:4], MappingProxyType({**meta[4], **checks}))


def recast(record: Record, signature: Any) -> Any:
    """The fields of a signature out of a record with more, as a record of that signature that came about the same
    way."""
    other = make_record(signature, {name: record.__dict__[name] for name in signature.fields})
    other._meta = getattr(record, "_meta", _NO_META)
    return other


def outcome_of(record: Record) -> Any:
    """The `Outcome` of a record, whatever its fields are called; None when there is none."""
    return getattr(record, "_meta", _NO_META)[3]


def trace_of(record: Record) -> Trace | None:
    """How a record came about, whatever its fields are called; None when nothing is known."""
    return getattr(record, "_meta", _NO_META)[0]


def checks_of(record: Any) -> Mapping[str, Checked]:
    """What became of each check on the way to a result (a `Checked`), by name, whatever its fields are called; nothing
    for a plain value, whose checks are in the trace only."""
    return getattr(record, "_meta", _NO_META)[4] if isinstance(record, Record) else _NOTHING


def reasoning_of(record: Record) -> str:
    """The reasoning behind a record, whatever its fields are called; "" when there is none."""
    return getattr(record, "_meta", _NO_META)[1] or ""


def fields_of(record: Record) -> dict[str, Any]:
    """All values of a record by name, inputs and outputs."""
    return dict(record.__dict__)


def outputs_of(record: Record) -> dict[str, Any]:
    """The output values of a record by name; all values when it belongs to no signature."""
    inputs: Mapping[str, Any] = getattr(type(record), "inputs", {})
    return {name: value for name, value in record.__dict__.items() if name not in inputs}

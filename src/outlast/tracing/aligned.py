"""Two runs of one program beside each other: spans aligned by kind, path, attempt and order."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from outlast.lms.caching.hiding import known_secrets, without_secrets
from outlast.tracing.packing import dumps
from outlast.tracing.record import Content, SpanRecord
from outlast.tracing.recorder import Exchange, Open, told_of
from outlast.types import TRUSTED

Key = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class Side:
    """One span as it was or is now, as JSON-ready data: what went in and came out (of an exchange with a model the
    request, and the text and the calls of tools of the reply), US dollars, seconds; None where unknown."""

    span_id: str
    inputs: Any = None
    outputs: Any = None
    error: str = ""
    lm: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: float | None = None
    seconds: float | None = None

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Pair:
    """A span of the stored run and the one in its place now; None where the other run has no such span."""

    kind: str
    path: str
    attempt: int
    stored: Side | None
    new: Side | None

    @property
    def changed(self) -> tuple[str, ...]:
        """What differs: "inputs", "outputs", "error", "missing" or "added". Tokens, cost and time do not count."""
        if self.stored is None or self.new is None:
            return ("added",) if self.stored is None else ("missing",)
        return tuple(
            name for name in ("inputs", "outputs", "error") if getattr(self.stored, name) != getattr(self.new, name)
        )

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "kind": self.kind,
            "path": self.path,
            "attempt": self.attempt,
            "changed": list(self.changed),
            "stored": None if self.stored is None else self.stored.to_json(),
            "new": None if self.new is None else self.new.to_json(),
        }


def paired(stored: Iterable[tuple[Key, Side]], new: Iterable[tuple[Key, Side]]) -> tuple[Pair, ...]:
    """The spans of both, each in the order in which they began: the n-th of a kind, path and attempt beside the n-th.

    The order is that of the stored ones; what only the new run has stands after what it followed there.
    """
    waiting: dict[Key, list[tuple[int, Side]]] = {}
    fresh = list(new)
    for place, (key, side) in enumerate(fresh):
        waiting.setdefault(key, []).append((place, side))
    rows: list[tuple[float, int, Pair]] = []
    last = -1.0
    for number, (key, side) in enumerate(stored):
        found = waiting.get(key)
        place, other = found.pop(0) if found else (last, None)
        last = float(place)
        rows.append((last, number, Pair(*key, side, other)))
    for key, left in waiting.items():
        rows.extend((float(place), len(rows), Pair(*key, None, side)) for place, side in left)
    rows.sort(key=lambda row: (row[0], row[1]))
    return tuple(row[2] for row in rows)


def stored_sides(
    spans: Iterable[SpanRecord], contents: Mapping[str, Content], *, tools: bool = True
) -> list[tuple[Key, Side]]:
    """The spans of a trace as sides, in their order."""
    sides: list[tuple[Key, Side]] = []
    for span in spans:
        if span.joined or (span.kind == "tool" and not tools):
            continue
        content = contents[span.id]
        inputs, outputs = content.inputs, content.outputs
        if span.kind == "lm":
            inputs, outputs = content.request, said(content.response)
        error = f"{span.error_type}: {span.error}" if span.error_type else ""
        sides.append(
            (
                (span.kind, place_of(span.kind, span.path, span.name), span.attempt),
                Side(
                    span.id,
                    inputs,
                    outputs,
                    error,
                    span.lm_answered or span.lm_asked,
                    span.input_tokens,
                    span.output_tokens,
                    span.cost,
                    span.seconds,
                ),
            )
        )
    return sides


def new_sides(told: Iterable[Open | Exchange], *, tools: bool = True) -> list[tuple[Key, Side]]:
    """What was told of running code, as sides: parents before their children, else by when they began."""
    sides: list[tuple[Key, Side]] = []
    for thing in ordered(told):
        if isinstance(thing, Open):
            if thing.kind == "tool" and not tools:
                continue
            error = "" if thing.error is None else f"{thing.error[0]}: {thing.error[1]}"
            side = Side(thing.id, _plain(thing.inputs), _plain(thing.outputs), error, seconds=thing.seconds)
            sides.append(((thing.kind, place_of(thing.kind, thing.path, thing.name), 0), side))
        elif not thing.span.joined:
            sides.append((("lm", place_of("lm", thing.span.path, thing.span.module), thing.span.attempt), of(thing)))
    return sides


def of(kept: Exchange) -> Side:
    """An exchange as a side."""
    span, response = kept.span, kept.span.response
    request = span.request.to_json()
    if span.request.label is not TRUSTED:
        request["label"] = span.request.label.to_json()
    error = "" if span.error is None else "{}: {}".format(*told_of(span.error))
    usage = None if response is None else response.usage
    return Side(
        kept.id,
        _plain(request),
        None if response is None else said(_plain(response.to_json())),
        error,
        span.lm if response is None else response.model or span.lm,
        None if usage is None else usage.input_tokens,
        None if usage is None else usage.output_tokens,
        None if usage is None else usage.cost,
        span.seconds,
    )


def said(response: Mapping[str, Any] | None) -> Any:
    """What a response says: its text, or text and calls of tools, or the decisions it made."""
    if response is None:
        return None
    beside = {name: response[name] for name in ("tool_calls", "decisions") if response.get(name)}
    return {"text": response.get("text", ""), **beside} if beside else response.get("text", "")


def ordered(told: Iterable[Open | Exchange]) -> list[Open | Exchange]:
    """Spans of one trace: each before those inside it, else by when they began."""
    inside: dict[str, list[Open | Exchange]] = {}
    things = list(told)
    known = {thing.id for thing in things}
    for thing in sorted(things, key=_began):
        inside.setdefault(thing.parent if thing.parent in known else "", []).append(thing)
    found: list[Open | Exchange] = []
    waiting = inside.get("", [])[::-1]
    while waiting:
        thing = waiting.pop()
        found.append(thing)
        waiting.extend(inside.get(thing.id, [])[::-1])
    return found


def _began(thing: Open | Exchange) -> float:
    return thing.started if isinstance(thing, Open) else thing.span.started


def place_of(kind: str, path: str | None, name: str) -> str:
    """Where a span stands: its path, or its name where it has none."""
    return "" if kind == "program" else path if path else name


def _plain(value: Any) -> Any:
    """A value as the store would hold it."""
    return None if value is None else json.loads(dumps(without_secrets(value, known_secrets())))

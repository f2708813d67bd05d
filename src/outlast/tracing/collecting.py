"""What happens in a replay, kept at hand to be set beside what was stored."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from outlast.tracing.around import place_around
from outlast.tracing.exchanges import kind_of
from outlast.tracing.record import RunRecord, SpanRecord, TraceRecord
from outlast.tracing.recorder import Exchange, Open, Place
from outlast.tracing.runs import StoredRun
from outlast.tracing.store import Store
from outlast.tracing.switch import begun_apart
from outlast.tracing.writer import Writer


class Collected(Writer):
    """Takes what is told of a replay, and passes it on to the store where that is wanted."""

    def __init__(self, outer: Place | None) -> None:
        self._outer = outer
        self.run_id = "" if outer is None else outer.run_id
        self._things: dict[str, list[Open | Exchange]] = {}

    def put(self, thing: Any, size: int) -> bool:
        """Keep it."""
        if size and isinstance(thing, Open | Exchange):
            self._things.setdefault(thing.state.place.attributes["replay of"], []).append(thing)
        return self._outer is None or self._outer.writer.put(thing, size)

    def place(self, id: str) -> Place:
        """Where the replay of a trace or a span begins."""
        attributes = {"replay of": id}
        if self._outer is None:
            return Place(self, "", attributes=attributes, around=place_around())
        return self._outer.about(writer=self, attributes=attributes)

    def of(self, place: Place) -> list[Open | Exchange]:
        """What was told there so far."""
        return list(self._things.get(place.attributes["replay of"], ()))

    def calls(self) -> int:
        """The exchanges with models."""
        every = [thing for things in self._things.values() for thing in things]
        return sum(isinstance(thing, Exchange) and not thing.span.joined for thing in every)


@contextmanager
def collected(store: Store, record: RunRecord | TraceRecord | SpanRecord, mode: str) -> Generator[Collected]:
    """Where a replay is told to: in memory with `mode` "cache", else also in the store, in a run of kind "replay"."""
    if mode == "cache":
        yield Collected(None)
        return
    place = begun_apart(store.database.address)
    run = StoredRun("replay", f"{kind_of(record)} {record.id[:12]}", place.run_id)
    run.shows, run.redact = place.capture in ("full", "redacted"), place.redact
    run.attributes = {"of": record.id, "mode": mode}
    place.writer.put(run, 1000)
    try:
        yield Collected(place.about(run_id=run.id))
    except BaseException as error:
        run.end("error" if isinstance(error, Exception) else "interrupted")
        raise
    finally:
        if run.ended is None:
            run.end()
        place.writer.put(run, 0)
        place.writer.flush(5.0)

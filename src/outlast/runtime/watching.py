"""Whoever watches a running program: where its events go, from any thread, in order, with back-pressure."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import Any

from outlast.messages.progress import ProgramEvent, Status
from outlast.runtime.run import RUN
from outlast.runtime.waiting import Waiter

MOST_WAITING = 256  # events that nobody has read yet


class Channel:
    """Events on their way from a program to its reader.

    `put` never waits and may be called from any thread; a producer that can wait does so in `room`, as long as
    `MOST_WAITING` events are unread. There is one reader.
    """

    def __init__(self) -> None:
        self._events: deque[ProgramEvent] = deque()
        self._lock = threading.RLock()  # reentrant: the garbage collector may close a stream while we hold it
        self._reader: Waiter | None = None
        self._writers: list[Waiter] = []
        self._error: BaseException | None = None
        self._ended = False

    def put(self, event: ProgramEvent) -> None:
        """Hand on an event; after the end it is dropped."""
        with self._lock:
            if self._ended:
                return
            self._events.append(event)
            reader, self._reader = self._reader, None
        if reader is not None:
            reader.wake()

    @property
    def full(self) -> bool:
        """Whether a producer should wait in `room`."""
        return len(self._events) >= MOST_WAITING

    async def room(self) -> None:
        """Wait until the reader has caught up, or gone."""
        with self._lock:
            if self._ended or not self.full:
                return
            waiter = Waiter()
            self._writers.append(waiter)
        await waiter.wait()

    async def take(self) -> list[ProgramEvent]:
        """All events that are there, waiting for one; none at the end. Raises what the program raised, at the end."""
        while True:
            with self._lock:
                if self._events:
                    found, self._events = list(self._events), deque()
                    writers, self._writers = self._writers, []
                    break
                if self._ended:
                    if self._error is not None:
                        raise self._error
                    return []
                waiter = self._reader = Waiter()
            await waiter.wait()
        for writer in writers:
            writer.wake()
        return found

    def end(self, error: BaseException | None = None) -> None:
        """No more events; `error` is raised where the reader comes to the end."""
        with self._lock:
            if self._ended:
                return
            self._ended, self._error = True, error
            waiting = [*self._writers, *([self._reader] if self._reader else [])]
            self._writers, self._reader = [], None
        for waiter in waiting:
            waiter.wake()


@dataclass(frozen=True, slots=True)
class Sink:
    """Where the events of the current code go; `at` is the path of the module whose code it is."""

    channel: Channel
    at: str | None = ""


def watched() -> bool:
    """Whether anybody reads the events of the current code: what costs something to tell can be left out."""
    return RUN.get().sink is not None


def emit(kind: type[Any], **told: Any) -> None:
    """Tell whoever watches: an event of this kind, of the module whose code this is. Does nothing otherwise.

    Never waits, so it may be called from anywhere: `emit(ToolCalled, call=call)`.
    """
    run = RUN.get()
    if run.sink is not None:
        run.sink.channel.put(kind(path=run.sink.at, sample=run.sample, **told))


def status(text: str) -> None:
    """Say how far a program is, in the `forward` of any module or in a tool: `ol.status("searching...")`.

    Whoever reads `program.stream(...)` gets it as a `Status`; nothing happens when nobody does.
    """
    emit(Status, text=text)

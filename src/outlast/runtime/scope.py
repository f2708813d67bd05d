"""Giving up: what a fan-out has in flight can be cancelled as a whole, across threads and event loops."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Any, Protocol


class Cancellable(Protocol):
    """Something in flight: a future, a task on some loop, an inner scope."""

    def cancel(self) -> Any:
        """Give it up; returns at once."""
        ...


class Scope:
    """What was started together and is given up together.

    Blocking code cannot be stopped from outside, but it waits in few places: each of them holds what it waits for in
    the scope of its run, and so ends at once when the scope is cancelled. A scope is held by the one around it.
    """

    __slots__ = ("_held", "_lock", "_outer", "cancelled")

    def __init__(self, outer: Scope | None) -> None:
        self.cancelled = threading.Event()
        self._outer = outer
        self._held: set[Cancellable] = set()
        self._lock = threading.Lock()

    def hold(self, thing: Cancellable) -> None:
        """Cancel `thing` when the scope is cancelled, which may be now."""
        with self._lock:
            if not self.cancelled.is_set():
                self._held.add(thing)
                return
        thing.cancel()

    def release(self, thing: Cancellable) -> None:
        """Forget `thing`."""
        with self._lock:
            self._held.discard(thing)

    def cancel(self) -> None:
        """Cancel everything held, now and from now on."""
        with self._lock:
            self.cancelled.set()
            held, self._held = self._held, set()
        for thing in held:
            thing.cancel()

    def __enter__(self) -> Scope:
        if self._outer is not None:
            self._outer.hold(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.cancel()
        if self._outer is not None:
            self._outer.release(self)

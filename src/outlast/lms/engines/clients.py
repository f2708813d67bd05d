"""A client for each event loop: connections belong to the loop that opened them, and are closed when it ends."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from itertools import count
from typing import Any, Generic, TypeVar, cast

T = TypeVar("T")

_Place = tuple[int, asyncio.AbstractEventLoop]
_numbers = count()
_closings: set[asyncio.Future[None]] = set()  # a loop knows its tasks only weakly


class _Held:
    """A client, and the generator by which its loop tells that it ends."""

    def __init__(self, place: _Place, client: Any, close: Callable[[Any], Awaitable[None]]) -> None:
        self.client = client
        self._place = place
        self._close = close
        self.ending = self._wait()

    async def _wait(self) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            await self.shut()

    async def shut(self) -> None:
        """Close the client, once."""
        _held.pop(self._place, None)
        client, self.client = self.client, None
        if client is None:
            return
        try:
            await self._close(client)
        except asyncio.CancelledError:
            self.client = client  # the loop ends: its generators are next, and try again
            raise


# Clients are kept here and not in their owners: an owner is often part of a cycle, and the garbage collector would
# take the connections of a whole cycle apart before anybody could close them.
_held: dict[_Place, _Held] = {}


class PerLoop(Generic[T]):
    """What `make` gives, once for each event loop. `close` is awaited when the loop shuts its generators down, which
    `asyncio.run` and the loop that blocking callers share both do, or when this object is gone: nobody has to close
    anything. `close` must not know the owner.
    """

    def __init__(self, make: Callable[[], T], close: Callable[[T], Awaitable[None]]) -> None:
        self._make = make
        self._close = close
        self._number = next(_numbers)
        weakref.finalize(self, _close_all, self._number).atexit = False

    async def get(self) -> T:
        """The one of the running loop."""
        place = (self._number, asyncio.get_running_loop())
        held = _held.get(place)
        if held is None:
            held = _held[place] = _Held(place, self._make(), self._close)
            await anext(held.ending)  # registers it with the loop
        return cast("T", held.client)


def _close_all(number: int) -> None:
    for place in [place for place in list(_held) if place[0] == number]:
        held = _held.get(place)
        if held is None or not _soon(place[1], held.shut):
            _held.pop(place, None)


def close_soon(loop: asyncio.AbstractEventLoop, generator: AsyncGenerator[Any]) -> None:
    """Have a loop close a generator of its own; from any thread."""

    async def close() -> None:
        try:
            await generator.aclose()
        except RuntimeError:  # it is being read or closed this very moment
            return

    _soon(loop, close)


def _soon(loop: asyncio.AbstractEventLoop, act: Callable[[], Coroutine[Any, Any, None]]) -> bool:
    """Have a loop run something; from any thread. False when the loop is closed already."""

    def begin() -> None:
        task = asyncio.ensure_future(act())
        _closings.add(task)
        task.add_done_callback(_closings.discard)

    try:
        loop.call_soon_threadsafe(begin)
    except RuntimeError:
        return False
    return True

"""A client for each event loop: connections belong to the loop that opened them, and are closed when it ends."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable
from itertools import count
from typing import Any, Generic, TypeVar, cast

T = TypeVar("T")

_Place = tuple[int, asyncio.AbstractEventLoop]
# Clients are kept here and not in their owners: an owner is often part of a cycle, and the garbage collector would
# take the connections of a whole cycle apart before anybody could close them.
_held: dict[_Place, tuple[Any, AsyncGenerator[None]]] = {}
_numbers = count()
_closings: set[asyncio.Future[None]] = set()  # a loop knows its tasks only weakly


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
            made = self._make()
            held = _held[place] = made, _closed_with_loop(place, made, self._close)
            await anext(held[1])  # registers it with the loop
        return cast("T", held[0])


async def _closed_with_loop(place: _Place, client: T, close: Callable[[T], Awaitable[None]]) -> AsyncGenerator[None]:
    """Waits at its yield until the loop shuts down, then closes the client."""
    try:
        yield
    finally:
        _held.pop(place, None)
        await close(client)


def _close_all(number: int) -> None:
    for place in [place for place in list(_held) if place[0] == number]:
        held = _held.get(place)
        if held is None or not close_soon(place[1], held[1]):
            _held.pop(place, None)


def close_soon(loop: asyncio.AbstractEventLoop, generator: AsyncGenerator[Any]) -> bool:
    """Have a loop close a generator of its own; from any thread. False when the loop is closed already."""

    def begin() -> None:
        closing = asyncio.ensure_future(_closed(generator))
        _closings.add(closing)
        closing.add_done_callback(_closings.discard)

    try:
        loop.call_soon_threadsafe(begin)
    except RuntimeError:
        return False
    return True


async def _closed(generator: AsyncGenerator[Any]) -> None:
    try:
        await generator.aclose()
    except RuntimeError:  # it is being read or closed this very moment
        return

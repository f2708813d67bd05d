"""Equal requests in flight are sent once: who leads, who waits, and what they get when it ends."""

from __future__ import annotations

import copy
import threading

from outlast.errors import LMError
from outlast.messages import Response
from outlast.runtime.waiting import Waiter


class Flight:
    """One request on its way to the model, and those who wait for its response."""

    __slots__ = ("error", "landed", "response", "waiters")

    def __init__(self) -> None:
        self.waiters: list[Waiter] = []
        self.landed = False
        self.response: Response | None = None
        self.error: BaseException | None = None

    async def outcome(self, flights: Flights) -> Response | None:
        """The response; None when there is none and the request has to be made again. Raises a shared `LMError`."""
        waiter = Waiter()
        with flights.lock:
            if not self.landed:
                self.waiters.append(waiter)
        if not self.landed:
            await waiter.wait()
        if isinstance(self.error, LMError):
            raise copied(self.error)
        return self.response


class Flights:
    """The requests now in flight, by key."""

    def __init__(self) -> None:
        # Reentrant: the garbage collector may close an abandoned call, which lands its flight, while we hold it.
        self.lock = threading.RLock()
        self._flying: dict[bytes, Flight] = {}

    def join(self, key: bytes) -> tuple[Flight, bool]:
        """The flight of a key, and whether the caller is to make the request because there was none."""
        with self.lock:
            flight = self._flying.get(key)
            if flight is not None:
                return flight, False
            flight = self._flying[key] = Flight()
            return flight, True

    def find(self, key: bytes) -> Flight | None:
        """The flight of a key if there is one, without becoming its leader."""
        with self.lock:
            return self._flying.get(key)

    def land(self, key: bytes, flight: Flight, response: Response | None, error: BaseException | None) -> None:
        """End a flight and tell all who wait."""
        with self.lock:
            self._flying.pop(key, None)
            flight.response, flight.error, flight.landed = response, error, True
            waiters, flight.waiters = flight.waiters, []
        for waiter in waiters:
            waiter.wake()


def copied(error: LMError) -> LMError:
    """An equal error for another caller: raising one object in several threads would mix up their tracebacks."""
    try:
        twin = copy.copy(error)
    except Exception:  # an error of somebody's own making that cannot be copied
        return error
    twin.__cause__ = error.__cause__
    if hasattr(error, "__notes__"):
        twin.__notes__ = list(error.__notes__)
    return twin

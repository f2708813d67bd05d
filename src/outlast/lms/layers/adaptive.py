"""A cap on the calls in flight that finds its own height: up while all is well, down when the server is overloaded."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from outlast.errors import ConfigError, LMError, LMRateLimited, LMServerError, brief
from outlast.lms.layers.guard import Guard
from outlast.lms.layers.remade import Remade
from outlast.lms.layers.rest import Rest
from outlast.lms.layers.slots import Slots
from outlast.lms.layers.trying import checked_whole
from outlast.lms.protocol import LM
from outlast.messages import Request, Response
from outlast.runtime.waiting import ForkSafeLock

Signal = Literal["fine", "overloaded", "failed", "neither"]

_DOWN = 0.75  # what an overload leaves of the cap
_SLOWER = 0.9  # what it is lowered to when replies take much longer than they did
_UP = 0.05  # of the cap, after a round in which it was used; at least 1
_USED = 0.8  # share of the cap that counts as used
_SLOW = 2.0  # times as long as it was
_PAUSE = 5.0  # seconds between two steps down for slowness, which calls in flight show for a while
_NEAR = 0.95  # of the height that was too much: as far as it grows for the next
_PROBE = 30.0  # seconds, after which it looks whether more is possible by now
_FORGOTTEN = 600.0  # seconds in which the shortest time doubles, as servers and prompts change
_FIXED_TOKENS = 50.0  # output tokens that the rest of an exchange takes as long as
_REMEMBERED = 32


class Change(NamedTuple):
    """A step of the cap: when (seconds since the start), to which height, and why."""

    seconds: float
    cap: int
    why: str


class Climb:
    """The height of a cap, from how calls ended. Pure: time is given. Not thread-safe.

    Additive increase, multiplicative decrease (Chiu and Jain, 1989). A round is as many calls as the cap is high.
    From `start` it doubles with each good round until the first sign of trouble, then grows by a twentieth; only when
    four fifths of it were in use, as a cap that nobody reached says nothing. An overload (429, 503, 529) takes a
    quarter off, once for all calls that began before that; then the cap grows to near the height that was too much, and
    beyond it only after 30 seconds (the plateau of TCP CUBIC, Ha et al., 2008). Another failure of the server only ends
    the round without growth. When a round's mean time for a call, corrected for the length of its reply, is over twice
    the shortest mean of late, calls queue in the server: a tenth comes off, but not below `start` (the idea of TCP
    Vegas).
    """

    def __init__(self, start: int, least: int, most: int) -> None:
        self.start, self.least, self.most = start, least, most
        self.cap = start
        self.changes: deque[Change] = deque(maxlen=_REMEMBERED)
        self._height = float(start)
        self._doubling = True
        self._began: float | None = None
        self._lowered = float("-inf")
        self._too_much = float("inf")
        self._probing = float("-inf")  # from then on
        self._shortest: float | None = None
        self._ended = 0.0
        self._new_round()

    def _new_round(self) -> None:
        self._calls = self._timed = 0
        self._time = 0.0
        self._peak = 0
        self._good = True

    def ended(self, signal: Signal, seconds: float | None, in_flight: int, began: float, now: float) -> None:
        """A call ended; `in_flight` counts it. `seconds` is its corrected time, None when that says nothing."""
        if self._began is None:
            self._began = now
        self._peak = max(self._peak, in_flight)
        if signal == "overloaded":
            self._doubling = False
            if began >= self._lowered:
                self._too_much, self._probing = self._height, now + _PROBE
                self._lower(_DOWN, self.least, "overloaded", now)
            self._new_round()
            return
        self._good = self._good and signal != "failed"
        if signal == "fine":
            self._calls += 1
            if seconds is not None:
                self._timed += 1
                self._time += seconds
        if self._calls >= self.cap:
            self._round_over(now)

    def _round_over(self, now: float) -> None:
        mean = self._time / self._timed if self._timed else None
        shortest = self._shortest
        if shortest is not None:
            shortest *= 2 ** ((now - self._ended) / _FORGOTTEN)
        slow = mean is not None and shortest is not None and mean > _SLOW * shortest
        if mean is not None:
            self._shortest = mean if shortest is None else min(mean, shortest)
        self._ended = now
        used, good = self._peak >= _USED * self.cap, self._good
        self._new_round()
        if slow:
            self._doubling = False
            if used and self.cap > self.start and now - self._lowered >= _PAUSE:
                self._lower(_SLOWER, self.start, "slow", now)
        elif used and good and self.cap < self.most:
            grown = self._height * 2 if self._doubling else self._height + max(1.0, self._height * _UP)
            if now < self._probing:
                grown = min(grown, max(self._height, self._too_much * _NEAR))
            self._set(grown, "doubled" if self._doubling else "raised", now)

    def _lower(self, factor: float, floor: int, why: str, now: float) -> None:
        self._lowered = now
        self._set(max(float(floor), self._height * factor), why, now)

    def _set(self, height: float, why: str, now: float) -> None:
        self._height = min(float(self.most), max(float(self.least), height))
        if int(self._height) != self.cap:
            self.cap = int(self._height)
            began = now if self._began is None else self._began
            self.changes.append(Change(round(now - began, 3), self.cap, why))


class AdaptiveLimited(Remade, Guard):
    """As many calls of `inner` in flight as the server can take, between `least` and `most`; begins with `start`.

    The cap grows while calls succeed and use it, and falls when the server says 429, 503 or 529, or when replies get
    much slower; see `Climb` for the rule. Others wait their turn as with `Limited`. `info` shows the cap and its last
    32 changes. Put it inside `Retrying`, so that every refusal is seen. Cost: one call of `inner`.
    """

    def __init__(self, inner: LM | str, start: int = 16, *, least: int = 1, most: int = 512) -> None:
        super().__init__(inner)
        checked_whole("least", least, 1)
        checked_whole("start", start, 1)
        checked_whole("most", most, 1)
        if not least <= start <= most:
            raise ConfigError(f"least <= start <= most; got least={least}, start={start}, most={brief(most)}")
        self._climb = Climb(start, least, most)
        self._slots = Slots(start)
        self._rest = Rest()
        self._lock = ForkSafeLock()

    @property
    def concurrency(self) -> int:
        """The cap as it is now."""
        return self._slots.total

    @property
    def in_flight(self) -> int:
        """How many calls are under way now."""
        return self._slots.taken

    async def before(self, request: Request) -> Any:
        """Wait for a turn."""
        return await self._slots.take_rested(self._rest), time.monotonic()

    def after(self, token: Any, response: Response | None, error: BaseException | None) -> None:
        """Learn from how the call ended, and give its slot on."""
        slot, began = token
        self._rest.told(error)
        now = time.monotonic()
        signal = _signal(response, error)
        if signal != "neither":
            with self._lock:
                self._climb.ended(signal, _corrected(response, now - began), self._slots.taken, began, now)
                cap = self._climb.cap
            if cap != self._slots.total:
                self._slots.resize(cap)
        self._slots.give(slot)

    def facts(self) -> Mapping[str, Any]:
        return {
            "concurrency": self.concurrency,
            "in_flight": self.in_flight,
            "waiting": self._slots.waiting,
            "least": self._climb.least,
            "most": self._climb.most,
            "history": tuple(self._climb.changes),
        }

    def __repr__(self) -> str:
        climb = self._climb
        return f"AdaptiveLimited({self.inner!r}, {climb.start}, least={climb.least}, most={climb.most})"


def _signal(response: Response | None, error: BaseException | None) -> Signal:
    if response is not None:
        return "fine" if response.cache == "miss" else "neither"
    if isinstance(error, LMRateLimited) or (isinstance(error, LMError) and error.status in (503, 529)):
        return "overloaded"
    if isinstance(error, LMServerError | ConnectionError | TimeoutError):
        return "failed"
    return "neither"


def _corrected(response: Response | None, seconds: float) -> float | None:
    """Seconds for each token that was written, so that longer replies do not look like a slower server."""
    tokens = response.usage.output_tokens if response is not None else None
    return None if tokens is None else seconds / (_FIXED_TOKENS + tokens)

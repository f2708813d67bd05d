"""The same model on several servers or under several keys: each call goes to one that has room."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from itertools import count
from typing import Any, Literal, TypeVar, cast

from outlast.errors import ConfigError, LMCircuitOpen, LMConnectionError, LMError, LMRateLimited, brief, did_you_mean
from outlast.lms.layers.guard import Guard
from outlast.lms.layers.several import Several
from outlast.lms.layers.trying import Attempt, Mark, checked_number
from outlast.lms.protocol import LM
from outlast.messages import Request, Response
from outlast.runtime.waiting import ForkSafeLock, forks

T = TypeVar("T")

_WAYS = ("least_busy", "round_robin", "latency")
_NOT_TAKEN = (LMRateLimited, LMCircuitOpen, LMConnectionError)  # after these a member rests
_SOFT_REST = 1.0  # seconds that a member comes last after such an error without a time
_PREFIX = 2048  # characters of the prompt that decide where a sticky call goes


class Balanced(Several):
    """Asks one of several models that are the same: one model on several servers, or under several keys.

    `by` says which: "least_busy" (fewest calls in flight; the default), "round_robin", "latency" (the lowest product
    of calls in flight plus one and the moving average of seconds), or a list of weights, one for each model, which
    share the calls in that proportion. With `sticky=True` calls that begin with the same 2,048 characters go to the
    same model while it can take them, so that its prompt cache is warm.

    A member that says when to come back (Retry-After) is not asked before; one whose circuit is open, whose
    connection fails or that is rate limited comes last for a second. The call that met such an error goes on to the
    next member, to each at most once, unless it may have been worked on. When all wait, `LMRateLimited` says when the
    first is back. Other errors go out. Put `Retrying` around this layer, `Limited`, `RateLimited` and `CircuitBreaker`
    inside, around each member.

    For a cache all members are one model: their identities must be equal, or `identity` names what they are. Cost:
    one call, and one of each member before that did not take it.
    """

    def __init__(
        self,
        models: Sequence[LM | str],
        by: Literal["least_busy", "round_robin", "latency"] | Sequence[float] = "least_busy",
        *,
        identity: str | None = None,
        sticky: bool = False,
    ) -> None:
        if isinstance(models, str) or not isinstance(models, Sequence):
            raise ConfigError(f"Balanced(...) takes a list of models; got {brief(models)}")
        super().__init__(models)
        self._identity = _one_identity(self.members, identity)
        self.by = by
        self.sticky = sticky
        weights = _weights(by, len(self.members))
        self._places = tuple(_Place(*place) for place in zip(self.members, count(), weights, strict=False))
        self._turn = count()
        self._lock = ForkSafeLock()

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        names = list(dict.fromkeys(member.name for member in self.members))
        return names[0] if len(names) == 1 else f"balanced({', '.join(names)})"

    @property
    def identity(self) -> str:
        return self._identity

    async def reach(self, request: Request, attempt: Attempt[T]) -> tuple[T, Mark]:
        """The answer of the member whose turn it is, or of the next that takes the call."""
        places = self._in_order(request)
        if not places:
            raise self._all_wait()
        for tries, place in enumerate(places[:-1]):
            try:
                return await attempt(place), Mark(attempts=tries)
            except _NOT_TAKEN as error:
                if isinstance(error, LMConnectionError) and error.sent:
                    raise  # it may have been worked on, and be billed
        return await attempt(places[-1]), Mark(attempts=len(places) - 1)

    def _in_order(self, request: Request) -> list[_Place]:
        """Those that may be asked now, the best first."""
        now = time.monotonic()
        places = [place for place in self._places if place.closed_until <= now]
        turn = next(self._turn)
        if self.sticky:
            prefix = "".join(message.text for message in request.messages)[:_PREFIX].encode("utf-8", "surrogatepass")
            places.sort(key=lambda place: place.affinity(prefix), reverse=True)
        elif self.by == "latency":
            places.sort(key=lambda place: (place.busy + 1) * place.seconds)
        elif self.by == "least_busy":
            start = turn % len(self._places)  # equals take turns
            places.sort(key=lambda place: (place.busy, (place.number - start) % len(self._places)))
        elif places:
            with self._lock:
                _take_turns(places)
        places.sort(key=lambda place: place.last_until > now)  # stable: the order within stays
        return places

    def _all_wait(self) -> LMRateLimited:
        left = max(0.0, min(place.closed_until for place in self._places) - time.monotonic())
        error = LMRateLimited(
            f"{self.name}: all {len(self._places)} members asked to wait; the first is back in {left:.1f} s",
            retry_after=left,
        )
        error.sent = False
        return error

    def facts(self) -> Mapping[str, Any]:
        by = self.by if isinstance(self.by, str) else list(self.by)
        return {"by": by, "sticky": self.sticky, "members": [dict(place.facts()) for place in self._places]}


class _Place(Guard):
    """A member and how it fares."""

    def __init__(self, member: LM, number: int, weight: float) -> None:
        super().__init__(member)
        self.number = number
        self.weight = weight
        self.seconds = 0.0  # moving average; 0 makes a member that is not known yet the first to be asked
        self.closed_until = 0.0  # it said so
        self.last_until = 0.0  # it had trouble
        self.credit = 0.0
        self._busy = 0
        self._calls = 0
        self._lock = ForkSafeLock()
        self._forks = forks()
        self._salt = blake2b(f"{number} {member.identity}".encode(), digest_size=16).digest()

    @property
    def busy(self) -> int:
        """Calls in flight."""
        return self._busy if self._forks == forks() else 0

    def affinity(self, prefix: bytes) -> bytes:
        """How much this member and a prompt belong together (rendezvous hashing): few move when one is away."""
        return blake2b(prefix, digest_size=8, salt=self._salt).digest()

    async def before(self, request: Request) -> Any:
        """Count the call in."""
        with self._lock:
            if self._forks != forks():
                self._forks, self._busy = forks(), 0
            self._busy += 1
            self._calls += 1
        return self._forks, time.monotonic()

    def after(self, token: Any, response: Response | None, error: BaseException | None) -> None:
        """Count the call out and learn from its end."""
        forked, started = token
        now = time.monotonic()
        with self._lock:
            if forked == self._forks:
                self._busy -= 1
            if response is not None and response.cache == "miss":
                took = now - started
                self.seconds = took if not self.seconds else 0.8 * self.seconds + 0.2 * took
            elif isinstance(error, LMError):
                self._failed(error, now)

    def _failed(self, error: LMError, now: float) -> None:
        if isinstance(error, _NOT_TAKEN):
            self.last_until = max(self.last_until, now + _SOFT_REST)
        if error.retry_after is not None and error.retryable:
            self.closed_until = max(self.closed_until, now + error.retry_after)

    def facts(self) -> Mapping[str, Any]:
        waits = max(0.0, self.closed_until - time.monotonic())
        told = {"name": self.name, "calls": self._calls, "busy": self.busy, "waits_seconds": round(waits, 3)}
        return {**told, "mean_seconds": round(self.seconds, 3)}


def _one_identity(members: Sequence[LM], given: str | None) -> str:
    if given is not None:
        if not isinstance(given, str) or not given:
            raise ConfigError(f"identity is text that names the model which all members are; got {brief(given)}")
        return given
    identities = list(dict.fromkeys(member.identity for member in members))
    if len(identities) > 1:
        raise ConfigError(
            f"the members of Balanced(...) must be one model, but their identities differ: {brief(identities[0])} and "
            f"{brief(identities[1])}. When they are the same model on different servers, say which: identity='...'"
        )
    return identities[0]


def _weights(by: Any, members: int) -> list[float]:
    if isinstance(by, str):
        if by not in _WAYS:
            raise ConfigError(
                f"by is one of {', '.join(_WAYS)}, or a list of weights; got {by!r}.{did_you_mean(by, _WAYS)}"
            )
        return [1.0] * members
    if not isinstance(by, Sequence) or len(cast("Sequence[Any]", by)) != members:
        raise ConfigError(f"by is one of {', '.join(_WAYS)}, or one weight for each model; got {brief(by)}")
    return [checked_number("a weight", weight, above=0) for weight in cast("Sequence[Any]", by)]


def _take_turns(places: list[_Place]) -> None:
    """Smooth weighted round robin, as nginx does it: everybody gains its weight, the richest pays for all."""
    for place in places:
        place.credit += place.weight
    places.sort(key=lambda place: place.credit, reverse=True)
    places[0].credit -= sum(place.weight for place in places)

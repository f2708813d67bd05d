"""A limit on what may be spent: set aside before a call, settled after it, so that it is never exceeded."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

from outlast.errors import (
    BudgetExceeded,
    ConfigError,
    LMAuthError,
    LMError,
    LMQuotaError,
    LMRateLimited,
    LMRequestError,
    LMServerError,
    UsageError,
)
from outlast.messages import Response, Spending
from outlast.runtime.waiting import ForkSafeLock, Waiter, holds_up_loop

_SLACK = 1e-9  # share of a limit that rounding errors may take
_FADING = 0.05  # how fast what calls were seen to cost sinks from its peak to what they cost now
_REFUSED = (LMRateLimited, LMAuthError, LMQuotaError, LMRequestError)  # the server said no, and bills nothing
_UNASKED = (BudgetExceeded, ConfigError, UsageError)  # raised before anything is sent
_lock = ForkSafeLock()  # one for all: a call spends from several meters at once, and is short on it


class Bound(NamedTuple):
    """The most that a call can take in tokens (in and out) and dollars; None where that is not known before."""

    tokens: int | None = None
    dollars: float | None = None
    model: str = ""


UNBOUNDED = Bound()


class Meter:
    """A limit on what may be spent, shared by everything under one budget: threads, tasks and event loops.

    Before a call the most that it can take is set aside (`take`), and after it what it took is counted (`settle`), so
    that no limit is exceeded by calls whose `Bound` is known. Where it is not, the highest that recent calls took is
    set aside, and before any is known everything that is left, so that the first such call runs alone. When all that
    is left is set aside, `take` waits in turn for calls in flight, which mostly take less.

    A failed call counts as a call. It costs nothing when the server refused it or it was never sent; when it broke off
    on the way or was given up, the provider may bill it: what was set aside for it stays so, as `uncertain` in
    `spent`. Answers from a cache are no calls. With a limit in dollars, a model whose price turns out to be unknown is
    refused from then on (`on_unknown="refuse"`), or counts as 0 dollars and is reported in `spent.unpriced`
    ("count"). A meter inside an `outer` one spends from both.
    """

    def __init__(
        self,
        *,
        calls: int | None = None,
        tokens: int | None = None,
        dollars: float | None = None,
        seconds: float | None = None,
        spent: Spending | None = None,
        outer: Meter | None = None,
        on_unknown: str = "refuse",
    ) -> None:
        self.limits: dict[str, float | None] = {
            "calls": calls,
            "tokens": tokens,
            "dollars": dollars,
            "seconds": seconds,
        }
        self.spent = spent or Spending()
        self.outer = outer
        self.on_unknown = on_unknown
        self.refused: str | None = None
        self._held: dict[str, float] = {}
        self._flying = 0
        self._tokens = 0.0  # set aside by the calls in flight
        self._dollars = 0.0
        self._peak_tokens: float | None = None
        self._peak_dollars: float | None = None
        self._unpriced: set[str] = set()
        self._queue: OrderedDict[_Place, None] = OrderedDict()  # leaving from the middle is cheap
        self._started = time.monotonic()

    @property
    def chain(self) -> tuple[Meter, ...]:
        """This meter and those around it: all that a call spends from."""
        return (self,) if self.outer is None else (self, *self.outer.chain)

    @property
    def elapsed(self) -> float:
        """Seconds since this meter was made."""
        return time.monotonic() - self._started

    def used(self, name: str) -> float:
        """What is spent of one thing, with what uncertain calls may have taken."""
        spent = self.spent
        if name == "calls":
            return spent.calls
        if name == "tokens":
            return spent.tokens + spent.uncertain_tokens
        if name == "dollars":
            return spent.dollars + spent.uncertain_dollars
        return self.elapsed

    def left(self, name: str, *, settled: bool = False) -> float:
        """What may still be set aside of one thing; `settled`: as if no call were in flight."""
        limit = self.limits[name]
        if limit is None:
            return math.inf
        free = limit - self._held.get(name, 0) - self.used(name)
        if settled or name == "seconds" or not self._flying:
            return free
        return free - {"calls": self._flying, "tokens": self._tokens, "dollars": self._dollars}[name]

    def exceeded(self) -> str | None:
        """The name of a limit of which nothing is left, or None."""
        return next((name for name, limit in self.limits.items() if limit is not None and self.left(name) <= 0), None)

    def refuse_spent(self) -> None:
        """Raise `BudgetExceeded` when nothing is left for a call here or around; for what is counted afterwards."""
        for meter in self.chain:
            for name in ("calls", "tokens", "dollars", "seconds"):
                if meter.left(name) <= 0:
                    raise meter._refusal(name, UNBOUNDED)

    async def take(self, bound: Bound) -> Ticket:
        """Set the most that a call can take aside. Raises `BudgetExceeded`; `ConfigError` for an unknown price.

        Waits while calls in flight may turn out to leave enough; first come, first served.
        """
        place: _Place | None = None
        chain = self.chain
        with _lock:
            blocked = next((meter for meter in chain if meter._queue), None) or _set_aside(chain, bound)
            if isinstance(blocked, Ticket):
                return blocked
            if holds_up_loop():
                raise blocked._refusal(blocked._short_of(bound) or "calls", bound)
            place = _Place(chain, bound, blocked)
            blocked._queue[place] = None
        try:
            await place.waiter.wait()
        except BaseException:
            with _lock:
                place.leave()
            raise
        if place.error is not None:
            raise place.error
        assert place.ticket is not None
        return place.ticket

    def reserve(self, bound: Bound = UNBOUNDED) -> Ticket:
        """Like `take`, without waiting: when it would have to, `BudgetExceeded` is raised."""
        with _lock:
            found = _set_aside(self.chain, bound)
            if isinstance(found, Ticket):
                return found
            raise found._refusal(found._short_of(bound) or "calls", bound)

    def keep_back(self, amounts: Mapping[str, float]) -> None:
        """Let calls leave these amounts, by name; an empty mapping gives everything free."""
        with _lock:
            self._held = dict(amounts)
            self.refused = None
            _serve(((self, 0, 0),))

    def recall(self, response: Response) -> None:
        """Count in `spent` what was paid earlier, when this meter was not there."""
        with _lock:
            self.spent.add(response)

    def note(self, response: Response) -> None:
        """Count an answer for which nothing was set aside, such as one from a cache."""
        with _lock:
            for meter in self.chain:
                meter._count(response)

    def _count(self, response: Response) -> None:
        self.spent.add(response)

    def _lose(self, tokens: int, dollars: float, uncertain: bool) -> None:
        self.spent.fail(tokens, dollars, uncertain=uncertain)

    def _fail(self, bound: Bound, uncertain: bool) -> None:
        """Count a call that brought no answer, at what it can have taken as far as that is known."""
        tokens, dollars = bound.tokens, bound.dollars
        self._lose(
            math.ceil((self._peak_tokens or 0) if tokens is None else tokens),
            (self._peak_dollars or 0.0) if dollars is None else dollars,
            uncertain,
        )

    def _amounts(self, bound: Bound) -> tuple[float, float]:
        """The tokens and dollars to set aside here; everything that is left when nothing is known."""
        tokens = bound.tokens if bound.tokens is not None else self._peak_tokens
        if tokens is None:
            tokens = 0.0 if self.limits["tokens"] is None else max(self.left("tokens"), 0.0)
        dollars = bound.dollars
        if dollars is None and bound.model not in self._unpriced:
            dollars = self._peak_dollars
            if dollars is None:
                dollars = 0.0 if self.limits["dollars"] is None else max(self.left("dollars"), 0.0)
        return tokens, dollars or 0.0

    def _short_of(self, bound: Bound, *, settled: bool = False) -> str | None:
        """The limit that does not allow a call, None when all do."""
        tokens, dollars = self._amounts(bound)
        for name, need in (("calls", 1), ("tokens", tokens), ("dollars", dollars), ("seconds", 0)):
            limit = self.limits[name]
            if limit is None:
                continue
            left = self.left(name, settled=settled)
            if left <= 0 or need > left + limit * _SLACK:
                return name
        return None

    def _refusal(self, name: str, bound: Bound) -> BudgetExceeded:
        self.refused = name
        limit = self.limits[name] or 0.0
        total = f"${limit:g}" if name == "dollars" else f"{limit:g} {name}"
        most, left = (bound.dollars if name == "dollars" else bound.tokens), self.left(name, settled=True)
        if name in ("tokens", "dollars") and most is not None and left > 0:
            shown = f"${most:.6f}, and ${left:.6f}" if name == "dollars" else f"{most} tokens, and {left:.0f}"
            why = f"does not allow the next call: it may take {shown} are left. A smaller max_tokens= asks for less"
        else:
            why = "is used up"
        return BudgetExceeded(f"the budget of {total} {why} ({self.spent})", limit=name, spent=replace(self.spent))

    def _refuse_unknown(self, bound: Bound) -> None:
        if bound.dollars is None and bound.model in self._unpriced and self.on_unknown == "refuse":
            raise ConfigError(
                f"a budget in dollars is set and nobody knows what {bound.model!r} costs: say so with price=(input, "
                "output) in dollars per million tokens (0 for a model of your own), install outlast[prices], limit "
                "calls or tokens instead, or let it count as 0 with ol.budget(..., on_unknown='count')"
            )

    def _open(self, tokens: float, dollars: float) -> None:
        self._flying += 1
        self._tokens += tokens
        self._dollars += dollars

    def _close(self, tokens: float, dollars: float) -> None:
        self._flying -= 1
        # Sums of rounded numbers leave a rest, which must not be mistaken for a call in flight.
        self._tokens = self._tokens - tokens if self._flying else 0.0
        self._dollars = self._dollars - dollars if self._flying else 0.0

    def _learn(self, bound: Bound, response: Response) -> None:
        """Take the answer as what such calls take; where it does not say, its bound stays counted as uncertain."""
        usage = response.usage
        if usage.input_tokens is None or usage.output_tokens is None:
            self.spent.uncertain_tokens += bound.tokens or 0
        else:
            self._peak_tokens = _peak(self._peak_tokens, usage.input_tokens + usage.output_tokens)
        if usage.cost is not None:
            self._peak_dollars = _peak(self._peak_dollars, usage.cost)
        elif bound.dollars is not None:
            self.spent.uncertain_dollars += bound.dollars
        elif self.limits["dollars"] is not None:
            self._unpriced.add(bound.model)


class Joined(Meter):
    """Two meters that one call spends from, neither of which is inside the other."""

    def __init__(self, first: Meter, second: Meter) -> None:
        super().__init__()
        self._chain = (*first.chain, *(meter for meter in second.chain if meter not in first.chain))

    @property
    def chain(self) -> tuple[Meter, ...]:
        return self._chain


class Ticket:
    """What one call has set aside in each meter that it spends from. Ends by `settle`, `fail` or `release`.

    `around` is that of a call around this one, which then pays for nothing either: it only asked.
    """

    __slots__ = ("_around", "_held", "bound", "paid_inside")

    def __init__(
        self,
        held: Iterable[tuple[Meter, float, float]] = (),
        bound: Bound = UNBOUNDED,
        around: Ticket | None = None,
    ) -> None:
        self._held = tuple(held)
        self.bound = bound
        self._around = around
        self.paid_inside = False

    def settle(self, response: Response) -> None:
        """Count what the call took and give the rest back. An answer from a cache took nothing; `note` counts it."""
        with _lock:
            held = self._end()
            for meter, _, _ in held if response.cache == "miss" else ():
                meter._count(response)
                meter._learn(self.bound, response)
            _serve(held)

    def fail(self, error: BaseException) -> None:
        """Count a call that brought no answer, and give back what it cannot have taken."""
        with _lock:
            held = self._end()
            if not isinstance(error, _UNASKED):
                for meter, _, _ in held:
                    meter._fail(self.bound, may_be_billed(error))
            _serve(held)

    def release(self) -> None:
        """Give everything back: the call was not made, or another one inside it pays for itself."""
        self.paid_inside = True
        with _lock:
            _serve(self._end())
        if self._around is not None:
            self._around.release()

    def _end(self) -> tuple[tuple[Meter, float, float], ...]:
        held, self._held = self._held, ()
        for meter, tokens, dollars in held:
            meter._close(tokens, dollars)
        return held


def may_be_billed(error: BaseException) -> bool:
    """Whether a call that ended like this may appear on a bill: it was sent, and the server did not say no before it
    began to answer."""
    if isinstance(error, LMError) and error.begun:
        return True
    if isinstance(error, _REFUSED) or (isinstance(error, LMError) and not error.sent):
        return False
    return not (isinstance(error, LMServerError) and (error.status or 500) >= 400)  # one in a reply of 200 broke off


class _Place:
    """A place in the queue of a meter."""

    __slots__ = ("blocked", "bound", "chain", "error", "ticket", "waiter")

    def __init__(self, chain: tuple[Meter, ...], bound: Bound, blocked: Meter) -> None:
        self.chain = chain
        self.bound = bound
        self.blocked = blocked
        self.waiter = Waiter()
        self.ticket: Ticket | None = None
        self.error: Exception | None = None

    def leave(self) -> None:
        """Give up waiting, and give back what came too late. The caller holds the lock."""
        self.blocked._queue.pop(self, None)
        if self.ticket is not None:
            self.ticket.release()
        _serve(((self.blocked, 0, 0),))


def _set_aside(chain: tuple[Meter, ...], bound: Bound) -> Ticket | Meter:
    """A ticket, or the meter whose calls in flight have to end first. The caller holds the lock.

    Raises `BudgetExceeded` when even that would not help.
    """
    blocked: Meter | None = None
    for meter in chain:
        meter._refuse_unknown(bound)
        if meter._short_of(bound) is None:
            continue
        final = meter._short_of(bound, settled=True)
        if final is not None or not meter._flying:
            raise meter._refusal(final or "calls", bound)
        blocked = blocked or meter
    if blocked is not None:
        return blocked
    held = [(meter, *meter._amounts(bound)) for meter in chain]
    for meter, tokens, dollars in held:
        meter._open(tokens, dollars)
    return Ticket(held, bound)


def _serve(settled: Iterable[tuple[Meter, float, float]]) -> None:
    """Let those go on who wait at these meters, as far as there is enough. The caller holds the lock."""
    for meter, _, _ in settled:
        while meter._queue:
            place, _ = meter._queue.popitem(last=False)
            try:
                found = _set_aside(place.chain, place.bound)
            except (BudgetExceeded, ConfigError) as error:
                place.error = error
                place.waiter.wake()
                continue
            if isinstance(found, Meter):
                place.blocked = found
                found._queue[place] = None
                if found is meter:
                    meter._queue.move_to_end(place, last=False)
                    break
                continue
            place.ticket = found
            if not place.waiter.wake():  # its event loop is gone
                found.release()


def _peak(known: float | None, value: float) -> float:
    """The highest value of late: it rises at once and sinks slowly."""
    return value if known is None or value >= known else known - (known - value) * _FADING

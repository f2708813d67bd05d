"""What a compile may spend, and the purse that it is spent from."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import NamedTuple

from outlast.errors import BudgetExceeded, UsageError
from outlast.lms.waiting import holds_up_loop
from outlast.messages import Response, Spending
from outlast.runtime import Meter, sleep

_POLL = 0.002  # seconds between looks at a purse whose last calls are in flight
_NEWEST = 0.1  # weight of the newest call in what a call is expected to cost
FAILED = Response("")  # what a call that brought nothing counts as: one call, tokens and price unknown


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits on a compile; None is no limit. The first one reached ends the search.

    Every request to a model is a call, also one that fails; `calls` are never exceeded. `tokens` (in and out) and
    `dollars` are known only after a call and estimated before, so they can be exceeded by at most the calls in flight
    at that moment; calls of unknown price count as 0 dollars and are reported. These three bound the search over all
    its runs: what an earlier, interrupted run of the same search paid counts, so a crash never doubles a bill, and a
    search that ran out goes on with a larger budget. Answers from the response cache cost nothing. `seconds` is wall
    time of one run.
    """

    calls: int | None = None
    tokens: int | None = None
    dollars: float | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise UsageError(f"Budget({f.name}=...) is a number; got {value!r}")
            if not value > 0:
                raise UsageError(f"Budget({f.name}=...) is more than 0; got {value!r}")
            if f.name in ("calls", "tokens") and value != int(value):
                raise UsageError(f"Budget({f.name}=...) is a whole number; got {value!r}")

    def to_json(self) -> dict[str, float]:
        """Only the limits that are set."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}

    def __str__(self) -> str:
        parts = [f"${value:g}" if name == "dollars" else f"{value:g} {name}" for name, value in self.to_json().items()]
        return ", ".join(parts) or "no limit"


class Purse(Meter):
    """The money of one search. Counts each reply once, whoever paid for it and however often it is used.

    `spent` is what the search has cost so far from its first run on, and is what the budget bounds; `paid` is the
    share of this run. `hold` keeps a part back, which a search must leave for the proof of its winner. A call in
    flight counts with the tokens and dollars that recent calls cost.
    """

    def __init__(self, budget: Budget, outer: Meter | None = None) -> None:
        super().__init__(
            calls=budget.calls, tokens=budget.tokens, dollars=budget.dollars, seconds=budget.seconds, outer=outer
        )
        self.budget = budget
        self.paid = Spending()
        self._held: dict[str, float] = {}
        self._charged: set[str] = set()
        self._tokens_each = 0.0
        self._dollars_each = 0.0

    def hold(self, **amounts: float) -> None:
        """Keep these amounts back (`calls`, `tokens`, `dollars`, `seconds`); without any, give everything free."""
        self._held = amounts

    def left(self, name: str, *, flying: int | None = None) -> float:
        """What may still be spent of one thing, when `flying` calls are under way (None: those that are)."""
        limit = self.limits[name]
        if limit is None:
            return math.inf
        free = limit - self._held.get(name, 0)
        count = self._reserved if flying is None else flying
        if name == "calls":
            return free - self.spent.calls - count
        if name == "tokens":
            return free - self.spent.tokens - count * self._tokens_each
        if name == "dollars":
            return free - self.spent.dollars - count * self._dollars_each
        return free - self.elapsed

    def free(self, name: str) -> float:
        """What is left of one thing when nothing is held back."""
        return self.left(name) + (self._held.get(name, 0) if self.limits[name] is not None else 0)

    def exceeded(self) -> str | None:
        """The name of a limit that is used up, or None."""
        return self._short_of(None)

    def _short_of(self, flying: int | None) -> str | None:
        for name, limit in self.limits.items():
            if limit is not None and self.left(name, flying=flying) <= 0:
                return name
        return None

    async def take(self) -> None:
        """Reserve one call, or raise `BudgetExceeded`.

        Waits while all that is left is reserved by calls in flight, which may turn out to cost less.
        """
        while True:
            try:
                self.reserve()
            except BudgetExceeded:
                if not self._reserved or self._short_of(0) is not None or holds_up_loop():
                    raise
            else:
                return
            await sleep(_POLL)

    def pay(self, key: str, response: Response | None) -> None:
        """Settle a reserved call; `key` names the reply. None: the call was never made."""
        self.settle(response)
        if response is None:
            return
        with self._lock:
            self._charged.add(key)
            self.paid.add(response)
            if response is not FAILED and response.cache == "miss":
                cost = worth(response)
                self._tokens_each += (cost.tokens - self._tokens_each) * _NEWEST
                self._dollars_each += (cost.dollars - self._dollars_each) * _NEWEST

    def charge(self, key: str, response: Response) -> None:
        """Count a reply that an earlier run paid for, the first time that this run uses it."""
        with self._lock:
            if key not in self._charged:
                self._charged.add(key)
                self.spent.add(response)

    def knows(self, key: str) -> bool:
        """Whether a reply is counted already."""
        return key in self._charged


class Cost(NamedTuple):
    """What something costs from scratch."""

    calls: int = 0
    tokens: int = 0
    dollars: float = 0.0


def worth(response: Response) -> Cost:
    """What one reply costs from scratch, as far as it is known."""
    usage = response.usage
    return Cost(1, (usage.input_tokens or 0) + (usage.output_tokens or 0), usage.cost or 0.0)

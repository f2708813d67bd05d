"""What a compile may spend, and the purse that it is spent from."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import NamedTuple

from outlast.errors import UsageError
from outlast.messages import Response, Spending
from outlast.runtime import Meter


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits on a compile; None is no limit. The first one reached ends the search.

    Every request to a model is a call, also one that fails or is tried again; `calls` are never exceeded. The most that
    a call can take in `tokens` (in and out) and `dollars` is set aside before it, so with `max_tokens` set and the
    price known these are never exceeded either; where one of the two is missing, what the dearest recent calls took is
    set aside, and calls in flight that take more can exceed the limit. A model whose price nobody knows is refused
    under a limit in dollars. These three bound the search over all its runs: what an earlier, interrupted run of the
    same search paid counts, so a crash never doubles a bill, and a search that ran out goes on with a larger budget.
    Answers from the response cache cost nothing. `seconds` is wall time of one run.
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
    share of this run. `hold` keeps a part back, which a search must leave for the proof of its winner.
    """

    def __init__(self, budget: Budget, outer: Meter | None = None) -> None:
        super().__init__(
            calls=budget.calls, tokens=budget.tokens, dollars=budget.dollars, seconds=budget.seconds, outer=outer
        )
        self.budget = budget
        self.paid = Spending()
        self._charged: set[str] = set()

    def hold(self, **amounts: float) -> None:
        """Keep these amounts back (`calls`, `tokens`, `dollars`, `seconds`); without any, give everything free."""
        self.keep_back(amounts)

    def free(self, name: str) -> float:
        """What is left of one thing when nothing is held back."""
        return math.inf if self.limits[name] is None else self.left(name) + self._held.get(name, 0)

    def own(self, key: str) -> None:
        """The reply of this key was asked for, and counted, by this run."""
        self._charged.add(key)

    def charge(self, key: str, response: Response) -> None:
        """Count a reply that an earlier run paid for, the first time that this run uses it."""
        if key not in self._charged:
            self._charged.add(key)
            self.recall(response)

    def knows(self, key: str) -> bool:
        """Whether a reply is counted already."""
        return key in self._charged

    def _count(self, response: Response) -> None:
        super()._count(response)
        self.paid.add(response)

    def _lose(self, tokens: int, dollars: float, uncertain: bool) -> None:
        super()._lose(tokens, dollars, uncertain)
        self.paid.fail(tokens, dollars, uncertain=uncertain)


class Cost(NamedTuple):
    """What something costs from scratch."""

    calls: int = 0
    tokens: int = 0
    dollars: float = 0.0


def worth(response: Response) -> Cost:
    """What one reply costs from scratch, as far as it is known."""
    usage = response.usage
    return Cost(1, (usage.input_tokens or 0) + (usage.output_tokens or 0), usage.cost or 0.0)

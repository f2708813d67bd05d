"""What a candidate is worth and what it takes: score, dollars, seconds and tokens of a rollout, as one vector."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from outlast.optimize.candidate import Outcome

Cost = Literal["dollars", "seconds", "tokens"]
COSTS: tuple[Cost, ...] = ("dollars", "seconds", "tokens")


@dataclass(frozen=True, slots=True)
class Item:
    """One example as a candidate answered it, averaged over its draws."""

    score: float
    dollars: float
    seconds: float
    tokens: float

    def cost(self, name: Cost) -> float:
        """One of the costs by name."""
        return {"dollars": self.dollars, "seconds": self.seconds, "tokens": self.tokens}[name]


@dataclass(frozen=True, slots=True)
class Vector:
    """The means of a candidate over `n` examples: its score, and the cost of a rollout from scratch.

    `dollars` is None when a price is unknown. `seconds` is the median and `slow_seconds` the 95th percentile of the
    time that the program took; replies that were known already count with the time that they once took, one after the
    other. Dollars and tokens include those of a metric that asks models.
    """

    n: int
    score: float
    dollars: float | None
    seconds: float
    slow_seconds: float
    tokens: float

    def cost(self, name: Cost) -> float | None:
        """One of the costs by name; None when it is not known."""
        return {"dollars": self.dollars, "seconds": self.seconds, "tokens": self.tokens}[name]

    def to_json(self, *, timed: bool = True) -> dict[str, Any]:
        """By name; without the times, which no two runs share, unless `timed`."""
        data: dict[str, Any] = {
            "n": self.n,
            "score": round(self.score, 6),
            "dollars": None if self.dollars is None else float(f"{self.dollars:.6g}"),
            "tokens": round(self.tokens, 1),
        }
        if timed:
            data |= {"seconds": round(self.seconds, 4), "slow_seconds": round(self.slow_seconds, 4)}
        return data


def items_of(outcomes: Iterable[Outcome]) -> dict[str, Item]:
    """The outcomes of one candidate by example, draws averaged; those that nobody can score are left out."""
    draws: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        if outcome.value is not None:
            draws.setdefault(outcome.example, []).append(outcome)
    return {
        example: Item(
            _mean(outcome.value or 0.0 for outcome in some),
            _mean(outcome.dollars for outcome in some),
            _mean(outcome.seconds for outcome in some),
            _mean(outcome.tokens for outcome in some),
        )
        for example, some in sorted(draws.items())
    }


def vector_of(items: Mapping[str, Item], *, priced: bool = True) -> Vector:
    """The vector of a candidate from its items; all 0 when there are none."""
    seconds = sorted(item.seconds for item in items.values())
    return Vector(
        len(items),
        _mean(item.score for item in items.values()),
        _mean(item.dollars for item in items.values()) if priced else None,
        _quantile(seconds, 0.5),
        _quantile(seconds, 0.95),
        _mean(item.tokens for item in items.values()),
    )


def _mean(values: Iterable[float]) -> float:
    some = list(values)
    return math.fsum(some) / len(some) if some else 0.0


def _quantile(ascending: list[float], share: float) -> float:
    """Linear between the two values that are nearest."""
    if not ascending:
        return 0.0
    place = share * (len(ascending) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ascending) - 1)
    return ascending[low] + (place - low) * (ascending[high] - ascending[low])

"""Where a search stands: what the curve of its report and those who watch it are told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from outlast.optimize.budget import Purse


@dataclass(frozen=True, slots=True)
class Point:
    """Where a search stood: calls and rollouts so far, the leader, its mean on `n` selection examples.

    Calls are those that the results cost from scratch, so that a resumed search draws the same curve.
    """

    calls: int
    rollouts: int
    leader: str
    score: float
    n: int

    def to_json(self) -> dict[str, Any]:
        """By name."""
        return {"calls": self.calls, "rollouts": self.rollouts, "leader": self.leader, "score": self.score, "n": self.n}


@dataclass(frozen=True, slots=True)
class Progress:
    """What a listener is told.

    `phase` is "start" (the program as it is, on the confirmation examples), "search" or "confirm"; `expected` the most
    rollouts that the whole takes; `expected_calls` the same in calls, once a rollout has been seen; `score` and
    `start_score` are means while ranking, `low` and `high` the 95% interval of the first, `curve` the leader's means so
    far; `meter` is the purse of the search and `proposing` that of its proposals, when they have their own; `known` is
    how many replies earlier runs left. `best_origin` and `best_diff` say in words how the leader was made and what
    differs from the start. `operators` counts by name the candidates that the search built on, and all. `note` is what
    the search itself wants told.
    """

    phase: str
    rollouts: int
    expected: int
    expected_calls: int | None
    candidates: int
    alive: int
    leader: str
    score: float | None
    start_score: float | None
    meter: Purse
    known: int
    curve: tuple[float, ...] = ()
    low: float | None = None
    high: float | None = None
    proposing: Purse | None = None
    best_origin: str = ""
    best_diff: tuple[str, ...] = ()
    operators: Mapping[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    note: str = ""

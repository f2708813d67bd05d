"""Where a search stands: what the curve of its report and those who watch it are told."""

from __future__ import annotations

from dataclasses import dataclass
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
    `start_score` are means while ranking; `known` is how many replies earlier runs left.
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

"""Where a search stands: what the curve of its report and those who watch it are told."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from outlast.optimize.budget import Purse
from outlast.optimize.race import Tally
from outlast.optimize.screen import change_lines, interval_of, success_counts

if TYPE_CHECKING:
    from outlast.optimize.candidate import Candidate
    from outlast.optimize.study import Study

_TELL_EVERY = 0.1  # seconds


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


class Standing:
    """Notes where a study stands, and tells its listener, ten times a second at most unless something new began."""

    def __init__(self, study: Study, listener: Callable[[Progress], None] | None) -> None:
        self.points: list[Point] = []
        self._study = study
        self._listener = listener
        self._leader: Candidate | None = None
        self._note = ""
        self._told = 0.0
        self._shown: tuple[str, tuple[str, ...]] = ("", ())

    def mark(self, leader: Candidate) -> None:
        """Note the leader, for the curve of score against calls."""
        study, tally = self._study, self._study.tally(leader)
        point = Point(study.calls, study.rollouts, leader.id, tally.mean, len(tally.values))
        self.points.append(point)
        study.ledger.add_event("point", point.to_json())
        self._leader = leader
        self.tell(now=True)

    def note(self, text: str) -> None:
        """Say something to those who watch."""
        self._note = text
        self.tell(now=True)

    def tell(self, *, now: bool = False) -> None:
        """Tell the listener, `now` or when it was not told for a while."""
        clock = time.monotonic()
        if self._listener is None or (clock - self._told < _TELL_EVERY and not now):
            return
        self._told = clock
        self._listener(self._progress())

    def _progress(self) -> Progress:
        study, leader = self._study, self._leader
        best = study.tally(leader) if leader is not None else Tally()
        start = study.tally(study.start)
        ends = interval_of(best.values)
        return Progress(
            phase=study.phase,
            rollouts=study.rollouts,
            expected=study.plan.expected,
            expected_calls=study.plan.expected_calls(),
            candidates=len(study.candidates) - 1,
            alive=study.alive,
            leader=leader.id if leader is not None else "",
            score=best.mean if best.values else None,
            start_score=start.mean if start.values else None,
            meter=study.purse,
            known=study.known,
            curve=tuple(point.score for point in self.points),
            low=ends[0] if ends else None,
            high=ends[1] if ends else None,
            proposing=study.advisor.purse if study.advisor.purse is not study.purse else None,
            best_origin=leader.origin if leader is not None else "",
            best_diff=self._best_diff(leader),
            operators=success_counts(list(study.candidates.values()), study.accepted),
            note=self._note,
        )

    def _best_diff(self, leader: Candidate | None) -> tuple[str, ...]:
        """What differs in the leader, made once for each."""
        if leader is None or leader == self._study.start:
            return ()
        if self._shown[0] != leader.id:
            self._shown = (leader.id, tuple(change_lines(self._study.program, self._study.build(leader))))
        return self._shown[1]

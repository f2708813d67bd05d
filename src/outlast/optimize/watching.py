"""A search as one sees it from outside, while it runs or afterwards: its curve, its tree, where its parts came from.

All of it is read from the ledger, by anybody, in any process; the search notices nothing.
"""

from __future__ import annotations

import json
import math
import os
import time
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any, cast

from outlast.errors import StudyError
from outlast.optimize.explaining import Explanation, Failure, Origin, Part, explain_data, parts_of
from outlast.optimize.lineage import MOST_FAILURES, MOST_STEPS, Effect, paired_effect
from outlast.optimize.standing import Point
from outlast.optimize.summary import Summary, Tried, failures_of, reading, summary_of, values_of

if TYPE_CHECKING:
    import sqlite3

PARTS = ("train", "select", "confirm")
QUIET = 300.0  # seconds without a sign after which a search that has not ended is taken for stopped
MOST_TOLD = 5


@dataclass(frozen=True, slots=True)
class Moment:
    """Where a search stood once, and what all runs had paid by then; `dollars` is None where prices are unknown."""

    point: Point
    at: float
    paid_calls: int
    dollars: float | None


@dataclass(frozen=True, slots=True)
class Mean:
    """The mean score of a candidate on the `n` examples of a part that it was run on, draws averaged."""

    value: float
    n: int


@dataclass(frozen=True, slots=True)
class Watched:
    """A search from outside. `order` are its candidates as they came, `means` their scores by candidate and part.

    `state` is "running", "done", or "stopped" when no report was written and nothing has happened for five minutes.
    `failures` are the last rollouts that broke, in words. `search` says how it was called.
    """

    summary: Summary
    moments: tuple[Moment, ...]
    order: tuple[str, ...]
    means: Mapping[str, Mapping[str, Mean]]
    state: str
    began: float
    changed: float
    search: Mapping[str, Any]
    failures: tuple[str, ...]

    @property
    def by_id(self) -> dict[str, Tried]:
        """The candidates."""
        return {one.id: one for one in self.summary.candidates}

    @property
    def leader(self) -> str:
        """The winner of a search that has ended, else who leads."""
        record = self.summary.record or {}
        winner: Any = record.get("winner")
        if self.state == "done" and isinstance(winner, Mapping):
            return str(cast("Mapping[str, Any]", winner).get("id", "start"))
        return self.moments[-1].point.leader if self.moments else "start"


def watch(path: str | os.PathLike[str]) -> Watched:
    """A search from outside, as its ledger says now. Raises `StudyError`. Cost: no LM call; some 50 ms for 10,000
    rollouts."""
    return reading(path, _watched)


def _watched(db: sqlite3.Connection) -> Watched:
    run, began = db.execute("SELECT run, min(at) FROM event WHERE run = (SELECT max(run) FROM event)").fetchone()
    ended = db.execute("SELECT count(*) FROM event WHERE kind = 'report' AND run = ?", (run,)).fetchone()[0] > 0
    changed = db.execute(
        "SELECT max(at) FROM (SELECT at FROM reply UNION ALL SELECT at FROM rollout UNION ALL SELECT at FROM event)"
    ).fetchone()[0]
    told = db.execute("SELECT data FROM event WHERE kind = 'run' ORDER BY id DESC LIMIT 1").fetchone()
    broken = db.execute("SELECT data FROM event WHERE kind = 'failure' ORDER BY id DESC LIMIT ?", (MOST_TOLD,))
    alive = time.time() - (changed or 0.0) < QUIET
    return Watched(
        summary_of(db),
        _moments(db),
        tuple(row[0] for row in db.execute("SELECT id FROM candidate ORDER BY at, rowid")),
        _means(db),
        "done" if ended else "running" if alive else "stopped",
        began or 0.0,
        changed or 0.0,
        json.loads(told[0]) if told else {},
        tuple(str(json.loads(text).get("error", "")) for (text,) in broken),
    )


def _moments(db: sqlite3.Connection) -> tuple[Moment, ...]:
    rows = db.execute(
        "SELECT data, at FROM event WHERE kind = 'point' AND run = (SELECT max(run) FROM event WHERE kind = 'point') "
        "ORDER BY id"
    ).fetchall()
    paid = db.execute("SELECT at, dollars FROM reply WHERE paid ORDER BY at").fetchall()
    times, sums = [row[0] for row in paid], list(accumulate(row[1] or 0.0 for row in paid))
    priced = any(row[1] for row in paid)
    found: list[Moment] = []
    for text, at in rows:
        calls = bisect_right(times, at)
        dollars = (sums[calls - 1] if calls else 0.0) if priced else None
        found.append(Moment(Point(**json.loads(text)), at, calls, dollars))
    return tuple(found)


def _means(db: sqlite3.Connection) -> dict[str, dict[str, Mean]]:
    rows = db.execute(
        """
        SELECT candidate, part, avg(score), count(*) FROM (
            SELECT r.candidate, e.part, avg(CASE WHEN r.answered THEN r.score ELSE 0.0 END) AS score
            FROM rollout r JOIN example e ON e.id = r.example GROUP BY r.candidate, e.id HAVING score IS NOT NULL)
        GROUP BY candidate, part
        """
    )
    found: dict[str, dict[str, Mean]] = {}
    for candidate, part, value, n in rows:
        found.setdefault(candidate, {})[part] = Mean(value, n)
    return found


def effect_on(path: str | os.PathLike[str], child: str, parent: str, part: str) -> Effect | None:
    """What a change brought on the examples of a part that both were run on; None without any."""
    return paired_effect(values_of(path, child, part), values_of(path, parent, part), part=part)


def chain_of(known: Mapping[str, Tried], candidate: str) -> list[Tried]:
    """From the first ancestor that is known to the candidate itself."""
    chain: list[Tried] = []
    at = candidate
    while at in known and len(chain) <= MOST_STEPS and known[at] not in chain:
        chain.insert(0, known[at])
        at = known[at].parent
    return chain


def explain_candidate(path: str | os.PathLike[str], candidate: str, watched: Watched | None = None) -> Explanation:
    """Where every line and demonstration that a candidate sets came from, from the ledger alone; the search may run on.

    For the winner of a search that has ended, it is what its record says. For another one a ledger does not hold the
    texts of the start: lines that the first step kept count as brought by it. Raises `StudyError` for an unknown one.
    """
    seen = watched or watch(path)
    known = seen.by_id
    if candidate not in known:
        raise StudyError(f"the ledger has no candidate {candidate!r}")
    chain = chain_of(known, candidate)
    steps = tuple(_step(path, seen, parent, child) for parent, child in pairwise(chain))
    record = seen.summary.record
    if seen.state == "done" and record is not None and candidate == seen.leader != "start":
        data = {"record": {**record, "kept": "winner"}, "program": {}, "parameters": dict(known[candidate].changes)}
        told = explain_data(data)
        extra = {one.id: one for one in steps}
        lineage = tuple(_fuller(one, extra.get(one.id)) for one in told.lineage)
        return replace(told, lineage=lineage)
    parts: list[Part] = []
    for name in known[candidate].changes:
        history = [parts_of(name, one.changes[name]) if name in one.changes else [] for one in chain]
        parts += [replace(part, step=_brought(part, history)) for part in history[-1]]
    return Explanation("", "candidate", "", steps, tuple(parts), {}, len(steps))


def _fuller(told: Origin, seen: Origin | None) -> Origin:
    if seen is None:
        return told
    return replace(
        told, siblings=seen.siblings, failures=seen.failures or told.failures, effect=told.effect or seen.effect
    )


def _step(path: str | os.PathLike[str], seen: Watched, parent: Tried, child: Tried) -> Origin:
    causes = [Failure(**found) for found in failures_of(path, parent.id, child.cause[: 4 * MOST_FAILURES])]
    causes.sort(key=lambda one: math.inf if one.score is None else one.score)
    effects = (effect_on(path, child.id, parent.id, part) for part in ("select", "train"))
    return Origin(
        child.id,
        parent.id,
        child.operator,
        child.origin,
        tuple(sorted(name for name, value in child.changes.items() if parent.changes.get(name) != value)),
        child.cause,
        tuple(causes[:MOST_FAILURES]),
        next((effect for effect in effects if effect is not None), None),
        sum(one.parent == child.parent and one.id != child.id for one in seen.summary.candidates),
    )


def _brought(part: Part, history: Sequence[Sequence[Part]]) -> int:
    """The first of the last unbroken run of ancestors that hold a part; 0 is the start."""
    at = len(history) - 1
    while at > 0 and part in history[at - 1]:
        at -= 1
    return at

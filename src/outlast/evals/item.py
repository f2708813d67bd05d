"""One example of an evaluation with all its runs: the unit of every estimate."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from outlast.evals.policy import Rule, counted
from outlast.evals.row import Row, State
from outlast.evals.statistics import Estimate, estimate_mean
from outlast.evals.statistics.clusters import clustered_mean
from outlast.evals.statistics.values import mean_of


@dataclass(frozen=True, slots=True)
class Item:
    """An example, its score over all its epochs, and the rows that it was made of.

    `score` is None when the example does not count (see `policy`); `state` is that of the example. `cluster` is the
    group that it belongs to, "" without `cluster=`.
    """

    index: int
    id: str
    score: float | None
    state: State
    cluster: str
    rows: tuple[Row, ...]

    @property
    def flaky(self) -> bool:
        """Whether its epochs disagree: some pass, others fail or gave no usable answer."""
        return is_flaky([verdict(row) for row in self.rows])

    @property
    def row(self) -> Row:
        """Its first row: the inputs and targets are the same in all."""
        return self.rows[0]

    @property
    def worst(self) -> Row:
        """The row to look at when the example went wrong: an error, else the lowest score."""
        return self.rows[0] if len(self.rows) == 1 else min(self.rows, key=_merit)


def _merit(row: Row) -> float:
    return -math.inf if row.state == "error" else math.inf if row.score is None else row.score


def verdict(row: Row) -> bool | None:
    """Whether a run passed; None when that cannot be said, for an error that is nobody's fault or an unscored row."""
    if row.state == "error":
        return None if row.answered else False
    return None if row.state == "unscored" else row.state == "pass"


def is_flaky(verdicts: Sequence[bool | None]) -> bool:
    """Whether runs of one example disagree."""
    return True in verdicts and False in verdicts


def items_of(rows: Iterable[Row], rule: Rule) -> tuple[Item, ...]:
    """The examples of rows, by index; `rule` says how runs become one score."""
    groups: dict[int, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.index, []).append(row)
    items: list[Item] = []
    for index in sorted(groups):
        runs = sorted(groups[index], key=lambda row: row.epoch) if len(groups[index]) > 1 else groups[index]
        score, state = rule.settle([(row.state, counted(row, rule.on_error)) for row in runs])
        items.append(Item(index, runs[0].id, score, state, runs[0].cluster, tuple(runs)))
    return tuple(items)


def part_estimates(items: Sequence[Item], level: float, *, clustered: bool) -> dict[str, Estimate]:
    """The mean of each named part of the scores over the examples that have it; that of an example is the mean over its
    epochs."""
    values: dict[str, list[float]] = {}
    clusters: dict[str, list[str]] = {}
    for item in items:
        for name in dict.fromkeys(name for row in item.rows for name in row.parts):
            some = [row.parts[name] for row in item.rows if name in row.parts]
            values.setdefault(name, []).append(mean_of(some))
            clusters.setdefault(name, []).append(item.cluster)
    if clustered:
        return {name: clustered_mean(some, clusters[name], level) for name, some in values.items()}
    return {name: estimate_mean(some, level=level) for name, some in values.items()}

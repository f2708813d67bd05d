"""Running totals over rows, so that an evaluation of any length needs constant memory."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from outlast.evals.item import is_flaky, verdict
from outlast.evals.policy import Rule, counted
from outlast.evals.row import STATES, Row, RowError, State, shed_tracebacks
from outlast.evals.spread import Spread
from outlast.evals.statistics import Running
from outlast.messages import Spending

if TYPE_CHECKING:
    from typing import Self

_MAX_GROUPS = 100
_MAX_MODELS = 50
_LOCATED = 20  # so many errors keep their traceback
_VARIABLE = re.compile(r"0x[0-9a-f]+|\d+")


@dataclass(slots=True)
class ErrorGroup:
    """Errors that say the same, numbers aside: how many, and the first of them in the data.

    When there are over 100 groups the rest is counted together under the type "(other)".
    """

    subject: Literal["program", "metric"]
    type: str
    message: str
    count: int
    index: int
    exception: BaseException | None = None

    def __str__(self) -> str:
        text = f"{self.type}: {self.message}" if self.message else self.type
        return f"{self.count}x {text}" + (" (in the metric)" if self.subject == "metric" else "")


class Tally:
    """Totals of the rows added so far: of runs (`states`, spending, errors) and of examples (`items`, `scores`).

    `rule` makes the score of an example of its runs, which may be added in any order: an example is settled when all
    its epochs are there, or by `finish`. `scores` and `clusters` hold the counted examples in the order in which they
    were settled. Eight bytes a score and a duration, with epochs or clusters twelve more an example.
    """

    def __init__(self, rule: Rule = Rule(), *, clustered: bool = False) -> None:  # noqa: B008 - a value
        self.rule = rule
        self.states: dict[State, int] = dict.fromkeys(STATES, 0)
        self.items: dict[State, int] = dict.fromkeys(STATES, 0)
        self.unanswered = 0
        self.flaky = 0
        self.retried = 0
        self.redrawn = 0
        self.scores = array("d")
        self.clusters = array("l")
        self.running = Running()
        self.spread = Spread()
        self.durations = array("d")
        self.spending = Spending()
        self.metric_spending = Spending()
        self.models: dict[str, int] = {}  # how many rows each answered
        self.metric_models: dict[str, int] = {}
        self.fingerprints: dict[tuple[str, str], int] = {}  # of the models, by model and fingerprint
        self.groups: dict[tuple[str, str, str], ErrorGroup] = {}
        self._clustered = clustered
        self._numbers: dict[str, int] = {}  # of clusters
        self._pending: dict[int, list[Row]] = {}  # runs of examples that have not had all their epochs

    @classmethod
    def of(cls, rows: Iterable[Row], rule: Rule = Rule(), *, clustered: bool = False) -> Self:  # noqa: B008 - a value
        """The totals of rows."""
        tally = cls(rule, clustered=clustered)
        for row in rows:
            tally.add(row)
        tally.finish()
        return tally

    @property
    def done(self) -> int:
        """How many rows were added."""
        return len(self.durations)

    @property
    def examples(self) -> int:
        """How many examples were settled."""
        return sum(self.items.values())

    def add(self, row: Row) -> Row:
        """Count a row; gives it back, with the place of its error as text when it has one."""
        self.states[row.state] += 1
        self.unanswered += not row.answered
        self.retried += bool(row.retried)
        self.redrawn += any(not earlier.answered for earlier in row.retried)
        self.durations.append(row.seconds)
        if row.spending.calls or row.spending.cached:
            self.spending.include(row.spending)
        for models, counts in ((row.models, self.models), (row.metric_models, self.metric_models)):
            for name in models:
                if name in counts or len(counts) < _MAX_MODELS:
                    counts[name] = counts.get(name, 0) + 1
        for pair in row.fingerprints:
            if pair in self.fingerprints or len(self.fingerprints) < _MAX_MODELS:
                self.fingerprints[pair] = self.fingerprints.get(pair, 0) + 1
        if row.metric_spending.calls or row.metric_spending.cached:
            self.metric_spending.include(row.metric_spending)
        if row.error is not None:
            row = self._add_error(row, row.error)
        if self.rule.epochs.count == 1:
            self._count(row.cluster, *self.rule.settle([(row.state, counted(row, self.rule.on_error))]))
        else:
            self._wait(row)
        return row

    def finish(self) -> None:
        """Settle the examples that did not get all their epochs, because the run ended before."""
        for index in sorted(self._pending):
            self._settle(self._pending[index])
        self._pending.clear()

    def _wait(self, row: Row) -> None:
        runs = self._pending.setdefault(row.index, [])
        # what an example is settled by, not its texts, which would stay in memory
        runs.append(Row(row.index, "", {}, {}, None, row.score, row.state, answered=row.answered, cluster=row.cluster))
        if len(runs) == self.rule.epochs.count:
            self._settle(self._pending.pop(row.index))

    def _settle(self, runs: list[Row]) -> None:
        results: list[tuple[State, float | None]] = [(row.state, counted(row, self.rule.on_error)) for row in runs]
        score, state = self.rule.settle(results)
        self.flaky += is_flaky([verdict(row) for row in runs])
        self.spread.add([value for _, value in results if value is not None])
        self._count(runs[0].cluster, score, state)

    def _count(self, cluster: str, score: float | None, state: State) -> None:
        self.items[state] += 1
        if score is None:
            return
        self.scores.append(score)
        self.running.add(score)
        if self._clustered:
            self.clusters.append(self._numbers.setdefault(cluster, len(self._numbers)))

    def _add_error(self, row: Row, error: RowError) -> Row:
        if self.states["error"] <= _LOCATED:
            error = error.located()
        else:
            shed_tracebacks(error.exception)
        key = (error.subject, error.type, _VARIABLE.sub("#", error.message[:300]))
        group = self.groups.get(key)
        if group is None and len(self.groups) >= _MAX_GROUPS:
            key = (error.subject, "(other)", "")
            group = self.groups.get(key)
            error_type, message = "(other)", ""
        else:
            error_type, message = error.type, error.message[:2000]
        if group is None:
            self.groups[key] = ErrorGroup(error.subject, error_type, message, 1, row.index, error.exception)
        else:
            group.count += 1
            if row.index < group.index:  # rows end in any order; the first of a group is the first in the data
                group.index, group.message, group.exception = row.index, message, error.exception
        return row if error is row.error else replace(row, error=error)

"""Running totals over rows, so that an evaluation of any length needs constant memory."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from outlast.evals.row import STATES, Row, RowError, State, shed_tracebacks
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
    """Counts, scores, spending and error groups of the rows added so far. Eight bytes a score and a
    duration."""

    def __init__(self) -> None:
        self.states: dict[State, int] = dict.fromkeys(STATES, 0)
        self.unanswered = 0
        self.scores = array("d")
        self.durations = array("d")
        self.spending = Spending()
        self.metric_spending = Spending()
        self.models: dict[str, None] = {}
        self.groups: dict[tuple[str, str, str], ErrorGroup] = {}

    @classmethod
    def of(cls, rows: Iterable[Row]) -> Self:
        """The totals of rows."""
        tally = cls()
        for row in rows:
            tally.add(row)
        return tally

    @property
    def done(self) -> int:
        """How many rows were added."""
        return len(self.durations)

    def add(self, row: Row) -> Row:
        """Count a row; gives it back, with the place of its error as text when it has one."""
        self.states[row.state] += 1
        self.unanswered += not row.answered
        self.durations.append(row.seconds)
        if row.score is not None:
            self.scores.append(row.score)
        if row.spending.calls or row.spending.cached:
            self.spending.include(row.spending)
        for name in row.models:
            if name not in self.models and len(self.models) < _MAX_MODELS:
                self.models[name] = None
        if row.metric_spending.calls or row.metric_spending.cached:
            self.metric_spending.include(row.metric_spending)
        return row if row.error is None else self._add_error(row, row.error)

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

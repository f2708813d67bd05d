"""Failures that are no candidate's fault, such as a dead server: when most rollouts end so, the search does."""

from __future__ import annotations

from outlast.errors import BudgetExceeded, SearchStopped
from outlast.optimize.ledger import Ledger
from outlast.optimize.rollout import HOPELESS, Rolled

_IN_A_ROW = 20  # failures without a success between them
_AT_LEAST = 10  # failures before their share counts


class Failures:
    """Counts them; `last` is the newest one's exception, and `in_metric` whether the metric raised it.

    After 20 in a row, or when more than `most` (a share) of all rollouts of this run failed, ten at least, everything
    further is refused with their cause; at once after what every further call would raise too.
    """

    def __init__(self, ledger: Ledger, most: float) -> None:
        self.count = 0
        self.last: BaseException | None = None
        self.in_metric = False
        self._ledger = ledger
        self._most = most
        self._ran = 0
        self._in_a_row = 0
        self._end: BaseException | None = None

    def refuse_further(self) -> None:
        """Raise what ended the search, if anything did."""
        if self._end is not None:
            raise self._end

    def begin_stage(self) -> None:
        """What the budget did not allow in one stage it may in the next."""
        if isinstance(self._end, BudgetExceeded):
            self._end = None

    def see(self, rolled: Rolled) -> None:
        """Take in how a rollout ended, and raise when that ends the search."""
        if self._ledger.failure is not None:
            self._end = self._ledger.failure
            raise self._end
        self._ran += 1
        if rolled.failure is None:
            self._in_a_row = 0
            return
        if isinstance(rolled.failure, HOPELESS):
            self._end = self._end or rolled.failure
            raise rolled.failure
        self.count += 1
        self._in_a_row += 1
        self.last, self.in_metric = rolled.failure, rolled.in_metric
        said = rolled.outcome.error
        self._ledger.add_event("failure", {"example": rolled.outcome.example, "error": said})
        if self._in_a_row >= _IN_A_ROW or (self.count >= _AT_LEAST and self.count > self._most * self._ran):
            self._end = self._end or SearchStopped(
                f"{self.count} of {self._ran} rollouts failed for reasons that no prompt can mend; the last"
                f"{', in the metric' if rolled.in_metric else ''}: {said.rstrip('.')}. {self._ledger.after_failure}"
            )
            raise self._end from rolled.failure

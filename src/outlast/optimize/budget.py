"""The purse that a compile spends from."""

from __future__ import annotations

from typing import NamedTuple

from outlast.errors import BudgetExceeded
from outlast.messages import Response, Spending
from outlast.runtime import Budget, Meter
from outlast.runtime.meter import UNBOUNDED


class Purse(Meter):
    """The money of one search. Counts each reply once, whoever paid for it and however often it is used.

    `spent` is what the search has cost so far from its first run on, and is what the budget bounds; `paid` is the
    share of this run. `hold` keeps a part back, which a search must leave for the proof of its winner. `rollouts` is
    how many have begun, and known ones that were used.
    """

    def __init__(self, budget: Budget, outer: Meter | None = None) -> None:
        super().__init__(
            calls=budget.calls, tokens=budget.tokens, dollars=budget.dollars, seconds=budget.seconds, outer=outer
        )
        self.limits["rollouts"] = budget.rollouts
        self.budget = budget
        self.paid = Spending()
        self.rollouts = 0
        self._charged: set[str] = set()

    def begin_rollout(self) -> None:
        """Count a rollout that is about to begin. Raises `BudgetExceeded` when none is left."""
        if self.left("rollouts") < 1:
            raise self._refusal("rollouts", UNBOUNDED)
        self.rollouts += 1

    def used(self, name: str) -> float:
        """What is spent of one thing."""
        return self.rollouts if name == "rollouts" else super().used(name)

    def left(self, name: str, *, settled: bool = False) -> float:
        """What may still be set aside of one thing; a rollout counts when it begins, so that none is in flight."""
        return super().left(name, settled=settled or name == "rollouts")

    def hold(self, **amounts: float) -> None:
        """Keep these amounts back, by the names of limits; without any, give everything free."""
        self.keep_back(amounts)

    def free(self, name: str) -> float:
        """What is left of one thing when nothing is held back; of time, here and in budgets around."""
        return self._time_of(self.soonest) if name == "seconds" else self.left(name) + self._held.get(name, 0)

    def seconds_left(self) -> float:
        """The time until what still runs is given up, here and in budgets around; infinite without a limit.

        Whichever budget the time is of, what is held back is not in it.
        """
        return self.free("seconds") - self._held.get("seconds", 0)

    @property
    def soonest(self) -> Meter:
        """The budget whose time ends first, this one or one around it."""
        return min(self.chain, key=self._time_of)

    def _time_of(self, meter: Meter) -> float:
        return meter.left("seconds") + (self._held.get("seconds", 0) if meter is self else 0)

    def late(self) -> BudgetExceeded:
        """The error for what the time did not last for."""
        meter = self.soonest
        before, error = meter.refused, meter._refusal("seconds", UNBOUNDED)
        if meter is not self and meter.left("seconds") > 0:  # the rest is held back, which is no refusal of others
            meter.refused = before
        return error

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

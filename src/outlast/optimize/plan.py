"""What a search can plan with: how many rollouts its budget still pays for beside the proof of its winner."""

from __future__ import annotations

import math

from outlast.optimize.budget import Purse
from outlast.optimize.candidate import Candidate, Outcome
from outlast.optimize.deadline import Deadline
from outlast.optimize.experience import Experience
from outlast.optimize.reserve import Reserve
from outlast.runtime import Budget


class Plan:
    """A budget, read in rollouts at what rollouts have cost so far.

    `most` is how many search and proof take when nothing limits them, and what limits them replaces that number when it
    `fills`; the proof runs on `proof` examples. While a search runs, what the proof of the costliest candidate still in
    it takes is held back from it.
    """

    def __init__(self, purse: Purse, *, most: int, fills: bool, proof: int, concurrency: int) -> None:
        self.purse = purse
        self.deadline = Deadline(purse)
        self.reserve = Reserve(proof, concurrency)
        self.experience = Experience(concurrency)
        self._most, self._fills = most, fills
        self._whole = {name: math.inf if limit is None else limit for name, limit in purse.limits.items()}
        self._whole["seconds"] = min([self._whole["seconds"], *(one.left("seconds") for one in purse.chain[1:])])
        self._searching = False

    def begin_stage(self, *, search: bool) -> None:
        """From now on the price of the proof is kept from a search, and from nothing else."""
        self._searching = search
        self._hold_back()

    def learn(self, outcome: Outcome, took: float, *, wins: bool) -> None:
        """Take in what a rollout cost; `wins` says whether its candidate may have to be proven."""
        self.experience.add(outcome)
        if wins:
            self.reserve.add(outcome, took)
            self._hold_back()

    def _hold_back(self) -> None:
        if self.purse.budget != Budget() or self.deadline.bounded:
            self.purse.hold(**(self.reserve.amounts() if self._searching else {}))
            self.deadline.moved()

    @property
    def expected(self) -> int:
        """The most rollouts that search and proof take: what was planned, or what the budget pays for at the cost of
        rollouts so far; of time every run has its own, so that it does not count."""
        paid = self.experience.affords(
            lambda name: math.inf if name == "seconds" else self._whole[name] - self.purse.used(name)
        )
        if math.isinf(paid):  # no rollout yet, or no limit
            calls = self._whole["calls"]
            return int(calls) if self._fills and not math.isinf(calls) else self._most
        paid = self.experience.count + max(0, int(paid))
        return paid if self._fills else min(self._most, paid)

    def expected_calls(self) -> int | None:
        """The most calls that search and proof take, from what rollouts took so far; None before the first."""
        each, limit = self.reserve.calls_each(), self.purse.limits["calls"]
        if not each:
            return None
        most = round(self.purse.used("calls") + each * (self.expected - self.experience.count))
        return most if limit is None else min(most, int(limit))

    def affordable(self) -> float:
        """How many more rollouts the search can pay for, by what they have cost so far; infinite without a limit.

        Time does not count, of which every run has its own: run again, a search plans as it did before.
        """
        return self.experience.affords(lambda name: math.inf if name == "seconds" else self.purse.left(name))

    def share(self, part: float) -> float:
        """How many rollouts this part of the whole budget pays for, of time also of one around it; infinite without a
        limit."""
        return self.experience.affords(lambda name: part * self._whole[name])

    def spare(self, winner: Candidate) -> float:
        """How many rollouts can be paid beyond the proof of this candidate; infinite without a limit."""
        need = self.reserve.need(winner.id)
        return max(0.0, self.experience.affords(lambda name: self.purse.free(name) - need.get(name, 0.0)))

    def proves(self, candidate: Candidate) -> bool:
        """Whether the budget still pays for the proof of a candidate."""
        need = self.reserve.need(candidate.id)
        return all(self.purse.free(name) >= need[name] for name in need)

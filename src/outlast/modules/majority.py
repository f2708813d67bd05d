"""`Majority`: several independent answers, and the one that most of them give."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from outlast.errors import UsageError
from outlast.modules.attempts import (
    Allowance,
    Attempt,
    Outcome,
    Reward,
    allowance,
    attempt,
    check_budget,
    check_count,
    check_reward,
    failed,
    told,
)
from outlast.modules.strategy import P, R, Strategy, as_module, refuse_same_draws, signature_of
from outlast.modules.votes import By, check_by, check_stop, count, still_needed
from outlast.runtime import Budget, gather


class Majority(Strategy[P, R]):
    """Answer `n` times, independently, and give the answer that most of them give (self-consistency, Wang et al. 2023,
    arXiv 2203.11171).

    `inner` is a signature, or any module; with `ChainOfThought` it is the paper's method. Answers are compared by their
    normal form: text without regard to case and spacing, numbers by value. `by` names the one output that is voted on,
    or is a function of the output that gives what is. The first of equals wins; `weight` makes a vote count as much as
    a reward says. The result is the first attempt that gave the winning answer.
    `stop="certain"` ends as soon as the rest cannot change the result, which is exact; `stop=0.95` as soon as the
    leader is the true majority with that probability (Aggarwal et al. 2023, arXiv 2305.11860). When the `budget` ends,
    the votes so far decide. `out.outcome.facts` has `votes` by answer, and `agreement`, from 0 to 1.
    Cost: `n` calls of `inner` at the same time; with `stop` between `(n + 1) // 2` (fewer for a probability) and
    `n`, a few at a time. With a `weight` that is a module, as many of that.
    """

    _guards_signature = False
    inner: Any
    n: int
    by: By | None
    weight: Reward | None
    stop: str | float | None
    budget: Budget | None

    def __init__(
        self,
        inner: Callable[P, R] | str | None = None,
        *,
        n: int,
        by: By | None = None,
        weight: Reward | None = None,
        stop: str | float | None = None,
        budget: Budget | None = None,
    ) -> None:
        self.inner = as_module(inner, "Majority")
        self.signature = signature_of(self.inner)
        self.n = check_count("Majority", "n", n)
        self.by = check_by(by, self.signature, "Majority")
        self.weight = None if weight is None else check_reward(weight, "Majority")
        self.stop = check_stop(stop, "Majority")
        self.budget = check_budget(budget, "Majority")
        if weight is not None and stop is not None:
            raise UsageError("Majority: with weight=... no number of votes is ever certain; leave out stop=...")
        refuse_same_draws(self.inner, n, "Majority")

    async def forward(self, /, **inputs: Any) -> Any:
        with allowance(self.budget) as allowed:
            attempts = await self._draw(inputs, allowed)
            stopped = allowed.stopped or ("enough" if len(attempts) < self.n else None)
        votes = count(attempts, self.by, weighted=self.weight is not None)
        if votes.winner is None:
            raise failed("Majority", attempts)
        outcome = Outcome("Majority", tuple(attempts), votes.winner, stopped, votes.facts)
        return told(attempts[votes.winner].result, outcome)

    async def _draw(self, inputs: Mapping[str, Any], allowed: Allowance) -> list[Attempt]:
        """Attempts until the vote is over: at any time as many as are needed in the best case."""
        attempts: list[Attempt] = []
        while not allowed.stopped:
            left = self.n - len(attempts)
            more = still_needed(count(attempts, self.by), left, self.stop) if left else 0
            if not more:
                break
            numbers = range(len(attempts), len(attempts) + more)
            attempts += await gather(
                *(attempt(self.inner, inputs, number, self.n, allowed, self.weight) for number in numbers)
            )
        return attempts

"""`BestOfN`: several independent answers, and the one that a reward likes best."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from outlast.modules.attempts import (
    Allowance,
    Attempt,
    Outcome,
    Reward,
    allowance,
    attempt,
    best,
    check_budget,
    check_count,
    check_number,
    check_reward,
    failed,
    told,
)
from outlast.modules.strategy import P, R, Strategy, as_module, refuse_same_draws, signature_of
from outlast.runtime import Budget, gather


class BestOfN(Strategy[P, R]):
    """Answer `n` times, independently, and give the answer with the highest `reward` (Cobbe et al. 2021,
    arXiv 2110.14168, section 2: sampling with a verifier).

    `inner` is a signature, or any module. `reward` is called as `reward(out)` or `reward(inputs, out)` and gives a
    number, a bool or a `Score`; a metric that does not look at targets is one, and so is a module that judges. The
    first of equals wins. With a `threshold` the answers come one after another, and the first that reaches it is taken.
    Failed tries do not count; when all fail, the error is raised. When the `budget` ends, the best so far is given;
    `out.outcome` has every attempt.
    Cost: at most `n` calls of `inner`, at the same time without a `threshold`, and `n` of a reward that is a module.
    """

    _guards_signature = False
    inner: Any
    n: int
    reward: Reward
    threshold: float | None
    budget: Budget | None

    def __init__(
        self,
        inner: Callable[P, R] | str | None = None,
        *,
        n: int,
        reward: Reward,
        threshold: float | None = None,
        budget: Budget | None = None,
    ) -> None:
        self.inner = as_module(inner, "BestOfN")
        self.signature = signature_of(self.inner)
        self.n = check_count("BestOfN", "n", n)
        self.reward = check_reward(reward, "BestOfN")
        self.threshold = None if threshold is None else check_number("BestOfN", "threshold", threshold)
        self.budget = check_budget(budget, "BestOfN")
        refuse_same_draws(self.inner, n, "BestOfN")

    async def forward(self, /, **inputs: Any) -> Any:
        with allowance(self.budget) as allowed:
            if self.threshold is None:
                numbers = range(self.n)
                attempts = await gather(
                    *(attempt(self.inner, inputs, number, self.n, allowed, self.reward) for number in numbers)
                )
                enough = False
            else:
                attempts, enough = await self._in_turn(inputs, self.threshold, allowed)
            stopped = "enough" if enough else allowed.stopped
        chosen = best(attempts)
        if chosen is None:
            raise failed("BestOfN", attempts)
        rewards = {"reward": attempts[chosen].reward}
        return told(attempts[chosen].result, Outcome("BestOfN", tuple(attempts), chosen, stopped, rewards))

    async def _in_turn(
        self, inputs: Mapping[str, Any], threshold: float, allowed: Allowance
    ) -> tuple[list[Attempt], bool]:
        """Attempts one after another, until one is good enough or the budget ends."""
        found: list[Attempt] = []
        for number in range(self.n):
            one = await attempt(self.inner, inputs, number, self.n, allowed, self.reward)
            found.append(one)
            if one.ok and one.reward is not None and one.reward >= threshold:
                return found, number + 1 < self.n
            if allowed.stopped:
                break
        return found, False

"""`Retry`: again, when there was no answer or a check does not like it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from outlast.modules.attempts import (
    Attempt,
    Outcome,
    Reward,
    allowance,
    attempt,
    check_budget,
    check_count,
    check_number,
    check_reward,
    told,
)
from outlast.modules.parts import FAILURES, Failures, check_failures, passed, unmet
from outlast.modules.strategy import P, R, Strategy, as_module, refuse_same_draws, signature_of
from outlast.runtime import Budget


class Retry(Strategy[P, R]):
    """Answer, and answer again, up to `n` times in all, `until` a check says yes (rejection sampling).

    `inner` is a signature, or any module. `until` is a function `(out)` or `(inputs, out)`, or a module that judges:
    yes is True, or a score from `threshold`; without one any answer will do. Errors in `on` lead to another try too: by
    default answers that cannot be read and models that cannot be reached. Each try is a draw of its own, and does not
    see the others; to tell the model what was wrong, use `Refine`.
    An answer that the check refused is never given, also when the `budget` ends: then, and after `n` tries, the last
    error is raised, or an `AnswerError` with what the check said.
    Cost: at most `n` calls of `inner`, one after another, and `n` of a check that is a module.
    """

    _guards_signature = False
    inner: Any
    n: int
    until: Reward | None
    threshold: float
    on: tuple[type[Exception], ...]
    budget: Budget | None

    def __init__(
        self,
        inner: Callable[P, R] | str | None = None,
        *,
        n: int = 3,
        until: Reward | None = None,
        threshold: float = 1.0,
        on: Failures = FAILURES,
        budget: Budget | None = None,
    ) -> None:
        self.inner = as_module(inner, "Retry")
        self.signature = signature_of(self.inner)
        self.n = check_count("Retry", "n", n)
        self.until = None if until is None else check_reward(until, "Retry")
        self.threshold = check_number("Retry", "threshold", threshold)
        self.on = check_failures(on, "Retry")
        self.budget = check_budget(budget, "Retry")
        if until is not None:
            refuse_same_draws(self.inner, n, "Retry")

    async def forward(self, /, **inputs: Any) -> Any:
        attempts: list[Attempt] = []
        with allowance(self.budget) as allowed:
            while len(attempts) < self.n and not (attempts and allowed.stopped):
                attempts.append(await attempt(self.inner, inputs, len(attempts), self.n, allowed, self.until))
                if passed(attempts[-1], self.on, self.until, self.threshold):
                    chosen = len(attempts) - 1
                    stopped = "enough" if len(attempts) < self.n else None
                    return told(attempts[-1].result, Outcome("Retry", tuple(attempts), chosen, stopped))
        raise unmet("Retry", attempts, self.until)

"""`Ensemble`: several modules or models on one input, and one answer of theirs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from outlast.errors import UsageError, brief
from outlast.modules.attempts import (
    Attempt,
    Outcome,
    Reward,
    allowance,
    attempt,
    best,
    check_budget,
    check_reward,
    failed,
    told,
)
from outlast.modules.parts import named, one_signature, parts_of
from outlast.modules.strategy import P, R, Strategy
from outlast.modules.votes import By, check_by, count
from outlast.runtime import Budget, blocking, gather, in_thread


class Ensemble(Strategy[P, R]):
    """Ask all of `parts` at the same time, and make one answer of theirs (ensembles of models, Jiang et al. 2023,
    arXiv 2306.02561; voting, Wang et al. 2023, arXiv 2203.11171).

    `parts` are modules or signatures that take and give the same, in a list or in a dict by name: other models, other
    strategies, other prompts. `how="majority"` gives what most say, compared as `Majority` does (`by` as there), each
    vote weighted by `reward` when there is one; "best" the one with the highest `reward`; a function `how(outs)` gets
    the list of results and gives one of them, or one that it makes. Parts that fail do not count; when all fail, the
    error is raised. When the `budget` ends, those that answered decide.
    Cost: that of all parts, and one of a reward that is a module for each.
    """

    parts: Any
    how: str | Callable[[list[Any]], Any]
    reward: Reward | None
    by: By | None
    budget: Budget | None

    def __init__(
        self,
        parts: Sequence[Callable[P, R] | str] | Mapping[str, Callable[P, R] | str],
        *,
        how: str | Callable[[list[Any]], Any] = "majority",
        reward: Reward | None = None,
        by: By | None = None,
        budget: Budget | None = None,
    ) -> None:
        self.parts = parts_of(parts, "Ensemble")
        self.signature = one_signature(self.parts, "Ensemble")
        self.how = how
        self.reward = None if reward is None else check_reward(reward, "Ensemble")
        self.by = check_by(by, self.signature, "Ensemble")
        self.budget = check_budget(budget, "Ensemble")
        if not callable(how) and how not in ("majority", "best"):
            raise UsageError(f"Ensemble(how=...) is 'majority', 'best', or a function of the results; got {brief(how)}")
        if how == "best" and reward is None:
            raise UsageError("Ensemble(how='best') needs a reward=... to know which is best")
        if how != "majority" and by is not None:
            raise UsageError("Ensemble(by=...) is for how='majority'")

    async def forward(self, /, **inputs: Any) -> Any:
        parts = named(self.parts)
        with allowance(self.budget) as allowed:
            attempts = await gather(
                *(
                    attempt(part, inputs, number, len(parts), allowed, self.reward, name)
                    for number, (name, part) in enumerate(parts.items())
                )
            )
            stopped = allowed.stopped
        if not any(one.ok for one in attempts):
            raise failed("Ensemble", attempts)
        result, chosen, facts = await self._joined(attempts)
        return told(result, Outcome("Ensemble", attempts, chosen, stopped, facts))

    async def _joined(self, attempts: tuple[Attempt, ...]) -> tuple[Any, int | None, Mapping[str, Any]]:
        """The one answer, the index of the attempt that gave it, and the figures."""
        if self.how == "majority":
            votes = count(attempts, self.by, weighted=self.reward is not None)
            chosen, facts = votes.winner, votes.facts
        elif self.how == "best":
            chosen = best(attempts)
            facts = {"reward": None if chosen is None else attempts[chosen].reward}
        else:
            return await self._made(attempts)
        assert chosen is not None  # there is an answer
        return attempts[chosen].result, chosen, {**facts, "part": attempts[chosen].part}

    async def _made(self, attempts: tuple[Attempt, ...]) -> tuple[Any, int | None, Mapping[str, Any]]:
        assert callable(self.how)
        how = self.how
        results = [one.result for one in attempts if one.ok]
        if inspect.iscoroutinefunction(how) or blocking():
            made = how(results)
        else:
            made = await in_thread(lambda: how(results))
        if inspect.isawaitable(made):
            made = await made
        same = [index for index, one in enumerate(attempts) if one.ok and one.result is made]
        return made, (same[0] if same else None), ({"part": attempts[same[0]].part} if same else {})

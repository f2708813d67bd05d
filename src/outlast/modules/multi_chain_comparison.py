"""`MultiChainComparison`: several chains of thought, and an answer made in view of all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from outlast.errors import BudgetExceeded
from outlast.modules.attempts import (
    Outcome,
    allowance,
    attempt,
    check_budget,
    check_count,
    failed,
    told,
)
from outlast.modules.chain_of_thought import ChainOfThought
from outlast.modules.deriving import as_answer, as_text, free_name, with_inputs
from outlast.modules.predict import Predict
from outlast.modules.strategy import P, R, Strategy, refuse_same_draws
from outlast.runtime import Budget, gather
from outlast.signatures.record import Record, reasoning_of
from outlast.signatures.spelling import signature as read_signature

_COMPARE = (
    "Several attempts at this are given, each with its reasoning and its answer. Some may be wrong. Compare them, find "
    "where they differ and which steps hold, and give the right answer."
)


class MultiChainComparison(Strategy[P, R]):
    """Reason `n` times independently, then answer once in view of every reasoning (Yoran et al. 2023, arXiv 2304.13007,
    meta-reasoning over multiple chains of thought).

    `think` is the chain of thought that is drawn from, `compare` the one that reads the attempts. Attempts that fail
    are left out; when all fail, the error is raised. The last call is kept back from the `budget`; when the comparison
    itself cannot be made, the first attempt is the answer and `out.outcome.stopped` says why.
    Cost: `n` + 1 LM calls, `n` of them at the same time, and re-asks.
    """

    signature: Any
    n: int
    budget: Budget | None

    def __init__(
        self, signature: Callable[P, R] | str | None = None, *, n: int = 3, budget: Budget | None = None
    ) -> None:
        self.signature = read_signature(signature)
        self.n = check_count("MultiChainComparison", "n", n, least=2)
        self.budget = check_budget(budget, "MultiChainComparison")
        self.think = ChainOfThought(self.signature)
        field = {free_name(self.signature, "attempts"): (list[str], "what was tried: the reasoning, then the answer")}
        self.compare = Predict(with_inputs(self.signature, _COMPARE, field))
        refuse_same_draws(self.think, n, "MultiChainComparison")

    async def forward(self, /, **inputs: Any) -> Any:
        with allowance(self.budget, keep_calls=1) as allowed:
            attempts = await gather(*(attempt(self.think, inputs, at, self.n, allowed) for at in range(self.n)))
            made = [one for one in attempts if one.ok]
            if not made:
                raise failed("MultiChainComparison", attempts)
            stopped = allowed.stopped
            allowed.free()
            field = list(self.compare.signature.inputs)[-1]
            try:
                result = await self.compare.acall(**inputs, **{field: [self._told(one.result) for one in made]})
            except BudgetExceeded as error:
                if not allowed.owns(error):
                    raise
                first = next(at for at, one in enumerate(attempts) if one.ok)
                return told(made[0].result, Outcome("MultiChainComparison", attempts, first, allowed.stopped))
        return told(as_answer(self.signature, inputs, result), Outcome("MultiChainComparison", attempts, None, stopped))

    def _told(self, result: Any) -> str:
        reasoning = reasoning_of(result) if isinstance(result, Record) else ""
        return f"{reasoning}\n-> {as_text(self.signature, result)}"

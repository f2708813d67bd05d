"""`Parallel`: several modules on the same inputs, at the same time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from outlast.errors import InputError, UsageError, brief, did_you_mean
from outlast.modules.attempts import Attempt, Outcome, allowance, attempt, check_budget, failed, told
from outlast.modules.module import Module
from outlast.modules.parts import named, parts_of, taken
from outlast.modules.strategy import Strategy
from outlast.runtime import Budget, gather
from outlast.signatures.record import Prediction


class Parallel(Strategy[..., Prediction]):
    """Ask all of `parts` at the same time, and give what each of them gave, by name.

        ol.Parallel({"summary": Summarize, "tags": Tag})(text=...).tags.topics

    `parts` are modules or signatures by name, or in a list (then `out["0"]`, `out["1"]`, ...). They may answer
    different questions: each gets those of the inputs that it takes. With `failures="raise"` the first error ends the
    call; with "keep" the results of the others are given, and those that failed are no field of the result but stand
    with their errors in `out.outcome.facts["errors"]`. When all fail, an error is raised.
    Cost: that of all parts. To run one module over many inputs, use `ol.evaluate`, or `gather` in an async `forward`.
    """

    parts: Any
    failures: Literal["raise", "keep"]
    budget: Budget | None

    def __init__(
        self,
        parts: Sequence[Callable[..., Any] | str] | Mapping[str, Callable[..., Any] | str],
        *,
        failures: Literal["raise", "keep"] = "raise",
        budget: Budget | None = None,
    ) -> None:
        self.parts = parts_of(parts, "Parallel")
        self.signature = None
        if failures not in ("raise", "keep"):
            raise UsageError(f"Parallel(failures=...) is 'raise' or 'keep'; got {brief(failures)}")
        self.failures = failures
        self.budget = check_budget(budget, "Parallel")

    async def forward(self, /, **inputs: Any) -> Any:
        parts = named(self.parts)
        given = {name: taken(part, inputs) for name, part in parts.items()}
        _check_taken(inputs, given)
        with allowance(self.budget) as allowed:

            async def ask(name: str, part: Module) -> Attempt:
                one = await attempt(part, given[name], 0, 1, allowed, part=name)
                if one.error is not None and self.failures == "raise":
                    raise one.error
                return one

            attempts = await gather(*(ask(name, part) for name, part in parts.items()))
            stopped = allowed.stopped
        if not any(one.ok for one in attempts):
            raise failed("Parallel", attempts)
        errors = {one.part: one.error for one in attempts if one.error is not None}
        out = Prediction(**{one.part: one.result for one in attempts if one.ok})
        return told(out, Outcome("Parallel", tuple(attempts), None, stopped, {"errors": errors}))


def _check_taken(inputs: Mapping[str, Any], given: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse an input that no part takes."""
    known = {name for one in given.values() for name in one}
    for name in inputs:
        if name not in known:
            raise InputError(f"Parallel: no part takes an input {name!r}.{did_you_mean(name, known)}")

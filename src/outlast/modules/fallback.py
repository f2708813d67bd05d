"""`Fallback`: the first module that gives an answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

from outlast.errors import UsageError
from outlast.lms.layers.fallback import UNAVAILABLE
from outlast.lms.layers.fallback import Fallback as FallbackLM
from outlast.lms.protocol import LM
from outlast.modules.attempts import (
    Attempt,
    Outcome,
    Reward,
    allowance,
    attempt,
    check_budget,
    check_number,
    check_reward,
    told,
)
from outlast.modules.module import Module
from outlast.modules.parts import FAILURES, Failures, check_failures, named, one_signature, parts_of, passed, unmet
from outlast.modules.recipe import Recipe
from outlast.modules.strategy import P, R, Strategy
from outlast.runtime import Budget

if TYPE_CHECKING:
    from outlast.errors import LMError


class Fallback(Strategy[P, R]):
    """Ask the first of `parts`; when it gives no answer, the next, and so on.

    `parts` are modules or signatures that take and give the same, in a list or in a dict by name. A part gives no
    answer when it raises one of the errors in `on` (by default: a reply that cannot be read, a prompt that is too long,
    a model that cannot be reached), or when the check `until` says no to what it gave (see `Retry`). Errors of other
    kinds go out at once, so that a wrong key is not hidden. When all fail, the error of the last one is raised.
    `out.outcome.facts["part"]` is the name, or the place in the list, of the part that answered.
    Cost: that of the parts up to the one that answers.

    Given models instead of a list, `ol.Fallback("openai/a", "anthropic/b")`, it is a model: see
    `outlast.lms.layers.fallback.Fallback`. That one mends a server that is down for one call; this one also replaces an
    answer that is no good, and may answer in another way.
    """

    _guards_signature = False
    parts: Any
    until: Reward | None
    threshold: float
    on: tuple[type[Exception], ...]
    budget: Budget | None

    if TYPE_CHECKING:

        @overload
        def __new__(cls, *models: LM | str, on: type[LMError] | tuple[type[LMError], ...] = ...) -> FallbackLM: ...
        @overload
        def __new__(
            cls,
            parts: Sequence[Callable[P, R] | str] | Mapping[str, Callable[P, R] | str],
            *,
            until: Reward | None = None,
            threshold: float = 1.0,
            on: Failures = ...,
            budget: Budget | None = None,
        ) -> Fallback[P, R]: ...
        def __new__(cls, *parts: Any, **options: Any) -> Any: ...

    def __init__(
        self,
        parts: Any,
        *,
        until: Reward | None = None,
        threshold: float = 1.0,
        on: Failures = FAILURES,
        budget: Budget | None = None,
    ) -> None:
        self.parts = parts_of(parts, "Fallback", least=2)
        self.signature = one_signature(self.parts, "Fallback")
        self.until = None if until is None else check_reward(until, "Fallback")
        self.threshold = check_number("Fallback", "threshold", threshold)
        self.on = check_failures(on, "Fallback")
        self.budget = check_budget(budget, "Fallback")

    @classmethod
    def _instead(cls, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """A model when it is given models, a recipe when there is no signature yet."""
        several = len(args) > 1 and not any(isinstance(one, Module | Recipe) for one in args)
        models = not args or several or isinstance(args[0], LM | str)
        if cls is Fallback and models and set(kwargs) <= {"on"}:
            return FallbackLM(*args, on=kwargs.get("on", UNAVAILABLE))
        if len(args) > 1:
            raise UsageError("Fallback takes modules in a list: ol.Fallback([first, second]); models stand one by one")
        return super()._instead(args, kwargs)

    async def forward(self, /, **inputs: Any) -> Any:
        attempts: list[Attempt] = []
        with allowance(self.budget) as allowed:
            for number, (name, part) in enumerate(named(self.parts).items()):
                if attempts and allowed.stopped:
                    break
                attempts.append(await attempt(part, inputs, 0, 1, allowed, self.until, name))
                if passed(attempts[-1], self.on, self.until, self.threshold):
                    stopped = "enough" if number + 1 < len(self.parts) else None
                    outcome = Outcome("Fallback", tuple(attempts), number, stopped, {"part": name})
                    return told(attempts[-1].result, outcome)
        raise unmet("Fallback", attempts, self.until)

"""`Refine`: try, hear what was wrong with it, try again."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, cast

from outlast.errors import AnswerError, BudgetExceeded, LMError, UsageError, brief
from outlast.modules.advice import ADVICE, EARLIER, EarlierTry, advised, advisor, blame, extended, located, watched
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
from outlast.modules.module import Module
from outlast.modules.paths import predictors_of
from outlast.modules.predict import Predict
from outlast.modules.strategy import P, R, Strategy, as_module, signature_of
from outlast.runtime import Budget, Span, current
from outlast.signatures.record import Record, outputs_of


class Refine(Strategy[P, R]):
    """Answer, let `reward` say what is wrong, and answer again with that in view, up to `n` times or until `threshold`
    is reached; the best is given (Self-Refine, Madaan et al. 2023, arXiv 2303.17651, algorithm 1).

    `inner` is a signature, or any module; `reward` is that of `BestOfN`, and its `Score.feedback` is what helps most.
    A single predictor is shown its earlier answers with their scores and feedback, in an input `earlier_tries`. In a
    program of several, the predictor `advisor` names the part to blame, and that part alone gets an input `advice`.
    Both are data in a field, never part of an instruction. After a try that failed, the next one is another draw.
    `inner` itself does not change; `out.outcome` has every attempt.
    Cost: at most `n` calls of `inner`, one after another, `n` of a reward that is a module, and `n - 1` of the advisor.
    """

    _guards_signature = False
    inner: Any
    n: int
    reward: Reward
    threshold: float
    budget: Budget | None
    advisor: Predict[..., Any] | None

    def __init__(
        self,
        inner: Callable[P, R] | str | None = None,
        *,
        n: int,
        reward: Reward,
        threshold: float = 1.0,
        budget: Budget | None = None,
    ) -> None:
        self.inner = as_module(inner, "Refine")
        self.signature = signature_of(self.inner)
        self.n = check_count("Refine", "n", n)
        self.reward = check_reward(reward, "Refine")
        self.threshold = check_number("Refine", "threshold", threshold)
        self.budget = check_budget(budget, "Refine")
        parts = predictors_of(self.inner)
        if not parts:
            raise UsageError(f"Refine: {type(self.inner).__name__} has no predictor that could be told what was wrong")
        for part in parts.values():
            extended(part.signature, ADVICE if len(parts) > 1 else EARLIER)
        self.advisor = advisor() if len(parts) > 1 else None

    async def forward(self, /, **inputs: Any) -> Any:
        attempts: list[Attempt] = []
        given: dict[str, tuple[str, Any]] = {}
        with allowance(self.budget) as allowed:
            while True:
                one, spans = await self._try(inputs, len(attempts), given, allowed)
                attempts.append(one)
                enough = one.ok and one.reward is not None and one.reward >= self.threshold
                if enough or len(attempts) == self.n or allowed.stopped:
                    break
                if one.ok:
                    given |= await self._lesson(attempts, spans, allowed)
            stopped = "enough" if enough and len(attempts) < self.n else allowed.stopped
        chosen = best(attempts)
        if chosen is None:
            raise failed("Refine", attempts)
        advice = {path: value for path, (name, value) in given.items() if name == ADVICE}
        facts = {"reward": attempts[chosen].reward, **({"advice": advice} if advice else {})}
        return told(attempts[chosen].result, Outcome("Refine", tuple(attempts), chosen, stopped, facts))

    async def _try(
        self, inputs: Mapping[str, Any], number: int, given: Mapping[str, tuple[str, Any]], allowed: Allowance
    ) -> tuple[Attempt, list[tuple[str, Span]]]:
        """An attempt with what is known by now, and what its parts did, by their paths in `inner`."""
        program: Module = advised(self.inner, given) if given else self.inner
        own = current().paths.get(id(self))
        at = "inner" if not own else f"{own}.inner"
        with located(program, at), watched() as spans:
            one = await attempt(program, inputs, number, self.n, allowed, self.reward)
        inside = [(span.path, span) for span in spans if span.path is not None]
        return one, [(path.removeprefix(at).removeprefix("."), span) for path, span in inside if path.startswith(at)]

    async def _lesson(
        self, attempts: list[Attempt], spans: list[tuple[str, Span]], allowed: Allowance
    ) -> dict[str, tuple[str, Any]]:
        """What the next try is to know: by path, the input that tells it and its value; nothing new when the advisor
        gives no answer."""
        parts = predictors_of(self.inner)
        if len(parts) == 1:
            tries = sorted((one for one in attempts if one.ok), key=_standing)
            return {next(iter(parts)): (EARLIER, [_earlier(one) for one in tries])}
        ask = self.advisor or advisor()
        try:
            found, advice = await blame(ask, self.inner, _task(self.inner), spans, self._said(attempts[-1]))
        except (AnswerError, LMError):
            return {}
        except BudgetExceeded as error:
            if not allowed.owns(error):
                raise
            return {}
        return {found: (ADVICE, advice)}

    def _said(self, one: Attempt) -> str:
        score = "it could not be scored" if one.reward is None else f"it scored {one.reward:g} of {self.threshold:g}"
        return f"{score}: {one.feedback}" if one.feedback else score


def _standing(one: Attempt) -> tuple[bool, float]:
    return one.reward is not None, one.reward or 0.0


def _task(program: Module) -> str:
    """What a program is for, in words."""
    declared = signature_of(program)
    return inspect.getdoc(cast("Any", type(program))) or "" if declared is None else declared.description


def _earlier(one: Attempt) -> EarlierTry:
    answer = outputs_of(one.result) if isinstance(one.result, Record) else brief(one.result, 2000)
    return EarlierTry(answer, one.reward, one.feedback)

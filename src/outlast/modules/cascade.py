"""`Cascade`: the cheap answer where it can be trusted, the dear one elsewhere."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from outlast.errors import BudgetExceeded, UsageError, brief
from outlast.modules.advice import watched
from outlast.modules.attempts import (
    Allowance,
    Attempt,
    Outcome,
    Reward,
    allowance,
    attempt,
    check_budget,
    check_count,
    check_number,
    check_reward,
    failed,
    told,
)
from outlast.modules.parts import named, one_signature, parts_of
from outlast.modules.strategy import P, R, Strategy, refuse_same_draws
from outlast.modules.values import param
from outlast.modules.votes import By, check_by, count
from outlast.runtime import Budget, Trace, gather
from outlast.signatures.record import Record

_KINDS = ("agreement", "decisions", "logprobs")


class Cascade(Strategy[P, R]):
    """Ask the first of `parts`, the cheapest; when the confidence in its answer is below `threshold`, the next, and so
    on (Chen et al. 2023, FrugalGPT, arXiv 2305.05176). The last one is asked only once and always believed.

    `confidence="agreement"`: each part but the last answers `samples` times, and the share of the most frequent answer
    is the confidence in it (Yue et al. 2023, arXiv 2310.03094). `confidence="decisions"`: the lowest probability among
    the outputs that were answered as typed questions (`ol.Decisions`), an answer without any counts as 0.
    `confidence="logprobs"`: the mean probability (geometric) of the tokens of the reply, for parts with `logprobs=1`.
    Or a reward, a function `(out)` or `(inputs, out)` or a module that judges, with the threshold on its scale. `by`
    names what is compared for "agreement", as in `Majority`. A part that fails is passed over. `threshold` is a
    parameter of the program, which `ol.calibrate` fits to labelled examples with a guarantee. When the `budget` ends,
    the answer with the highest confidence so far is given.
    Cost: `samples` calls of each part but the last with "agreement", else one, up to the part that is believed.
    """

    _guards_signature = False
    parts: Any
    confidence: str | Reward
    threshold: float
    samples: int
    by: By | None
    budget: Budget | None

    def __init__(
        self,
        parts: Sequence[Callable[P, R] | str] | Mapping[str, Callable[P, R] | str],
        *,
        confidence: str | Reward = "agreement",
        threshold: float = 0.8,
        samples: int = 3,
        by: By | None = None,
        budget: Budget | None = None,
    ) -> None:
        self.parts = parts_of(parts, "Cascade", least=2)
        self.signature = one_signature(self.parts, "Cascade")
        if isinstance(confidence, str) and confidence not in _KINDS:
            raise UsageError(
                f"Cascade(confidence=...) is {', '.join(map(repr, _KINDS))}, or a reward; got {brief(confidence)}"
            )
        self.confidence = confidence if isinstance(confidence, str) else check_reward(confidence, "Cascade")
        self.threshold = param(float(check_number("Cascade", "threshold", threshold)), "escalate below this confidence")
        self.samples = check_count("Cascade", "samples", samples, least=2 if confidence == "agreement" else 1)
        self.by = check_by(by, self.signature, "Cascade")
        self.budget = check_budget(budget, "Cascade")
        if confidence == "agreement":
            for part in list(named(self.parts).values())[:-1]:
                refuse_same_draws(part, samples, "Cascade")

    async def forward(self, /, **inputs: Any) -> Any:
        parts = named(self.parts)
        attempts: list[Attempt] = []
        with allowance(self.budget) as allowed:
            for place, (name, part) in enumerate(parts.items(), 1):
                last = place == len(parts)
                attempts.append(await self.answered(name, part, inputs, allowed, last=last))
                one = attempts[-1]
                if one.ok and (last or (one.reward is not None and one.reward >= self.threshold)):
                    break
                if allowed.stopped or isinstance(one.error, BudgetExceeded):
                    break
            stopped = None if attempts[-1].ok and attempts[-1].reward is None else allowed.stopped
        answered = [at for at, one in enumerate(attempts) if one.ok]
        if not answered:
            raise failed("Cascade", attempts)
        believed = attempts[-1].ok and (len(attempts) == len(parts) or _reaches(attempts[-1], self.threshold))
        chosen = answered[-1] if believed else max(answered, key=lambda at: attempts[at].reward or 0.0)
        facts = {"part": attempts[chosen].part, "confidence": attempts[chosen].reward, "asked": len(attempts)}
        outcome = Outcome("Cascade", tuple(attempts), chosen, None if believed else stopped, facts)
        return told(attempts[chosen].result, outcome)

    async def answered(
        self, name: str, part: Any, inputs: Mapping[str, Any], allowed: Allowance, *, last: bool
    ) -> Attempt:
        """The answer of one part with the confidence in it as its reward; the last part is not questioned."""
        if last:
            return await attempt(part, inputs, 0, 1, allowed, part=name)
        if self.confidence == "agreement":
            drawn = await gather(*(attempt(part, inputs, at, self.samples, allowed) for at in range(self.samples)))
            votes = count(drawn, self.by)
            if votes.winner is None:
                return Attempt(error=failed("Cascade", drawn), part=name)
            return Attempt(drawn[votes.winner].result, None, votes.agreement, part=name)
        reward = None if isinstance(self.confidence, str) else self.confidence
        with watched() as spans:
            one = await attempt(part, inputs, 0, 1, allowed, reward, name)
        if self.confidence == "logprobs" and one.ok:
            return Attempt(one.result, None, _likely(spans), part=name)
        if self.confidence == "decisions" and one.ok:
            return Attempt(one.result, None, _surest(one.result), part=name)
        return one


def _likely(spans: Trace) -> float:
    """The geometric mean of the probabilities of the tokens of the last reply."""
    response = next((span.response for span in reversed(spans) if span.response is not None), None)
    if response is None or not response.logprobs:
        raise UsageError(
            "Cascade(confidence='logprobs') needs log-probabilities, which the reply has not: give the part "
            "logprobs=1, and a model that tells them"
        )
    return math.exp(math.fsum(token.logprob for token in response.logprobs) / len(response.logprobs))


def _reaches(one: Attempt, threshold: float) -> bool:
    return one.reward is not None and one.reward >= threshold


def _surest(result: Any) -> float:
    """The lowest of the probabilities that a model gave to its decisions; 0 when there are none."""
    decisions: Any = result.decisions if isinstance(result, Record) else {}
    if not isinstance(decisions, Mapping):  # a field of that name
        return 0.0
    found = [max(one.probabilities.values(), default=0.0) for one in cast("Mapping[str, Any]", decisions).values()]
    return min(found, default=0.0)

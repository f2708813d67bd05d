"""Decisions from intervals: PASS, FAIL, or INCONCLUSIVE where the data cannot tell.

One rule serves all: the words of a comparison, the gates of the command line, the assertions of tests and the verdict
of `compile` come from `decide`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from outlast.errors import DataError, UsageError, brief
from outlast.evals import wording
from outlast.evals.statistics import Interval

if TYPE_CHECKING:
    from collections.abc import Iterable

    from outlast.evals.evaluation import Evaluation

Decision = Literal["PASS", "FAIL", "INCONCLUSIVE"]
Word = Literal["better", "no worse", "inconclusive", "worse"]
MOST_LEFT_OUT = 0.05  # of the examples; with more of them without a score nothing passes a gate


@dataclass(frozen=True, slots=True)
class Gate:
    """What a gate says. `rule` is what it demands, `reason` a sentence with the numbers that decided.

    `PASS` and `FAIL` are proven at the level of the interval; `INCONCLUSIVE` means that the data cannot tell, or that
    too little of it was scored.
    """

    decision: Decision
    rule: str
    reason: str

    @property
    def passed(self) -> bool:
        """Whether the decision is PASS."""
        return self.decision == "PASS"

    def __str__(self) -> str:
        return f"{self.decision}: {self.rule}. {self.reason}"

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"decision": self.decision, "rule": self.rule, "reason": self.reason}


def decide(interval: Interval, p: float, limit: float, level: float) -> Decision:
    """Whether a difference is above `limit`: PASS when its whole interval is, FAIL when all of it lies below.

    `p` is that of the two-sided test of no difference. Where a decision says that there is one (PASS at a limit of 0 or
    more, FAIL at one of 0 or less), the test must say so too: p <= 1 - `level`. Interval and test come from different
    constructions and may disagree at the edge. So whoever passes at a limit passes at every lower one.
    """
    significant = p <= 1 - level + 1e-12
    if interval.low > limit and (limit < 0 or significant):
        return "PASS"
    if interval.high < limit and (limit > 0 or significant):
        return "FAIL"
    return "INCONCLUSIVE"


def word_for(interval: Interval, p: float, level: float, min_delta: float = 0.0) -> Word:
    """What can be said of a difference.

    "better" passes the gate at 0, "worse" fails it; "no worse" passes it at a `min_delta` below 0, the loss that is
    tolerated; else "inconclusive".
    """
    direction = decide(interval, p, 0.0, level)
    if direction != "INCONCLUSIVE":
        return "better" if direction == "PASS" else "worse"
    tolerated = min_delta < 0 and decide(interval, p, min_delta, level) == "PASS"
    return "no worse" if tolerated else "inconclusive"


def score_gate(evaluation: Evaluation, at_least: float) -> Gate:
    """Whether the mean score is at least this: PASS when the interval's lower end is, FAIL when its upper end is below.

    Each error counts as 0: a gate lets nothing through that was not answered. INCONCLUSIVE in place of PASS for an
    evaluation that stopped early or left more than 5 % of its examples unscored. Cost: no LM call.
    """
    if isinstance(at_least, bool) or not isinstance(at_least, int | float) or not math.isfinite(at_least):
        raise UsageError(f"a gate on the score takes a number such as 0.8; got {brief(at_least)}")
    counted = evaluation.counting("fail")
    estimate = counted.score
    if not estimate.n:
        raise DataError(f"a gate needs scores; {evaluation.n} examples were run and none is scored")
    interval, share = estimate.interval, counted.is_share
    limit = wording.number(at_least, share)
    shown = wording.estimate_text(estimate, share) + f" on {estimate.n}"
    if errors := evaluation.run_states["error"]:
        shown += f", {errors} error{'s' * (errors != 1)} counted as 0"
    rule = f"the score has to be at least {limit}"
    if interval.low >= at_least:
        return _complete(Gate("PASS", rule, f"It is {shown}."), (evaluation,), evaluation.n - estimate.n)
    if interval.high < at_least:
        return Gate("FAIL", rule, f"It is {shown}.")
    return Gate("INCONCLUSIVE", rule, f"It is {shown}: the interval holds {limit}.")


def difference_gate(
    interval: Interval,
    p: float,
    min_delta: float,
    *,
    level: float,
    shown: str,
    share: bool,
    runs: Iterable[Evaluation],
    left_out: int,
) -> Gate:
    """The gate of a comparison (`Comparison.gate`); `shown` is the change in words, `left_out` counts examples."""
    limit = wording.difference(min_delta, share) + (" points" if share else "")
    rule = f"the change has to be above {limit}" if min_delta else "the change has to be a gain"
    decision = decide(interval, p, min_delta, level)
    if decision == "PASS":
        return _complete(Gate(decision, rule, f"It is {shown}."), runs, left_out)
    if decision == "FAIL":
        return Gate(decision, rule, f"It is {shown}.")
    inside = interval.low <= min_delta <= interval.high
    why = f"the interval holds {limit if min_delta else '0'}" if inside else "the test does not bear it out"
    return Gate(decision, rule, f"It is {shown}: {why}.")


def worst(gates: Iterable[Gate]) -> Decision:
    """The decision of several gates together: FAIL if one fails, PASS if all pass."""
    decisions = {gate.decision for gate in gates}
    return "FAIL" if "FAIL" in decisions else "INCONCLUSIVE" if "INCONCLUSIVE" in decisions else "PASS"


def _complete(gate: Gate, runs: Iterable[Evaluation], left_out: int) -> Gate:
    """The gate, INCONCLUSIVE when what was not scored could have turned it."""
    for run in runs:
        if run.stopped:
            reason = f"{gate.reason} But an evaluation stopped early ({run.stopped}, after {run.n})."
            return Gate("INCONCLUSIVE", gate.rule, reason)
        if left_out > MOST_LEFT_OUT * run.n:
            reason = f"{gate.reason} But {left_out} of {run.n} examples are left out, more than {MOST_LEFT_OUT:.0%}."
            return Gate("INCONCLUSIVE", gate.rule, reason)
    return gate

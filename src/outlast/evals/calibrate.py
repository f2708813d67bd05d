"""The threshold of a cascade from labelled examples, so that the cheap answers it keeps are right often enough."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from outlast.data.example import Example, inputs_of
from outlast.errors import DataError, UsageError, brief
from outlast.evals.score import Score, as_score, check_metric
from outlast.evals.statistics.values import check_level
from outlast.messages import Spending
from outlast.modules.attempts import allowance
from outlast.modules.cascade import Cascade
from outlast.modules.parts import named
from outlast.modules.paths import update
from outlast.runtime import Trace, gather, run_blocking, running

_STARTS = 5
_MOST = 200  # thresholds that are tried


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A cascade whose threshold was fitted. With confidence `level`, at least the share `target` of the cheap answers
    that it keeps is right, on inputs like the examples.

    Of `examples` that could be scored, `kept` cheap answers reach the `threshold` and `right` of these are right; `low`
    is the lower bound of their accuracy (one-sided, Clopper and Pearson 1934). `spending` is what fitting took: that of
    the cheap parts on every example.
    """

    program: Any
    threshold: float
    target: float
    level: float
    examples: int
    kept: int
    right: int
    low: float
    spending: Spending

    @property
    def escalated(self) -> float:
        """The share of inputs that goes on to the last part, as seen on the examples."""
        return 1 - self.kept / self.examples

    def calls(self, last: float = 1.0) -> float:
        """The calls that an input takes, at most, when the last part takes `last` of them."""
        return self.spending.calls / self.examples + self.escalated * last

    def dollars(self, last: float) -> float:
        """What an input costs, at most, when the last part costs `last` dollars."""
        return self.spending.dollars / self.examples + self.escalated * last

    def __str__(self) -> str:
        return (
            f"threshold {self.threshold:.4g}: keeps {self.kept} of {self.examples} cheap answers, {self.right} of them "
            f"right; at least {self.target:.0%} are, with {self.level:.0%} confidence. {self.escalated:.1%} escalate."
        )


def calibrate(
    program: Cascade[..., Any],
    examples: Iterable[Example],
    metric: Callable[..., Any],
    *,
    target: float = 0.9,
    level: float = 0.95,
    concurrency: int = 16,
) -> Calibrated:
    """Fit the threshold of a cascade: the lowest one at which, with confidence `level`, at least the share `target` of
    the cheap answers that are kept is right.

    An answer is right when the metric gives 1 or more; examples that it cannot score are left out. The candidates are
    the confidences seen, at most 200 of them. They are tested from the strictest on, from up to 5 starting points that
    share the allowed error, each until the first that fails (Angelopoulos et al. 2021, arXiv 2110.01052, section 3:
    fixed sequence testing), with exact binomial tests. Raises `DataError` when the examples prove no threshold, saying
    what they do prove. The examples should be none that the program was tuned on.
    Cost: that of all parts but the last, for every example. `acalibrate` is the same for async code.
    """
    return run_blocking(
        lambda: acalibrate(program, examples, metric, target=target, level=level, concurrency=concurrency)
    )


async def acalibrate(
    program: Cascade[..., Any],
    examples: Iterable[Example],
    metric: Callable[..., Any],
    *,
    target: float = 0.9,
    level: float = 0.95,
    concurrency: int = 16,
) -> Calibrated:
    """What `calibrate` does, from async code."""
    if not isinstance(program, Cascade):
        raise UsageError(f"calibrate fits the threshold of an ol.Cascade(...); got {brief(program)}")
    check_metric(metric)
    check_level(level)
    if isinstance(target, bool) or not isinstance(target, int | float) or not 0 < target < 1:
        raise UsageError(f"calibrate(target=...) is a share between 0 and 1; got {brief(target)}")
    rows = list(examples)
    spans = Trace()
    with running(trace=spans, sample=0):
        found = await gather(*(_rolled(program, row, metric) for row in rows), limit=concurrency)
    seen = [one for one in found if one is not None]
    threshold = _lowest(seen, target, 1 - level)
    if threshold is None:
        raise DataError(_unproven(seen, target, level))
    right, kept = _at(seen, threshold)
    low = lower_bound(right, kept, level)
    fitted = update(program, {"threshold": threshold})
    return Calibrated(fitted, threshold, target, level, len(seen), kept, right, low, spans.spending)


_Seen = Sequence[tuple[float, bool]]  # the confidence and the rightness of each cheap part's answer, in their order


async def _rolled(program: Cascade[..., Any], row: Example, metric: Callable[..., Any]) -> _Seen | None:
    """What the cheap parts say to one example; None when an answer cannot be scored."""
    found: list[tuple[float, bool]] = []
    with allowance(None) as allowed:
        for name, part in list(named(program.parts).items())[:-1]:
            one = await program.answered(name, part, dict(inputs_of(row)), allowed, last=False)
            if not one.ok or one.reward is None:
                continue
            value = metric(row, one.result)
            score = as_score(
                await value if inspect.isawaitable(value) else value, getattr(metric, "__name__", "metric")
            )
            if not isinstance(score, Score):
                return None
            found.append((one.reward, score.value >= 1))
    return found


def _at(seen: Sequence[_Seen], threshold: float) -> tuple[int, int]:
    """How many answers are right and how many are kept at a threshold: of each example the first that reaches it."""
    kept = [next((right for sure, right in one if sure >= threshold), None) for one in seen]
    return sum(one is True for one in kept), sum(one is not None for one in kept)


def _lowest(seen: Sequence[_Seen], target: float, error: float) -> float | None:
    """The lowest threshold that is proven, None when none is."""
    every = sorted({sure for one in seen for sure, _ in one}, reverse=True)
    every = [*every[:: math.ceil(len(every) / _MOST)], *every[-1:]] if len(every) > _MOST else every
    starts = min(_STARTS, len(every))
    least = needed(target, error / starts) if starts else 0
    counts = {threshold: _at(seen, threshold) for threshold in every}
    tested = [threshold for threshold, (_, kept) in counts.items() if kept >= least]
    if not tested:
        return None
    starts = min(starts, len(tested))
    first = {round(at * (len(tested) - 1) / max(1, starts - 1)) for at in range(starts)}
    proven: list[float] = []
    for start in first:
        for threshold in tested[start:]:
            if tail(*counts[threshold], target) > error / len(first):
                break
            proven.append(threshold)
    return min(proven, default=None)


def needed(target: float, error: float) -> int:
    """How many answers, all of them right, prove the target at least."""
    return math.ceil(math.log(error) / math.log(target))


def tail(right: int, of: int, share: float) -> float:
    """The probability of at least so many right ones when each is right with probability `share`."""
    if right <= 0:
        return 1.0
    logs = (
        math.lgamma(of + 1)
        - math.lgamma(k + 1)
        - math.lgamma(of - k + 1)
        + k * math.log(share)
        + (of - k) * math.log1p(-share)
        for k in range(right, of + 1)
    )
    return min(1.0, math.fsum(map(math.exp, logs)))


def lower_bound(right: int, of: int, level: float) -> float:
    """The lowest share under which so many right ones are not yet too unlikely: one-sided, exact."""
    low, high = 0.0, 1.0
    if right <= 0:
        return 0.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if tail(right, of, middle) < 1 - level else (low, middle)
    return low


def _unproven(seen: Sequence[_Seen], target: float, level: float) -> str:
    """What the examples do prove, and what would help."""
    start = (
        f"calibrate: no threshold proves that {target:.0%} of the kept answers are right, with {level:.0%} confidence"
    )
    every = {sure for one in seen for sure, _ in one}
    if not every:
        return (
            f"{start}: no cheap part gave an answer with a confidence to any of {len(seen)} examples that were scored"
        )
    low, threshold = max((lower_bound(*_at(seen, one), level), one) for one in every)
    right, kept = _at(seen, threshold)
    return (
        f"{start}. Closest is {threshold:.4g}, which keeps {kept} of {len(seen)}, {right} of them right: at least "
        f"{low:.1%}. Even without one mistake {needed(target, 1 - level)} kept answers are needed. Give more examples, "
        f"a lower target=..., or a better confidence=..."
    )

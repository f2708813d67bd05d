"""How many examples a comparison needs, before anything is spent."""

from __future__ import annotations

import math
from dataclasses import dataclass

from outlast.errors import UsageError, brief
from outlast.evals.statistics.power import minimum_detectable_difference

_MOST = 10**9


@dataclass(frozen=True, slots=True)
class Plan:
    """How many examples find a difference of `delta` between two programs with probability `power`.

    `n` examples, each run `epochs` times by either program. `sd` is the standard deviation of the difference on
    one example, after the mean over epochs; `discordance` the share of examples on which pass/fail programs
    differ, None for graded scores or several epochs. `design_effect` says how many times more examples clusters
    cost. `print(plan)` shows it.
    """

    delta: float
    n: int
    epochs: int
    sd: float
    discordance: float | None
    design_effect: float
    power: float
    level: float

    @property
    def runs(self) -> int:
        """How often each of the two programs runs in all."""
        return self.n * self.epochs

    def mde(self, n: int | None = None) -> float:
        """The smallest difference that `n` examples (those of the plan) find with this power; inf if none."""
        count = self.n if n is None else n
        effective = int(count / self.design_effect)
        if effective < 2:
            return math.inf
        if self.discordance is not None:
            return minimum_detectable_difference(
                effective, discordance=self.discordance, power=self.power, level=self.level
            )
        return minimum_detectable_difference(effective, sd=self.sd, power=self.power, level=self.level)

    def __str__(self) -> str:
        spread = f"sd {self.sd:.3g}" if self.discordance is None else f"{self.discordance:.0%} of examples differ"
        clusters = f", clusters cost {self.design_effect:.3g} times as many" if self.design_effect > 1 else ""
        lines = [
            f"{self.n:,} examples x {self.epochs} epoch{'' if self.epochs == 1 else 's'} = {self.runs:,} runs of each "
            f"program find a difference of {self.delta:.3g} in {self.power:.0%} of cases",
            f"paired, two-sided, level {self.level:g}; {spread}{clusters}",
        ]
        for n in (self.n // 4, self.n // 2, self.n, self.n * 2):
            if math.isfinite(seen := self.mde(n)):
                lines.append(f"{n:>9,} examples: {seen:.3g}")
        return "\n".join(lines)


def plan_eval(
    delta: float,
    *,
    sd: float | None = None,
    discordance: float | None = None,
    base_rate: float | None = None,
    rho: float = 0.5,
    within_sd: float = 0.0,
    epochs: int = 1,
    cluster_size: float = 1.0,
    icc: float = 0.0,
    power: float = 0.8,
    level: float = 0.95,
) -> Plan:
    """How many examples a paired, two-sided comparison of two programs needs to find a difference of `delta`.

    Say how much single examples vary, by one of: `sd`, the standard deviation of the differences (graded
    scores; a pilot's comparison shows it); `discordance`, the share of examples on which two pass/fail programs
    differ; `base_rate`, the pass rate of the first program, with `rho`, the correlation of the two programs'
    passes and fails over the examples (.3 to .7 is usual: both fail on the hard ones). All are for one epoch.

    Epochs average away what varies between runs of one example: `within_sd` is the standard deviation of one
    program's score on one example between epochs (for pass/fail, the root of the mean of p (1 - p)); of the
    variance of a difference, `2 within_sd^2` falls to 1 / `epochs`. Clusters of `cluster_size` examples whose
    differences correlate by `icc` cost `1 + (cluster_size - 1) icc` times as many examples.

    Approximate (see `minimum_detectable_difference`). Raises `UsageError` for figures that cannot be, or where
    even all examples that differ going one way would not make `delta`. Source: Miller 2024, "Adding error bars
    to evals", section 5; design effect: Kish 1965, "Survey sampling". Cost: no LM call.

    >>> plan_eval(0.05, base_rate=0.7).n
    631
    """
    _check(delta, rho, within_sd, epochs, cluster_size, icc)
    variance, discordant = _variance(delta, sd, discordance, base_rate, rho)
    within = 2 * within_sd * within_sd
    if within > variance * (1 + 1e-9):
        raise UsageError(
            f"plan_eval: runs of one example vary more (2 x {within_sd:.3g}^2 = {within:.3g}) than the differences do "
            f"(variance {variance:.3g}). within_sd is part of the variation of single runs."
        )
    if epochs > 1 and within == 0:
        raise UsageError(
            "plan_eval: epochs average away what varies between runs of one example. Give within_sd, that variation, "
            "or plan with epochs=1."
        )
    if epochs > 1:
        variance, discordant = max(0.0, variance - within * (1 - 1 / epochs)), None
    effect = 1 + (cluster_size - 1) * icc
    plan = Plan(abs(delta), 0, epochs, math.sqrt(variance), discordant, effect, power, level)
    return Plan(abs(delta), _fewest(plan), epochs, math.sqrt(variance), discordant, effect, power, level)


def _fewest(plan: Plan) -> int:
    low, high = 1, 2
    while plan.mde(high) > plan.delta:
        low, high = high, high * 2
        if high > _MOST:
            raise UsageError(
                f"plan_eval: no number of examples up to 1e9 finds a difference of {plan.delta:.3g}. With pass/fail "
                "scores it cannot be larger than the share of examples on which the programs differ."
            )
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if plan.mde(middle) > plan.delta else (low, middle)
    return high


def _variance(
    delta: float, sd: float | None, discordance: float | None, base_rate: float | None, rho: float
) -> tuple[float, float | None]:
    given = [
        name
        for name, value in (("sd", sd), ("discordance", discordance), ("base_rate", base_rate))
        if value is not None
    ]
    if len(given) != 1:
        raise UsageError(
            f"plan_eval needs one of sd, discordance and base_rate: how much single examples vary. Got "
            f"{' and '.join(given) or 'none'}."
        )
    if sd is not None:
        if not 0 <= sd < math.inf:
            raise UsageError(f"plan_eval: sd is a finite number from 0, got {brief(sd)}.")
        return sd * sd, None
    share = _discordance(base_rate, delta, rho) if discordance is None else discordance
    if not abs(delta) <= share <= 1:
        raise UsageError(
            f"plan_eval: discordance is the share of examples on which the programs differ, from delta "
            f"({abs(delta):.3g}) to 1; got {share:.3g}."
        )
    return share - delta * delta, share


def _discordance(base_rate: float | None, delta: float, rho: float) -> float:
    """The share of examples on which two pass/fail programs differ, from their rates and correlation."""
    first = 0.0 if base_rate is None else base_rate
    second = first + delta
    if not (0 < first < 1 and 0 < second < 1):
        raise UsageError(
            f"plan_eval: base_rate and base_rate + delta are pass rates between 0 and 1, got {first:.3g} and "
            f"{second:.3g}."
        )
    both = first * second + rho * math.sqrt(first * (1 - first) * second * (1 - second))
    if not max(0.0, first + second - 1) <= both <= min(first, second):
        raise UsageError(
            f"plan_eval: rates of {first:.3g} and {second:.3g} cannot correlate by rho={rho!r}; take one nearer to 0."
        )
    return first + second - 2 * both


def _check(delta: float, rho: float, within_sd: float, epochs: int, cluster_size: float, icc: float) -> None:
    for name, value, fits, rule in (
        ("delta", delta, 0 < abs(delta) < math.inf, "the difference to find, not 0"),
        ("rho", rho, -1 <= rho <= 1, "a correlation, -1 to 1"),
        ("within_sd", within_sd, 0 <= within_sd < math.inf, "a finite number from 0"),
        (
            "cluster_size",
            cluster_size,
            1 <= cluster_size < math.inf,
            "the mean number of examples in a cluster, from 1",
        ),
        ("icc", icc, 0 <= icc <= 1, "a correlation from 0 to 1"),
    ):
        if not fits:
            raise UsageError(f"plan_eval: {name} is {rule}; got {brief(value)}.")
    if isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 1:
        raise UsageError(f"plan_eval: epochs is a whole number from 1; got {brief(epochs)}.")

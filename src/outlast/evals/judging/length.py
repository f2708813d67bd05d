"""Whether the longer of two answers wins, and how much each further bit of length helps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from outlast.evals.statistics.intervals import estimate_mean
from outlast.evals.statistics.quantiles import two_sided_z
from outlast.evals.statistics.values import Estimate, Interval, unknown

UNIT = 100  # characters
_ROUNDS = 50
_FEW = 10


@dataclass(frozen=True, slots=True)
class LengthBias:
    """How winning goes with length.

    `longer_wins` is the share of the pairs of different length that the longer one wins, ties half: 0.5 when length
    plays no part. `slope` is by how much the log-odds of winning rise for each 100 characters that an answer is longer
    (logistic regression with an intercept, so that what one side has ahead is no matter of length). A better answer may
    be longer for good reasons: a slope is a question, not a proof.
    """

    longer_wins: Estimate
    slope: Estimate


def length_bias(differences: Sequence[float], wins: Sequence[float], level: float) -> LengthBias:
    """From how much longer `b` is in each pair, in characters, and whether it wins: 1, 0, or 0.5 for a tie."""
    unequal = [(d, win) for d, win in zip(differences, wins, strict=True) if d]
    longer = [win if d > 0 else 1 - win for d, win in unequal]
    return LengthBias(estimate_mean(longer, level), _slope([d / UNIT for d in differences], list(wins), level))


def _slope(x: list[float], y: list[float], level: float) -> Estimate:
    """The slope of a logistic regression, with Firth's penalty (1993, "Bias reduction of maximum likelihood
    estimates"), so that it is finite also where length decides every pair; Wald's interval."""
    n = len(x)
    spread = math.sqrt(math.fsum((one - math.fsum(x) / n) ** 2 for one in x) / n) if n else 0.0
    if n < _FEW or spread == 0 or min(y) == max(y):
        return Estimate(math.nan, unknown(level), n, "unknown")
    middle = math.fsum(x) / n
    z = [(one - middle) / spread for one in x]
    start, slope = 0.0, 0.0
    for _ in range(_ROUNDS):
        p = [_logistic(start + slope * one) for one in z]
        a, b, c = _information(z, p)
        det = a * c - b * b
        u = v = 0.0
        for one, share, win in zip(z, p, y, strict=True):
            leverage = share * (1 - share) * (c - 2 * b * one + a * one * one) / det
            residual = win - share + leverage * (0.5 - share)
            u, v = u + residual, v + residual * one
        step, turn = (c * u - b * v) / det, (a * v - b * u) / det
        size = max(1.0, abs(step), abs(turn))  # no step is longer than 1, so that it cannot run away
        start, slope = start + step / size, slope + turn / size
        if max(abs(step), abs(turn)) < 1e-10:
            break
    a, b, c = _information(z, [_logistic(start + slope * one) for one in z])
    error = math.sqrt(a / (a * c - b * b)) / spread
    half = two_sided_z(level) * error
    value = slope / spread
    return Estimate(value, Interval(value - half, value + half, level, "logistic"), n, "logistic")


def _information(z: Sequence[float], p: Sequence[float]) -> tuple[float, float, float]:
    """The information matrix of intercept and slope: its three entries."""
    weights = [share * (1 - share) for share in p]
    return (
        math.fsum(weights),
        math.fsum(w * one for w, one in zip(weights, z, strict=True)),
        math.fsum(w * one * one for w, one in zip(weights, z, strict=True)),
    )


def _logistic(value: float) -> float:
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, value))))

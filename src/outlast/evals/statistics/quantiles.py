"""Quantiles of the normal and of Student's t distribution."""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

from outlast.errors import UsageError

_NORMAL = NormalDist()
_LARGE_DF = 1e5  # from here the expansion is more exact than lgamma, whose rounding grows with df


def normal_quantile(p: float) -> float:
    """The value that a standard normal variable stays below with probability `p`, 0 < p < 1.

    Source: Wichura 1988, algorithm AS 241, as `statistics.NormalDist.inv_cdf` has it.
    """
    _check_probability(p)
    return _NORMAL.inv_cdf(p)


@lru_cache(maxsize=4096)
def t_quantile(p: float, df: float) -> float:
    """The value that Student's t with `df >= 1` stays below with probability `p`, 0 < p < 1.

    Relative error below 1e-9. The tail is the regularised incomplete beta function (Abramowitz & Stegun
    26.5.27), inverted by Newton's method inside a bracket; for df above 1e5 the Cornish-Fisher expansion
    (A&S 26.7.5).
    """
    _check_probability(p)
    if p < 1e-100:
        raise UsageError(f"t_quantile is exact for p from 1e-100 on, got {p!r}.")
    if not df >= 1:
        raise UsageError(f"df, the degrees of freedom of a t distribution, must be at least 1, got {df!r}.")
    if p == 0.5:
        return 0.0
    tail, sign = (p, -1.0) if p < 0.5 else (1.0 - p, 1.0)
    if df > _LARGE_DF:
        return sign * _expansion(-_NORMAL.inv_cdf(tail), df)
    return sign * _invert(tail, df)


def two_sided_z(level: float) -> float:
    """The normal quantile that leaves `(1 - level) / 2` on each side."""
    return -_NORMAL.inv_cdf((1.0 - level) / 2.0)


def two_sided_t(level: float, df: float) -> float:
    """The t quantile that leaves `(1 - level) / 2` on each side."""
    return -t_quantile((1.0 - level) / 2.0, df)


def normal_tail(z: float) -> float:
    """P(Z > z), exact far out in the tail where 1 - cdf is not."""
    return 0.5 * math.erfc(z / math.sqrt(2.0))


def _check_probability(p: float) -> None:
    if not 0 < p < 1:
        raise UsageError(f"p is a probability strictly between 0 and 1, got {p!r}.")


def _expansion(z: float, df: float) -> float:
    z2 = z * z
    return z * (1 + (z2 + 1) / (4 * df) + ((5 * z2 + 16) * z2 + 3) / (96 * df * df))


def _invert(tail: float, df: float) -> float:
    high = 1.0
    while _t_tail(high, df) > tail:
        high *= 2.0
    low = 0.0 if high == 1.0 else high / 2.0
    t = (low + high) / 2.0
    for _ in range(200):
        q = _t_tail(t, df)
        low, high = (t, high) if q > tail else (low, t)
        step = (math.log(q) - math.log(tail)) * q / _t_density(t, df)  # Newton on log q, nearly straight in t
        proposed = t + step
        if not low < proposed < high:
            proposed = (low + high) / 2.0
        if abs(proposed - t) <= 1e-15 * t:
            return proposed
        t = proposed
    return t


def _t_density(t: float, df: float) -> float:
    log_scale = math.lgamma((df + 1) / 2) - math.lgamma(df / 2) - 0.5 * math.log(df * math.pi)
    return math.exp(log_scale - (df + 1) / 2 * math.log1p(t * t / df))


def _t_tail(t: float, df: float) -> float:
    """P(T > t) for t > 0."""
    ratio = t * t / df
    x, y = 1.0 / (1.0 + ratio), ratio / (1.0 + ratio)
    a, b = df / 2.0, 0.5
    log_beta = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    front = math.exp(a * -math.log1p(ratio) + b * math.log(y) - log_beta)
    if x < (a + 1) / (a + b + 2):
        return 0.5 * front * _beta_fraction(a, b, x) / a
    return 0.5 - 0.5 * front * _beta_fraction(b, a, y) / b


def _beta_fraction(a: float, b: float, x: float) -> float:
    """The continued fraction of the incomplete beta function (A&S 26.5.8), by Lentz's method."""
    tiny = 1e-300
    c, d = 1.0, 1.0 - (a + b) * x / (a + 1)
    d = 1.0 / (d if abs(d) > tiny else tiny)
    result = d
    for m in range(1, 100_000):
        for numerator in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1.0 + numerator * d
            c = 1.0 + numerator / c
            d = 1.0 / (d if abs(d) > tiny else tiny)
            c = c if abs(c) > tiny else tiny
            result *= d * c
        if abs(d * c - 1.0) < 1e-16:
            break
    return result

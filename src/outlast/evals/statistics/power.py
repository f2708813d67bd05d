"""What a comparison on a given number of examples could have seen."""

from __future__ import annotations

import math

from outlast.errors import UsageError
from outlast.evals.statistics.quantiles import normal_quantile, t_quantile, two_sided_t, two_sided_z
from outlast.evals.statistics.values import check_level


def minimum_detectable_difference(
    n: int,
    *,
    discordance: float | None = None,
    sd: float | None = None,
    power: float = 0.8,
    level: float = 0.95,
) -> float:
    """The smallest true difference that a two-sided paired test on `n` pairs finds with probability `power`.

    Give one of: `discordance`, the share of pairs on which two pass/fail programs differ, 0 to 1; or `sd`,
    the standard deviation of graded differences. With discordance the result is `inf` when even changes
    that all go one way would be missed. Approximate: McNemar without the exact test's conservatism (a few
    pairs more are needed), and t quantiles in place of the non-central t. Sources: Connor 1987, "Sample
    size for testing differences in proportions for the paired-sample design"; Miller 2024, "Adding error
    bars to evals", section 5.

    >>> round(minimum_detectable_difference(200, discordance=0.2), 3)
    0.088
    """
    check_level(level)
    if n < 2:
        raise UsageError(f"minimum_detectable_difference: n counts pairs and must be at least 2, got {n!r}.")
    if not 0.5 <= power < 1:
        raise UsageError(f"minimum_detectable_difference: power is a share from 0.5 to below 1, got {power!r}.")
    if discordance is not None and sd is None:
        return _binary(n, discordance, power, level)
    if sd is not None and discordance is None:
        if not 0 <= sd < math.inf:
            raise UsageError(f"minimum_detectable_difference: sd must be finite and not negative, got {sd!r}.")
        return (two_sided_t(level, n - 1) + t_quantile(power, n - 1)) * sd / math.sqrt(n)
    raise UsageError(
        "minimum_detectable_difference needs exactly one of discordance (pass/fail scores) and sd (graded "
        f"scores), got discordance={discordance!r}, sd={sd!r}."
    )


def _binary(n: int, discordance: float, power: float, level: float) -> float:
    if not 0 <= discordance <= 1:
        raise UsageError(f"minimum_detectable_difference: discordance is a share between 0 and 1, got {discordance!r}.")
    z_level, z_power = two_sided_z(level), normal_quantile(power)

    def missing(delta: float) -> float:
        spread = math.sqrt(max(0.0, discordance - delta * delta))
        return z_level * math.sqrt(discordance) + z_power * spread - delta * math.sqrt(n)

    low, high = 0.0, discordance
    if missing(high) > 0 or discordance == 0:
        return math.inf
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if missing(middle) > 0 else (low, middle)
    return high

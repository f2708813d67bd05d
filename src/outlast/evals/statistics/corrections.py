"""p values corrected for how many comparisons were made."""

from __future__ import annotations

from collections.abc import Iterable

from outlast.errors import DataError
from outlast.evals.statistics.values import finite


def holm(pvalues: Iterable[float]) -> list[float]:
    """Adjusted p values, in the order given, that bound the chance of even one false discovery.

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure".

    >>> holm([0.01, 0.04])
    [0.02, 0.04]
    """
    p = _checked(pvalues, "holm")
    order = sorted(range(len(p)), key=p.__getitem__)
    adjusted, least = [0.0] * len(p), 0.0
    for rank, index in enumerate(order):
        least = max(least, min(1.0, p[index] * (len(p) - rank)))
        adjusted[index] = least
    return adjusted


def benjamini_hochberg(pvalues: Iterable[float]) -> list[float]:
    """Adjusted p values, in the order given, that bound the expected share of false discoveries.

    For independent or positively dependent tests. Source: Benjamini & Hochberg 1995, "Controlling the false
    discovery rate".

    >>> benjamini_hochberg([0.01, 0.04])
    [0.02, 0.04]
    """
    p = _checked(pvalues, "benjamini_hochberg")
    order = sorted(range(len(p)), key=p.__getitem__)
    adjusted, most = [0.0] * len(p), 1.0
    for rank in range(len(p), 0, -1):
        index = order[rank - 1]
        most = min(most, p[index] * (len(p) / rank))
        adjusted[index] = most
    return adjusted


def _checked(pvalues: Iterable[float], subject: str) -> list[float]:
    p = finite(pvalues, subject)
    for position, value in enumerate(p):
        if not 0 <= value <= 1:
            raise DataError(f"{subject}: p values are between 0 and 1, got {value!r} at position {position}.")
    return p

"""One score for an example that was run several times.

The unit of a statistic is the example: its epochs are not independent, so they are reduced to one score before
anything is averaged or tested.

    mean, median, max, min     of the scores
    majority                   the most frequent score; between equally frequent ones their mean
    pass@k                     the chance that at least one of k runs passes
    pass^k                     the chance that all of k runs pass
    at_least_k                 1 when k or more of the runs passed, else 0

`k` stands for a number: "pass@3", "at_least_2". A run passes with a score of `threshold` or more.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from statistics import median
from types import MappingProxyType

from outlast.errors import DataError, UsageError, brief, did_you_mean
from outlast.evals.statistics.values import finite, mean_of, some

REDUCERS = ("mean", "median", "max", "min", "majority", "pass@k", "pass^k", "at_least_k")
_COUNTED = re.compile(r"(pass@|pass\^|at_least_)([1-9][0-9]{0,5})")
_THRESHOLD = 1.0


def _majority(scores: list[float]) -> float:
    counts = Counter(scores)
    most = max(counts.values())
    return mean_of([score for score, count in counts.items() if count == most])


_PLAIN: Mapping[str, Callable[[list[float]], float]] = MappingProxyType(
    {"mean": mean_of, "median": median, "max": max, "min": min, "majority": _majority}
)


def check_reducer(reducer: str, epochs: int) -> str:
    """The reducer, or `UsageError` when there is none of this name or it needs more than `epochs` runs."""
    if isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 1:
        raise UsageError(f"epochs is how often each example is run, a whole number from 1; got {brief(epochs)}")
    needed = fewest_scores(reducer)
    if needed > epochs:
        raise UsageError(
            f"reducer {reducer!r} needs at least {needed} epochs, got {epochs}. Run more epochs or take a smaller k."
        )
    return reducer


def fewest_scores(reducer: str) -> int:
    """How many scores the reducer needs: k for "pass@k", "pass^k" and "at_least_k", else 1."""
    return _split(reducer)[1]


def reduce_epochs(scores: Iterable[float], reducer: str = "mean", threshold: float = _THRESHOLD) -> float:
    """One score for an example, from the scores of its runs; see the module for the names of reducers.

    "pass@k" is unbiased: the share of all choices of k of the n runs that hold a pass, which estimates what k
    fresh runs would do (Chen et al. 2021, "Evaluating large language models trained on code", equation 1).
    "pass^k" is the share of such choices in which all pass (Yao et al. 2024, "tau-bench"). Both are better
    estimates the more runs there are beyond k. `max` of n runs is pass@n for scores of 0 and 1, and grows
    with n: report it with the number of runs. The order of scores does not matter. For "pass@k", "pass^k" and
    "at_least_k" graded scores count as passed from `threshold` on.

    Raises `UsageError` for an unknown reducer, `DataError` for no scores, fewer than k or one that is not
    finite: leave out an example that has too few scored runs and count it apart.

    >>> reduce_epochs([1, 0, 0, 1]), reduce_epochs([1, 0, 0, 1], "pass^2"), reduce_epochs([1, 0, 0], "majority")
    (0.5, 0.16666666666666666, 0.0)
    """
    kind, k = _split(reducer)
    (limit,) = finite((threshold,), "reduce_epochs, threshold")
    data = some(scores, "reduce_epochs")
    if kind in _PLAIN:
        return _PLAIN[kind](data)
    n, passed = len(data), sum(score >= limit for score in data)
    if n < k:
        raise DataError(
            f"reduce_epochs: {reducer!r} needs at least {k} scored runs of an example, got {n}. Leave such an "
            "example out and count it apart, or run it again."
        )
    if kind == "at_least_":
        return float(passed >= k)
    if kind == "pass@":
        return 1.0 - math.comb(n - passed, k) / math.comb(n, k)
    return math.comb(passed, k) / math.comb(n, k)


def _split(reducer: str) -> tuple[str, int]:
    if isinstance(reducer, str):
        if reducer in _PLAIN:
            return reducer, 1
        if found := _COUNTED.fullmatch(reducer):
            return found[1], int(found[2])
        if reducer in REDUCERS:
            example = reducer.replace("k", "2")
            raise UsageError(f"k in {reducer!r} stands for a number of runs. Write for instance {example!r}.")
    hint = did_you_mean(reducer, REDUCERS) if isinstance(reducer, str) else ""
    raise UsageError(
        f"there is no reducer {brief(reducer)}.{hint} Reducers: {', '.join(REDUCERS)}, with a number for k."
    )

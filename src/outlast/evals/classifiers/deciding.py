"""From probabilities to verdicts: what a mistake costs, and when the classifier had better say nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from outlast.errors import UsageError, brief
from outlast.evals.calibrate import tail
from outlast.evals.classifiers.linear import numpy
from outlast.evals.classifiers.reading import Class

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

_STARTS = 5


@dataclass(frozen=True, slots=True)
class Abstain:
    """When a classifier says nothing: `Abstain(accuracy=0.95)` decides as much as it can so that this share of what it
    decides is right, `Abstain(coverage=0.8)` decides this share of the texts, those that it is surest of.

    With `level` the accuracy must be proven at this confidence, else the cross-validated share has to reach it. Raises
    `UsageError` unless exactly one of both is a share above 0, at most 1.
    """

    accuracy: float | None = None
    coverage: float | None = None
    level: float | None = None

    def __post_init__(self) -> None:
        if (self.accuracy is None) == (self.coverage is None):
            raise UsageError("Abstain wants either accuracy= or coverage=")
        for name in ("accuracy", "coverage", "level"):
            value = getattr(self, name)
            if value is not None and (
                isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1
            ):
                raise UsageError(f"Abstain({name}=...) is a share above 0, at most 1; got {brief(value)}")
        if self.level is not None and (self.accuracy in (None, 1) or self.level == 1):
            raise UsageError("Abstain(level=...) proves an accuracy below 1 at a confidence below 1")

    def __str__(self) -> str:
        wanted = f"accuracy {self.accuracy:.0%}" if self.accuracy is not None else f"coverage {self.coverage:.0%}"
        return wanted if self.level is None else f"{wanted}, proven at {self.level:.0%}"


def as_abstain(value: Any) -> Abstain | None:
    """A number is a wanted accuracy."""
    if value is None or isinstance(value, Abstain):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Abstain(accuracy=value)
    raise UsageError(f"abstain is a wanted accuracy such as 0.95, or ol.Abstain(...); got {brief(value)}")


def costs_of(weights: Any, classes: Sequence[Class], values: Sequence[Class]) -> tuple[float, ...]:
    """What a mistake about a text of each class costs, 1 on average over the texts."""
    counts = [sum(value == one for value in values) for one in classes]
    if weights is None:
        return (1.0,) * len(classes)
    if weights == "balanced":
        return tuple(len(values) / (len(classes) * count) for count in counts)
    if not isinstance(weights, Mapping):
        raise UsageError(
            f"weights is 'balanced', None or a mapping of classes to positive numbers; got {brief(weights)}"
        )
    table = cast("Mapping[Any, Any]", weights)
    if set(table) != set(classes):
        raise UsageError(
            f"weights names every class, {', '.join(map(repr, classes))}; got {', '.join(map(repr, table)) or 'none'}"
        )
    for one, weight in table.items():
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < 1e6:
            raise UsageError(f"the weight of {one!r} is a number above 0, below a million; got {brief(weight)}")
    mean = sum(table[one] * count for one, count in zip(classes, counts, strict=True)) / len(values)
    return tuple(table[one] / mean for one in classes)


def said(probabilities: Array, costs: Sequence[float]) -> tuple[Array, Array]:
    """The verdicts, and how sure each is: the probability that it is right. A verdict is the class whose mistake would
    cost most, so that with costs it need not be the likeliest."""
    np = numpy()
    verdicts = (probabilities * np.asarray(costs)).argmax(axis=1)
    return verdicts, probabilities[np.arange(len(verdicts)), verdicts]


def least_sure(sure: Array, right: Array, wanted: Abstain) -> float:
    """How sure a verdict must be at least; infinitely where nothing reaches what is wanted."""
    np = numpy()
    order = np.argsort(-sure, kind="stable")
    sure, right = sure[order], right[order]
    kept = np.arange(1, len(sure) + 1)
    ends = np.append(sure[1:] < sure[:-1], True)  # equal ones are decided together
    if wanted.coverage is not None:
        reached = ends & (kept >= wanted.coverage * len(sure) - 1e-9)
        return float(sure[int(np.argmax(reached))])
    accuracy = np.cumsum(right) / kept
    target = wanted.accuracy or 0.0
    reached = ends & (accuracy >= target - 1e-12)
    if wanted.level is not None:
        reached &= _proven(np.cumsum(right), kept, ends, target, 1 - wanted.level)
    if not reached.any():
        return math.inf
    return float(sure[int(np.flatnonzero(reached)[-1])])


def _proven(right: Array, kept: Array, ends: Array, target: float, error: float) -> Array:
    """Which thresholds are proven: from up to five starts, that share the allowed error, each goes on to less sure ones
    until the first that proves nothing (fixed sequence testing, Angelopoulos et al. 2021, section 3)."""
    np = numpy()
    found = np.zeros(len(kept), dtype=bool)
    able = [int(place) for place in np.flatnonzero(ends) if target ** int(kept[place]) <= error / _STARTS]
    starts = {round(step * (len(able) - 1) / (_STARTS - 1)) for step in range(_STARTS)} if able else set[int]()
    for start in starts:
        for place in able[start:]:
            if tail(int(right[place]), int(kept[place]), target) > error / len(starts):
                break
            found[place] = True
    return found

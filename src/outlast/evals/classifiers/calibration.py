"""Margins as probabilities, fitted on margins of texts that the model was not trained on, and how well they hold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from outlast.evals.classifiers.linear import numpy

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

_STEPS = 100
_BINS = 10


@dataclass(frozen=True)
class Platt:
    """p = 1 / (1 + exp(-(slope * margin + offset))): few labels suffice (Platt 1999)."""

    slope: float
    offset: float

    @classmethod
    def fit(cls, margins: Array, positive: Array) -> Platt:
        """By Newton's method on the targets that Platt proposes, which are not quite 0 and 1."""
        np = numpy()
        ones = float(positive.sum())
        zeros = len(positive) - ones
        target = np.where(positive, (ones + 1) / (ones + 2), 1 / (zeros + 2))
        inputs = np.column_stack([margins, np.ones(len(margins))])
        at = np.array([0.0, math.log((ones + 1) / (zeros + 1))])
        loss = _log_loss(inputs @ at, target)
        for _ in range(_STEPS):
            p = _sigmoid(inputs @ at)
            gradient = inputs.T @ (p - target)
            curvature = inputs.T @ (inputs * (p * (1 - p))[:, None]) + 1e-10 * np.eye(2)
            step, size = np.linalg.solve(curvature, gradient), 1.0
            while size > 1e-10 and _log_loss(inputs @ (at - size * step), target) > loss:
                size /= 2
            at = at - size * step
            before, loss = loss, _log_loss(inputs @ at, target)
            if abs(gradient).max() < 1e-9 or before - loss < 1e-14 * abs(before):
                break
        return cls(float(at[0]), float(at[1]))

    def probabilities(self, margins: Array) -> Array:
        """Two columns: that the first class, and that the second one is right."""
        p = _sigmoid(self.slope * margins[:, 0] + self.offset)
        return numpy().column_stack([1 - p, p])


@dataclass(frozen=True)
class Isotonic:
    """Any rising curve, straight between the points that were fitted; it wants some thousand labels (Zadrozny and Elkan
    2002)."""

    margins: tuple[float, ...]
    values: tuple[float, ...]

    @classmethod
    def fit(cls, margins: Array, positive: Array) -> Isotonic:
        """By pooling neighbours that are out of order (Ayer et al. 1955)."""
        np = numpy()
        places, counts = np.unique(margins, return_inverse=True)
        total = np.bincount(counts)
        means = np.bincount(counts, weights=positive.astype(float)) / total
        blocks: list[tuple[float, float, int]] = []  # mean, weight, number of places
        for mean, weight in zip(means.tolist(), total.tolist(), strict=True):
            block = (mean, float(weight), 1)
            while blocks and blocks[-1][0] >= block[0]:
                last = blocks.pop()
                both = last[1] + block[1]
                block = ((last[0] * last[1] + block[0] * block[1]) / both, both, last[2] + block[2])
            blocks.append(block)
        values = np.repeat([block[0] for block in blocks], [block[2] for block in blocks])
        keep = np.ones(len(values), dtype=bool)  # the points inside a level say nothing more
        keep[1:-1] = (values[1:-1] != values[:-2]) | (values[1:-1] != values[2:])
        return cls(tuple(places[keep].tolist()), tuple(values[keep].tolist()))

    def probabilities(self, margins: Array) -> Array:
        """Two columns: that the first class, and that the second one is right."""
        np = numpy()
        p = np.interp(margins[:, 0], self.margins, self.values)
        return np.column_stack([1 - p, p])


@dataclass(frozen=True)
class Temperature:
    """softmax(margins / temperature), for more than two classes (Guo et al. 2017)."""

    temperature: float

    @classmethod
    def fit(cls, margins: Array, right: Array) -> Temperature:
        """The temperature with the least log loss, by golden section on its logarithm from 1/50 to 50."""
        np = numpy()
        places = np.arange(len(right))

        def loss(log: float) -> float:
            return -float(np.mean(_log_softmax(margins / math.exp(log))[places, right]))

        low, high, ratio = -math.log(50), math.log(50), (math.sqrt(5) - 1) / 2
        for _ in range(60):
            left, middle = high - ratio * (high - low), low + ratio * (high - low)
            low, high = (low, middle) if loss(left) <= loss(middle) else (left, high)
        return cls(math.exp((low + high) / 2))

    def probabilities(self, margins: Array) -> Array:
        """One column a class."""
        return numpy().exp(_log_softmax(margins / self.temperature))


Calibration = Platt | Isotonic | Temperature
KINDS: dict[str, type[Platt] | type[Isotonic] | type[Temperature]] = {
    "platt": Platt,
    "isotonic": Isotonic,
    "temperature": Temperature,
}


@dataclass(frozen=True, slots=True)
class Bin:
    """Texts with a probability between `low` and `high`: how many, what was said on average, and how often it held."""

    low: float
    high: float
    n: int
    said: float
    held: float


@dataclass(frozen=True, slots=True)
class Reliability:
    """How far probabilities can be taken at their word. `brier` is the mean squared error, summed over both classes or
    over all (0 best; `brier_baseline` is that of always saying the shares of the classes); `ece` the mean distance of
    what was said and what held over ten bins of equal width. For two classes this is about the second one, else about
    the class that is given."""

    brier: float
    brier_baseline: float
    ece: float
    bins: tuple[Bin, ...]


def reliability(probabilities: Array, right: Array) -> Reliability:
    """The figures of probabilities (rows x classes) and the classes that are right. Two classes count once: the Brier
    score is then the squared error of one probability, as usual."""
    np = numpy()
    count = probabilities.shape[1]
    truth = np.eye(count)[right]
    share = truth.mean(axis=0)
    halves = 2.0 if count == 2 else 1.0
    brier = float(((probabilities - truth) ** 2).sum(axis=1).mean() / halves)
    baseline = float(((share - truth) ** 2).sum(axis=1).mean() / halves)
    if count == 2:
        said, held = probabilities[:, 1], right == 1
    else:
        said, held = probabilities.max(axis=1), probabilities.argmax(axis=1) == right
    bins = _bins(said.tolist(), held.tolist())
    ece = sum(one.n * abs(one.said - one.held) for one in bins) / len(right)
    return Reliability(brier, baseline, ece, bins)


def _bins(said: Sequence[float], held: Sequence[bool]) -> tuple[Bin, ...]:
    found: list[list[tuple[float, bool]]] = [[] for _ in range(_BINS)]
    for p, true in zip(said, held, strict=True):
        found[min(_BINS - 1, int(p * _BINS))].append((p, true))
    return tuple(
        Bin(
            place / _BINS,
            (place + 1) / _BINS,
            len(part),
            math.fsum(p for p, _ in part) / len(part),
            sum(true for _, true in part) / len(part),
        )
        for place, part in enumerate(found)
        if part
    )


def _sigmoid(x: Any) -> Any:
    np = numpy()
    return np.where(x >= 0, 1 / (1 + np.exp(-np.abs(x))), np.exp(-np.abs(x)) / (1 + np.exp(-np.abs(x))))


def _log_softmax(x: Any) -> Any:
    np = numpy()
    moved = x - x.max(axis=1, keepdims=True)
    return moved - np.log(np.exp(moved).sum(axis=1, keepdims=True))


def _log_loss(x: Any, target: Any) -> float:
    np = numpy()
    return float(np.sum(np.logaddexp(0, x) - target * x))

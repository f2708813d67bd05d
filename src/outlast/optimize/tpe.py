"""Samplers of combinations: a small tree-structured Parzen estimator of our own, and Optuna's where it is installed."""

from __future__ import annotations

import importlib.util
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, Literal

from outlast.errors import ConfigError

Point = Mapping[str, int]  # which choice of each dimension
Kind = Literal["auto", "own", "optuna"]

_FIRST = 10  # points drawn at random before the model counts
_DRAWN = 24  # points that one question weighs
_GOOD = 0.1  # of the points are taken for good ones, rounded up


class Sampler(ABC):
    """Asks for points of a space of choices and is told their scores; higher is better."""

    @abstractmethod
    def ask(self) -> dict[str, int]:
        """The next point to try."""

    @abstractmethod
    def tell(self, point: Point, score: float) -> None:
        """What a point scored; points that were not asked for count too."""


class Parzen(Sampler):
    """A multivariate TPE over categorical dimensions.

    Points with the best tenth of the mean scores, ties included, make one mixture of kernels, the others a second; a
    kernel gives its own choices most of the weight and spreads the rest over all. Of 24 points drawn from the first,
    the one comes next that is likeliest under it compared with the second; one that was tried comes again only when
    all drawn were. The first 10 points are drawn at random.
    Source: Bergstra et al. 2011; multivariate as in Falkner et al. 2018 (BOHB, arXiv 1807.01774).
    """

    def __init__(self, choices: Mapping[str, int], rng: Random) -> None:
        self._choices = dict(choices)
        self._rng = rng
        self._told: dict[tuple[int, ...], list[float]] = {}

    def ask(self) -> dict[str, int]:
        """The next point to try."""
        if sum(map(len, self._told.values())) < _FIRST:
            return self._anywhere()
        means = {at: math.fsum(scores) / len(scores) for at, scores in self._told.items()}
        least = sorted(means.values(), reverse=True)[max(0, math.ceil(_GOOD * len(means)) - 1)]
        good = [dict(zip(self._choices, at, strict=True)) for at, mean in means.items() if mean >= least]
        rest = [dict(zip(self._choices, at, strict=True)) for at, mean in means.items() if mean < least]
        drawn = [self._near(good) for _ in range(_DRAWN)]
        fresh = [point for point in drawn if tuple(point.values()) not in self._told]
        return max(fresh or drawn, key=lambda point: self._likelihood(point, good) / self._likelihood(point, rest))

    def tell(self, point: Point, score: float) -> None:
        """What a point scored."""
        self._told.setdefault(tuple(point[name] for name in self._choices), []).append(score)

    def _anywhere(self) -> dict[str, int]:
        return {name: self._rng.randrange(count) for name, count in self._choices.items()}

    def _near(self, some: Sequence[Point]) -> dict[str, int]:
        """A draw from the mixture: around one of the points, or, as one more of them, anywhere."""
        which = self._rng.randrange(len(some) + 1)
        if which == len(some):
            return self._anywhere()
        spread = self._spread(len(some))
        return {
            name: self._rng.randrange(count) if self._rng.random() < spread else some[which][name]
            for name, count in self._choices.items()
        }

    def _likelihood(self, point: Point, some: Sequence[Point]) -> float:
        spread = self._spread(len(some))
        found = math.prod(1 / count for count in self._choices.values())
        for other in some:
            found += math.prod(
                spread / count + (1 - spread) * (point[name] == other[name]) for name, count in self._choices.items()
            )
        return found / (len(some) + 1)

    @staticmethod
    def _spread(count: int) -> float:
        """The share that a kernel gives to all choices alike: less as there are more points."""
        return 1 / (1 + count) ** 0.5


class _Optuna(Sampler):
    """Optuna's multivariate TPE, in memory."""

    def __init__(self, choices: Mapping[str, int], rng: Random) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._optuna: Any = optuna
        sampler = optuna.samplers.TPESampler(seed=rng.randrange(2**32), multivariate=True)
        self._study: Any = optuna.create_study(direction="maximize", sampler=sampler)
        self._space: dict[str, Any] = {
            name: optuna.distributions.CategoricalDistribution(list(range(count))) for name, count in choices.items()
        }
        self._open: list[tuple[dict[str, int], Any]] = []

    def ask(self) -> dict[str, int]:
        trial = self._study.ask(self._space)
        point = {name: int(trial.params[name]) for name in self._space}
        self._open.append((point, trial))
        return point

    def tell(self, point: Point, score: float) -> None:
        for number, (asked, trial) in enumerate(self._open):
            if asked == point:
                self._study.tell(trial, score)
                del self._open[number]
                return
        made = self._optuna.trial.create_trial(params=dict(point), distributions=self._space, value=score)
        self._study.add_trial(made)


def chosen_kind(kind: Kind) -> Literal["own", "optuna"]:
    """Which sampler "auto" is here. Raises `ConfigError` when Optuna is asked for and missing."""
    there = importlib.util.find_spec("optuna") is not None
    if kind == "optuna" and not there:
        raise ConfigError('this search asks for Optuna, which is not installed; pip install "outlast[optuna]"')
    return "own" if kind == "own" or not there else "optuna"


def sampler(kind: Kind, choices: Mapping[str, int], rng: Random) -> Sampler:
    """A sampler of points: for each dimension a number below its count of choices."""
    return _Optuna(choices, rng) if chosen_kind(kind) == "optuna" else Parzen(choices, rng)

"""`SpaceSearch`: numbers and choices anywhere in a program, by a sampler that learns where good values lie."""

from __future__ import annotations

import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, Literal, cast

from outlast.errors import ConfigError, OutlastError, PathError, UsageError, brief, did_you_mean
from outlast.lms.options import SETTING_NAMES, check_settings
from outlast.messages import Settings
from outlast.modules.paths import parameters
from outlast.modules.spaces import Choice, Space, Text
from outlast.optimize.candidate import Candidate
from outlast.optimize.operators.tune import at, in_words, tunable_spaces
from outlast.optimize.protocol import Optimizer
from outlast.optimize.race import shrunken_gain
from outlast.optimize.study import Study
from outlast.optimize.texts import whole_numbers

Kind = Literal["auto", "optuna", "random"]

_FIRST = 8  # points drawn at random before the model of good values counts


@dataclass(frozen=True, slots=True)
class SpaceSearch(Optimizer):
    """Search a space of values by parameter path: `SpaceSearch({"answer.settings.temperature": ol.Float(0, 1.2),
    "answer.adapter": [ol.Chat(), ol.JSON()], "top_k": ol.Int(1, 20)})`.

    A value is `ol.Float`, `ol.Int`, `ol.Choice` or a list of values; `<module>.settings.<name>` is one setting of a
    module, and the others stay. Without a `space` it is that of the parameters that were declared with one.
    `trials` points are drawn, `parallel` at a time, and raced on shared selection examples against the start and the
    best so far, so that clear losers are cut short; the sampler is told their gain over the start.

    `sampler="optuna"` is Optuna's tree-structured Parzen estimator, which needs `outlast[optuna]`; "random" draws
    without learning; "auto" is Optuna where it is installed, else random, and each candidate says which. The same seed
    and results give the same search, so that running it again is resuming it.
    Cost: at most (trials + 1) rollouts for each selection example; a race takes about half of that. No LM call of its
    own. Raises `PathError` or `UsageError` for a space that the program does not have, before any rollout.
    Source: Bergstra et al. 2011 (TPE); Akiba et al. 2019 (Optuna); racing, Maron and Moore 1994.
    """

    space: Mapping[str, Any] = field(default_factory=dict[str, Any])
    trials: int = 32
    parallel: int = 4
    sampler: Kind = "auto"

    def __post_init__(self) -> None:
        whole_numbers(self, trials=1, parallel=1)
        if not isinstance(self.space, Mapping):
            raise UsageError(f"SpaceSearch takes spaces by parameter path; got {brief(self.space)}")
        if self.sampler not in ("auto", "optuna", "random"):
            raise UsageError(f"SpaceSearch(sampler=...) is 'auto', 'optuna' or 'random'; got {brief(self.sampler)}")
        if self.sampler == "optuna" and not _has_optuna():
            raise ConfigError('SpaceSearch(sampler="optuna") needs Optuna: pip install "outlast[optuna]"')
        object.__setattr__(self, "space", {path: _checked(path, one) for path, one in self.space.items()})

    def rollouts(self, train: int, select: int) -> int:
        """Every point and the start on every selection example."""
        return (self.trials + 1) * select

    def check(self, study: Study) -> None:
        """Raise `PathError` or `UsageError` for paths, and for values that cannot stand there."""
        for path, space in self._spaces(study).items():
            for value in _ends(space):
                try:
                    study.check(placed(study, {path: value}))
                except OutlastError as error:
                    raise UsageError(f"SpaceSearch: {brief(value)} cannot stand at {path!r}: {error}") from error

    async def search(self, study: Study) -> Candidate:
        """The winner of the last race."""
        spaces = self._spaces(study)
        learning = self.sampler == "optuna" or (self.sampler == "auto" and _has_optuna())
        how = "by Optuna" if learning else "at random"
        if not learning and self.sampler == "auto":
            how += " (outlast[optuna] is not installed)"
        rng = study.rng("space")
        draws: Draws = OptunaDraws(spaces, rng) if learning else RandomDraws(spaces, rng)
        best, left = study.start, self.trials
        while left > 0:
            count = min(self.parallel, left)
            left -= count
            entries: dict[int, Candidate] = {}
            for _ in range(count):
                key, values = draws.ask()
                changes = placed(study, values)
                entries[key] = study.propose(changes, origin=f"{in_words(values)}, drawn {how}", operator="space")
            best = (await study.race([best, study.start, *entries.values()]))[0]
            for key, candidate in entries.items():
                draws.tell(key, _gain(study, candidate))
        return best

    def describe(self) -> dict[str, Any]:
        """Name and options; the sampler is the one that is there."""
        kind = self.sampler if self.sampler != "auto" else "optuna" if _has_optuna() else "random"
        return {
            "optimizer": "SpaceSearch",
            "space": {path: repr(one) for path, one in self.space.items()},
            "trials": self.trials,
            "parallel": self.parallel,
            "sampler": kind,
        }

    def _spaces(self, study: Study) -> dict[str, Space[Any] | tuple[Any, ...]]:
        found = dict(self.space) or dict(tunable_spaces(study))
        if not found:
            raise UsageError(
                "SpaceSearch has no space: give it one, such as {'settings.temperature': ol.Float(0, 1)}, or declare "
                "a parameter with one, ol.param(ol.Float(0, 1))"
            )
        known = parameters(study.program)
        for path in found:
            target, name = _target(path)
            if target not in known or (name and name not in SETTING_NAMES):
                valid = [*known, *(f"{one}.{name}" for one in known if _is_settings(one) for name in SETTING_NAMES)]
                raise PathError(
                    f"{type(study.program).__name__} has no parameter {path!r} to search.{did_you_mean(path, valid)} "
                    f"Paths: {', '.join(known)}."
                )
            if study.locked(path) or study.locked(target):
                raise UsageError(f"SpaceSearch: {path!r} is locked in this search")
        return found


def placed(study: Study, values: Mapping[str, Any]) -> dict[str, Any]:
    """Values by path as changes of parameters: single settings go into those that the module has.

    Raises `UsageError` for settings that no model can follow.
    """
    now = parameters(study.program)
    changes: dict[str, Any] = {}
    for path, value in values.items():
        target, name = _target(path)
        if name:
            before: Settings = changes.get(target, now[target])
            changes[target] = check_settings(replace(before, **{name: value}))
        else:
            changes[path] = value
    return changes


def _target(path: str) -> tuple[str, str]:
    """The parameter that a path of a space means, and the setting in it, "" when it is the whole parameter."""
    owner, _, name = path.rpartition(".")
    return (owner, name) if _is_settings(owner) else (path, "")


def _is_settings(path: str) -> bool:
    return path.rpartition(".")[2] == "settings"


def _checked(path: Any, space: Any) -> Space[Any] | tuple[Any, ...]:
    if not isinstance(path, str) or not path:
        raise UsageError(f"SpaceSearch takes spaces by parameter path; got {brief(path)} for a path")
    if isinstance(space, Space) and not isinstance(space, Text):
        return cast("Space[Any]", space)
    if isinstance(space, list | tuple) and space:
        return tuple(cast("Sequence[Any]", space))
    raise UsageError(
        f"SpaceSearch: the space of {path!r} is ol.Float(low, high), ol.Int(low, high), ol.Choice([...]) or a list of "
        f"values; got {brief(space)}"
    )


def _has_optuna() -> bool:
    return importlib.util.find_spec("optuna") is not None


def _gain(study: Study, candidate: Candidate) -> float:
    """The paired gain over the start as far as a candidate was run, shrunk towards none."""
    return shrunken_gain(study.tally(candidate), study.tally(study.start).values, 0.0)


class Draws(ABC):
    """Asks for points of a space and is told their scores; higher is better."""

    def __init__(self, spaces: Mapping[str, Space[Any] | tuple[Any, ...]], rng: Random) -> None:
        self.spaces = spaces
        self.rng = rng
        self.asked = 0

    @abstractmethod
    def ask(self) -> tuple[int, dict[str, Any]]:
        """A key to tell by, and values by path."""

    @abstractmethod
    def tell(self, key: int, score: float) -> None:
        """What the point scored."""


class RandomDraws(Draws):
    """Points drawn evenly, without learning."""

    def ask(self) -> tuple[int, dict[str, Any]]:
        self.asked += 1
        values = {
            path: self.rng.choice(space) if isinstance(space, tuple) else at(space, self.rng.random())
            for path, space in self.spaces.items()
        }
        return self.asked, values

    def tell(self, key: int, score: float) -> None:
        pass  # nothing is learnt


class OptunaDraws(Draws):
    """Optuna's tree-structured Parzen estimator, in memory. Numbers are drawn as shares of their range."""

    def __init__(self, spaces: Mapping[str, Space[Any] | tuple[Any, ...]], rng: Random) -> None:
        super().__init__(spaces, rng)
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        made = optuna.distributions
        sampler = optuna.samplers.TPESampler(seed=rng.randrange(2**32), n_startup_trials=_FIRST, multivariate=True)
        self._study: Any = optuna.create_study(direction="maximize", sampler=sampler)
        self._trials: dict[int, Any] = {}
        self._drawn: dict[str, Any] = {
            path: made.CategoricalDistribution(list(range(_count(space))))
            if _count(space)
            else made.FloatDistribution(0.0, 1.0)
            for path, space in spaces.items()
        }

    def ask(self) -> tuple[int, dict[str, Any]]:
        trial: Any = self._study.ask(self._drawn)
        self.asked += 1
        self._trials[self.asked] = trial
        values: dict[str, Any] = {}
        for path, space in self.spaces.items():
            drawn = trial.params[path]
            options = space if isinstance(space, tuple) else space.options if isinstance(space, Choice) else ()
            values[path] = options[int(drawn)] if _count(space) else at(cast("Space[Any]", space), float(drawn))
        return self.asked, values

    def tell(self, key: int, score: float) -> None:
        self._study.tell(self._trials.pop(key), score)


def _ends(space: Space[Any] | tuple[Any, ...]) -> Sequence[Any]:
    """All options; of numbers the lowest and the highest."""
    if isinstance(space, tuple):
        return space
    return space.options if isinstance(space, Choice) else (at(space, 0.0), at(space, 1.0))


def _count(space: Space[Any] | tuple[Any, ...]) -> int:
    """How many options there are; 0 for numbers."""
    if isinstance(space, tuple):
        return len(space)
    return len(space.options) if isinstance(space, Choice) else 0

"""`StrategySearch`: which strategy answers best, at each place of a program."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from outlast.errors import ArtifactError, UsageError, brief
from outlast.modules.paths import STRATEGY, is_strategy
from outlast.modules.recipes import dump_recipe
from outlast.modules.strategy import as_recipe
from outlast.optimize.candidate import Candidate
from outlast.optimize.protocol import Optimizer
from outlast.optimize.study import Study


@dataclass(frozen=True, slots=True)
class StrategySearch(Optimizer):
    """Race strategies at the places of a program: `StrategySearch({"answer": [ol.ChainOfThought(), ...]})`.

    `strategies` are those to try, by the path of the module that they may replace ("" for the program itself); what
    stands there now takes part. With several places every combination is raced, or `most` of them, drawn by the study's
    seed. What is tuned on a module goes over to the strategy in its place. Raises `UsageError` at once for a strategy
    that a compiled file could not hold. Cost: at most (combinations + 1) rollouts for each selection example; a race of
    many examples takes about half of that. A rollout costs as many calls as its strategy.
    Source: racing, Maron and Moore 1994.
    """

    strategies: Mapping[str, Sequence[Any]]
    most: int = 16

    def __post_init__(self) -> None:
        if not isinstance(self.strategies, Mapping) or not self.strategies:
            raise UsageError(f"StrategySearch takes lists of strategies by path; got {brief(self.strategies)}")
        if isinstance(self.most, bool) or not isinstance(self.most, int) or self.most < 1:
            raise UsageError(f"StrategySearch(most=...) is a whole number from 1; got {brief(self.most)}")
        read: dict[str, tuple[Any, ...]] = {}
        for path, some in self.strategies.items():
            at = path if is_strategy(path) else f"{path}.{STRATEGY}".lstrip(".")
            if not isinstance(some, list | tuple) or not some:
                raise UsageError(f"StrategySearch: {path!r} has a list of strategies to try; got {brief(some)}")
            read[at] = tuple(as_recipe(one, at) for one in some)
            _forms(at, read[at])
        object.__setattr__(self, "strategies", read)

    def rollouts(self, train: int, select: int) -> int:
        """Every combination, and the start program, on every selection example."""
        every = math.prod(len(some) + 1 for some in self.strategies.values()) - 1
        return (min(every, self.most) + 1) * select

    def check(self, study: Study) -> None:
        """Raise `PathError` or `UsageError` for paths, and for strategies that cannot stand there."""
        for path, some in self.strategies.items():
            for recipe in some:
                study.check({path: recipe})

    async def search(self, study: Study) -> Candidate:
        """The best combination of the race."""
        choices = [(None, *some) for some in self.strategies.values()]
        every = [dict(zip(self.strategies, one, strict=True)) for one in itertools.product(*choices)][1:]
        if len(every) > self.most:
            every = study.rng("strategies").sample(every, self.most)
        entries = [study.start]
        for one in every:
            changes = {path: recipe for path, recipe in one.items() if recipe is not None}
            entry = study.propose(changes, origin=", ".join(f"{path}: {recipe}" for path, recipe in changes.items()))
            if entry not in entries:
                entries.append(entry)
        return (await study.race(entries))[0]

    def describe(self) -> dict[str, Any]:
        """Name and options; strategies as a file holds them."""
        forms = {path: _forms(path, some) for path, some in self.strategies.items()}
        return {"optimizer": "StrategySearch", "most": self.most, "strategies": forms}


def _forms(path: str, some: Sequence[Any]) -> list[dict[str, Any]]:
    """Strategies as a file holds them; raises `UsageError` for one that none can hold."""
    try:
        return [dump_recipe(path, one, lambda _, value: value) for one in some]
    except ArtifactError as error:
        raise UsageError(f"this strategy cannot be a candidate: {error}") from error

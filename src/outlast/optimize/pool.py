"""What a search knows of its candidates: gains over the start with their uncertainty, specialists, a ranking."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

from outlast.optimize.race import Tally

if TYPE_CHECKING:
    from outlast.data.example import Example
    from outlast.optimize.candidate import Candidate
    from outlast.optimize.study import Study

PRIOR = 8.0  # examples' worth of no gain that every candidate starts with


@dataclass(frozen=True, slots=True)
class Gain:
    """A paired gain with its standard error, both shrunk towards no gain; `n` examples were shared."""

    mean: float
    error: float
    n: int

    @property
    def chance(self) -> float:
        """The posterior chance that it is above 0, from 0 to 1."""
        return 0.5 * math.erfc(-self.mean / (self.error * math.sqrt(2))) if self.error > 0 else 0.5


def gain_between(
    ours: Mapping[str, float], theirs: Mapping[str, float], *, prior: float = PRIOR, spread: float = 1.0
) -> Gain:
    """The gain of one set of values by example over another, on the examples of both.

    Normal posterior under a prior of no gain that weighs `prior` examples. The deviation is that of the differences,
    with that of the prior examples mixed in, so that a handful of equal pairs is not taken for certainty; `spread` is
    how far scores lie apart, so that the scale of a metric decides nothing.
    """
    differences = [value - theirs[key] for key, value in ours.items() if key in theirs]
    n = len(differences)
    total = math.fsum(differences)
    mean = total / (n + prior)
    squares = math.fsum(d * d for d in differences) + 0.3 * prior * spread * spread
    variance = max(squares / (n + prior) - mean * mean, 1e-4 * spread * spread)
    return Gain(mean, math.sqrt(variance / (n + prior)), n)


@dataclass(slots=True)
class Pool:
    """The candidates that a search builds on, measured on a common order of the selection examples."""

    study: Study
    members: list[Candidate] = field(default_factory=list["Candidate"])
    _order: list[Example] = field(default_factory=list["Example"])

    def __post_init__(self) -> None:
        self._order = list(self.study.select)
        self.study.rng("pool").shuffle(self._order)
        self.members.append(self.study.start)

    @property
    def size(self) -> int:
        """How many selection examples there are."""
        return len(self._order)

    async def measure(self, some: Sequence[Candidate], examples: int, *, skip: int = 0, sample: int = 0) -> None:
        """Run candidates on the first so many selection examples, the same for all; known results are free."""
        part = self._order[skip:examples]
        await asyncio.gather(*(self.study.evaluate(one, part, sample=sample) for one in some))

    def cost(self, some: Sequence[Candidate], examples: int) -> int:
        """How many rollouts it takes at most to measure these on the first so many."""
        known = [set(self.study.tally(one).values) for one in dict.fromkeys(some)]
        part = [self.study.key_of(example) for example in self._order[:examples]]
        return sum(key not in have for have in known for key in part)

    def values(self, candidate: Candidate) -> Mapping[str, float]:
        """Its values by selection example, as far as it was run."""
        return self.study.tally(candidate).values

    def gain(self, candidate: Candidate, over: Candidate | None = None) -> Gain:
        """Its gain over another (the start) on the selection examples that both were run on."""
        return gain_between(self.values(candidate), self.values(over or self.study.start), spread=self.study.spread)

    def best(self) -> Candidate:
        """The member with the highest posterior gain over the start; of equals the earlier one."""
        return max(self.members, key=lambda one: self.gain(one).mean if one != self.study.start else 0.0)

    def ranked(self) -> list[Candidate]:
        """The members, best first."""
        return sorted(self.members, key=lambda one: -self.gain(one).mean if one != self.study.start else 0.0)

    def add(self, candidate: Candidate) -> None:
        """Build on this one too."""
        if candidate not in self.members:
            self.members.append(candidate)

    def specialist(self, rng: Random) -> Candidate:
        """A member that does well where the best does not: drawn by how many examples it alone gets right.

        Members that are clearly behind on the whole do not count. The best itself when nobody does.
        """
        best = self.best()
        theirs = self.values(best)
        weights: list[float] = []
        for one in self.members:
            ahead = sum(1 for key, value in self.values(one).items() if key in theirs and value > theirs[key] + 0.25)
            weights.append(float(ahead) if self.gain(one, best).mean > -0.15 else 0.0)
        return rng.choices(self.members, weights)[0] if sum(weights) > 0 else best


def mended(parent: Tally, child: Tally, cause: Sequence[str], luck: float) -> float:
    """How many more of the failed examples a child gets right than another draw of its parent would.

    `luck` is what a failure gains in the mean when the same program is simply asked again.
    """
    gained = lost = 0.0
    failed = passed = 0
    for key, value in child.values.items():
        before = parent.values.get(key)
        if before is None:
            continue
        if key in cause:
            gained += value - before
            failed += 1
        else:
            lost += before - value
            passed += 1
    return gained - luck * failed - lost

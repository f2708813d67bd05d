"""`GEPA`: reflective evolution of instructions, with parents drawn from an instance-wise Pareto front."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from outlast.data.example import Example
from outlast.modules.module import Module
from outlast.modules.predict import Predict
from outlast.optimize.candidate import Candidate
from outlast.optimize.operators.crossover import exchanged
from outlast.optimize.operators.merge import ancestor
from outlast.optimize.operators.rewrite import rewritten
from outlast.optimize.pareto import best_somewhere
from outlast.optimize.proposers import RewriteInstruction
from outlast.optimize.protocol import Optimizer, must_have
from outlast.optimize.study import Study
from outlast.optimize.texts import failed, minibatch, proposer_modules, texts, together, total, whole_numbers

_MERGE_SEEN = 5  # selection examples that a merged program is tried on


@dataclass(frozen=True, slots=True)
class GEPA(Optimizer):
    """Rewrite one text at a time by reflection on a few rollouts; keep every program that is best on some example.

    Each of `steps` steps draws a parent from the Pareto front over single selection examples (on how many it is among
    the best decides how likely it is drawn), runs it on the next `minibatch` training examples and, unless all are
    right, has a proposer rewrite one of its texts, the next in turn, from what happened and what the metric said. The
    child joins the pool, and is run on all selection examples, when its sum on the minibatch is strictly higher. After
    that, up to `merges` times, two of the front are crossed part by part; the merged program joins when it does as well
    as the better of them on a few selection examples. The pool's best mean wins. `parallel` steps are made at once,
    from the pool as it stands: 1 is as published. `reflect` is any module that takes the inputs of
    `RewriteInstruction`. Use it where the metric gives words. Cost: one proposal for each step, 2 x `minibatch`
    rollouts, and a pass over the selection examples for each child that joins.
    Source: Agrawal et al. 2025 (GEPA, arXiv 2507.19457), algorithms 1 to 4.
    """

    steps: int = 50
    minibatch: int = 3
    merges: int = 5
    parallel: int = 1
    reflect: Module = field(default_factory=lambda: Predict(RewriteInstruction))

    def __post_init__(self) -> None:
        whole_numbers(self, steps=1, minibatch=1, merges=0, parallel=1)
        proposer_modules(self, reflect=RewriteInstruction)

    def rollouts(self, train: int, select: int) -> int:
        """When every child and every merge joins the pool; simulated, a quarter to a half of the children do."""
        steps = self.steps * (2 * min(self.minibatch, train) + select)
        return select + steps + self.merges * select

    def check(self, study: Study) -> None:
        """Raise `UsageError` when no text may change."""
        must_have(self, study, "texts", texts(study))

    async def search(self, study: Study) -> Candidate:
        """The member of the pool with the best mean on the selection examples."""
        if not texts(study) or not study.train:
            return study.start
        evolution = _Evolution(self, study)
        await study.evaluate(study.start, study.select)
        for first in range(0, self.steps, self.parallel):
            if await evolution.step(range(first, min(first + self.parallel, self.steps))):
                await evolution.merge()
        return evolution.best()


class _Evolution:
    """The pool of one search: who is in it, whose turn which text is, which merges were tried."""

    def __init__(self, options: GEPA, study: Study) -> None:
        self._options = options
        self._study = study
        self._pool = [study.start]
        self._texts = texts(study)
        self._turn: dict[Candidate, int] = {study.start: 0}
        self._crossed: set[frozenset[str]] = set()
        self._merged = 0

    def best(self) -> Candidate:
        """The member with the best mean; of equals the earlier one."""
        return max(self._pool, key=lambda one: self._study.tally(one).mean)

    async def step(self, numbers: Sequence[int]) -> bool:
        """Mutations at once, one for each number; whether any child joined the pool."""
        parents = [self._draw(self._study.rng(f"parent {number}")) for number in numbers]
        paths = [self._next_text(parent) for parent in parents]
        jobs = zip(parents, paths, numbers, strict=True)
        made = await together(self._mutate(parent, path, number) for parent, path, number in jobs)
        fresh: list[Candidate] = []
        for parent, child in zip(parents, made, strict=True):
            if child is not None and child not in (*self._pool, *fresh):
                self._turn[child] = self._turn[parent]
                fresh.append(child)
        await self._join(fresh)
        return bool(fresh)

    def _draw(self, rng: Random) -> Candidate:
        shares = best_somewhere({one: self._study.tally(one).values for one in self._pool})
        return rng.choices(list(shares), list(shares.values()))[0]

    def _next_text(self, parent: Candidate) -> str:
        turn = self._turn[parent]
        self._turn[parent] = turn + 1
        return self._texts[turn % len(self._texts)]

    async def _mutate(self, parent: Candidate, path: str, number: int) -> Candidate | None:
        """A child that does better than its parent on a minibatch, if one comes of this step."""
        examples = minibatch(self._study, number, self._options.minibatch)
        before = await self._study.evaluate(parent, examples)
        if not failed(self._study, before):
            return None
        reflect = self._options.reflect
        child = await rewritten(self._study, parent, path, before, reflect, sample=number, operator="gepa")
        if child is None:
            return None
        after = await self._study.evaluate(child, examples)
        better = total(after) > total(before)
        self._study.judged(child, accepted=better)
        return child if better else None

    async def _join(self, some: Sequence[Candidate]) -> None:
        await together(self._study.evaluate(one, self._study.select) for one in some)
        self._pool += some
        self._study.mark(self.best())

    async def merge(self) -> bool:
        """Cross two of the front, if any two have something to give each other; whether the child joined."""
        if self._merged >= self._options.merges:
            return False
        rng = self._study.rng(f"merge {len(self._pool)}")
        pair = self._pair(rng)
        if pair is None:
            return False
        one, other, child = pair
        self._merged += 1
        examples = self._telling(one, other, rng)
        await self._study.evaluate(child, examples)
        keys = [self._study.key_of(example) for example in examples]
        sums = [sum(self._study.tally(each).values.get(key, 0.0) for key in keys) for each in (child, one, other)]
        if sums[0] < max(sums[1:]):
            return False
        self._turn[child] = max(self._turn[one], self._turn[other])
        await self._join([child])
        return True

    def _pair(self, rng: Random) -> tuple[Candidate, Candidate, Candidate] | None:
        """Two of the front that were not crossed yet and whose crossing is new, with what comes of it."""
        members = list(best_somewhere({one: self._study.tally(one).values for one in self._pool}))
        pairs = [(one, other) for at, one in enumerate(members) for other in members[:at]]
        rng.shuffle(pairs)
        for one, other in pairs:
            key = frozenset((one.id, other.id))
            if key not in self._crossed and self._above_ancestor(one, other):
                self._crossed.add(key)
                child = exchanged(self._study, one, other)
                if child is not None and child not in self._pool:
                    return one, other, child
        return None

    def _above_ancestor(self, one: Candidate, other: Candidate) -> bool:
        """Whether both are at least as good as what they come from."""
        common = self._study.tally(ancestor(self._study, one, other)).mean
        return min(self._study.tally(one).mean, self._study.tally(other).mean) >= common

    def _telling(self, one: Candidate, other: Candidate, rng: Random) -> list[Example]:
        """Selection examples to try a merge on: as many where the one is better, where the other is, and of ties."""
        ours, theirs = self._study.tally(one).values, self._study.tally(other).values
        groups: list[list[Example]] = [[], [], []]
        for example in self._study.select:
            key = self._study.key_of(example)
            gap = ours.get(key, 0.0) - theirs.get(key, 0.0)
            groups[0 if gap > 0 else 1 if gap < 0 else 2].append(example)
        for group in groups:
            rng.shuffle(group)
        found: list[Example] = []
        while len(found) < _MERGE_SEEN and any(groups):
            found += [group.pop() for group in groups if group][: _MERGE_SEEN - len(found)]
        return found

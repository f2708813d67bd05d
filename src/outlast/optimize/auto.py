"""`Auto`: the default optimizer, a portfolio of operators under one budget."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass

from outlast.errors import UsageError
from outlast.optimize.candidate import Candidate
from outlast.optimize.operators.induce import Induce
from outlast.optimize.operators.merge import merged
from outlast.optimize.operators.propose import ProposeGrounded
from outlast.optimize.operators.protocol import Operator
from outlast.optimize.operators.reflect import ReflectEdit
from outlast.optimize.pool import Gain, Pool, gain_between, mended
from outlast.optimize.portfolio import Portfolio
from outlast.optimize.protocol import Optimizer
from outlast.optimize.study import Study

_UNLIMITED = 1000  # rollouts of a search that no budget limits
_LIKELY = 0.6  # posterior chance of being better from which a candidate is built on
_FINALISTS = 5


@dataclass(frozen=True, slots=True)
class Auto(Optimizer):
    """Improve instructions, demonstrations and structure together, by whatever helps on this program.

    First the structural changes that a program offers are raced. Then, round by round, up to `parallel` operators,
    drawn by Thompson sampling from what each has brought, make candidates out of the best program and out of
    specialists. A candidate that failures caused is first run on these and a few others; those that mend more than they
    break are merged, and the merged one is raced against its parent on shared selection examples; it is built on when
    it is probably better (a lax gate: the proof is strict, the search need not be). After `patience` rounds without
    progress the search ends. The best few are measured again with fresh draws before one is chosen.

    `most` bounds the rollouts; None is what the budget pays for, or 1,000 when nothing limits it. `operators` replaces
    the portfolio. Cost: up to `most` rollouts, and one proposal for each candidate.
    """

    most: int | None = None
    operators: Sequence[Operator] | None = None
    parallel: int | None = None
    patience: int = 5

    def __post_init__(self) -> None:
        for name in ("most", "parallel", "patience"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise UsageError(f"Auto({name}=...) is a whole number from 1; got {value!r}")

    def rollouts(self, train: int, select: int) -> int:
        """What `most` says."""
        return self.most or _UNLIMITED

    async def search(self, study: Study) -> Candidate:
        """The best candidate found."""
        return await _Search(self, study).run()


class _Search:
    """One run of `Auto`."""

    def __init__(self, options: Auto, study: Study) -> None:
        self.study = study
        self.options = options
        self.pool = Pool(study)
        self.portfolio = Portfolio(options.operators or default_operators())
        self.luck = 0.25
        self.round = 0

    def left(self) -> float:
        """Rollouts that may still be run."""
        most = self.options.most or (_UNLIMITED if math.isinf(self.study.affordable()) else math.inf)
        return min(self.study.affordable(), most - self.study.rollouts)

    async def run(self) -> Candidate:
        """Look at the start, then rounds, then finals."""
        study, pool = self.study, self.pool
        await pool.measure([study.start], min(12, pool.size))
        self.total = self.left()
        self.width = max(12, min(pool.size, round(self.total / 12)))
        self.parallel = self.options.parallel or max(3, min(8, round(self.total / 60)))
        await pool.measure([study.start], self.width)
        await self._redraw()
        await self._sweep()
        idle = 0
        finals = min(0.3 * self.total, 3.0 * pool.size)
        while idle < self.options.patience and self.left() > finals + self.parallel * 8:
            idle = 0 if await self._round() else idle + 1
            study.mark(pool.best())
        return await self._finals()

    async def _redraw(self) -> None:
        """How often a failure passes when it is simply asked again."""
        again = min(12, self.width)
        await self.pool.measure([self.study.start], again, sample=1)
        outcomes = self.study.outcomes_of(self.study.start, "select")
        first = {o.example: o.value for o in outcomes if o.sample == 0}
        pairs = [(first.get(o.example), o.value) for o in outcomes if o.sample == 1]
        failed = [now for before, now in pairs if before is not None and now is not None and before < 1]
        self.luck = (math.fsum(failed) + 0.2 * 4) / (len(failed) + 4)

    async def _sweep(self) -> None:
        """Race what changes the structure, each once."""
        found: list[Candidate] = []
        for operator in structural_operators():
            if operator.applies(self.study, self.study.start):
                found += await operator.propose(self.study, self.study.start, 0)
        found = list(dict.fromkeys(found))[: max(2, round(self.total / 80))]
        if not found:
            return
        first = max(8, self.width // 2)
        await self.pool.measure(found, first)
        good = [one for one in found if self.pool.gain(one).mean > 0]
        await self.pool.measure(good, self.width)
        good.sort(key=lambda one: -self.pool.gain(one).mean)
        kept = [one for one in good if self.pool.gain(one).chance > _LIKELY]
        for one in found:
            self.study.judged(one, accepted=one in kept)
            self.portfolio.told(one.operator, float(one in kept))
        for one in kept[:3]:
            self.pool.add(one)
        if len(kept) > 1 and (both := merged(self.study, kept[:2])) not in self.pool.members:
            await self.pool.measure([both], self.width)
            if self.pool.gain(both).mean > self.pool.gain(kept[0]).mean:
                self.pool.add(both)

    async def _round(self) -> bool:
        """Proposals in parallel, gates, a merge, a race; True when something is built on."""
        study, rng = self.study, self.study.rng(f"auto {self.round}")
        best = self.pool.best()
        jobs: list[tuple[Operator, Candidate, int]] = []
        for number in range(self.parallel):
            parent = best if number % 2 == 0 or len(self.pool.members) < 3 else self.pool.specialist(rng)
            operator = self.portfolio.draw(study, parent, rng)
            if operator is not None:
                jobs.append((operator, parent, self.round * self.parallel + number))
        self.round += 1
        if not jobs:
            return False
        # one first, so that what the others share (rollouts of the parent) is there
        answers = [await jobs[0][0].propose(study, *jobs[0][1:])]
        answers += await asyncio.gather(*(operator.propose(study, parent, n) for operator, parent, n in jobs[1:]))
        children: dict[Candidate, Candidate] = {}
        for (operator, parent, _), found in zip(jobs, answers, strict=True):
            fresh = [one for one in found if one not in self.pool.members and one not in study.rejected]
            for one in fresh:
                children.setdefault(one, parent)
            if not fresh:
                self.portfolio.told(operator.name, 0.0)
        self.portfolio.age()
        scores = await asyncio.gather(*(self._gate(child, parent) for child, parent in children.items()))
        passed: dict[Candidate, list[tuple[float, Candidate]]] = {}
        for (child, parent), score in zip(children.items(), scores, strict=True):
            if score > 0:
                passed.setdefault(parent, []).append((score, child))
            else:
                self._settle(child, False)
        progress = False
        for parent, some in passed.items():
            some.sort(key=lambda pair: -pair[0])
            progress |= await self._contend(parent, [child for _, child in some])
        return progress

    async def _gate(self, child: Candidate, parent: Candidate) -> float:
        """By how much a child is ahead of its parent on a few examples: those that caused it first."""
        study = self.study
        if child.cause:
            passing = [o.example for o in study.outcomes_of(parent, "train") if o.value == 1 and o.sample == 0]
            rng = study.rng(f"gate {child.id}")
            also = rng.sample(passing, min(len(passing), len(child.cause)))
            await study.evaluate(child, [study.example(key) for key in (*child.cause, *also)])
            return mended(study.tally(parent, "train"), study.tally(child, "train"), child.cause, self.luck)
        await self.pool.measure([child, parent], max(8, self.width // 3))
        return self.pool.gain(child, parent).mean + 1e-9

    async def _contend(self, parent: Candidate, some: Sequence[Candidate]) -> bool:
        """Race what passed, and all of it together, against the parent."""
        together = merged(self.study, some) if len(some) > 1 else some[0]
        entries = list(dict.fromkeys([together, some[0]]))
        await self.pool.measure([*entries, parent], self.width)
        gains = {one: self._over(one, parent) for one in entries}
        winner = max(entries, key=lambda one: gains[one].mean)
        good = gains[winner].chance > _LIKELY
        for child in some:
            self._settle(child, good and (child == winner or winner == together))
        if good:
            self.study.judged(winner, accepted=True)
            self.pool.add(winner)
        return good

    def _over(self, one: Candidate, parent: Candidate) -> Gain:
        """The gain over the parent, on selection and training examples together."""
        ours = {**self.pool.values(one), **self.study.tally(one, "train").values}
        theirs = {**self.pool.values(parent), **self.study.tally(parent, "train").values}
        for key in one.cause:  # these were chosen because the parent failed on them
            ours.pop(key, None)
        return gain_between(ours, theirs)

    def _settle(self, child: Candidate, good: bool) -> None:
        self.study.judged(child, accepted=good)
        self.portfolio.told(child.operator, float(good))

    async def _finals(self) -> Candidate:
        """The best few on all selection examples, then again with fresh draws as far as the budget goes."""
        pool = self.pool
        await pool.measure([self.study.start], pool.size)
        finalists = pool.ranked()[:_FINALISTS]
        while finalists and len(finalists) * pool.size > self.left():
            finalists.pop()
        await pool.measure(finalists, pool.size)
        finalists = [one for one in pool.ranked() if one in finalists][:2]
        if self.left() > pool.size * (len(finalists) + 1):
            await pool.measure([*finalists, self.study.start], pool.size, sample=1)
        best = pool.best()
        self.study.mark(best)
        return best


def default_operators() -> list[Operator]:
    """The portfolio of `Auto` unless one is given."""
    return [ReflectEdit(), ProposeGrounded(), Induce()]


def structural_operators() -> list[Operator]:
    """What is tried once at the start."""
    return []

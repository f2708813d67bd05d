"""`Auto`: the default optimizer, a portfolio of operators under one budget."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from outlast.errors import UsageError, brief
from outlast.optimize.breeding import Breeding
from outlast.optimize.candidate import Candidate
from outlast.optimize.contest import Contest
from outlast.optimize.gate import AHEAD, WORST
from outlast.optimize.headroom import LITTLE
from outlast.optimize.operators import defaults
from outlast.optimize.operators.protocol import Operator, unnamed
from outlast.optimize.portfolio import Portfolio
from outlast.optimize.protocol import Optimizer, must_have
from outlast.optimize.study import Study
from outlast.optimize.sweep import Sweep

_UNLIMITED = 1000  # rollouts of a search that no budget limits
_FINALISTS, _FINALS = 5, 0.12  # how many, and their share of a search
_LOOK, _CLOSER, _SMALL, _EACH = 12, 16, 300, 5  # first look, closer look; small search; rollouts of a proposal
_STUCK = 2  # rounds without progress before changes of structure are looked at again
_PRIOR = {"reflect": 4.0}  # successes granted: what failures say is the best source there is


@dataclass(frozen=True, slots=True)
class Auto(Optimizer):
    """Improve instructions, demonstrations and structure together, by whatever helps on this program.

    First the structural changes that a program offers are raced. Then, round by round, up to `parallel` operators,
    drawn by Thompson sampling from what each has brought, make candidates out of the best program; after a round
    without progress half of them start from specialists instead, programs that do well where the best does not. A
    candidate that failures caused is first run on these and a few others; those that mend more than they break are
    merged, and the merged one is raced against its parent on shared selection examples; it is built on when it is
    probably better (a lax gate: the proof is strict, the search need not be). After `patience` rounds without progress
    the search ends. The best few are measured again with fresh draws before one is chosen.

    `most` bounds the rollouts; None is what the budget pays for, and when nothing limits it 12 for each selection and 4
    for each training example, 1,000 at most. `operators` replaces the portfolio. Cost: up to `most` rollouts, and one
    proposal for each candidate.
    """

    most: int | None = None
    operators: Sequence[Operator] | None = None
    parallel: int | None = None
    patience: int = 20

    def __post_init__(self) -> None:
        for name in ("most", "parallel", "patience"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise UsageError(f"Auto({name}=...) is a whole number from 1; got {value!r}")
        some = self.operators
        listed = isinstance(some, list | tuple) and some and all(isinstance(one, Operator) for one in some)
        if some is not None and not listed:
            raise UsageError(f"Auto(operators=...) is a list of operators such as ol.ReflectEdit(); got {brief(some)}")
        if error := unnamed(some or ()):
            raise error

    def rollouts(self, train: int, select: int) -> int:
        """`most`, or what a search takes that no budget limits; a budget replaces the latter."""
        return self.most or min(_UNLIMITED, 12 * select + 4 * train)

    @property
    def takes_what_is_paid(self) -> bool:
        """True unless `most` is given."""
        return self.most is None

    def least(self, train: int, select: int) -> int:
        """What a round takes: the start on a closer look, some proposals, a race, and what finals keep back."""
        return math.ceil((2 * min(_CLOSER, select) + 4 * _EACH + 1) / (1 - _FINALS))

    def check(self, study: Study) -> None:
        """Raise `UsageError` when nothing may change; given no `operators`, when none of its own can change any."""
        Optimizer.check(self, study)
        if self.operators is None:  # others may apply to what they find out in the search
            able = [one for one in (*defaults.portfolio(), *defaults.sweep()) if one.applies(study, study.start)]
            must_have(self, study, "texts, demonstrations and structure", able)

    async def search(self, study: Study) -> Candidate:
        """The best candidate found."""
        return await _Search(self, study).run()


class _Search:
    """One run of `Auto`."""

    def __init__(self, options: Auto, study: Study) -> None:
        self.study = study
        self.options = options
        operators = options.operators or defaults.portfolio()
        self.contest = Contest(study, Portfolio(operators, prior=_PRIOR), self.left)
        self.pool, self.gate = self.contest.pool, self.contest.gate
        self.sweep = Sweep(self.contest, defaults.sweep() if options.operators is None else [])
        self.breeding = Breeding(self.contest, operators)
        self.before = study.rollouts  # those of the proof
        self.idle = 0  # rounds without progress

    def left(self) -> float:
        """Rollouts that may still be run."""
        study, most = self.study, self.options.most
        if most is None and not math.isinf(study.affordable()):
            return study.affordable()
        bound = self.options.rollouts(len(study.train), len(study.select))
        return min(study.affordable(), bound - (study.rollouts - self.before))

    async def run(self) -> Candidate:
        """Look at the start, race what changes the structure, then rounds, then finals."""
        study, pool = self.study, self.pool
        if self.left() < _LOOK:
            return study.start
        await pool.measure([study.start], min(_LOOK, pool.size))
        total = self.left()
        width = self._sized(total)
        await pool.measure([study.start], width)
        if total > _SMALL:
            await self._redraw()
        if self._perfect():
            await pool.measure([study.start], min(pool.size, width + int(self.left())))
            if self._perfect():
                said = "no headroom: the program is right on next to everything as it is"
                study.note(said, headroom=said)
                return study.start
        await self.sweep.run(total)
        finals = min(_FINALS * total, pool.size)
        while self.idle < self.options.patience and (room := self.left() - finals - width) > 4 * _EACH:
            kept = finals + width
            progress = await self._round(min(self.breeding.parallel, int(room / _EACH)), kept)
            if not progress and self.idle >= _STUCK:
                progress = await self.sweep.again(kept)
            self.idle = 0 if progress else self.idle + 1
            study.mark(pool.best())
        return await self._finals()

    def _sized(self, total: float) -> int:
        """Set what a search of so many rollouts looks at and how much it does at once; gives the width of its races."""
        size, gate = self.pool.size, self.gate
        gate.look = min(size, 8 if total < _SMALL else _LOOK)  # selection examples for a first look
        width = max(gate.look, min(size, max(_CLOSER, round(total / 25))))  # and for a closer one
        self.contest.width = min(width, gate.look + int(self.left()))
        self.breeding.parallel = self.options.parallel or max(8, min(24, round(total / 40)))
        return self.contest.width

    def _perfect(self) -> bool:
        """Whether next to nothing is missing; scores that leave 0 to 1 do not tell."""
        return self.study.full == 1 and 1 - self.study.tally(self.study.start).mean < LITTLE

    async def _redraw(self) -> None:
        """How often a failure passes when it is simply asked again."""
        again = min(self.gate.look, self.contest.width)
        await self.pool.measure([self.study.start], again, sample=1)
        outcomes = self.study.outcomes_of(self.study.start, "select")
        first = {o.example: o.value for o in outcomes if o.sample == 0}
        pairs = [(first.get(o.example), o.value) for o in outcomes if o.sample == 1]
        more = [b - a for a, b in pairs if a is not None and b is not None and a < self.study.full]
        self.gate.luck = (math.fsum(more) + 0.2 * 4 * self.study.spread) / (len(more) + 4)

    async def _round(self, parallel: int, kept: float) -> bool:
        """Proposals in parallel, gates, a merge, a race; True when something is built on.

        `kept` rollouts are left for the race and what comes after.
        """
        best = self.pool.best()
        children = await self.breeding.children(parallel, stuck=self.idle > 0)
        most = max(0, int((self.left() - kept) / WORST))  # each runs on a look, and its parent with it
        children = dict(itertools.islice(children.items(), most))
        scores = await self.contest.scores(children)
        ranked = sorted(zip(scores, children, strict=True), key=lambda pair: -pair[0])
        passed = [child for score, child in ranked if score > AHEAD]
        wide = [child for child in passed if not self.gate.narrow(child)]
        passed = [child for child in passed if child not in wide[1:]]  # one wide change at a time can be credited
        for child in children:
            if child not in passed:
                self.contest.settle(child, False)
        return bool(passed) and await self.contest.race(best, passed)

    async def _finals(self) -> Candidate:
        """The best few on all selection examples, then again with fresh draws as far as the budget goes."""
        pool = self.pool
        finalists = pool.ranked()[:_FINALISTS]
        while finalists and pool.cost([*finalists, self.study.start], pool.size) > self.left():
            finalists.pop()
        if finalists and pool.cost([*finalists, self.study.start], pool.size) <= self.left():
            await pool.measure([*finalists, self.study.start], pool.size)
        finalists = [one for one in pool.ranked() if one in finalists][:2]
        if finalists and pool.size * (len(finalists) + 1) <= self.left():
            await pool.measure([*finalists, self.study.start], pool.size, sample=1)
        best = pool.best()
        self.study.mark(best)
        return best

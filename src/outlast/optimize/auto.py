"""`Auto`: the default optimizer, a portfolio of operators under one budget."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from outlast.errors import UsageError, brief
from outlast.optimize.candidate import Candidate
from outlast.optimize.gate import AHEAD, WORST, Gate
from outlast.optimize.headroom import LITTLE
from outlast.optimize.operators import defaults
from outlast.optimize.operators.merge import merged
from outlast.optimize.operators.protocol import Operator, unnamed
from outlast.optimize.operators.reflect import ReflectEdit
from outlast.optimize.pool import Pool
from outlast.optimize.portfolio import Portfolio
from outlast.optimize.protocol import Optimizer, must_have
from outlast.optimize.study import Study
from outlast.optimize.texts import together

_UNLIMITED = 1000  # rollouts of a search that no budget limits
_LIKELY = 0.6  # posterior chance of being better from which a candidate is built on
_SURE = 0.8  # the same for a change of structure: there are many, and nothing but the race speaks for one
_FINALISTS, _FINALS = 5, 0.12  # how many, and their share of a search
_LOOK, _CLOSER, _SMALL, _EACH = 12, 16, 300, 5  # first look, closer look; small search; rollouts of a proposal
_STUCK, _AGAIN = 2, 2  # rounds without progress before changes of structure are looked at again, and how many then
_TRIES = 3  # judgements of one edit, each on other failures
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
        self.pool = Pool(study)
        operators = options.operators or defaults.portfolio()
        self.portfolio = Portfolio(operators, prior=_PRIOR)
        self.structural = defaults.sweep() if options.operators is None else []
        self.edits = next((one for one in operators if one.name == ReflectEdit.name), None)
        self.gate = Gate(study, self.pool)
        self.judged = Counter[Candidate]()
        self.dropped: list[Candidate] = []  # changes of structure that did not look good at first, the likeliest first
        self.before = study.rollouts  # those of the proof
        self.round = self.idle = 0

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
        self.total = self.left()
        self.gate.look = min(pool.size, 8 if self.total < _SMALL else _LOOK)  # selection examples for a first look
        self.width = max(self.gate.look, min(pool.size, max(_CLOSER, round(self.total / 25))))  # and for a closer one
        self.parallel = self.options.parallel or max(8, min(24, round(self.total / 40)))
        self.width = min(self.width, self.gate.look + int(self.left()))
        await pool.measure([study.start], self.width)
        if self.total > _SMALL:
            await self._redraw()
        if self._perfect():
            await pool.measure([study.start], min(pool.size, self.width + int(self.left())))
            if self._perfect():
                said = "no headroom: the program is right on next to everything as it is"
                study.note(said, headroom=said)
                return study.start
        await self._sweep()
        finals = min(_FINALS * self.total, pool.size)
        while self.idle < self.options.patience and (room := self.left() - finals - self.width) > 4 * _EACH:
            kept = finals + self.width
            progress = await self._round(min(self.parallel, int(room / _EACH)), kept)
            if not progress and self.idle >= _STUCK:
                progress = await self._again(kept)
            self.idle = 0 if progress else self.idle + 1
            study.mark(pool.best())
        return await self._finals()

    def _perfect(self) -> bool:
        """Whether next to nothing is missing; scores that leave 0 to 1 do not tell."""
        return self.study.full == 1 and 1 - self.study.tally(self.study.start).mean < LITTLE

    async def _redraw(self) -> None:
        """How often a failure passes when it is simply asked again."""
        again = min(self.gate.look, self.width)
        await self.pool.measure([self.study.start], again, sample=1)
        outcomes = self.study.outcomes_of(self.study.start, "select")
        first = {o.example: o.value for o in outcomes if o.sample == 0}
        pairs = [(first.get(o.example), o.value) for o in outcomes if o.sample == 1]
        more = [b - a for a, b in pairs if a is not None and b is not None and a < self.study.full]
        self.gate.luck = (math.fsum(more) + 0.2 * 4 * self.study.spread) / (len(more) + 4)

    async def _sweep(self) -> None:
        """Race what changes the structure and the first sets of demonstrations, each once; most only on a first look.

        Several that help are tried together too.
        """
        study, pool = self.study, self.pool
        lists = [
            await self._proposed(one, study.start, 0) for one in self.structural if one.applies(study, study.start)
        ]
        turns = [one for turn in itertools.zip_longest(*lists) for one in turn if one is not None]
        most = min(max(4, min(12, round(self.total / 100))), int(self.left() / (2 * self.width)))
        found = list(dict.fromkeys(turns))[:most]
        await pool.measure(found, self.gate.look)
        found.sort(key=lambda one: -pool.gain(one).mean)
        close = [one for one in found[: (len(found) + 2) // 3] if pool.gain(one).mean > 0]
        await pool.measure(close, self.width)
        kept = sorted((one for one in close if pool.gain(one).chance > _SURE), key=lambda one: -pool.gain(one).mean)
        for one in found:
            self._settle(one, one in kept)
        looks = {one: pool.gain(one) for one in found if one not in close}
        self.dropped = sorted(looks, key=lambda one: -looks[one].mean - looks[one].error)
        for one in kept[:3]:
            pool.add(one)
        both = merged(study, kept[:3]) if kept else study.start
        if both not in pool.members and pool.cost([both], self.width) <= self.left():
            await pool.measure([both], self.width)
            if pool.gain(both).mean > pool.gain(kept[0]).mean:
                study.judged(both, accepted=True)
                pool.add(both)

    async def _again(self, kept: float) -> bool:
        """Look closer at what the sweep dropped on a first look, a little after each round without progress.

        True when something is built on; `kept` rollouts are left for what comes after.
        """
        some, self.dropped = self.dropped[:_AGAIN], self.dropped[_AGAIN:]
        if not some or self.pool.cost([*some, self.study.start], self.width) > self.left() - kept - self.width:
            return False
        await self.pool.measure([*some, self.study.start], self.width)
        good = [one for one in some if self.pool.gain(one).chance > _SURE]
        return bool(good) and await self._contend(self.pool.best(), good)

    async def _round(self, parallel: int, kept: float) -> bool:
        """Proposals in parallel, gates, a merge, a race; True when something is built on.

        `kept` rollouts are left for the race and what comes after.
        """
        best = self.pool.best()
        jobs = self._jobs(best, parallel)
        self.round += 1
        if not jobs:
            return False
        children = await self._children(jobs)
        most = max(0, int((self.left() - kept) / WORST))  # each runs on a look, and its parent with it
        children = dict(itertools.islice(children.items(), most))
        scores = await together(
            self.gate.score(child, parent, before=self.judged[child]) for child, parent in children.items()
        )
        ranked = sorted(zip(scores, children, strict=True), key=lambda pair: -pair[0])
        passed = [child for score, child in ranked if score > AHEAD]
        wide = [child for child in passed if not self.gate.narrow(child)]
        passed = [child for child in passed if child not in wide[1:]]  # one wide change at a time can be credited
        for child in children:
            if child not in passed:
                self._settle(child, False)
        return bool(passed) and await self._contend(best, passed)

    def _jobs(self, best: Candidate, parallel: int) -> list[tuple[Operator, Candidate, int]]:
        """Which operators are tried on which parents: mostly edits of the best; of specialists too when stuck."""
        rng = self.study.rng(f"auto {self.round}")
        jobs: list[tuple[Operator, Candidate, int]] = []
        for number in range(parallel):
            stuck = self.idle > 0 and number % 2 == 0 and len(self.pool.members) > 2
            parent = self.pool.specialist(rng) if stuck else best
            operator = self.portfolio.draw(self.study, parent, rng)
            wide = sum(job[0].name != ReflectEdit.name for job in jobs)
            if operator is not None and operator.name != ReflectEdit.name and wide >= max(1, parallel // 8):
                operator = self.edits if self.edits is not None and self.edits.applies(self.study, parent) else None
            if operator is not None:
                jobs.append((operator, parent, self.round * self.parallel + number))
        return jobs

    async def _children(self, jobs: Sequence[tuple[Operator, Candidate, int]]) -> dict[Candidate, Candidate]:
        """What these jobs propose that is worth judging, each with its parent."""
        # one first, so that what the others share (rollouts of the parent) is there
        answers = [await self._proposed(*jobs[0]), *await together(self._proposed(*job) for job in jobs[1:])]
        children: dict[Candidate, Candidate] = {}
        told: set[tuple[frozenset[str], Candidate]] = set()
        for (operator, parent, _), found in zip(jobs, answers, strict=True):
            fresh = [one for one in found if one not in self.pool.members and self._open(one)]
            for one in fresh:
                said = self.gate.content(parent, one)
                if not said or (said, parent) not in told:  # the same in other words is judged once
                    told.add((said, parent))
                    children.setdefault(one, parent)
            if not fresh:
                self.portfolio.told(operator.name, 0.0)
        self.portfolio.age()
        return children

    def _open(self, one: Candidate) -> bool:
        """Whether a candidate may be judged: once, an edit that other failures suggest again a few times."""
        return self.judged[one] < (_TRIES if self.gate.narrow(one) else 1)

    async def _proposed(self, operator: Operator, parent: Candidate, number: int) -> list[Candidate]:
        """What an operator makes; raises `UsageError` when that is no list of candidates."""
        found: Any = await operator.propose(self.study, parent, number)
        if not isinstance(found, list) or not all(isinstance(one, Candidate) for one in cast("list[object]", found)):
            raise UsageError(
                f"propose(...) of {type(operator).__name__} gives a list of candidates; got {brief(found)}"
            )
        return cast("list[Candidate]", found)

    async def _contend(self, best: Candidate, some: Sequence[Candidate]) -> bool:
        """Race all that passed, together, against the best so far; the foremost alone when that fails."""
        everything = merged(self.study, [*some, best])
        for entry in dict.fromkeys([everything, some[0]]):
            if self.pool.cost([entry, best], self.width) > self.left():
                break
            await self.pool.measure([entry, best], self.width)
            if self.gate.gain(entry, best).chance > _LIKELY:
                for child in some:
                    self._settle(child, entry == everything or child == entry)
                self.study.judged(entry, accepted=True)
                self.pool.add(entry)
                return True
        for child in some:
            self._settle(child, False)
        return False

    def _settle(self, child: Candidate, good: bool) -> None:
        self.judged[child] += 1
        self.study.judged(child, accepted=good)
        self.portfolio.told(child.operator, float(good))

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

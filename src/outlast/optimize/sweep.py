"""The first part of a search: what changes the structure of a program, each once, before anything builds on it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from outlast.optimize.operators.merge import merged
from outlast.optimize.operators.protocol import Operator, proposals

if TYPE_CHECKING:
    from outlast.optimize.candidate import Candidate
    from outlast.optimize.contest import Contest

_SURE = 0.8  # posterior chance from which one is built on: there are many, and nothing but the race speaks for one
_AGAIN = 2  # how many are looked at again at a time
_KEPT = 3  # how many that help are built on


class Sweep:
    """Races changes of structure and first sets of demonstrations against the start; most get only a first look.

    `dropped` are those that did not look good in it, the likeliest first: a first look may be wrong.
    """

    def __init__(self, contest: Contest, operators: Sequence[Operator]) -> None:
        self.dropped: list[Candidate] = []
        self._contest = contest
        self._operators = operators

    async def run(self, total: float) -> None:
        """Race them within a search of `total` rollouts; several that help are tried together too."""
        contest, pool, width = self._contest, self._contest.pool, self._contest.width
        found = list(dict.fromkeys(await self._proposed()))
        most = min(max(4, min(12, round(total / 100))), int(contest.left() / (2 * width)))
        found = found[:most]
        await pool.measure(found, contest.gate.look)
        found.sort(key=lambda one: -pool.gain(one).mean)
        close = [one for one in found[: (len(found) + 2) // 3] if pool.gain(one).mean > 0]
        await pool.measure(close, width)
        kept = sorted((one for one in close if pool.gain(one).chance > _SURE), key=lambda one: -pool.gain(one).mean)
        for one in found:
            contest.settle(one, one in kept)
        looks = {one: pool.gain(one) for one in found if one not in close}
        self.dropped = sorted(looks, key=lambda one: -looks[one].mean - looks[one].error)
        for one in kept[:_KEPT]:
            pool.add(one)
        await self._combine(kept[:_KEPT])

    async def again(self, kept: float) -> bool:
        """Look closer at what was dropped on a first look, a little at a time.

        True when something is built on; `kept` rollouts are left for what comes after.
        """
        contest, pool, width = self._contest, self._contest.pool, self._contest.width
        some, self.dropped = self.dropped[:_AGAIN], self.dropped[_AGAIN:]
        start = contest.study.start
        if not some or pool.cost([*some, start], width) > contest.left() - kept - width:
            return False
        await pool.measure([*some, start], width)
        good = [one for one in some if pool.gain(one).chance > _SURE]
        return bool(good) and await contest.race(pool.best(), good)

    async def _proposed(self) -> list[Candidate]:
        """What the operators propose, in turns."""
        study = self._contest.study
        lists = [
            await proposals(one, study, study.start, 0) for one in self._operators if one.applies(study, study.start)
        ]
        return [one for turn in itertools.zip_longest(*lists) for one in turn if one is not None]

    async def _combine(self, some: Sequence[Candidate]) -> None:
        """Build on all of these together when that is better than the best of them."""
        contest, pool = self._contest, self._contest.pool
        both = merged(contest.study, some) if some else contest.study.start
        if both not in pool.members and pool.cost([both], contest.width) <= contest.left():
            await pool.measure([both], contest.width)
            if pool.gain(both).mean > pool.gain(some[0]).mean:
                contest.study.judged(both, accepted=True)
                pool.add(both)

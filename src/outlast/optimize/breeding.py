"""The rounds of a search: which operators are tried on which parents, and which of their children are worth judging."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from outlast.optimize.operators.protocol import Operator, proposals
from outlast.optimize.operators.reflect import ReflectEdit
from outlast.optimize.texts import together

if TYPE_CHECKING:
    from outlast.optimize.candidate import Candidate
    from outlast.optimize.contest import Contest


class _Job(NamedTuple):
    """An operator to try on a parent; `number` makes its draw another one than all others."""

    operator: Operator
    parent: Candidate
    number: int


class Breeding:
    """Has the operators of a portfolio make children, up to `parallel` at once: mostly edits of the best program; of
    specialists, which do well where it does not, too when the search is stuck."""

    def __init__(self, contest: Contest, operators: Sequence[Operator]) -> None:
        self.parallel = 1
        self._contest = contest
        self._edits = next((one for one in operators if one.name == ReflectEdit.name), None)
        self._round = 0

    async def children(self, most: int, *, stuck: bool) -> dict[Candidate, Candidate]:
        """What a round of at most `most` proposals made that is worth judging, each with its parent.

        Left out is what is built on already, what was judged enough, and the same in other words.
        """
        jobs = self._jobs(most, stuck)
        self._round += 1
        if not jobs:
            return {}
        contest = self._contest
        # one first, so that what the others share (rollouts of the parent) is there
        first = await self._made(jobs[0])
        answers = [first, *await together(self._made(job) for job in jobs[1:])]
        children: dict[Candidate, Candidate] = {}
        told: set[tuple[frozenset[str], Candidate]] = set()
        for job, found in zip(jobs, answers, strict=True):
            fresh = [one for one in found if one not in contest.pool.members and contest.open(one)]
            for one in fresh:
                said = contest.gate.content(job.parent, one)
                if not said or (said, job.parent) not in told:
                    told.add((said, job.parent))
                    children.setdefault(one, job.parent)
            if not fresh:
                contest.portfolio.told(job.operator.name, 0.0)
        contest.portfolio.age()
        return children

    async def _made(self, job: _Job) -> list[Candidate]:
        return await proposals(job.operator, self._contest.study, job.parent, job.number)

    def _jobs(self, most: int, stuck: bool) -> list[_Job]:
        """One kind of change that cannot be judged on what it is about for every eight edits, and at least one."""
        contest, study, pool = self._contest, self._contest.study, self._contest.pool
        best = pool.best()
        rng = study.rng(f"auto {self._round}")
        jobs: list[_Job] = []
        for number in range(most):
            aside = stuck and number % 2 == 0 and len(pool.members) > 2
            parent = pool.specialist(rng) if aside else best
            operator = contest.portfolio.draw(study, parent, rng)
            wide = sum(job.operator.name != ReflectEdit.name for job in jobs)
            if operator is not None and operator.name != ReflectEdit.name and wide >= max(1, most // 8):
                operator = self._edits if self._edits is not None and self._edits.applies(study, parent) else None
            if operator is not None:
                jobs.append(_Job(operator, parent, self._round * self.parallel + number))
        return jobs

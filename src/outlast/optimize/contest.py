"""What becomes of the candidates that a search judges: which are built on, and what its operators learn of that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from outlast.optimize.gate import Gate
from outlast.optimize.operators.merge import merged
from outlast.optimize.pool import Pool
from outlast.optimize.texts import together

if TYPE_CHECKING:
    from outlast.optimize.candidate import Candidate
    from outlast.optimize.portfolio import Portfolio
    from outlast.optimize.study import Study

_LIKELY = 0.6  # posterior chance of being better from which a candidate is built on
_TRIES = 3  # judgements of one edit, each on other failures


class Contest:
    """Judges candidates by a `gate` and by races in a `pool`, and tells the portfolio which operators' were built on.

    `width` is how many selection examples a race runs on, and `left` says how many rollouts may still be run.
    """

    def __init__(self, study: Study, portfolio: Portfolio, left: Callable[[], float]) -> None:
        self.study = study
        self.portfolio = portfolio
        self.left = left
        self.pool = Pool(study)
        self.gate = Gate(study, self.pool)
        self.width = 0
        self._judged = Counter["Candidate"]()

    def open(self, one: Candidate) -> bool:
        """Whether a candidate may be judged: once, an edit that other failures suggest again a few times."""
        return self._judged[one] < (_TRIES if self.gate.narrow(one) else 1)

    async def scores(self, children: Mapping[Candidate, Candidate]) -> list[float]:
        """How far each child is ahead of its parent at the gate, in order."""
        jobs = [self.gate.score(child, parent, before=self._judged[child]) for child, parent in children.items()]
        return await together(jobs)

    async def race(self, best: Candidate, some: Sequence[Candidate]) -> bool:
        """Race all of these, merged, against the best so far; the foremost alone when that fails.

        True when one of the two is built on.
        """
        everything = merged(self.study, [*some, best])
        for entry in dict.fromkeys([everything, some[0]]):
            if self.pool.cost([entry, best], self.width) > self.left():
                break
            await self.pool.measure([entry, best], self.width)
            if self.gate.gain(entry, best).chance > _LIKELY:
                for child in some:
                    self.settle(child, entry == everything or child == entry)
                self.study.judged(entry, accepted=True)
                self.pool.add(entry)
                return True
        for child in some:
            self.settle(child, False)
        return False

    def settle(self, child: Candidate, good: bool) -> None:
        """Note what became of a candidate."""
        self._judged[child] += 1
        self.study.judged(child, accepted=good)
        self.portfolio.told(child.operator, float(good))

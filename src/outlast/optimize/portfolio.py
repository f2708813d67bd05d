"""A portfolio of operators: which one to use next, learnt from what each has brought."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from outlast.optimize.candidate import Candidate
    from outlast.optimize.operators.protocol import Operator
    from outlast.optimize.study import Study

HEDGE = 0.15  # of the draws are uniform, so that bad luck at the start costs a constant only


@dataclass(slots=True)
class Record:
    """What an operator has brought: attempts that made nothing or something worse, and those that were built on."""

    tried: int = 0
    helped: float = 0.0


@dataclass(slots=True)
class Portfolio:
    """Draws operators by Thompson sampling: each one's chance to help has a Beta posterior.

    `prior` are successes that an operator is granted to begin with. Old results fade (by `fade` a round), because what
    helped at first may have no more to give.
    Source: Thompson 1933; discounted as in Garivier and Moulines 2011.
    """

    operators: Sequence[Operator]
    fade: float = 0.9
    prior: Mapping[str, float] = field(default_factory=dict[str, float])
    records: dict[str, Record] = field(default_factory=dict[str, Record])
    _weights: dict[str, list[float]] = field(default_factory=dict[str, list[float]])

    def draw(self, study: Study, parent: Candidate, rng: Random) -> Operator | None:
        """One that applies to this parent, None when none does."""
        usable = [one for one in self.operators if one.applies(study, parent)]
        if not usable:
            return None
        if rng.random() < HEDGE:
            return rng.choice(usable)
        return max(usable, key=lambda one: rng.betavariate(*self._beta(one)))

    def told(self, operator: str, helped: float) -> None:
        """What an attempt came to, from 0 (nothing) to 1 (built on)."""
        record = self.records.setdefault(operator, Record())
        record.tried += 1
        record.helped += helped
        weights = self._weights.setdefault(operator, [1.0, 1.0])
        weights[0] += helped
        weights[1] += 1 - helped

    def age(self) -> None:
        """A round has passed."""
        for weights in self._weights.values():
            weights[:] = [1 + (weight - 1) * self.fade for weight in weights]

    def _beta(self, operator: Operator) -> tuple[float, float]:
        alpha, beta = self._weights.get(operator.name, (1.0, 1.0))
        return alpha + self.prior.get(operator.name, 0.0), beta

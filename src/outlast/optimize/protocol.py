"""What an optimizer is: a search policy over a study."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from outlast.optimize.candidate import Candidate

if TYPE_CHECKING:
    from outlast.optimize.study import Study


class Optimizer(ABC):
    """Proposes candidates to a study and says which one it would ship. It never runs or changes programs itself.

    The study remembers every result by content, so running the same search again is resuming it: a search must
    make the same proposals for the same seed and results (draw random numbers from `study.rng(name)` only).
    """

    @abstractmethod
    async def search(self, study: Study) -> Candidate:
        """Search until done; gives the candidate to confirm. `BudgetExceeded` passes through it unhandled."""

    @abstractmethod
    def rollouts(self, train: int, select: int) -> int:
        """The most rollouts that a search costs with this many training and selection examples."""

"""What an operator is: one way to make new candidates out of a candidate."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from outlast.optimize.protocol import described

if TYPE_CHECKING:
    from outlast.optimize.candidate import Candidate
    from outlast.optimize.study import Study


class Operator(ABC):
    """Makes candidates; never judges them. A frozen dataclass whose fields are its options.

    It may run rollouts (`study.evaluate`) and ask proposers (`study.ask`), and nothing else costs anything. Candidates
    come from `study.propose(..., parent=parent, operator=self.name, cause=...)`. The same study, parent and number give
    the same candidates: random numbers come from `study.rng(f"{self.name} {parent.id} {number}")` only.
    """

    name: ClassVar[str]

    def applies(self, study: Study, parent: Candidate) -> bool:
        """Whether it can do anything to this candidate now. Free."""
        return True

    @abstractmethod
    async def propose(self, study: Study, parent: Candidate, number: int) -> list[Candidate]:
        """New candidates out of `parent`, best guess first; empty when it found none.

        `number` counts the attempts on this parent from 0, so that another attempt can be another proposal.
        """

    def describe(self) -> dict[str, Any]:
        """Name and options, JSON-ready."""
        return described(self, "operator")

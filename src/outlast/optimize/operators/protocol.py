"""What an operator is: one way to make new candidates out of a candidate."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar, cast

from outlast.errors import UsageError, brief
from outlast.optimize.candidate import Candidate
from outlast.optimize.protocol import described

if TYPE_CHECKING:
    from outlast.optimize.study import Study


def unnamed(operators: Iterable[Operator]) -> UsageError | None:
    """The error for an operator without a name, if there is one."""
    for one in operators:
        name: object = getattr(one, "name", None)
        if not isinstance(name, str) or not name:
            kind = type(one).__name__
            return UsageError(
                f"an operator has a name, which candidates and reports tell; {kind} has {brief(name)}. Write "
                f"`name: ClassVar[str] = {kind.lower()!r}` in the class."
            )
    return None


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


async def proposals(operator: Operator, study: Study, parent: Candidate, number: int) -> list[Candidate]:
    """What an operator makes; raises `UsageError` when that is no list of candidates."""
    found: Any = await operator.propose(study, parent, number)
    if not isinstance(found, list) or not all(isinstance(one, Candidate) for one in cast("list[object]", found)):
        raise UsageError(f"propose(...) of {type(operator).__name__} gives a list of candidates; got {brief(found)}")
    return cast("list[Candidate]", found)

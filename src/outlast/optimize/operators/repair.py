"""`Repair`: what is wrong with a start on its face, mended at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from outlast.optimize.operators.format import DropHints
from outlast.optimize.operators.order import OutputOrder
from outlast.optimize.operators.structure import Guess, Structural

if TYPE_CHECKING:
    from outlast.optimize.candidate import Candidate
    from outlast.optimize.study import Study


@dataclass(frozen=True, slots=True)
class Repair(Structural):
    """The first guesses of `DropHints` and `OutputOrder` together, for all modules at once.

    Either may help only beside the other: reasons first, and no word that keeps the model from giving them. Where only
    one of the two has a guess there is nothing to put together, and this has none.
    """

    name: ClassVar[str] = "repair"

    def guesses(self, study: Study, parent: Candidate) -> Iterator[Guess]:
        """One guess."""
        changes: dict[str, Any] = {}
        origins: list[str] = []
        for operator in (DropHints(), OutputOrder()):
            first = next(iter(operator.guesses(study, parent)), None)
            if first is None:
                return
            changes |= first.changes
            origins.append(first.origin)
        yield Guess(changes, "; ".join(origins))

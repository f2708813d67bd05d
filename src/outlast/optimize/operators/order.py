"""`OutputOrder`: what the model writes first, the rest can build on."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from outlast.data.example import targets_of
from outlast.optimize.operators.structure import Guess, Structural, modules_with, together_and_apart
from outlast.signatures.codec import codecs
from outlast.signatures.ordering import as_order, ordered

if TYPE_CHECKING:
    from outlast.modules.predict import Predict
    from outlast.optimize.candidate import Candidate
    from outlast.optimize.study import Study

_FEW = 3  # outputs up to which all orders are tried
_REASONS = re.compile(
    r"reason|rational|think|thought|analys|explan|explain|why|evidence|justif|critique|plan|step|work|scratch|draft"
    r"|observ|consider|argument|deliberat",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class OutputOrder(Structural):
    """Ask for the outputs of modules in another order.

    First what the answer can be built on: outputs that the data do not name before those that they do, texts before
    what is one of a few, a number or yes and no, reasons before other texts. Then that the other way round, and with
    at most three outputs every other order. All modules at once, then each alone. A field that a strategy adds stays
    where it is.
    Source: a seed that asks for the answer before the reasoning caps what any instruction can reach (VISTA, 2026,
    arXiv 2603.18388).
    """

    name: ClassVar[str] = "order"

    def guesses(self, study: Study, parent: Candidate) -> Iterable[Guess]:
        """Orders that differ from the one that the parent has."""
        graded = {name for example in study.train for name in targets_of(example)}
        found = {path: _orders(part, graded) for path, part in modules_with(study, parent, "order").items()}
        return together_and_apart(found, "order of outputs")


def _orders(part: Predict[..., Any], graded: set[str]) -> list[tuple[str, ...]]:
    """Orders to try for a module, best first."""
    asked, declared = part.asked(), part.signature.outputs
    now = tuple(name for name in ordered(asked, part.order).outputs if name in declared)
    if len(now) < 2:
        return []
    table = codecs(asked)

    def rank(name: str) -> tuple[bool, int]:
        codec = table[name]
        free = codec.style == "text"
        closed = codec.style == "choice" or codec.base in (bool, int, float)
        return name in graded, 0 if free and _REASONS.search(name) else 1 if free else 3 if closed else 2

    best = tuple(sorted(now, key=rank))
    every = [best, tuple(reversed(best)), *(itertools.permutations(best) if len(now) <= _FEW else ())]
    orders = [as_order(one, part.signature, asked) for one in dict.fromkeys(every) if one != now]
    return list(dict.fromkeys(orders))

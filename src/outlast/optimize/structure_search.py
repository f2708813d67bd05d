"""`StructureSearch`: outputs in another order, other formats and strategies, without a word from a proposer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from outlast.errors import UsageError, brief
from outlast.optimize.candidate import Candidate
from outlast.optimize.operators.format import AdapterChoice, DropHints
from outlast.optimize.operators.order import OutputOrder
from outlast.optimize.operators.protocol import Operator, unnamed
from outlast.optimize.operators.strategy import StrategyChoice
from outlast.optimize.protocol import Optimizer, must_have
from outlast.optimize.race import lag
from outlast.optimize.study import Study
from outlast.optimize.texts import whole_numbers

_AS_GOOD = 0.25  # standard errors behind the winner


@dataclass(frozen=True, slots=True)
class StructureSearch(Optimizer):
    """Race the guesses of structural operators, build on the winner, and again, until nothing is ahead any more.

    The first guesses of the operators are raced on top of each other too, since one may help only beside another: with
    the reasoning first and no word against it. Of those that are as good as the winner (a quarter of a standard error)
    the one with the fewest changes counts. `operators` None are `DropHints`, `OutputOrder`, `StrategyChoice` and
    `AdapterChoice`; operators that ask a proposer may be among them. At most `rounds` rounds. Cost: at most (guesses +
    operators) rollouts for each selection example and round; a race takes about half of that. No proposals unless an
    operator makes them.
    Source: racing, Maron and Moore 1994; structure beside words, Zhou et al. 2025 (MASS, arXiv 2502.02533).
    """

    operators: Sequence[Operator] | None = None
    rounds: int = 3

    def __post_init__(self) -> None:
        whole_numbers(self, rounds=1)
        given: Any = self.operators
        if given is None:
            return
        if not isinstance(given, list | tuple) or not given or not all(isinstance(one, Operator) for one in given):  # pyright: ignore[reportUnknownVariableType]
            raise UsageError(f"StructureSearch(operators=...) is a list such as [OutputOrder()]; got {brief(given)}")
        if error := unnamed(given):  # pyright: ignore[reportUnknownArgumentType]
            raise error

    def rollouts(self, train: int, select: int) -> int:
        """Every guess of every operator, and the start program, on every selection example, in every round."""
        operators = self.operators or structural()
        guesses = sum(getattr(one, "most", 1) for one in operators) + len(operators) - 1
        return select * (1 + self.rounds * guesses)

    def check(self, study: Study) -> None:
        """Raise `UsageError` when nothing may change; given no `operators`, when there is no structure that may."""
        Optimizer.check(self, study)
        if self.operators is None:
            able = [one for one in structural() if one.applies(study, study.start)]
            must_have(self, study, "the order of outputs, formats and strategies", able)

    async def search(self, study: Study) -> Candidate:
        """The winner of the last race."""
        best = study.start
        for _ in range(self.rounds):
            found = await structural_guesses(study, best, self.operators or structural())
            if not found:
                break
            winner = _simplest(study, await study.race([best, *found]))
            if winner == best:
                break
            best = winner
        return best


def structural() -> list[Operator]:
    """The operators that ask nobody, the likeliest to help first."""
    return [DropHints(), OutputOrder(), StrategyChoice(), AdapterChoice()]


def _simplest(study: Study, ranked: Sequence[Candidate]) -> Candidate:
    close = [one for one in ranked if one == ranked[0] or lag(study, one, ranked[0]) <= _AS_GOOD]
    return min(close, key=lambda one: len(one.changes))


async def structural_guesses(study: Study, parent: Candidate, operators: Sequence[Operator]) -> list[Candidate]:
    """What the operators would change, the likeliest to help first: the first guesses of all on top of each other, one
    more each time; the first guess of each alone; then the others. Costs what the operators cost."""
    chain: list[Candidate] = []
    alone: list[list[Candidate]] = []
    top = parent
    for operator in operators:
        own = await operator.propose(study, parent, 0) if operator.applies(study, parent) else []
        alone.append(own)
        if own:
            above = await operator.propose(study, top, 0) if top != parent else own
            top = above[0] if above else top
            chain.append(top)
    first = [own[0] for own in alone if own]
    rest = [one for own in alone for one in own[1:]]
    together = [one for one in chain if one not in first]
    every = dict.fromkeys([*together[:1], *first, *together[1:], *rest])
    return [one for one in every if one not in (parent, study.start)]

"""`ParamSearch`: declared numbers and choices, spread out first and then near the best."""

from __future__ import annotations

from dataclasses import dataclass

from outlast.errors import UsageError
from outlast.optimize.candidate import Candidate
from outlast.optimize.operators.tune import Tune, at, in_words, tunable_spaces
from outlast.optimize.protocol import Optimizer
from outlast.optimize.study import Study


@dataclass(frozen=True, slots=True)
class ParamSearch(Optimizer):
    """Race `candidates` settings of the parameters that were declared with a space, texts aside, and the start.

    Half of them are spread over the space so that each parameter is seen all along its range (a Latin hypercube); the
    others are steps away from the best so far, in two rounds. Cost: at most (candidates + 1) rollouts for each
    selection example; a race of many takes about half of that. No LM call of its own.
    Source: Latin hypercubes, McKay, Beckman and Conover 1979; racing, Maron and Moore 1994.
    """

    candidates: int = 24

    def __post_init__(self) -> None:
        if isinstance(self.candidates, bool) or not isinstance(self.candidates, int) or self.candidates < 1:
            raise UsageError(f"ParamSearch(candidates=...) is a whole number from 1; got {self.candidates!r}")

    def rollouts(self, train: int, select: int) -> int:
        """Every candidate and the start on every selection example."""
        return (self.candidates + 1) * select

    def check(self, study: Study) -> None:
        """Raise `UsageError` when no number and no choice is declared that may change."""
        if not tunable_spaces(study):
            raise UsageError(
                "ParamSearch needs a number or a choice to search: declare one with a space, such as "
                "ol.param(ol.Float(0, 1)) or optimize(params={'top_k': ol.Int(1, 20)})"
            )

    async def search(self, study: Study) -> Candidate:
        """The best candidate of the races."""
        self.check(study)
        entries = [study.start, *self._spread(study, (self.candidates + 1) // 2)]
        ranked = await study.race(entries)
        tune, left = Tune(), self.candidates - (self.candidates + 1) // 2
        for turn in range(2):
            count = left // 2 if turn == 0 else left - left // 2
            found: list[Candidate] = []
            for number in range(count):
                parent = ranked[0] if number % 3 < 2 or len(ranked) == 1 else ranked[1]
                found += await tune.propose(study, parent, 1000 * turn + number)
            fresh = [one for one in found if one not in ranked]
            if fresh:
                ranked = await study.race([study.start, ranked[0], *fresh])
        return ranked[0]

    def _spread(self, study: Study, count: int) -> list[Candidate]:
        """Settings that together see every parameter all along its space."""
        rng = study.rng("spread")
        shares: dict[str, list[float]] = {}
        for path in tunable_spaces(study):
            places = [(place + rng.random()) / count for place in range(count)]
            rng.shuffle(places)
            shares[path] = places
        spaces = tunable_spaces(study)
        found: list[Candidate] = []
        for number in range(count):
            changes = {path: at(spaces[path], places[number]) for path, places in shares.items()}
            found.append(study.propose(changes, origin=in_words(changes), operator="spread"))
        return found

"""What the rollouts of a search came to: by candidate and part of the data, and who leads because of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from outlast.data.example import Example, id_of
from outlast.errors import UsageError
from outlast.optimize.candidate import Candidate, Outcome
from outlast.optimize.race import Tally, shrunken_gain
from outlast.optimize.vectors import Item, items_of

Part = Literal["select", "train"]


class Results:
    """Every rollout that a search has used so far.

    `outcomes` are all of them, `calls` what they cost from scratch, whenever and by whichever run they were paid.
    """

    def __init__(self, train: Sequence[Example], select: Sequence[Example]) -> None:
        self.outcomes: list[Outcome] = []
        self.calls = 0
        self._examples = {id_of(example): example for example in (*train, *select)}
        self._places = {
            name: {id_of(example): number for number, example in enumerate(part)}
            for name, part in (("select", select), ("train", train))
        }
        self._tallies: dict[str, dict[str, Tally]] = {"select": {}, "train": {}}
        self._by_candidate: dict[str, list[Outcome]] = {}
        self._dropped: set[str] = set()

    def add(self, outcome: Outcome) -> None:
        """Take in a rollout, once."""
        self.outcomes.append(outcome)
        self.calls += outcome.calls
        self._by_candidate.setdefault(outcome.candidate, []).append(outcome)
        for part, tallies in self._tallies.items():
            if outcome.example in self._places[part]:
                tallies.setdefault(outcome.candidate, Tally()).add(outcome)

    def tally(self, candidate: Candidate, part: Part) -> Tally:
        """The values of a candidate on a part of the data, as far as it was run on it."""
        return self._tallies[part].get(candidate.id) or Tally()

    def outcomes_of(self, candidate: Candidate, part: Part) -> list[Outcome]:
        """The outcomes of a candidate on a part of the data, in the order of the data."""
        place = self._places[part]
        found = [outcome for outcome in self._by_candidate.get(candidate.id, ()) if outcome.example in place]
        return sorted(found, key=lambda outcome: (place[outcome.example], outcome.sample))

    def items(self, candidate: Candidate) -> dict[str, Item]:
        """Score and costs of a candidate on each selection example that it was run on, by the example's id."""
        return items_of(self.outcomes_of(candidate, "select"))

    def knows(self, key: str) -> bool:
        """Whether a training or selection example has this id."""
        return key in self._examples

    def example(self, key: str) -> Example:
        """A training or selection example by its id. Raises `UsageError` for another one."""
        found = self._examples.get(key)
        if found is None:
            raise UsageError(f"no training or selection example has the id {key!r}")
        return found

    def drop(self, candidate: Candidate) -> None:
        """This one cannot win any more."""
        self._dropped.add(candidate.id)

    def in_race(self, candidate: Candidate) -> bool:
        """Whether it may still win: not dropped, and no teacher."""
        return candidate.may_win and candidate.id not in self._dropped

    def contenders(self, known: Iterable[Candidate], able: Callable[[Candidate], bool]) -> list[Candidate]:
        """Those of the `known` candidates that were ranked and may still win, as far as they are `able` to; in the
        order in which they were first run."""
        by_id = {candidate.id: candidate for candidate in known}
        ranked = [by_id[key] for key in self._tallies["select"]]
        return [one for one in ranked if self.in_race(one) and able(one)]

    def leader(self, known: Sequence[Candidate], able: Callable[[Candidate], bool]) -> Candidate:
        """The contender with the best gain over the start, which comes first of the `known` ones; see `Study.leader`.
        Of equals the one that was proposed first."""
        tallies, start = self._tallies["select"], known[0]
        base = self.tally(start, "select").values
        every = [value for tally in tallies.values() for value in tally.values.values()]
        pooled = math.fsum(every) / len(every) if every else 0.0
        order = {candidate.id: number for number, candidate in enumerate(known)}
        best, most = start, 0.0
        for one in self.contenders(known, able):
            gain = shrunken_gain(tallies[one.id], base, pooled)
            if gain > most or (gain == most > 0 and order[one.id] < order[best.id]):
                best, most = one, gain
        return best

"""Trials of combinations: on minibatches, as a sampler asks for them, and the best of those on all examples."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from outlast.data.example import Example
    from outlast.optimize.candidate import Candidate
    from outlast.optimize.study import Study
    from outlast.optimize.tpe import Sampler

Choices = Mapping[str, Sequence[Mapping[str, Any]]]  # by dimension: the changes of each choice, none first

_AGAIN = 5  # questions to the sampler for a combination that is new on a minibatch


class Trials:
    """The combinations tried so far: what the sampler was told, and which were run on all selection examples."""

    def __init__(self, study: Study, choices: Choices, by: Sampler) -> None:
        self._study = study
        self._choices = choices
        self._sampler = by
        self._points: dict[Candidate, dict[str, int]] = {}
        self._scores: dict[Candidate, list[float]] = {}
        self._full: list[Candidate] = [study.start]
        self._run: set[tuple[tuple[tuple[str, int], ...], int]] = set()

    async def run(self, batch: Sequence[Example]) -> None:
        """One trial on a minibatch, of a combination that was not run on it yet where the sampler has one."""
        point = self._sampler.ask()
        for _ in range(_AGAIN):
            if (tuple(point.items()), id(batch)) not in self._run:
                break
            point = self._sampler.ask()
        self._run.add((tuple(point.items()), id(batch)))
        changes = {path: value for name, at in point.items() for path, value in self._choices[name][at].items()}
        chosen = ", ".join(f"{name} {at}" for name, at in point.items())
        made = self._study.propose(changes, origin=f"combination of {chosen}", operator="mipro")
        await self._study.evaluate(made, batch)
        self.told(point, made, batch)

    def told(self, point: dict[str, int], candidate: Candidate, batch: Sequence[Example]) -> None:
        """Tell the sampler how much better than the start a combination was on these examples."""
        keys = [self._study.key_of(example) for example in batch]
        ours, base = (self._study.tally(one).values for one in (candidate, self._study.start))
        shared = [key for key in keys if key in ours and key in base]
        score = math.fsum(ours[key] - base[key] for key in shared) / max(1, len(shared))
        self._sampler.tell(point, score)
        self._points[candidate] = point
        self._scores.setdefault(candidate, []).append(score)

    async def run_best(self) -> None:
        """Run the combination with the best mean of trials, of those that were not yet, on all selection examples."""
        waiting = [one for one in self._scores if one not in self._full]
        if waiting:
            chosen = max(waiting, key=lambda one: math.fsum(self._scores[one]) / len(self._scores[one]))
            await self._study.evaluate(chosen, self._study.select)
            self._full.append(chosen)
            self.told(self._points[chosen], chosen, self._study.select)
            self._study.mark(self.best())

    def best(self) -> Candidate:
        """The best of those that were run on all selection examples; of equals the earlier one."""
        return max(self._full, key=lambda one: self._study.tally(one).mean)

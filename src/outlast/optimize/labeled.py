"""`LabeledFewShot`: labelled examples as demonstrations, without asking any model."""

from __future__ import annotations

from dataclasses import dataclass

from outlast.data.example import Example
from outlast.errors import UsageError
from outlast.optimize.candidate import Candidate
from outlast.optimize.choosing import cover
from outlast.optimize.demos import changes_for, labeled_demos, labels_for
from outlast.optimize.harvest import harvest
from outlast.optimize.protocol import Optimizer, must_have
from outlast.optimize.study import Study


@dataclass(frozen=True, slots=True)
class LabeledFewShot(Optimizer):
    """Show up to `k` labelled training examples to every predictor, drawn by the study's seed.

    With `cover=True` they are not drawn but chosen to be near to all training inputs and to have every label, and those
    whose neighbours contradict their label are left out (see `harvest`).

    Predictors for which the data holds no output keep the demonstrations they have, and so do those that were written
    by hand: they stay in front. Cost of the search: no LM call. Source: few-shot prompting, Brown et al. 2020
    (arXiv 2005.14165); coverage, see `choosing.cover`.
    """

    k: int = 16
    cover: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.k, int) or self.k < 1:
            raise UsageError(f"LabeledFewShot(k=...) is a whole number from 1; got {self.k!r}")

    def rollouts(self, train: int, select: int) -> int:
        """None."""
        return 0

    def check(self, study: Study) -> None:
        """Raise `UsageError` when no demonstrations may change, or the data have none."""
        must_have(self, study, "demonstrations that the labels of the data make", labels_for(study))

    async def search(self, study: Study) -> Candidate:
        """The start program with demonstrations."""
        examples = list(study.train)
        study.rng("labeled").shuffle(examples)
        shown = self._covering(study) if self.cover else examples[: self.k]
        changes = changes_for(study.program, labeled_demos(study.program, shown), study.locked)
        return study.propose(changes, origin=f"{len(shown)} labelled examples")

    def _covering(self, study: Study) -> list[Example]:
        """The examples that cover the training data; the one of most use last."""
        shelf = harvest(study)
        goals = shelf.similar[:: max(1, len(shelf.rows) // 200)]
        places = cover(goals, self.k, allowed=shelf.trusted, worth=shelf.worth, groups=shelf.groups)
        return [study.example(shelf.rows[place].example) for place in reversed(places)]

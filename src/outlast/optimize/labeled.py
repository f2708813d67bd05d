"""`LabeledFewShot`: labelled examples as demonstrations, without asking any model."""

from __future__ import annotations

from dataclasses import dataclass

from outlast.errors import UsageError
from outlast.optimize.candidate import Candidate
from outlast.optimize.demos import changes_for, labeled_demos
from outlast.optimize.protocol import Optimizer
from outlast.optimize.study import Study


@dataclass(frozen=True, slots=True)
class LabeledFewShot(Optimizer):
    """Show up to `k` labelled training examples to every predictor, drawn by the study's seed.

    Cost of the search: no LM call. Source: few-shot prompting, Brown et al. 2020 (arXiv 2005.14165).
    """

    k: int = 16

    def __post_init__(self) -> None:
        if self.k < 1:
            raise UsageError(f"LabeledFewShot(k=...) is at least 1; got {self.k!r}")

    def rollouts(self, train: int, select: int) -> int:
        """None."""
        return 0

    async def search(self, study: Study) -> Candidate:
        """The start program with demonstrations."""
        examples = list(study.train)
        study.rng("labeled").shuffle(examples)
        demos = labeled_demos(study.program, examples[: self.k])
        chosen = {path: tuple(some) for path, some in demos.items() if some}
        return study.propose(changes_for(chosen), origin=f"{self.k} labelled examples", parent=study.start)

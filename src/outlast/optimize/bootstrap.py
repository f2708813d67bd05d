"""`BootstrapFewShot`: demonstrations from the program's own answers that the metric accepted."""

from __future__ import annotations

from dataclasses import dataclass

from outlast.errors import UsageError
from outlast.modules.module import Module
from outlast.optimize.candidate import Candidate
from outlast.optimize.demos import bootstrapped_demos, changes_for, filled_up, free_demos, labels_for, teacher_candidate
from outlast.optimize.protocol import Optimizer, must_have
from outlast.optimize.study import Study


@dataclass(frozen=True, slots=True)
class BootstrapFewShot(Optimizer):
    """Run a teacher over the training examples, keep what scores `threshold` or more, show it as demonstrations.

    Up to `max_bootstrapped` demos for each predictor come from passing rollouts, inner steps and reasoning included;
    labelled examples fill up to `max_demos`. The teacher is the start program with `max_labeled_teacher` labelled
    demos, on which it is not asked itself, or `teacher`: a program with modules at the same paths, with its own model
    if it names one. Demonstrations written by hand stay in front. Cost: at most one rollout for each training example.
    Source: Khattab et al. 2023, DSPy (arXiv 2310.03714), section 4.
    """

    max_bootstrapped: int = 4
    max_demos: int = 16
    max_labeled_teacher: int = 16
    threshold: float = 1.0
    teacher: Module | None = None

    def __post_init__(self) -> None:
        if self.max_bootstrapped < 0 or self.max_demos < 1 or self.max_labeled_teacher < 0:
            raise UsageError("BootstrapFewShot takes max_bootstrapped >= 0, max_demos >= 1, max_labeled_teacher >= 0")

    def rollouts(self, train: int, select: int) -> int:
        """One for each training example."""
        return train if self.max_bootstrapped else 0

    def check(self, study: Study) -> None:
        """Raise `UsageError` when no demonstrations may change, or none are bootstrapped and the data have none."""
        must_have(self, study, "demonstrations", free_demos(study) if self.max_bootstrapped else labels_for(study))

    async def search(self, study: Study) -> Candidate:
        """The start program with bootstrapped and labelled demonstrations."""
        examples = list(study.train)
        study.rng("bootstrap").shuffle(examples)
        count = 0 if self.teacher is not None else min(self.max_labeled_teacher, len(examples) // 2)
        teacher = teacher_candidate(study, self.teacher, examples[:count])
        # What the teacher was shown it is not asked about: its answer would be a copy of the label.
        passed = await bootstrapped_demos(
            study, teacher, examples[count:], threshold=self.threshold, needed=self.max_bootstrapped
        )
        chosen = filled_up(study.program, passed, examples, self.max_demos)
        origin = f"{len(passed)} bootstrapped demos, labelled ones up to {self.max_demos}"
        return study.propose(changes_for(study.program, chosen, study.locked), origin=origin)

"""`BootstrapFewShot`: demonstrations from the program's own answers that the metric accepted."""

from __future__ import annotations

from dataclasses import dataclass

from outlast.errors import UsageError
from outlast.modules.module import Module
from outlast.optimize.candidate import Candidate
from outlast.optimize.demos import bootstrapped_demos, changes_for, labeled_demos
from outlast.optimize.protocol import Optimizer
from outlast.optimize.study import Study


@dataclass(frozen=True, slots=True)
class BootstrapFewShot(Optimizer):
    """Run a teacher over the training examples, keep what passes the metric, show it as demonstrations.

    Up to `max_bootstrapped` demos for each predictor come from passing rollouts, inner steps and reasoning included;
    labelled examples fill up to `max_demos`. The teacher is the start program with `max_labeled_teacher` labelled
    demos, or `teacher`, a program with the same paths. Cost: at most one rollout for each training example.
    Source: Khattab et al. 2023, DSPy (arXiv 2310.03714), section 4.
    """

    max_bootstrapped: int = 4
    max_demos: int = 16
    max_labeled_teacher: int = 16
    teacher: Module | None = None

    def __post_init__(self) -> None:
        if self.max_bootstrapped < 0 or self.max_demos < 1 or self.max_labeled_teacher < 0:
            raise UsageError("BootstrapFewShot takes max_bootstrapped >= 0, max_demos >= 1, max_labeled_teacher >= 0")

    def rollouts(self, train: int, select: int) -> int:
        """One for each training example."""
        return train if self.max_bootstrapped else 0

    async def search(self, study: Study) -> Candidate:
        """The start program with bootstrapped and labelled demonstrations."""
        examples = list(study.train)
        study.rng("bootstrap").shuffle(examples)
        teacher = teacher_candidate(study, self.teacher, examples[: self.max_labeled_teacher])
        # What the teacher was shown it is not asked about: its answer would be a copy of the label.
        asked = examples if self.teacher is not None else examples[self.max_labeled_teacher :]
        passed = await bootstrapped_demos(study, teacher, asked, needed=self.max_bootstrapped)
        labeled = labeled_demos(study.program, examples)
        chosen = {}
        for path, some in labeled.items():
            own = [demos[path] for demos in passed if path in demos]
            used = {demo.source.split(" ")[1] for demo in own}
            fill = [demo for demo in some if demo.source.split(" ")[1] not in used]
            chosen[path] = tuple([*own, *fill][: self.max_demos])
        origin = f"{len(passed)} bootstrapped demos, labelled ones up to {self.max_demos}"
        return study.propose(changes_for(chosen), origin=origin, parent=study.start)


def teacher_candidate(study: Study, teacher: Module | None, shown: list[object]) -> Candidate:
    """The program that bootstraps: the one given, or the start program with labelled demonstrations."""
    if teacher is not None:
        return study.adopt(teacher, origin="the teacher given")
    demos = labeled_demos(study.program, shown)  # type: ignore[arg-type]
    filled = {path: tuple(some) for path, some in demos.items() if some}
    if not filled:
        return study.start
    return study.propose(changes_for(filled), origin=f"teacher with {len(shown)} labelled demos", parent=study.start)

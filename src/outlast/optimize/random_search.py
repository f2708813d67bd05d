"""`RandomSearch`: many sets of demonstrations, raced on shared examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from outlast.adapters.protocol import Demo
from outlast.errors import UsageError
from outlast.modules.module import Module
from outlast.optimize.candidate import Candidate
from outlast.optimize.demos import bootstrapped_demos, changes_for, example_of, labeled_demos, teacher_candidate
from outlast.optimize.protocol import Optimizer
from outlast.optimize.study import Study


@dataclass(frozen=True, slots=True)
class RandomSearch(Optimizer):
    """Draw `candidates` sets of demonstrations and race them, and the start program, on the selection examples.

    Each set mixes demos bootstrapped from rollouts of a teacher that score `threshold` or more (as `BootstrapFewShot`;
    `bootstrap=False` does without) with labelled ones, in random number (up to `max_demos`, weighted towards many),
    choice and order; every predictor sees the same examples. A race evaluates all on blocks of shared examples and
    drops those that are clearly behind. Cost: at most one rollout for each training example and (candidates + 1) for
    each selection example; a race of many examples takes about half of that.
    Source: random search over bootstrapped demos, Khattab et al. 2023 (arXiv 2310.03714); racing, Maron and Moore 1994.
    """

    candidates: int = 16
    max_demos: int = 16
    max_labeled_teacher: int = 16
    bootstrap: bool = True
    threshold: float = 1.0
    teacher: Module | None = None

    def __post_init__(self) -> None:
        if self.candidates < 1 or self.max_demos < 1 or self.max_labeled_teacher < 0:
            raise UsageError("RandomSearch takes candidates >= 1, max_demos >= 1, max_labeled_teacher >= 0")

    def rollouts(self, train: int, select: int) -> int:
        """The bootstrap and every candidate on every selection example."""
        return (train if self.bootstrap else 0) + (self.candidates + 1) * select

    async def search(self, study: Study) -> Candidate:
        """The best candidate of the race."""
        examples = list(study.train)
        study.rng("order").shuffle(examples)
        passed: list[dict[str, Demo]] = []
        if self.bootstrap:
            count = 0 if self.teacher is not None else min(self.max_labeled_teacher, len(examples) // 2)
            teacher = teacher_candidate(study, self.teacher, examples[:count])
            passed = await bootstrapped_demos(study, teacher, examples[count:], threshold=self.threshold)
        labeled = {
            path: {example_of(demo): demo for demo in some}
            for path, some in labeled_demos(study.program, examples).items()
        }
        entries = [study.start]
        for number in range(self.candidates):
            entries.append(self._draw(study, number, passed, labeled))
        return (await study.race(entries))[0]

    def _draw(
        self,
        study: Study,
        number: int,
        passed: Sequence[Mapping[str, Demo]],
        labeled: Mapping[str, Mapping[str, Demo]],
    ) -> Candidate:
        """One set of demonstrations. Demos of one example stay together over all predictors."""
        rng = study.rng(f"set {number}")
        size = max(1, round(self.max_demos * max(rng.random(), rng.random())))
        share = rng.random() if passed else 0.0
        kept = rng.sample(list(passed), min(len(passed), round(size * share)))
        used = {example_of(demo) for demos in kept for demo in demos.values()}
        known = dict.fromkeys(example for demos in labeled.values() for example in demos)
        free = [example for example in known if example not in used]
        filled = rng.sample(free, min(len(free), size - len(kept)))
        rows = [*kept, *({path: demos[e] for path, demos in labeled.items() if e in demos} for e in filled)]
        rng.shuffle(rows)
        chosen = {path: [row[path] for row in rows if path in row] for path in labeled}
        origin = f"set {number}: {len(kept)} bootstrapped and {len(filled)} labelled demos"
        return study.propose(changes_for(study.program, chosen, study.locked), origin=origin)

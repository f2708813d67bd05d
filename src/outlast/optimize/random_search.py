"""`RandomSearch`: many sets of demonstrations, raced on shared examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from outlast.adapters.protocol import Demo
from outlast.errors import UsageError
from outlast.modules.module import Module
from outlast.optimize.bootstrap import teacher_candidate
from outlast.optimize.candidate import Candidate
from outlast.optimize.demos import bootstrapped_demos, changes_for, labeled_demos
from outlast.optimize.protocol import Optimizer
from outlast.optimize.study import Study


@dataclass(frozen=True, slots=True)
class RandomSearch(Optimizer):
    """Draw `candidates` sets of demonstrations and race them, and the start program, on the selection examples.

    Each set mixes demos bootstrapped from passing rollouts of a teacher (as `BootstrapFewShot`) with labelled ones,
    in random number (up to `max_demos`, weighted towards many), choice and order; every predictor sees the same
    examples. A race evaluates all on blocks of shared examples and drops those that are clearly behind, so most
    candidates cost a fraction of a full pass. Cost: at most one rollout for each training example and
    (candidates + 1) for each selection example; in practice about half.
    Source: random search over bootstrapped demos, Khattab et al. 2023 (arXiv 2310.03714); racing, Maron and Moore 1994.
    """

    candidates: int = 16
    max_demos: int = 16
    max_labeled_teacher: int = 16
    bootstrap: bool = True
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
            shown = examples[: self.max_labeled_teacher]
            teacher = teacher_candidate(study, self.teacher, list(shown))
            passed = await bootstrapped_demos(study, teacher, [e for e in examples if e not in shown])
        labeled = labeled_demos(study.program, examples)
        field = [study.start]
        for number in range(self.candidates):
            field.append(self._draw(study, number, passed, labeled))
        ranking = await study.race(field)
        return ranking[0]

    def _draw(
        self,
        study: Study,
        number: int,
        passed: Sequence[dict[str, Demo]],
        labeled: dict[str, list[Demo]],
    ) -> Candidate:
        """One set of demonstrations. Demos of one example stay together over all predictors."""
        rng = study.rng(f"set {number}")
        size = max(1, round(self.max_demos * max(rng.random(), rng.random())))
        share = rng.random() if passed else 0.0
        kept = rng.sample(list(passed), min(len(passed), round(size * share)))
        used = {_example(demo) for demos in kept for demo in demos.values()}
        sources = _sources(labeled, used)
        filled = rng.sample(sources, min(len(sources), size - len(kept)))
        by_source = {
            path: {_example(demo): demo for demo in some if _example(demo) in filled} for path, some in labeled.items()
        }
        order: list[tuple[str, dict[str, Demo] | str]] = [("kept", demos) for demos in kept]
        order += [("label", source) for source in filled]
        rng.shuffle(order)
        chosen: dict[str, tuple[Demo, ...]] = {}
        for path in labeled:
            demos = [_pick(item, path, by_source) for _, item in order]
            chosen[path] = tuple(demo for demo in demos if demo is not None)
        origin = f"set {number}: {len(kept)} bootstrapped and {len(filled)} labelled demos"
        return study.propose(changes_for(chosen), origin=origin, parent=study.start)


def _pick(item: dict[str, Demo] | str, path: str, labeled: dict[str, dict[str, Demo]]) -> Demo | None:
    return labeled[path].get(item) if isinstance(item, str) else item.get(path)


def _sources(labeled: dict[str, list[Demo]], used: set[str]) -> list[str]:
    """Ids of the labelled examples that are not used yet, in data order."""
    found: dict[str, None] = {}
    for some in labeled.values():
        for demo in some:
            if _example(demo) not in used:
                found[_example(demo)] = None
    return list(found)


def _example(demo: Demo) -> str:
    """The id of the example that a demonstration was made from."""
    return demo.source.split(" ")[1]

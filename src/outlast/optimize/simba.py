"""`SIMBA`: learn from examples on which the program is sometimes right and sometimes wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from outlast.data.example import Example
from outlast.modules.module import Module
from outlast.modules.paths import predictors_of
from outlast.modules.predict import Predict
from outlast.optimize.candidate import Candidate, Outcome
from outlast.optimize.contrast import advised, contrasts
from outlast.optimize.demos import demos_at, demos_from_steps, example_of, free_demos, source_of
from outlast.optimize.proposers import AdviseFromContrast
from outlast.optimize.protocol import Optimizer, must_have
from outlast.optimize.study import Study
from outlast.optimize.texts import minibatch, proposer_modules, together, whole_numbers

_SHARPNESS = 0.2  # temperature of the softmax over gains that draws programs
_FINALISTS = 7


@dataclass(frozen=True, slots=True)
class SIMBA(Optimizer):
    """Sample several runs of each example, and teach the program what sets the best run apart from the worst.

    Each of `steps` steps takes the next `batch` training examples, runs `samples` programs on each (independent draws;
    the programs are drawn from the best so far and the start), and orders the examples by how much the scores of their
    runs differ. For the first `children` of them it makes a child of a drawn program: without some of its
    demonstrations (a Poisson number around a quarter of `max_demos`, as far as it has that many), and either with the
    best run as a further demonstration, or with advice from `advise`, a proposer that compares the best run with the
    worst. Children are run on the same batch as what they are compared with. At the end the winners of the steps are
    raced with the start on the selection examples. `advise` is any module that takes the inputs of
    `AdviseFromContrast`. Where a budget is too small for `steps` steps, steps and batches are made smaller, fewer than
    four examples apart.

    DSPy's optimizer of this name, with three things put right: the start's score counts, programs are compared on
    examples that the start was run on too, and advice that says what the instruction says already is not added.
    Cost: `steps` x `batch` x (`samples` + `children` + 2) rollouts, `steps` x `children` / 2 proposals, and a race.
    Source: SIMBA, DSPy 3 (dspy.ai/api/optimizers/SIMBA; there is no paper).
    """

    steps: int = 8
    batch: int = 32
    samples: int = 6
    children: int = 6
    max_demos: int = 4
    threshold: float = 1.0
    advise: Module = field(default_factory=lambda: Predict(AdviseFromContrast))

    def __post_init__(self) -> None:
        whole_numbers(self, steps=1, batch=1, samples=1, children=1, max_demos=0)
        proposer_modules(self, advise=AdviseFromContrast)

    def rollouts(self, train: int, select: int) -> int:
        """The steps, and a race of their winners."""
        batch = min(self.batch, train)
        return self.steps * batch * (self.samples + self.children + 2) + (_FINALISTS + 1) * select

    def check(self, study: Study) -> None:
        """Raise `UsageError` when neither instructions nor demonstrations may change."""
        found = [path for path in study.tunable if path.rpartition(".")[2] == "instruction"]
        found += free_demos(study) if self.max_demos else ()
        must_have(self, study, "instructions and demonstrations", found)

    async def search(self, study: Study) -> Candidate:
        """The best winner of a step."""
        if not study.train:
            return study.start
        steps, batch = self._sizes(study)
        climb = _Climb(self, study)
        for number in range(steps):
            await climb.step(number, minibatch(study, number, batch))
        return (await study.race([study.start, *climb.winners(_FINALISTS)]))[0]

    def _sizes(self, study: Study) -> tuple[int, int]:
        """Steps, and examples in each, that the budget pays for beside the race."""
        each = self.samples + self.children + 2
        left = study.affordable() - 0.6 * (_FINALISTS + 1) * len(study.select)
        if math.isinf(left):
            return self.steps, min(self.batch, len(study.train))
        batch = int(max(4, min(self.batch, len(study.train), left / (each * self.steps))))
        return int(max(1, min(self.steps, left // (each * batch)))), batch


class _Climb:
    """One search: the programs so far and how they did on the training examples they share."""

    def __init__(self, options: SIMBA, study: Study) -> None:
        self._options = options
        self._study = study
        self._pool = [study.start]
        self._best: dict[Candidate, float] = {}

    def winners(self, most: int) -> list[Candidate]:
        """The winners of the steps, the best first, the start apart."""
        ranked = sorted(self._best, key=lambda one: -self._gain(one))
        return [one for one in ranked if one != self._study.start][:most]

    async def step(self, number: int, examples: Sequence[Example]) -> None:
        """Sample, make children, compare."""
        study, options = self._study, self._options
        rng = study.rng(f"simba {number}")
        drawn = [self._draw(rng) for _ in range(options.samples)]  # the start and whoever is drawn again, anew
        buckets = await contrasts(study, drawn, examples)
        parents = [self._draw(rng) for _ in range(options.children)]
        jobs = [
            self._child(parent, runs, number, at)
            for at, (parent, runs) in enumerate(zip(parents, buckets, strict=False))
        ]
        children = [one for one in dict.fromkeys(await together(jobs)) if one is not None and one not in self._pool]
        leader = max(self._pool, key=self._gain)
        await together(study.evaluate(one, examples) for one in dict.fromkeys((study.start, leader, *children)))
        self._pool += children
        winner = max(children, key=self._gain, default=None)
        if winner is not None:
            self._best[winner] = self._gain(winner)
        for one in children:
            study.judged(one, accepted=self._gain(one) > self._gain(leader))
        study.mark(leader if winner is None else winner)

    def _draw(self, rng: Random) -> Candidate:
        """One of the best programs or the start, the better the likelier."""
        best = sorted(self._pool, key=lambda one: -self._gain(one))[: self._options.samples]
        entries = list(dict.fromkeys([*best, self._study.start]))
        weights = [math.exp(self._gain(one) / _SHARPNESS) for one in entries]
        return rng.choices(entries, weights)[0]

    def _gain(self, candidate: Candidate) -> float:
        """The gain over the start on the training examples that both were run on, shrunk."""
        tally, base = self._study.tally(candidate, "train"), self._study.tally(self._study.start, "train").values
        shared = {key: value for key, value in tally.values.items() if key in base}
        if not shared:
            return 0.0
        total = math.fsum(value - base[key] for key, value in shared.items())
        return total / (len(shared) + 4)

    async def _child(self, parent: Candidate, runs: Sequence[Outcome], step: int, at: int) -> Candidate | None:
        """The parent with a demonstration or with advice from the runs of one example, None when there is neither."""
        study, best, worst = self._study, runs[0], runs[-1]
        rng = study.rng(f"simba {step}.{at}")
        kept = self._thinned(parent, rng)
        if at % 2 == 0 and self._options.max_demos and (best.value or 0.0) >= self._options.threshold:
            changes: Mapping[str, Any] = self._with_demo(kept, best, rng)
            origin = f"the run of example {best.example} as a demonstration"
        elif (best.value or 0.0) > (worst.value or 0.0):
            advice = await advised(study, parent, best, worst, self._options.advise, sample=at)
            changes = {**self._as_changes(kept), **advice}
            origin = f"advice from two runs of example {best.example}"
        else:
            return None
        free = {path: value for path, value in changes.items() if not study.locked(path)}
        cause = [worst.example] if (worst.value or 0.0) < 1 else []
        made = study.propose(free, origin=origin, parent=parent, operator="simba", cause=cause)
        return None if made in (parent, study.start) else made

    def _thinned(self, parent: Candidate, rng: Random) -> dict[str, list[Any]]:
        """The parent's demonstrations, less a few; those written by hand stay."""
        parts = predictors_of(self._study.build(parent))
        most = max((len(part.demos) for part in parts.values()), default=0)
        gone = min(_poisson(most / self._options.max_demos if self._options.max_demos else 0.0, rng), most)
        dropped = set(rng.sample(range(most), max(gone, int(most >= self._options.max_demos > 0))))
        return {
            path: [demo for at, demo in enumerate(part.demos) if at not in dropped or not example_of(demo)]
            for path, part in parts.items()
        }

    def _as_changes(self, demos: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
        return {demos_at(path): tuple(some) for path, some in demos.items()}

    def _with_demo(self, kept: Mapping[str, list[Any]], best: Outcome, rng: Random) -> dict[str, Any]:
        new = demos_from_steps(self._study.steps(best), source_of(best), rng)
        return self._as_changes({path: [*some, *([new[path]] if path in new else [])] for path, some in kept.items()})


def _poisson(mean: float, rng: Random) -> int:
    """A draw by Knuth's method."""
    limit, count, product = math.exp(-mean), 0, rng.random()
    while product > limit:
        count += 1
        product *= rng.random()
    return count

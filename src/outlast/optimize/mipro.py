"""`MIPRO`: grounded instructions and bootstrapped demonstrations, combined by a model of what goes together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from outlast.adapters.protocol import Demo
from outlast.data.example import Example
from outlast.errors import UsageError
from outlast.modules.module import Module
from outlast.modules.paths import predictors_of
from outlast.modules.predict import Predict
from outlast.optimize.candidate import Candidate
from outlast.optimize.demos import bootstrapped_demos, changes_for, filled_up, free_demos, teacher_candidate
from outlast.optimize.episodes import about_data
from outlast.optimize.operators.propose import TIPS, grounded
from outlast.optimize.proposers import DescribeData, ProposeInstruction
from outlast.optimize.protocol import Optimizer, must_have
from outlast.optimize.study import Study
from outlast.optimize.texts import proposer_modules, text_in, texts, texts_in, together, whole_numbers
from outlast.optimize.tpe import Kind, chosen_kind, sampler
from outlast.optimize.trials import Trials


@dataclass(frozen=True, slots=True)
class MIPRO(Optimizer):
    """Propose `candidates` instructions and as many sets of demos for each module, and search their combinations.

    Proposals are grounded: a proposer sees a summary of the data, the program's code, the module's role, some examples
    and a tip. Demos are bootstrapped (`max_bootstrapped`) and labelled (up to `max_demos`), differently for each set;
    0 does without demos. A tree-structured Parzen estimator then chooses an instruction and a set for each module,
    `trials` times (None: 2 x dimensions x log2(candidates), at least 1.5 x candidates). A trial runs on `minibatch`
    selection examples; after every `full_every` trials the best combination that was not is run on all of them. The
    best of those wins. The trials between two full runs share their minibatch, and what they score is measured against
    the start on it, so that luck with a minibatch is not learned. `sampler` is "own", "optuna" (an extra) or "auto":
    Optuna where it is installed.
    Cost: candidates proposals for each text and one for the data; at most one rollout for each training example,
    `minibatch` for each trial, and a pass over the selection examples for each full run.
    Source: MIPROv2, Opsahl-Ong et al. 2024 (arXiv 2406.11695).
    """

    candidates: int = 6
    trials: int | None = None
    minibatch: int = 35
    full_every: int = 5
    max_bootstrapped: int = 4
    max_demos: int = 4
    threshold: float = 1.0
    sampler: Kind = "auto"
    describe_data: Module = field(default_factory=lambda: Predict(DescribeData))
    proposer: Module = field(default_factory=lambda: Predict(ProposeInstruction))

    def __post_init__(self) -> None:
        whole_numbers(self, candidates=1, minibatch=1, full_every=1, max_bootstrapped=0, max_demos=0)
        if self.trials is not None:
            whole_numbers(self, trials=1)
        if self.sampler not in ("auto", "own", "optuna"):
            raise UsageError(f'MIPRO(sampler=...) is "auto", "own" or "optuna"; got {self.sampler!r}')
        proposer_modules(self, describe_data=DescribeData, proposer=ProposeInstruction)
        chosen_kind(self.sampler)

    def rollouts(self, train: int, select: int) -> int:
        """The bootstrap, the trials and the full runs of a program with one module."""
        return self._most(2 if self.max_demos else 1, train, select)

    def estimate(self, program: Module, train: int, select: int) -> int:
        """The bootstrap, the trials and the full runs."""
        sets = len(predictors_of(program)) if self.max_demos else 0
        return self._most(len(texts_in(program)) + sets, train, select)

    def _most(self, dimensions: int, train: int, select: int) -> int:
        trials = self._trials(dimensions)
        full = 2 + math.ceil(trials / self.full_every)
        return (train if self.max_demos else 0) + trials * min(self.minibatch, select) + full * select

    def _trials(self, dimensions: int) -> int:
        if self.trials is not None:
            return self.trials
        return round(max(2 * dimensions * math.log2(max(2, self.candidates)), 1.5 * self.candidates))

    def describe(self) -> dict[str, Any]:
        """Name and options, with the sampler that is used here."""
        return {**Optimizer.describe(self), "sampler": chosen_kind(self.sampler)}

    def check(self, study: Study) -> None:
        """Raise `UsageError` when neither texts nor demonstrations may change."""
        must_have(self, study, "texts and demonstrations", [*texts(study), *free_demos(study)])

    async def search(self, study: Study) -> Candidate:
        """The best combination of those that were run on all selection examples."""
        choices: dict[str, Sequence[Mapping[str, Any]]] = {}
        demos = await self._demo_sets(study) if self.max_demos else {}
        choices |= await self._instructions(study)
        choices |= demos
        choices = {name: some for name, some in choices.items() if len(some) > 1}
        if not choices:
            return study.start
        counts = {name: len(some) for name, some in choices.items()}
        await study.evaluate(study.start, study.select)
        trials = Trials(study, choices, sampler(self.sampler, counts, study.rng("tpe")))
        trials.told(dict.fromkeys(choices, 0), study.start, study.select)
        total = self._trials(len(choices))
        for done in range(0, total, self.full_every):
            batch = study.rng(f"minibatch {done}").sample(study.select, min(self.minibatch, len(study.select)))
            for _ in range(min(self.full_every, total - done)):
                await trials.run(batch)
            await trials.run_best()
        return trials.best()

    async def _instructions(self, study: Study) -> dict[str, Sequence[Mapping[str, Any]]]:
        """For each text the changes that write each proposal, with that of the start first."""
        examples = list(study.train)
        study.rng("shown").shuffle(examples)
        data = about_data(examples)
        said = await study.ask(self.describe_data, data=data) if texts(study) else None
        data = f"{text_in(said, 'observations')}\n{data}".strip()
        rng = study.rng("tips")
        jobs: list[tuple[str, int, str]] = []
        for path in texts(study):
            tips = rng.sample(TIPS, len(TIPS))
            jobs += [(path, number, tips[number % len(tips)]) for number in range(self.candidates)]
        found = await together(
            grounded(study, study.start, path, self.proposer, data=data, tip=tip, sample=number)
            for path, number, tip in jobs
        )
        choices: dict[str, list[Mapping[str, Any]]] = {path: [{}] for path in texts(study)}
        for (path, *_), text in zip(jobs, found, strict=True):
            if text and {path: text} not in choices[path]:
                choices[path].append({path: text})
        return dict(choices)

    async def _demo_sets(self, study: Study) -> dict[str, Sequence[Mapping[str, Any]]]:
        """For each module the changes that show each set of demos, with those of the start first.

        The rollouts of one bootstrap serve all sets; each set is drawn from them anew.
        """
        examples = list(study.train)
        study.rng("bootstrap").shuffle(examples)
        shown, rest = (examples[: self.max_demos], examples[self.max_demos :]) if self.max_bootstrapped else ([], [])
        passed: list[dict[str, Demo]] = []
        if self.max_bootstrapped:
            teacher = teacher_candidate(study, None, shown)
            needed = self.candidates * self.max_bootstrapped
            passed = await bootstrapped_demos(study, teacher, rest, threshold=self.threshold, needed=needed)
        choices: dict[str, list[Mapping[str, Any]]] = {}
        for number in range(self.candidates):
            drawn = self._draw(study, number, passed, examples)
            for name, value in changes_for(study.program, drawn, study.locked).items():
                choices.setdefault(name, [{}]).append({name: value})
        return dict(choices)

    def _draw(
        self, study: Study, number: int, passed: Sequence[Mapping[str, Demo]], examples: Sequence[Example]
    ) -> dict[str, list[Demo]]:
        """One set for each module: the first is labelled only, the others mix in bootstrapped ones."""
        rng = study.rng(f"demos {number}")
        most = 0 if number == 0 else rng.randint(min(1, self.max_bootstrapped), self.max_bootstrapped)
        kept = rng.sample(list(passed), min(len(passed), most, self.max_demos))
        rows = rng.sample(list(examples), len(examples))
        return filled_up(study.program, kept, rows, self.max_demos)

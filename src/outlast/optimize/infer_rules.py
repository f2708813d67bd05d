"""`InferRules`: rules found in labelled examples, put below the instructions, and raced."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from outlast.data.example import targets_of
from outlast.errors import UsageError
from outlast.modules.module import Module
from outlast.modules.predict import Predict
from outlast.optimize.bootstrap import BootstrapFewShot
from outlast.optimize.candidate import Candidate
from outlast.optimize.demos import free_demos
from outlast.optimize.operators.induce import with_rules
from outlast.optimize.proposers import InduceRules
from outlast.optimize.protocol import Optimizer, must_have
from outlast.optimize.study import Study
from outlast.optimize.texts import proposer_modules, texts, together, whole_numbers


@dataclass(frozen=True, slots=True)
class InferRules(Optimizer):
    """Find rules in labelled examples `candidates` times, put them below the instructions, and race the results.

    A proposer sees `shown` training examples, others each time, and writes at most `rules` rules for each text. With
    `max_demos` the program also shows bootstrapped and labelled demonstrations, as `BootstrapFewShot` chooses them; 0
    does without. The start program and the one with demonstrations only take part in the race. It sees labels, and no
    answers of the program: use it where labels follow rules. `induce` is any module that takes the inputs of
    `InduceRules` and gives `rules`.
    Cost: `candidates` proposals for each text, at most one rollout for each training example, and (candidates + 2) for
    each selection example; a race of many examples takes about half of that.
    Source: `InferRules` of DSPy, Khattab et al. 2023 (arXiv 2310.03714); instruction induction, Honovich et al. 2022
    (arXiv 2205.10782).
    """

    candidates: int = 10
    rules: int = 10
    shown: int = 20
    max_demos: int = 4
    induce: Module = field(default_factory=lambda: Predict(InduceRules))

    def __post_init__(self) -> None:
        whole_numbers(self, candidates=1, rules=1, shown=1, max_demos=0)
        proposer_modules(self, induce=InduceRules)
        if self.rules > 50:
            raise UsageError(f"InferRules(rules=...) is at most 50; got {self.rules}")

    def rollouts(self, train: int, select: int) -> int:
        """The bootstrap, and every candidate on every selection example."""
        return (train if self.max_demos else 0) + (self.candidates + 2) * select

    def check(self, study: Study) -> None:
        """Raise `UsageError` when neither texts nor demonstrations may change."""
        must_have(
            self, study, "texts and demonstrations", [*texts(study), *(free_demos(study) if self.max_demos else ())]
        )

    async def search(self, study: Study) -> Candidate:
        """The winner of the race."""
        shown = study.start
        if self.max_demos:
            shown = await BootstrapFewShot(max_bootstrapped=self.max_demos, max_demos=self.max_demos).search(study)
        made = await together(self._induce(study, shown, number) for number in range(self.candidates))
        found = [
            study.propose(changes, origin=f"rules {number}", parent=shown, operator="inferrules")
            for number, changes in enumerate(made)
        ]
        entries = list(dict.fromkeys([study.start, shown, *found]))
        return (await study.race(entries))[0] if len(entries) > 1 else study.start

    async def _induce(self, study: Study, parent: Candidate, number: int) -> dict[str, Any]:
        """The texts with rules below them that a draw of examples gave."""
        examples = [example for example in study.train if targets_of(example)]
        if not examples:
            return {}
        drawn = study.rng(f"rules {number}").sample(examples, min(len(examples), self.shown))
        paths = texts(study)
        answers = await together(
            with_rules(study, parent, path, drawn, self.induce, most=self.rules, sample=number) for path in paths
        )
        return {path: text for path, text in zip(paths, answers, strict=True) if text}

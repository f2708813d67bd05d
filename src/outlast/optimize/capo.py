"""`CAPO`: evolution of instructions with demonstrations, in which races spare evaluations and length costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

from outlast.adapters.protocol import Demo
from outlast.errors import UsageError
from outlast.modules.module import Module
from outlast.modules.predict import Predict
from outlast.optimize.blocks import Penalty, keep, length_penalty, no_penalty, ranked
from outlast.optimize.candidate import Candidate
from outlast.optimize.demos import bootstrapped_demos, changes_to_rows, example_of, labeled_rows
from outlast.optimize.operators.crossover import combined
from outlast.optimize.operators.rewrite import varied
from outlast.optimize.proposers import CombineInstructions, VaryInstruction
from outlast.optimize.protocol import Optimizer, must_have
from outlast.optimize.study import Study
from outlast.optimize.texts import (
    proposer_modules,
    text_of,
    texts,
    texts_in,
    together,
    whole_numbers,
)

Rows = tuple[Mapping[str, Demo], ...]  # demonstrations of a candidate: each row is one example, by module
_FINALISTS = 3


@dataclass(frozen=True, slots=True)
class CAPO(Optimizer):
    """Evolve a population of instructions with up to `max_demos` demonstrations each.

    It begins with the start program and variations of its texts. In each of `steps` steps a proposer combines the texts
    of two members and varies the result, `crossovers` times; of their demonstrations some are kept, and then one is
    added, one is left out, or they change places. Population and children then race on blocks of `block` selection
    examples, at most `blocks` of them: who is behind `population` others by a paired t-test at level `alpha` is out.
    A score is the mean less `length_penalty` for a prompt as long as the longest of the first population. At the end
    the best three are run on all selection examples. Demonstrations show the program's own right answers, found in
    `harvest` rollouts, and labelled examples. `combine` takes the inputs of `CombineInstructions`, `vary` those of
    `VaryInstruction`. Use it where both short prompts and demonstrations matter.
    Cost: for each crossover two proposals; at most block x blocks rollouts for each candidate; races spare the more
    the more blocks there are.
    Source: Zehle et al. 2025 (CAPO, arXiv 2504.16005).
    """

    population: int = 10
    steps: int = 10
    crossovers: int = 4
    max_demos: int = 5
    harvest: int = 30
    block: int = 30
    blocks: int = 10
    alpha: float = 0.2
    length_penalty: float = 0.05
    combine: Module = field(default_factory=lambda: Predict(CombineInstructions))
    vary: Module = field(default_factory=lambda: Predict(VaryInstruction))

    def __post_init__(self) -> None:
        whole_numbers(self, population=2, steps=1, crossovers=1, max_demos=0, harvest=0, block=5, blocks=1)
        proposer_modules(self, combine=CombineInstructions, vary=VaryInstruction)
        if not 0 < self.alpha < 0.5 or not self.length_penalty >= 0:
            raise UsageError(
                f"CAPO takes 0 < alpha < 0.5 and length_penalty >= 0; got {self.alpha!r}, {self.length_penalty!r}"
            )

    def rollouts(self, train: int, select: int) -> int:
        """When nobody drops out of any race."""
        seen = min(select, self.block * self.blocks)
        members = self.population + self.steps * self.crossovers
        return min(train, self.harvest) + members * seen + _FINALISTS * (select - seen)

    def check(self, study: Study) -> None:
        """Raise `UsageError` when no text may change."""
        must_have(self, study, "texts", texts(study))

    async def search(self, study: Study) -> Candidate:
        """The best of the last population, length taken into account."""
        if not texts_in(study.program) or not texts(study):
            return study.start
        evolution = _Evolution(self, study)
        await evolution.begin()
        for step in range(self.steps):
            await evolution.step(step)
        return await evolution.end()


class _Evolution:
    """The population of one search, with the demonstrations of its members."""

    def __init__(self, options: CAPO, study: Study) -> None:
        self._options = options
        self._study = study
        self._texts = texts(study)
        self._rows: dict[Candidate, Rows] = {study.start: ()}
        self._pool: list[Mapping[str, Demo]] = []
        self._members = [study.start]
        self._penalty: Penalty = no_penalty

    async def begin(self) -> None:
        """The first population: variations of the texts, each with a draw of demonstrations."""
        study, options = self._study, self._options
        self._pool = await self._harvest()
        numbers = range(1, options.population)
        varied = await together(self._varied(study.start, number) for number in numbers)
        for number, changes in zip(numbers, varied, strict=True):
            rng = study.rng(f"first {number}")
            rows = rng.sample(self._pool, min(len(self._pool), rng.randint(0, options.max_demos)))
            self._add(self._made(study.start, changes, tuple(rows), "varied"))
        self._penalty = length_penalty(study, options.length_penalty, self._members, self._texts)

    async def step(self, number: int) -> None:
        """Children of pairs, then a race of all, which leaves as many as before."""
        options = self._options
        jobs = [
            self._child(self._study.rng(f"child {number} {at}"), number * options.crossovers + at)
            for at in range(options.crossovers)
        ]
        for child in await together(jobs):
            self._add(child)
        self._members = await keep(
            self._study,
            self._members,
            options.population,
            self._study.rng(f"blocks {number}"),
            block=options.block,
            blocks=options.blocks,
            alpha=options.alpha,
            penalty=self._penalty,
        )
        self._study.mark(self._members[0])

    async def end(self) -> Candidate:
        """The best few on all selection examples, and the best of them."""
        study = self._study
        finalists = ranked(study, self._members, self._penalty)[:_FINALISTS]
        await together(study.evaluate(one, study.select) for one in finalists)
        return ranked(study, finalists, self._penalty)[0]

    def _add(self, candidate: Candidate | None) -> None:
        if candidate is not None and candidate not in self._members:
            self._members.append(candidate)

    async def _harvest(self) -> list[Mapping[str, Demo]]:
        """Rows of demonstrations: right answers of the start program, and labels of other training examples."""
        study, options = self._study, self._options
        if not options.max_demos:
            return []
        examples = list(study.train)
        study.rng("harvest").shuffle(examples)
        found: list[Mapping[str, Demo]] = [*await bootstrapped_demos(study, study.start, examples[: options.harvest])]
        used = {example_of(demo) for row in found for demo in row.values()}
        labelled = labeled_rows(study.program, examples)
        return [*found, *(row for key, row in labelled.items() if key not in used)]

    async def _varied(self, parent: Candidate, number: int) -> dict[str, str]:
        """Every text of a candidate in other words."""
        answers = await together(self._vary(path, text_of(self._study, parent, path), number) for path in self._texts)
        return {path: text for path, text in zip(self._texts, answers, strict=True) if text}

    async def _vary(self, path: str, text: str, number: int) -> str:
        return await varied(self._study, path, text, self._options.vary, sample=number)

    async def _child(self, rng: Random, number: int) -> Candidate | None:
        """Two members crossed in one text, which is then varied, and their demonstrations mixed and mutated."""
        mother, father = rng.sample(self._members, 2) if len(self._members) > 1 else (self._members[0],) * 2
        path = rng.choice(self._texts)
        rows = self._mixed(mother, father, rng)
        text = await combined(self._study, mother, father, path, self._options.combine, sample=number)
        text = (await self._vary(path, text, number) if text else "") or text
        if not text:
            return None
        return self._made(mother, {path: text}, rows, f"{mother.id} and {father.id} crossed")

    def _mixed(self, mother: Candidate, father: Candidate, rng: Random) -> Rows:
        """As many of both parents' rows as they have on average; one more, one less, or in another order."""
        both = [*self._rows[mother], *(row for row in self._rows[father] if row not in self._rows[mother])]
        size = (len(self._rows[mother]) + len(self._rows[father])) // 2
        rows = rng.sample(both, min(len(both), size))
        chance = rng.random()
        more = [row for row in self._pool if row not in rows]
        if chance < 1 / 3 and more and len(rows) < self._options.max_demos:
            rows.append(rng.choice(more))
        elif 1 / 3 <= chance < 2 / 3 and rows:
            rows.pop(rng.randrange(len(rows)))
        rng.shuffle(rows)
        return tuple(rows)

    def _made(self, parent: Candidate, changes: Mapping[str, str], rows: Rows, origin: str) -> Candidate:
        """The candidate with these texts and demonstrations; those written by hand stay in front."""
        shown = changes_to_rows(self._study, rows) if self._options.max_demos else {}
        made = self._study.propose({**changes, **shown}, origin=origin, parent=parent, operator="capo")
        self._rows.setdefault(made, rows)
        return made

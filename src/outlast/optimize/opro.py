"""`OPRO`: a proposer reads what was tried with its scores, and writes something better, again and again."""

from __future__ import annotations

from dataclasses import dataclass, field

from outlast.modules.module import Module
from outlast.modules.predict import Predict
from outlast.optimize.attempts import attempts, new_ones
from outlast.optimize.candidate import Candidate
from outlast.optimize.episodes import about_data
from outlast.optimize.proposers import BeatAttempts
from outlast.optimize.protocol import Optimizer, must_have
from outlast.optimize.study import Study
from outlast.optimize.texts import about_text, proposer_modules, text_in, texts, together, whole_numbers


@dataclass(frozen=True, slots=True)
class OPRO(Optimizer):
    """In each of `steps` steps a proposer is shown the `shown` best instructions so far with their scores, in ascending
    order, and `examples` training examples, and writes `per_step` new ones, which are raced on the selection examples.

    The texts of a program take turns. `improve` is any module that takes the inputs of `BeatAttempts` and gives
    `improved`. Like `COPRO` it sees scores and no failure; it has no first round of variations, and shows examples.
    Cost: steps x per_step proposals, and at most as many rollouts for each selection example; a race takes about half.
    Source: Yang et al. 2023, Large Language Models as Optimizers (arXiv 2309.03409).
    """

    steps: int = 10
    per_step: int = 8
    shown: int = 20
    examples: int = 3
    improve: Module = field(default_factory=lambda: Predict(BeatAttempts))

    def __post_init__(self) -> None:
        whole_numbers(self, steps=1, per_step=1, shown=1, examples=0)
        proposer_modules(self, improve=BeatAttempts)

    def rollouts(self, train: int, select: int) -> int:
        """The start and every instruction on every selection example."""
        return (1 + self.steps * self.per_step) * select

    def check(self, study: Study) -> None:
        """Raise `UsageError` when no text may change."""
        must_have(self, study, "texts", texts(study))

    async def search(self, study: Study) -> Candidate:
        """The best of all races."""
        paths = texts(study)
        best = study.start
        tried: list[Candidate] = [study.start]
        if paths:
            await study.evaluate(study.start, study.select)
        for step in range(self.steps if paths else 0):
            path = paths[step % len(paths)]
            examples = list(study.train)
            study.rng(f"opro {step}").shuffle(examples)
            shown = about_data(examples, shown=self.examples)
            about = about_text(study, path)
            history = attempts(study, tried, path, most=self.shown)
            answers = await together(
                study.ask(self.improve, sample=number, module=about, attempted_instructions=history, examples=shown)
                for number in range(self.per_step)
            )
            found = [text for answer in answers if (text := text_in(answer, "improved"))]
            origin = f"{path} written to beat what was tried, step {step}"
            made = [study.propose({path: text}, origin=origin, parent=best, operator="opro") for text in found]
            fresh = new_ones(made, tried)
            if fresh:
                tried += fresh
                best = (await study.race([best, *fresh]))[0]
        return best

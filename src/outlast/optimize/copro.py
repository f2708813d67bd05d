"""`COPRO`: coordinate ascent over the instructions of a program, each varied and improved on by a proposer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from outlast.modules.module import Module
from outlast.modules.predict import Predict
from outlast.optimize.attempts import attempts, new_ones
from outlast.optimize.candidate import Candidate
from outlast.optimize.episodes import about_data
from outlast.optimize.operators.rewrite import varied
from outlast.optimize.proposers import BeatAttempts, VaryInstruction
from outlast.optimize.protocol import Optimizer, must_have
from outlast.optimize.study import Study
from outlast.optimize.texts import (
    about_text,
    proposer_modules,
    text_in,
    text_of,
    texts,
    texts_in,
    together,
    whole_numbers,
)


@dataclass(frozen=True, slots=True)
class COPRO(Optimizer):
    """Improve one text of the program after the other, `depth` times around.

    The first time around a proposer varies the text `breadth` - 1 times; later it is shown the `breadth` best attempts
    with their scores, in ascending order, and writes `breadth` more. Each time all are raced against the best so far on
    the selection examples, and the winner stays. `vary` is any module that takes the inputs of `VaryInstruction`,
    `improve` one that takes those of `BeatAttempts`. It learns from scores only and sees no failure: use it where the
    metric has no words. Cost: breadth x depth x texts proposals and at most as many rollouts for each selection
    example; a race takes about half of them.
    Source: COPRO of DSPy, Khattab et al. 2023 (arXiv 2310.03714), after OPRO, Yang et al. 2023 (arXiv 2309.03409).
    """

    breadth: int = 10
    depth: int = 3
    vary: Module = field(default_factory=lambda: Predict(VaryInstruction))
    improve: Module = field(default_factory=lambda: Predict(BeatAttempts))

    def __post_init__(self) -> None:
        whole_numbers(self, breadth=2, depth=1)
        proposer_modules(self, vary=VaryInstruction, improve=BeatAttempts)

    def rollouts(self, train: int, select: int) -> int:
        """The start and every instruction on every selection example, for a program with one text."""
        return self.breadth * self.depth * select

    def estimate(self, program: Module, train: int, select: int) -> int:
        """The start and every instruction of each text on every selection example."""
        return (1 + (self.breadth * self.depth - 1) * len(texts_in(program))) * select

    def check(self, study: Study) -> None:
        """Raise `UsageError` when no text may change."""
        must_have(self, study, "texts", texts(study))

    async def search(self, study: Study) -> Candidate:
        """The winner of the last race."""
        best = study.start
        tried: list[Candidate] = []
        for turn in range(self.depth):
            for path in texts(study):
                best = await self._improve(study, path, best, tried, turn)
        return best

    async def _improve(self, study: Study, path: str, best: Candidate, tried: list[Candidate], turn: int) -> Candidate:
        """One text once around."""
        answers = await (self._varied(study, path, best) if turn == 0 else self._beaten(study, path, tried))
        origin = f"{path} varied" if turn == 0 else f"{path} written to beat what was tried"
        made = [study.propose({path: text}, origin=origin, parent=best, operator="copro") for text in answers if text]
        fresh = new_ones(made, [best, *tried])
        if not fresh:
            return best
        tried += fresh
        return (await study.race([best, *fresh]))[0]

    async def _varied(self, study: Study, path: str, best: Candidate) -> list[str]:
        text = text_of(study, best, path)
        return await together(varied(study, path, text, self.vary, sample=number) for number in range(self.breadth - 1))

    async def _beaten(self, study: Study, path: str, tried: Sequence[Candidate]) -> list[str]:
        shown = attempts(study, [study.start, *tried], path, most=self.breadth)
        about, data = about_text(study, path), about_data(study.train)
        answers = await together(
            study.ask(self.improve, sample=number, module=about, attempted_instructions=shown, examples=data)
            for number in range(self.breadth)
        )
        return [text_in(answer, "improved") for answer in answers]

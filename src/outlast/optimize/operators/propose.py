"""`ProposeGrounded`: a new instruction from what the program and its data are, without a rollout."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from outlast.modules.module import Module
from outlast.modules.predict import Predict
from outlast.optimize.episodes import about_data, about_program
from outlast.optimize.operators.protocol import Operator
from outlast.optimize.proposers import ProposeInstruction
from outlast.optimize.texts import about_text, proposer_modules, text_in, text_of, texts

if TYPE_CHECKING:
    from outlast.optimize.candidate import Candidate
    from outlast.optimize.study import Study

TIPS = (
    "Nothing in particular: a good instruction.",
    "Be creative: say what nobody has said to the model yet.",
    "Be simple and clear.",
    "Be precise: name the rules that decide between answers, one a line.",
    "Say which mistakes are likely and how to avoid them.",
    "Say who the model is, in what role, and what is at stake.",
    "Say what the answer must look like, to the letter.",
)


@dataclass(frozen=True, slots=True)
class ProposeGrounded(Operator):
    """Have a proposer write an instruction from the program's code, the module's role, the data and a tip.

    `shown` training examples are drawn anew each time, and the tip too; which text is written is drawn by chance.
    `proposer` is any module that takes the inputs of `ProposeInstruction` and gives `proposed`. Cost: one proposal.
    Source: grounded proposals, Opsahl-Ong et al. 2024 (MIPRO, arXiv 2406.11695), section 4.
    """

    name: ClassVar[str] = "grounded"
    shown: int = 5
    proposer: Module = field(default_factory=lambda: Predict(ProposeInstruction))

    def __post_init__(self) -> None:
        proposer_modules(self, proposer=ProposeInstruction)

    def applies(self, study: Study, parent: Candidate) -> bool:
        """Whether there is a text to write."""
        return bool(texts(study))

    async def propose(self, study: Study, parent: Candidate, number: int) -> list[Candidate]:
        """One candidate, or none when the proposer gave nothing new."""
        if not self.applies(study, parent):
            return []
        rng = study.rng(f"{self.name} {parent.id} {number}")
        path = rng.choice(texts(study))
        examples = rng.sample(study.train, len(study.train))
        data = about_data(examples, shown=self.shown)
        text = await grounded(
            study, parent, path, self.proposer, data=data, tip=TIPS[number % len(TIPS)], sample=number
        )
        if not text:
            return []
        made = study.propose(
            {path: text}, origin=f"{path} proposed from program and data", parent=parent, operator=self.name
        )
        return [] if made == parent else [made]


async def grounded(
    study: Study, parent: Candidate, path: str, proposer: Module, *, data: str, tip: str, sample: int
) -> str:
    """A new text for a path; "" when the proposer gave none. Cost: one proposal."""
    out = await study.ask(
        proposer,
        sample=sample,
        program=about_program(study.program),
        module=about_text(study, path),
        instruction=text_of(study, parent, path),
        data=data,
        tip=tip,
    )
    return text_in(out, "proposed")

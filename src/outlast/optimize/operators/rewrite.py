"""`Rewrite`: a whole new instruction, written by a proposer that saw what happened on a few examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from outlast.modules.module import Module
from outlast.modules.predict import Predict
from outlast.optimize.episodes import episode
from outlast.optimize.operators.protocol import Operator
from outlast.optimize.proposers import RewriteInstruction
from outlast.optimize.texts import (
    about_text,
    failed,
    module_of,
    proposer_modules,
    text_in,
    text_of,
    texts,
    whole_numbers,
)

if TYPE_CHECKING:
    from outlast.optimize.candidate import Candidate, Outcome
    from outlast.optimize.study import Study


@dataclass(frozen=True, slots=True)
class Rewrite(Operator):
    """Run the parent on `batch` training examples and have a proposer write one text anew from what happened.

    Which text is drawn by chance. `proposer` is any module that takes the inputs of `RewriteInstruction` and gives
    `improved`. Cost: up to `batch` rollouts, and one proposal unless all of them were right.
    Source: reflective mutation, Agrawal et al. 2025 (GEPA, arXiv 2507.19457), section 3.2.
    """

    name: ClassVar[str] = "rewrite"
    batch: int = 3
    proposer: Module = field(default_factory=lambda: Predict(RewriteInstruction))

    def __post_init__(self) -> None:
        whole_numbers(self, batch=1)
        proposer_modules(self, proposer=RewriteInstruction)

    def applies(self, study: Study, parent: Candidate) -> bool:
        """Whether there is a text to write."""
        return bool(texts(study)) and bool(study.train)

    async def propose(self, study: Study, parent: Candidate, number: int) -> list[Candidate]:
        """One candidate, or none when everything was right or the proposer gave nothing new."""
        if not self.applies(study, parent):
            return []
        rng = study.rng(f"{self.name} {parent.id} {number}")
        examples = rng.sample(study.train, min(len(study.train), self.batch))
        path = rng.choice(texts(study))
        outcomes = await study.evaluate(parent, examples)
        made = await rewritten(study, parent, path, outcomes, self.proposer, sample=number, operator=self.name)
        return [made] if made is not None else []


async def rewritten(
    study: Study,
    parent: Candidate,
    path: str,
    outcomes: Sequence[Outcome],
    proposer: Module,
    *,
    sample: int = 0,
    operator: str = "rewrite",
) -> Candidate | None:
    """The parent with the text at `path` written anew from these rollouts of it.

    None when all were right, or when the proposer gave nothing new. Cost: one proposal unless all were right.
    """
    wrong = failed(study, outcomes)
    if not wrong:
        return None
    out = await study.ask(
        proposer,
        sample=sample,
        module=about_text(study, path),
        instruction=text_of(study, parent, path),
        episodes="\n\n".join(episode(study, outcome, path=module_of(study, path)) for outcome in outcomes),
    )
    text = text_in(out, "improved")
    if not text:
        return None
    made = study.propose(
        {path: text},
        origin=f"{path} written anew from {len(outcomes)} episodes",
        parent=parent,
        operator=operator,
        cause=[outcome.example for outcome in wrong],
    )
    return None if made == parent else made


async def varied(study: Study, path: str, text: str, by: Module, *, sample: int) -> str:
    """A text in other words; "" when the proposer gave none. `by` takes the inputs of `VaryInstruction`.

    Cost: one proposal.
    """
    answer = await study.ask(by, sample=sample, module=about_text(study, path), instruction=text)
    return text_in(answer, "improved")

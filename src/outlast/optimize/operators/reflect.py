"""`ReflectEdit`: small edits of an instruction, written by a proposer that sees what failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, ClassVar

from outlast.modules.module import Module
from outlast.modules.predict import Predict
from outlast.optimize.credit import choose_text
from outlast.optimize.edits import Edit, apply_edits, split_lines
from outlast.optimize.episodes import episode
from outlast.optimize.operators.protocol import Operator
from outlast.optimize.proposers import ReflectOnFailures
from outlast.optimize.texts import about_text, text_of, texts

if TYPE_CHECKING:
    from outlast.optimize.candidate import Candidate, Outcome
    from outlast.optimize.study import Study

_TRIED = 12  # rejected edits that a proposer is told of


@dataclass(frozen=True, slots=True)
class ReflectEdit(Operator):
    """Show a proposer up to `failures` rollouts that failed and `successes` that passed; make the edits that it writes.

    One text (an instruction, or a declared `ol.Text`) is edited at a time: which one is drawn by what its edits have
    brought so far and by what the metric's feedback names. Rollouts are those of training examples; when the parent has
    too few, `block` more are run.
    `proposer` is any module that takes the inputs of `ReflectOnFailures` and gives its `edits`.
    Cost: one proposal, and up to `block` rollouts of the parent that later proposals share.
    Source: reflective mutation, Agrawal et al. 2025 (GEPA, arXiv 2507.19457); edits instead of rewrites and the memory
    of failed ones, Zhang et al. 2025 (ACE, arXiv 2510.04618).
    """

    name: ClassVar[str] = "reflect"
    failures: int = 4
    successes: int = 1
    block: int = 12
    proposer: Module = field(default_factory=lambda: Predict(ReflectOnFailures))

    def applies(self, study: Study, parent: Candidate) -> bool:
        """Whether the program has any text that may change."""
        return bool(texts(study))

    async def propose(self, study: Study, parent: Candidate, number: int) -> list[Candidate]:
        """One candidate, or none when the proposer had nothing new to say."""
        rng = study.rng(f"{self.name} {parent.id} {number}")
        failed, passed = await seen(study, parent, rng, self.failures, self.block, number)
        if not failed:
            return []
        path = choose_text(study, failed, rng)
        shown = rng.sample(failed, min(len(failed), self.failures))
        also = rng.sample(passed, min(len(passed), self.successes))
        instruction = text_of(study, parent, path)
        out = await study.ask(
            self.proposer,
            sample=number,
            module=about_text(study, path),
            instruction=instruction,
            episodes="\n\n".join(episode(study, outcome) for outcome in (*shown, *also)),
            tried="\n".join(tried_lines(study, path)[-_TRIED:]) or "nothing yet",
        )
        written: list[object] = list(getattr(out, "edits", None) or ())
        changed = apply_edits(instruction, [edit for edit in written if isinstance(edit, Edit)])
        if changed == "\n".join(split_lines(instruction)):
            return []
        made = study.propose(
            {path: changed},
            origin=f"edit of {path}: {difference_of(instruction, changed)}",
            parent=parent,
            operator=self.name,
            cause=[outcome.example for outcome in shown],
        )
        return [] if made == parent else [made]


async def seen(
    study: Study, parent: Candidate, rng: Random, failures: int, block: int, number: int
) -> tuple[list[Outcome], list[Outcome]]:
    """Rollouts of the parent on training examples that failed and that passed, worst first.

    When fewer than `failures` have failed so far, the parent is run on `block` more, twice at most.
    """
    order = list(study.train)
    study.rng("train order").shuffle(order)
    known = study.outcomes_of(parent, "train")
    for _ in range(2):
        failed = [outcome for outcome in known if outcome.value is not None and outcome.value < 1]
        if len(failed) >= failures:
            break
        have = {outcome.example for outcome in known}
        more = [example for example in order if study.key_of(example) not in have][:block]
        if not more:
            break
        await study.evaluate(parent, more)
        known = study.outcomes_of(parent, "train")
    failed = sorted((o for o in known if o.value is not None and o.value < 1), key=lambda o: o.value or 0.0)
    return failed, [outcome for outcome in known if outcome.value is not None and outcome.value >= 1]


def tried_lines(study: Study, path: str) -> list[str]:
    """What was added to or taken from this text by candidates that were rejected."""
    return [
        candidate.origin.partition(": ")[2]
        for candidate in study.rejected
        if candidate.operator == ReflectEdit.name and candidate.origin.startswith(f"edit of {path}:")
    ]


def difference_of(before: str, after: str) -> str:
    """The lines that came and went, in words."""
    old, new = split_lines(before), split_lines(after)
    came = [f"+ {line}" for line in new if line not in old]
    went = [f"- {line}" for line in old if line not in new]
    return "; ".join((*came, *went)) or "another order of lines"


def lines_changed(before: str, after: str) -> tuple[Sequence[str], Sequence[str]]:
    """The lines that an edit added and those that it removed."""
    old, new = split_lines(before), split_lines(after)
    return [line for line in new if line not in old], [line for line in old if line not in new]

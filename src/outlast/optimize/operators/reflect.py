"""`ReflectEdit`: small edits of an instruction, written by a proposer that sees what failed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from random import Random
from typing import TYPE_CHECKING, ClassVar

from outlast.modules.module import Module
from outlast.modules.predict import Predict
from outlast.optimize.credit import choose_text
from outlast.optimize.edits import MOST_LINES, Edit, apply_edits, split_lines
from outlast.optimize.episodes import episode
from outlast.optimize.operators.protocol import Operator
from outlast.optimize.proposers import ReflectOnFailures
from outlast.optimize.texts import about_text, proposer_modules, text_of, texts, whole_numbers

if TYPE_CHECKING:
    from outlast.data.example import Example
    from outlast.optimize.candidate import Candidate, Outcome
    from outlast.optimize.study import Study

_TRIED = 12  # rejected edits that a proposer is told of


@dataclass(frozen=True, slots=True)
class ReflectEdit(Operator):
    """Show a proposer up to `failures` rollouts that failed and `successes` that passed; make each edit that it writes.

    One text (an instruction, or a declared `ol.Text`) is edited at a time: which one is drawn by what its edits have
    brought so far and by what the metric's feedback names. Rollouts are those of training examples; when the parent has
    too few, `block` more are run.
    `proposer` is any module that takes the inputs of `ReflectOnFailures` and gives its `edits`.
    Cost: one proposal, and up to `block` rollouts of the parent that later proposals share.
    Source: reflective mutation, Agrawal et al. 2025 (GEPA, arXiv 2507.19457); edits instead of rewrites and the memory
    of failed ones, Zhang et al. 2025 (ACE, arXiv 2510.04618).
    """

    name: ClassVar[str] = "reflect"
    failures: int = 3
    successes: int = 1
    block: int = 12
    proposer: Module = field(default_factory=lambda: Predict(ReflectOnFailures))

    def __post_init__(self) -> None:
        whole_numbers(self, failures=1, successes=0, block=1)
        proposer_modules(self, proposer=ReflectOnFailures)

    def applies(self, study: Study, parent: Candidate) -> bool:
        """Whether the program has any text that may change."""
        return bool(texts(study))

    async def propose(self, study: Study, parent: Candidate, number: int) -> list[Candidate]:
        """One candidate for each edit, so that each is judged by itself; none when the proposer had nothing new."""
        rng = study.rng(f"{self.name} {parent.id} {number}")
        failed, passed = await seen(study, parent, rng, self.failures, self.block, number)
        if not failed:
            return []
        path = choose_text(study, failed, rng)
        order = list(study.rng(f"failures of {parent.id}").sample(failed, len(failed)))
        first = number * self.failures  # attempts at the same time look at other failures
        shown = [order[(first + k) % len(order)] for k in range(min(self.failures, len(order)))]
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
        cause = [outcome.example for outcome in shown]
        found: dict[Candidate, None] = {}
        for edit in written[:MOST_LINES]:
            changed = apply_edits(instruction, [edit]) if isinstance(edit, Edit) else instruction
            if changed != instruction.rstrip():
                said = f"edit of {path}: {difference_of(instruction, changed)}"
                made = study.propose({path: changed}, origin=said, parent=parent, operator=self.name, cause=cause)
                found[replace(made, cause=tuple(cause))] = None  # what suggests it this time
        found.pop(parent, None)
        return list(found)


async def seen(
    study: Study, parent: Candidate, rng: Random, failures: int, block: int, number: int
) -> tuple[list[Outcome], list[Outcome]]:
    """Rollouts of the parent on training examples that failed and that passed, worst first.

    When fewer than `failures` have failed so far, the parent is run on `block` more, twice at most; up to half of them
    are examples that what it was made from failed on, which tell soonest what is still missing.
    """
    known = study.outcomes_of(parent, "train")
    for _ in range(2):
        failed = [outcome for outcome in known if outcome.value is not None and outcome.value < study.full]
        if len(failed) >= failures:
            break
        have = {outcome.example for outcome in known}
        order = _looked_at(study, parent, block // 2)
        more = [one for one in order if study.key_of(one) not in have][:block]
        if not more:
            break
        await study.evaluate(parent, more)
        known = study.outcomes_of(parent, "train")
    failed = sorted((o for o in known if o.value is not None and o.value < study.full), key=lambda o: o.value or 0.0)
    return failed, [outcome for outcome in known if outcome.value is not None and outcome.value >= study.full]


def _looked_at(study: Study, parent: Candidate, most: int) -> list[Example]:
    """All training examples in a random order, some first that an ancestor failed on."""
    order, full = list(study.train), study.full
    study.rng("train order").shuffle(order)
    before = parent
    while before.parent and before.parent in study.candidates:
        before = study.candidates[before.parent]
        if values := study.tally(before, "train").values:
            failed = [one for one in order if values.get(study.key_of(one), full) < full][:most]
            return list(dict.fromkeys((*failed, *order)))
    return order


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


def edited_lines(study: Study, parent: Candidate, child: Candidate) -> list[str]:
    """The lines of all texts that a child has and its parent does not, or the other way round."""
    found: list[str] = []
    for path in texts(study):
        old, new = split_lines(text_of(study, parent, path)), split_lines(text_of(study, child, path))
        found += [line for line in new if line not in old]
        found += [line for line in old if line not in new]
    return found

"""`Crossover`: one candidate out of two. Parts that only one of them changed, or two texts made one by a proposer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from outlast.modules.module import Module
from outlast.modules.paths import parameters
from outlast.modules.predict import Predict
from outlast.optimize.operators.merge import ancestor
from outlast.optimize.operators.protocol import Operator
from outlast.optimize.proposers import CombineInstructions
from outlast.optimize.texts import about_text, proposer_modules, text_in, text_of, texts, whole_numbers

if TYPE_CHECKING:
    from outlast.optimize.candidate import Candidate
    from outlast.optimize.study import Study

_SEEN = 5  # selection examples from which a candidate may be a partner


@dataclass(frozen=True, slots=True)
class Crossover(Operator):
    """Have a proposer make one text out of the parent's and a partner's; everything else is the parent's.

    The partner is drawn from the `partners` best candidates so far whose text is another one. `proposer` is any module
    that takes the inputs of `CombineInstructions` and gives `merged`. Cost: one proposal.
    Source: Zehle et al. 2025 (CAPO, arXiv 2504.16005), after Guo et al. 2023 (EvoPrompt, arXiv 2309.08532).
    """

    name: ClassVar[str] = "crossover"
    partners: int = 5
    proposer: Module = field(default_factory=lambda: Predict(CombineInstructions))

    def __post_init__(self) -> None:
        whole_numbers(self, partners=1)
        proposer_modules(self, proposer=CombineInstructions)

    def applies(self, study: Study, parent: Candidate) -> bool:
        """Whether there is a partner with another text."""
        return any(self._partners(study, parent, path) for path in texts(study))

    async def propose(self, study: Study, parent: Candidate, number: int) -> list[Candidate]:
        """One candidate, or none when there is no partner or the proposer gave nothing new."""
        rng = study.rng(f"{self.name} {parent.id} {number}")
        paths = [path for path in texts(study) if self._partners(study, parent, path)]
        if not paths:
            return []
        path = rng.choice(paths)
        partner = rng.choice(self._partners(study, parent, path))
        text = await combined(study, parent, partner, path, self.proposer, sample=number)
        if not text:
            return []
        made = study.propose(
            {path: text},
            origin=f"{path} out of those of {parent.id} and {partner.id}",
            parent=parent,
            operator=self.name,
        )
        return [] if made == parent else [made]

    def _partners(self, study: Study, parent: Candidate, path: str) -> list[Candidate]:
        own = text_of(study, parent, path)
        others = [one for one in study.candidates.values() if text_of(study, one, path) not in ("", own)]
        known = [one for one in others if len(study.tally(one).values) >= _SEEN]
        return sorted(known, key=lambda one: -study.tally(one).mean)[: self.partners]


async def combined(study: Study, one: Candidate, other: Candidate, path: str, proposer: Module, *, sample: int) -> str:
    """One text out of those of two candidates; "" when the proposer gave none. Cost: one proposal."""
    out = await study.ask(
        proposer,
        sample=sample,
        module=about_text(study, path),
        first_instruction=text_of(study, one, path),
        second_instruction=text_of(study, other, path),
    )
    return text_in(out, "merged")


def exchanged(study: Study, one: Candidate, other: Candidate, *, operator: str = "merge") -> Candidate | None:
    """The two candidates crossed part by part: each parameter is taken from the side that changed it.

    Where both changed one, the side with the better selection score counts, the first of equals. None when neither has
    something that the other lacks: one comes from the other, or both changed the same. Free.
    Source: system-aware merge, Agrawal et al. 2025 (GEPA, arXiv 2507.19457), section 3.4 and algorithm 4.
    """
    common = ancestor(study, one, other)
    if common in (one, other):
        return None
    base, ours, theirs = (parameters(study.build(each)) for each in (common, one, other))
    first = study.tally(one).mean >= study.tally(other).mean
    changes: dict[str, Any] = {}
    for path in _shared(base, ours, theirs):
        if theirs[path] != base[path] and (ours[path] == base[path] or (theirs[path] != ours[path] and not first)):
            changes[path] = theirs[path]
    made = study.propose(
        changes,
        origin=f"the parts of {one.id} and {other.id} that each changed",
        parent=one,
        operator=operator,
        cause=tuple(dict.fromkeys((*one.cause, *other.cause))),
    )
    return None if made in (one, other, common) else made


def _shared(*programs: Mapping[str, Any]) -> list[str]:
    return [path for path in programs[0] if all(path in other for other in programs)]

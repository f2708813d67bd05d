"""`Induce`: rules that explain labelled examples, put below an instruction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, cast

from outlast.data.example import Example, inputs_of, targets_of
from outlast.modules.module import Module
from outlast.modules.paths import predictors_of
from outlast.modules.predict import Predict
from outlast.optimize.demos import labeled_demos
from outlast.optimize.edits import Edit, apply_edits
from outlast.optimize.episodes import labelled
from outlast.optimize.operators.protocol import Operator
from outlast.optimize.proposers import InduceRules
from outlast.optimize.texts import about_text, module_of, proposer_modules, text_of, texts, whole_numbers

if TYPE_CHECKING:
    from outlast.optimize.candidate import Candidate
    from outlast.optimize.study import Study

_LONGEST = 300  # characters of a rule


@dataclass(frozen=True, slots=True)
class Induce(Operator):
    """Have a proposer find up to `rules` rules in `shown` labelled training examples and put them below a text.

    Which text is drawn by chance. `proposer` is any module that takes the inputs of `InduceRules` and gives `rules`.
    Cost: one proposal.
    Source: `InferRules` of DSPy (Khattab et al. 2023, arXiv 2310.03714); instruction induction, Honovich et al. 2022
    (arXiv 2205.10782).
    """

    name: ClassVar[str] = "induce"
    shown: int = 20
    rules: int = 10
    proposer: Module = field(default_factory=lambda: Predict(InduceRules))

    def __post_init__(self) -> None:
        whole_numbers(self, shown=1, rules=1)
        proposer_modules(self, proposer=InduceRules)

    def applies(self, study: Study, parent: Candidate) -> bool:
        """Whether there is a text to put rules below, and a labelled example to find them in."""
        return bool(texts(study)) and any(targets_of(example) for example in study.train)

    async def propose(self, study: Study, parent: Candidate, number: int) -> list[Candidate]:
        """One candidate, or none when the proposer found no new rule."""
        if not self.applies(study, parent):
            return []
        rng = study.rng(f"{self.name} {parent.id} {number}")
        path = rng.choice(texts(study))
        examples = rng.sample(study.train, min(len(study.train), self.shown))
        text = await with_rules(study, parent, path, examples, self.proposer, most=self.rules, sample=number)
        if not text:
            return []
        made = study.propose(
            {path: text},
            origin=f"{path} with rules induced from {len(examples)} examples",
            parent=parent,
            operator=self.name,
        )
        return [] if made == parent else [made]


async def with_rules(
    study: Study,
    parent: Candidate,
    path: str,
    examples: Sequence[Example],
    proposer: Module,
    *,
    most: int,
    sample: int,
) -> str:
    """The text at `path` with rules induced from these examples below it; "" when there is no new one.

    Cost: one proposal.
    """
    before = text_of(study, parent, path)
    out = await study.ask(
        proposer,
        sample=sample,
        module=about_text(study, path),
        instruction=before,
        examples="\n\n".join(_labelled(study, path, examples)),
    )
    found: Any = getattr(out, "rules", None)
    rules = [rule for rule in cast("list[Any]", found) if isinstance(rule, str)] if isinstance(found, list) else []
    edits = [Edit(op="add", text=rule) for rule in rules[:most] if len(rule) <= _LONGEST]
    after = apply_edits(before, edits, most_lines=most, most_characters=most * _LONGEST)
    return after if after != apply_edits(before, []) else ""


def _labelled(study: Study, path: str, examples: Sequence[Example]) -> list[str]:
    """The examples as the module sees them, where the data names its fields; else as the program sees them."""
    owner = module_of(study, path)
    if owner is not None:
        signature = predictors_of(study.program)[owner].signature
        own = [demo.values for demo in labeled_demos(study.program, examples)[owner]]
        if own:
            return [
                labelled(
                    {name: value for name, value in values.items() if name in signature.inputs},
                    {name: value for name, value in values.items() if name in signature.outputs},
                )
                for values in own
            ]
    return [labelled(inputs_of(example), targets_of(example)) for example in examples if targets_of(example)]

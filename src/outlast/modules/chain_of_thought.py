"""`ChainOfThought`: the model reasons before it answers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from outlast.adapters.ask import Answer
from outlast.adapters.protocol import Task
from outlast.errors import SignatureError
from outlast.lms.protocol import Capabilities
from outlast.modules.predict import P, Predict, R
from outlast.signatures.field import output
from outlast.signatures.ordering import ordered

REASONING = "reasoning"


class ChainOfThought(Predict[P, R]):
    """Ask for step-by-step reasoning first, then for the outputs (Wei et al. 2022, arXiv 2201.11903).

    A text field `reasoning` goes before the declared outputs, unless the model says that it reasons natively: then
    its own reasoning is used and nothing is added to the prompt. Either way `out.reasoning` has the text. An `order`
    that does not name it leaves it where it is.
    Takes what `Predict` takes. Cost of a call: one LM call, plus re-asks.
    """

    def asked(self) -> Any:
        """The signature with `reasoning` as its first output."""
        found = self.signature.__dict__.get("__reasoned__")
        if found is None:
            if REASONING in self.signature.fields:
                raise SignatureError(
                    f"{self.signature.__name__} has a field {REASONING!r} already, which ChainOfThought adds; use "
                    f"Predict, or rename the field"
                )
            found = self.signature.prepend(REASONING, str, output(desc="think step by step before you answer"))
            type.__setattr__(self.signature, "__reasoned__", found)
        return found

    def task(self, capabilities: Capabilities) -> Task:
        """The declared signature for a model that reasons by itself, the longer one for others."""
        task = super().task(capabilities)
        if not capabilities.reasoning:
            return task
        descriptions = {name: desc for name, desc in task.descriptions.items() if name != REASONING}
        demos = tuple(
            replace(demo, values={name: value for name, value in demo.values.items() if name != REASONING})
            for demo in task.demos
        )
        return replace(task, signature=ordered(self.signature, self.order), descriptions=descriptions, demos=demos)

    def result(self, answer: Answer) -> tuple[dict[str, Any], str | None]:
        """The declared outputs apart from the reasoning."""
        values = dict(answer.values)
        reasoning = values.pop(REASONING, None)
        return values, answer.response.reasoning if reasoning is None else reasoning

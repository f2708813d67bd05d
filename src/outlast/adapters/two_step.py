"""A free answer first, its fields second: for models that think worse when they have to mind a format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from outlast.adapters.chat import ChatPlan
from outlast.adapters.extract import without_thinking
from outlast.adapters.json import JSON
from outlast.adapters.layout import failed, refuse_unfinished
from outlast.adapters.protocol import Adapter, FollowUp, Plan, Prepared, Task, check_limits
from outlast.adapters.tags import Tags
from outlast.errors import UsageError, brief
from outlast.lms.models import open_model
from outlast.lms.protocol import LM, Capabilities
from outlast.messages import Response
from outlast.signatures.field import input as input_field
from outlast.signatures.signature import without_field

if TYPE_CHECKING:
    from outlast.adapters.partial import PartialReader


@dataclass(frozen=True, slots=True)
class TwoStep(Adapter):
    """The model answers in its own words; then `extractor`, a small model, reads the outputs out of the answer.

    The first prompt demands no format (Tam et al. 2024, arXiv 2408.02442, measure what format demands cost). The
    extractor sees the answer and the outputs, not the inputs, and is asked with `adapter`, which keeps its own limits:
    outputs that cannot be read are asked of the extractor again, never of the model. `reasks` is for answers that are
    empty or cut off. `extractor` is an LM or a model name. Cost: one call of each model, and re-asks; both are in the
    trace, where the extractor's has no path. The native reasoning of the first is kept.
    """

    extractor: LM | str
    adapter: Adapter = field(default_factory=JSON)
    reasks: int = 1
    fallback: Adapter | None = None

    def __post_init__(self) -> None:
        check_limits(self)
        if isinstance(self.extractor, str):
            object.__setattr__(self, "extractor", open_model(self.extractor))
        if not isinstance(self.extractor, LM):
            raise UsageError(
                f"TwoStep(extractor=...) is an LM or a model name such as 'openai/gpt-5-nano'; "
                f"got {brief(self.extractor)}"
            )
        if not isinstance(self.adapter, Adapter):
            raise UsageError(f"TwoStep(adapter=...) is an adapter such as ol.JSON(); got {brief(self.adapter)}")

    def compile(self, task: Task, capabilities: Capabilities) -> Plan:
        """The plan for a task; the extractor's capabilities decide how the answer is read."""
        assert isinstance(self.extractor, LM)
        return TwoStepPlan(task, self.extractor, self.adapter, cites=capabilities.citations)


class _Freely(Tags):
    """Inputs in tags, answers in plain words."""

    def order(self, nonce: str, placeholder: str) -> str:
        """What the system message says about the form of a reply."""
        del nonce, placeholder
        return "Answer in your own words. Think first where that helps, and end with what each of the outputs is."

    def request(self, nonce: str) -> str:
        """What the question ends with."""
        del nonce
        return f"Give {', '.join(self.outputs)}."

    def answer(self, written: Iterable[tuple[str, str]], nonce: str) -> str:
        """How a demonstration answers."""
        del nonce
        return "\n".join(f"{name}: {text}" for name, text in written)


class TwoStepPlan(ChatPlan):
    """A task whose free question is rendered, and the task of reading its answer."""

    grammar = _Freely

    def __init__(self, task: Task, extractor: LM, adapter: Adapter, *, cites: bool = False) -> None:
        super().__init__(task, cites=cites)
        self.extractor = extractor
        self.adapter = adapter
        self.reading, self.answer_name = _reading(task)
        self.plans: dict[Adapter, Plan] = {}

    def plan(self, adapter: Adapter) -> Plan:
        """The plan of the extractor with an adapter, compiled once."""
        found = self.plans.get(adapter)
        if found is None:
            found = self.plans[adapter] = adapter.compile(self.reading, self.extractor.capabilities)
        return found

    def prepare(self, inputs: Mapping[str, Any]) -> Prepared:
        """Render the first call."""
        return self._freely(super().prepare(inputs))

    def _freely(self, prepared: Prepared) -> Prepared:
        return Prepared(
            prepared.messages, self._follow, more=lambda new: self._freely(prepared.then(new)), partial=_draft
        )

    def _follow(self, response: Response) -> FollowUp:
        refuse_unfinished(self.signature, response, complete=False)
        text = without_thinking(response.text).strip()
        if not text:
            raise failed(self.signature, response, ["there is nothing after the thinking"])
        given = {self.answer_name: text}
        return FollowUp(self.reading.signature, given, self.extractor, self.adapter, self.plan, "TwoStep")


def _draft() -> PartialReader:
    from outlast.adapters.partial import Draft

    return Draft()


def _reading(task: Task) -> tuple[Task, str]:
    """The task of reading the outputs out of an answer, and the name of its input."""
    kind: Any = task.signature
    for name in kind.inputs:
        kind = without_field(kind, name)
    name = "answer"
    while name in kind.fields:
        name = f"given_{name}"
    kind = kind.prepend(name, str, input_field(desc="what was answered"))
    instruction = (
        f"Read the outputs out of the {name}. Take what it says as it is: do not solve the task again, and add nothing "
        f"that it does not say. It answers this task:\n{task.instruction.strip()}"
    )
    descriptions = {name: desc for name, desc in task.descriptions.items() if name in kind.outputs}
    return Task(kind, instruction, descriptions), name

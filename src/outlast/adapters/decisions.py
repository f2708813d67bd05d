"""Closed outputs as typed questions: answered with probabilities instead of text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from outlast.adapters.json import JSONPlan
from outlast.adapters.layout import failed, heading, read_fields
from outlast.adapters.protocol import Adapter, Plan, Prepared, Slots, Task, check_limits
from outlast.errors import LMUnsupported, SignatureError, UsageError
from outlast.lms.decide import USUAL, checked, decide
from outlast.lms.protocol import LM, Capabilities
from outlast.messages import Evidence, Question, Request, Response, system
from outlast.messages.decision import MOST_OPTIONS
from outlast.signatures.codec import Codec, codecs


@dataclass(frozen=True, slots=True)
class Decisions(Adapter):
    """Every output is a question with a closed set of answers: `bool`, `Literal`, `Enum`, or `int` within bounds.

    A model with the capability `decisions` answers all of them in one call with probabilities of its own; for others
    `by` says what evidence may take their place, at the cost that `outlast.lms.decide.decide` tells. The result's
    `decisions` hold the probabilities by field. Used on its own for such models and signatures when no adapter is set.
    """

    by: tuple[Evidence, ...] = USUAL
    samples: int = 5
    reasks: int = 0
    fallback: Adapter | None = None

    def __post_init__(self) -> None:
        if isinstance(self.by, list):
            object.__setattr__(self, "by", tuple(self.by))
        checked(self.by, self.samples)
        check_limits(self)

    def compile(self, task: Task, capabilities: Capabilities) -> Plan:
        """The plan for a task. Raises `SignatureError` when an output is not closed, `LMUnsupported` when no evidence
        in `by` can be had from the model."""
        open_fields = [name for name in task.signature.outputs if question_of(task, name) is None]
        if open_fields:
            raise SignatureError(
                f"{task.signature.__name__} has outputs that no typed question can answer: {', '.join(open_fields)}. "
                "Decisions() takes bool, Literal, Enum and int with ge= and le="
            )
        can = {"native": capabilities.decisions, "logprobs": capabilities.logprobs}
        if not any(can.get(kind, True) for kind in self.by):
            raise LMUnsupported(
                f"the model gives no evidence of the kinds {', '.join(self.by)} for Decisions(); allow others with by="
            )
        return DecisionsPlan(task, capabilities, self)


class DecisionsPlan(Plan):
    """A task whose questions are ready."""

    plain = JSONPlan.plain

    def __init__(self, task: Task, capabilities: Capabilities, adapter: Decisions) -> None:
        self.signature: Any = task.signature
        self.adapter = adapter
        self._native = "native" in adapter.by and capabilities.decisions
        self.questions = tuple((name, _needed(question_of(task, name))) for name in task.signature.outputs)
        self._heading = system(heading(task))
        self._json = JSONPlan(task, capabilities)

    def prepare(self, inputs: Mapping[str, Any]) -> Prepared:
        """Render one call: what is known as a conversation, what is asked as questions."""
        return self._deciding(self._json.prepare(inputs))

    def outline(self, marks: Mapping[str, str], nonce: str) -> Prepared:
        """The prompt with marks for the inputs. Raises `UsageError` when no such prompt is ever sent."""
        if not self._native:
            raise UsageError(
                f"{self.signature.__name__} has no one prompt to export: Decisions(by={list(self.adapter.by)}) asks a "
                "model without decisions of its own one question at a time, at the end of the last turn, and what it "
                "asks next depends on the replies. out.trace and ol.history() show what was sent; export it for a "
                "model that decides (lm=...), or with another adapter"
            )
        return self._deciding(self._json.outline(marks, nonce))

    def slots(self, inputs: Mapping[str, Any]) -> Slots:
        """The JSON of the inputs."""
        return self._json.slots(inputs)

    def _deciding(self, prepared: Prepared) -> Prepared:
        _, *turns = prepared.messages
        return Prepared(
            (self._heading, *turns),
            self._read,
            questions=self.questions,
            ask=self._ask,
            more=lambda new: self._deciding(prepared.then(new)),
        )

    async def _ask(self, lm: LM, request: Request) -> Response:
        return await decide(lm, request, by=self.adapter.by, samples=self.adapter.samples)

    def _read(self, response: Response) -> dict[str, Any]:
        refused = dict(response.undecided)
        if refused:
            reasons = [f"{name}: refused: {why}" for name, why in refused.items()]
            raise failed(self.signature, response, reasons, final=True)
        values: dict[str, Any] = {name: decision.value for name, decision in response.decisions}
        if not values:  # a model that stands in for one with decisions, such as a scripted one
            try:
                values = json.loads(response.text)
            except ValueError:
                raise failed(self.signature, response, ["there are no decisions in it"]) from None
        return read_fields(self.signature, values, response, "data", what="decision")


def closed(signature: Any) -> bool:
    """Whether typed questions can answer all outputs of a signature."""
    task = Task(signature, "")
    return all(question_of(task, name) is not None for name in signature.outputs)


def question_of(task: Task, name: str) -> Question | None:
    """The typed question that an output is, or None when its type is open."""
    codec: Codec = codecs(task.signature)[name]
    text = f"{name}: {task.describe(name).strip()}".rstrip(": ")
    if codec.choices is not None:
        labels = tuple(codec.choices.labels)
        return Question("choice", text, labels) if 2 <= len(labels) <= MOST_OPTIONS and all(labels) else None
    schema = codec.schema() or {}
    if schema.get("type") == "boolean":
        return Question("yes_no", text)
    low, high = schema.get("minimum"), schema.get("maximum")
    if schema.get("type") != "integer" or not isinstance(low, int) or not isinstance(high, int):
        return None
    fine = 1 <= high - low < MOST_OPTIONS and "multipleOf" not in schema
    return Question("score", text, low=low, high=high) if fine else None


def _needed(question: Question | None) -> Question:
    assert question is not None
    return question

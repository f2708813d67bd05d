"""Typed questions that are answered with probabilities instead of text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from outlast.errors import UsageError, brief
from outlast.messages.parts import Message
from outlast.messages.response import NO_USAGE, CacheState, Usage
from outlast.types import TRUSTED, Label

Kind = Literal["yes_no", "choice", "score"]
Evidence = Literal["native", "logprobs", "samples", "verbal"]
MOST_OPTIONS = 255
MOST_QUESTIONS = 400


@dataclass(frozen=True, slots=True)
class Question:
    """One typed question. A "choice" is between 2..255 `options`, a "score" a whole number from `low` to `high`.

    `described` says more about options, by name. Raises `UsageError` for a question that has no answer.
    """

    kind: Kind
    text: str
    options: tuple[str, ...] = ()
    low: int = 0
    high: int = 0
    described: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in ("yes_no", "choice", "score"):
            raise UsageError(f"the kind of a question is 'yes_no', 'choice' or 'score'; got {brief(self.kind)}")
        if self.kind == "choice":
            distinct = len(set(self.options))
            if not 2 <= len(self.options) <= MOST_OPTIONS or distinct < len(self.options) or "" in self.options:
                raise UsageError(f"a choice is between 2 to {MOST_OPTIONS} different texts; got {brief(self.options)}")
        if self.kind == "score" and not 1 <= self.high - self.low < MOST_OPTIONS:
            raise UsageError(f"a score has 2 to {MOST_OPTIONS} steps from low to high; got {self.low} to {self.high}")

    @property
    def answers(self) -> tuple[str, ...]:
        """Every possible answer as text: "yes" and "no", the options, or the steps of the score."""
        if self.kind == "yes_no":
            return ("yes", "no")
        if self.kind == "choice":
            return self.options
        return tuple(str(step) for step in range(self.low, self.high + 1))

    def value(self, answer: str) -> bool | str | int:
        """The value that an answer stands for."""
        return answer == "yes" if self.kind == "yes_no" else answer if self.kind == "choice" else int(answer)

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready form."""
        data: dict[str, Any] = {"kind": self.kind, "text": self.text}
        if self.kind == "choice":
            data["options"] = list(self.options)
        if self.kind == "score":
            data["range"] = [self.low, self.high]
        if self.described:
            data["described"] = [list(pair) for pair in self.described]
        return data


@dataclass(frozen=True, slots=True)
class DecisionRequest:
    """Questions about one state of affairs, which the messages tell. 1..400 questions by name."""

    messages: tuple[Message, ...]
    questions: Mapping[str, Question]
    sample: int = 0
    label: Label = TRUSTED

    def __post_init__(self) -> None:
        if not 1 <= len(self.questions) <= MOST_QUESTIONS:
            raise UsageError(f"a decision answers 1 to {MOST_QUESTIONS} questions; got {len(self.questions)}")

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready form of all that decides the answers."""
        return {
            "messages": [message.to_json() for message in self.messages],
            "questions": {name: question.to_json() for name, question in self.questions.items()},
            **({"sample": self.sample} if self.sample else {}),
        }


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to one question: `value` is the likeliest, `probabilities` are by answer text and sum to 1.

    `evidence` says where they come from: the model's own calibrated ones ("native"), the log-probabilities of its
    first token, how often each of several samples said so, or what the model says of itself ("verbal"). A score's
    `mean` is its expected value.
    """

    value: bool | str | int
    probabilities: Mapping[str, float]
    evidence: Evidence

    @property
    def probability(self) -> float:
        """How likely the likeliest answer is."""
        return max(self.probabilities.values())

    @property
    def mean(self) -> float | None:
        """The expected value of a score or of a yes (as 1); None for a choice."""
        if isinstance(self.value, bool):
            return self.probabilities.get("yes", 0.0)
        if isinstance(self.value, int):
            return sum(int(answer) * share for answer, share in self.probabilities.items())
        return None

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return {"value": self.value, "probabilities": dict(self.probabilities), "evidence": self.evidence}


@dataclass(frozen=True, slots=True)
class DecisionResponse:
    """The answers to a `DecisionRequest` by name, and what they cost. `refused` are questions that were not answered,
    with the reason."""

    decisions: Mapping[str, Decision]
    model: str = ""
    usage: Usage = NO_USAGE
    seconds: float = 0.0
    cache: CacheState = "miss"
    attempts: int = 1
    request_id: str | None = None
    adaptations: tuple[str, ...] = ()
    label: Label = TRUSTED
    refused: tuple[tuple[str, str], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready form; `from_json` reads it back."""
        data: dict[str, Any] = {
            "decisions": {name: decision.to_json() for name, decision in self.decisions.items()},
            "model": self.model,
            "usage": self.usage.to_json(),
            "seconds": round(self.seconds, 6),
        }
        if self.request_id is not None:
            data["request_id"] = self.request_id
        if self.adaptations:
            data["adaptations"] = list(self.adaptations)
        if self.label is not TRUSTED:
            data["label"] = self.label.to_json()
        if self.refused:
            data["refused"] = [list(pair) for pair in self.refused]
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any], *, cache: CacheState = "miss") -> DecisionResponse:
        """The response that `to_json` wrote."""
        label = data.get("label")
        return cls(
            {name: Decision(d["value"], d["probabilities"], d["evidence"]) for name, d in data["decisions"].items()},
            model=data["model"],
            usage=Usage(**data["usage"]),
            seconds=data["seconds"],
            cache=cache,
            request_id=data.get("request_id"),
            adaptations=tuple(data.get("adaptations", ())),
            label=TRUSTED if label is None else Label.from_json(label),
            refused=tuple((name, why) for name, why in data.get("refused", ())),
        )

    def as_cached(self, state: CacheState) -> DecisionResponse:
        """The same answers, marked as not asked for anew."""
        return replace(self, cache=state, attempts=0)

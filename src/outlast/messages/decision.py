"""Typed questions that are answered with probabilities instead of text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from outlast.errors import UsageError, brief

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
            raise UsageError(
                f"the kind of a question is 'yes_no', 'choice' or 'score'; got {brief(self.kind)}. Write "
                "Question.yes_no(text), Question.choice(text, options) or Question.score(text, low, high)"
            )
        if self.kind == "choice":
            distinct = len(set(self.options))
            if not 2 <= len(self.options) <= MOST_OPTIONS or distinct < len(self.options) or "" in self.options:
                raise UsageError(f"a choice is between 2 to {MOST_OPTIONS} different texts; got {brief(self.options)}")
        if self.kind == "score" and not 1 <= self.high - self.low < MOST_OPTIONS:
            raise UsageError(f"a score has 2 to {MOST_OPTIONS} steps from low to high; got {self.low} to {self.high}")

    @classmethod
    def yes_no(cls, text: str) -> Question:
        """A question that is answered with True or False."""
        return cls("yes_no", text)

    @classmethod
    def choice(cls, text: str, options: Iterable[str] | Mapping[str, str]) -> Question:
        """A question between options; a mapping says more about each."""
        pairs = cast("Mapping[str, str]", options).items() if isinstance(options, Mapping) else ()
        names = cast("Iterable[str]", options)
        return cls("choice", text, tuple(names), described=tuple(pairs))

    @classmethod
    def score(cls, text: str, low: int, high: int) -> Question:
        """A question for a whole number from `low` to `high`."""
        return cls("score", text, low=low, high=high)

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

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Question:
        """The question that `to_json` wrote."""
        extra: dict[str, Any] = {}
        if "range" in data:
            extra["low"], extra["high"] = data["range"]
        described = tuple((answer, told) for answer, told in data.get("described", ()))
        return cls(data["kind"], data["text"], tuple(data.get("options", ())), described=described, **extra)


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to one question: `value` is the likeliest, `probabilities` are by answer text and sum to 1.

    `evidence` says where they come from: the model's own calibrated ones ("native"), the log-probabilities of its
    first token ("logprobs"), how often each of several samples said so ("samples"), or what the model says of itself
    ("verbal").
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

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Decision:
        """The decision that `to_json` wrote."""
        return cls(data["value"], data["probabilities"], data["evidence"])

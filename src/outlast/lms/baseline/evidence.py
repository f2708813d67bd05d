"""What the baseline goes by: the votes of the demonstrations near a question, and the words of the prompt.

A demonstration of similarity s (see `baseline_text.Index`) votes with the weight s**2, plus a trace, so that
demonstrations that share nothing with the question still say which value is usual. A choice c scores

    weights of those of the 8 nearest demonstrations that gave c + 0.4 * likeness(input, what is said of c)

and the first of the best in the order of the prompt wins; among the numbers of a stated range the median by
these scores. So the words of the prompt decide while demonstrations are few or far, and a demonstration that
asks nearly the same outvotes them. The three numbers were chosen on half of `samples/support.jsonl`; the result
is flat around them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from outlast.lms.baseline.guides import guide
from outlast.lms.baseline.prompt import Asked, Demo, Prefix, comparable
from outlast.lms.baseline.schema import Schema
from outlast.lms.baseline.text import Index

NEIGHBOURS = 8
POWER = 2.0
GUIDE = 0.4
NEAR = 0.05
"""Below this similarity two texts have nothing in common."""

_TRACE = 1e-6


@dataclass(frozen=True, slots=True)
class Vote:
    """What one demonstration says, how much that weighs, and how similar its question is."""

    weight: float
    value: Any
    similarity: float


@dataclass(frozen=True, slots=True)
class Question:
    """The inputs asked about, the demonstrations by falling similarity, and the prompt that they stand in.

    `likeness` compares the inputs with the documents of an index; `guides` keeps, from call to call, what the
    prompt says of values.
    """

    inputs: Mapping[str, str]
    nearest: Sequence[tuple[float, Demo]]
    prefix: Prefix
    likeness: Callable[[Index], list[float]]
    guides: dict[tuple[str, str], Index]

    @property
    def text(self) -> str:
        """All inputs together."""
        return "\n".join(self.inputs.values())


@dataclass(frozen=True, slots=True)
class Slot:
    """The place that a value goes to: its name, what is said of it, where `$ref`s point, how deep it lies."""

    name: str
    root: Schema
    desc: str = ""
    depth: int = 0

    def within(self, name: str = "", desc: str = "") -> Slot:
        """A place inside this one; its name and description are this one's unless given."""
        return Slot(name or self.name, self.root, desc or self.desc, self.depth + 1)


def ask(prefix: Prefix, inputs: Mapping[str, str], guides: dict[tuple[str, str], Index]) -> Question:
    """The question that inputs put to a prefix."""
    query = comparable(inputs)
    similar = prefix.index.similarities(query)
    order = sorted(range(len(similar)), key=lambda number: -similar[number])
    nearest = [(similar[number], prefix.demos[number]) for number in order]
    return Question(inputs, nearest, prefix, lambda index: index.similarities(query), guides)


def votes_for(question: Question, asked: Asked) -> list[Vote]:
    """The votes on one output, nearest first. A demonstration without this output does not vote."""
    votes: list[Vote] = []
    for similarity, demo in question.nearest:
        if asked.name in demo.outputs:
            votes.append(Vote(similarity**POWER + _TRACE, demo.outputs[asked.name], similarity))
            if len(votes) == NEIGHBOURS:
                break
    return votes


def key_of(value: Any) -> str:
    """Tells JSON values apart: 1 is not true. Texts are folded, so that "Billing " votes for "billing"."""
    return json.dumps(value.strip().casefold() if isinstance(value, str) else value, sort_keys=True)


def tally(votes: Sequence[Vote]) -> dict[str, float]:
    """The weight of each value, by its key."""
    total: dict[str, float] = {}
    for vote in votes:
        key = key_of(vote.value)
        total[key] = total.get(key, 0.0) + vote.weight
    return total


def heaviest(votes: Sequence[Vote], otherwise: Any) -> Any:
    """The value with most weight, as its nearest demonstration spells it."""
    total = tally(votes)
    return max(votes, key=lambda vote: total[key_of(vote.value)]).value if votes else otherwise


def described(choices: Sequence[Any], schema: Schema, slot: Slot, question: Question) -> list[float]:
    """How much the input resembles what the prompt says of each choice, 0..1."""
    key = (f"{slot.name}\n{slot.desc}", json.dumps(choices, sort_keys=True))
    found = question.guides.get(key)
    if found is None:
        texts = (question.prefix.spec.instruction, slot.desc, str(schema.get("description") or ""))
        found = question.guides[key] = guide(choices, list(dict.fromkeys(texts)))
    return question.likeness(found)

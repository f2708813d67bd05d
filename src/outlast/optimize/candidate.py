"""A candidate: the program to improve with some parameters changed, and where the change came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from outlast.types import TRUSTED, Label


@dataclass(frozen=True, slots=True)
class Candidate:
    """A change of parameters of the start program. `id` is a hash of the change, so equal changes are one candidate.

    `changes` maps parameter paths to values and is the whole difference to the start program, whatever the parent.
    `parent` is the id of the candidate it was made from ("start", or "" for the start itself), `origin` says in words
    how it was made, `operator` names what made it, and `cause` holds the ids of the examples whose failures caused it.
    """

    id: str
    changes: Mapping[str, Any] = field(default_factory=dict[str, Any], compare=False)
    parent: str = field(default="", compare=False)
    origin: str = field(default="", compare=False)
    operator: str = field(default="", compare=False)
    cause: tuple[str, ...] = field(default=(), compare=False)

    def __hash__(self) -> int:
        return hash(self.id)

    @property
    def may_win(self) -> bool:
        """Not so a teacher that was adopted: it is no change of the start program."""
        return self.id == "start" or bool(self.changes)


@dataclass(frozen=True, slots=True)
class Step:
    """What one module did in a rollout: its path, its inputs and outputs as values, the label of its prompt."""

    path: str
    inputs: Mapping[str, Any]
    values: Mapping[str, Any]
    label: Label = TRUSTED


@dataclass(frozen=True, slots=True)
class Outcome:
    """One rollout: a candidate run on one example.

    `state` is "pass", "fail", "error" or "unscored". `answered` is False when the program failed on what the model
    said (no usable answer, a prompt too long, an exception in `forward`): the candidate's fault. Other errors (a dead
    server, a metric that raises) are nobody's. `seconds` is the program's time from scratch: replies that were known
    count with what they once took. `calls`, `tokens` and `dollars` are what the rollout costs from
    scratch, those of a metric that asks models included; `replies` are the keys of its replies in the ledger.
    """

    candidate: str
    example: str
    sample: int
    state: str
    score: float | None
    feedback: str = ""
    error: str = ""
    answered: bool = True
    seconds: float = 0.0
    calls: int = 0
    tokens: int = 0
    dollars: float = 0.0
    replies: tuple[str, ...] = ()

    @property
    def value(self) -> float | None:
        """The score that a search ranks by: 0 when the program gave no usable answer, None when nobody can say."""
        return 0.0 if not self.answered else self.score

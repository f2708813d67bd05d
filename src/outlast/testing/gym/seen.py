"""What a prompt says of a task, as a simulated model takes it in, and the items that it is asked about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from outlast.testing.gym.chance import normal


@dataclass(frozen=True, slots=True)
class Step:
    """One question that a world's program asks: the predictor's `path`, the `output` that has a right answer, its
    `labels`, for each cue the words that show it, and the `answers` that cues call for.

    `given` are outputs of earlier steps that it takes as inputs.
    """

    path: str
    output: str
    labels: tuple[str, ...]
    cues: tuple[tuple[str, ...], ...]
    answers: tuple[str, ...]
    given: tuple[str, ...] = ()


class Item:
    """One message: its words, and for each step the cue that decides (-1 for none) and how hard it is."""

    __slots__ = ("cues", "hard", "niche", "sets", "shown", "text", "words")

    def __init__(self, text: str, words: frozenset[str], cues: tuple[int, ...], niche: int) -> None:
        self.text = text
        self.words = words
        self.cues = cues
        self.niche = niche
        self.hard = tuple(normal("hard", text, number) for number in range(len(cues)))
        self.shown: dict[int, frozenset[str]] = {}
        self.sets: dict[str, bool] = {}


@dataclass(frozen=True, slots=True)
class Shown:
    """A demonstration: its item and the label that it gives, with whether that is right."""

    item: Item
    label: str
    right: bool


@dataclass(frozen=True)
class Seen:
    """All of a prompt that matters to a model. `rules` and `wrong` are weights by cue: of right rules, and of
    rules that call for another label. `thinks` says where reasoning stands: "before", "after" or "" for nowhere."""

    step: int
    units: int = 0
    rules: Mapping[int, float] = field(default_factory=dict[int, float])
    wrong: Mapping[int, float] = field(default_factory=dict[int, float])
    misled: Mapping[int, str] = field(default_factory=dict[int, str])
    noise: tuple[str, ...] = ()
    phrases: frozenset[int] = frozenset()
    hint: bool = False
    router: bool = False
    demos: tuple[Shown, ...] = ()
    thinks: str = ""
    kind: str = ""

    @cached_property
    def key(self) -> str:
        """The same for prompts that say the same."""
        return repr(
            (
                self.step,
                self.units,
                sorted(self.rules.items()),
                sorted(self.wrong.items()),
                self.noise,
                sorted(self.phrases),
                self.hint,
                self.router,
                [(one.item.text, one.label) for one in self.demos],
                self.thinks,
                self.kind,
            )
        )

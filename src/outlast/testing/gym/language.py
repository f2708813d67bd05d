"""What a simulated model understands of a sentence: rules, distractors, phrases. By content, not by wording."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_WORD = re.compile(r"[a-z]+")
_SENTENCE = re.compile(r"(?<=[.;!?])\s+|\n+")
_NOT = frozenset(("not", "never", "avoid", "without", "isn", "don", "cannot"))
_QUOTED = 5  # words of messages in one sentence: more are a fact about one message, no rule

PHRASES: tuple[tuple[str, str], ...] = (
    ("twice", "Read everything twice before you answer."),
    ("sender", "Think of what the sender wants most."),
    ("verbatim", "Take every word verbatim."),
    ("expert", "You are an expert with many years of experience."),
    ("concise", "Be concise and precise."),
    ("doubt", "When in doubt, choose the most common answer."),
    ("deep", "Take a deep breath and work on this carefully."),
    ("critical", "This is critical for the business, so make no mistake."),
    ("opening", "The opening words matter most."),
    ("closing", "The closing words matter most."),
    ("tone", "Mind the tone of the message."),
    ("unusual", "Look for unusual words first."),
)
"""Sentences that any prompt engineer may write, each with the word by which a model recognises it."""

_KEYS = {key: number for number, (key, _) in enumerate(PHRASES)}


@dataclass(frozen=True, slots=True)
class Sense:
    """What one sentence says: `rules` are (step, cue, label); `noise` are words with a label that mean nothing;
    `names` are all words of the world in it."""

    rules: tuple[tuple[int, int, str], ...] = ()
    denied: tuple[tuple[int, int, str], ...] = ()
    noise: tuple[str, ...] = ()
    phrases: tuple[int, ...] = ()
    hint: bool = False
    router: bool = False
    names: tuple[str, ...] = ()


class Language:
    """The words of one world. `cues` gives (step, cue) by word, `labels` the step by label, `niches` words of niches,
    `hints` words that only a demand for another form of reply has."""

    def __init__(
        self,
        cues: Mapping[str, tuple[int, int]],
        labels: Mapping[str, int],
        noise: Iterable[str],
        niches: Iterable[str] = (),
        hints: Iterable[str] = (),
    ) -> None:
        self.cues = dict(cues)
        self.labels = dict(labels)
        self.noise = frozenset(noise)
        self.niches = frozenset(niches)
        self.hints = frozenset(hints)
        self._senses: dict[str, Sense] = {}

    def sense(self, sentence: str) -> Sense:
        """What a sentence says; remembered by its text."""
        known = self._senses.get(sentence)
        if known is None:
            if len(self._senses) > 20_000:
                self._senses.clear()
            known = self._senses[sentence] = self._read(sentence)
        return known

    def _read(self, sentence: str) -> Sense:
        words = _WORD.findall(sentence.lower())
        phrases = tuple(sorted({_KEYS[word] for word in words if word in _KEYS}))
        hint = any(word in self.hints for word in words)
        niches = {word for word in words if word in self.niches}
        named = [(at, word) for at, word in enumerate(words) if word in self.cues or word in self.noise]
        names = tuple(dict.fromkeys(word for _, word in named))
        found = [(at, word) for at, word in enumerate(words) if word in self.labels]
        router = len(niches) > 1
        if not found or len(names) >= _QUOTED * max(1, len(found)):
            return Sense(phrases=phrases, hint=hint, router=router, names=names)
        rules: list[tuple[int, int, str]] = []
        noise: list[str] = []
        for at, word in named:
            label = self._label_for(at, word, found)
            if word in self.noise:
                noise.append(word)
            elif label is not None:
                rules.append((*self.cues[word], label))
        denied = any(word in _NOT for word in words)
        kept = tuple(dict.fromkeys(rules))
        return Sense(
            () if denied else kept, kept if denied else (), tuple(dict.fromkeys(noise)), phrases, hint, router, names
        )

    def _label_for(self, at: int, word: str, found: list[tuple[int, str]]) -> str | None:
        """The label that a sentence gives a word: the next one after it, else the last before it, of its step."""
        step = self.cues[word][0] if word in self.cues else None
        fit = [(place, label) for place, label in found if step is None or self.labels[label] == step]
        if not fit:
            return None
        return next((label for place, label in fit if place > at), fit[-1][1])


def sentences(text: str) -> list[str]:
    """The sentences of an instruction: a line is at least one."""
    return [one for part in _SENTENCE.split(text) if (one := part.strip(" \t-*•#"))]

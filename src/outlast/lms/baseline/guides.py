"""What a prompt says about the values that it allows: how the baseline tells them apart without examples."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from outlast.lms.baseline.text import Index, clip, sentences, weighted_terms

_DEFINES = (
    r"[\"'`*)\]]*\s*(?::|=|\u2013|\u2014|->|\u2192|\s-\s"
    r"|\bmeans\b|\bis for\b|\bare for\b|\bcovers\b|\bif\b|\bwhen\b|\bfor\b)"
)
_MENTION_WEIGHT = 0.7  # of a sentence that names one value without defining it
_DENIED = re.compile(r"(?:\bnot|\bnever|\bthan|n't)\s+(?:\w+\s+)?[\"'`]*$", re.IGNORECASE)
_MOST = 400  # values; more are told apart by their names alone


@dataclass(frozen=True, slots=True)
class _Name:
    """A value as people write it. `key` is in every line that names it."""

    key: str
    defined: re.Pattern[str]
    named: re.Pattern[str]


def guide(choices: Sequence[Any], texts: Sequence[str]) -> Index:
    """An index of what `texts` say about each of `choices`, in their order.

    A value is described by its own name, when it is a text; by the text after it where it is defined ("fraud:
    unknown payments", "5 = money is leaving"), up to the next definition or the end of the line or sentence;
    and, for less, by every other sentence that names it without denying it ("not billing"), 1/m as much when
    it names m values.
    """
    spoken = [choice if isinstance(choice, str) else json.dumps(choice) for choice in choices]
    parts: list[list[tuple[str, float]]] = [[(_words(name), 1.0)] for name in spoken]
    for choice, part in zip(choices, parts, strict=True):
        if not isinstance(choice, str):
            part.clear()  # a 5 in the input is an amount more often than the rating 5
    if len(spoken) <= _MOST:
        names = [_name(name) for name in spoken]
        for text in texts:
            for line in clip(text).split("\n"):
                _read_line(line, names, parts)
    return Index([weighted_terms(part) for part in parts])


def _read_line(line: str, names: Sequence[_Name], parts: list[list[tuple[str, float]]]) -> None:
    lowered = line.lower()
    near = [(number, name) for number, name in enumerate(names) if name.key in lowered]
    starts = sorted(
        (match.start(), match.end(), number) for number, name in near for match in name.defined.finditer(line)
    )
    for at, (_, start, number) in enumerate(starts):
        last = at + 1 == len(starts)
        meaning = line[start:] if last else line[start : starts[at + 1][0]]
        leads = not line[: starts[0][0]].strip(" \t-*•\"'`([")
        if last and not leads:
            meaning = next(iter(sentences(meaning)), "")
        parts[number].append((meaning, 1.0))
    for sentence in sentences(line[: starts[0][0]] if starts else line):
        named = [number for number, name in near if _mentions(sentence, name)]
        if len(named) < max(len(names), 2):
            for number in named:
                parts[number].append((sentence, _MENTION_WEIGHT / len(named)))


def _mentions(sentence: str, name: _Name) -> bool:
    match = name.named.search(sentence)
    return match is not None and not _DENIED.search(sentence[: match.start()])


def _name(name: str) -> _Name:
    """How `card_arrival` may be written: "card arrival", "Card-arrival"; "transfer" for "transfers"."""
    words = [word for word in re.split(r"[\s_-]+", name) if word] or [name]
    last = words[-1].removesuffix("s") if len(words[-1]) > 3 and words[-1].isalpha() else ""
    escaped = [re.escape(word) for word in words]
    if last:
        escaped[-1] = re.escape(last) + "s?"
    pattern = r"(?<![\w.])" + r"[\s_-]+".join(escaped) + r"(?!\w)"
    # "a" or "5" as a word of a sentence says nothing about a value of that name; in quotes it does
    named = f"[\"'`]{pattern}[\"'`]" if len(name) < 3 else pattern
    key = (last if last and len(words) == 1 else words[0]).lower()
    return _Name(key, re.compile(pattern + _DEFINES, re.IGNORECASE), re.compile(named, re.IGNORECASE))


def _words(name: str) -> str:
    return re.sub(r"[_\W]+|(?<=[a-z])(?=[A-Z])", " ", name)

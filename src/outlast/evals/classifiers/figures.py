"""A few numbers about a text: its form, and what of it stands in its source."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from outlast.evals.classifiers.features import MOST_CHARACTERS

_WORD = re.compile(r"\w+")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_NAME = re.compile(r"(?<![.!?]\s)(?<!^)\b[A-Z][\w'-]+")
_SENTENCE_END = re.compile(r"[.!?\u3002\uff01\uff1f]+(?=\s|$)")
_MARK = re.compile(r"[^\w\s]")
_APART = re.compile(r"\s[.,;:!?](?=\s|$)")
_ITEM = re.compile(r"\s{0,8}(?:[-*\u2022]|\d{1,3}[.)])\s")
_LONG_WORD = 4
_LONGEST = 64

SHAPE = (
    "length",
    "sentences",
    "lines",
    "words said twice",
    "length of words",
    "length of sentences",
    "capitals",
    "digits",
    "marks",
    "marks set apart",
    "list items",
    "ends in a mark",
    "begins with a capital",
)
PAIR = (
    "words in the source",
    "long words in the source",
    "pairs of words in the source",
    "triples of words in the source",
    "numbers in the source",
    "numbers that are not",
    "names in the source",
    "names that are not",
    "longest copied run",
    "share of the source's words",
    "length against the source",
)


def figures(text: str, source: str | None = None) -> list[float]:
    """The figures of `SHAPE` for a text, and those of `PAIR` when it has a source.

    Cost: linear in both texts, of which the first 200,000 characters are read.
    """
    return shape_row(text) if source is None else [*shape_row(text), *pair_row(source, text)]


def shape_row(text: str) -> list[float]:
    """The form of a text, whatever it says: how long, how cut up, how regular."""
    text = text[:MOST_CHARACTERS]
    words, size = _WORD.findall(text.lower()), max(1, len(text))
    sentences = max(1, len(_SENTENCE_END.findall(text)))
    lines = text.splitlines()
    return [
        math.log1p(len(words)),
        math.log1p(sentences),
        math.log1p(len(lines)),
        1.0 - len(set(words)) / max(1, len(words)),
        sum(map(len, words)) / max(1, len(words)),
        math.log1p(len(words) / sentences),
        sum(map(str.isupper, text)) / size,
        sum(map(str.isdigit, text)) / size,
        len(_MARK.findall(text)) / size,
        math.log1p(len(_APART.findall(text))),
        sum(_ITEM.match(line) is not None for line in lines) / max(1, len(lines)),
        float(text.rstrip()[-1:] in ".!?\"')]"),
        float(text.lstrip()[:1].isupper()),
    ]


def pair_row(source: str, output: str) -> list[float]:
    """How an output stands to its source; shares are 1.0 where there is nothing to look for."""
    source, output = source[:MOST_CHARACTERS], output[:MOST_CHARACTERS]
    had, has = _WORD.findall(source.lower()), _WORD.findall(output.lower())
    known = set(had)
    names = {name.lower() for name in _NAME.findall(output)}
    numbers, given = _NUMBER.findall(output), set(_NUMBER.findall(source))
    return [
        _share([word in known for word in has]),
        _share([word in known for word in has if len(word) >= _LONG_WORD]),
        _share(_runs_in(has, had, 2)),
        _share(_runs_in(has, had, 3)),
        _share([number in given for number in numbers]),
        math.log1p(sum(number not in given for number in numbers)),
        _share([name in known for name in names]),
        math.log1p(sum(name not in known for name in names)),
        math.log1p(_longest_run(has, had)),
        len(known & set(has)) / max(1, len(known)),
        math.log1p(len(has)) - math.log1p(len(had)),
    ]


def _share(found: Sequence[bool]) -> float:
    return sum(found) / len(found) if found else 1.0


def _runs_in(has: Sequence[str], had: Sequence[str], length: int) -> list[bool]:
    known = set(zip(*(had[start:] for start in range(length)), strict=False))
    return [run in known for run in zip(*(has[start:] for start in range(length)), strict=False)]


def _longest_run(has: Sequence[str], had: Sequence[str]) -> int:
    """The words of the longest run that stands in both, as far as 64: longer ones would cost more than they tell."""
    low, high = 0, min(len(has), len(had), _LONGEST)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if any(_runs_in(has, had, middle)) else (low, middle - 1)
    return low

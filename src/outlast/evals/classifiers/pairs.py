"""How an output stands to its source, as a few numbers: what is taken from it, and what is not there."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from outlast.evals.classifiers.features import MOST_CHARACTERS

_WORD = re.compile(r"\w+")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_NAME = re.compile(r"(?<![.!?]\s)(?<!^)\b[A-Z][\w'-]+")
_LONG_WORD = 4
_LONGEST = 64

NAMES = (
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
    "length",
    "sentences",
    "words said twice",
)


def pair_row(source: str, output: str) -> list[float]:
    """The figures of `NAMES` for one output and its source; shares are 1.0 where there is nothing to look for.

    Cost: linear in both texts, of which the first 200,000 characters are read.
    """
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
        math.log1p(len(has)),
        math.log1p(sum(output.count(mark) for mark in ".!?")),
        1.0 - len(set(has)) / max(1, len(has)),
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

"""Texts that are nearly the same, found without comparing every pair.

Two texts are near when their sets of character 5-grams overlap: |A and B| / |A or B| (Jaccard) is at least a
threshold. Candidates come from one-permutation MinHash with 64 bins, densified by rotation, in 16 bands of 4 (Broder
1997; Shrivastava and Li 2014, "Densifying One Permutation Hashing via Rotation"); each is then compared exactly.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Mapping
from typing import Any, cast

from outlast.errors import UsageError, brief

_GRAM = 5
_BINS = 64
_ROWS = 4
_EMPTY = 1 << 40
_MIX = 0x9E3779B1  # spreads the bits of a checksum, which is linear (Knuth's multiplicative hashing)


class NearTexts:
    """Texts by key, to find one that is near another. Of those as like as 0.8 fewer than 1 in 1,000 is missed.

    `threshold` is the least Jaccard likeness, above 0 up to 1. Memory: some 40 bytes a character.
    """

    def __init__(self, threshold: float = 0.8) -> None:
        number = isinstance(threshold, int | float) and not isinstance(threshold, bool)
        if not number or not 0 < threshold <= 1:
            raise UsageError(f"a likeness is a number above 0, up to 1; got {brief(threshold)}")
        self.threshold = threshold
        self._grams: list[frozenset[int]] = []
        self._keys: list[str] = []
        self._bands: dict[tuple[int, ...], list[int]] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, key: str, text: str) -> None:
        """Keep a text. One without letters and digits is near to nothing."""
        grams = grams_of(text)
        if not grams:
            return
        place = len(self._keys)
        self._keys.append(key)
        self._grams.append(grams)
        for band in _bands(grams):
            self._bands.setdefault(band, []).append(place)

    def find(self, text: str) -> str | None:
        """The key of the likest text that is near enough; None when none is."""
        grams = grams_of(text)
        if not grams:
            return None
        seen: set[int] = set()
        best, most = None, 0.0
        for band in _bands(grams):
            for place in self._bands.get(band, ()):
                if place in seen:
                    continue
                seen.add(place)
                like = likeness(grams, self._grams[place])
                if like >= self.threshold and like > most:
                    best, most = self._keys[place], like
        return best


def likeness(a: frozenset[int], b: frozenset[int]) -> float:
    """The Jaccard likeness of two sets, 0..1."""
    shared = len(a & b)
    return shared / (len(a) + len(b) - shared) if shared else 0.0


def grams_of(text: str) -> frozenset[int]:
    """The hashed 5-grams of a text, without case, accents' spelling, punctuation and layout."""
    words = re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold())
    if not words:
        return frozenset()
    plain = f" {' '.join(words)} ".encode("utf-32-le", "surrogatepass")
    step, size = 4, 4 * _GRAM
    last = max(1, len(plain) - size + step)
    return frozenset((zlib.crc32(plain[at : at + size]) * _MIX) & 0xFFFFFFFF for at in range(0, last, step))


def text_of(values: Mapping[str, Any]) -> str:
    """The texts in JSON-ready inputs, one a line."""
    lines: list[str] = []
    waiting: list[Any] = [values]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            lines.append(value)
        elif isinstance(value, Mapping):
            waiting.extend(reversed(list(cast("Mapping[str, Any]", value).values())))
        elif isinstance(value, (list, tuple)):
            waiting.extend(reversed(cast("list[Any] | tuple[Any, ...]", value)))
    return "\n".join(lines)


def _bands(grams: frozenset[int]) -> list[tuple[int, ...]]:
    """What a near text shares at least one of."""
    bins = [_EMPTY] * _BINS
    for gram in grams:
        place, value = gram & (_BINS - 1), gram >> 6
        if value < bins[place]:
            bins[place] = value
    filled = list(bins)
    for place in range(_BINS):
        if bins[place] == _EMPTY:
            steps = next(step for step in range(1, _BINS) if bins[(place + step) % _BINS] != _EMPTY)
            filled[place] = bins[(place + steps) % _BINS] + (steps << 27)
    return [(band, *filled[band * _ROWS : (band + 1) * _ROWS]) for band in range(_BINS // _ROWS)]

"""Texts as vectors by their spelling alone: hashed character n-grams, no model and no dependency."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from zlib import crc32

DIMENSIONS = 1024
_LENGTHS = (3, 4)
_WORD = re.compile(r"\w+")


def lexical(texts: Sequence[str]) -> list[list[float]]:
    """One vector of 1024 numbers and length 1 for each text; a text without a letter or digit gets zeros.

    Counts n-grams of 3 and 4 characters within and across words, of the text in lower case without punctuation, takes
    square roots, and adds each to one of the dimensions with a sign, by its CRC-32 (the hashing trick: Weinberger et
    al., 2009). Near in spelling is near in the vector; what means the same in other words is not near, and "not" is
    one small word. Costs some 150 us for a sentence.
    """
    return [_vector(text) for text in texts]


def _vector(text: str) -> list[float]:
    words = _WORD.findall(text.lower())
    vector = [0.0] * DIMENSIONS
    if not words:
        return vector
    plain = f" {' '.join(words)} "
    counts = Counter(plain[start : start + n] for n in _LENGTHS for start in range(len(plain) - n + 1))
    for gram, count in counts.items():
        code = crc32(gram.encode("utf-8", "surrogatepass"))
        vector[code % DIMENSIONS] += math.sqrt(count) * (1.0 if code >> 31 else -1.0)
    length = math.sqrt(sum(value * value for value in vector))
    return [value / length for value in vector] if length else vector

"""What a classifier sees of a text: n-grams of words and of characters, weighed as in tf-idf.

One function makes the features, in training and in serving; there is no second implementation to drift from it.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

_WORD = re.compile(r"\w+")
_DIGIT = re.compile(r"\d")
_CHARACTERS = (3, 4, 5)
MOST_CHARACTERS = 200_000

Row = tuple[list[int], list[float]]
"""The features of one text that are not 0: their numbers, in order, and their values."""


@dataclass(frozen=True)
class Vocabulary:
    """The n-grams that count, each with its weight (inverse document frequency), made from training texts alone.

    Words in lower case, alone and in pairs; characters within words, 3 to 5 of them. Every digit counts as "0": which
    number a text names says little, that it has one of such a form does. A value: equal terms, equal features.
    """

    words: tuple[str, ...]
    characters: tuple[str, ...]
    weights: tuple[float, ...]

    @classmethod
    def of(cls, texts: Sequence[str], *, most: int, least: int = 2) -> Vocabulary:
        """The vocabulary of some texts: n-grams in at least `least` of them, at most `most` of words and as many of
        characters, the commonest first. Ties go by the term, so that the order of the texts does not matter."""
        words: Counter[str] = Counter()
        characters: Counter[str] = Counter()
        for text in texts:
            shown = normal(text)
            words.update(set(word_grams(shown)))
            characters.update({gram for word in set(shown.split()) for gram in character_grams(word)})
        kept = [_commonest(words, most, least), _commonest(characters, most, least)]
        weights = [_weight(count, len(texts)) for part in kept for _, count in part]
        return cls(tuple(term for term, _ in kept[0]), tuple(term for term, _ in kept[1]), tuple(weights))

    def __len__(self) -> int:
        return len(self.weights)

    @cached_property
    def _places(self) -> tuple[dict[str, int], dict[str, int]]:
        return (
            {term: place for place, term in enumerate(self.words)},
            {term: place for place, term in enumerate(self.characters, len(self.words))},
        )

    def row(self, text: str) -> Row:
        """The features of a text: (1 + ln count) * weight, words and characters each scaled to length 1.

        Cost: some microseconds a character. Reads at most the first 200,000 characters.
        """
        shown = normal(text)
        places: list[int] = []
        values: list[float] = []
        for counts in (self._counted_words(shown), self._counted_characters(shown)):
            found = sorted(counts.items())
            weighed = [(1.0 + math.log(count)) * self.weights[place] for place, count in found]
            length = math.sqrt(math.fsum(value * value for value in weighed)) or 1.0
            places.extend(place for place, _ in found)
            values.extend(value / length for value in weighed)
        return places, values

    def _counted_words(self, shown: str) -> Mapping[int, int]:
        known = self._places[0]
        return Counter([known[gram] for gram in word_grams(shown) if gram in known])

    def _counted_characters(self, shown: str) -> Mapping[int, int]:
        known = self._places[1]
        counts: dict[int, int] = {}
        for word, times in Counter(shown.split()).items():
            for gram in character_grams(word):
                place = known.get(gram)
                if place is not None:
                    counts[place] = counts.get(place, 0) + times
        return counts


def normal(text: str) -> str:
    """A text as it is compared: Unicode's compatible form, lower case, digits as 0, at most 200,000 characters."""
    return _DIGIT.sub("0", unicodedata.normalize("NFKC", text[:MOST_CHARACTERS]).lower())


def word_grams(shown: str) -> Iterator[str]:
    """The words, then the pairs of neighbours."""
    words = _WORD.findall(shown)
    yield from words
    for first, second in pairwise(words):
        yield f"{first} {second}"


def character_grams(word: str) -> Iterator[str]:
    """Runs of 3 to 5 characters of a word, the space around it included."""
    padded = f" {word} "
    for length in _CHARACTERS:
        for start in range(len(padded) - length + 1):
            yield padded[start : start + length]


def _commonest(counts: Counter[str], most: int, least: int) -> list[tuple[str, int]]:
    """The terms that are kept, by name."""
    kept = sorted((term for term, count in counts.items() if count >= least), key=lambda term: (-counts[term], term))
    return [(term, counts[term]) for term in sorted(kept[:most])]


def _weight(count: int, texts: int) -> float:
    """Inverse document frequency, smoothed, so that no term weighs nothing."""
    return round(math.log((1 + texts) / (1 + count)) + 1.0, 6)

"""Which examples an edit is about: those whose inputs hold the rare words that it writes or takes away."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property

from outlast.data.example import Example, id_of, inputs_of, targets_of

_WORD = re.compile(r"\w{3,}")


class Relevance:
    """Finds the examples that a text is about, by the words they share, rare ones weighing more (idf)."""

    def __init__(self, examples: Sequence[Example]) -> None:
        self.examples = examples

    @cached_property
    def _words(self) -> dict[str, frozenset[str]]:
        return {id_of(example): _of(str(value) for value in inputs_of(example).values()) for example in self.examples}

    @cached_property
    def _weights(self) -> dict[str, float]:
        counts = Counter(word for words in self._words.values() for word in words)
        n = len(self._words)
        return {word: math.log((n + 1) / (count + 1)) for word, count in counts.items() if count <= n / 2}

    @cached_property
    def _known(self) -> frozenset[str]:
        targets = _of(str(value) for example in self.examples for value in targets_of(example).values())
        return targets | frozenset(self._weights)

    def content(self, texts: Iterable[str]) -> frozenset[str]:
        """The words of these texts that say something about the data: rare words of inputs, words of targets."""
        return _of(texts) & self._known

    def about(self, texts: Iterable[str]) -> list[str]:
        """The ids of the examples that share words with these texts, the closest first; none that share none."""
        wanted = [(word, weight) for word in _of(texts) if (weight := self._weights.get(word))]
        scores = {key: sum(weight for word, weight in wanted if word in words) for key, words in self._words.items()}
        found = [key for key, score in scores.items() if score > 0]
        return sorted(found, key=lambda key: -scores[key])


def _of(texts: Iterable[str]) -> frozenset[str]:
    return frozenset(word.casefold() for text in texts for word in _WORD.findall(text))

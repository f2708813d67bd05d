"""Text as the baseline sees it: tokens, sentences, sparse vectors, and an index that compares them.

Pure Python, and no state but one bounded memo of words, so that all of it is deterministic and thread-safe.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

COMPARED = 10_000
"""Characters of one field, from each end, that are compared; what lies between is not looked at."""

_GRAM_SHARE = 0.6  # of the similarity; the rest are whole words. Flat between 0.5 and 0.7 on banking77
_COMMON_WEIGHT = 0.3  # of words common in any English text: they tell little, but "how" and "not" tell something
_STEM = 6  # characters of a word that decide whether two words match when sentences are compared

_TOKEN = re.compile(r"\w{1,8}|[^\w\s]")
_WORD = re.compile(r"\w+")
_SENTENCE_END = re.compile(r"(?<=[.!?…])\s+|\s*\n\s*")

_COMMON = frozenset(
    _WORD.findall(
        """a about after again already also always am an and any are as at back be because been before being
        between both but by can cannot could d day days dear did didn do does doesn don down during each
        even ever every few first for from get getting give go goes going gone good got great had has have
        he hello help her here hi him his how however i if in into is isn it its just keep know knows last
        let like ll long look m made make makes many may maybe me might month months more most much my needs
        never new next no not nothing of ok on one only or other others our out over own past per please put
        re really regards right s said same say says see she should since so some someone something soon
        still such sure t take takes tell than thank thanks that the their them then there these they thing
        things think this though through time to too try trying two under up us use used using ve very via
        wait want wanted wants was way we week weeks well went were what when where which while who whole
        why will with would year years yesterday yet you your"""
    )
)


def count_tokens(text: str) -> int:
    """Tokens of a text: words, in pieces of at most eight characters, and single punctuation marks."""
    return len(_TOKEN.findall(text))


def cut_tokens(text: str, limit: int) -> str:
    """The first `limit` tokens of a text, with the space between them."""
    end = 0
    for number, match in enumerate(_TOKEN.finditer(text), 1):
        if number > limit:
            return text[:end]
        end = match.end()
    return text


def sentences(text: str) -> list[str]:
    """The sentences of a text; a line break ends one too."""
    return [part for part in (piece.strip() for piece in _SENTENCE_END.split(text)) if part]


def clip(text: str) -> str:
    """The part of a text that is compared: all of it, or both ends of a very long one."""
    return text if len(text) <= 2 * COMPARED else f"{text[:COMPARED]}\n{text[-COMPARED:]}"


@dataclass(frozen=True, slots=True)
class Terms:
    """What a text is compared by: its words and their character n-grams, each with a weight in (0, 1]."""

    words: dict[str, float]
    grams: dict[str, float]


def terms(text: str, exact: Iterable[str] = ()) -> Terms:
    """The terms of a text. `exact` adds terms that only an equal one matches."""
    words: dict[str, float] = {}
    grams: dict[str, float] = {}
    _add(words, grams, text, 1.0)
    for term in exact:
        words[term] = 1.0
    return Terms(words, grams)


def weighted_terms(parts: Iterable[tuple[str, float]]) -> Terms:
    """The terms of several texts, each text with a weight in (0, 1]."""
    words: dict[str, float] = {}
    grams: dict[str, float] = {}
    for text, weight in parts:
        _add(words, grams, text, weight)
    return Terms(words, grams)


def _add(words: dict[str, float], grams: dict[str, float], text: str, weight: float) -> None:
    for word in _WORD.findall(text.lower()):
        strength = weight * _COMMON_WEIGHT if word in _COMMON else weight
        if words.get(word, 0.0) >= strength:
            continue
        words[word] = strength
        for gram in _grams(word[:40]):
            if grams.get(gram, 0.0) < strength:
                grams[gram] = strength


@lru_cache(maxsize=1 << 14)
def _grams(word: str) -> tuple[str, ...]:
    """The 3- to 5-grams of a word, its two ends marked by a space."""
    padded = f" {word} "
    return tuple(padded[i : i + n] for n in (3, 4, 5) for i in range(len(padded) - n + 1))


class Index:
    """Documents, ready to be compared with a query. It gives the same whatever was asked before.

    similarity = 0.6 * cosine of character 3..5-grams + 0.4 * cosine of words, both over weights
    `term weight * (1 + ln((1 + N) / (1 + df)))`, N documents of which df hold the term. In 0..1.
    """

    __slots__ = ("_grams", "_size", "_words")

    def __init__(self, documents: Sequence[Terms]) -> None:
        self._size = len(documents)
        self._grams = _Postings([document.grams for document in documents], _GRAM_SHARE)
        self._words = _Postings([document.words for document in documents], 1.0 - _GRAM_SHARE)

    def similarities(self, query: Terms) -> list[float]:
        """The similarity of each document, in their order."""
        total = [0.0] * self._size
        if self._size:
            self._grams.add_to(total, query.grams)
            self._words.add_to(total, query.words)
        return total


class _Postings:
    """An inverted index over one kind of term; `add_to` adds `share * cosine` for each document.

    The entry of a term is made when a query first holds it: most prompts of changing demonstrations are read once.
    """

    __slots__ = ("_documents", "_holders", "_idf", "_norms", "_rare", "_share", "_table")

    def __init__(self, documents: Sequence[dict[str, float]], share: float) -> None:
        size = len(documents)
        self._share = share
        self._rare = 1.0 + math.log(1 + size)
        holders: dict[str, list[int]] = {}
        for number, document in enumerate(documents):
            for term in document:
                holders.setdefault(term, []).append(number)
        idf = {term: 1.0 + math.log((1 + size) / (1 + len(held))) for term, held in holders.items()}
        self._documents, self._holders, self._idf = documents, holders, idf
        self._norms = [
            math.sqrt(sum([(weight * idf[term]) ** 2 for term, weight in document.items()])) for document in documents
        ]
        self._table: dict[str, tuple[float, list[tuple[int, float]]]] = {}

    def _entry(self, term: str) -> tuple[float, list[tuple[int, float]]] | None:
        """The weight of a term and its share of each document that holds it; None for a term that none holds."""
        held = self._holders.get(term)
        if held is None:
            return None
        idf, documents, norms = self._idf[term], self._documents, self._norms
        entry = self._table[term] = (idf, [(i, documents[i][term] * idf / norms[i]) for i in held])
        return entry

    def add_to(self, total: list[float], query: dict[str, float]) -> None:
        found = [0.0] * len(total)
        square = 0.0
        table, rare = self._table, self._rare
        for term, weight in query.items():
            entry = table.get(term) or self._entry(term)
            if entry is None:
                weight *= rare
                square += weight * weight
                continue
            weight *= entry[0]
            square += weight * weight
            for number, value in entry[1]:
                found[number] += weight * value
        if square:
            scale = self._share / math.sqrt(square)
            for number, value in enumerate(found):
                total[number] += scale * value


def best_sentence(question: str, passage: str) -> tuple[str, float]:
    """The sentence of `passage` that shares most with `question`, and its score; ("", 0.0) for no passage.

    score = sum of idf over the shared word stems / sqrt(4 + words of the sentence); the earliest of equals
    wins, so that a passage which shares nothing gives its first sentence.
    """
    candidates = sentences(passage)
    stems = [[word[:_STEM] for word in _WORD.findall(sentence.lower())] for sentence in candidates]
    asked = {word[:_STEM]: _COMMON_WEIGHT if word in _COMMON else 1.0 for word in _WORD.findall(question.lower())}
    shared = [[stem for stem in dict.fromkeys(words) if stem in asked] for words in stems]
    counts: dict[str, int] = {}
    for found in shared:
        for stem in found:
            counts[stem] = counts.get(stem, 0) + 1
    best, best_score = "", -1.0
    for sentence, words, found in zip(candidates, stems, shared, strict=True):
        weight = sum(asked[stem] * math.log(1 + len(candidates) / counts[stem]) for stem in found)
        score = weight / math.sqrt(4 + len(words))
        if score > best_score:
            best, best_score = sentence, score
    return best, max(best_score, 0.0)

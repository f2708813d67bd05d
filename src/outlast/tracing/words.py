"""Words as a search of the store sees them, the same on every database: runs of letters and digits without accents.

SQLite's `unicode61` splits, folds and marks texts by itself; here the same is done for PostgreSQL, whose own parser
would keep an address or a version as one word. Accents go from Latin letters alone: й is not и. Scripts that are
written without spaces (Chinese, Japanese, Thai, Khmer, Lao, Burmese) have no words to split at: each of their
characters is one, and what was typed together is found together.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from outlast.tracing.passages import BEGIN, END

BETWEEN = "\x1f"  # stands between the characters of such a script in what SQLite indexes; never shown
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f"
    "\U00020000-\U0003ffff"
)
_ACCENTS = "\u0300-\u036f"
_SIGN = rf"[^\w\x00-\x7f{_ACCENTS}]"  # FTS5 takes those that are younger than its tables for letters, as `🤗`
_JOINT = re.compile(rf"(?<=[{_UNSPACED}])(?=\w)|(?<=\w)(?=[{_UNSPACED}])|(?<=\w)(?={_SIGN})|(?<={_SIGN})(?=\w)")
_WORD = re.compile(rf"(?=[^\W_])[{_UNSPACED}]|(?:(?![{_UNSPACED}])[^\W_][{_ACCENTS}]*)+")
_ACCENT = re.compile(f"(?<=[a-z])[{_ACCENTS}]+")
_TYPED = re.compile(r'"([^"]*)"|(\S+)')
_LONGEST = 500  # characters of a word that PostgreSQL compares: it takes 2,046 bytes
_LAST = 16_383  # the last place of a word that PostgreSQL tells from others


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words that must follow each other, folded and as they were typed; with `begins` the last may go on."""

    words: tuple[str, ...]
    typed: tuple[str, ...]
    begins: bool = False


def spaced(text: str) -> str:
    """The text as SQLite indexes it, so that it finds characters of scripts without spaces."""
    plain = text.replace(BETWEEN, " ")
    return plain if plain.isascii() else _JOINT.sub(BETWEEN, plain)


def phrases(typed: str) -> list[Phrase]:
    """What a person typed: `"..."` is a phrase, and so is what holds signs or is written without spaces
    (`ZQ-2024-001`); `word*` begins a word."""
    found: list[Phrase] = []
    for quoted, word in _TYPED.findall(typed):
        text = quoted or word
        words = list(_words(text))
        if words:
            typed_words = tuple(text[start:end] for _, start, end in words)
            found.append(Phrase(tuple(one for one, _, _ in words), typed_words, not quoted and word.endswith("*")))
    return found


def lite_query(typed: str) -> str:
    """A query of FTS5 for what a person typed; "" when no word is in it."""
    return " ".join(f'"{" ".join(one.typed)}"{" *" if one.begins else ""}' for one in phrases(typed))


def vector(text: str) -> str:
    """The words of a text with their places, as PostgreSQL reads a `tsvector`."""
    return " ".join(f"'{word}':{min(at, _LAST)}" for at, (word, _, _) in enumerate(_words(text), 1))


def vector_query(typed: str) -> str:
    """What PostgreSQL reads as a `tsquery` for what a person typed; "" when no word is in it."""
    every: list[str] = []
    for one in phrases(typed):
        follow = " <-> ".join(f"'{word}'" for word in one.words)
        every.append(f"({follow}{':*' if one.begins else ''})")
    return " & ".join(every)


def marked(text: str, typed: str) -> str:
    """The text with `BEGIN` and `END` around what was found in it, as `highlight` of FTS5 marks it."""
    found = list(_words(text))
    words = [word for word, _, _ in found]
    ends: dict[int, int] = {}
    for one in phrases(typed):
        for at in _places(words, one):
            start, end = found[at][1], found[at + len(one.words) - 1][2]
            ends[start] = max(end, ends.get(start, 0))
    pieces: list[str] = []
    done = 0
    for start in sorted(ends):
        if start >= done:
            pieces += [text[done:start], BEGIN, text[start : ends[start]], END]
            done = ends[start]
    return "".join(pieces) + text[done:]


def _places(words: Sequence[str], phrase: Phrase) -> Iterator[int]:
    *first, last = phrase.words
    for at in range(len(words) - len(first)):
        end = words[at + len(first)]
        if (end == last or (phrase.begins and end.startswith(last))) and words[at : at + len(first)] == first:
            yield at


def _words(text: str) -> Iterator[tuple[str, int, int]]:
    """The words of a text, folded, and where each begins and ends."""
    for found in _WORD.finditer(text):
        word = found[0].lower()
        if not word.isascii():
            word = _folded(word)
        yield word[:_LONGEST], found.start(), found.end()


@lru_cache(maxsize=10_000)
def _folded(word: str) -> str:
    return unicodedata.normalize("NFC", _ACCENT.sub("", unicodedata.normalize("NFD", word)))

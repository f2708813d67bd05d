"""Names in text, found by their capitals, to be looked up in a source."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from outlast.checks.reading import sentences, words_of

_TOKEN = re.compile(r"[^\W_]+(?:['’.&-](?=[^\W_])[^\W_]+)*")  # noqa: RUF001
_JOINS = words_of("of de van von der den la le du da dos del di bin al ibn y e the for")
_TITLES = words_of(
    "mr mrs ms dr sir lord lady president prime minister king queen prince princess professor prof captain general "
    "colonel senator governor mayor judge saint st pope emperor mount lake river"
)
_NO_NAMES = words_of(
    """a an and any are as at be because been before being but by can could did do does during each every few for
    from had has have he her here hers him his how however i if in into is it its itself just like many may
    me might mine more most much must my no nor not of off on once only or other our ours out over same
    shall she should since so some such than that the their theirs them then there therefore these they this
    those though through thus to too under until up upon us was we were what when where whether which while
    who whom whose why will with would yes yet you your yours after again all also although among another
    around both either finally first further furthermore hence including instead last later meanwhile
    moreover neither nevertheless next now one otherwise overall please rather second several similarly
    still subsequently two three unlike unless yesterday today tomorrow monday tuesday wednesday thursday
    friday saturday sunday january february march april june july august september october november december
    q a.m p.m am pm dear hello hi thanks thank note ok okay mr mrs ms dr"""
)
_GAP = 3  # words of a name are at most so far apart in the source
_MOST = 2_000  # places of the rarest word of a name that are looked at
_LONGEST = 12  # words of a name
_SHORT = re.compile(r"\b(?:[A-Z]\.?){2,6}(?![\w])")
_ENDINGS = ("", "s", "n", "ns", "y", "an", "ans", "ian", "ians", "ese", "ish", "i", "is")


@dataclass(frozen=True, slots=True)
class Entity:
    """A name: its place, and its words in lower case without accents."""

    start: int
    end: int
    text: str
    words: tuple[str, ...]
    opening: bool = False


def entities(text: str) -> list[Entity]:
    """The names of a text: runs of words with capitals ("New York", "University of Kent", "NASA", "iPhone").

    A single word that opens a sentence counts only with capitals inside it, or when the text has it with a capital
    elsewhere too. For languages that write names, and little else, with capitals: not German, not Chinese. Linear time.
    """
    found: list[Entity] = []
    for start, end in sentences(text):
        found += _of_sentence(text, start, end)
    inside = {(word,) for entity in found if not entity.opening for word in entity.words}
    return [
        one for one in found if not one.opening or len(one.words) > 1 or _marked(one.text) or one.words[:1] in inside
    ]


def _of_sentence(text: str, start: int, end: int) -> Iterator[Entity]:
    tokens = [(match.start(), match.end(), match[0]) for match in _TOKEN.finditer(text, start, end)]
    capitals = sum(_named(token) for _, _, token in tokens)
    if len(tokens) > 3 and capitals > 0.8 * len(tokens):  # a headline
        return
    run: list[tuple[int, int, str]] = []
    opening = False
    for index, (left, right, token) in enumerate(tokens):
        near = not run or _adjacent(text[run[-1][1] : left])
        if run and (not near or len(run) == _LONGEST):
            yield from _made(text, run, opening)
            run = []
        if _named(token) and not (token.lower() in _NO_NAMES and (not run or index == 0)):
            opening = opening if run else index == 0
            run.append((left, right, token))
        elif run and token in _JOINS and index + 1 < len(tokens) and _named(tokens[index + 1][2]):
            run.append((left, right, token))
        elif run:
            yield from _made(text, run, opening)
            run = []
    if run:
        yield from _made(text, run, opening)


def _made(text: str, run: list[tuple[int, int, str]], opening: bool) -> Iterator[Entity]:
    while run and run[-1][2].lower() in _JOINS | _NO_NAMES:
        run = run[:-1]
    if not run:
        return
    words = tuple(part for _, _, token in run for part in plain_words(token))
    if words:
        yield Entity(run[0][0], run[-1][1], text[run[0][0] : run[-1][1]], words, opening)


def _named(token: str) -> bool:
    return any(letter.isupper() for letter in token[:40]) and len(token) > 1


def _marked(token: str) -> bool:
    """True for a word with a capital that is not just its first letter: NASA, iPhone, McCartney."""
    return any(letter.isupper() for letter in token[1:40])


def _adjacent(between: str) -> bool:
    return between in (" ", "\u00a0", ". ", "-", " & ", "\u2013") or between.strip(" ") == ""


def plain_words(text: str) -> list[str]:
    """The words of a text in lower case, without accents, and without 's."""
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text.replace("’", "'"))  # noqa: RUF001
        text = "".join(letter for letter in text if not unicodedata.combining(letter))
    text = re.sub(r"'s?(?!\w)", "", text.lower())
    text = re.sub(r"(?<=\b\w)\.(?=\w\b)", "", text)  # U.S.A
    return re.findall(r"[^\W_]+", text)


@lru_cache(maxsize=20_000)
def _stems(word: str) -> tuple[str, ...]:
    """What is left of a word without the endings of plurals and of peoples; at least four letters."""
    return tuple(
        word.removesuffix(ending) for ending in _ENDINGS if word.endswith(ending) and len(word) - len(ending) >= 4
    ) or (word,)


class Known:
    """The words of a source, to look names up in."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.words: list[str] = []
        self.initials: set[str] = set()
        self.short: set[str] = set()
        for text in texts:
            self.words += [*plain_words(text), *[""] * _GAP]
            for entity in entities(text):
                letters = "".join(word[0] for word in entity.words if word not in _JOINS)
                if len(letters) > 1:
                    self.initials.add(letters)
            self.short |= {token.lower().replace(".", "") for token in _SHORT.findall(text)}
        self.places: dict[str, list[int]] = {}
        for place, word in enumerate(self.words):
            if word:
                self.places.setdefault(word, []).append(place)
        self.stems: dict[str, list[str]] = {}
        for word in self.places:
            for stem in _stems(word):
                self.stems.setdefault(stem, []).append(word)
        self.asked: dict[tuple[tuple[str, ...], bool], bool] = {}

    def holds(self, entity: Entity) -> bool:
        """True when the source has the words of the name in order, with at most two others between (a second name), or
        the name by its initials. A title, and a first word that opens a sentence, may be missing."""
        key = entity.words, entity.opening
        if key not in self.asked:
            self.asked[key] = self._holds(*key)
        return self.asked[key]

    def _holds(self, words: tuple[str, ...], opening: bool) -> bool:
        if self._in_order(words) or self._by_initials(words):
            return True
        if len(words) > 1 and (words[0] in _TITLES or opening) and self._in_order(words[1:]):
            return True
        rest = tuple(word for word in words if word not in _TITLES)
        return 0 < len(rest) < len(words) and self._in_order(rest)

    def _by_initials(self, words: tuple[str, ...]) -> bool:
        if len(words) == 1:
            return 1 < len(words[0]) <= 6 and words[0] in self.initials
        letters = "".join(word[0] for word in words if word not in _JOINS)
        return len(letters) > 1 and letters in self.short

    def _in_order(self, words: tuple[str, ...]) -> bool:
        words = tuple(word for word in words if word not in _JOINS) or words
        forms = [self._forms(word) for word in words]
        if not all(forms):
            return False
        counts = [sum(len(self.places[form]) for form in some) for some in forms]
        rarest = counts.index(min(counts))
        places = [place for form in forms[rarest] for place in self.places[form]]
        return any(self._around(forms, rarest, place) for place in places[:_MOST])

    def _forms(self, word: str) -> set[str]:
        """The words of the source that may be this one."""
        if word in self.places:
            return {word}
        return {other for stem in _stems(word) for other in self.stems.get(stem, ())}

    def _around(self, forms: list[set[str]], middle: int, place: int) -> bool:
        for step in (1, -1):
            here = place
            for some in forms[middle + 1 :] if step == 1 else forms[middle - 1 :: -1] if middle else []:
                reach = range(here + step, here + step * (_GAP + 1), step)
                found = next((at for at in reach if 0 <= at < len(self.words) and self.words[at] in some), None)
                if found is None:
                    return False
                here = found
        return True

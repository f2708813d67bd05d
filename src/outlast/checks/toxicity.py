"""Toxic language: words and phrases, also in disguise, and what a trained classifier says."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from outlast.checks.check import Check, CheckResult, Found, built
from outlast.checks.factory import factory
from outlast.checks.finding import allowed, named
from outlast.checks.policy import Policy
from outlast.checks.texts import Unfit, plain, texts_in, with_texts
from outlast.errors import MetricError, UsageError, brief, did_you_mean

Classifier = Callable[[str], float]
TOXIC_KINDS = ("slur", "threat", "sexual", "insult", "profanity")

_WORD = re.compile(r"[\w@$!*+|][\w@$!*+|'\u2019]{0,60}")
_SPELLED = re.compile(r"(?<!\w)\w(?P<gap>[ ._*-])\w(?:(?P=gap)\w){1,18}(?!\w)")
_RUN = re.compile(r"(.)\1{2,}")
_LEET = str.maketrans("013457@$!|+", "oleastasiit")
_OTHER_ONE = str.maketrans("1", "i")
_ENDINGS = ("s", "es", "ed", "er", "ers", "ing", "ings", "in", "y", "ies", "head", "heads", "face", "faces", "wit")
_MORE_ENDINGS = (
    "ish",
    "able",
    "a",
    "as",
    "az",
    "z",
    "d",
    "tard",
    "tards",
    "hole",
    "holes",
    "bag",
    "ery",
    "worthy",
    "'s",
)
_ALIKE = str.maketrans(
    "абвгеёзикмнорстухіјѕԁԛԝһɡαβεικνορτυχƒ" + "ıłøđßæœ",
    "abbreezukmhopctyxijsdqwhgaбeiknoptuxf".replace("б", "b") + "ilodbao",  # noqa: RUF001
)


class _Lists(NamedTuple):
    words: dict[str, str]
    stems: dict[str, str]
    phrases: dict[str, str]
    friends: frozenset[str]
    weights: dict[str, float]


def find_toxic(text: str, kinds: Iterable[str] = TOXIC_KINDS, *, allow: Iterable[str] = ()) -> tuple[Found, ...]:
    """Where a text holds words and phrases of the list, in order, with their kind.

    `kinds`: of slur, threat, sexual, insult, profanity. Whole words only (Scunthorpe stands), in any case, with
    accents, letters of other scripts that look alike, digits and signs for letters (`sh1t`, `a$$`), stars (`f*ck`),
    repeated letters and letters apart (`f u c k`). English only. A list knows no meaning: it finds words that are
    quoted or reclaimed and misses toxic sentences of harmless words. `allow` are words that may stand. Time: linear in
    the text; no LM call.
    """
    return _find(text, _chosen(kinds, "find_toxic"), frozenset(allowed("find_toxic", allow)))


@factory
def no_toxicity(
    *fields: str,
    classifier: Classifier | None = None,
    threshold: float = 0.5,
    kinds: Iterable[str] = TOXIC_KINDS,
    allow: Iterable[str] = (),
    on_fail: Policy | str = "raise",
    each: bool = False,
) -> Check:
    """Passes when the texts of the fields are less toxic than `threshold` (above 0, at most 1).

    How toxic a text is: the weight of the worst word or phrase found (`find_toxic`; slur 0.95, threat 0.9, sexual 0.6,
    insult and profanity 0.5), or, if more, what `classifier(text)` says, a probability from 0 to 1. The score is 1 less
    that. Its fix puts stars for what was found; there is none for what only the classifier minds.
    """
    named("no_toxicity", fields)
    chosen, stand = _chosen(kinds, "no_toxicity"), allowed("no_toxicity", allow)
    if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not 0 < threshold <= 1:
        raise UsageError(f"ol.checks.no_toxicity: threshold is a number above 0, at most 1; got {brief(threshold)}")
    if classifier is not None and not callable(classifier):
        raise UsageError(f"ol.checks.no_toxicity: classifier is called with a text; got {brief(classifier)}")

    def look(*values: object) -> CheckResult:
        given = dict(zip(fields, values, strict=True))
        return _judged(given, lambda text: _find(text, chosen, frozenset(stand)), classifier, float(threshold))

    cost = "cheap" if classifier is None else "slow"
    return built(
        "no_toxicity", fields, look, on_fail=on_fail, cost=cost, each=each,
        classifier=classifier, threshold=threshold, kinds=chosen, allow=stand,
    )  # fmt: skip


def _judged(
    given: dict[str, object], find: Callable[[str], tuple[Found, ...]], classifier: Classifier | None, limit: float
) -> CheckResult:
    weights = _lists().weights
    places: list[Found] = []
    worst = said = 0.0
    for name, value in given.items():
        for place, text in texts_in(name, value, "no_toxicity"):
            found = find(text)
            worst = max([worst, *(weights[one.kind] for one in found)])
            places += [replace(one, field=place) for one in found if weights[one.kind] >= limit]
            if classifier is not None and text.strip():
                said = max(said, _probability(classifier, text))
    if max(worst, said) < limit:
        return CheckResult(True, score=1 - max(worst, said))
    parts = [f"{number} {kind}" for kind, number in Counter(one.kind for one in places).items()]
    parts += [f"a classifier says {said:.2f}"] if said >= limit else []
    message = f"toxic language in {', '.join(map(repr, given))} ({', '.join(parts)}); say it without"

    def starred(text: str) -> str:
        return _starred(text, [one for one in find(text) if weights[one.kind] >= limit])

    try:
        fix = None if said >= limit else {name: with_texts(value, starred) for name, value in given.items()}
    except Unfit:
        fix = None
    return CheckResult(False, message, 1 - max(worst, said), tuple(places), fix)


def _probability(classifier: Classifier, text: str) -> float:
    said = classifier(text)
    if isinstance(said, bool) or not isinstance(said, int | float) or not 0 <= said <= 1:
        raise MetricError(f"no_toxicity: the classifier gives a probability from 0 to 1; got {brief(said)}")
    return float(said)


def _starred(text: str, found: Iterable[Found]) -> str:
    parts: list[str] = []
    end = 0
    for one in found:
        parts += [text[end : one.start], "*" * (one.end - one.start)]
        end = one.end
    return "".join([*parts, text[end:]])


def _chosen(kinds: Iterable[str], subject: str) -> tuple[str, ...]:
    given = (kinds,) if isinstance(kinds, str) else tuple(kinds)
    for kind in given:
        if kind not in TOXIC_KINDS:
            near = did_you_mean(kind, TOXIC_KINDS) if isinstance(kind, str) else ""
            raise UsageError(f"{subject}: kinds are of {', '.join(TOXIC_KINDS)}; got {brief(kind)}.{near}")
    if not given:
        raise UsageError(f"{subject}: no kinds to look for; leave kinds out for all")
    return tuple(kind for kind in TOXIC_KINDS if kind in given)


def toxic_words() -> frozenset[str]:
    """The words of the list, without phrases."""
    return frozenset(_lists().words)


@cache
def _lists() -> _Lists:
    found = _Lists({}, {}, {}, frozenset(), {})
    friends: set[str] = set()
    section: list[str] = []
    for line in files("outlast.checks").joinpath("toxic_words.txt").read_text(encoding="utf-8").splitlines():
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("["):
            section = line.strip("[]").split()
            if len(section) > 1:
                found.weights[section[-2]] = float(section[-1])
        elif section == ["friends"]:
            friends.add(line)
        elif section[0] == "phrases":
            found.phrases[line] = section[1]
        else:
            for word in line.split():
                found.words[word.rstrip("*")] = section[0]
                if word.endswith("*"):
                    found.stems[word[:-1]] = section[0]
    return found._replace(friends=frozenset(friends))


def _find(text: str, kinds: tuple[str, ...], allow: frozenset[str]) -> tuple[Found, ...]:
    if not isinstance(text, str):
        raise UsageError(f"find_toxic takes a text; got {brief(text)}")
    seen = plain(text)
    lists = _lists()
    words = [
        (word, *place) for found in _WORD.finditer(seen.text) if (place := found.span()) and (word := _bare(found[0]))
    ]
    places: list[tuple[int, int, str]] = []
    may = frozenset(map(_bare, allow))
    for number, (word, start, end) in enumerate(words):
        kind = None if word in may else _kind_of(word)
        if kind in kinds and not _friendly(words, number, lists.friends):
            places.append((start, end, kind))
    for found in _SPELLED.finditer(seen.text):
        word = _bare(found[0].replace(found["gap"], ""))
        kind = None if word in may or len(word) < 4 else _kind_of(word)
        if kind in kinds:
            places.append((*found.span(), kind))
    places += [place for place in _phrases(words, lists) if place[2] in kinds]
    kept: list[Found] = []
    last = 0
    for start, end, kind in sorted(places, key=lambda place: (place[0], -place[1])):
        if start >= last:
            last = end
            kept.append(Found("", *seen.place(start, end), kind))
    return tuple(kept)


def _bare(word: str) -> str:
    """A word in small Latin letters without accents; signs at its end that are no letters go."""
    word = word.casefold().strip("!*+|_'\u2019").translate(_ALIKE)
    if not word.isascii():
        word = "".join(one for one in unicodedata.normalize("NFKD", word) if not unicodedata.combining(one))
        word = word.translate(_ALIKE)
    return word.replace("\u2019", "'")


def _kind_of(word: str) -> str | None:
    for form in _forms(word):
        kind = _listed(form)
        if kind is not None:
            return kind
    return _masked(word) if "*" in word else None


def _forms(word: str) -> list[str]:
    """How a word may be meant: with letters for signs, and letters that were repeated once or twice."""
    forms = [word]
    letters = sum(map(str.isalpha, word))
    if not word.isalpha() and letters >= max(1, len(word) / 3):
        forms += [word.translate(_LEET), word.translate(_OTHER_ONE).translate(_LEET)]
    for form in list(forms):
        if _RUN.search(form):
            forms += [_RUN.sub(r"\1", form), _RUN.sub(r"\1\1", form)]
    return forms


def _listed(word: str) -> str | None:
    lists = _lists()
    if word in lists.words:
        return lists.words[word]
    for ending in (*_ENDINGS, *_MORE_ENDINGS):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            stem = word[: -len(ending)]
            if stem in lists.stems:
                return lists.stems[stem]
            if len(stem) > 4 and stem[-1] == stem[-2] and stem[:-1] in lists.stems:
                return lists.stems[stem[:-1]]
    return None


def _masked(word: str) -> str | None:
    """The kind of a word some of whose letters are stars: `f**k`."""
    if not 4 <= len(word) <= 16 or not word[0].isalpha() or not word[-1].isalpha() or word.count("*") > len(word) / 2:
        return None
    pattern = re.compile("".join("[a-z]" if one == "*" else re.escape(one) for one in word))
    fits = {kind for one, kind in _lists().words.items() if len(one) == len(word) and pattern.fullmatch(one)}
    return next((kind for kind in reversed(TOXIC_KINDS) if kind in fits), None)


def _friendly(words: list[tuple[str, int, int]], number: int, friends: frozenset[str]) -> bool:
    near = " ".join(word for word, _, _ in words[max(0, number - 2) : number + 3])
    return any(f" {friend}" in f" {near}" for friend in friends)


def _phrases(words: list[tuple[str, int, int]], lists: _Lists) -> list[tuple[int, int, str]]:
    """Phrases of the list, word by word."""
    first: dict[str, list[list[str]]] = {}
    for phrase in lists.phrases:
        steps = phrase.split()
        first.setdefault(steps[0], []).append(steps)
    flat = [(part, start, end) for word, start, end in words for part in word.split("'")]
    found: list[tuple[int, int, str]] = []
    for number, (word, start, _) in enumerate(flat):
        for steps in first.get(word, ()):
            here = flat[number : number + len(steps)]
            if [part for part, _, _ in here] == steps and not _friendly(flat, number, lists.friends):
                found.append((start, here[-1][2], lists.phrases[" ".join(steps)]))
    return found

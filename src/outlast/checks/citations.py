"""A check of citations: markers are there, and each names a source that exists."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, cast

from outlast.checks.check import Check, CheckResult, Found, built
from outlast.checks.factory import factory
from outlast.checks.policy import Policy
from outlast.checks.reading import Span, named, sentences, shown, text_of, whole, words
from outlast.errors import UsageError, brief

_BRACKET = re.compile(
    r"(?<![\w\]])\[\^?([^\[\]\n]{1,200})\](?![(\[:])"
    r"|【([^【】\n]{1,200})】|(?<=[\w\]])\[\^?(\d[^\[\]\n]{0,60})\](?![(\[:])"
)
_SOURCE = re.compile(r"\((?:source|sources|see|quelle)s?:\s*([^()\n]{1,200})\)", re.IGNORECASE)
_SPLIT = re.compile(r"\s*[,;]\s*")
_RANGE = re.compile(r"(\d{1,4})\s*[-–]\s*(\d{1,4})")  # noqa: RUF001
_ID = re.compile(r"\d{1,6}|[\w.:/#-]*\d[\w.:/#-]*")
_LEAST_WORDS = 4


@factory
def cites(
    field: str,
    *,
    sources: str,
    least: int = 1,
    every: Literal["sentence"] | None = None,
    on_fail: Policy | str = "raise",
) -> Check:
    """The text cites: at least `least` markers, each of which names one of the sources.

    Markers are [1], [1, 3], [2-4], [doc-3], [^1], 【1】 and (source: x). `sources` is the field with the sources: a
    list of texts (cited by number from 1), of documents or dicts (by "id", "title" or "source" too), a dict (by its
    keys), or how many there are. With `every="sentence"` each sentence of four words or more, but for questions and
    what ends with a colon, has a marker in it or right behind. The fix leaves out the markers that name nothing, where
    that is all that is wrong. It does not judge whether a source says so: see `supported`.
    """
    named("cites", field)
    named("cites", sources, "sources")
    whole("cites", "least", least)
    if every not in (None, "sentence"):
        raise UsageError(f"ol.checks.cites: every is 'sentence' or None; got {brief(every)}")

    def look(value: Any, held: Any) -> CheckResult | None:
        text = text_of(value, "cites", field)
        return None if text is None else _judged(text, field, _names(held, sources), least, every)

    return built("cites", (field, sources), look, on_fail=on_fail, least=least, every=every)


def _judged(text: str, field: str, names: list[str], least: int, every: str | None) -> CheckResult:
    known = {name.casefold() for name in names}
    good: list[Span] = []
    bad: list[tuple[Span, str]] = []
    total = 0
    for span, cited in _markers(text, known):
        missing = [one for one in cited if one.casefold() not in known]
        total += len(cited)
        good += [span] * (len(cited) > len(missing))
        bad += [(span, one) for one in missing]
    problems: list[str] = []
    if bad:
        problems.append(f"cites {shown(dict.fromkeys(one for _, one in bad))}, which names no source")
    if total - len(bad) < least:
        problems.append(f"has {total - len(bad)} of at least {least} citations")
    bare = [] if every is None else _bare(text, good)
    if bare:
        problems.append(f"does not say where this is from: {shown(text[start:end] for start, end in bare)}")
    if not problems:
        return CheckResult(True, score=1.0 if total else None)
    found = [Found(field, *span, "citation", text[slice(*span)]) for span, _ in bad]
    found += [Found(field, *span, "uncited", text[slice(*span)]) for span in bare]
    may = f"sources: {', '.join(names[:10])}{', ...' if len(names) > 10 else ''}" if names else "there are no sources"
    fix = {field: _without(text, bad, good)} if len(problems) == 1 and bad else None
    score = (total - len(bad)) / total if total else 0.0
    return CheckResult(False, f"{field!r} {'; it '.join(problems)}; {may}", score, tuple(found), fix)


def _markers(text: str, known: set[str]) -> Iterator[tuple[Span, list[str]]]:
    """The place of each marker and what it names; brackets that hold other things are none."""
    for pattern in (_BRACKET, _SOURCE):
        for match in pattern.finditer(text):
            inner = next(group for group in match.groups() if group is not None).strip()
            whole_name = inner.casefold() in known
            cited = (
                [inner] if whole_name else [part for one in _SPLIT.split(inner) for part in _range(one.strip()) if part]
            )
            if pattern is _SOURCE or all(one.casefold() in known or _ID.fullmatch(one) for one in cited):
                yield match.span(), cited


def _range(one: str) -> list[str]:
    found = _RANGE.fullmatch(one)
    if found is None or not 0 <= int(found[2]) - int(found[1]) < 100:
        return [one]
    return [str(number) for number in range(int(found[1]), int(found[2]) + 1)]


def _bare(text: str, good: list[Span]) -> list[Span]:
    """The sentences without a marker; those at the beginning of a sentence belong to the one before."""
    ends = dict(good)
    starts = sorted(ends)
    every = sentences(text)
    found: list[Span] = []
    for number, (start, end) in enumerate(every):
        until = every[number + 1][0] if number + 1 < len(every) else len(text)
        own = start
        while number and own in ends:
            own = ends[own]
            own += len(text[own : own + 3]) - len(text[own : own + 3].lstrip())
        index = bisect_left(starts, own)
        cited = index < len(starts) and starts[index] <= until
        plain = text[start:end]
        if not cited and len(words(plain)) >= _LEAST_WORDS and not plain.rstrip("\"'”").endswith(("?", ":")):
            found.append((start, end))
    return found


def _without(text: str, bad: list[tuple[Span, str]], good: list[Span]) -> str:
    kept = set(good)
    pieces: list[str] = []
    last = 0
    for start, end in sorted({span for span, _ in bad}):
        if (start, end) in kept or start < last:
            continue
        pieces.append(text[last:start].removesuffix(" "))
        last = end
    return "".join([*pieces, text[last:]])


def _names(held: Any, field: str) -> list[str]:
    """What the sources may be cited by."""
    if held is None:
        return []
    if isinstance(held, int) and not isinstance(held, bool) and held >= 0:
        return [str(number + 1) for number in range(held)]
    if isinstance(held, Mapping):
        return [str(key) for key in cast("Mapping[Any, Any]", held)]
    if isinstance(held, str) or not isinstance(held, Sequence | set | frozenset) or isinstance(held, bytes):
        raise UsageError(f"check 'cites': {field!r} is a list or dict of sources, or a count; got {brief(held, 60)}")
    names: list[str] = []
    for number, one in enumerate(cast("Iterable[Any]", held), 1):
        given = cast("Mapping[str, Any]", one) if isinstance(one, Mapping) else None
        for key in ("id", "title", "source"):
            name: Any = given.get(key) if given is not None else getattr(cast(object, one), key, None)
            if not isinstance(one, str) and isinstance(name, str | int) and str(name).strip():
                names.append(str(name).strip())
        names.append(str(number))
    return list(dict.fromkeys(names))

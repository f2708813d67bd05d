"""Checks that might tell good outputs from bad ones, made from templates and what stands in the outputs."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from outlast import checks
from outlast.checks.check import Check
from outlast.errors import UsageError

Origin = Literal["template", "model"]

_WORD = re.compile(r"[\w']+")
_HEADING = re.compile(r"(?m)^(?:#{1,6}[ \t]+(?P<head>[^\n]{1,60}?)[ \t]*$|(?P<label>[A-Z][\w ]{1,40}):(?=[ \t]|$))")
_QUANTILES = (1.0, 0.95, 0.9)
_LONGEST_PHRASE = 3
_MOST_PHRASES = 40  # of each kind
_MOST_VALUES = 12
_SHAPES: dict[str, str] = {
    "a link": r"https?://",
    "a Markdown link": r"\]\(",
    "an e-mail address": r"[\w.+-]+@[\w-]+\.\w",
    "a digit": r"\d",
    "a sum of money": r"[$€£]\s?\d",
    "a date": r"\d{4}-\d{2}-\d{2}",
    "a question": r"\?",
    "an exclamation mark": r"!",
    "several exclamation marks": r"!\s*!",
    "a list": r"(?m)^\s*(?:[-*•]|\d+[.)])\s",
    "a heading": r"(?m)^#{1,6}\s",
    "a code fence": r"```",
    "bold text": r"\*\*\S",
    "a table": r"(?m)^\s*\|.+\|",
    "an HTML tag": r"</?[a-zA-Z][^>\n]{0,80}>",
    "a placeholder in brackets": r"\[[A-Za-z][A-Za-z _-]{1,30}\](?:[^(]|$)|\{\{|<[A-Z_]{3,}>",
    "a word in capitals": r"\b[A-Z]{4,}\b",
    "a citation mark": r"\[\d+\]",
    "a quotation": r"[\"“„«]\S",
    "talk about itself": r"(?i)\bas an? (?:ai|language model)\b",
    "an apology": r"(?i)\b(?:sorry|apologi[sz]e)\b",
    "a refusal": r"(?i)\bI (?:can't|cannot|am unable|won't)\b",
    "filler at the start": r"(?i)^\s*(?:sure|certainly|of course|great question|absolutely)\b",
    "three dots": r"\.\.\.|…",
}
_ENDS: dict[str, str] = {
    "ends with a full stop, a question or an exclamation mark": r"[.!?][\"'”»)\]]*\s*$",
    "starts with a capital letter": r"^\s*[\"'“„«(\[]*[A-Z]",
}
_SUPPORT = ("numbers_supported", "dates_supported", "quotes_supported", "entities_supported")
_BUILT_IN = ("no_pii", "no_secrets", "no_toxicity", "parses_python")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A check that is tried, and the Python expression that makes it, for a file that a team reviews."""

    check: Check
    source: str
    origin: Origin = "template"


def templates(
    rows: Sequence[Mapping[str, Any]], good: Sequence[bool], fields: Sequence[str], sources: Sequence[str] = ()
) -> list[Candidate]:
    """Candidates for fields that hold text; thresholds, phrases and values come from these rows alone. `sources` are
    inputs that what is claimed may have to stand in. Those that say most about why come first: of candidates that say
    the same of all rows the first is taken."""
    found: list[Candidate] = []
    for field in fields:
        texts = [row[field] for row in rows]
        if not all(isinstance(text, str) for text in texts):
            continue
        right = [text for text, fine in zip(texts, good, strict=True) if fine]
        found += _built_in(field, right)
        for source in sources:
            for name in _SUPPORT:
                found += _made(name, field, source=source)
        for make in (_json, _values, _sections):
            found += make(field, right)
        found += _shapes(field)
        found += _phrases(field, texts, good)
        found += _lengths(field, right)
    return found


def _made(name: str, field: str, *args: Any, **options: Any) -> Iterator[Candidate]:
    """The candidate of a factory of `ol.checks`, unless it cannot be made."""
    factory: Callable[..., Check] = getattr(checks, name)
    parts = [repr(field), *map(repr, args), *(f"{option}={value!r}" for option, value in options.items())]
    try:
        yield Candidate(factory(field, *args, **options), f"ol.checks.{name}({', '.join(parts)})")
    except UsageError:
        return


def _lengths(field: str, right: Sequence[str]) -> Iterator[Candidate]:
    from outlast.checks.structure import measured

    for unit in ("words", "sentences", "lines"):
        sizes = sorted(measured(text, unit) for text in right)
        if not sizes:
            continue
        tops = {sizes[math.ceil(share * len(sizes)) - 1] for share in _QUANTILES}
        lows = {sizes[len(sizes) - math.ceil(share * len(sizes))] for share in _QUANTILES}
        for top in sorted(tops):
            yield from _made("length", field, max=_rounded(top) if unit == "words" else top, unit=unit)
        for low in sorted(lows - {0}):
            yield from _made("length", field, min=low, unit=unit)


def _rounded(size: int) -> int:
    """Up to two figures, as people set limits."""
    step = 10 ** max(0, len(str(size)) - 2)
    return -(-size // step) * step


def _values(field: str, right: Sequence[str]) -> Iterator[Candidate]:
    known = Counter(right)
    if 0 < len(known) <= _MOST_VALUES and len(right) >= 2 * len(known):
        yield from _made("one_of", field, tuple(sorted(known)))


def _json(field: str, right: Sequence[str]) -> Iterator[Candidate]:
    read: list[Any] = [value for text in right if isinstance(value := _read(text), dict | list)]
    if len(read) < 0.8 * len(right) or not right:
        return
    yield from _made("json_schema", field, {"type": ["object", "array"]})
    objects = [cast("dict[str, Any]", value) for value in read if isinstance(value, dict)]
    if len(objects) == len(read):
        common = set(objects[0])
        for one in objects:
            common &= set(one)
        keys = sorted(common)[:20]
        if keys:
            yield from _made("json_schema", field, {"type": "object", "required": keys})
            known = sorted({key for one in objects for key in one})[:50]
            closed: dict[str, Any] = {
                "type": "object",
                "properties": {key: {} for key in known},
                "additionalProperties": False,
            }
            yield from _made("json_schema", field, closed)


def _read(text: str) -> Any:
    try:
        return json.loads(text) if len(text) < 100_000 else None
    except (ValueError, RecursionError):
        return None


def _built_in(field: str, right: Sequence[str]) -> Iterator[Candidate]:
    for name in _BUILT_IN:
        if name != "parses_python" or sum("\n" in text or "(" in text for text in right) > 0.5 * len(right):
            yield from _made(name, field)


def _shapes(field: str) -> Iterator[Candidate]:
    for what, pattern in _SHAPES.items():
        yield from _made("matches", field, pattern, absent=True, message=f"{field} has {what}; leave it out")
        yield from _made("matches", field, pattern, message=f"{field} has not {what}; put one in")
    for what, pattern in _ENDS.items():
        yield from _made("matches", field, pattern, message=f"wanted: {field} {what}")


def _sections(field: str, right: Sequence[str]) -> Iterator[Candidate]:
    heads = Counter(
        head
        for text in right
        for head in {(match["head"] or match["label"]).strip() for match in _HEADING.finditer(text[:20_000])}
    )
    for head, count in heads.most_common(10):
        if count >= 0.7 * len(right):
            pattern = rf"(?m)^(?:#{{1,6}}[ \t]+)?{re.escape(head)}"
            yield from _made("matches", field, pattern, message=f"{field} has no section {head!r}")


def _phrases(field: str, texts: Sequence[str], good: Sequence[bool]) -> Iterator[Candidate]:
    """Phrases that most good outputs hold, and phrases that bad ones do: those that stand apart most."""
    counts: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
    for text, fine in zip(texts, good, strict=True):
        counts[fine].update(set(_grams(text[:20_000])))
    bad, right = counts
    goods = sum(good)
    wanted = [phrase for phrase, count in right.items() if count >= 0.8 * goods]
    wanted.sort(key=lambda phrase: (bad[phrase] / max(1, len(good) - goods) - right[phrase] / max(1, goods), phrase))
    unwanted = [phrase for phrase, count in bad.items() if count >= 2 and right[phrase] <= 0.2 * goods]
    unwanted.sort(
        key=lambda phrase: (
            right[phrase] / max(1, goods) - bad[phrase] / max(1, len(good) - goods),
            len(phrase),
            phrase,
        )
    )
    for phrase in wanted[:_MOST_PHRASES]:
        yield from _made("matches", field, _pattern(phrase), message=f"{field} does not say {phrase!r}")
    for phrase in unwanted[:_MOST_PHRASES]:
        yield from _made("matches", field, _pattern(phrase), absent=True, message=f"{field} says {phrase!r}")


def _grams(text: str) -> Iterator[str]:
    words = _WORD.findall(text.lower())
    for size in range(1, _LONGEST_PHRASE + 1):
        for start in range(len(words) - size + 1):
            phrase = " ".join(words[start : start + size])
            if len(phrase) > 2:
                yield phrase


def _pattern(phrase: str) -> str:
    return r"(?i)\b" + r"\W+".join(map(re.escape, phrase.split())) + r"\b"

"""Instructions to a model inside texts from outside: signs of them, added up to a score."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import NamedTuple

from outlast.checks.check import Check, CheckResult, Found, built
from outlast.checks.factory import factory
from outlast.checks.finding import named
from outlast.checks.injection_signs import (
    BASE64,
    BIDI,
    HEX,
    HIDDEN_STYLE,
    RIGHT_TO_LEFT,
    SIGNS,
    TAGS,
    ZERO_WIDTH,
)
from outlast.checks.policy import Policy
from outlast.checks.texts import plain, texts_in
from outlast.errors import UsageError, brief

_URL_SAFE = str.maketrans("-_", "+/")
_MOST_DECODED = 50  # encoded pieces of one text that are looked into


class Suspicion(NamedTuple):
    """How much a text looks like instructions to a model (0..1), and where, by kind of sign."""

    score: float
    found: tuple[Found, ...]


class _Seen(NamedTuple):
    start: int
    end: int
    kind: str
    weight: float


def injection_score(text: str) -> Suspicion:
    """How much a text from outside looks like it gives instructions to a model, from 0 to 1.

    Signs are: orders to ignore instructions, new roles, requests for the prompt, marks of roles and of tool calls,
    text that people do not see (tag characters, zero-width characters in words, text turned around, HTML comments and
    hidden elements), encoded text that decodes to such signs, images whose address takes data along, orders to send
    data away, what is addressed to a model or changes its reply, and tasks that a mail would not hold. Each kind of
    sign counts once, with its weight: 1 less the product of (1 - weight), a noisy or.

    A heuristic, in English with a few other languages: it knows forms, not intent. Attacks that are worded as ordinary
    requests or questions pass; a text about prompt injection does not. It lessens risk and is no barrier; what may be
    done with text from outside must be limited elsewhere. Time: linear in the text; no LM call.
    """
    if not isinstance(text, str):
        raise UsageError(f"injection_score takes a text; got {brief(text)}")
    strongest: dict[str, float] = {}
    found: list[_Seen] = []
    for one in [*_signs(text), *_hidden(text), *_encoded(text)]:
        strongest[one.kind] = max(strongest.get(one.kind, 0.0), one.weight)
        found.append(one)
    left = 1.0
    for weight in strongest.values():
        left *= 1 - weight
    places = sorted(found, key=lambda one: (one.start, -one.end))
    return Suspicion(1 - left, tuple(Found("", one.start, one.end, one.kind) for one in places))


@factory
def no_injection(*fields: str, threshold: float = 0.5, on_fail: Policy | str = "log", each: bool = False) -> Check:
    """Passes when `injection_score` of every text in the fields is below `threshold` (above 0, at most 1).

    For texts from outside: mails, pages, results of tools. The score of the check is 1 less that of the worst text. It
    only logs unless told otherwise, for it misses many attacks and minds some harmless mails: measured figures are in
    the guide to built-in checks. Where it is more than a log, look at what it finds in your own texts first.
    """
    named("no_injection", fields)
    if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not 0 < threshold <= 1:
        raise UsageError(f"ol.checks.no_injection: threshold is a number above 0, at most 1; got {brief(threshold)}")

    def look(*values: object) -> CheckResult:
        worst, kinds, places = 0.0, dict[str, None](), list[Found]()
        for name, value in zip(fields, values, strict=True):
            for place, text in texts_in(name, value, "no_injection"):
                score, found = injection_score(text)
                worst = max(worst, score)
                if score >= threshold:
                    places += [replace(one, field=place) for one in found]
                    kinds.update(dict.fromkeys(one.kind for one in found))
        if worst < threshold:
            return CheckResult(True, score=1 - worst)
        where = ", ".join(dict.fromkeys(repr(one.field) for one in places))
        message = f"{where} reads like instructions to a model ({', '.join(kinds)}; score {worst:.2f})"
        return CheckResult(False, message, 1 - worst, tuple(places))

    return built("no_injection", fields, look, on_fail=on_fail, each=each, threshold=float(threshold))


def _signs(text: str) -> Iterator[_Seen]:
    seen = plain(text)
    small = seen.text.lower()
    for kind, weight, hints, pattern in SIGNS:
        found = pattern.search(seen.text) if any(hint in small for hint in hints) else None
        if found is not None:
            yield _Seen(*seen.place(*found.span()), kind, weight)


def _hidden(text: str) -> Iterator[_Seen]:
    """What a reader does not see and a model does."""
    if not text.isascii():
        for found in TAGS.finditer(text):
            yield _Seen(*found.span(), "hidden text", 0.95)
        between = [found.span() for found in ZERO_WIDTH.finditer(text)]
        if len(between) >= 3:
            yield _Seen(between[0][0], between[-1][1], "hidden text", 0.6)
        turned = BIDI.search(text)
        if turned is not None and not RIGHT_TO_LEFT.search(text):
            yield _Seen(*turned.span(), "hidden text", 0.6)
    for start, end in _comments(text):
        if next(_signs(text[start + 4 : end - 3]), None):
            yield _Seen(start, end, "hidden text", 0.9)
    if "<" in text:
        for found in HIDDEN_STYLE.finditer(text):
            yield _Seen(*found.span(), "hidden text", 0.9 if next(_signs(found["inside"]), None) else 0.3)


def _comments(text: str) -> Iterator[tuple[int, int]]:
    """HTML comments, from the first that is closed to the last."""
    end = 0
    while (start := text.find("<!--", end)) >= 0 and (end := text.find("-->", start + 4) + 3) > 2:
        yield start, end


def _encoded(text: str) -> Iterator[_Seen]:
    """Encoded pieces whose text gives instructions."""
    pieces = [(found.span(), _of_base64(found[0])) for found in _first(BASE64.finditer(text))]
    pieces += [(found.span(), _of_hex(found[0])) for found in _first(HEX.finditer(text))]
    for span, inside in pieces:
        if inside and next(_signs(inside), None) is not None:
            yield _Seen(*span, "encoded text", 0.9)


def _first(found: Iterator[re.Match[str]]) -> list[re.Match[str]]:
    return list(islice(found, _MOST_DECODED))


def _of_base64(piece: str) -> str:
    whole = piece.rstrip("=").translate(_URL_SAFE)
    try:
        return base64.b64decode(whole + "=" * (-len(whole) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _of_hex(piece: str) -> str:
    try:
        return bytes.fromhex(piece).decode()
    except ValueError:
        return ""

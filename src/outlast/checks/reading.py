"""What the built-in checks share: the text of a field, its words and sentences, and how findings are shown."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, cast

from outlast.checks.check import Check, CheckResult, built
from outlast.checks.policy import Policy
from outlast.errors import UsageError, brief

Span = tuple[int, int]
FINE = CheckResult(True)

_CJK = r"\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_CJK}]|[^\W{_CJK}]+(?:(?:['’-]|(?<=\d)[.,:](?=\d))[^\W{_CJK}]+)*")  # noqa: RUF001
_END = re.compile(r"(?<![.!?…])[.!?…]++[\"'”’»)\]]*+(?=\s|\Z)|[。！？]++[”’」』）]*+|\n\s*+")  # noqa: RUF001


def words_of(text: str) -> frozenset[str]:
    """The words of a list that is written as text."""
    return frozenset(text.split())


_CLOSING = "\"'”’»)]"  # noqa: RUF001
_NO_END = words_of(
    """mr mrs ms dr prof st mt sen rep gov gen col capt lt sgt rev hon vs e.g i.e cf fig figs eq no nos vol pp p ch
    sec al approx est dept univ ca viz resp z.b d.h bzw nr art"""
)
_MAYBE = words_of(  # an end only where a capital follows
    """jan feb mar apr jun jul aug sep sept oct nov dec etc inc ltd co corp jr sr u.s u.k u.n a.m p.m b.c a.d"""
)


_INITIALS = re.compile(r"(?:[^\W\d_]\.)+[^\W\d_]")
_OPENERS = words_of(
    """a an and as at but by for from he her his however i if in it its many most no on one she so some such that the
    their there these they this those to under we what when where which while who with you your"""
)


def text_of(value: Any, check: str, field: str) -> str | None:
    """The text that a field holds; None for None, where a check does not apply. Raises `UsageError` for the rest."""
    if value is None or isinstance(value, str):
        return value
    kind = getattr(value, "kind", None)
    text = getattr(value, "text", None)
    if kind in ("code", "document") and isinstance(text, str):
        return text
    hint = "; each=True looks at the items of a list" if isinstance(value, list | tuple | set | frozenset) else ""
    kind = type(cast(object, value)).__name__
    raise UsageError(f"check {check!r} looks at text; {field!r} holds {kind} {brief(value, 60)}{hint}")


def of_text(
    name: str,
    field: str,
    judge: Callable[[str], CheckResult | None],
    *,
    on_fail: Policy | str,
    each: bool = False,
    **options: Any,
) -> Check:
    """The check of a factory that looks at the text of one field."""
    named(name, field)

    def look(value: Any) -> CheckResult | None:
        text = text_of(value, name, field)
        return None if text is None else judge(text)

    return built(name, (field,), look, on_fail=on_fail, each=each, **options)


def named(check: str, field: Any, what: str = "the first argument") -> str:
    """The name of a field; raises `UsageError` for what is none."""
    if not isinstance(field, str) or not field.isidentifier():
        raise UsageError(f"ol.checks.{check}: {what} is the name of a field, such as 'answer'; got {brief(field)}")
    return field


def listed(check: str, option: str, values: Any, kind: type = str) -> tuple[Any, ...]:
    """An option that is a list of one kind, not empty; raises `UsageError`."""
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise UsageError(f"ol.checks.{check}: {option} is a list of {kind.__name__}; got {brief(values)}")
    items = tuple(cast("Iterable[Any]", values))
    for item in items:
        if not isinstance(item, kind):
            raise UsageError(f"ol.checks.{check}: {option} is a list of {kind.__name__}; got {brief(item)} in it")
    if not items:
        raise UsageError(f"ol.checks.{check}: {option} is empty, so that nothing would pass")
    return items


def flag(check: str, **options: Any) -> None:
    """Raise `UsageError` when an option is no bool."""
    for option, value in options.items():
        if not isinstance(value, bool):
            raise UsageError(f"ol.checks.{check}: {option} is True or False; got {brief(value)}")


def whole(check: str, option: str, value: Any, least: int = 0) -> int:
    """A whole number from `least`; raises `UsageError`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UsageError(f"ol.checks.{check}: {option} is a whole number from {least}; got {brief(value)}")
    return value


def words(text: str) -> list[Span]:
    """Where the words are. A Chinese or Japanese character counts as one, as do joined-up and it's."""
    return [match.span() for match in _WORD.finditer(text)]


def sentences(text: str) -> list[Span]:
    """Where the sentences are; a line break ends one too, an abbreviation or an initial does not. Linear time."""
    return list(_sentences(text))


def _sentences(text: str) -> Iterator[Span]:
    start = 0
    for match in _END.finditer(text):
        quoted = match[0][-1] in _CLOSING and text[match.end() : match.end() + 2].strip()[:1].islower()
        if quoted or (match[0] == "." and not _ends(text, match.start(), match.end())):
            continue
        span = _trimmed(text, start, match.end())
        start = match.end()
        if span:
            yield span
    if span := _trimmed(text, start, len(text)):
        yield span


def _ends(text: str, dot: int, after: int) -> bool:
    """True where a single full stop ends a sentence."""
    following = text[after : after + 40].lstrip()[:1]
    if following.islower():
        return False
    before = text[max(0, dot - 12) : dot].rsplit(None, 1)[-1:]
    word = before[0].lstrip("([\"'“‘").lower() if before else ""  # noqa: RUF001
    if word in _NO_END or (len(word) == 1 and word.isalpha() and word != "i"):
        return False
    if _INITIALS.fullmatch(word):  # "the U.S. Army", but "in the U.S. They"
        opener = _WORD.search(text, after, after + 40)
        return following == "" or (opener is not None and opener[0].lower() in _OPENERS)
    return word not in _MAYBE or following.isupper()


def _trimmed(text: str, start: int, end: int) -> Span | None:
    piece = text[start:end]
    left = len(piece) - len(piece.lstrip())
    kept = len(piece.strip())
    return (start + left, start + left + kept) if any(c.isalnum() for c in piece) else None


def shown(items: Iterable[str], most: int = 5) -> str:
    """A few items for a message, each at most 60 characters, and how many more there are."""
    every = list(items)
    told = ", ".join(brief(item, 60) for item in every[:most])
    return told if len(every) <= most else f"{told} and {len(every) - most} more"


def count(number: int, noun: str) -> str:
    """`1 word`, `3 words`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"

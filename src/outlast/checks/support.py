"""Checks that what a text claims is in its source: numbers, dates, quotations, names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal, Protocol, cast, get_args

from outlast.checks import dates as of_dates
from outlast.checks import entities as of_entities
from outlast.checks import numbers as of_numbers
from outlast.checks import quotes as of_quotes
from outlast.checks.check import Check, CheckResult, Found, built
from outlast.checks.factory import factory
from outlast.checks.policy import Policy
from outlast.checks.reading import FINE, flag, listed, named, shown, text_of, whole
from outlast.errors import UsageError, brief

Kind = Literal["numbers", "dates", "quotes", "entities"]
KINDS: tuple[Kind, ...] = get_args(Kind)
MOST_VALUES = 200_000
"""Values of one source that are looked at, however they are nested."""

_NOUNS = {"numbers": "number", "dates": "date", "quotes": "quotation", "entities": "name"}


class _Claim(Protocol):
    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...
    @property
    def text(self) -> str: ...


Finder = Callable[[str, list[str]], "tuple[list[_Claim], list[_Claim]]"]
"""All claims of one kind in a text, and those that the source does not have."""


@factory
def numbers_supported(
    field: str,
    *,
    source: str | Iterable[str],
    tolerance: float = 0.0,
    rounding: bool = False,
    on_fail: Policy | str = "raise",
) -> Check:
    """Every number in the text is in the source, however it is written: 1,234.5 and 1.234,5, "$2.5m" and 2,500,000,
    "three" and 3. A percentage needs a percentage there (or its hundredth), a currency none other.

    `source` names one field or several: text, documents, or lists and dicts of them. `tolerance` is the relative
    difference that passes (0.01: one per cent), `rounding` lets 3.1 stand for 3.14. The score is the share that is
    found. List numbers, citation markers, and "one", "first" and "second" are no claims; units (km, kg) are not looked
    at.
    """
    return _check("numbers_supported", field, source, ("numbers",), on_fail, tolerance, rounding, 2)


@factory
def dates_supported(field: str, *, source: str | Iterable[str], on_fail: Policy | str = "raise") -> Check:
    """Every date in the text is in the source: 5 January 2020 is 2020-01-05 and 5/1/2020 (in either order).

    A part of a date ("January 2020", "2020") is found when the source says so much or more. `source` is as for
    `numbers_supported`. The score is the share that is found. "Yesterday", weekdays and times are not looked at.
    """
    return _check("dates_supported", field, source, ("dates",), on_fail, 0.0, False, 2)


@factory
def quotes_supported(
    field: str, *, source: str | Iterable[str], least: int = 2, on_fail: Policy | str = "raise"
) -> Check:
    """Every quotation of `least` words or more is in one text of the source, word by word: case, punctuation, space and
    the kind of quotation marks do not count, "..." and [words in brackets] stand for what is left out.

    `source` is as for `numbers_supported`. The score is the share that is found.
    """
    return _check(
        "quotes_supported",
        field,
        source,
        ("quotes",),
        on_fail,
        0.0,
        False,
        whole("quotes_supported", "least", least, 1),
    )


@factory
def entities_supported(field: str, *, source: str | Iterable[str], on_fail: Policy | str = "raise") -> Check:
    """Every name in the text is in the source: its words in order, with at most two others between each, or its
    initials (UN, United Nations). Titles may be missing; "American" is found in "America".

    Names are found by their capitals, so it is for languages that write little else with them. `source` is as for
    `numbers_supported`: name the question too, whose words an answer may repeat. The score is the share that is found.
    """
    return _check("entities_supported", field, source, ("entities",), on_fail, 0.0, False, 2)


@factory
def supported(
    field: str,
    *,
    source: str | Iterable[str],
    kinds: Iterable[Kind] = KINDS,
    tolerance: float = 0.0,
    rounding: bool = False,
    least: int = 2,
    on_fail: Policy | str = "raise",
) -> Check:
    """Every number, date, quotation and name in the text is in the source: the four checks in one, with one message."""
    chosen = tuple(dict.fromkeys(listed("supported", "kinds", kinds)))
    for kind in chosen:
        if kind not in KINDS:
            raise UsageError(f"ol.checks.supported: kinds are {', '.join(KINDS)}; got {brief(kind)}")
    least = whole("supported", "least", least, 1)
    return _check("supported", field, source, cast("tuple[Kind, ...]", chosen), on_fail, tolerance, rounding, least)


def _check(
    name: str,
    field: str,
    source: str | Iterable[str],
    kinds: tuple[Kind, ...],
    on_fail: Policy | str,
    tolerance: float,
    rounding: bool,
    least: int,
) -> Check:
    named(name, field)
    sources = tuple(dict.fromkeys(listed(name, "source", [source] if isinstance(source, str) else source)))
    for one in sources:
        named(name, one, "source")
    if field in sources:
        raise UsageError(f"ol.checks.{name}: the field {field!r} is its own source")
    if isinstance(tolerance, bool) or not isinstance(tolerance, int | float) or not 0 <= tolerance <= 1:
        raise UsageError(f"ol.checks.{name}: tolerance is a share from 0 to 1; got {brief(tolerance)}")
    flag(name, rounding=rounding)
    finders: dict[Kind, Finder] = {
        "numbers": lambda text, texts: _numbers(text, texts, Decimal(str(tolerance)), rounding),
        "dates": _dates,
        "quotes": lambda text, texts: _quotes(text, texts, least),
        "entities": _entities,
    }

    def look(value: Any, *values: Any) -> CheckResult | None:
        text = text_of(value, name, field)
        if text is None:
            return None
        texts = [text for one, held in zip(sources, values, strict=True) for text in texts_of(held, name, one)]
        return _judged(field, text, texts, {kind: finders[kind] for kind in kinds}, sources)

    options: dict[str, Any] = {
        "source": sources,
        "kinds": kinds,
        "tolerance": tolerance,
        "rounding": rounding,
        "least": least,
    }
    return built(name, (field, *sources), look, on_fail=on_fail, **options)


def _judged(
    field: str, text: str, texts: list[str], finders: Mapping[Kind, Finder], sources: tuple[str, ...]
) -> CheckResult:
    total = 0
    places: list[Found] = []
    told: list[str] = []
    for kind, find in finders.items():
        claims, missing = find(text, texts)
        total += len(claims)
        if missing:
            places += [Found(field, one.start, one.end, _NOUNS[kind], one.text) for one in missing]
            noun = _NOUNS[kind] + ("s" if len(missing) > 1 else "")
            told.append(f"the {noun} {shown(dict.fromkeys(one.text for one in missing))}")
    if not places:
        return FINE if not total else CheckResult(True, score=1.0)
    where = " and ".join(repr(one) for one in sources)
    message = f"{field!r} has {' and '.join(told)}, which {where} {'does' if len(sources) == 1 else 'do'} not support"
    places.sort(key=lambda place: place.start)
    return CheckResult(False, message, 1 - len(places) / total, tuple(places))


def _numbers(text: str, texts: list[str], tolerance: Decimal, rounding: bool) -> tuple[list[_Claim], list[_Claim]]:
    claims = of_numbers.numbers(text, claims=True)
    known = of_numbers.Known(texts) if claims else None
    return [*claims], [one for one in claims if known and not known.holds(one, tolerance, rounding)]


def _dates(text: str, texts: list[str]) -> tuple[list[_Claim], list[_Claim]]:
    claims = of_dates.dates(text)
    known = of_dates.Known(texts) if claims else None
    return [*claims], [one for one in claims if known and not known.holds(one)]


def _quotes(text: str, texts: list[str], least: int) -> tuple[list[_Claim], list[_Claim]]:
    claims = of_quotes.quotes(text, least)
    known = of_quotes.Known(texts) if claims else None
    return [*claims], [one for one in claims if known and not known.holds(one)]


def _entities(text: str, texts: list[str]) -> tuple[list[_Claim], list[_Claim]]:
    claims = of_entities.entities(text)
    known = of_entities.Known(texts) if claims else None
    return [*claims], [one for one in claims if known and not known.holds(one)]


def texts_of(value: Any, check: str, field: str) -> list[str]:
    """The texts in a source: a text, a document, a number, or lists and dicts of them. Raises `UsageError`."""
    found: list[str] = []
    waiting: list[Any] = [value]
    for _ in range(MOST_VALUES):
        if not waiting:
            return found
        one = waiting.pop()
        if one is None or isinstance(one, bool):
            continue
        if isinstance(one, str):
            found.append(one)
        elif isinstance(one, int | float | Decimal):
            found.append(str(one))
        elif isinstance(one, Mapping):
            waiting += reversed(list(cast("Mapping[Any, Any]", one).values()))
        elif isinstance(one, Sequence | set | frozenset) and not isinstance(one, bytes | bytearray):
            waiting += reversed(list(cast("Iterable[Any]", one)))
        elif isinstance(text := getattr(one, "text", None), str):
            found += [part for part in (getattr(one, "title", ""), text) if isinstance(part, str) and part]
        elif callable(iso := getattr(one, "isoformat", None)):
            found.append(str(iso()))
        elif callable(dump := getattr(one, "model_dump", None)):
            waiting.append(dump())
        else:
            kind = type(cast(object, one)).__name__
            raise UsageError(
                f"check {check!r} reads texts, documents, and lists and dicts of them; {field!r} holds {kind}"
            )
    raise UsageError(f"check {check!r}: the source {field!r} holds more than {MOST_VALUES:,} values")

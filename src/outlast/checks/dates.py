"""Dates in text, in many written forms, whole or in part."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

Parts = tuple[int | None, int | None, int | None]
"""Year, month, day; None for what is not said."""

_MONTHS = """january jan januar janvier enero gennaio janeiro januari|february feb februar février febrero febbraio
fevereiro februari|march mar märz mars marzo março maart|april apr avril abril aprile|may mai mayo maggio maio mei|june
jun juni juin junio giugno junho|july jul juli juillet julio luglio julho|august aug août agosto augustus|september sep
sept septembre septiembre settembre setembro|october oct oktober octobre octubre ottobre outubro|november nov novembre
noviembre novembro|december dec dezember décembre diciembre dicembre dezembro"""
_MONTH = {name: number for number, names in enumerate(_MONTHS.split("|"), 1) for name in names.split()}
_NAMES = "|".join(sorted(_MONTH, key=len, reverse=True))
_YEAR = r"(?:1[0-9]|20|21)\d\d"
_DAY = r"(?:3[01]|[12]\d|0?[1-9])(?:st|nd|rd|th|\.|º)?"
_ISO = re.compile(
    r"(?<![\d.,/-])(\d{4})([-/.])(0?[1-9]|1[0-2])(?:\2(0?[1-9]|[12]\d|3[01]))?"
    r"(?=T\d|[^\w/-]|\Z)(?![.,]\d)"
)
_SHORT = re.compile(r"(?<![\d.,/-])(\d{1,2})([-/.])(\d{1,2})\2(\d{4}|\d{2})(?![\d/-])(?![.,]\d)")
_DAY_FIRST = re.compile(
    rf"(?<![\d.,])({_DAY})[ \u00a0-](?:of |de |di )?({_NAMES})\b\.?(?:,? ?(?:de |of )?[ -]?({_YEAR})(?!\d))?",
    re.IGNORECASE,
)
_MONTH_FIRST = re.compile(
    rf"\b({_NAMES})\.?[ \u00a0-](?:the )?({_DAY})(?![\d:]|[.,]\d)(?:,? ({_YEAR})(?!\d))?", re.IGNORECASE
)
_MONTH_YEAR = re.compile(rf"\b({_NAMES})\.?,? (?:of |de )?({_YEAR})(?![\d.,]*\d)", re.IGNORECASE)
_ALONE = re.compile(rf"(?<![\d.,/:$€£#])(?<!(?<!\d{{4}})-)({_YEAR})(?![\d/:%])(?![.,]\d)")
_COUNTED = re.compile(
    r"[ -](?:people|members|miles|feet|metres|meters|km|kg|seats|students|employees|copies|points|votes|dollars|euros"
    r"|times"
    r"|percent|acres|units|years|days|hours|men|women|words|pages|m|ft|residents|inhabitants|million|billion)\b"
)


@dataclass(frozen=True, slots=True)
class Date:
    """A date in a text: the dates that it may be, each with the parts that are said."""

    start: int
    end: int
    text: str
    readings: tuple[Parts, ...]


def dates(text: str, *, years: bool = True) -> list[Date]:
    """The dates of a text: 2020-01-05, 5/1/2020 (either order), 5 January 2020, Jan. 5th, January 2020, in 2020.

    Names of months in English, German, French, Spanish, Italian, Portuguese and Dutch. `years` takes years alone.
    """
    found: list[Date] = []
    taken = bytearray(len(text))
    for date in _all(text, years):
        if not any(taken[date.start : date.end]):
            taken[date.start : date.end] = b"\1" * (date.end - date.start)
            found.append(date)
    return sorted(found, key=lambda date: date.start)


def _all(text: str, years: bool) -> Iterator[Date]:
    for match in _ISO.finditer(text):
        if match[4] or match[2] == "-":  # 2020/05 is a fraction as well
            yield _date(match, (int(match[1]), int(match[3]), int(match[4]) if match[4] else None))
    for match in _SHORT.finditer(text):
        readings = tuple(_short(int(match[1]), int(match[3]), match[4]))
        if readings:
            yield _date(match, *readings)
    for match in _MONTH_FIRST.finditer(text):
        if match[1].lower() != "may" or match[3] or match[1] == "May":
            yield _date(match, (_number(match[3]), _MONTH[match[1].lower()], _number(match[2])))
    for match in _DAY_FIRST.finditer(text):
        yield _date(match, (_number(match[3]), _MONTH[match[2].lower()], _number(match[1])))
    for match in _MONTH_YEAR.finditer(text):
        yield _date(match, (int(match[2]), _MONTH[match[1].lower()], None))
    if years:
        for match in _ALONE.finditer(text):
            if not _COUNTED.match(text, match.end()):
                yield _date(match, (int(match[1]), None, None))


def _short(first: int, second: int, year: str) -> Iterator[Parts]:
    for full in [int(year)] if len(year) == 4 else [1900 + int(year), 2000 + int(year)]:
        if 1 <= second <= 12 and 1 <= first <= 31:
            yield full, second, first
        if 1 <= first <= 12 and 1 <= second <= 31 and first != second:
            yield full, first, second


def _number(text: str | None) -> int | None:
    return int(re.sub(r"\D", "", text)) if text else None


def _date(match: re.Match[str], *readings: Parts) -> Date:
    plain = match[0].rstrip(".")
    return Date(match.start(), match.start() + len(plain), plain, readings)


class Known:
    """The dates of a source, to look others up in: each part that one says must be said by one of the source."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.parts: set[Parts] = set()
        for text in texts:
            for date in dates(text):
                for year, month, day in date.readings:
                    self.parts |= {(year, month, day), (year, month, None), (year, None, None), (None, month, day)}

    def holds(self, date: Date) -> bool:
        """True when the source says so much of this date, or more."""
        return any(reading in self.parts for reading in date.readings)

"""Numbers in text, in figures and in words, as what they may mean."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from outlast.checks.reading import Span

_LONG = 40  # characters of one number; more is compared as it is written
_CURRENCY = {"$": "usd", "us$": "usd", "€": "eur", "£": "gbp", "¥": "jpy", "₹": "inr"}
_CURRENCY.update({"usd": "usd", "dollar": "usd", "dollars": "usd", "eur": "eur", "euro": "eur", "euros": "eur"})
_CURRENCY.update({"gbp": "gbp", "pound sterling": "gbp", "pounds sterling": "gbp", "yen": "jpy", "jpy": "jpy"})
_CURRENCY.update({"chf": "chf", "francs": "chf", "inr": "inr", "rupees": "inr"})
_SCALES = {
    "hundred": 2,
    "thousand": 3,
    "million": 6,
    "mn": 6,
    "mio": 6,
    "billion": 9,
    "bn": 9,
    "trillion": 12,
    "tn": 12,
}
_SCALES.update({"lakh": 5, "crore": 7, "millions": 6, "billions": 9, "thousands": 3})
_LETTERS = {"k": 3, "K": 3, "m": 6, "M": 6, "b": 9, "B": 9}
_UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_ORDINALS = (
    "zeroth first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth "
    "fifteenth sixteenth seventeenth eighteenth nineteenth"
)
_SMALL = {word: number for number, word in enumerate(_UNITS.split())}
_SMALL.update({word: 20 + 10 * number for number, word in enumerate(_TENS.split())})
_NTH = {word: number for number, word in enumerate(_ORDINALS.split())}
_NTH.update({word[:-1] + "ieth": 20 + 10 * number for number, word in enumerate(_TENS.split())})
_VAGUE = frozenset({"one", "first", "second", "zero"})  # words that are mostly no numbers
_WORDY = "|".join(
    sorted([*_SMALL, *_NTH, "hundred", "thousand", "million", "billion", "trillion", "dozen"], reverse=True)
)

_FIGURE = re.compile(
    r"(?P<cur>(?:US)?[$€£¥₹]|\b(?:USD|EUR|GBP|CHF|JPY|INR)\b)?[ \u00a0]?"
    r"(?P<sign>(?<![\w.,)\]])[-+\u2212])?"
    r"(?P<num>(?<![\w.,])\d{1,3}(?:[ \u00a0\u202f\u2009]\d{3})+(?![\d.,]*\d)|(?<!\d)\d[\d.,'\u2019]*)"
    r"(?P<after>(?:st|nd|rd|th)\b|'?s\b|[kKmMbB](?![\w])"
    r"|[ \u00a0-]?(?:hundred|thousands?|millions?|mn|mio|billions?|bn|trillion|tn|lakh|crore)\b)?"
    r"(?P<unit>[ \u00a0-]?(?:%|‰|percent(?:age points?)?\b|per cent\b|pct\b|[€£$]"
    r"|(?:USD|EUR|GBP|CHF|JPY|INR|dollars?|euros?|pounds? sterling|yen|francs|rupees)\b))?",
    re.IGNORECASE,
)
_WORDS = re.compile(
    rf"\b(?:a |minus )?(?:{_WORDY})(?:(?:[ -]|[ ]and[ ])(?:{_WORDY})){{0,20}}\b(?P<pct>[ ]per ?cent\b)?", re.IGNORECASE
)
_EN = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_DE = re.compile(r"\d{1,3}(?:\.\d{3})+(?:,\d+)?")
_IN = re.compile(r"\d{1,3}(?:,\d{2})+,\d{3}(?:\.\d+)?")
_ENUMERATOR = re.compile(r"^[ \t]*\(?\d{1,3}[.)][ \t]", re.MULTILINE)
_MARKER = re.compile(r"\[\^?\d{1,4}(?:[ ]?[,;\u2013-][ ]?\d{1,4})*\]|【\d[^】\n]{0,30}】")


@dataclass(frozen=True, slots=True)
class Number:
    """A number in a text: the values that it may have, and what it counts in.

    `step` is what one more in its last figure would be; a value is as exact as that. `unit` is "%", a currency, "s" (a
    decade) or "".
    """

    start: int
    end: int
    text: str
    values: tuple[Decimal, ...]
    unit: str = ""
    step: Decimal = Decimal(1)


def numbers(text: str, *, claims: bool = False) -> list[Number]:
    """The numbers of a text, in figures ("1,234.5", "1.234,5", "5 %", "$2.5m", "3rd") and in English words.

    In `claims`, list numbers, citation markers, and "one", "first", "second" and "zero" alone are no numbers. Linear
    time.
    """
    skipped: list[Span] = []
    if claims:
        skipped = sorted([m.span() for m in _ENUMERATOR.finditer(text)] + [m.span() for m in _MARKER.finditer(text)])
    figures = list(_figures(text))
    ends = [one.end for one in figures]
    found = list(figures)
    for one in _worded(text, claims):  # but for the "million" of "2.5 million"
        index = bisect_left(ends, one.start + 1)
        if index == len(figures) or figures[index].start >= one.end:
            found.append(one)
    if skipped:
        starts = [start for start, _ in skipped]
        found = [one for one in found if not _inside(one.start, starts, skipped)]
    return sorted(found, key=lambda one: one.start)


def _inside(place: int, starts: list[int], spans: list[Span]) -> bool:
    index = bisect_left(starts, place + 1) - 1
    return index >= 0 and place < spans[index][1]


def _figures(text: str) -> Iterator[Number]:
    for match in _FIGURE.finditer(text):
        raw = match["num"]
        if raw == match[0] and len(raw) <= 15 and raw.isdecimal():
            yield Number(*match.span(), raw, (Decimal(raw),))
            continue
        plain = raw.rstrip(".,'\u2019")
        if plain != raw:
            after = unit = ""
            end = match.start("num") + len(plain)
        else:
            after, unit, end = match["after"] or "", match["unit"] or "", match.end()
        start = match.start("cur") if match["cur"] else match.start("sign") if match["sign"] else match.start("num")
        shown = text[start:end]
        values, decimals = _values(plain)
        if not values:
            yield Number(start, end, shown, (), f"={plain}")
            continue
        powers = _powers(after)
        if (match["sign"] or "") in ("-", "\u2212"):
            values = [-value for value in values]
        every = dict.fromkeys(value.scaleb(power) for power in powers for value in values)
        yield Number(
            start, end, shown, tuple(every), _unit(match["cur"], after, unit), Decimal(1).scaleb(powers[0] - decimals)
        )


def _powers(after: str) -> list[int]:
    word = after.strip(" \u00a0-").lower()
    if word in _SCALES:
        return [_SCALES[word]]
    return [_LETTERS[after], 0] if after in _LETTERS else [0]


def _unit(currency: str | None, after: str, unit: str) -> str:
    plain = unit.strip(" \u00a0-").lower()
    if plain.startswith(("%", "per", "pct")):
        return "%"
    if plain in _CURRENCY:
        return _CURRENCY[plain]
    if currency:
        return _CURRENCY[currency.lower()]
    return "s" if after.strip("'") == "s" else ""


def _values(plain: str) -> tuple[list[Decimal], int]:
    """What figures may mean in the several ways of writing, and how many decimals they have."""
    if len(plain) > _LONG:
        return [], 0
    plain = re.sub(r"[ \u00a0\u202f\u2009'\u2019]", "", plain)
    if plain.isdecimal():
        return [Decimal(plain)], 0
    readings: list[str] = []
    if _EN.fullmatch(plain) or _IN.fullmatch(plain):
        readings.append(plain.replace(",", ""))
    if _DE.fullmatch(plain):
        readings.append(plain.replace(".", "").replace(",", "."))
    if plain.count(",") + plain.count(".") == 1:
        readings.append(plain.replace(",", "."))
    if not readings:
        return [], 0
    return [Decimal(one) for one in dict.fromkeys(readings)], len(readings[0].partition(".")[2])


def _worded(text: str, claims: bool) -> Iterator[Number]:
    for match in _WORDS.finditer(text):
        words = re.findall(r"[a-z]+", match[0].lower().removesuffix((match["pct"] or "").lower()))
        if claims and len([word for word in words if word not in ("a", "minus")]) == 1 and words[-1] in _VAGUE:
            continue
        if claims and words in (["hundred"], ["thousand"], ["million"], ["billion"], ["trillion"], ["dozen"]):
            continue  # "hundreds of"
        negative = words[0] == "minus"
        for value in _spelt(words[1:] if negative or words[0] == "a" else words):
            signed = Decimal(-value if negative else value)
            yield Number(*match.span(), match[0], (signed,), "%" if match["pct"] else "")


def _spelt(words: Iterable[str]) -> list[int]:
    """The numbers that words spell: "two hundred and five" is one, "twenty nineteen" is 2019, "five six" are two."""
    found: list[int] = []
    total, part, last = 0, 0, -1
    some = False
    for word in words:
        if word == "and":
            continue
        if word in ("hundred", "dozen") and part >= 100:
            found.append(total + part)
            total, part = 0, 100 if word == "hundred" else 12
        elif word in ("hundred", "dozen"):
            part = (part or 1) * (100 if word == "hundred" else 12)
        elif word in _SCALES:
            total, part = total + (part or 1) * 10 ** _SCALES[word], 0
        else:
            value = _SMALL.get(word, _NTH.get(word, 0))
            room = 1_000_000 if not some else part % 100 if part % 100 >= 20 and part % 10 == 0 else 0
            fits = not some or (value < 10 and room) or (part % 100 == 0 and (part or total))
            if some and not fits:
                if 10 <= last < 100 and 10 <= value < 100 and total == 0 and part < 100:  # nineteen eighty(-four)
                    part = part * 100
                else:
                    found.append(total + part)
                    total = part = 0
            part += value
            last = value
        some = True
    return [*found, total + part]


class Known:
    """The numbers of a source, to look others up in."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.plain: set[Decimal] = set()
        self.units: dict[Decimal, set[str]] = {}
        self.literal: set[str] = set()
        for text in texts:
            for one in numbers(text):
                if not one.values:
                    self.literal.add(one.unit)
                for value in one.values:
                    self.units.setdefault(value, set()).add(one.unit)
                self.plain.update(one.values)
        self.sorted = sorted(self.plain)

    def holds(self, one: Number, tolerance: Decimal, rounding: bool) -> bool:
        """True when the source has such a number."""
        if not one.values:
            return one.unit in self.literal
        return any(self._near(one, value, tolerance, rounding) for value in one.values)

    def _near(self, one: Number, value: Decimal, tolerance: Decimal, rounding: bool) -> bool:
        if value in self.plain and self._fits(one.unit, value):
            return True
        if one.unit == "%" and any(self._fits("", part) for part in (value.scaleb(-2),) if part in self.plain):
            return True
        if one.unit == "s" and any(value + year in self.plain for year in range(10)):
            return True
        width = abs(value) * tolerance
        if rounding:
            width = max(width, one.step / 2)
        if not width:
            return False
        index = bisect_left(self.sorted, value - width)
        while index < len(self.sorted) and self.sorted[index] <= value + width:
            if self._fits(one.unit, self.sorted[index]):
                return True
            index += 1
        return False

    def _fits(self, unit: str, value: Decimal) -> bool:
        """A percentage needs one in the source; a currency none other."""
        units = self.units[value]
        if unit == "%":
            return "%" in units
        if unit in ("", "s"):
            return True
        return unit in units or bool(units & {"", "s"})

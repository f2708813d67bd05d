"""Telephone numbers, told from the many other numbers by their form and by the words around them."""

from __future__ import annotations

import re
from collections.abc import Iterator

_BETWEEN = r"[ .\-/()]{0,3}"
_EXTENSION = r"(?:[ ]?(?:x|ext\.?|extension|Durchwahl)[ ]?\d{1,6}(?!\d))?"
_INTERNATIONAL = re.compile(
    rf"(?<![\w+])(?:\+[ (]{{0,2}}|(?<!\d[ .-])(?:00|011[ .-])\(?)[1-9](?:{_BETWEEN}\d){{6,14}}(?!\d)" + _EXTENSION
)
_NORTH_AMERICAN = re.compile(
    r"(?<![\w+])(?<!\d[-.])(?:1[-. ])?(?:\(\d{3}\)[ -]?|\d{3}([-.]))\d{3}(?(1)\1|[-.])\d{4}(?!\d|[-.]\d)" + _EXTENSION
)
_NUMBER = re.compile(
    rf"(?<![\w+])(?<!\d[-.,/:])\(?\d(?:{_BETWEEN}\d){{5,14}}(?!\d|[.,:]\d)" + _EXTENSION + "(?![A-Za-z])"
)
_OTHER = re.compile(
    r"(?:(?:19|20)\d\d[-/. ][01]?\d[-/. ][0-3]?\d|[0-3]?\d[-/. ][0-3]?\d[-/. ](?:19|20)\d\d)(?:[ ]\d{1,2})?"
    r"|\d{3}-\d\d-\d{4}|(?:19|20)\d\d ?[-/] ?(?:19|20)\d\d|(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
)
_WORDS = re.compile(
    r"(?P<yes>\b(?:(?:tele)?phones?|telephone|tel|mobiles?|cell ?(?:phones?|numbers?)|cell(?=[:.# ]{0,3}\Z)"
    r"|fax|hotline|whatsapp|sms|signal|landline"
    r"|desk|office|call(?:ed|ing)?|dial|ring|text|reach|handy|telefon[eo]?|t[ée]l[ée]phone|m[óo]vil|celular|rufnummer"
    r"|mobil|portable|numer telefonu|contact(?: number)?|(?:my|his|her|our|their|your) (?:number|digits|line))\b)"
    r"|(?P<no>\b(?:orders?|invoices?|tickets?|ref|reference|accounts?|acct|cases?|tracking|serial|part|model|sku|isbn"
    r"|issn|doi|pmid|pmcid|version|ids?|transaction|confirmation|policy|customer|patients?|pages?|pp|vol|batch|lot"
    r"|booking|receipt|between|from|years?|cards?|zip|postcode|postal|box|unit|suite|apt|street|parcel|amount|total"
    r"|usd|eur|gbp|nct|room|flight|article|claim|document|docket|license|licence|passport)\b"
    r"|[$€£¥#%=<>^*\u00d7_]|\bno\b\.?)",
    re.IGNORECASE,
)
_AFTER = re.compile(
    r"[ \t\-\u2013,:]{0,3}\(?(?:office|fax|mobile|cell|home|work|desk|tel|phone|mobil)\b", re.IGNORECASE
)


def phones(text: str) -> Iterator[tuple[int, int]]:
    """Telephone numbers: in international form, in North American form, with a trunk 0 in groups, and any other
    groups of 6 to 15 digits beside a word of telephones. A word of orders, cards or pages that is nearer rules it out.
    """
    end = 0
    found: list[tuple[int, int, int]] = []
    for sure, pattern in ((2, _INTERNATIONAL), (1, _NORTH_AMERICAN), (0, _NUMBER)):
        found += [(match.start(), match.end(), sure) for match in pattern.finditer(text)]
    for start, stop, sure in sorted(found, key=lambda place: (place[0], -place[2])):
        if start >= end and _is_one(text, start, stop, sure):
            end = stop
            yield start, stop


def _is_one(text: str, start: int, stop: int, sure: int) -> bool:
    written = text[start:stop]
    if _OTHER.fullmatch(written):
        return False
    said = _said(text, start, stop)
    digits = sum(map(str.isdigit, written))
    groups = [len(group) for group in re.findall(r"\d+", written)]
    if said is not None and sure < 2:
        return said and digits >= (6 if re.fullmatch(r"[\d ]+", written) and len(groups) > 1 else 7)
    if sure == 2:
        return written[0] == "+" or said is True or (len(groups) > 1 and said is None)
    if sure == 1:
        return True
    trunk = written.lstrip("(").startswith("0") and not written.startswith("0.")
    return trunk and 9 <= digits <= 11 and len(groups) >= 2 and min(groups) >= 2 and "/" not in written[3:]


def _said(text: str, start: int, stop: int) -> bool | None:
    """What the nearest word around says: that it is a telephone number, that it is something else, or nothing."""
    if _AFTER.match(text, stop):
        return True
    said = None
    for word in _WORDS.finditer(text, max(0, start - 32), start):
        said = word["yes"] is not None
    return said

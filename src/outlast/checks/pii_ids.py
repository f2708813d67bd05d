"""Numbers that states give to people: their forms, and the check digits that tell them from other numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import date
from typing import NamedTuple

from outlast.checks.pii_kinds import luhn

_SSN = re.compile(r"(?<![\w-])(?!000|666|9)\d{3}([- ]?)(?!00)\d{2}\1(?!0000)\d{4}(?![\w]|-\w)")
_SSN_WORDS = re.compile(r"\bssn\b|social[ -]?security|\bsoc\.? sec|tax(?:payer)? id|\bitin\b", re.IGNORECASE)
_PAPERS = re.compile(
    r"(?:passport|(?:driver'?s?|driving)[ -]?licen[cs]e|reisepass|führerschein|permis de conduire)"
    r"(?: (?:number|num|no|nr|id))?\.?(?: is| was|:|#| =)?[ :#]{0,3}\n?"
    r"((?=[A-Z0-9-]{0,14}\d{3})[A-Z0-9][A-Z0-9-]{4,18})(?![\w])",
    re.IGNORECASE,
)


class _Kind(NamedTuple):
    pattern: re.Pattern[str]
    holds: Callable[[str], bool]
    words: re.Pattern[str] | None  # that must stand near, where the form and the sum are not enough


def _weighted(digits: str, weights: tuple[int, ...]) -> int:
    return sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=False))


def _nhs(value: str) -> bool:
    digits = re.sub(r"\D", "", value)
    return (11 - _weighted(digits, (10, 9, 8, 7, 6, 5, 4, 3, 2)) % 11) % 11 == int(digits[9])


def _cpf(value: str) -> bool:
    digits = re.sub(r"\D", "", value)
    first = _weighted(digits, (10, 9, 8, 7, 6, 5, 4, 3, 2)) * 10 % 11 % 10
    second = _weighted(digits, (11, 10, 9, 8, 7, 6, 5, 4, 3, 2)) * 10 % 11 % 10
    return digits[9:] == f"{first}{second}" and len(set(digits)) > 1


def _dni(value: str) -> bool:
    digits = re.sub(r"[^0-9A-Z]", "", value.upper())
    number = {"X": "0", "Y": "1", "Z": "2"}.get(digits[0], digits[0]) + digits[1:-1]
    return "TRWAGMYFPDXBNJZSQVHLCKE"[int(number) % 23] == digits[-1]


def _nir(value: str) -> bool:
    digits = re.sub(r"\s", "", value.upper())
    number = digits[:13].replace("2A", "19").replace("2B", "18")
    return 97 - int(number) % 97 == int(digits[13:])


_ODD = dict(
    zip(
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16,
         10, 22, 25, 24, 23),
        strict=True,
    )
)  # fmt: skip


def _fiscal(value: str) -> bool:
    code = value.upper()
    even = sum(int(code[place], 36) - (10 if code[place].isalpha() else 0) for place in range(1, 15, 2))
    return chr(65 + (even + sum(_ODD[code[place]] for place in range(0, 15, 2))) % 26) == code[15]


_TURNED = ("1576283094", "5803796142", "8916043527", "9453126870", "4286573901", "2793806415", "7046913258")
_DIHEDRAL = ("0123456789", "1234067895", "2340178956", "3401289567", "4012395678", "5987604321", "6598710432",
             "7659821043", "8765932104", "9876543210")  # fmt: skip


def _aadhaar(value: str) -> bool:
    """Verhoeff's check digit."""
    check = 0
    for place, digit in enumerate(reversed(re.sub(r"\D", "", value))):
        turned = digit if place % 8 == 0 else _TURNED[place % 8 - 1][int(digit)]
        check = int(_DIHEDRAL[check][int(turned)])
    return check == 0


def _pesel(value: str) -> bool:
    digits = value
    return (10 - _weighted(digits, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3)) % 10) % 10 == int(digits[10])


def _bsn(value: str) -> bool:
    return _weighted(value, (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0 and int(value) > 0


def _steuer(value: str) -> bool:
    digits = re.sub(r"\D", "", value)
    product = 10
    for digit in digits[:10]:
        total = (int(digit) + product) % 10 or 10
        product = total * 2 % 11
    return (11 - product) % 10 == int(digits[10])


def _sweden(value: str) -> bool:
    digits = re.sub(r"\D", "", value)[-10:]
    return luhn(digits) and _is_day("19" + digits[:2], digits[2:4], digits[4:6])


def _finland(value: str) -> bool:
    number = int(value[:6] + value[7:10])
    return "0123456789ABCDEFHJKLMNPRSTUVWXY"[number % 31] == value[10].upper() and _is_day(
        "19" + value[4:6], value[2:4], value[:2]
    )


def _is_day(year: str, month: str, day: str) -> bool:
    try:
        date(int(year), int(month), int(day))
    except ValueError:
        return False
    return True


def _sin(value: str) -> bool:
    digits = re.sub(r"\D", "", value)
    return luhn(digits) and digits[0] not in "08"


def _any(value: str) -> bool:
    return True


def _kind(pattern: str, holds: Callable[[str], bool], words: str = "") -> _Kind:
    whole = re.compile(rf"(?<![\w-])(?:{pattern})(?![\w]|-\w)", re.IGNORECASE)
    return _Kind(whole, holds, re.compile(words, re.IGNORECASE) if words else None)


_KINDS = (
    _kind(r"(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D]", _any,
          r"national insurance|\bnino\b|\bni (?:number|no)|insurance number"),
    _kind(r"\d{3}[ -]?\d{3}[ -]?\d{4}", _nhs, r"\bnhs\b"),
    _kind(r"\d{3}([ -])\d{3}\1\d{3}|\d{9}", _sin, r"\bsin\b|social insurance|assurance sociale"),
    _kind(r"\d{3}\.\d{3}\.\d{3}-\d{2}", _cpf),
    _kind(r"\d{11}", _cpf, r"\bcpf\b"),
    _kind(r"[XYZ]-?\d{7}-?[A-Z]|\d{8}-?[A-Z]", _dni),
    _kind(r"[12] ?\d{2} ?(?:0[1-9]|1[0-2]) ?(?:\d{2}|2[AB]) ?\d{3} ?\d{3} ?\d{2}", _nir),
    _kind(r"[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z]", _fiscal),
    _kind(r"[2-9]\d{3}[ -]?\d{4}[ -]?\d{4}", _aadhaar, r"aadha+r|\buidai?\b"),
    _kind(r"\d{11}", _pesel, r"\bpesel\b"),
    _kind(r"\d{9}", _bsn, r"\bbsn\b|burgerservice"),
    _kind(r"\d{2} ?\d{3} ?\d{3} ?\d{3}", _steuer, r"steuer|\bidnr\b|\btin\b"),
    _kind(r"(?:19|20)?\d{6}[-+]\d{4}", _sweden),
    _kind(r"[0-3]\d[01]\d{3}[-+A]\d{3}[0-9A-Y]", _finland),
)  # fmt: skip


def ssns(text: str) -> Iterator[tuple[int, int]]:
    """Social security numbers of the USA: as three groups with dashes, or in other forms after words that say so."""
    for found in _SSN.finditer(text):
        if found[1] == "-" or _SSN_WORDS.search(text, max(0, found.start() - 40), found.start()):
            yield found.span()


def national_ids(text: str) -> Iterator[tuple[int, int]]:
    """Numbers of people: Brazil, Canada, Finland, France, Germany, India, Italy, the Netherlands, Poland, Spain,
    Sweden, United Kingdom. Those that other numbers often look like count near a word that names them."""
    for pattern, holds, words in _KINDS:
        if words is not None and not words.search(text):
            continue
        for found in pattern.finditer(text):
            near = words is None or words.search(text, max(0, found.start() - 50), found.end() + 30)
            if near and holds(found[0]):
                yield found.span()


def papers(text: str) -> Iterator[tuple[int, int]]:
    """Numbers of passports and driving licences, after words that say so."""
    for found in _PAPERS.finditer(text):
        yield found.span(1)

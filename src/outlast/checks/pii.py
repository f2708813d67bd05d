"""Personal data in texts: found, checked for, put away and brought back."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from outlast.checks import pii_ids, pii_kinds
from outlast.checks.check import Check, Found
from outlast.checks.factory import factory
from outlast.checks.finding import Finder, Place, allowed, found_none
from outlast.checks.pii_phone import phones
from outlast.checks.policy import Policy
from outlast.checks.redaction import Redacted, Redaction
from outlast.checks.texts import plain
from outlast.errors import UsageError, brief, did_you_mean

_KINDS: dict[str, tuple[Callable[[str], Iterator[tuple[int, int]]], str]] = {  # where two meet, the first has it
    "url": (pii_kinds.urls, "web address"),
    "email": (pii_kinds.emails, "e-mail address"),
    "iban": (pii_kinds.ibans, "bank account number"),
    "crypto": (pii_kinds.wallets, "crypto-currency address"),
    "mac": (pii_kinds.macs, "network card address"),
    "ip": (pii_kinds.ips, "IP address"),
    "ssn": (pii_ids.ssns, "social security number"),
    "id_document": (pii_ids.papers, "passport or driving licence number"),
    "birth_date": (pii_kinds.births, "date of birth"),
    "card": (pii_kinds.cards, "card number"),
    "national_id": (pii_ids.national_ids, "national identity number"),
    "phone": (phones, "telephone number"),
}
_NUMBERS = ("iban", "ssn", "card", "national_id", "phone")
_SIX_DIGITS = re.compile(r"\d(?:\D{0,3}\d){5}")  # what all of them have, and most texts do not
PII_KINDS = tuple(_KINDS)
USUAL = tuple(kind for kind in _KINDS if kind not in ("url", "crypto"))


def find_pii(text: str, kinds: Iterable[str] = USUAL, *, allow: Iterable[str] = ()) -> tuple[Found, ...]:
    """Where a text holds personal data, in order, without overlaps; `Found.text` stays empty, for results are logged.

    `kinds`: of email, phone, card (check digit), iban (mod 97), ip, mac, ssn, national_id (12 countries, most with
    check digits), id_document, birth_date; url and crypto when named. Names and places are not found: that takes a
    model. Digits of every script, full-width letters and characters that nobody sees do not hide anything. `allow`
    are values that may stand, or "@example.com" for all addresses of a domain. Time: linear in the text; no LM call.
    """
    return _finder("find_pii", _chosen(kinds, "find_pii"), _allowed(allow, "find_pii"))(text)


def redact(text: str, kinds: Iterable[str] = USUAL, *, allow: Iterable[str] = ()) -> Redacted:
    """The text with placeholders such as `<EMAIL_1>` for personal data, and what they stand for.

    Equal values get equal placeholders, and none is made that the text holds already. `restore(text, mapping)` turns
    them back, also in another text. Options as for `find_pii`.
    """
    finder = _finder("redact", _chosen(kinds, "redact"), _allowed(allow, "redact"))
    if not isinstance(text, str):
        raise UsageError(f"redact takes a text; got {brief(text)}")
    redaction = Redaction(finder, [text])
    return Redacted(redaction(text), redaction.mapping)


@factory
def no_pii(
    *fields: str,
    kinds: Iterable[str] = USUAL,
    allow: Iterable[str] = (),
    on_fail: Policy | str = "raise",
    each: bool = False,
) -> Check:
    """Passes when the fields hold no personal data; `kinds` and `allow` as for `find_pii`.

    Its fix puts placeholders. On inputs (`on_fail="fix"`) the model sees only these, the same for equal values of all
    the fields, and the outputs get the values back; on outputs the placeholders stay. Neither message nor result
    holds what was found.
    """
    chosen, stand = _chosen(kinds, "no_pii"), _allowed(allow, "no_pii")
    find = _finder("no_pii", chosen, stand)
    return found_none("no_pii", fields, find, _told, on_fail=on_fail, each=each, kinds=chosen, allow=stand)


def _told(where: str, counts: Counter[str]) -> str:
    parts = [f"{number} {_KINDS[kind][1]}" for kind, number in counts.items()]
    return f"personal data in {where} ({', '.join(parts)}); leave it out"


def _finder(subject: str, kinds: tuple[str, ...], allow: tuple[str, ...]) -> Finder:
    def places(text: str) -> Iterator[Place]:
        numbers = _SIX_DIGITS.search(text) is not None
        for kind in kinds:
            for start, end in _KINDS[kind][0](text) if numbers or kind not in _NUMBERS else ():
                yield start, end, kind

    def may_stand(value: str) -> bool:
        value = value.casefold()
        return value in allow or ("@" in value and value[value.rindex("@") :] in allow)

    return Finder(subject, places, may_stand)


def _chosen(kinds: Iterable[str], subject: str) -> tuple[str, ...]:
    given = (kinds,) if isinstance(kinds, str) else tuple(kinds)
    for kind in given:
        if kind not in _KINDS:
            near = did_you_mean(kind, _KINDS) if isinstance(kind, str) else ""
            raise UsageError(f"{subject}: kinds are of {', '.join(_KINDS)}; got {brief(kind)}.{near}")
    if not given:
        raise UsageError(f"{subject}: no kinds to look for; leave kinds out for the usual ones")
    return tuple(kind for kind in _KINDS if kind in given)


def _allowed(allow: Iterable[str], subject: str) -> tuple[str, ...]:
    return tuple(sorted({plain(value).text.casefold() for value in allowed(subject, allow)}))

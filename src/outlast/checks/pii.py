"""Personal data in texts: found, checked for, put away and brought back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from outlast.checks import pii_ids, pii_kinds
from outlast.checks.check import Check, CheckResult, Found, built
from outlast.checks.pii_phone import phones
from outlast.checks.policy import Policy
from outlast.checks.redaction import Redacted, Redaction
from outlast.checks.texts import Unfit, plain, texts_in, with_texts
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
PII_KINDS = tuple(_KINDS)
USUAL = tuple(kind for kind in _KINDS if kind not in ("url", "crypto"))


def find_pii(text: str, kinds: Iterable[str] = USUAL, *, allow: Iterable[str] = ()) -> tuple[Found, ...]:
    """Where a text holds personal data, in order, without overlaps; `Found.text` stays empty, for results are logged.

    `kinds`: of email, phone, card (check digit), iban (mod 97), ip, mac, ssn, national_id (13 countries, most with
    check digits), id_document, birth_date; url and crypto when named. Names and places are not found: that takes a
    model. Digits of every script, full-width letters and characters that nobody sees do not hide anything. `allow`
    are values that may stand, or "@example.com" for all addresses of a domain. Time: linear in the text; no LM call.
    """
    return _Finder(_chosen(kinds, "find_pii"), _allowed(allow, "find_pii"))(text)


def redact(text: str, kinds: Iterable[str] = USUAL, *, allow: Iterable[str] = ()) -> Redacted:
    """The text with placeholders such as `<EMAIL_1>` for personal data, and what they stand for.

    Equal values get equal placeholders, and none is made that the text holds already. `restore(text, mapping)` turns
    them back, also in another text. Options as for `find_pii`.
    """
    finder = _Finder(_chosen(kinds, "redact"), _allowed(allow, "redact"))
    if not isinstance(text, str):
        raise UsageError(f"redact(text) takes a text; got {brief(text)}")
    redaction = Redaction(finder, [text])
    return Redacted(redaction(text), redaction.mapping)


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
    chosen, allowed = _chosen(kinds, "no_pii"), _allowed(allow, "no_pii")
    return found_none("no_pii", fields, _Finder(chosen, allowed), _told, on_fail, each, kinds=chosen, allow=allowed)


def found_none(
    name: str,
    fields: tuple[str, ...],
    find: Callable[[str], tuple[Found, ...]],
    told: Callable[[str, Counter[str]], str],
    on_fail: Policy | str,
    each: bool,
    **options: Any,
) -> Check:
    """The check that `find` finds nothing in the texts of the fields; its fix puts placeholders there."""
    if not fields or not all(isinstance(field, str) and field for field in fields):
        raise UsageError(f"{name}(field, ...) takes names of fields; got {', '.join(map(brief, fields)) or 'none'}")

    def look(*values: Any) -> CheckResult:
        texts = [(field, *item) for field, value in zip(fields, values, strict=True)
                 for item in texts_in(field, value, name)]  # fmt: skip
        places = tuple(replace(item, field=place) for _, place, text in texts for item in find(text))
        if not places:
            return CheckResult(True)
        redaction = Redaction(find, [text for _, _, text in texts])
        touched = dict.fromkeys(field for field, _, text in texts if find(text))
        try:
            fix = {field: with_texts(values[fields.index(field)], redaction) for field in touched}
        except Unfit:
            fix = None
        message = told(", ".join(map(repr, touched)), Counter(place.kind for place in places))
        return CheckResult(False, message, found=places, fix=fix, undo=redaction.mapping if fix else None)

    return built(name, fields, look, on_fail=on_fail, each=each, **options)


def _told(where: str, counts: Counter[str]) -> str:
    parts = [f"{number} {_KINDS[kind][1]}" for kind, number in counts.items()]
    return f"personal data in {where} ({', '.join(parts)}); leave it out"


class _Finder:
    def __init__(self, kinds: tuple[str, ...], allow: tuple[str, ...]) -> None:
        self._kinds = kinds
        self._allow = frozenset(allow)

    def __call__(self, text: str) -> tuple[Found, ...]:
        if not isinstance(text, str):
            raise UsageError(f"personal data is looked for in a text; got {brief(text)}")
        seen = plain(text)
        kept: list[tuple[int, int, str]] = []
        taken = bytearray(len(seen.text))
        for kind in self._kinds:
            for start, end in _KINDS[kind][0](seen.text):
                if not any(taken[start:end]):
                    taken[start:end] = b"\x01" * (end - start)
                    if not self._may_stand(seen.text[start:end]):
                        kept.append((start, end, kind))
        return tuple(Found("", *seen.place(start, end), kind) for start, end, kind in sorted(kept))

    def _may_stand(self, value: str) -> bool:
        if not self._allow:
            return False
        value = value.casefold()
        return value in self._allow or value[value.find("@") :] in self._allow


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
    given = (allow,) if isinstance(allow, str) else tuple(allow)
    for value in given:
        if not isinstance(value, str) or not value.strip():
            raise UsageError(f"{subject}: allow holds values that may stand, or '@domain'; got {brief(value)}")
    return tuple(sorted({plain(value).text.casefold() for value in given}))

"""What e-mail addresses, cards, accounts, network addresses and dates of birth look like, and the sums that they bear.

Every recogniser takes plain text (`texts.plain`) and gives the places of what it finds, in time linear in the text.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from hashlib import sha256

Place = tuple[int, int]

_AT = re.compile(r"(?<=[\w+%'*/=?^`{|}~-])@(?:[^\W_][\w-]{0,62}\.){1,8}(?:[^\W\d_]{2,24}|xn--[a-z0-9-]{2,59})(?![\w@])")
_LOCAL = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]{1,64}\Z")
_SPELLED_OUT = re.compile(
    r"(?<![\w.+-])[\w.+-]{1,64} ?[\[({]at[\])}] ?"
    r"(?:[^\W_][\w-]{0,62}(?:\.| ?[\[({]dot[\])}] ?)){1,8}[^\W\d_]{2,24}(?!\w)",
    re.IGNORECASE,
)
_CARD = re.compile(
    r"(?<![0-9A-Za-z])(?<!\d[.,])"
    r"(?:\d{12,19}|\d{4}([ -])\d{4}\1\d{4}\1\d{4}((?:\1|[ ])\d{1,3})?|\d{4}([ -])\d{6}\3\d{4,5}"
    r"|\d(?:[ .-]\d){11,18})(?![0-9A-Za-z]|[.,]\d)"
)
_CARD_WORDS = re.compile(
    r"card|credit|debit|\bcc\b|visa|maestro|amex|payment|\bpan\b|cvv|kart|carte|tarjeta", re.IGNORECASE
)
_IBAN = re.compile(r"(?<![^\W_])[A-Za-z]{2}\d{2}(?=[ -]?[A-Za-z0-9]{2})")
_IBAN_LENGTHS = {
    code: int(length)
    for code, length in re.findall(
        r"([A-Z]{2})(\d\d)",
        "AD24AE23AL28AT20AZ28BA20BE16BG22BH22BR29BY28CH21CR22CY28CZ24DE22DK18DO28EE20EG29ES24FI18FK18FO18FR27GB22"
        "GE22GI23GL18GR27GT28HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32LI21LT20LU20LV21LY25MC27MD24ME22MK19"
        "MN20MR27MT31MU30NI28NL18NO15OM23PK24PL28PS29PT25QA29RO24RS22RU33SA24SC31SD18SE24SI19SK24SM27SO23ST25SV28"
        "TL23TN24TR26UA29VA22VG24XK20YE30",
    )
}
_IPV4 = re.compile(r"(?<![\w.])(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?:25[0-5]|2[0-4]\d|1?\d?\d)){3}(?![\w-]|\.\d)")
_IPV6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:]{1,34}(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9A-Fa-f:])(?![\w:])")
_NO_ADDRESS = re.compile(
    r"(?:\bv|version|release|build|section|sec\.|chapter|rev\.?|\boid|\bec)\W{0,3}\Z", re.IGNORECASE
)
_MAC = re.compile(
    r"(?<![0-9A-Za-z:.-])(?:[0-9A-Fa-f]{2}([:-])(?:[0-9A-Fa-f]{2}\1){4}[0-9A-Fa-f]{2}"
    r"|[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4})(?![0-9A-Za-z:-])"
)
_MONTH = (
    r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|janvier|février|fevrier|mars|avril|mai|juin|juillet|août"
    r"|januar|februar|märz|juni|juli|oktober|dezember|enero|febrero|marzo|abril|mayo|junio|julio|agosto|septiembre"
    r"|octubre|noviembre|diciembre|gennaio|febbraio|aprile|maggio|giugno|luglio|settembre|ottobre|dicembre)[a-z]{0,6}"
)
_BIRTH = re.compile(
    r"\bborn\b|\bbirth[ -]?(?:day|date)|date[ -]of[ -]birth|\bd\.?o\.?b\b|\bgeb(?:oren|\.)|geburts(?:tag|datum)"
    r"|\bn[ée]e?\s+le\b|date de naissance|\bnacid[oa]\b|fecha de nacimiento|data di nascita"
    r"|geboortedatum|\bnascid[oa]\b|data de nascimento",
    re.IGNORECASE,
)
_BIRTHS = ("born", "birth", "d.o", "dob", "do.b", "geb", "né", "ne ", "nee", "naissance", "nacid", "nacim", "nascid",
           "nascim", "nascita")  # fmt: skip
_DIGIT = re.compile(r"\d")
_DAY = re.compile(
    r"(?<!\d)(?:\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/. ]\d{1,2}[-/. ](?:\d{4}|\d{2})"
    rf"|\d{{1,2}}(?:st|nd|rd|th|\.)?[ ]?(?:of )?(?:de )?{_MONTH}\.?,?[ ](?:de )?\d{{4}}"
    rf"|{_MONTH}\.?[ ]\d{{1,2}}(?:st|nd|rd|th)?,?[ ]\d{{4}})(?!\d)",
    re.IGNORECASE,
)
_URL = re.compile(r"(?<!\w)(?:https?://|ftp://|www\.)[^\s<>\"'`{}|\\^\[\]]{3,2000}", re.IGNORECASE)
_BITCOIN = re.compile(r"(?<![0-9A-Za-z])(?:[13][1-9A-HJ-NP-Za-km-z]{25,34}|bc1[02-9ac-hj-np-z]{11,71})(?![0-9A-Za-z])")
_ETHEREUM = re.compile(r"(?<![0-9A-Za-z])0x[0-9a-fA-F]{40}(?![0-9A-Za-z])")
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of ISO/IEC 7812-1, annex B."""
    total = 0
    for number, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + number % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def emails(text: str) -> Iterator[Place]:
    """Addresses with a domain that has a dot; letters of every script; also `ann [at] example [dot] com`."""
    for found in _SPELLED_OUT.finditer(text):
        yield found.span()
    for found in _AT.finditer(text):
        local = _LOCAL.search(text, max(0, found.start() - 64), found.start())
        if local is not None:
            lead = len(local[0]) - len(local[0].lstrip("./=?!'`{|}*#&^"))
            if lead < len(local[0]):
                yield local.start() + lead, found.end()


def cards(text: str) -> Iterator[Place]:
    """Numbers of payment cards: an issuer's prefix, its lengths and the check digit; 12 and 13 digits near a word of
    cards only, for they are the lengths of other numbers."""
    for found in _CARD.finditer(text):
        ends = [found.end()] if found[2] is None else [found.end(), found.start(2)]  # what follows may be its expiry
        for end in ends:
            sure = _issued("".join(filter(str.isdigit, text[found.start() : end])))
            if sure or (sure is False and _CARD_WORDS.search(text, max(0, found.start() - 60), end + 30)):
                yield found.start(), end
                break


def _issued(digits: str) -> bool | None:
    """Whether an issuer gives such numbers; None for no, False when other numbers often look the same."""
    return _prefixed(digits) if luhn(digits) else None


def _prefixed(digits: str) -> bool | None:
    size, four = len(digits), int(digits[:4])
    if digits[0] == "4":
        return {13: False, 16: True, 19: True}.get(size)
    if size == 16 and (5100 <= four <= 5599 or 2221 <= four <= 2720 or 3528 <= four <= 3589 or four // 100 == 35):
        return True
    if size == 15:
        return True if four // 100 in (34, 37) else False if four in (2131, 1800) else None
    if size == 14:
        return True if 3000 <= four <= 3059 or four // 100 in (36, 38, 39) else None
    if four // 100 in (60, 62, 64, 65, 81):
        return size >= 16
    return size >= 16 if four // 100 == 50 or four // 1000 in (5, 6) or four == 604 else None


def ibans(text: str) -> Iterator[Place]:
    """International bank account numbers of the length of their country whose check digits fit (ISO 13616)."""
    end = 0
    for found in _IBAN.finditer(text):
        length = _IBAN_LENGTHS.get(found[0][:2].upper())
        if length is None or found.start() < end:
            continue
        place, taken = found.start(), list[str]()
        while place < len(text) and len(taken) < length:
            character = text[place]
            if character.isascii() and character.isalnum():
                taken.append(character)
            elif character not in " -" or text[place - 1] in " -":
                break
            place += 1
        if len(taken) < length or text[place : place + 1].isalnum():
            continue
        if int("".join(str(int(character, 36)) for character in taken[4:] + taken[:4])) % 97 == 1:
            end = place
            yield found.start(), place


def ips(text: str) -> Iterator[Place]:
    """Addresses of machines, without those that mean this machine or none, and without version numbers."""
    if "." in text:
        for found in _IPV4.finditer(text):
            if not _NO_ADDRESS.search(text, max(0, found.start() - 12), found.start()) and _tells(found[0]):
                yield found.span()
    if ":" in text:
        for found in _IPV6.finditer(text):
            if found[0].count(":") >= 2 and _tells(found[0]):
                yield found.span()


def _tells(written: str) -> bool:
    try:
        address = ipaddress.ip_address(written)
    except ValueError:
        return False
    if address.is_loopback or address.is_unspecified:
        return False
    if address.version == 4:
        return not (address.is_multicast or written.startswith("0."))
    first = int(written.split(":")[0] or "0", 16)  # `a::b` is an address too, and a name in many languages
    return written.count(":") == 7 or 0x2000 <= first <= 0x3FFF or 0xFC00 <= first <= 0xFEBF or "." in written


def macs(text: str) -> Iterator[Place]:
    """Addresses of network cards."""
    for found in _MAC.finditer(text):
        if len(set(found[0].lower()) - set(":-.")) > 1:
            yield found.span()


def births(text: str) -> Iterator[Place]:
    """Whole dates that are said to be someone's birth."""
    small = text.lower()
    if not any(word in small for word in _BIRTHS):
        return
    end = 0
    for said in _BIRTH.finditer(text):
        last = said.end() + 60
        if said.end() >= end and _DIGIT.search(text, said.end(), last):
            day = _DAY.search(text, said.end(), last)
            if day is not None and day.start() <= said.end() + 30:
                end = day.end()
                yield day.span()


def urls(text: str) -> Iterator[Place]:
    """Web addresses."""
    for found in _URL.finditer(text):
        written = found[0].rstrip(".,;:!?)'*_")
        if "." in written or "://" in written:
            yield found.start(), found.start() + len(written)


def wallets(text: str) -> Iterator[Place]:
    """Bitcoin addresses whose check sum fits, and what has the form of an Ethereum address (its sum is not checked)."""
    for found in _BITCOIN.finditer(text):
        if _bech32(found[0]) if found[0].startswith("bc1") else _base58(found[0]):
            yield found.span()
    for found in _ETHEREUM.finditer(text):
        yield found.span()


def _base58(written: str) -> bool:
    number = 0
    for character in written:
        number = number * 58 + _BASE58.index(character)
    try:
        raw = number.to_bytes(25, "big")
    except OverflowError:
        return False
    return sha256(sha256(raw[:-4]).digest()).digest()[:4] == raw[-4:]


def _bech32(written: str) -> bool:
    """BIP 173 and, for version 1 and up, BIP 350."""
    values = [3, 3, 0, 2, 3] + [_BECH32.index(character) for character in written[3:]]
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit, constant in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            if top >> bit & 1:
                check ^= constant
    return check in (1, 0x2BC830A3)

"""Keys, tokens and passwords in texts: found by the forms that providers give them and by the words before them."""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator

from outlast.checks.check import Check, Found
from outlast.checks.factory import factory
from outlast.checks.finding import Finder, Place, allowed, found_none
from outlast.checks.policy import Policy
from outlast.checks.secret_shapes import ADDRESS, HEADER, JWT, NAMED, SHAPES

_PLACEHOLDER = re.compile(
    r"(?:x{3,}|\*{2,}|\.{3}|[$%{<\[]|your|insert|enter|replace|example|sample|placeholder|redacted|dummy|fake|changeme?"
    r"|(?:todo|none|null|nil|true|false|undefined|password|passwd|pass|pwd|secret|user|username|token|some|foo|bar)"
    r"(?:[_.-]|\Z)|(?:os|process|env|config|settings|self|this|secrets|app|request|args|options|ctx|data|props|params"
    r"|vars?|credentials)[.\[])",
    re.IGNORECASE,
)
_WORDS = re.compile(
    r"(?:[A-Za-z]{2,}|[0-9]{1,4}|[A-Za-z]?[0-9]?)(?:[._/-](?:[A-Za-z]{2,}|[0-9]{1,4}|[A-Za-z]?[0-9]?))*"
)
_CONSTANT = re.compile(r"_*[A-Z][A-Z0-9]{0,20}(?:_[A-Z0-9]{1,20})+")
_TOKEN = re.compile(r"[A-Za-z0-9+/_.~=:-]{16,300}")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_LEAST_ENTROPY = 3.0  # bits a character; a random hex digit has 4, English text of this length about 3.5 with repeats


def find_secrets(text: str, *, allow: Iterable[str] = ()) -> tuple[Found, ...]:
    """Where a text holds secrets, in order, without overlaps; `Found.text` stays empty, for results are logged.

    Found are keys in the forms of some 45 providers, private keys, JSON web tokens whose header reads, passwords in
    addresses, `Bearer` and `Basic` credentials, and what is called a password, key, secret or token and looks random
    enough. Hashes, UUIDs and encoded images are left alone, as are values that stand for one (`YOUR_KEY`, `$TOKEN`).
    `allow` are values that may stand. Time: linear in the text; no LM call.
    """
    return _finder("find_secrets", allowed("find_secrets", allow))(text)


@factory
def no_secrets(*fields: str, allow: Iterable[str] = (), on_fail: Policy | str = "raise", each: bool = False) -> Check:
    """Passes when the fields hold no secrets, as `find_secrets` finds them. Its fix puts placeholders such as
    `<GITHUB_TOKEN_1>`; neither message nor result holds what was found."""
    stand = allowed("no_secrets", allow)
    return found_none(
        "no_secrets", fields, _finder("no_secrets", stand), _told, on_fail=on_fail, each=each, allow=stand
    )


def _told(where: str, counts: Counter[str]) -> str:
    parts = [f"{number} {kind.replace('_', ' ')}" for kind, number in counts.items()]
    return f"secrets in {where} ({', '.join(parts)}); leave them out"


def _finder(subject: str, allow: tuple[str, ...]) -> Finder:
    return Finder(subject, _places, frozenset(allow).__contains__)


def _places(text: str) -> Iterator[Place]:
    for kind, hint, pattern in SHAPES:
        if hint in text:
            for found in pattern.finditer(text):
                group = 1 if pattern.groups else 0
                if kind == "private_key" or _varied(found[group]):
                    yield *found.span(group), kind
    if "eyJ" in text:
        for found in JWT.finditer(text):
            if _is_header(found[1]):
                yield *found.span(), "jwt"
    if "://" in text:
        for found in ADDRESS.finditer(text):
            if not _PLACEHOLDER.match(found[1]):
                yield *found.span(1), "password"
    for found in HEADER.finditer(text):
        if _random(found[1]) and not _PLACEHOLDER.match(found[1]):
            yield *found.span(1), "credential"
    for found in NAMED.finditer(text):
        value = found["value"].rstrip(".,;:!?)]}|&")
        if _is_secret(found, value):
            yield found.start("value"), found.start("value") + len(value), "password" if found["pass"] else "key"


def _is_secret(found: re.Match[str], value: str) -> bool:
    """Whether what is called a password or a key looks like one, and not like code or words about it."""
    if (
        _PLACEHOLDER.match(value)
        or "(" in value
        or "[" in value
        or found["rest"].lower() in ("_id", "-id", "_name", "_url", "_uri")
    ):
        return False
    if found["pass"]:
        if _UUID.fullmatch(value) or not 6 <= len(value) <= 100 or "://" in value:
            return False
        letters = any(map(str.isalpha, value))
        marks = any(not character.isalnum() and character not in "_-.,/'" for character in value)
        return letters and (any(map(str.isdigit, value)) or (marks and found["mark"] != "is"))
    if not _TOKEN.fullmatch(value) or "://" in value or value.startswith("/"):
        return False
    if _UUID.fullmatch(value) and found["name"].lower().startswith("token"):
        return False
    return _random(value)


def _random(value: str) -> bool:
    """Whether a token has letters and digits in an order that no words have."""
    if _WORDS.fullmatch(value) or _CONSTANT.fullmatch(value):
        return False
    return any(map(str.isdigit, value)) and any(map(str.isalpha, value)) and _varied(value)


def _varied(value: str) -> bool:
    """Whether the characters are as varied as drawn ones; `xxxx` and `123123` are not."""
    size = len(value)
    return -sum(count / size * math.log2(count / size) for count in Counter(value).values()) >= _LEAST_ENTROPY


def _is_header(encoded: str) -> bool:
    try:
        header = json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return False
    return isinstance(header, dict) and "alg" in header

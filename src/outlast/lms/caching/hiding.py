"""Keeps secrets out of what is written down for others to read: recorded requests and replies."""

from __future__ import annotations

import functools
import json
import os
import re
from collections.abc import Mapping
from typing import Any, cast

from outlast.errors import ConfigError

_NAMES = re.compile(
    r".*(api[-_]?keys?|access[-_]?key|secret[-_]?key|private[-_]?key(?:[-_]?pem)?|authorization|password|passwd|pwd"
    r"|passphrase|secret|(?:access|auth|bearer|id|refresh|session)[-_]?token|cookie|credentials?)(?:[-_]?\d+)?",
    re.IGNORECASE,
)
_SHAPES = re.compile(
    r"\b(?:sk|pk|rk|gsk|xai|hf|glpat|gh[oprsu]|npm|r8|xapp|xox[abprs])[-_][A-Za-z0-9_-]{16,}"
    r"|\bgithub_pat_\w{20,}|\bAIza[\w-]{30,}|\bA[KS]IA[0-9A-Z]{16}\b|\bSG\.[\w-]{16,}\.[\w-]{16,}"
    r"|\b(?:Bearer\s+|bearer\s+(?=\S{0,300}\d))[A-Za-z0-9._~+/-]{16,}=*"
    r"|\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]*"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----(?:.*?-----END [A-Z ]*PRIVATE KEY-----|[A-Za-z0-9+/=\\\s]*)"
    r"|(?<=://)[^\s:@/\"']*:[^\s/\"']{3,}(?=@)",
    re.DOTALL,
)
_IN_ADDRESS = re.compile(
    r"([?&#;](?:[\w.-]{0,40}[-_.])?(?:key|token|secret|passw(?:or)?d|sig|signature)=)[^&#\s\"'<>)]{8,}", re.IGNORECASE
)
_VARIABLES = re.compile(r"(.*_)?(KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASS|PAT)|PGPASSWORD|APIKEY", re.IGNORECASE)
_HEADS = (
    *("sk", "pk", "rk", "xai", "hf", "glpat", "gho", "ghp", "ghr", "ghs", "ghu", "npm", "r8", "xapp"),
    *("xoxa", "xoxb", "xoxp", "xoxr", "xoxs", "pat"),
)
_HEAD = re.compile(rf"(?:\A|\W)(?:gsk|{'|'.join(_HEADS)})\Z")  # "gsk" ends like "sk"
_LEAST = 19  # characters of the shortest key
_SHORTEST = 8  # a shorter value of a variable is no secret, and may be a word
_PLAIN = frozenset((int, float, bool, type(None)))
HIDDEN = "[hidden]"


def known_secrets() -> dict[str, str]:
    """The values of environment variables that look like secrets, and the keys in the file of `outlast keys`, as they
    are and as JSON writes them, with what stands for each; the longest first, as one may begin like another."""
    found = {name: value for name, value in os.environ.items() if _VARIABLES.fullmatch(name)}
    known: dict[str, str] = {}
    for name, value in (*_kept().items(), *found.items()):
        if len(value) >= _SHORTEST:
            for form in (value, json.dumps(value, ensure_ascii=False)[1:-1], json.dumps(value)[1:-1]):
                known[form] = f"[{name}]"
    return longest_first(known)


def longest_first(known: Mapping[str, str]) -> dict[str, str]:
    """Secrets in the order in which they have to be looked for."""
    return dict(sorted(known.items(), key=lambda one: -len(one[0])))


def _kept() -> Mapping[str, str]:
    from outlast.lms.keys import read_keys

    try:
        return read_keys().keys
    except ConfigError:  # a file that is not read holds no key that is used
        return {}


def without_secrets(data: Any, known: Mapping[str, str]) -> Any:
    """JSON-ready data with what looks like a secret replaced: values under telling names ("api_key",
    "Authorization"), texts in `known`, texts of the shape of a key, and keys in addresses ("https://host/?api_key=...").

    The same data always gives the same, so that what was hidden when it was recorded is found again.
    """
    kind = cast("type[Any]", type(data))
    if kind is str:
        return hide_in_text(data, known)
    if kind in _PLAIN:
        return data
    if kind is dict or isinstance(data, Mapping):
        given = cast("Mapping[Any, Any]", data)
        kept = {
            hide_in_text(name, known) if isinstance(name, str) else name: HIDDEN
            if isinstance(name, str) and _is_telling(name) and _is_plain(value)
            else without_secrets(value, known)
            for name, value in given.items()
        }
        return kept if len(kept) == len(given) else _apart(given, known)
    if isinstance(data, list | tuple):
        return [without_secrets(value, known) for value in cast("list[Any]", data)]
    return hide_in_text(data, known) if isinstance(data, str) else data


def _apart(data: Mapping[Any, Any], known: Mapping[str, str]) -> dict[Any, Any]:
    """A mapping whose names are the same when they are hidden, with a number behind the later ones."""
    kept: dict[Any, Any] = {}
    for name, value in data.items():
        [(shown, held)] = without_secrets({name: value}, known).items()
        number = 2
        while shown in kept:
            shown, number = f"{str(shown).removesuffix(f' {number - 1}')} {number}", number + 1
        kept[shown] = held
    return kept


@functools.lru_cache(maxsize=4096)
def _is_telling(name: str) -> bool:
    """Whether what stands under a name is a secret."""
    return _NAMES.fullmatch(name) is not None


def _is_plain(value: Any) -> bool:
    """Whether a value may be a secret as a whole: not an object, such as the schema of a field named "password"."""
    if isinstance(value, list | tuple):
        listed = cast("list[Any]", value)
        return bool(listed) and all(_is_plain(one) for one in listed)
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def hide_in_text(text: str, known: Mapping[str, str]) -> str:
    """The text with known secrets and texts of the shape of a key replaced."""
    for value, sign in known.items():
        if value in text:
            text = text.replace(value, sign)
    if "=" in text and "://" in text:
        text = _IN_ADDRESS.sub(rf"\1{HIDDEN}", text)
    return _SHAPES.sub(HIDDEN, text) if _may_fit(text) else text


def _may_fit(text: str) -> bool:
    """Whether `_SHAPES` may find something, told from single letters: a fiftieth of the time that the pattern takes."""
    if "@" in text and "://" in text:
        return True
    if len(text) < _LEAST:
        return False
    if "A" in text and ("AKIA" in text or "ASIA" in text or "AIza" in text):
        return True
    if "earer" in text or ("S" in text and "SG." in text) or ("J" in text and "eyJ" in text):
        return True
    if "_" in text:
        text = text.replace("_", "-")
    if "-" not in text:
        return False
    if "-----BEGIN" in text:
        return True
    parts = text.split("-")
    del parts[-1]
    return any(part.endswith(_HEADS) and _HEAD.search(part[-8:]) for part in parts)

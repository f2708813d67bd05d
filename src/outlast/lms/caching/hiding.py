"""Keeps secrets out of what is written down for others to read: recorded requests and replies."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from typing import Any, cast

from outlast.errors import ConfigError

_NAMES = re.compile(
    r".*(api[-_]?key|authorization|password|passwd|secret|access[-_]?token|auth[-_]?token|private[-_]?key|cookie"
    r"|credentials?)",
    re.IGNORECASE,
)
_SHAPES = re.compile(
    r"\b(?:sk|pk|rk|gsk|xai|hf|glpat|ghp|gho|ghs|xox[abps])[-_][A-Za-z0-9_-]{16,}"
    r"|\bgithub_pat_\w{20,}|\bAIza[\w-]{30,}|\bAKIA[0-9A-Z]{16}\b"
    r"|\bBearer [A-Za-z0-9._~+/-]{16,}=*"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----"
    r"|(?<=://)[^\s:@/\"']+:[^\s:@/\"']{3,}(?=@)",
    re.DOTALL,
)
_VARIABLES = re.compile(r"(.*_)?(KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASS|PAT)|PGPASSWORD|APIKEY", re.IGNORECASE)
_SIGNS = (
    *(f"{head}{sign}" for head in ("sk", "pk", "rk", "xai", "hf", "glpat", "ghp", "gho", "ghs") for sign in "-_"),
    *("xox", "github_pat_", "AIza", "AKIA", "Bearer ", "-----BEGIN", "://"),  # "gsk" holds "sk"
)  # one of them is in every text that `_SHAPES` finds something in
_WORDS = (
    *("authorization", "passw", "secret", "cookie", "credential"),
    *(
        f"{word}{sign}{end}"
        for word, end in (("api", "key"), ("access", "token"), ("auth", "token"), ("private", "key"))
        for sign in ("", "-", "_")
    ),
)  # one of them is in every name that `_NAMES` fits
_SHORTEST = 8  # a shorter value of a variable is no secret, and may be a word
HIDDEN = "[hidden]"


def known_secrets() -> dict[str, str]:
    """The values of environment variables that look like secrets, and the keys in the file of `outlast keys`, with what
    stands for each."""
    found = {name: value for name, value in os.environ.items() if _VARIABLES.fullmatch(name)}
    return {value: f"[{name}]" for name, value in (*_kept().items(), *found.items()) if len(value) >= _SHORTEST}


def _kept() -> Mapping[str, str]:
    from outlast.lms.keys import read_keys

    try:
        return read_keys().keys
    except ConfigError:  # a file that is not read holds no key that is used
        return {}


def without_secrets(data: Any, known: Mapping[str, str]) -> Any:
    """JSON-ready data with what looks like a secret replaced: values under telling names ("api_key",
    "Authorization"), texts in `known`, and texts of the shape of a key.

    The same data always gives the same, so that what was hidden when it was recorded is found again.
    """
    if isinstance(data, str):
        return hide_in_text(data, known)
    if isinstance(data, Mapping):
        entries = cast("Mapping[Any, Any]", data).items()
        return {
            hide_in_text(name, known) if isinstance(name, str) else name: HIDDEN
            if isinstance(name, str) and _is_plain(value) and _NAMES.fullmatch(name)
            else without_secrets(value, known)
            for name, value in entries
        }
    if isinstance(data, list | tuple):
        return [without_secrets(value, known) for value in cast("list[Any]", data)]
    return data


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
    for sign in _SIGNS:  # a fifth of the time that the pattern takes, and nearly always enough
        if sign in text:
            return _SHAPES.sub(HIDDEN, text)
    return text


def may_hold_secrets(text: str, known: Mapping[str, str]) -> bool:
    """False for the JSON text of data that `without_secrets` would not change: a quick look before a thorough one."""
    for sign in _SIGNS:
        if sign in text:
            return True
    small = text.lower()
    for word in _WORDS:
        if word in small:
            return True
    return any(value in text or json.dumps(value, ensure_ascii=False)[1:-1] in text for value in known)

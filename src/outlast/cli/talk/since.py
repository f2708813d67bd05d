"""Times as people write them: "2 days", "90m", "yesterday", "2026-11-29", "2026-11-29 14:30"."""

from __future__ import annotations

import re
import time
from datetime import datetime, timedelta

from outlast.errors import UsageError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800, "y": 31_557_600}
_WORDS = {
    "s": ("s", "sec", "secs", "second", "seconds"),
    "m": ("m", "min", "mins", "minute", "minutes"),
    "h": ("h", "hour", "hours"),
    "d": ("d", "day", "days"),
    "w": ("w", "week", "weeks"),
    "y": ("y", "year", "years"),
}
_LETTERS = {word: letter for letter, words in _WORDS.items() for word in words}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)")


def span_of(text: str) -> float:
    """A length of time in seconds: "30d", "2 days", "1h30m". Raises `UsageError`."""
    said = text.strip().lower().removesuffix("ago").strip()
    total, at = 0.0, 0
    for match in _SPAN.finditer(said):
        if said[at : match.start()].strip(" ,") or match[2] not in _LETTERS:
            break
        total += float(match[1]) * _UNITS[_LETTERS[match[2]]]
        at = match.end()
    if not at or said[at:].strip():
        raise UsageError(f"a length of time is a number and s, m, h, d, w or y, such as 30d or '2 hours'; got {text!r}")
    return total


def moment_of(text: str, now: float | None = None) -> float:
    """A moment in seconds since 1970: so long ago, "today", "yesterday", or a date and time in local time unless it
    names a zone. Raises `UsageError`."""
    current = time.time() if now is None else now
    said = text.strip().lower()
    if said in ("today", "yesterday"):
        midnight = datetime.fromtimestamp(current).replace(hour=0, minute=0, second=0, microsecond=0)
        return (midnight - timedelta(days=said == "yesterday")).timestamp()
    try:
        return datetime.fromisoformat(text.strip()).timestamp()
    except (ValueError, OverflowError, OSError):
        pass
    try:
        return current - span_of(text)
    except UsageError:
        raise UsageError(
            f"a time is '2 days', '90m', 'today', 'yesterday', or a date such as 2026-11-29 or 2026-11-29T14:30; "
            f"got {text!r}"
        ) from None

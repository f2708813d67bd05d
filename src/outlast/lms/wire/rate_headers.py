"""What a provider's headers say of its rate limits: pure functions from headers to numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime

from outlast.messages import RateState, RateStates

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_NAMES = {
    kind: tuple(
        tuple(form.format(what=what, kind=kind) for what in ("limit", "remaining", "reset"))
        for form in ("x-ratelimit-{what}-{kind}", "anthropic-ratelimit-{kind}-{what}")
    )
    for kind in ("requests", "tokens")
}


_UNTOLD = RateState()


def rate_states(headers: Mapping[str, str], now: float) -> RateStates | None:
    """The limits that a reply tells of, None when it tells of none. Header names are in lower case.

    OpenAI's `x-ratelimit-limit-requests` family (also Groq, Mistral, Azure, OpenRouter), and
    `anthropic-ratelimit-requests-limit` and its kin; `now` is the time in seconds since 1970, with which dates are
    compared. What cannot be read is taken as not told.
    """
    if not any("ratelimit" in name for name in headers):
        return None
    states = RateStates(_state(headers, "requests", now), _state(headers, "tokens", now))
    return None if states == (_UNTOLD, _UNTOLD) else states


def _state(headers: Mapping[str, str], kind: str, now: float) -> RateState:
    for limit, remaining, reset in _NAMES[kind]:
        state = RateState(
            _number(headers.get(limit)), _number(headers.get(remaining)), seconds_until(headers.get(reset), now)
        )
        if state != _UNTOLD:
            return state
    return _UNTOLD


def seconds_until(value: str | None, now: float) -> float | None:
    """A time to wait: seconds ("1.5"), a duration ("6m0s", "120ms") or a date (RFC 3339). Never negative."""
    if not value:
        return None
    number = _number(value)
    if number is not None:
        return number
    parts = _DURATION.findall(value)
    if parts and "".join(amount + unit for amount, unit in parts) == value:
        return sum(float(amount) * _UNITS[unit] for amount, unit in parts)
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return None if moment.tzinfo is None else max(0.0, moment.timestamp() - now)


def _number(value: str | None) -> float | None:
    if not value:
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None

"""What a provider tells of its rate limits with a reply."""

from __future__ import annotations

from typing import NamedTuple


class RateState(NamedTuple):
    """One limit: so much in all, so much left, all of it back in `reset` seconds. None: not told."""

    limit: float | None = None
    remaining: float | None = None
    reset: float | None = None


class RateStates(NamedTuple):
    """The limits on requests and on tokens."""

    requests: RateState = RateState()
    tokens: RateState = RateState()

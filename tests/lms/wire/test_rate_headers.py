"""Rate limits as providers tell them: header names, durations, dates, and nonsense."""

from __future__ import annotations

import pytest

from outlast.lms.wire.rate_headers import rate_states, seconds_until
from outlast.messages import RateState, RateStates

NOW = 1_790_000_000.0


def test_the_headers_of_openai():
    told = rate_states(
        {
            "x-ratelimit-limit-requests": "500",
            "x-ratelimit-limit-tokens": "200000",
            "x-ratelimit-remaining-requests": "499",
            "x-ratelimit-remaining-tokens": "199000",
            "x-ratelimit-reset-requests": "120ms",
            "x-ratelimit-reset-tokens": "6m0s",
            "content-type": "application/json",
        },
        NOW,
    )
    assert told == RateStates(RateState(500, 499, 0.12), RateState(200_000, 199_000, 360))


def test_the_headers_of_anthropic():
    told = rate_states(
        {
            "anthropic-ratelimit-requests-limit": "50",
            "anthropic-ratelimit-requests-remaining": "0",
            "anthropic-ratelimit-requests-reset": "2026-09-21T14:14:20Z",
            "anthropic-ratelimit-tokens-limit": "80000",
        },
        1_790_000_000.0,
    )
    assert told is not None
    assert told.requests == RateState(50, 0, pytest.approx(60.0))
    assert told.tokens == RateState(80_000, None, None)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("1", 1.0),
        ("0.5", 0.5),
        ("1s", 1.0),
        ("2m59.56s", 179.56),
        ("1h2m3s", 3723.0),
        ("1d", 86400.0),
        ("7ms", 0.007),
        ("2026-09-21T14:13:21+00:00", 1.0),
        ("2026-09-21T14:13:19Z", 0.0),
    ],
)
def test_times_to_wait(value, seconds):
    assert seconds_until(value, NOW) == pytest.approx(seconds)


@pytest.mark.parametrize("value", [None, "", "soon", "-1", "nan", "inf", "6x", "1s!", "2026-09-21T14:13:21", "1e999"])
def test_what_cannot_be_read_is_not_told(value):
    assert seconds_until(value, NOW) is None
    headers = {} if value is None else {"x-ratelimit-limit-requests": value}
    assert rate_states(headers, NOW) is None


def test_a_reply_without_such_headers_tells_nothing():
    assert rate_states({"content-type": "application/json", "x-request-id": "r"}, NOW) is None

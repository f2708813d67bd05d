"""Times as people write them."""

from __future__ import annotations

from datetime import datetime

import pytest

from outlast.cli.talk.since import moment_of, span_of
from outlast.errors import UsageError

NOW = datetime(2026, 11, 29, 19, 0).timestamp()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30d", 2_592_000),
        ("2 days", 172_800),
        ("1 day ago", 86_400),
        ("90m", 5_400),
        ("1h30m", 5_400),
        ("1 week, 2 days", 777_600),
        ("0.5 hours", 1_800),
        ("10s", 10),
        ("1 YEAR", 31_557_600),
    ],
)
def test_lengths(text, seconds) -> None:
    assert span_of(text) == seconds
    assert moment_of(text, NOW) == NOW - seconds


@pytest.mark.parametrize("text", ["", "d", "5", "5 months", "-3d", "3d x", "x 3d", "1h;2m"])
def test_what_is_no_length(text) -> None:
    with pytest.raises(UsageError, match="a length of time"):
        span_of(text)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-28", datetime(2026, 11, 28)),
        ("2026-11-28T14:30", datetime(2026, 11, 28, 14, 30)),
        ("2026-11-28 14:30:05", datetime(2026, 11, 28, 14, 30, 5)),
        ("2026-11-28T14:30:00+00:00", datetime.fromisoformat("2026-11-28T14:30:00+00:00")),
        ("today", datetime(2026, 11, 29)),
        ("Yesterday", datetime(2026, 11, 28)),
    ],
)
def test_moments(text, moment) -> None:
    assert moment_of(text, NOW) == moment.timestamp()


def test_what_is_no_moment() -> None:
    for text in ("tomorrow", "2026-13-01", ""):
        with pytest.raises(UsageError, match="a time is"):
            moment_of(text, NOW)

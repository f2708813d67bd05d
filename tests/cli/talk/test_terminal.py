"""What a model says cannot act on the terminal that shows it."""

from __future__ import annotations

import pytest

from outlast.cli.talk.terminal import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\n\ttext", "plain\n\ttext"),
        ("größe 日本 👩‍🚀 می‌خواهم", "größe 日本 👩‍🚀 می‌خواهم"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("over\rwritten", "over\\rwritten"),
        ("a\r\nb", "a\nb"),
        ("abc\u202edcba", "abc\\u202edcba"),
        ("a\u2066b\u2028c", "a\\u2066b\\u2028c"),
        ("\x00\x08", "\\x00\\x08"),
        ("\ud800", "\\ud800"),
    ],
)
def test_only_letters_line_ends_and_tabs_reach_it(text: str, shown: str) -> None:
    assert printable(text) == shown

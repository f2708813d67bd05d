"""What a model says cannot act on the terminal that shows it."""

from __future__ import annotations

import io
import sys
from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest

from outlast.cli.talk.terminal import print_stream, printable
from outlast.lms.events import Events
from outlast.messages import Request, Response, StreamEvent, TextDelta, user
from outlast.testing import ScriptedLM


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


class Terminal(io.StringIO):
    """A terminal that keeps what it is sent."""

    def isatty(self) -> bool:
        return True


def streamed(monkeypatch: pytest.MonkeyPatch, response: Response, *, terminal: bool = True) -> tuple[str, str]:
    """What a streamed reply writes to stdout and stderr."""
    out, err = (Terminal(), Terminal()) if terminal else (io.StringIO(), io.StringIO())
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    assert print_stream(ScriptedLM([response], piece=3).events("hi")) == replace(response, model="scripted")
    return out.getvalue(), err.getvalue()


def test_a_reply_is_shown_as_it_comes_after_its_reasoning(monkeypatch) -> None:
    out, err = streamed(monkeypatch, Response("an \x1b[1manswer", reasoning="hm\x07m"))
    assert out == "an \\x1b[1manswer\n"
    assert err == "\x1b[2mhm\\x07m\x1b[0m\n\n"


def test_a_pipe_gets_the_reply_as_it_is_and_no_reasoning(monkeypatch) -> None:
    out, err = streamed(monkeypatch, Response("an \x1b[1manswer\n", reasoning="hm"), terminal=False)
    assert (out, err) == ("an \x1b[1manswer\n", "")


def test_a_reply_that_breaks_off_ends_the_line_and_the_dim_letters(monkeypatch) -> None:
    out, err = Terminal(), Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    lm = ScriptedLM([Response("an answer", reasoning="hm")], piece=3)
    with pytest.raises(KeyboardInterrupt):
        print_stream(Events(lambda: breaking(lm)))
    assert out.getvalue() == "an \n"
    assert err.getvalue() == "\x1b[2mhm\x1b[0m\n\n"


async def breaking(lm: ScriptedLM) -> AsyncGenerator[StreamEvent]:
    """The reply of a model up to its first words, when somebody presses Ctrl-C."""
    async for event in lm.stream(Request((user("hi"),))):
        yield event
        if isinstance(event, TextDelta):
            raise KeyboardInterrupt

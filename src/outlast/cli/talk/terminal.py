"""What models say, shown at a terminal or written to a pipe."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Callable
from typing import TYPE_CHECKING

from outlast.cli.output import stdout

if TYPE_CHECKING:
    from outlast.lms.events import Events
    from outlast.messages import Response

_KEPT = "\n\t\u200c\u200d"  # the last two join letters and emoji
_HIDDEN = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))


def printable(text: str) -> str:
    """A text in which nothing acts on a terminal or turns its letters round: such characters become escapes."""
    if text.isascii() and text.replace("\n", "").isprintable():
        return text
    return "".join(map(_safe, text.replace("\r\n", "\n")))


def _safe(char: str) -> str:
    if char in _KEPT or char.isprintable() or unicodedata.category(char) not in _HIDDEN:
        return char
    return char.encode("unicode_escape").decode()


def at_terminal() -> bool:
    """Whether a person sees what is printed."""
    return stdout().isatty()


def shown(text: str) -> str:
    """A text as it goes to stdout: as it is into a pipe, harmless at a terminal."""
    return printable(text) if at_terminal() else text


def print_stream(events: Events, *, thoughts: bool = True) -> Response:
    """Print a reply as it comes, its reasoning dim on stderr before it; gives the whole. Raises what asking raises.

    Left by an exception, such as that of Ctrl-C, it ends the line and gives the call up.
    """
    from outlast.messages import Finished, TextDelta, ThoughtDelta

    write = _writer()
    thinking = False
    response: Response | None = None
    said = ""
    try:
        with events:
            for event in events:
                if isinstance(event, ThoughtDelta) and thoughts and sys.stderr.isatty():
                    sys.stderr.write(("" if thinking else "\x1b[2m") + printable(event.text))
                    sys.stderr.flush()
                    thinking = True
                elif isinstance(event, TextDelta):
                    thinking = _think_no_more(thinking)
                    write(event.text)
                    said += event.text
                elif isinstance(event, Finished):
                    response = event.response
    finally:
        _think_no_more(thinking)
        if said and not said.endswith("\n"):
            write("\n")
    assert response is not None  # a stream ends with `Finished` or raises
    if not said and response.text:
        write(response.text + "\n")
    return response


def _think_no_more(thinking: bool) -> bool:
    if thinking:
        sys.stderr.write("\x1b[0m\n\n")
        sys.stderr.flush()
    return False


def _writer() -> Callable[[str], None]:
    out = stdout()

    def write(text: str) -> None:
        out.write(shown(text))
        out.flush()

    return write

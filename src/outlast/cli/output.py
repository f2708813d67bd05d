"""What goes where: results on stdout, everything else on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Generator
from contextlib import contextmanager, redirect_stdout
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, TextIO, cast

if TYPE_CHECKING:
    from rich.console import Console

_results: TextIO | None = None

SHORT_ID = 20  # characters of an id that are shown: the first twelve are the time in milliseconds, which many share


def stdout() -> TextIO:
    """Where results go."""
    return _results or sys.stdout


@contextmanager
def results_apart() -> Generator[None]:
    """Keep stdout for results: what a user's program prints goes to stderr, so that pipes carry results alone.

    Characters that the terminal's encoding lacks are written as escapes.
    """
    global _results
    if _results is not None:  # a command within a command
        yield
        return
    _results = sys.stdout
    real: Any = sys.stdout
    if isinstance(real, TextIOWrapper):
        cast("TextIOWrapper[Any]", real).reconfigure(errors="backslashreplace")
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        _results = None


def say(*lines: str) -> None:
    """Words for the person at the terminal, on stderr; what would act on it is shown as escapes."""
    from outlast.cli.talk.terminal import printable

    for line in lines:
        print(printable(line), file=sys.stderr, flush=True)


def json_line(data: Any) -> str:
    """One line of JSON. Lone surrogates, which a model may write, are kept as escapes, and at a terminal all that
    would act on it."""
    return _json(data, None)


def _json(data: Any, indent: int | None) -> str:
    text = json.dumps(data, ensure_ascii=False, indent=indent, default=str)
    try:
        text.encode(stdout().encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(data, indent=indent, default=str)
    return _harmless(text) if stdout().isatty() else text


def _harmless(text: str) -> str:
    """JSON that says the same, in which nothing acts on a terminal."""
    from outlast.cli.talk.terminal import printable

    if printable(text) == text:
        return text
    return "".join(char if printable(char) == char else _escape(char) for char in text)


def _escape(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def emit(data: Any) -> None:
    """A result as one line of JSON on stdout, at once."""
    print(json_line(data), file=stdout(), flush=True)


def emit_pretty(data: Any) -> None:
    """A result as indented JSON on stdout."""
    print(_json(data, 2), file=stdout())


def console() -> Console:
    """For results that people read: stdout, colour on a terminal, plain text elsewhere."""
    from rich.console import Console

    return Console(file=stdout(), highlight=False, soft_wrap=False, emoji=False, markup=False)

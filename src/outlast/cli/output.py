"""What goes where: results on stdout, everything else on stderr."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


def say(*lines: str) -> None:
    """Words for the person at the terminal, on stderr."""
    for line in lines:
        print(line, file=sys.stderr, flush=True)


def json_line(data: Any) -> str:
    """One line of JSON. Lone surrogates, which a model may write, are kept as escapes."""
    text = json.dumps(data, ensure_ascii=False, default=str)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(data, default=str)
    return text


def emit(data: Any) -> None:
    """A result as one line of JSON on stdout, at once."""
    print(json_line(data), flush=True)


def emit_pretty(data: Any) -> None:
    """A result as indented JSON on stdout."""
    try:
        print(json.dumps(data, ensure_ascii=False, indent=2, default=str))
    except UnicodeEncodeError:
        print(json.dumps(data, indent=2, default=str))


def console() -> Console:
    """For results that people read: stdout, colour on a terminal, plain text elsewhere."""
    from rich.console import Console

    return Console(file=sys.stdout, highlight=False, soft_wrap=False, emoji=False, markup=False)

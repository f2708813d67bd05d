"""Asking the person at the terminal whether a tool may run."""

from __future__ import annotations

import json
import sys
import threading
import unicodedata
from typing import Any

from outlast.messages import ToolCall
from outlast.types import Tool

_MOST = 2_000  # characters of arguments that are shown at first
_HIDDEN = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))  # what moves the cursor, turns text round or is unseen
_turn = threading.Lock()  # one question at a time


def ask_in_terminal(call: ToolCall, tool: Tool) -> bool | str | ToolCall:
    """An approver of tool calls that asks on stderr and reads from stdin: yes, no, or other arguments.

    Shows the call with everything escaped that a terminal would obey or hide. A no may have a reason, which the model
    is told. Where stdin is no terminal, or ends, the answer is no.
    """
    if sys.stdin is None or not sys.stdin.isatty():
        return "there is no terminal to ask in"
    with _turn:
        return _answer(call, tool)


def _answer(call: ToolCall, tool: Tool) -> bool | str | ToolCall:
    shown = _pretty(call.arguments)
    said = visible(tool.description.split("\n", 1)[0])
    _say(f"\nThe model wants to run {tool.name}: {said}\n{shown[:_MOST]}\n")
    more = len(shown) - _MOST
    if more > 0:
        _say(f"... and {more:,} more characters\n")
    while True:
        _say("Run it? [y]es, [n]o, [e]dit" + (", [a]ll of the arguments: " if more > 0 else ": "))
        line = sys.stdin.readline()
        match line.strip().casefold():
            case "y" | "yes":
                return True
            case "n" | "no":
                _say("Why not? (the model is told; Enter for no reason): ")
                return sys.stdin.readline().strip() or False
            case "e" | "edit":
                edited = _edited(call)
                if edited is not None:
                    return edited
            case "a" | "all":
                _say(f"{shown}\n")
            case _:
                if not line:
                    return "nobody answered"


def _edited(call: ToolCall) -> ToolCall | None:
    _say("Arguments as JSON in one line: ")
    line = sys.stdin.readline()
    try:
        data: Any = json.loads(line)
    except (ValueError, RecursionError) as error:
        _say(f"That is no JSON: {error}\n")
        return None
    if not isinstance(data, dict):
        _say("That is no JSON object.\n")
        return None
    return ToolCall(call.id, call.name, line.strip())


def _pretty(arguments: str) -> str:
    try:
        return visible(json.dumps(json.loads(arguments), ensure_ascii=False, indent=2))
    except (ValueError, RecursionError):
        return visible(arguments)


def visible(text: str) -> str:
    """A text in which nothing but line ends acts on a terminal, and nothing is hidden: the rest becomes `\\uXXXX`."""
    if text.isascii() and text.replace("\n", "").isprintable():
        return text
    return "".join(char if char == "\n" or unicodedata.category(char) not in _HIDDEN else _code(char) for char in text)


def _code(char: str) -> str:
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"


def _say(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()

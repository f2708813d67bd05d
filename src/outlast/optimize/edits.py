"""Small edits of an instruction, line by line: what was not edited stays to the letter."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal

from pydantic import BaseModel

__all__ = ["Edit", "apply_edits", "similarity", "split_lines"]

ALIKE = 0.8  # of the words of two lines in common: the same line
MOST_LINES = 4  # edits that one proposal may make
MOST_CHARACTERS = 1500  # of text that one proposal may write
_WORD = re.compile(r"\w+")


class Edit(BaseModel):
    """One change of an instruction: add `text`, delete `line`, or replace `line` by `text`."""

    op: Literal["add", "delete", "replace"]
    line: str = ""
    text: str = ""


def apply_edits(
    instruction: str,
    edits: Iterable[Edit],
    *,
    most_lines: int = MOST_LINES,
    most_characters: int = MOST_CHARACTERS,
) -> str:
    """The instruction with these edits made, in order; an edit that cannot be made is left out.

    `line` is found by its words, so it need not be copied to the letter. A line that says what another one says is not
    added again. The first `most_lines` edits count, as long as what they write stays within `most_characters`.
    """
    lines = split_lines(instruction)
    written = 0
    for edit in list(edits)[:most_lines]:
        text = _one_line(edit.text)
        if edit.op != "delete" and (not text or written + len(text) > most_characters):
            continue
        at = _find(lines, edit.line)
        if edit.op == "add" or (edit.op == "replace" and at is None):
            if _find(lines, text) is None:
                lines.append(text)
                written += len(text)
        elif at is not None and edit.op == "delete" and len(lines) > 1:
            del lines[at]
        elif at is not None and edit.op == "replace":
            others = [line for number, line in enumerate(lines) if number != at]
            if _find(others, text) is None:
                lines[at] = text
                written += len(text)
    return "\n".join(lines)


def split_lines(instruction: str) -> list[str]:
    """The lines of an instruction, without empty ones."""
    return [line.rstrip() for line in instruction.splitlines() if line.strip()]


def similarity(one: str, other: str) -> float:
    """How alike two texts are, from 0 to 1: the share of their words that both have (Jaccard)."""
    a, b = _words(one), _words(other)
    return len(a & b) / len(a | b) if a or b else 1.0


def _find(lines: Sequence[str], wanted: str) -> int | None:
    """The line that is meant, None when none is like it."""
    if not wanted.strip():
        return None
    best, most = None, 0.0
    for number, line in enumerate(lines):
        alike = 1.0 if _bare(line) == _bare(wanted) else similarity(line, wanted)
        if alike > most:
            best, most = number, alike
    return best if most >= ALIKE else None


def _bare(line: str) -> str:
    return line.strip().lstrip("-*•0123456789. ").casefold()


def _words(text: str) -> frozenset[str]:
    return frozenset(word.casefold() for word in _WORD.findall(text))


def _one_line(text: str) -> str:
    return " ".join(text.split())

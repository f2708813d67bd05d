"""Small edits of a text, line by line: what was not edited stays to the letter."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal

from pydantic import BaseModel

__all__ = ["Edit", "apply_edits", "similarity", "split_lines"]

ALIKE = 0.8  # of the words of two lines in common: the same line, when it is to be deleted or replaced
MOST_LINES = 4  # edits that one proposal may make
MOST_CHARACTERS = 1500  # of text that one proposal may write
_WORD = re.compile(r"\w+")
_BULLET = re.compile(r"^\s*(?:[-*•]|\d{1,3}[.)])\s+")


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

    The `line` to delete or replace need not be copied to the letter: one that is nearly the same is meant, as long as
    no other is as near. A line that is there already, but for its bullet, capitals and full stop, is not added again.
    The first `most_lines` edits count, as long as what they write stays within `most_characters`. All other lines,
    empty ones among them, stay to the letter.
    """
    lines = instruction.rstrip().split("\n")
    written = 0
    for edit in list(edits)[:most_lines]:
        text = _one_line(edit.text)
        if edit.op != "delete" and (not text or written + len(text) > most_characters):
            continue
        at = _find(lines, edit.line) if edit.op != "add" else None
        if edit.op == "delete":
            if at is not None and sum(bool(line.strip()) for line in lines) > 1:
                del lines[at]
            continue
        if any(_bare(line) == _bare(text) for number, line in enumerate(lines) if number != at):
            continue
        written += len(text)
        if at is None:
            lines.append(text)
        else:
            lines[at] = text
    return "\n".join(lines)


def split_lines(instruction: str) -> list[str]:
    """The lines of an instruction, without empty ones."""
    return [line.rstrip() for line in instruction.splitlines() if line.strip()]


def similarity(one: str, other: str) -> float:
    """How alike two texts are, from 0 to 1: the share of their words that both have (Jaccard)."""
    a, b = _words(one), _words(other)
    return len(a & b) / len(a | b) if a or b else 1.0


def _find(lines: Sequence[str], wanted: str) -> int | None:
    """The line that is meant: the same but for bullet and capitals, else the nearest when it is near and alone so."""
    if not _words(wanted):
        return None
    same = [number for number, line in enumerate(lines) if _bare(line) == _bare(wanted)]
    if same:
        return same[0]
    near = sorted(
        ((similarity(line, wanted), -number) for number, line in enumerate(lines) if _words(line)), reverse=True
    )
    if not near or near[0][0] < ALIKE or (len(near) > 1 and near[1][0] == near[0][0]):
        return None
    found = -near[0][1]
    # A word that only one of them has may be what tells two rules apart; words left out may not.
    return found if _words(wanted) <= _words(lines[found]) else None


def _bare(line: str) -> str:
    return " ".join(_BULLET.sub("", line).split()).casefold().rstrip(".;")


def _words(text: str) -> frozenset[str]:
    return frozenset(word.casefold() for word in _WORD.findall(text))


def _one_line(text: str) -> str:
    return " ".join(text.split())

"""What readers of marked sections share: which text of an open section is sure to be part of it."""

from __future__ import annotations

import json
import re
from collections.abc import Container, Mapping
from typing import Any

from outlast.adapters.partial import MOST_HELD, PartialReader, Piece, Thoughts
from outlast.signatures.codec import Codec

_INDENTED = re.compile(r"(?:[^\n]*\n)*(?P<indent>(?:[ ]{2}|\t)[ \t]*)\Z")


class Sections(PartialReader):
    """Text in sections. A subclass finds where they begin and end, in `step`.

    `lost` is set where the text says something that only the reader of whole replies can judge; then nothing more is
    shown. Text in quotes is held until its section ends, as it may be a JSON string.
    """

    def __init__(self, table: Mapping[str, Codec], kept_tags: Container[str]) -> None:
        self.table = table
        self.field: str | None = None
        self.given: set[str] = set()
        self.lost = False
        self.out: list[Piece] = []
        self._thoughts = Thoughts(kept_tags)
        self._held = ""
        self._lead = ""  # space before the first text of a section
        self._begun = False
        self._quiet: list[str] | None = None

    def feed(self, text: str) -> list[Piece]:
        """What more text of the reply shows."""
        if self.lost:
            return []
        pieces, rest = self._thoughts.feed(text)
        if not rest:
            return pieces
        self.out = pieces
        buffer = self._held + rest
        self._held = buffer[self.step(buffer) :]
        return self.out

    def step(self, buffer: str) -> int:
        """Read a text; gives how much of it was read, the rest comes again in front of the next."""
        raise NotImplementedError

    def value(self, field: str, text: str) -> Any:
        """What the whole text of a section says."""
        return self.table[field].read(text)

    def begin(self, name: str) -> None:
        """A section begins here."""
        self.field = name
        self.given.add(name)
        self._lead, self._begun, self._quiet = "", False, None

    def show(self, text: str) -> None:
        """More text that is part of the open section."""
        if not text or self.field is None:
            return
        if not self._begun:
            body = text.lstrip()
            self._lead = (self._lead + text[: len(text) - len(body)])[-MOST_HELD:]
            if not body:
                return
            indented = _INDENTED.match(self._lead) if "\n" in self._lead else None
            text, self._begun = (indented["indent"] if indented else "") + body, True
            if body[0] == '"' and self.table[self.field].style != "json":
                self._quiet = []
        if self._quiet is None:
            self.out.append(Piece(self.field, text))
        else:
            self._quiet.append(text)

    def close(self) -> None:
        """The open section ends here."""
        if self.field is None:
            return
        rest = "" if self._quiet is None else _unquoted("".join(self._quiet).strip())
        self.out.append(Piece(self.field, rest, closed=True))
        self.field = None

    @property
    def fresh(self) -> bool:
        """Whether nothing of the open section has come yet."""
        return not self._begun


def _unquoted(text: str) -> str:
    """A text without the quotes of a JSON string, when it is one."""
    try:
        data = json.loads(text)
    except ValueError:
        return text
    return data if isinstance(data, str) else text

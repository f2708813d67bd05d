"""Reading a reply while it comes: what each adapter's reader gives, and the thinking before a reply.

A reader shows text only as far as it is sure, by the strict form of its adapter; what is sloppy is left to the reader
of whole replies, which has the last word in every case (`outlast.adapters.showing`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Container
from typing import Any, NamedTuple

from outlast.signatures.leads import INVISIBLE

DRAFT = ""  # the "field" of text that belongs to no field yet
MOST_HELD = 4_000  # characters that are held back until it is clear what they are; bounds the time for hostile text
_TAGS = ("<think>", "<thinking>", "<reasoning>")
_BLANK = " \t\r\n" + INVISIBLE


class Piece(NamedTuple):
    """More `text` of a field, or of what is thought before the reply (None); `closed` when the field is whole."""

    field: str | None
    text: str
    closed: bool = False


class PartialReader(ABC):
    """Reads one reply piece by piece, in time linear in the reply, however it was cut."""

    @abstractmethod
    def feed(self, text: str) -> list[Piece]:
        """What more text of the reply shows."""

    def feed_call(self, index: int, name: str, arguments: str) -> list[Piece]:
        """What more of a tool call shows."""
        del index, name, arguments
        return []

    @abstractmethod
    def value(self, field: str, text: str) -> Any:
        """The value that the whole shown text of a field says, or `ValueError`."""


class Thoughts:
    """Takes the thinking that a local model writes before its reply off the front of a text."""

    def __init__(self, fields: Container[str] = ()) -> None:
        """A tag with the name of one of `fields` is no thinking."""
        self.done = False
        self._tags = [tag for tag in _TAGS if tag[1:-1] not in fields]
        self._held = ""
        self._closing = ""

    def feed(self, text: str) -> tuple[list[Piece], str]:
        """The thinking in more text, and what comes after it."""
        if self.done:
            return [], text
        self._held += text
        if not self._closing and not self._begun():
            return [], self._rest()
        held, closing = self._held, self._closing
        stop = held.find(closing)
        if stop >= 0:
            self.done, self._held = True, ""
            return [Piece(None, held[:stop])] if stop else [], held[stop + len(closing) :]
        sure = len(held) - overlap(held, closing)
        self._held = held[sure:]
        return [Piece(None, held[:sure])] if sure else [], ""

    def _begun(self) -> bool:
        """Whether a tag opens the text; it is taken off."""
        body = self._held.lstrip(_BLANK)
        tag = next((tag for tag in self._tags if body.startswith(tag)), None)
        if tag is None:
            self.done = bool(body) and not any(tag.startswith(body) for tag in self._tags)
            self.done = self.done or len(self._held) > MOST_HELD
            return False
        self._closing, self._held = f"</{tag[1:]}", body[len(tag) :]
        return True

    def _rest(self) -> str:
        if not self.done:
            return ""
        held, self._held = self._held.lstrip(INVISIBLE), ""
        return held


def overlap(text: str, mark: str) -> int:
    """How many characters at the end of a text could be the beginning of `mark`."""
    for size in range(min(len(mark) - 1, len(text)), 0, -1):
        if text.endswith(mark[:size]):
            return size
    return 0


class Draft(PartialReader):
    """Shows a free reply as text that belongs to no field."""

    def __init__(self) -> None:
        self._thoughts = Thoughts()

    def feed(self, text: str) -> list[Piece]:
        """All of it."""
        pieces, rest = self._thoughts.feed(text)
        return [*pieces, Piece(DRAFT, rest)] if rest else pieces

    def value(self, field: str, text: str) -> Any:
        """A draft has none."""
        raise ValueError("a draft has no fields")

"""What a text quotes, to be looked up word by word in a source."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_QUOTED = re.compile(
    r"“(?P<a>[^“”\n]{1,4000})”|„(?P<b>[^„“”\n]{1,4000})[“”]|«(?P<c>[^«»\n]{1,4000})»|「(?P<d>[^「」\n]{1,4000})」"
    r"|(?<![\w\"])\"(?P<e>[^\"\n]{1,4000})\"(?![\w\"])"
    r"|``(?P<f>[^`'\n]{1,4000})''"
    r"|(?<!\w)‘(?P<g>[^‘\n]{1,400}?)’(?!\w)"  # noqa: RUF001
    r"|^ {0,3}>[ ]?(?P<h>[^\n]{1,4000})$",
    re.MULTILINE,
)
_GAP = re.compile(r"\[?\s*(?:\.\s*\.\s*\.|…)\s*\]?|\[[^\]\w]*\w{2,}[^\]]{0,200}\]")
_LETTER = re.compile(r"\[(\w)\]")
_TOKEN = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Quote:
    """A quotation: its place without the marks, and the pieces between what was left out."""

    start: int
    end: int
    text: str
    pieces: tuple[str, ...]


def normal(text: str) -> str:
    """The words of a text in lower case with one space between, and around."""
    return " " + " ".join(_TOKEN.findall(text.casefold())) + " "


def quotes(text: str, least: int = 2) -> list[Quote]:
    """The quotations of at least so many words in "", “”, „“, «», 「」, ‘’ and Markdown quotes. Linear time."""  # noqa: RUF002
    found: list[Quote] = []
    for match in _QUOTED.finditer(text):
        name = match.lastgroup or "a"
        inner = match[name]
        pieces = tuple(normal(piece) for piece in _GAP.split(_LETTER.sub(r"\1", inner)) if _TOKEN.search(piece))
        if sum(len(piece.split()) for piece in pieces) >= least:
            found.append(Quote(*match.span(name), inner, pieces))
    return found


class Known:
    """A source, to look quotations up in: case, punctuation and space may differ, the words may not."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.texts = [normal(text) for text in texts]

    def holds(self, quote: Quote) -> bool:
        """True when one text of the source has the pieces in this order."""
        return any(_in_order(quote.pieces, text) for text in self.texts)


def _in_order(pieces: tuple[str, ...], text: str) -> bool:
    place = 0
    for piece in pieces:
        place = text.find(piece, place)
        if place < 0:
            return False
        place += len(piece) - 1
    return True

"""Text out of tokens as they come: whole characters only, and nothing past a stop text."""

from __future__ import annotations

from collections.abc import Callable, Sequence

_HALF = "\ufffd"  # what tokenizers give for a character whose bytes are not all there yet


class Spoken:
    """The text of one reply while its tokens arrive.

    `decode` gives the text of a list of tokens. `text` is all that is known, `stopped` whether a stop text was met,
    which is no part of `text` (as in every chat API).
    """

    def __init__(self, decode: Callable[[Sequence[int]], str], stops: Sequence[str] = ()) -> None:
        self._decode = decode
        self._stops = tuple(stops)
        self._longest = max((len(stop) for stop in self._stops), default=0)
        self._tokens: list[int] = []
        self._context = 0  # tokens from here on are decoded together: some tokenizers look at the one before
        self._read = 0
        self._told = 0
        self.text = ""
        self.stopped = False

    def add(self, token: int) -> None:
        """Take in one token."""
        self._tokens.append(token)
        before = self._decode(self._tokens[self._context : self._read])
        now = self._decode(self._tokens[self._context :])
        if len(now) > len(before) and not now.endswith(_HALF):
            self._context, self._read = self._read, len(self._tokens)
            self._append(now[len(before) :])

    def end(self) -> None:
        """No token follows: what was held back as half a character is told as it is."""
        if self.stopped:
            return
        before = self._decode(self._tokens[self._context : self._read])
        now = self._decode(self._tokens[self._context :])
        self._context = self._read = len(self._tokens)
        self._append(now[len(before) :])

    def _append(self, piece: str) -> None:
        seen = max(0, len(self.text) - self._longest + 1)
        self.text += piece
        found = [at for stop in self._stops if (at := self.text.find(stop, seen)) >= 0]
        if found:
            self.text = self.text[: min(found)]
            self.stopped = True

    def delta(self, *, last: bool = False) -> str:
        """What can be told since the last call. Holds back what may turn out to be the start of a stop text."""
        until = len(self.text) if last or self.stopped else len(self.text) - self._held()
        piece = self.text[self._told : until]
        self._told = max(self._told, until)
        return piece

    def _held(self) -> int:
        for size in range(min(self._longest - 1, len(self.text)), 0, -1):
            tail = self.text[-size:]
            if any(stop.startswith(tail) for stop in self._stops):
                return size
        return 0

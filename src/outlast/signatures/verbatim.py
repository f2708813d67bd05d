"""Whether mended JSON says only what its text says: nothing dropped, split, joined or made up."""

from __future__ import annotations

import re
from typing import Any, cast

_SPACE = re.compile(r"\s*+")
_NUMBER = re.compile(r"[-+]?[\d.]++(?:[eE][-+]?\d++)?")
_WORD = re.compile(r"\w++")
_WORDS = {"true": True, "false": False, "null": None, "none": None}
_QUOTES = {'"': '"', "'": "'", "“": "”"}
_BARE = re.compile(r"[^,:\[\]{}\"“”\n]*[^\W_][^,:\[\]{}\"“”\n]*+")
_DIVIDES = re.compile(r"[\"'”]\s*+[,:\]}]|[,\[{]\s*+[\"'“]")
_ENDS = ",:]}"


def is_verbatim(text: str, value: Any) -> bool:
    """True when a text reads as the value, token by token, but for quotes inside its strings that nothing escapes.

    A string with a quote in it that could as well open or close one is doubtful, and so is one with an escape.
    """
    try:
        return _Match(text).value(value, 0) == len(text)
    except _Differs:
        return False


class _Differs(Exception):
    pass


class _Match:
    """Matches a value against the text that it was made from."""

    def __init__(self, text: str) -> None:
        self.text = text

    def value(self, value: Any, at: int) -> int:
        """Where the value that starts at `at` ends, with the space after it."""
        if isinstance(value, dict):
            pairs = cast("dict[str, Any]", value)
            return self._items(list(pairs.items()), "{", "}", at)
        if isinstance(value, list):
            return self._items(cast("list[Any]", value), "[", "]", at)
        at = self._space(at)
        return self._string(value, at) if isinstance(value, str) else self._plain(value, at)

    def _items(self, items: list[Any], opening: str, closing: str, at: int) -> int:
        at = self._mark(opening, at)
        for index, item in enumerate(items):
            if index:
                at = self._mark(",", at)
            if opening == "{":
                key, item = item
                at = self._mark(":", self._string(str(key), self._space(at)))
            at = self.value(item, at)
        if items and self.text.startswith(",", at):
            at = self._space(at + 1)
        return self._mark(closing, at)

    def _mark(self, mark: str, at: int) -> int:
        at = self._space(at)
        if not self.text.startswith(mark, at):
            raise _Differs
        return self._space(at + 1)

    def _string(self, value: str, at: int) -> int:
        quote = self.text[at : at + 1]
        if quote in _QUOTES:
            stop = at + 1 + len(value)
            if _DIVIDES.search(value) or self.text[at + 1 : stop + 1] != value + _QUOTES[quote]:
                raise _Differs
            return self._ended(stop + 1)
        if not self.text.startswith(value, at) or not _BARE.fullmatch(value):
            raise _Differs
        return self._ended(at + len(value))

    def _plain(self, value: Any, at: int) -> int:
        if value is None or isinstance(value, bool):
            found = _WORD.match(self.text, at)
            if not found or _WORDS.get(found[0].casefold(), "") is not value:
                raise _Differs
        else:
            found = _NUMBER.match(self.text, at)
            try:
                same = found is not None and float(found[0]) == value
            except ValueError:
                same = False
            if found is None or not same:
                raise _Differs
        return self._ended(found.end())

    def _ended(self, at: int) -> int:
        at = self._space(at)
        if self.text[at : at + 1] not in _ENDS:
            raise _Differs
        return at

    def _space(self, at: int) -> int:
        match = _SPACE.match(self.text, at)
        return at if match is None else match.end()

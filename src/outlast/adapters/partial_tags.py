"""Reads the sections of an `XML` reply while it comes."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping

from outlast.adapters.partial import MOST_HELD
from outlast.adapters.partial_sections import Sections
from outlast.adapters.tags import ESCAPE, TAG, Tags
from outlast.signatures.codec import Codec

_BEGUN = re.compile(
    r"<[ \t]{0,9}+/?+[ \t]{0,9}+(?:(?P<name>[^\W\d]\w*+)(?P<more>(?:-[0-9a-f]{0,8}+)?(?:\s[^<>]*+)?/?)>?)?\Z"
)
_ESCAPE_BEGUN = re.compile(r"&[#\w]{0,9}\Z")
_MOST_TAG = 300  # characters


class TaggedReader(Sections):
    """Shows what stands inside the tags of an output that open a line or follow another tag."""

    def __init__(
        self,
        tags: Tags,
        nonce: str,
        table: Mapping[str, Codec],
        kept_tags: Container[str],
    ) -> None:
        super().__init__(table, kept_tags)
        self.tags = tags
        self.nonce = nonce
        self._prose = False  # whether other text than tags stands before on the line

    def step(self, buffer: str) -> int:
        """Read a text up to what may be, or become, a tag or an escape."""
        done = at = 0
        while not self.lost:
            at = self._next(buffer, at)
            if at < 0:
                return self._show(buffer, done, len(buffer))
            if buffer[at] == "&":
                if ESCAPE.match(buffer, at):
                    self.lost = self.field is not None  # only the whole reply tells whether it is meant
                elif _ESCAPE_BEGUN.match(buffer, at):
                    return self._show(buffer, done, at)
                at += 1
                continue
            match = TAG.match(buffer, at)
            if self._undecided(buffer, at, match):
                return self._show(buffer, done, at)
            if match is None or not self._is_own(match):
                self.lost = self.field is not None and self.fresh and not buffer[done:at].strip()  # CDATA, elements
                at += 1
                continue
            before, at = buffer[done:at], match.end()
            if self._act(match, before):
                done = at
        return len(buffer)

    def _next(self, buffer: str, at: int) -> int:
        tag = buffer.find("<", at)
        escape = buffer.find("&", at, len(buffer) if tag < 0 else tag) if self.field is not None else -1
        return escape if escape >= 0 else tag

    def _undecided(self, buffer: str, at: int, match: re.Match[str] | None) -> bool:
        """Whether more text may make a tag, or no tag, of what stands at `at`."""
        if len(buffer) - at > _MOST_TAG:
            return False
        if match is not None:
            return match.end() == len(buffer) and self.field is None  # <name>> is no tag
        begun = _BEGUN.match(buffer, at)
        if begun is None:
            return False
        name = begun["name"]
        return name is None or self.tags.may_be(name, whole=bool(begun["more"]))

    def _is_own(self, match: re.Match[str]) -> bool:
        return (match[3] or "") == self.nonce and self.tags.known(match[2]) is not None

    def _act(self, match: re.Match[str], before: str) -> bool:
        """What a tag means; `before` is the text before it. False when it is part of a text."""
        name = self.tags.known(match[2])
        assert name is not None
        if self.field is not None:
            if match[1] and name == self.field:
                self.show(before.rstrip())
                self.close()
                self._prose = False
                return True
            self.lost = True
            return True
        line = before.rpartition("\n")
        prose = bool(line[2].strip(" \t>*_#`+-")) or (not line[1] and self._prose)
        self._prose = prose
        if match[1] or name not in self.tags.outputs or prose:
            return True
        if name in self.given or match[0].endswith("/>"):
            self.lost = True
        else:
            self.begin(name)
        return True

    def _show(self, buffer: str, done: int, at: int) -> int:
        if self.field is None:
            line = buffer[done:at].rpartition("\n")
            self._prose = bool(line[2].strip()) or (not line[1] and self._prose)
            return at
        end = at
        floor = max(done, at - MOST_HELD)
        while end > floor and buffer[end - 1].isspace():
            end -= 1
        if end == floor and floor > done:
            end = at
        self.show(buffer[done:end])
        return end

"""Reads the sections of a `Chat` reply while it comes."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping

from outlast.adapters.markers import MARKER, Markers, opens_line
from outlast.adapters.partial import MOST_HELD
from outlast.adapters.partial_sections import Sections
from outlast.signatures.codec import Codec

_BEGUN = re.compile(r"<(?:<[ \t]*+(?:/[ \t]*+)?(?:[^\W\d]\w*+[ \t]*+(?:#[ \t]*+\w*+[ \t]*+)?)?>?)?\Z")
_DECORATED = re.compile(r"[ \t]*+[>:*_`]*+")
_MOST_MARKER = 300  # characters


class MarkedReader(Sections):
    """Shows what stands under a marker that opens a line, up to the next such marker.

    Held back until decided: what may be the beginning of a marker, the decoration before one, space, and the end of
    a code fence.
    """

    def __init__(
        self,
        markers: Markers,
        nonce: str,
        table: Mapping[str, Codec],
        kept_tags: Container[str],
    ) -> None:
        super().__init__(table, kept_tags)
        self.markers = markers
        self.nonce = nonce
        self._within = False  # whether what was read so far ends within a line that no marker can open any more
        self._fences = 0

    def step(self, buffer: str) -> int:
        """Read a text up to what may be, or become, part of a marker."""
        done = at = 0
        while not self.lost:
            if self.fresh and self.field is not None and (after := self._decoration(buffer, done)) != done:
                if after < 0:
                    return done
                done = at = max(at, after)
            at = buffer.find("<<", at)
            if at < 0:
                return self._show(buffer, done, self._sure(buffer, done))
            match = MARKER.match(buffer, at)
            if match is None:
                if _BEGUN.match(buffer, at) and len(buffer) - at < _MOST_MARKER:
                    return self._show(buffer, done, self._before(buffer, done, at))
                at += 1
                continue
            at = match.end()
            if (match[3] or "") == self.nonce:
                line = self._line(buffer, done, match.start())
                before = buffer[done : match.start() if line < 0 else line]
                if self._act(match, before, opens=line >= 0):
                    done, self._within = at, True
        return len(buffer)

    def _decoration(self, buffer: str, done: int) -> int:
        """Where the value behind a marker begins: after `:` or `**` and space; -1 while that is open."""
        if self._lead or not buffer[done:]:
            return done
        match = _DECORATED.match(buffer, done)
        assert match is not None
        stop = match.end()
        if stop == len(buffer):
            return -1 if stop - done < _MOST_MARKER else done
        return stop if buffer[stop].isspace() else done

    def _line(self, buffer: str, done: int, at: int) -> int:
        """Where the line begins that a marker at `at` opens; -1 when it stands within a line."""
        start = buffer.rfind("\n", done, at) + 1
        if start == 0:
            if done > 0 or self._within:  # behind a marker, or behind text that was shown
                return -1
            start = done
        return start if opens_line(buffer, start, at) else -1

    def _act(self, match: re.Match[str], before: str, *, opens: bool) -> bool:
        """What a marker means; `before` is the text of the open section before it. False when it is part of a text."""
        role, name = self.markers.known(match[2])
        if match[1]:
            closes = name == self.field
            if closes:
                self._close(before)
            return closes
        if not opens:
            if role == "end" or (role == "output" and name not in self.given):
                self.lost = self.field is not None  # before the first section it may be a mention
            return self.lost
        if role == "output" and name not in self.given:
            self._close(before)
            self.begin(name)
        elif role == "end" and self.given:
            self._close(before, last=True)
            self.lost = True  # what comes after the end does not count
        elif role == "output" or (self.field is not None and self.markers.is_free(self.field)):
            self.lost = True  # an error
        elif role != "end":
            self._close(before)
        return True

    def _close(self, before: str, *, last: bool = False) -> None:
        if self.field is None:
            self._fences += before.count("```")
            return
        text = before.rstrip()
        if last and self._fences % 2 and text.endswith("```"):
            text = text[:-3].rstrip()
        self.show(text)
        self.close()

    def _show(self, buffer: str, done: int, sure: int) -> int:
        """Show the text up to `sure`."""
        if sure <= done:
            return done
        if self.field is None:
            self._fences += buffer.count("```", done, sure)
        else:
            self.show(buffer[done:sure])
        self._within = buffer[sure - 1] != "\n"
        return sure

    def _sure(self, buffer: str, done: int) -> int:
        """The end of what is neither the beginning of a marker nor something that may stand before one."""
        return self._before(buffer, done, len(buffer) - 1 if buffer.endswith("<") else len(buffer))

    def _before(self, buffer: str, done: int, at: int) -> int:
        """The end of a section that a marker at `at` would leave."""
        line = self._line(buffer, done, at)
        end = at if line < 0 else line
        floor = max(done, at - MOST_HELD)
        while end > floor and buffer[end - 1].isspace():
            end -= 1
        if self._fences % 2 and buffer.endswith("```", floor, end):
            end -= 3
            while end > floor and buffer[end - 1].isspace():
                end -= 1
        elif self.field is None:
            while end > floor and buffer[end - 1] == "`":  # a fence is counted whole
                end -= 1
        return end if end > floor or floor == done else at

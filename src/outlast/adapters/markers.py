"""The marker grammar of `Chat`: `<<name>>` opens a field, `<<end>>` closes the reply, a nonce keeps data out.

One reader serves both sides: what a model replied, and what a prompt says to it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from outlast.signatures.codec import trimmed

MARKER = re.compile(r"<<[ \t]*+(/?)[ \t]*+([^\W\d]\w*+)[ \t]*+(?:#[ \t]*+(\w*+)[ \t]*+)?>>")
_BEFORE = re.compile(r"[ \t<>*_#`+-]*+(?:\d{1,2}[.)])?[ \t*_`]*+")  # decoration that may open a marker's line
_AFTER = re.compile(r"[ \t]*+[>:*_`]++(?=\s|$)")  # ... and that may follow a marker
_OWN_LINE = re.compile(r"[ \t]*+\r?\n")
_CHATTER = re.compile(  # what chat models say after an answer, in a paragraph of its own
    r"\n[ \t]*+\r?\n\W{0,9}+(?:let me know|i hope|hope (?:this|that|it)|feel free|would you like|is there anything|"
    r"if you (?:need|want|have|would)|please let|does (?:this|that)|thank(?:s| you)|note that|\(?note:)[^\n]*+\s*+\Z",
    re.IGNORECASE,
)
_REACH = 40  # characters that decoration before a marker may take
_MANY = 1_000
_CLAUSE_ENDS = ".:;!?…)]}\"'`*>→-"

Role = Literal["output", "input", "end", "unknown"]


class Unreadable(ValueError):
    """A text whose markers could mean two things."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The text under each output marker; `ended` says whether the end marker was met, `marked` whether any was."""

    found: dict[str, str]
    ended: bool
    marked: bool


@dataclass(slots=True)
class _Mark:
    role: Role
    name: str
    begin: int  # where the section before it ends
    stop: int  # where its value starts
    opens: bool  # whether it opens a line
    closing: bool


def has_marker(text: str) -> bool:
    """True when a text holds anything that reads as a marker."""
    return "<<" in text and MARKER.search(text) is not None


def opens_line(text: str, line: int, at: int) -> bool:
    """True when what stands between the start of a line and a marker at `at` is decoration."""
    return at - line <= _REACH and _BEFORE.fullmatch(text, line, at) is not None


def nonce_for(static: str, texts: Iterable[str]) -> str:
    """Eight hexadecimal digits that occur in none of `texts`, the first of a series that `static` decides."""
    held = list(texts)
    for count in range(1 << 20):
        data = f"{count} {static}".encode(errors="backslashreplace")
        nonce = hashlib.blake2b(data, digest_size=4).hexdigest()
        if not any(nonce in text for text in held):
            return nonce
    raise AssertionError("no text holds a million nonces")


class Markers:
    """The markers of one signature: writes them, and reads a text into the sections under them."""

    word = "marker"
    special: ClassVar[tuple[str, ...]] = ("<<",)  # a text without any of these goes into a prompt as it is

    def __init__(self, outputs: Sequence[str], inputs: Sequence[str], end: str, free: Callable[[str], bool]) -> None:
        """`free(name)` says whether any text at all is a value of an output."""
        self.end = end
        self.outputs = list(outputs)
        self._roles: dict[str, Role] = {**dict.fromkeys(inputs, "input"), **dict.fromkeys(outputs, "output")}
        self._roles[end] = "end"
        self._free = frozenset(name for name in outputs if free(name))
        folded: dict[str, list[str]] = {}
        for name in self._roles:
            folded.setdefault(name.casefold(), []).append(name)
        self._folded = {fold: names[0] for fold, names in folded.items() if len(names) == 1}
        self._expected = [(name, f"{self.spell(name)}\n") for name in outputs]

    def known(self, spelled: str) -> tuple[Role, str]:
        """What the name in a marker stands for, and the name as it is declared."""
        name = spelled if spelled in self._roles else self._folded.get(spelled.casefold(), spelled)
        return self._roles.get(name, "unknown"), name

    def is_free(self, name: str) -> bool:
        """Whether any text at all is a value of an output."""
        return name in self._free

    def spell(self, name: str, nonce: str = "") -> str:
        """The marker of a field."""
        return f"<<{name}#{nonce}>>" if nonce else f"<<{name}>>"

    def holds(self, text: str) -> bool:
        """True when a text holds anything that reads as a marker."""
        return has_marker(text)

    def section(self, written: Iterable[tuple[str, str]], nonce: str) -> str:
        """Fields with their values, and the end."""
        parts = [f"{self.spell(name, nonce)}\n{text}\n\n" for name, text in written]
        return "".join(parts) + self.spell(self.end, nonce)

    def spaced(self, text: str) -> str:
        """A value with the space around it that it needs."""
        return text

    def answer(self, written: Iterable[tuple[str, str]], nonce: str) -> str:
        """How a demonstration answers."""
        return self.section(written, nonce)

    def order(self, nonce: str, placeholder: str) -> str:
        """What the system message says about the form of a reply."""
        shape = self.section([(name, placeholder) for name in self.outputs], nonce).replace("\n\n", "\n")
        return f"Reply with every output under its marker, in this order, then the end marker:\n{shape}"

    def request(self, nonce: str) -> str:
        """What the question ends with."""
        names = ", ".join(self.spell(name, nonce) for name in self.outputs)
        return f"Reply with {names}, then {self.spell(self.end, nonce)}."

    def read(self, text: str, nonce: str = "", request: str = "") -> Reading:
        """The sections of a reply. Raises `Unreadable` for a field given twice and for other doubtful markers.

        A marker opens a line, or stands within one where no marker of its field opens a line. Prose before the
        first output, an echo of the inputs there, copies of `request` (the line of the prompt that names the
        markers) and everything after the end marker do not count.
        """
        if not nonce:
            exact = self._exact(text.strip())
            if exact is not None:
                return exact
        marks, marked = self._marks(text, nonce, request)
        marks, stop = self._until_end(marks)
        chosen = self._chosen(marks, text)
        found: dict[str, str] = {}
        for at, mark in enumerate(chosen):
            last = at + 1 == len(chosen)
            limit = (len(text) if stop is None else stop) if last else chosen[at + 1].begin
            value = text[mark.stop : self._cut(mark, marks, limit)]
            if last and stop is None:
                value = self._without_cut_end(value, nonce)
            indented = _OWN_LINE.match(value) is not None and not text[mark.begin].isspace()
            value = trimmed(value) if indented else value.strip()
            if last and value.endswith("```") and opens_fence(text[: chosen[0].begin]):
                value = without_fence_end(value)
            if last and stop is None and mark.name in self._free and _CHATTER.search(value):
                raise Unreadable(
                    f"{mark.name}: no {self.spell(self.end)} closes it, and its last paragraph may not belong to it"
                )
            found[mark.name] = value
        return Reading(found, stop is not None, marked)

    def _without_cut_end(self, value: str, nonce: str) -> str:
        """A last section without an end marker that was cut off within itself."""
        lead, newline, line = value.rstrip().rpartition("\n")
        cut = line.strip(" \t*`").replace(" ", "")
        return lead if newline and len(cut) >= 2 and self.spell(self.end, nonce).startswith(cut) else value

    def _exact(self, text: str) -> Reading | None:
        """The reading of a reply that is just what was asked for, which most are: every marker once, alone on its
        line, in order. None for all others. Ten times faster than the forgiving way."""
        if text.count("<<") != len(self._expected) + 1:
            return None
        found: dict[str, str] = {}
        at = 0
        for name, opening in self._expected:
            begin = at + len(opening)
            at = text.find("\n<<", begin) + 1
            if not at or not text.startswith(opening, begin - len(opening)):
                return None
            found[name] = trimmed(text[begin : at - 1])
        return Reading(found, ended=True, marked=True) if text[at:] == self.spell(self.end) else None

    def _marks(self, text: str, nonce: str, request: str) -> tuple[list[_Mark], bool]:
        """Every marker with this nonce, and whether a known name is marked at all."""
        marks: list[_Mark] = []
        marked = False
        quoted = quoted_spans(text, request)
        for match in MARKER.finditer(text):
            role, name = self.known(match[2])
            own = (match[3] or "") == nonce
            marked = marked or own or role != "unknown"
            if not own:
                continue
            start = match.start()
            while quoted and quoted[0][1] <= start:
                del quoted[0]
            if quoted and quoted[0][0] <= start:
                continue
            line = text.rfind("\n", max(0, start - _REACH), start) + 1
            if line == 0 and start > _REACH:
                line = start - _REACH
                opens = False
            else:
                opens = line == start or _BEFORE.fullmatch(text, line, start) is not None
            after = _AFTER.match(text, match.end())
            stop = match.end() if after is None else after.end()
            if len(marks) == _MANY:
                raise Unreadable(f"the reply holds more than {_MANY} markers")
            marks.append(_Mark(role, name, line if opens else start, stop, opens, bool(match[1])))
        return marks, marked

    def _until_end(self, marks: list[_Mark]) -> tuple[list[_Mark], int | None]:
        """The markers before the end marker, and where it stands (None when there is none).

        An end marker that opens a line wins over one within a line. An output given again after it is refused; a
        next question that the model makes up is left out; an end marker after each field is taken for a divider.
        """
        given: set[str] = set()
        within: int | None = None
        for at, mark in enumerate(marks):
            if mark.role == "output" and not mark.closing:
                given.add(mark.name)
                within = None
            elif mark.role == "end" and given:
                if not mark.opens:
                    within = at if within is None else within
                    continue
                following = next((other for other in marks[at + 1 :] if _counts_after_end(other)), None)
                if following is None or following.role != "output":
                    return marks[:at], mark.begin
                if following.name in given:
                    raise Unreadable(f"{following.name}: is given again after the end marker")
        if not given:
            return [], None
        return (marks, None) if within is None else (marks[:within], marks[within].begin)

    def _chosen(self, marks: list[_Mark], text: str) -> list[_Mark]:
        """The one marker of each output, in the order of the text."""
        places: dict[str, list[_Mark]] = {}
        for mark in marks:
            if mark.role == "output" and not mark.closing:
                places.setdefault(mark.name, []).append(mark)
        chosen: list[_Mark] = []
        for name, spots in places.items():
            candidates = [spot for spot in spots if spot.opens] or spots
            if len(candidates) > 1:
                raise Unreadable(f"{name}: is given more than once")
            chosen.append(candidates[0])
        chosen.sort(key=lambda mark: mark.begin)
        for at, mark in enumerate(chosen):
            if (
                not mark.opens
                and mark.name in self._free
                and not _is_placed(mark, chosen[at - 1] if at else None, text)
            ):
                raise Unreadable(
                    f"{mark.name}: its marker stands in the middle of a sentence, which could be a mention; "
                    f"put it on a line of its own"
                )
        return chosen

    def _cut(self, mark: _Mark, marks: list[_Mark], limit: int) -> int:
        """Where a section ends: at its closing marker, at a marker that is no output's, or at `limit`."""
        for other in marks:
            if not mark.stop <= other.begin < limit:
                continue
            if other.closing:
                if other.name == mark.name:
                    return other.begin
            elif other.opens and other.role == "end":
                return other.begin
            elif other.opens and other.role in ("input", "unknown"):
                if mark.name in self._free:
                    raise Unreadable(
                        f"{mark.name}: a line in it opens with <<{other.name}>>, which is the marker of no output. "
                        f"Leave it out; if it belongs to the text, write the whole text as a JSON string"
                    )
                return other.begin
        return limit


def _counts_after_end(mark: _Mark) -> bool:
    return mark.role == "output" or (mark.opens and mark.role != "end")


def _is_placed(mark: _Mark, before: _Mark | None, text: str) -> bool:
    """True when a marker within a line divides values rather than being mentioned in a sentence."""
    if before is not None:
        newline = text.find("\n", before.stop)
        if text[before.stop : None if newline < 0 else newline].strip():
            return True  # the value before it starts on its marker's line too
    lead = text[: mark.begin].rstrip()
    return not lead or lead[-1] in _CLAUSE_ENDS


def quoted_spans(text: str, request: str) -> list[tuple[int, int]]:
    """Where a text repeats the request of its prompt."""
    return [hit.span() for hit in re.finditer(re.escape(request), text)] if request and request in text else []


def opens_fence(text: str) -> bool:
    """True when a text leaves a code fence open."""
    return text.count("```") % 2 == 1


def without_fence_end(value: str) -> str:
    """A value without the end of the code fence that stands around it."""
    return value[:-3].rstrip() if value.count("```") % 2 == 1 else value

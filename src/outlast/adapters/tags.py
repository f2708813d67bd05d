"""The tag grammar of `XML`: `<name>value</name>`, with a nonce in every tag when data holds something like a tag."""

from __future__ import annotations

import itertools
import re
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from outlast.adapters.markers import Reading, Unreadable, opens_fence, quoted_spans, without_fence_end
from outlast.signatures.codec import trimmed

TAG = re.compile(r"(?<!<)<[ \t]{0,9}+(/?)[ \t]{0,9}+([^\W\d]\w*+)(?:-([0-9a-f]{8}))?(?:\s[^<>]{0,200}+)?/?>(?!>)")
ESCAPE = re.compile(r"&(?:lt|gt|amp|quot|apos|#\d{1,7}|#x[0-9a-fA-F]{1,6});")
_LIKE_TAG = re.compile(r"(?:<|&lt;|&#60;|\uff1c|\\u003c)[\s/]{0,9}+([^\W\d]\w*+)", re.IGNORECASE)
_NO_PROSE = re.compile(r"```\w*+|<[?/]?[\w:-]++(?:\s[^<>]{0,200}+)?/?>|<\?[^<>]{0,200}+\?>")
_OPENS_LINE = re.compile(r"[ \t>*_#`+-]*+(?:\d{1,2}[.)])?[ \t*_`]*+")  # decoration that may stand before a tag
_OWN_LINE = re.compile(r"[ \t]*+\r?\n")
_PARAGRAPHS = re.compile(r"\S[ \t]*+\r?\n[ \t]*+\r?\n\s*+\S")
_CDATA = "<![CDATA["
_REACH = 40  # characters that decoration before a tag may take
_MANY = 1_000


@dataclass(frozen=True, slots=True)
class _Tag:
    name: str
    begin: int
    stop: int
    closing: bool
    empty: bool
    opens: bool  # whether it opens a line


@dataclass(frozen=True, slots=True)
class _Section:
    name: str
    opening: _Tag
    closing: _Tag | None

    def end(self, limit: int) -> int:
        """Where its value ends, at `limit` when nothing closes it."""
        return limit if self.closing is None else self.closing.begin


class Tags:
    """The tags of one signature: writes them, and reads a text into the values inside them."""

    word = "tag"
    special: ClassVar[tuple[str, ...]] = ("<", ">", "&", "\\", "\uff1c", "\n")  # texts without these go in as they are

    def __init__(self, outputs: Sequence[str], inputs: Sequence[str], end: str, free: Callable[[str], bool]) -> None:
        """`free(name)` says whether any text at all is a value of an output; `end` is not needed, tags are closed."""
        del end
        self.outputs = list(outputs)
        self._known = {*inputs, *outputs}
        self._free = frozenset(name for name in outputs if free(name))
        folded: dict[str, list[str]] = {}
        for name in self._known:
            folded.setdefault(name.casefold(), []).append(name)
        self._all_folded = frozenset(folded)
        self._folded = {fold: names[0] for fold, names in folded.items() if len(names) == 1}

    def known(self, spelled: str) -> str | None:
        """The name in a tag as it is declared, None for that of no field."""
        name = spelled if spelled in self._known else self._folded.get(spelled.casefold(), spelled)
        return name if name in self._known else None

    def may_be(self, begun: str, *, whole: bool) -> bool:
        """Whether a name in a tag, or the beginning of one, may be that of a field."""
        if whole:
            return self.known(begun) is not None
        return any(name.startswith(begun.casefold()) for name in self._all_folded)

    def spell(self, name: str, nonce: str = "") -> str:
        """The tag that opens a field."""
        return f"<{name}-{nonce}>" if nonce else f"<{name}>"

    def holds(self, text: str) -> bool:
        """True when a text holds something that could be taken for a tag of this signature."""
        if "<" not in text and "&" not in text and "\\" not in text and "\uff1c" not in text:
            return False
        return any(match[1].casefold() in self._all_folded for match in _LIKE_TAG.finditer(text))

    def section(self, written: Iterable[tuple[str, str]], nonce: str) -> str:
        """Fields with their values."""
        return "\n".join(self._written(name, text, nonce) for name, text in written)

    def _written(self, name: str, text: str, nonce: str) -> str:
        opening = self.spell(name, nonce)
        return f"{opening}{self.spaced(text)}</{opening[1:]}"

    def spaced(self, text: str) -> str:
        """A value with the space around it that it needs."""
        gap = "\n" if "\n" in text or text[:1] == ">" or text[-1:] == "<" else ""
        return f"{gap}{text}{gap}"

    def answer(self, written: Iterable[tuple[str, str]], nonce: str) -> str:
        """How a demonstration answers."""
        return self.section(written, nonce)

    def order(self, nonce: str, placeholder: str) -> str:
        """What the system message says about the form of a reply."""
        shape = self.section([(name, placeholder) for name in self.outputs], nonce)
        return f"Reply with every output inside its tags, in this order, with values as they are, not escaped:\n{shape}"

    def request(self, nonce: str) -> str:
        """What the question ends with."""
        return "Reply with " + ", ".join(self._written(name, "...", nonce) for name in self.outputs) + "."

    def read(self, text: str, nonce: str = "", request: str = "") -> Reading:
        """The values inside the tags of a reply. Raises `Unreadable` for a field given twice and for doubtful tags.

        Tags around a value count wherever they stand, a tag that nothing closes only where it opens a line. A tag that
        is only mentioned, an echo of the inputs, copies of `request` and prose around do not count; nor does a next
        question that the model makes up after its answer.
        """
        exact = self._exact(text.strip(), nonce)
        if exact is not None:
            return exact
        tags, marked = self._tags(text, nonce, request)
        tags, limit = self._before_next_turn(tags, len(text))
        sections = [section for name in self.outputs if (section := self._section(name, tags)) is not None]
        sections.sort(key=lambda section: section.opening.begin)
        found: dict[str, str] = {}
        for at, section in enumerate(sections):
            following = sections[at + 1] if at + 1 < len(sections) else None
            value = self._value(section, following, tags, text, limit)
            if following is None and section.closing is None and opens_fence(text[: sections[0].opening.begin]):
                value = without_fence_end(value)
            found[section.name] = value
        ended = len(found) == len(self.outputs) and all(section.closing is not None for section in sections)
        return Reading(found, ended, marked)

    def _exact(self, text: str, nonce: str) -> Reading | None:
        """The reading of a reply that is just what was asked for, which most are. None for all others."""
        if text.count("<") != 2 * len(self.outputs) or "<<" in text or ">>" in text:
            return None
        found: dict[str, str] = {}
        at = 0
        for name in self.outputs:
            opening = self.spell(name, nonce)
            begin = at + len(opening)
            stop = text.find("<", begin)
            closing = f"</{opening[1:]}"
            if not (text.startswith(opening, at) and text.startswith(closing, stop)):
                return None
            value = text[begin:stop]
            found[name] = trimmed(value) if value.startswith("\n") else value.strip()
            at = stop + len(closing)
            while text.startswith("\n", at):
                at += 1
        return Reading(found, ended=True, marked=True) if at == len(text) else None

    def outside(self, text: str) -> str:
        """A text without the sections of its outputs, other tags and the names of code fences."""
        tags, _ = self._tags(text, "", "")
        for name in self.outputs:
            section = self._section(name, tags)
            if section is not None and section.closing is not None:
                text = (
                    text[: section.opening.begin]
                    + " " * (section.closing.stop - section.opening.begin)
                    + text[section.closing.stop :]
                )
        return _NO_PROSE.sub("", text)

    def _tags(self, text: str, nonce: str, request: str) -> tuple[list[_Tag], bool]:
        """Every tag of a known name with this nonce, and whether there is a known name in any tag."""
        tags: list[_Tag] = []
        marked = False
        quoted = quoted_spans(text, request)
        for match in TAG.finditer(text):
            name = self.known(match[2])
            if name is None:
                continue
            marked = True
            if (match[3] or "") != nonce or any(start <= match.start() < stop for start, stop in quoted):
                continue
            if len(tags) == _MANY:
                raise Unreadable(f"the reply holds more than {_MANY} tags")
            start = match.start()
            line = text.rfind("\n", max(0, start - _REACH), start) + 1
            opens = (line > 0 or start <= _REACH) and _OPENS_LINE.fullmatch(text, line, start) is not None
            tags.append(_Tag(name, start, match.end(), bool(match[1]), match[0].endswith("/>"), opens))
        return tags, marked

    def _before_next_turn(self, tags: list[_Tag], limit: int) -> tuple[list[_Tag], int]:
        """The tags up to that of an input which opens a line after every output has been given."""
        closed: set[str] = set()
        for at, tag in enumerate(tags):
            if tag.name not in self.outputs:
                if tag.opens and not tag.closing and len(closed) == len(self.outputs):
                    again = next((other.name for other in tags[at:] if other.name in closed), None)
                    if again is not None:
                        raise Unreadable(f"{again}: is given again after the reply")
                    return tags[:at], tag.begin
            elif tag.closing:
                closed.add(tag.name)
        return tags, limit

    def _section(self, name: str, tags: list[_Tag]) -> _Section | None:
        """The one section of an output, None when there is none."""
        own = [tag for tag in tags if tag.name == name]
        pairs = [_Section(name, tag, tag) for tag in own if tag.empty and not tag.closing]
        for tag, following in itertools.pairwise(own):
            if not tag.closing and not tag.empty and following.closing:
                pairs.append(_Section(name, tag, following))
        paired = {pair.opening for pair in pairs}
        alone = [tag for tag in own if not tag.closing and tag not in paired]
        leading = [tag for tag in alone if tag.opens]
        if len(pairs) + len(leading) > 1 or (not pairs and not leading and len(alone) > 1):
            raise Unreadable(f"{name}: is given more than once")
        if pairs:
            return pairs[0]
        if alone and not leading and name in self._free:
            raise Unreadable(
                f"{name}: its tag stands in the middle of a sentence and is not closed, which could be a mention"
            )
        return _Section(name, (leading or alone)[0], None) if alone else None

    def _value(self, section: _Section, following: _Section | None, tags: list[_Tag], text: str, limit: int) -> str:
        """The text inside a section, or up to the next one when nothing closes it."""
        opening = section.opening
        if opening.empty:
            return ""
        stop = section.end(limit if following is None else following.opening.begin)
        if following is not None and section.closing is not None and following.opening.begin < stop:
            raise Unreadable(f"{following.name}: stands inside {self.spell(section.name)}; put one after the other")
        if section.closing is None:
            stop = self._unclosed(section, following, tags, text, stop)
        value = text[opening.stop : stop]
        if _OWN_LINE.match(value) is None:
            value = value.strip()
        elif text[opening.begin - 1 : opening.begin] in (" ", "\t"):  # the tag is indented, and its value with it
            value = textwrap.dedent(value).strip()
        else:
            value = trimmed(value)
        if not value.startswith(_CDATA):
            return value
        if not value.endswith("]]>") or value.count("]]>") > 1:
            raise Unreadable(f"{section.name}: its CDATA section is not closed")
        return value[len(_CDATA) : -3].strip()

    def _unclosed(self, section: _Section, following: _Section | None, tags: list[_Tag], text: str, stop: int) -> int:
        """Where the value of a section ends that nothing closes; raises `Unreadable` where that is in doubt."""
        begin = section.opening.stop
        inside = next((tag for tag in tags if begin <= tag.begin < stop), None)
        if section.name not in self._free:
            return stop if inside is None else inside.begin
        value = text[begin:stop]
        doubtful = (
            inside is not None
            or "</" in value
            or (following is not None and not following.opening.opens)
            or _PARAGRAPHS.search(value) is not None
        )
        if doubtful:
            raise Unreadable(f"{section.name}: {self.spell(section.name)} is not closed; close it")
        return stop

"""Program text, in a fence that it cannot break."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from outlast.errors import InputError, brief
from outlast.types.shown import FieldType

_LANGUAGE = re.compile(r"[\w+#.-]{0,40}")
_TICKS = re.compile(r"`{3,}")
_FENCE = re.compile(r"([ \t]*+)(`{3,}+|~{3,}+)[ \t]*+(.*)")
_DOCSTRING = re.compile(r"\"{3}|'{3}")  # a fence in one is a part of the program
_LONGER = ", which is longer than any in it"


@dataclass(frozen=True, slots=True)
class Code(FieldType):
    """Program text and its language ("" when not told). Never run by this class.

    Shown in a fence that is longer than any in the text; what a model writes is read from its one fence, or from bare
    text. A text that a person gives for an input may hold fences. Raises `InputError`.
    """

    text: str
    language: str = ""

    kind: ClassVar[str] = "code"

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise InputError(f"Code: text is text; got {brief(self.text)}")
        if not isinstance(self.language, str) or not _LANGUAGE.fullmatch(self.language):
            raise InputError(f"Code: language is a word such as 'python'; got {brief(self.language)}")

    def __str__(self) -> str:
        return self.text

    def __prompt__(self) -> str:
        """The text in a fence."""
        fence = "`" * max(3, 1 + max((len(run) for run in _TICKS.findall(self.text)), default=0))
        return f"{fence}{self.language}\n{self.text}\n{fence}"

    @classmethod
    def __read__(cls, text: str) -> Self:
        """The program in the one fence of a text, whatever is said around it, or the text itself when it has none.

        Raises `InputError` for several fences, and for one that nothing closes, which may have been cut off.
        """
        fences, around = _fences(text)
        if not fences:
            return cls(text)
        if len(fences) > 1:
            raise InputError(
                f"holds {len(fences)} fences; put the whole program in one{_LONGER}; got {brief(text, 60)}"
            )
        language, program = fences[0]
        if program is None:
            raise InputError(f"has a fence that nothing closes; close it on a line of its own; got {brief(text, 60)}")
        if _DOCSTRING.search(around):
            raise InputError(f"has a fence within the program; put the whole in one{_LONGER}; got {brief(text, 60)}")
        return cls(program, language)

    @classmethod
    def _given(cls, text: str) -> Self:
        fences, around = _fences(text)
        enclosed = len(fences) == 1 and not around.strip() and fences[0][1] is not None
        return cls.__read__(text) if enclosed else cls(text)

    @classmethod
    def __describe__(cls) -> str:
        return "code in one ``` fence with its language"

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready form; `from_json` reads it back."""
        data: dict[str, Any] = {"type": self.kind, "text": self.text}
        return {**data, "language": self.language} if self.language else data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The code that `to_json` wrote. Raises `InputError`."""
        return cls(data.get("text", None), data.get("language", ""))


def _fences(text: str) -> tuple[list[tuple[str, str | None]], str]:
    """The language and the program of each fence of a text, and the text around them; None is one that stays open."""
    found: list[tuple[str, str | None]] = []
    around: list[str] = []
    lines = iter(text.split("\n"))
    for line in lines:
        opening = _FENCE.fullmatch(line.removesuffix("\r"))
        if opening is None:
            around.append(line)
            continue
        indent, fence, said = opening.groups()
        word = said.split(maxsplit=1)[0] if said.strip() else ""
        program = None if fence[0] in said else _closed(lines, fence, len(indent))
        found.append((word if _LANGUAGE.fullmatch(word) else "", program))
    return found, "\n".join(around)


def _closed(lines: Iterator[str], fence: str, indent: int) -> str | None:
    """The text up to the line that closes a fence, None when none does. Its indentation is taken off."""
    inside: list[str] = []
    for line in lines:
        bare = line.strip()
        own = len(line) - len(line.lstrip(" \t"))
        if own < indent + 4 and len(bare) >= len(fence) and bare == fence[0] * len(bare):
            return "\n".join(inside)
        inside.append(line[min(indent, own) :])
    return None

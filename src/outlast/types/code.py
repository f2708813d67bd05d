"""Program text, in a fence that it cannot break."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from outlast.errors import InputError, brief
from outlast.types.shown import FieldType

_LANGUAGE = re.compile(r"[\w+#.-]{0,40}")
_TICKS = re.compile(r"`{3,}")
_FENCED = re.compile(r"(`{3,})[ \t]*([\w+#.-]*)[ \t]*\r?\n(?:(.*)\n)?[ \t]*\1", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Code(FieldType):
    """Program text and its language ("" when not told). Never run by this class.

    Shown in a fence that is longer than any in the text; read from a fence, or from bare text. Raises `InputError`.
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
        """The program in the one fence that encloses the text, or the text itself."""
        found = _FENCED.fullmatch(text.strip())
        if found is None or _closes_before_end(found[3] or "", found[1]):
            return cls(text)
        return cls(found[3] or "", found[2])

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


def _closes_before_end(text: str, fence: str) -> bool:
    """True when a line of the text closes the fence, so that there are several fences and not one."""
    return any(line.strip() == fence for line in text.split("\n"))

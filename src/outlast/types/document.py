"""A text with a title that a model may read, quote and cite."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from outlast.errors import InputError, brief
from outlast.types.media import MOST_BYTES
from outlast.types.shown import FieldType

_QUOTED = r'("(?:[^"\\\n]|\\.)*")'
_FRAMED = re.compile(
    rf"(={{5,}}) document(?: title={_QUOTED})?(?: source={_QUOTED})?\r?\n(.*)\n\1 end of document", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Document(FieldType):
    """A text document. `title` and `source` (where it is from; never opened) are shown to the model, `id` is yours.

    It goes into the prompt between lines that its text does not hold. A model with native citations gets it as a
    document of its own and says in `Response.citations` what it took from where. Raises `InputError`.
    """

    text: str
    title: str = ""
    source: str = ""
    id: str = ""

    kind: ClassVar[str] = "document"

    def __post_init__(self) -> None:
        for name in ("text", "title", "source", "id"):
            if not isinstance(getattr(self, name), str):
                raise InputError(f"Document: {name} is text; got {brief(getattr(self, name))}")
        if not self.text.strip() or len(self.text) > MOST_BYTES:
            raise InputError(f"Document: text has 1 to {MOST_BYTES} characters; got {len(self.text)}")

    def __prompt__(self) -> str:
        """The text between two lines, with title and source in the first."""
        said = [
            f"{name}={json.dumps(value, ensure_ascii=False)}"
            for name, value in (("title", self.title), ("source", self.source))
            if value
        ]
        line = "=" * 5
        while f"\n{line}" in f"\n{self.text}":
            line += "="
        return "\n".join([" ".join([line, "document", *said]), self.text, f"{line} end of document"])

    @classmethod
    def __read__(cls, text: str) -> Self:
        """The document in the lines that `__prompt__` writes, or a document of that text."""
        found = _FRAMED.fullmatch(text.strip())
        if found is None:
            return cls(text)
        try:
            title, source = (json.loads(quoted) if quoted else "" for quoted in (found[2], found[3]))
        except ValueError:
            return cls(text)
        return cls(found[4], title, source)

    @classmethod
    def __describe__(cls) -> str:
        return "document"

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready form; `from_json` reads it back."""
        data = {"type": self.kind, "text": self.text, "title": self.title, "source": self.source, "id": self.id}
        return {name: value for name, value in data.items() if value}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The document that `to_json` wrote. Raises `InputError`."""
        return cls(data.get("text", ""), data.get("title", ""), data.get("source", ""), data.get("id", ""))

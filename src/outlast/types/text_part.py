"""Plain text inside a message of several parts. It stands here so that values can be shown as parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class TextPart:
    """Plain text inside a message of several parts."""

    text: str

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return {"type": "text", "text": self.text}

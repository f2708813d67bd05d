"""Places in texts give way to placeholders, and placeholders to what stood there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from outlast.checks.check import Found
from outlast.checks.texts import with_texts
from outlast.errors import UsageError, brief

_PLACEHOLDER = re.compile(r"<[A-Z][A-Z_]{0,30}_[0-9]{1,18}>")


@dataclass(frozen=True, slots=True)
class Redacted:
    """A text with placeholders, and what each stands for. `repr` does not show what they stand for."""

    text: str
    mapping: Mapping[str, str] = field(repr=False)


class Redaction:
    """Puts placeholders such as `<EMAIL_1>` for what `find` finds in texts that belong together.

    Equal values of a kind get equal placeholders. No placeholder is made that stands in one of `texts` already, so
    that nobody can write one and get a value for it. Call it with each text, `restored` with what came back.
    """

    def __init__(self, find: Callable[[str], Iterable[Found]], texts: Iterable[str]) -> None:
        self._find = find
        self._taken = {found for text in texts for found in _PLACEHOLDER.findall(text)}
        self._made: dict[tuple[str, str], str] = {}
        self._last: dict[str, int] = {}

    def __call__(self, text: str) -> str:
        """The text with placeholders."""
        parts: list[str] = []
        end = 0
        for found in self._find(text):
            parts += [text[end : found.start], self._placeholder(found.kind, text[found.start : found.end])]
            end = found.end
        return "".join([*parts, text[end:]])

    @property
    def mapping(self) -> Mapping[str, str]:
        """What each placeholder stands for."""
        return MappingProxyType({placeholder: value for (_, value), placeholder in self._made.items()})

    def restored(self, value: Any) -> Any:
        """A value with the placeholders that were made here replaced by what they stand for, in all its texts."""
        return with_texts(value, lambda text: restore(text, self.mapping))

    def _placeholder(self, kind: str, value: str) -> str:
        made = self._made.get((kind, value))
        while made is None or made in self._taken:
            self._last[kind] = number = self._last.get(kind, 0) + 1
            made = f"<{kind.upper()}_{number}>"
        self._made[kind, value] = made
        return made


def restore(text: str, mapping: Mapping[str, str]) -> str:
    """The text with what the placeholders of `mapping` stand for; others stay. Linear in the text."""
    if not isinstance(text, str) or not isinstance(mapping, Mapping):
        raise UsageError(f"restore(text, mapping) takes a text and the mapping of redact(...); got {brief(text)}")
    return _PLACEHOLDER.sub(lambda found: mapping.get(found[0], found[0]), text)

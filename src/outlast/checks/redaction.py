"""Places in texts give way to placeholders, and placeholders to what stood there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from outlast.checks.check import Found
from outlast.checks.texts import texts_in, with_texts
from outlast.errors import UsageError, brief

_PLACEHOLDER = re.compile(r"<([A-Z][A-Z_]{0,30})_[0-9]{1,18}>")


@dataclass(frozen=True, slots=True)
class Redacted:
    """A text with placeholders, and what each stands for. `repr` does not show what they stand for."""

    text: str
    mapping: Mapping[str, str] = field(repr=False)


class Redaction:
    """Puts placeholders such as `<EMAIL_1>` for what `find` finds in texts that belong together.

    Equal values of a kind get equal placeholders. No placeholder is made that stands in one of `texts` already, so
    that nobody can write one and get a value for it. Call it with each text.
    """

    def __init__(self, find: Callable[[str], Iterable[Found]], texts: Iterable[str]) -> None:
        self._find = find
        self._taken = {found[0] for text in texts for found in _PLACEHOLDER.finditer(text)}
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
        return {placeholder: value for (_, value), placeholder in self._made.items()}

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


def apart(
    fix: Mapping[str, Any], undo: Mapping[str, str], others: Mapping[str, Any], made: Iterable[str]
) -> tuple[dict[str, Any], dict[str, str]]:
    """A fix and what undoes it, with other placeholders where one stands in `others` already, or is one of `made`.

    So what a text that nobody checked says is never taken for a placeholder, nor that of one check for that of another.
    """
    taken = {*made}
    for name, value in others.items():
        taken.update(found[0] for _, text in texts_in(name, value) for found in _PLACEHOLDER.finditer(text))
    if taken.isdisjoint(undo):
        return dict(fix), dict(undo)
    used = taken | set(undo)
    renamed: dict[str, str] = {}
    last: dict[str, int] = {}
    for placeholder in undo:
        form = _PLACEHOLDER.fullmatch(placeholder)
        renamed[placeholder] = fresh = placeholder
        while form is not None and placeholder in taken and fresh in used:
            last[form[1]] = number = last.get(form[1], 0) + 1
            fresh = f"<{form[1]}_{number}>"
            renamed[placeholder] = fresh
        used.add(fresh)

    def change(text: str) -> str:
        return _PLACEHOLDER.sub(lambda found: renamed.get(found[0], found[0]), text)

    changed = {name: with_texts(value, change) for name, value in fix.items()}
    return changed, {renamed[placeholder]: value for placeholder, value in undo.items()}

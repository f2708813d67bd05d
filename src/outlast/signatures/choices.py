"""Closed types: the words that stand for their values, and the sloppy spellings of those words."""

from __future__ import annotations

import enum
import json
import re
import types
from collections.abc import Iterable, Mapping
from typing import Any, Literal, Union, get_args, get_origin

from outlast.signatures.leads import INVISIBLE

_JOINT = re.compile(r"(?<=\w)[_-]++(?=\w)|\s++")
_NO_WORD = re.compile(r"\W++")
_REASON = re.compile(r"\s{1,9}[-\u2013\u2014]{1,3}\s|[(:;]|[.,](?=\s)")
_HEDGE = re.compile(
    r"\b(?:no|not|never|but|or|nor|maybe|perhaps|possibly|unless|except|unlikely|unsure|wrong|however|rather|instead|"
    r"almost|neither|if|nicht|kein\w*|aber|oder|sondern|pas|mais|ou|pero|sino|tampoco)\b|n['\u2019]t\b|\?",
    re.IGNORECASE,
)
_DECORATION = "`*_\"'.,;!:()[]<> \t\n" + INVISIBLE


class Choices:
    """The labels of a closed type, each with its value, and a reader that forgives spelling but not doubt."""

    def __init__(self, labels: Mapping[str, Any]) -> None:
        self.labels = labels
        self._folded = _unambiguous([labels.items(), _member_names(labels.values())])

    def find(self, label: str) -> tuple[Any] | None:
        """The value of a label in a 1-tuple, or None when it is none or could be two."""
        if label in self.labels:
            return (self.labels[label],)
        folded = fold(label)
        if folded in self._folded:
            return (self._folded[folded],)
        first, _, rest = label.strip().partition("\n")
        folded = fold(first)
        if folded in self._folded and not self._names_another(rest, folded):
            return (self._folded[folded],)
        return self._explained(first, rest)

    def _explained(self, first: str, rest: str) -> tuple[Any] | None:
        """The value of a label that an explanation follows, unless that names another or takes something back."""
        found = _REASON.search(first)
        folded = fold(first[: found.start()]) if found else ""
        if found is None or folded not in self._folded or (folded.isdigit() and found[0].startswith(".")):
            return None  # "1. High" may be the first line of a list
        if _HEDGE.search(f"{first[found.end() :]}\n{rest}") or self._names_another(f"{first}\n{rest}", folded):
            return None
        return (self._folded[folded],)

    def _names_another(self, text: str, label: str) -> bool:
        words = _words(fold(text))
        return any(_words(other) in words for other in self._folded if other != label)

    def spelled(self) -> list[str]:
        """The labels as JSON."""
        return [
            json.dumps(label, ensure_ascii=False) if isinstance(raw(value), str) else label
            for label, value in self.labels.items()
        ]


def choices_of(base: Any) -> Choices | None:
    """The choices of a `Literal` or `Enum`, alone or in a union with None or each other; None for an open type."""
    values: list[Any] = []
    for part in get_args(base) if is_union(base) else (base,):
        if part is type(None):
            values.append(None)
        elif get_origin(part) is Literal:
            values.extend(get_args(part))
        elif isinstance(part, type) and issubclass(part, enum.Enum) and not issubclass(part, enum.Flag):
            values.extend(part)
        else:
            return None
    labels: dict[str, Any] = {}
    for value in values:
        plain = raw(value)
        if plain is not None and type(plain) not in (str, int, bool):
            return None
        label = plain if isinstance(plain, str) else json.dumps(plain)
        if label in labels:  # "1" and 1 cannot be told apart as bare words
            return None
        labels[label] = value
    return Choices(labels) if any(value is not None for value in values) else None


def is_union(base: Any) -> bool:
    """True for `Union[...]`, `Optional[...]` and `A | B`."""
    return get_origin(base) in (Union, types.UnionType)


def raw(value: Any) -> Any:
    """The value of an enum member, anything else as it is."""
    return value.value if isinstance(value, enum.Enum) else value


def fold(text: str) -> str:
    """The form in which sloppy spellings of a word are equal."""
    return _JOINT.sub(" ", text.strip(_DECORATION)).casefold()


def _words(text: str) -> str:
    return f" {_NO_WORD.sub(' ', text).strip()} "


def _member_names(values: Iterable[Any]) -> list[tuple[str, Any]]:
    members = [value for value in values if isinstance(value, enum.Enum)]
    names = [(member.name, member) for member in members]
    return [*names, *((f"{type(member).__name__}.{member.name}", member) for member in members)]


def _unambiguous(ranks: Iterable[Iterable[tuple[str, Any]]]) -> dict[str, Any]:
    """Values by folded spelling, without those that could mean two; an earlier rank wins over a later one."""
    found: dict[str, Any] = {}
    for spellings in ranks:
        folded: dict[str, list[Any]] = {}
        for spelling, value in spellings:
            folded.setdefault(fold(spelling), []).append(value)
        for spelling, values in folded.items():
            if spelling and spelling not in found:
                found[spelling] = values[0] if len(values) == 1 else _DOUBT
    return {spelling: value for spelling, value in found.items() if value is not _DOUBT}


_DOUBT: Any = object()

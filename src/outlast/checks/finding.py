"""The check that something is not in a text: places are found, told without their text, and mended by placeholders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from outlast.checks.check import Check, CheckResult, Cost, Found, built
from outlast.checks.policy import Policy
from outlast.checks.redaction import Redaction
from outlast.checks.texts import Unfit, plain, texts_in, with_texts
from outlast.errors import UsageError, brief

Place = tuple[int, int, str]


@dataclass(frozen=True, slots=True)
class Finder:
    """Finds places in a text, in order and without overlaps: where two meet, the one that `places` gives first stays.

    `places` looks at the plain text (`texts.plain`); `may_stand` says of what was found there that it is no matter.
    """

    subject: str
    places: Callable[[str], Iterator[Place]]
    may_stand: Callable[[str], bool]

    def __call__(self, text: str) -> tuple[Found, ...]:
        if not isinstance(text, str):
            raise UsageError(f"{self.subject} takes a text; got {brief(text)}")
        seen = plain(text)
        kept: list[Place] = []
        taken = bytearray(len(seen.text))
        for start, end, kind in self.places(seen.text):
            if not any(taken[start:end]):
                taken[start:end] = b"\x01" * (end - start)
                if not self.may_stand(seen.text[start:end]):
                    kept.append((start, end, kind))
        return tuple(Found("", *seen.place(start, end), kind) for start, end, kind in sorted(kept))


def found_none(
    name: str,
    fields: tuple[str, ...],
    find: Callable[[str], tuple[Found, ...]],
    told: Callable[[str, Counter[str]], str],
    *,
    on_fail: Policy | str,
    each: bool,
    cost: Cost = "cheap",
    **options: Any,
) -> Check:
    """The check that `find` finds nothing in the texts of the fields. Its result holds places and kinds, and never
    what stands there but in `fix`, where placeholders are, and `undo`, which is not shown."""
    named(name, fields)

    def look(*values: Any) -> CheckResult:
        texts = [
            (field, place, text)
            for field, value in zip(fields, values, strict=True)
            for place, text in texts_in(field, value, name)
        ]
        places: list[Found] = []
        touched: dict[str, Any] = {}
        for field, place, text in texts:
            found = find(text)
            places += [replace(item, field=place) for item in found]
            if found:
                touched[field] = values[fields.index(field)]
        if not places:
            return CheckResult(True)
        message = told(", ".join(map(repr, touched)), Counter(place.kind for place in places))
        redaction = Redaction(find, [text for _, _, text in texts])
        try:
            fix = {field: with_texts(value, redaction) for field, value in touched.items()}
        except Unfit:
            return CheckResult(False, message, found=tuple(places))
        return CheckResult(False, message, found=tuple(places), fix=fix, undo=redaction.mapping)

    return built(name, fields, look, on_fail=on_fail, each=each, cost=cost, **options)


def named(check: str, fields: tuple[Any, ...]) -> None:
    """Raise `UsageError` unless these are names of fields."""
    if not fields or not all(isinstance(field, str) and field.isidentifier() for field in fields):
        given = ", ".join(map(brief, fields)) or "none"
        raise UsageError(f"ol.checks.{check}(field, ...) takes names of fields, such as 'answer'; got {given}")


def allowed(check: str, allow: Any) -> tuple[str, ...]:
    """The values of an option `allow`; raises `UsageError`."""
    given = (allow,) if isinstance(allow, str) else tuple(allow)
    for value in given:
        if not isinstance(value, str) or not value.strip():
            raise UsageError(f"{check}: allow holds texts that may stand; got {brief(value)}")
    return tuple(sorted(set(given)))

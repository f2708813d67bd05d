"""What is asked of an output, in words, with a version that changes when the words do."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast

from outlast.data.jsonform import content_hash
from outlast.errors import UsageError, brief, did_you_mean
from outlast.messages import canonical

FAIL, PASS = "fail", "pass"
_TRUE = frozenset({"pass", "true", "yes", "1"})
_FALSE = frozenset({"fail", "false", "no", "0"})
_MOST_LEVELS = 101

Verdict = str | int | float
"""What a person or a judge says: "pass" or "fail", a number on the scale, or the name of a level."""


@dataclass(frozen=True, eq=False, repr=False)
class Rubric:
    """One criterion, in words that a person and a model judge by.

        tone = ol.Rubric("tone", "The reply is friendly and does not blame the customer.",
                         passes="It thanks, or says sorry.", fails="It says whose fault it was.")

    `passes` and `fails` say what is on either side of the line: a text or several. Without `scale` the verdict is
    "pass" or "fail", which people agree on best; `scale=(1, 5)` asks for a whole number, `scale=("poor", "fair",
    "good")` for a level, the worst first. `version` is a hash of all that is said, without the name: an edited rubric
    is another version, and labels that were given under the old one are stale. Rubrics are equal when name and version
    are. Raises `UsageError` for what is no rubric.
    """

    name: str
    criterion: str
    passes: str | Iterable[str] = ()
    fails: str | Iterable[str] = ()
    scale: Iterable[Any] | None = None

    def __post_init__(self) -> None:
        name = _text(self.name, "the name of a rubric", many_lines=False)
        subject = f"rubric {name!r}"
        _text(self.criterion, f"{subject}: the criterion")
        for part in ("passes", "fails"):
            object.__setattr__(self, part, _texts(getattr(self, part), f"{subject}: {part}"))
        if self.scale is not None:
            object.__setattr__(self, "scale", _scale(self.scale, subject))

    @cached_property
    def version(self) -> str:
        """12 hexadecimal digits over everything that it says."""
        said = {"criterion": self.criterion, "passes": self.passes, "fails": self.fails, "scale": self.scale}
        return content_hash(said)[:12]

    @property
    def binary(self) -> bool:
        """Whether the verdict is "pass" or "fail"."""
        return self.scale is None

    @property
    def numeric(self) -> bool:
        """Whether the verdict is a number."""
        return isinstance(self._levels[0], int)

    @property
    def levels(self) -> tuple[Any, ...]:
        """The verdicts that can be given, from the worst to the best."""
        return self._levels

    @cached_property
    def _levels(self) -> tuple[Any, ...]:
        scale = cast("tuple[Any, ...] | None", self.scale)
        if scale is None:
            return (FAIL, PASS)
        return tuple(range(scale[0], scale[1] + 1)) if isinstance(scale[0], int) else scale

    def read(self, value: Any) -> Verdict:
        """The verdict that a value means; raises `UsageError`.

        Levels are found whatever their case. A binary rubric also takes True and False, 1 and 0, "yes" and "no"; a
        numeric one any number of its range, also as text: the mean of several people is none of the levels.
        """
        value = _plain(value)
        if self.numeric:
            number = _number(value)
            if number is not None and self._levels[0] <= number <= self._levels[-1]:
                return number
        elif isinstance(value, str | bool | int):
            text = str(value).strip().casefold()
            if self.binary and text in _TRUE | _FALSE:
                return PASS if text in _TRUE else FAIL
            for level in self._levels:
                if text == level.casefold():
                    return level
        raise UsageError(f"rubric {self.name!r}: a verdict is {self.told_levels()}; got {brief(value)}")

    def score(self, value: Any) -> float:
        """A verdict as a number from 0 (worst) to 1 (best); levels stand at equal distances."""
        verdict = self.read(value)
        low, high = self._levels[0], self._levels[-1]
        if isinstance(verdict, str):
            return self._levels.index(verdict) / (len(self._levels) - 1)
        return (verdict - low) / (high - low)

    def nearest(self, value: Any) -> Any:
        """The level nearest to a verdict, the lower one of two that are as near."""
        verdict = self.read(value)
        return verdict if isinstance(verdict, str) else self._levels[math.ceil(verdict - self._levels[0] - 0.5)]

    def told_levels(self) -> str:
        """What a verdict can be, in words."""
        if self.numeric:
            return f"a number from {self._levels[0]} to {self._levels[-1]}"
        return "one of " + ", ".join(self._levels)

    def edited(self, **changes: Any) -> Rubric:
        """The same rubric with other words, and so with another version: `tone.edited(fails=...)`."""
        known = ("name", "criterion", "passes", "fails", "scale")
        for name in changes:
            if name not in known:
                near = did_you_mean(name, known)
                raise UsageError(f"a rubric has no {name!r}.{near} It has: {', '.join(known)}.")
        return replace(self, **changes)

    def text(self) -> str:
        """The whole rubric as the text that people and models read."""
        lines = [self.criterion]
        for head, texts in (("Passes", self.passes), ("Fails", self.fails)):
            lines += [f"{head}: {text}" for text in cast("tuple[str, ...]", texts)]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready form; `Rubric.from_json` reads it back."""
        parts: dict[str, Any] = {"name": self.name, "criterion": self.criterion}
        for name in ("passes", "fails", "scale"):
            if value := cast("tuple[Any, ...] | None", getattr(self, name)):
                parts[name] = list(value)
        return parts

    @classmethod
    def from_json(cls, data: Any) -> Rubric:
        """The rubric that `to_json` wrote."""
        return cls(**data)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Rubric):
            return NotImplemented
        return (self.name, self.version) == (other.name, other.version)

    def __hash__(self) -> int:
        return hash((self.name, self.version))

    def __repr__(self) -> str:
        scale = "" if self.scale is None else f", scale={self.scale!r}"
        return f"Rubric({self.name!r}, {brief(self.criterion, 60)}{scale}, version {self.version})"


def rubric_line(rubric: Rubric) -> str:
    """A rubric as a line of JSON, for what is written beside scores."""
    return canonical(rubric.to_json()).decode()


def rubric_in(line: str) -> Rubric | None:
    """The rubric of `rubric_line`; None for "", and for a line that holds none."""
    try:
        return Rubric.from_json(json.loads(line)) if line else None
    except (ValueError, TypeError, RecursionError, UsageError):
        return None


def as_rubric(value: Any, subject: str) -> Rubric:
    """A rubric as it is; raises `UsageError` for other things."""
    if isinstance(value, Rubric):
        return value
    raise UsageError(f'{subject} takes an ol.Rubric("name", "what is asked of an output"); got {brief(value)}')


def _text(value: Any, what: str, *, many_lines: bool = True) -> str:
    if not isinstance(value, str) or not value.strip():
        raise UsageError(f"{what} is a text that is not empty; got {brief(value)}")
    if not many_lines and (len(value.splitlines()) > 1 or "." in value):
        raise UsageError(f"{what} is one line without dots: it names a part of reports and programs; got {value!r}")
    return value


def _texts(value: Any, what: str) -> tuple[str, ...]:
    if isinstance(value, str):
        return (_text(value, what),)
    if not isinstance(value, Iterable):
        raise UsageError(f"{what} is a text or a list of texts; got {brief(value)}")
    return tuple(_text(text, what) for text in cast("Iterable[Any]", value))


def _scale(value: Any, subject: str) -> tuple[Any, ...]:
    """Two whole numbers, or the names of two or more levels."""
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        parts = tuple(cast("Iterable[Any]", value))
        if len(parts) == 2 and all(type(part) is int for part in parts) and 0 < parts[1] - parts[0] < _MOST_LEVELS:
            return parts
        if len(parts) > 1 and all(isinstance(part, str) and part.strip() for part in parts):
            folded = [part.strip().casefold() for part in parts]
            if len(set(folded)) == len(folded):
                return tuple(part.strip() for part in parts)
    raise UsageError(
        f"{subject}: a scale is two whole numbers such as (1, 5), the worst first and at most {_MOST_LEVELS} levels, "
        f'or different names of levels such as ("poor", "fair", "good"), the worst first; got {brief(value)}'
    )


def _plain(value: Any) -> Any:
    """A scalar of numpy as one of Python."""
    return value.item() if type(value).__module__ == "numpy" and hasattr(value, "item") else value


def _number(value: Any) -> int | float | None:
    if isinstance(value, bool):
        return None
    try:
        value = float(value.strip()) if isinstance(value, str) else value
        if not isinstance(value, int | float) or not math.isfinite(value):
            return None
    except (ValueError, OverflowError):
        return None
    return int(value) if value == int(value) else value

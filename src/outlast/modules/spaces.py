"""Spaces: what values a declared parameter may take, with the one it starts from."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from outlast.errors import UsageError, brief

T = TypeVar("T")

_UNSET: Any = object()

__all__ = ["Choice", "Float", "Int", "Space", "Text"]


class Space(ABC, Generic[T]):
    """The values that a parameter may take, given in place of its value: `ol.param(ol.Float(0, 1, start=0.7))`."""

    start: T
    description: str

    @abstractmethod
    def check(self, value: Any, where: str) -> T:
        """The value as it is kept. Raises `UsageError` for one that is not in the space."""


@dataclass(frozen=True)
class Text(Space[str]):
    """Text that proposers may rewrite, such as a system prompt; `description` tells them what it is for."""

    start: str
    description: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.start, str) or not isinstance(self.description, str):
            raise UsageError(f"Text(start, description=...) takes texts; got {brief((self.start, self.description))}")

    def check(self, value: Any, where: str) -> str:
        """Any text."""
        if not isinstance(value, str):
            raise UsageError(f"{where!r} is text; got {brief(value)}")
        return value


@dataclass(frozen=True)
class Float(Space[float]):
    """A number from `low` to `high`; it starts in the middle unless `start` says where.

    With `log`, ten times as much is as far everywhere: for sizes and rates. `low` is then above 0.
    """

    low: float
    high: float
    start: float = _UNSET
    log: bool = False
    description: str = ""

    def __post_init__(self) -> None:
        _check_range("Float", self.low, self.high, self.log)
        middle = math.sqrt(self.low * self.high) if self.log else (self.low + self.high) / 2
        object.__setattr__(
            self, "start", self.check(middle if self.start is _UNSET else self.start, "Float(start=...)")
        )

    def check(self, value: Any, where: str) -> float:
        """A finite number within the bounds."""
        if isinstance(value, bool) or not isinstance(value, int | float) or not self.low <= value <= self.high:
            raise UsageError(f"{where!r} is a number from {self.low:g} to {self.high:g}; got {brief(value)}")
        return float(value)


@dataclass(frozen=True)
class Int(Space[int]):
    """A whole number from `low` to `high`; it starts in the middle unless `start` says where. `log` as in `Float`."""

    low: int
    high: int
    start: int = _UNSET
    log: bool = False
    description: str = ""

    def __post_init__(self) -> None:
        _check_range("Int", self.low, self.high, self.log)
        middle = round(math.sqrt(self.low * self.high)) if self.log else (self.low + self.high) // 2
        object.__setattr__(self, "start", self.check(middle if self.start is _UNSET else self.start, "Int(start=...)"))

    def check(self, value: Any, where: str) -> int:
        """A whole number within the bounds."""
        if isinstance(value, bool) or not isinstance(value, int) or not self.low <= value <= self.high:
            raise UsageError(f"{where!r} is a whole number from {self.low} to {self.high}; got {brief(value)}")
        return value


@dataclass(frozen=True)
class Choice(Space[T]):
    """One of several values: texts, numbers, True, False or None. It starts with the first, or with `start`."""

    options: Sequence[T]
    start: T = _UNSET
    description: str = ""

    def __post_init__(self) -> None:
        given = self.options
        if isinstance(given, str) or not isinstance(given, Sequence) or not given:
            raise UsageError(f"Choice takes a list of values; got {brief(given)}")
        for option in given:
            if option is not None and type(option) not in (str, int, float, bool):
                raise UsageError(
                    f"the options of a Choice are texts, numbers, True, False or None, so that a file can hold them; "
                    f"got {brief(option)}. Give each a name, and look it up where it is used."
                )
        object.__setattr__(self, "options", tuple(given))
        if self.start is _UNSET:
            object.__setattr__(self, "start", self.options[0])
        self.check(self.start, "Choice(start=...)")

    def check(self, value: Any, where: str) -> T:
        """One of the options."""
        for option in self.options:
            if type(option) is type(value) and option == value:
                return option
        raise UsageError(f"{where!r} is one of {', '.join(map(repr, self.options))}; got {brief(value)}")


def _check_range(name: str, low: Any, high: Any, log: Any) -> None:
    whole = name == "Int"
    for bound in (low, high):
        right = isinstance(bound, int) if whole else isinstance(bound, int | float) and math.isfinite(bound)
        if isinstance(bound, bool) or not right:
            raise UsageError(f"{name}(low, high) takes {'whole' if whole else 'finite'} numbers; got {brief(bound)}")
    if not low < high:
        raise UsageError(f"{name}(low, high): low is below high; got {low!r} and {high!r}")
    if log and not low > 0:
        raise UsageError(f"{name}(log=True) needs a low above 0; got {low!r}")

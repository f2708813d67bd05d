"""Lists that are read a page at a time: none is skipped and none comes twice, however many began at one moment."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from outlast.errors import UsageError, brief

if TYPE_CHECKING:
    import sqlalchemy as sa

T = TypeVar("T")

_PLACE = re.compile(r"([0-9.e+-]{1,40})(?:~([0-9a-f]{1,32}))?")
_MOST = 2**63


class Page(list[T]):
    """A page of a list. `next` is the place where the following page begins, None after the last: give it as `before`.

    The place is a short text that can stand in an address. It says where the last one of this page is in the list and
    holds also when that one is removed, or others come, in the meantime.
    """

    def __init__(self, found: Iterable[T] = (), next: str | None = None) -> None:
        super().__init__(found)
        self.next = next


def place_of(started: float, last: int | str) -> str:
    """The place of one in a list that is ordered by when they began, then by a number or an id."""
    return f"{started!r}~{last}"


def older(before: str | float, started: sa.Column[Any], last: sa.Column[Any]) -> sa.ColumnElement[bool]:
    """What comes after a place in a list that is ordered by these columns, the largest first; or what began before a
    moment, in seconds since 1970, also as text. Raises `UsageError` for anything else."""
    import sqlalchemy as sa

    moment, rest = _parts(before, number=isinstance(last.type, sa.Integer))
    if rest is None:
        return started < moment
    return sa.and_(started <= moment, sa.or_(started < moment, last < rest))  # the first is for the index


def _parts(before: str | float, *, number: bool) -> tuple[float, int | str | None]:
    """The moment that a place names, and the last one that was seen of those that began then."""
    text = f"{before}" if isinstance(before, (int, float)) and not isinstance(before, bool) else before
    found = _PLACE.fullmatch(text) if isinstance(text, str) else None
    try:
        if found is not None and math.isfinite(moment := float(found[1])):
            rest = int(found[2]) if found[2] and number else found[2]
            if not isinstance(rest, int) or rest < _MOST:
                return moment, rest
    except ValueError:
        pass
    raise UsageError(f"before is the `next` of a page, or a moment in seconds since 1970; got {brief(before)}")

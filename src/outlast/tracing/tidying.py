"""A store removes what is older than it is to keep, a little at a time and when there is nothing else to do."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import sqlalchemy as sa

from outlast.tracing import schema, upkeep
from outlast.tracing.unused import MOST, Led, remove_unused

if TYPE_CHECKING:
    from outlast.tracing.database import Database
    from outlast.tracing.retention import Retention

logger = logging.getLogger("outlast.trace")

STEP = 100  # traces that one transaction removes: others may want to write
_SOONEST, _LATEST = 60.0, 3600.0  # seconds between two looks at a store, by all its processes together
_SHARE = 100  # of its age, between these
_LOCK = schema.APPLICATION + 1


class Tidying:
    """Removes what is older than `retention` says from a store. Used by one thread.

    Of several processes one at a time begins: the store holds when it was looked through last. One that dies on the way
    leaves the rest to the next look. What it did stands in the store (`facts`).
    """

    def __init__(self, database: Database, retention: Retention) -> None:
        self.retention = retention
        self._database = database
        self._every = min(_LATEST, max(_SOONEST, retention.seconds / _SHARE))
        self._next = 0.0  # of the monotonic clock
        self._until: float | None = None  # what began before is being removed
        self._after: tuple[float, int] = (0.0, 0)
        self._gone = 0
        self._led = Led()  # content of traces that are gone
        self._over = False  # whether all of them are
        self._rest: Iterator[int] | None = None  # what is left to do then

    def some(self) -> bool:
        """Do a little of it; False when there is nothing to do now. Raises what the database raises."""
        if self._until is None:
            if time.monotonic() < self._next:
                return False
            self._next = time.monotonic() + self._every
            if not self._begun():
                return False
        try:
            more = self._step()
        except BaseException:
            self._until = self._rest = None
            raise
        if not more:
            self._until = self._rest = None
        return more

    def _step(self) -> bool:
        assert self._until is not None
        if self._rest is not None:
            if next(self._rest, None) is not None:
                return True
            self._rest, self._led = None, Led()
            if not self._over:
                return True
            upkeep.remove_runs(self._database, self._until)
            place, age = self._database.place, self.retention.said
            logger.info("%d traces older than %s were removed from %s", self._gone, age, place)
            return False
        kept = upkeep.Kept.by(self.retention)
        removed, after = upkeep.remove_traces(
            self._database, self._until, kept, after=self._after, most=STEP, led=self._led
        )
        if removed:
            self._note(removed)
        if after is not None:
            self._after = after
        self._over = after is None
        if self._gone and (self._over or len(self._led) >= MOST):
            self._rest = remove_unused(self._database, self._led)
        return not self._over or self._rest is not None

    def _begun(self) -> bool:
        """Whether it is time, as far as all processes go; if so, it is known that it was done now."""
        now = time.time()
        with self._database.changing() as connection:
            if not self._database.lite:
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            last = float(said(connection, "tidied") or 0.0)
            if last <= now < last + self._every:
                return False
            say(connection, "tidied", repr(now))
            say(connection, "retention", self.retention.said)
        self._until, self._after, self._gone, self._led = now - self.retention.seconds, (0.0, 0), 0, Led()
        return True

    def _note(self, removed: int) -> None:
        """Have the store know how many went."""
        self._gone += removed
        with self._database.changing() as connection:
            if not self._database.lite:
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            say(connection, "removed", str(int(said(connection, "removed") or 0) + removed))


def said(connection: sa.Connection, key: str) -> str | None:
    """What the store says of itself under a name."""
    return connection.execute(sa.select(schema.meta.c.value).where(schema.meta.c.key == key)).scalar_one_or_none()


def say(connection: sa.Connection, key: str, value: str) -> None:
    """Have the store say it from now on."""
    connection.execute(sa.delete(schema.meta).where(schema.meta.c.key == key))
    connection.execute(sa.insert(schema.meta).values(key=key, value=value))


def facts(connection: sa.Connection) -> dict[str, object]:
    """`retention` as it was said last ("" where never), when the store was looked through last (`tidied`, in seconds
    since 1970, None: never), and how many traces went (`removed`)."""
    tidied = said(connection, "tidied")
    return {
        "retention": said(connection, "retention") or "",
        "tidied": None if tidied is None else float(tidied),
        "removed": int(said(connection, "removed") or 0),
    }

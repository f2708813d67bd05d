"""Content that nothing needs any more, of all that removed traces led to: found a little at a time."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from outlast.tracing import schema

if TYPE_CHECKING:
    from outlast.tracing.database import Database

MOST = 50_000  # keys that are looked for at once: some megabytes
YOUNG = 3600.0  # seconds for which content stays though nothing refers to it yet: its span may be on its way
_PAGE = 5_000  # rows that one step reads
_CHUNK = 500  # keys of one statement

_BESIDE = ("inputs_key", "outputs_key", "request_key", "response_key")


class Led:
    """The content that spans led to: keys of blobs, and of the last messages of conversations."""

    def __init__(self) -> None:
        self.blobs: set[bytes] = set()
        self.tails: set[bytes] = set()

    def __len__(self) -> int:
        return len(self.blobs) + len(self.tails)

    def add(self, connection: sa.Connection, trace_ids: Iterable[str]) -> None:
        """Add what the spans of traces lead to."""
        columns = schema.spans.c
        query = sa.select(*(columns[name] for name in _BESIDE), columns.request_tail)
        for *beside, tail in connection.execute(query.where(columns.trace_id.in_(list(trace_ids)))):
            self.blobs.update(bytes(key) for key in beside if key is not None)
            if tail is not None:
                self.tails.add(bytes(tail))


def remove_unused(database: Database, led: Led) -> Iterator[int]:
    """Remove what no span and no later message needs of all that removed spans led to; how many went with each step.

    Reads all spans and messages, some thousands in each step and without a lock. What is needed again meanwhile is
    young then, and stays.
    """
    young = time.time() - YOUNG
    parents: dict[bytes, bytes | None] = {}
    yield from _before(database, led.tails, parents)
    needed: set[bytes] = set()
    for rows in _pages(database, schema.spans, "id", "", (*_BESIDE, "request_tail")):
        for _, *beside, tail in rows:
            led.blobs.difference_update(bytes(key) for key in beside if key is not None)
            if tail is not None and bytes(tail) in parents:
                needed.add(bytes(tail))
        yield 0
    for rows in _pages(database, schema.messages, "key", b"", ("parent",)) if parents else ():
        for key, parent in rows:
            if parent is not None and bytes(parent) in parents and bytes(key) not in parents:
                needed.add(bytes(parent))
        yield 0
    for one in list(needed):
        at = parents.get(one)
        while at is not None and at not in needed:
            needed.add(at)
            at = parents.get(at)
    for table, keys in ((schema.blobs, led.blobs), (schema.messages, parents.keys() - needed)):
        for some in _chunks(keys):
            with database.changing() as connection:
                gone = sa.delete(table).where(table.c.key.in_(some), table.c.created < young)
                yield connection.execute(gone).rowcount


def _before(database: Database, tails: Iterable[bytes], parents: dict[bytes, bytes | None]) -> Iterator[int]:
    """Fill `parents` with messages and all those before them."""
    table = schema.messages
    waiting = set(tails)
    while waiting:
        for some in _chunks(waiting):
            with database.reading() as connection:
                found = connection.execute(sa.select(table.c.key, table.c.parent).where(table.c.key.in_(some))).all()
            parents.update((bytes(key), None if parent is None else bytes(parent)) for key, parent in found)
            yield 0
        above = (parents.get(one) for one in waiting)
        waiting = {one for one in above if one is not None and one not in parents}


def _chunks(keys: Iterable[bytes]) -> list[list[bytes]]:
    listed = list(keys)
    return [listed[start : start + _CHUNK] for start in range(0, len(listed), _CHUNK)]


def _pages(database: Database, table: sa.Table, by: str, first: Any, names: Iterable[str]) -> Iterator[list[Any]]:
    """Columns of all rows of a table, by a key that orders it."""
    columns = [table.c[by], *(table.c[name] for name in names)]
    last: Any = first
    while True:
        query = sa.select(*columns).where(table.c[by] > last).order_by(table.c[by]).limit(_PAGE)
        with database.reading() as connection:
            rows: list[Any] = [*connection.execute(query).all()]
        yield rows
        if len(rows) < _PAGE:
            return
        last = rows[-1][0]

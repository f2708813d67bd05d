"""Reading a store: rows of its tables as records, and what an id or the beginning of one means."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import fields
from typing import Any, TypeVar, cast

import sqlalchemy as sa

from outlast.errors import DataError, UsageError, brief
from outlast.tracing.database import Database
from outlast.tracing.living import judged
from outlast.tracing.packing import dumps
from outlast.tracing.record import SpanRecord
from outlast.tracing.writer import writer_at

R = TypeVar("R")

SETTLE = 2.0  # seconds that a reader waits for what its own process has to write
_JSON = {"provenance", "summary", "attributes", "models", "tags", "settings", "notes", "label", "parts", "shape"}.union(
    ("inputs", "targets", "outputs", "value", "about", "trace_ids")
)
_LISTS = {"models", "tags", "notes", "trace_ids"}


class Reading:
    """A database of traces, as records. What this process has told is written before it is read."""

    def __init__(self, database: Database) -> None:
        self.database = database
        database.open()

    def reading(self) -> AbstractContextManager[sa.Connection]:
        """A connection to read with, after what this process told was written."""
        writer = writer_at(self.database)
        if writer is not None:
            writer.flush(SETTLE)
        return self.database.reading()

    def _all(self, query: sa.Select[Any], kind: Callable[..., R]) -> list[R]:
        with self.reading() as connection:
            return judged(connection, [record(row, kind) for row in connection.execute(query)])

    def _one(self, table: sa.Table, column: sa.Column[Any], id: str, kind: Callable[..., R], noun: str) -> R:
        if not isinstance(id, str) or not id:
            raise UsageError(f"a {noun} is named by its id or a prefix of it; got {brief(id)}")
        if not may_be_id(id):
            raise DataError(f"there is no {noun} {id!r} in {self.database.place}")
        query = sa.select(table).where(column >= id, column < id + "\uffff").order_by(column.desc()).limit(6)
        with self.reading() as connection:
            exact = connection.execute(sa.select(table).where(column == id)).first()
            rows = [exact] if exact is not None else connection.execute(query).all()
            found = judged(connection, [record(row, kind) for row in rows[:1]])
        if not rows:
            raise DataError(f"there is no {noun} {id!r} in {self.database.place}")
        if len(rows) > 1:
            listed = "".join(f"\n  {_shown(record(row, kind))}" for row in rows[:5])
            more = "\n  ..." if len(rows) > 5 else ""
            raise DataError(
                f"several {noun}s begin with {id!r} in {self.database.place}: give more of the id{listed}{more}"
            )
        return found[0]


def may_be_id(id: str) -> bool:
    """Whether a database can be asked for it: lone surrogates and null characters are in no text that it holds."""
    return "\0" not in id and not any("\ud800" <= char <= "\udfff" for char in id)


def _shown(record: Any) -> str:
    """One of several that an id may mean, in a line."""
    words = (
        str(getattr(record, "id", "") or getattr(record, "hash", "")),
        *(" ".join(str(getattr(record, name, "")).split())[:60] for name in ("kind", "name", "input")),
    )
    return "  ".join("".join(one if one.isprintable() else "?" for one in word) for word in words if word)


def record(row: Any, kind: Callable[..., R]) -> R:
    """A row of a table as the record of this kind."""
    told = row._mapping
    found: dict[str, Any] = {}
    for f in fields(cast("Any", kind)):
        value = told["number" if f.name == "index" else f.name]
        if f.name in _JSON and isinstance(value, str) and not (f.name in ("inputs", "outputs") and kind is SpanRecord):
            value = json.loads(value)
            if f.name in _LISTS:
                value = tuple(value)
        found[f.name] = value
    return kind(**found)


def values(kept: Any) -> dict[str, Any]:
    """The columns of a record."""
    return {f.name: dumps(getattr(kept, f.name)) if f.name in _JSON else getattr(kept, f.name) for f in fields(kept)}

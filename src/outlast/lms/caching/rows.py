"""The rows of a cache: what ties a text to its key, and writing many of them at once."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from outlast.lms.caching.db import empty_log, evict, rows_at_once

if TYPE_CHECKING:
    import sqlite3


class Batch(NamedTuple):
    """What the writer does at once: rows to store, rows that were used, rows to drop when made at a time or before."""

    rows: dict[bytes, tuple[bytes, int]]
    touched: set[bytes]
    stale: dict[bytes, int]


def proof_of(key: bytes, value: bytes, made: int) -> bytes:
    """Ties a text and its time to its key: SQLite does not notice when bytes inside a page change."""
    return blake2b(b"%d %b" % (made, value), key=key, digest_size=8).digest()


def write(connection: sqlite3.Connection, batch: Batch, path: Path, max_bytes: int, unchecked: int, now: int) -> int:
    """Write a batch in as few statements as can be; gives the bytes written since the size of the file was looked at.

    Each statement lets go of the interpreter lock, and beside a busy thread it takes 5 ms to get it back: a statement
    a row would leave responses unwritten for seconds.
    """
    if batch.stale:
        connection.executemany("DELETE FROM responses WHERE key = ? AND made <= ?", list(batch.stale.items()))
    for chunk in _chunks(batch.rows, rows_at_once(max_bytes), max_bytes // 128):
        empty_log(connection, path, max_bytes)
        rows = [(key, value, made, now, proof_of(key, value, made)) for key, (value, made) in chunk]
        connection.execute(
            "INSERT OR REPLACE INTO responses (key, value, made, used, proof) VALUES "
            + ", ".join(["(?, CAST(? AS TEXT), ?, ?, ?)"] * len(rows)),
            [field for row in rows for field in row],
        )
        unchecked += sum(len(row[1]) for row in rows)
        if unchecked > max_bytes // 256:  # many processes may write as much before they look
            evict(connection, path, max_bytes)
            unchecked = 0
    if batch.touched:
        connection.executemany("UPDATE responses SET used = ? WHERE key = ?", [(now, key) for key in batch.touched])
    return unchecked


def _chunks(
    rows: dict[bytes, tuple[bytes, int]], most: int, most_bytes: int
) -> Iterator[list[tuple[bytes, tuple[bytes, int]]]]:
    """Rows for one statement each, few and small enough to keep the file near its bound."""
    chunk: list[tuple[bytes, tuple[bytes, int]]] = []
    size = 0
    for row in rows.items():
        chunk.append(row)
        size += len(row[1][0])
        if len(chunk) == most or size > most_bytes:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk

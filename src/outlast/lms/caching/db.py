"""The SQLite file under the cache of responses: opening it safely beside other processes, and keeping it small."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

BUSY, LOCKED, IO_ERROR, CORRUPT, FULL, NOT_A_DATABASE = 5, 6, 10, 11, 13, 26  # SQLite's primary result codes
_APPLICATION = 0x6F6C7263  # marks a file as ours, so that nobody else's database is ever written to
_SCHEMA = 2
_SMALL_LOG = 256 << 10  # emptying it is not worth the wait
_LOG_BYTES = 32 << 20  # of the write-ahead log, from which on it is emptied
_USED = (
    "SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size"
)
_creating = threading.Lock()


def result_code(error: Exception) -> int | None:
    """SQLite's primary result code of an error, None when it has none."""
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


class ForeignFileError(ValueError):
    """The file is a database of something else, or of another version of this cache."""


class Link:
    """A connection to the file that is opened when it is needed and knows which file it was opened on."""

    def __init__(self, path: Path, patience: float) -> None:
        self.path = path
        self.patience = patience
        self.inode: tuple[int, int] | None = None
        self._connection: sqlite3.Connection | None = None

    def open(self) -> sqlite3.Connection:
        """The connection. Raises what sqlite3 and the system raise, and `ForeignFileError`."""
        if self._connection is not None:
            return self._connection
        import sqlite3

        _create(self.path)
        self.inode = inode_of(self.path)
        connection = sqlite3.connect(self.path, timeout=self.patience, isolation_level=None, check_same_thread=False)
        connection.text_factory = bytes
        try:
            _prepare(connection, time.monotonic() + self.patience)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    def is_stale(self) -> bool:
        """Whether the path now names another file than the one that is open, or none."""
        return self._connection is not None and inode_of(self.path) != self.inode

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _create(path: Path) -> None:
    """Make the file, private from its first byte: prompts and replies are nobody else's business.

    A file that exists is never opened here: closing any descriptor of a file drops all locks that this process holds
    on it, those of open connections too (sqlite.org/howtocorrupt.html, 2.2).
    """
    with _creating:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            return


def inode_of(path: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _prepare(connection: sqlite3.Connection, until: float) -> None:
    """Make sure the file is ours, or make it so when it is new; other processes may be doing the same."""
    import sqlite3

    while True:
        try:
            if not _is_ours(connection):  # looking takes no lock that a busy writer would hold
                connection.execute("BEGIN IMMEDIATE")
                try:
                    _mark(connection)
                finally:
                    connection.execute("COMMIT")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            return
        except sqlite3.OperationalError as error:
            if result_code(error) not in (BUSY, LOCKED) or time.monotonic() > until:
                raise
            time.sleep(0.02)  # some locks that come with the change to WAL are not waited for by SQLite itself


def _is_ours(connection: sqlite3.Connection) -> bool:
    return _numbers(connection) == (_APPLICATION, _SCHEMA)


def _numbers(connection: sqlite3.Connection) -> tuple[int, int]:
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    return application, connection.execute("PRAGMA user_version").fetchone()[0]


def _mark(connection: sqlite3.Connection) -> None:
    application, version = _numbers(connection)
    if application == _APPLICATION and version == _SCHEMA:
        return
    if application == _APPLICATION and version < _SCHEMA:  # keys of an earlier version answer nothing of this one
        connection.execute("DROP TABLE responses")
    elif application != 0 or connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is not None:
        raise ForeignFileError("it is a database of another program or version")
    connection.execute(
        "CREATE TABLE responses (key BLOB PRIMARY KEY, value TEXT NOT NULL, made INTEGER NOT NULL, "
        "used INTEGER NOT NULL, proof BLOB NOT NULL)"
    )
    connection.execute("CREATE INDEX responses_used ON responses (used)")
    connection.execute(f"PRAGMA application_id = {_APPLICATION}")
    connection.execute(f"PRAGMA user_version = {_SCHEMA}")


def evict(connection: sqlite3.Connection, path: Path, max_bytes: int) -> None:
    """Drop what was used least recently, a few rows at a time, when nearly `max_bytes` of the file are in use.

    Leaves room for the log. Begins 3% below the bound, as other processes are writing too, and ends 7% below it, so
    that not every batch has to; deleted pages are used again, the file does not shrink.
    Costs a look into the header of the file when there is nothing to do.
    """

    def used() -> int:
        return connection.execute(_USED).fetchone()[0]

    room = max_bytes - _log_share(max_bytes)
    size = used()
    if size <= 0.97 * room:
        return
    for _ in range(10_000):
        most = rows_at_once(max(size, max_bytes))  # the bound may be much smaller than it was
        rows = connection.execute("SELECT count(*) FROM (SELECT 1 FROM responses LIMIT ?)", (10 * most,)).fetchone()[0]
        connection.execute(
            "DELETE FROM responses WHERE rowid IN (SELECT rowid FROM responses ORDER BY used, rowid LIMIT ?)",
            (max(1, rows // 10),),
        )
        empty_log(connection, path, max_bytes)
        size = used()
        if rows <= 1 or size <= 0.93 * room:
            return


def rows_at_once(max_bytes: int) -> int:
    """How many rows one statement may touch, 16 to 500: each changes a page of the index, and all of these pages go
    through the log, which is to stay small beside a file of `max_bytes`."""
    return min(max(max_bytes >> 20, 16), 500)


def _log_share(max_bytes: int) -> int:
    return min(_LOG_BYTES, max_bytes // 16)


def empty_log(connection: sqlite3.Connection, path: Path, max_bytes: int) -> None:
    """Move the write-ahead log into the file when it has grown to a part of `max_bytes`, or 16 MB.

    SQLite does so by itself only in a moment in which nobody reads or writes. With many busy processes there is none,
    and the log grows far beyond the file. This waits for such a moment and keeps others waiting meanwhile.
    """
    try:
        size = os.stat(f"{path}-wal").st_size
    except OSError:
        return
    if size > max(_log_share(max_bytes) // 2, _SMALL_LOG):
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()


def _renew_lock() -> None:
    global _creating
    _creating = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)

"""Where a rate limit is counted: in this process, or in a file that several processes of this machine share."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from outlast.errors import ConfigError
from outlast.lms.caching.db import inode_of
from outlast.lms.layers.pace import Account, Paced
from outlast.runtime.waiting import ForkSafeLock, forks

if TYPE_CHECKING:
    import sqlite3

_APPLICATION = 0x6F6C726C  # marks a file as ours, so that nobody else's database is ever written to
_PATIENCE = 10.0  # seconds to wait for other processes when the file is opened
_HOLD_UP = 0.05  # and at most at once when it is used: this may be an event loop
_BUSY = (5, 6)  # SQLite's result codes "busy" and "locked"
_KEPT = 1000  # accounts in a file
_inherited: list[sqlite3.Connection] = []  # connections of the parent; closing one here could break it there


class StoreBusy(ConfigError):
    """Another process has the account; it is worth trying again."""


class Store(Protocol):
    """Gives the account, alone, for the length of a `with` block, and keeps what was changed. Raises `StoreBusy` when
    another process has it for longer than it is good to hold up an event loop, `ConfigError` when it cannot be used."""

    def account(self) -> Any:
        """A context manager of an `Account`."""
        ...


class InProcess:
    """An account in memory."""

    def __init__(self) -> None:
        self._account = Account()
        self._lock = ForkSafeLock()

    @contextmanager
    def account(self) -> Generator[Account]:
        """The account, alone."""
        with self._lock:
            yield self._account


class InFile:
    """An account under `key` in an SQLite file.

    A change costs some 170 us. The file is made private to the user and holds counts and hashed names only. Nothing is
    kept from other processes by one that was killed: what it had reserved leaves the window with time. It must be on
    a local disk: the clock is this machine's.
    """

    def __init__(self, path: Path, key: str) -> None:
        self.path = path
        self.key = key
        self._lock = ForkSafeLock()
        self._connection: sqlite3.Connection | None = None
        self._inode: tuple[int, int] | None = None
        self._forks = forks()

    @contextmanager
    def account(self) -> Generator[Account]:
        """The account, alone among all processes."""
        import sqlite3

        with self._lock:
            try:
                connection = self._open()
                connection.execute("BEGIN IMMEDIATE")
                try:
                    account = self._load(connection)
                    yield account
                    self._save(connection, account)
                except BaseException:
                    connection.execute("ROLLBACK")
                    raise
                connection.execute("COMMIT")
            except sqlite3.Error as error:
                kind = StoreBusy if (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF in _BUSY else ConfigError
                raise kind(
                    f"the shared rate limit {str(self.path)!r} cannot be used: {error}. It must be on a local disk "
                    "where this user may write, and no other kind of file; delete it when it is damaged"
                ) from error

    def _load(self, connection: sqlite3.Connection) -> Account:
        row = connection.execute("SELECT value FROM accounts WHERE key = ?", (self.key,)).fetchone()
        if row is None:
            return Account()
        try:
            return _read(row[0])
        except (ValueError, TypeError, OverflowError, RecursionError):
            return Account()

    def _save(self, connection: sqlite3.Connection, account: Account) -> None:
        slots = [[number, *counts] for number, counts in account.slots.items()]
        value = json.dumps([slots, account.paced, account.held], separators=(",", ":"))
        connection.execute("INSERT OR REPLACE INTO accounts (key, value) VALUES (?, ?)", (self.key, value))

    def _open(self) -> sqlite3.Connection:
        if self._forks != forks():
            if self._connection is not None:
                _inherited.append(self._connection)
            self._connection, self._forks = None, forks()
        if self._connection is not None and inode_of(self.path) != self._inode:  # deleted, or another file by now
            self._connection.close()
            self._connection = None
        if self._connection is None:
            self._connection = _connect(self.path)
            self._inode = inode_of(self.path)
            self._connection.execute(f"PRAGMA busy_timeout = {1000 * _HOLD_UP:.0f}")
        return self._connection


def _read(text: str) -> Account:
    """The account that a text tells of. Raises what reading raises, also for numbers that are none."""
    slots, paced, held = json.loads(text)
    counts = {int(number): (_amount(requests), _amount(tokens)) for number, requests, tokens in slots}
    return Account(counts, Paced(*(_amount(moment) for moment in paced)), _amount(held))


def _amount(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number) or number < 0:
        raise ValueError(f"{number} is no amount")
    return number


def _connect(path: Path) -> sqlite3.Connection:
    import sqlite3

    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        pass
    except OSError as error:
        raise ConfigError(f"the shared rate limit {str(path)!r} cannot be made: {error}") from error
    connection = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
    try:
        _prepare(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection) -> None:
    import sqlite3

    connection.execute("PRAGMA synchronous = OFF")  # counts of a minute need not survive a power cut
    connection.execute("BEGIN IMMEDIATE")
    try:
        if connection.execute("PRAGMA application_id").fetchone()[0] != _APPLICATION:
            if connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is not None:
                raise sqlite3.DatabaseError("it is a database of something else")
            connection.execute("CREATE TABLE accounts (key TEXT PRIMARY KEY, value TEXT NOT NULL)")
            connection.execute(f"PRAGMA application_id = {_APPLICATION}")
        connection.execute(
            "DELETE FROM accounts WHERE rowid NOT IN (SELECT rowid FROM accounts ORDER BY rowid DESC LIMIT ?)", (_KEPT,)
        )
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
    _patiently(connection, "PRAGMA journal_mode = WAL")


def _patiently(connection: sqlite3.Connection, statement: str) -> None:
    """Some locks that come with the change to WAL are not waited for by SQLite itself."""
    import sqlite3

    until = time.monotonic() + _PATIENCE
    while True:
        try:
            connection.execute(statement)
            return
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _BUSY or time.monotonic() > until:
                raise
            time.sleep(0.02)

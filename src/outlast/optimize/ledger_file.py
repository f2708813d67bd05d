"""The file of a ledger: opened for one search and no other, written in whole pieces, read or called damaged."""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from outlast.errors import StudyError

if TYPE_CHECKING:
    import sqlite3

T = TypeVar("T")

VERSION = "2"
TABLES = ("meta", "example", "candidate", "rollout", "reply", "text", "event")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS example (
    id TEXT PRIMARY KEY, part TEXT NOT NULL, inputs TEXT NOT NULL, targets TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS candidate (
    id TEXT PRIMARY KEY, parent TEXT NOT NULL, origin TEXT NOT NULL, operator TEXT NOT NULL, cause TEXT NOT NULL,
    changes TEXT NOT NULL, at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS rollout (
    candidate TEXT NOT NULL, example TEXT NOT NULL, sample INTEGER NOT NULL,
    state TEXT NOT NULL, score REAL, feedback TEXT NOT NULL, error TEXT NOT NULL, answered INTEGER NOT NULL,
    seconds REAL NOT NULL, calls INTEGER NOT NULL, tokens INTEGER NOT NULL, dollars REAL NOT NULL,
    replies TEXT NOT NULL, parts TEXT NOT NULL, outputs TEXT NOT NULL, trace TEXT NOT NULL, at REAL NOT NULL,
    PRIMARY KEY (candidate, example, sample));
CREATE TABLE IF NOT EXISTS reply (
    key TEXT PRIMARY KEY, lm TEXT NOT NULL, model TEXT NOT NULL, request TEXT NOT NULL, response TEXT NOT NULL,
    paid INTEGER NOT NULL, input_tokens INTEGER, output_tokens INTEGER, dollars REAL, at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS text (id TEXT PRIMARY KEY, content TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS event (
    id INTEGER PRIMARY KEY AUTOINCREMENT, run INTEGER NOT NULL, at REAL NOT NULL, kind TEXT NOT NULL,
    data TEXT NOT NULL);
"""
_PATIENCE = 30.0  # seconds to wait for another process that writes
_encode = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":")).encode


class LedgerFile:
    """An SQLite file in WAL mode, or a database in memory. Safe for threads and for several processes; see `Ledger`.

    `run` is the number of this opening, which no other process gets; `failure` is the first error in writing.
    """

    def __init__(self, path: str | os.PathLike[str] | None, identity: Mapping[str, str], seed: int | None) -> None:
        import sqlite3

        self.path = None if path is None else Path(path)
        self.failure: StudyError | None = None
        self.run = 0
        self._lock = threading.RLock()
        self._errors = (sqlite3.Error,)
        self._open(identity, seed)

    def _open(self, identity: Mapping[str, str], seed: int | None) -> None:
        import sqlite3

        try:
            if self.path is not None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            self._db: sqlite3.Connection = sqlite3.connect(
                ":memory:" if self.path is None else self.path,
                check_same_thread=False,
                isolation_level=None,
                timeout=_PATIENCE,
            )
        except (sqlite3.Error, OSError) as error:
            raise self._unusable(error) from error
        try:
            self._refuse_foreign()
            self._switch_to_wal()
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.execute("PRAGMA wal_autocheckpoint=8000")  # pages; each checkpoint waits for the disk
            self._db.execute("BEGIN IMMEDIATE")
            try:
                meta, *tables = filter(str.strip, _SCHEMA.split(";"))
                self._db.execute(meta)
                self._claim(identity, seed)
                for table in tables:
                    self._db.execute(table)
                self.run = self._number()
            finally:
                self._db.execute("COMMIT")
        except sqlite3.Error as error:
            self._db.close()
            raise self._unusable(error) from error
        except BaseException:
            self._db.close()
            raise

    def _number(self) -> int:
        """The number of this run, which no other process gets."""
        run = self._db.execute("SELECT coalesce(max(run), 0) + 1 FROM event").fetchone()[0]
        row = (run, time.time(), "open", as_text({"pid": os.getpid()}))
        self._db.execute("INSERT INTO event (run, at, kind, data) VALUES (?, ?, ?, ?)", row)
        return run

    def _switch_to_wal(self) -> None:
        """SQLite does not wait for another process that does the same at the same moment; we do."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                self._db.execute("PRAGMA journal_mode=WAL")
                return
            except self._errors as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
            time.sleep(0.01)

    def _unusable(self, error: Exception) -> StudyError:
        return StudyError(
            f"cannot use {str(self.path)!r} as the ledger of a search: {error}. Give another path (study=...), move "
            f"the file away, or keep the search in memory (study=False)."
        )

    def _refuse_foreign(self) -> None:
        """Leave somebody else's database alone."""
        tables = {row[0] for row in self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if tables and not {"meta", "rollout", "reply"} <= tables and tables != {"meta"}:
            raise StudyError(
                f"{str(self.path)!r} is a database of something else (it has the tables "
                f"{', '.join(sorted(tables)[:5])}), not a ledger; give another path"
            )

    def _claim(self, identity: Mapping[str, str], seed: int | None) -> None:
        """Make a new file that of a search; leave that of another search alone, and name what differs."""
        found = dict(self._db.execute("SELECT key, value FROM meta").fetchall())
        if not found:
            rows = [("version", VERSION), *identity.items()]
            self._db.executemany("INSERT INTO meta VALUES (?, ?)", rows)
            return
        if found.get("version") != VERSION:
            raise StudyError(
                f"the ledger {str(self.path)!r} has version {found.get('version')!r}; this outlast writes {VERSION!r}. "
                f"Give another path."
            )
        changed = {
            key: f"{key} (was {_short(found.get(key))}, is {_short(value)})"
            for key, value in identity.items()
            if found.get(key) != value
        }
        if changed:
            before = self._last_seed() if "data" in changed and seed is not None else seed
            split = (
                ""
                if before == seed or before is None
                else (
                    f"The seed splits the data; it was {before} and is {seed}: go on with {before}, or give "
                    f"another path for this one."
                )
            )
            raise StudyError(
                f"the ledger {str(self.path)!r} belongs to another search; different: {'; '.join(changed.values())}. "
                f"{split or 'Give another path for this one.'}"
            )

    def _last_seed(self) -> int | None:
        """The seed of the last run, as far as it is known."""
        row = self._db.execute("SELECT data FROM event WHERE kind = 'run' ORDER BY id DESC LIMIT 1").fetchone()
        seed = None if row is None else json.loads(row[0]).get("seed")
        return seed if isinstance(seed, int) else None

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def __del__(self) -> None:
        db: sqlite3.Connection | None = self.__dict__.get("_db")
        if db is not None:
            db.close()

    def write(self, work: Callable[[sqlite3.Connection], T], *, many: bool = False) -> T:
        """Do one piece of writing as a whole."""
        if self.failure is not None:
            raise self.failure
        try:
            with self._lock:
                if not many:
                    return work(self._db)
                self._db.execute("BEGIN IMMEDIATE")
                try:
                    result = work(self._db)
                except BaseException:
                    self._db.execute("ROLLBACK")
                    raise
                self._db.execute("COMMIT")
                return result
        except self._errors as error:
            self.failure = StudyError(
                f"cannot write to the ledger {str(self.path)!r}: {error}. What was written before is kept; "
                f"mend the cause and run the same search again to go on."
            )
            raise self.failure from error

    def read(self, sql: str, values: tuple[Any, ...] = ()) -> list[Any]:
        """The rows of a query."""
        try:
            with self._lock:
                return self._db.execute(sql, values).fetchall()
        except self._errors as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> StudyError:
        return StudyError(f"the ledger {str(self.path)!r} cannot be read: {error}. Move it away to start afresh.")

    def decoded(self, decode: Callable[[], T]) -> T:
        """What `decode` makes of something that was read; raises `StudyError` when it cannot."""
        try:
            return decode()
        except (ValueError, TypeError, KeyError, IndexError) as error:
            raise self._damaged(error) from error


def as_text(data: Any) -> str:
    """JSON in the order given, which is the order that prompts show; lone surrogates escaped."""
    return clean(_encode(data))


def clean(text: str) -> str:
    """Text that can be written: lone surrogates escaped."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _short(value: object) -> str:
    """A value for people, hashes in eight digits."""
    return re.sub(r"[0-9a-f]{16,}", lambda match: match.group()[:8], repr(value))

"""The file that remembers batches: which requests are under way where, and what came back, across restarts."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from outlast.errors import ConfigError
from outlast.runtime.waiting import ForkSafeLock, forks

if TYPE_CHECKING:
    import sqlite3

_APPLICATION = 0x6F6C6261  # marks a file as ours
_KEPT = 30 * 86_400.0  # seconds
_UNDER_WAY = ("sending", "pending")
_SCHEMA = """
CREATE TABLE job (
    token TEXT PRIMARY KEY, remote TEXT NOT NULL DEFAULT '', server TEXT NOT NULL, dialect TEXT NOT NULL,
    state TEXT NOT NULL, created REAL NOT NULL, host TEXT NOT NULL, process INTEGER NOT NULL
);
CREATE TABLE item (
    key TEXT PRIMARY KEY, job TEXT NOT NULL, tries INTEGER NOT NULL, reply TEXT
);
CREATE INDEX item_job ON item (job);
"""


class StoredJob(NamedTuple):
    """A job that is not settled. `remote` is the server's id, empty while we do not know whether it was made; `sender`
    says that the process which is making it still runs, as far as can be told from here."""

    token: str
    remote: str
    created: float
    sender: bool


class Known(NamedTuple):
    """The reply to a request, or the job in which it is under way."""

    reply: dict[str, Any] | None
    job: str | None


class BatchStore:
    """A SQLite file of jobs and the replies in them. Safe for several processes; what is written survives a crash.

    An item without a reply is under way in its job. What was sent more than 30 days ago is forgotten, as providers do.
    Raises `ConfigError` for a file that is something else.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._lock = ForkSafeLock()
        self._forks = forks()
        self._connection: sqlite3.Connection | None = None

    def reply(self, key: str) -> dict[str, Any] | None:
        """The body that came back for a request."""
        row = self._one("SELECT reply FROM item WHERE key = ?", key)
        return json.loads(row[0]) if row is not None and row[0] is not None else None

    def tries(self, key: str) -> int:
        """How often a request was sent that has brought nothing yet."""
        row = self._one("SELECT tries FROM item WHERE key = ?", key)
        return 0 if row is None else int(row[0])

    def claim(self, token: str, server: str, dialect: str, keys: Iterable[str]) -> list[str]:
        """Note that a job with these requests is about to be made; gives those that no other job has under way."""
        mine: list[str] = []
        with self._writing() as db:
            for key in keys:
                row = db.execute(
                    "SELECT item.reply, job.state FROM item LEFT JOIN job ON job.token = item.job WHERE key = ?", (key,)
                ).fetchone()
                if row is not None and (row[0] is not None or row[1] in _UNDER_WAY):
                    continue
                db.execute(
                    "INSERT INTO item VALUES (?, ?, 1, NULL) "
                    "ON CONFLICT (key) DO UPDATE SET job = excluded.job, tries = item.tries + 1",
                    (key, token),
                )
                mine.append(key)
            if mine:
                db.execute(
                    "INSERT INTO job VALUES (?, '', ?, ?, 'sending', ?, ?, ?)",
                    (token, server, dialect, time.time(), socket.gethostname(), os.getpid()),
                )
        return mine

    def made(self, token: str, remote: str) -> None:
        """The server has made the job."""
        self._do("UPDATE job SET remote = ?, state = 'pending' WHERE token = ?", remote, token)

    def forget(self, token: str) -> None:
        """The server has not made the job: its requests may be sent again, and this was no try."""
        with self._writing() as db:
            db.execute("UPDATE item SET tries = tries - 1 WHERE job = ? AND reply IS NULL", (token,))
            db.execute("DELETE FROM job WHERE token = ?", (token,))

    def settle(self, token: str, replies: Mapping[str, Any]) -> None:
        """The job has ended: keep the replies; what brought none may be sent again."""
        with self._writing() as db:
            db.executemany(
                "UPDATE item SET reply = ? WHERE key = ?", [(json.dumps(body), key) for key, body in replies.items()]
            )
            db.execute("UPDATE job SET state = 'done' WHERE token = ?", (token,))

    def job(self, token: str) -> StoredJob | None:
        """A job that is not settled."""
        row = self._one(
            "SELECT token, remote, created, host, process FROM job WHERE token = ? AND state IN ('sending', 'pending')",
            token,
        )
        if row is None:
            return None
        token, remote, created, host, process = row
        return StoredJob(token, remote, created, host != socket.gethostname() or _runs(process))

    def keys(self, token: str) -> list[str]:
        """The requests of a job that have no reply."""
        return [row[0] for row in self._all("SELECT key FROM item WHERE job = ? AND reply IS NULL", token)]

    def job_of(self, key: str) -> str | None:
        """The job in which a request is under way."""
        return self.states((key,))[key].job

    def states(self, keys: Iterable[str]) -> dict[str, Known]:
        """What is known of each of these requests."""
        found: dict[str, Known] = {}
        with self._lock:
            db = self._open()
            for key in keys:
                row = db.execute(
                    "SELECT item.reply, job.token, job.state FROM item LEFT JOIN job ON job.token = item.job "
                    "WHERE key = ?",
                    (key,),
                ).fetchone()
                if row is None or (row[0] is None and row[2] not in _UNDER_WAY):
                    found[key] = Known(None, None)
                else:
                    found[key] = Known(None, row[1]) if row[0] is None else Known(json.loads(row[0]), None)
        return found

    def drop(self, key: str) -> None:
        """Forget a reply that cannot be read, so that the request is sent again."""
        self._do("DELETE FROM item WHERE key = ?", key)

    def close(self) -> None:
        """Close the file; it is opened again when it is needed."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    @contextmanager
    def _writing(self) -> Generator[sqlite3.Connection]:
        with self._lock:
            db = self._open()
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")

    def _one(self, sql: str, *values: Any) -> Any:
        with self._lock:
            return self._open().execute(sql, values).fetchone()

    def _all(self, sql: str, *values: Any) -> list[Any]:
        with self._lock:
            return self._open().execute(sql, values).fetchall()

    def _do(self, sql: str, *values: Any) -> None:
        with self._lock:
            self._open().execute(sql, values)

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None and self._forks == forks():
            return self._connection
        import sqlite3

        self._forks = forks()  # the connection of the parent is the parent's

        self.path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(self.path, timeout=30, isolation_level=None, check_same_thread=False)
        try:
            self._prepare(db)
        except sqlite3.DatabaseError as error:
            db.close()
            raise ConfigError(f"the batch store {str(self.path)!r} cannot be used: {error}") from error
        except ConfigError:
            db.close()
            raise
        self._connection = db
        return db

    def _prepare(self, db: sqlite3.Connection) -> None:
        db.execute("PRAGMA synchronous = FULL")  # what waits on a provider's bill survives a power cut too
        db.execute("BEGIN IMMEDIATE")
        try:
            mark = db.execute("PRAGMA application_id").fetchone()[0]
            if mark == 0 and not db.execute("SELECT 1 FROM sqlite_master").fetchone():
                os.chmod(self.path, 0o600)
                for statement in _SCHEMA.split(";"):
                    if statement.strip():
                        db.execute(statement)
                db.execute(f"PRAGMA application_id = {_APPLICATION}")
            elif mark != _APPLICATION:
                raise ConfigError(f"{str(self.path)!r} is not a batch store but some other database: give another path")
        except BaseException:
            db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")
        old = time.time() - _KEPT
        if db.execute("SELECT 1 FROM job WHERE created < ?", (old,)).fetchone():
            db.execute("DELETE FROM item WHERE job IN (SELECT token FROM job WHERE created < ?)", (old,))
            db.execute("DELETE FROM job WHERE created < ?", (old,))

    def __del__(self) -> None:
        connection = getattr(self, "_connection", None)
        if connection is not None and self._forks == forks():
            connection.close()


def _runs(process: int) -> bool:
    """Whether a process of this machine is alive, other than this one's own id taken up again."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True

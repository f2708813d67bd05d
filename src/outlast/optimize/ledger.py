"""The durable memory of a search: one SQLite file, append-only, readable with plain SQL.

Every reply of a model is written before anything else happens with it, so a search that is killed and run again
asks no finished question twice.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from outlast.errors import StudyError
from outlast.lms.protocol import LM, Wrapper, ask
from outlast.messages import Request, Response, canonical
from outlast.optimize.candidate import Outcome

if TYPE_CHECKING:
    import sqlite3

VERSION = "1"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS example (
    id TEXT PRIMARY KEY, part TEXT NOT NULL, inputs TEXT NOT NULL, targets TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS candidate (
    id TEXT PRIMARY KEY, parent TEXT NOT NULL, origin TEXT NOT NULL, changes TEXT NOT NULL, at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS rollout (
    candidate TEXT NOT NULL, example TEXT NOT NULL, sample INTEGER NOT NULL,
    state TEXT NOT NULL, score REAL, feedback TEXT NOT NULL, parts TEXT NOT NULL, error TEXT NOT NULL,
    answered INTEGER NOT NULL, seconds REAL NOT NULL, calls INTEGER NOT NULL, cached INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, dollars REAL NOT NULL, unpriced INTEGER NOT NULL,
    outputs TEXT NOT NULL, trace TEXT NOT NULL, at REAL NOT NULL,
    PRIMARY KEY (candidate, example, sample)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS reply (
    key TEXT PRIMARY KEY, lm TEXT NOT NULL, response TEXT NOT NULL, at REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS event (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, kind TEXT NOT NULL, data TEXT NOT NULL);
"""


class Ledger:
    """The file of one search. Safe for threads; several processes may read it while one writes.

    `identity` is what the search is about; opening a file that was made for another one raises `StudyError` and
    names what differs. `path` None keeps everything in memory.
    """

    def __init__(self, path: str | os.PathLike[str] | None, identity: Mapping[str, str]) -> None:
        import sqlite3

        self.path = None if path is None else Path(path)
        self._lock = threading.RLock()
        self._error = sqlite3.Error
        try:
            if self.path is not None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            self._db: sqlite3.Connection = sqlite3.connect(
                ":memory:" if self.path is None else self.path,
                check_same_thread=False,
                isolation_level=None,
                timeout=30,
            )
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(_SCHEMA)
            self._claim(identity)
        except (sqlite3.Error, OSError) as error:
            raise StudyError(
                f"cannot open the ledger {str(path)!r}: {error}. Give another path, or move the file away."
            ) from error

    def _claim(self, identity: Mapping[str, str]) -> None:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                found = dict(self._db.execute("SELECT key, value FROM meta").fetchall())
                if not found:
                    rows = [("version", VERSION), *identity.items()]
                    self._db.executemany("INSERT INTO meta VALUES (?, ?)", rows)
            finally:
                self._db.execute("COMMIT")
        if not found:
            return
        if found.get("version") != VERSION:
            raise StudyError(f"the ledger {str(self.path)!r} has version {found.get('version')!r}, not {VERSION!r}")
        changed = [
            f"{key} (was {found.get(key)!r}, is {value!r})"
            for key, value in identity.items()
            if found.get(key) != value
        ]
        if changed:
            raise StudyError(
                f"the ledger {str(self.path)!r} belongs to another search; different: {'; '.join(changed)}. "
                f"Give another path for this one."
            )

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def _write(self, sql: str, values: tuple[Any, ...]) -> None:
        try:
            with self._lock:
                self._db.execute(sql, values)
        except self._error as error:
            raise StudyError(
                f"cannot write to the ledger {str(self.path)!r}: {error}. What was written before is kept; "
                f"mend the cause and run the same search again to go on."
            ) from error

    def _read(self, sql: str, values: tuple[Any, ...] = ()) -> list[Any]:
        try:
            with self._lock:
                return self._db.execute(sql, values).fetchall()
        except self._error as error:
            raise StudyError(f"cannot read the ledger {str(self.path)!r}: {error}") from error

    def add_example(self, example_id: str, part: str, inputs: Any, targets: Any) -> None:
        """Keep an example and the part of the data that it is in."""
        self._write(
            "INSERT OR IGNORE INTO example VALUES (?, ?, ?, ?)",
            (example_id, part, _text(inputs), _text(targets)),
        )

    def add_candidate(self, candidate: str, parent: str, origin: str, changes: Any) -> None:
        """Keep a candidate."""
        self._write(
            "INSERT OR IGNORE INTO candidate VALUES (?, ?, ?, ?, ?)",
            (candidate, parent, origin, _text(changes), time.time()),
        )

    def add_rollout(self, outcome: Outcome, spending: Mapping[str, Any], parts: Any, outputs: Any, trace: Any) -> None:
        """Keep a finished rollout."""
        self._write(
            f"INSERT OR IGNORE INTO rollout VALUES ({', '.join('?' * 19)})",
            (
                outcome.candidate,
                outcome.example,
                outcome.sample,
                outcome.state,
                outcome.score,
                outcome.feedback,
                _text(parts),
                outcome.error,
                int(outcome.answered),
                outcome.seconds,
                spending["calls"],
                spending["cached"],
                spending["input_tokens"],
                spending["output_tokens"],
                spending["dollars"],
                spending["unpriced"],
                _text(outputs),
                _text(trace),
                time.time(),
            ),
        )

    def rollouts(self) -> Iterator[Outcome]:
        """All finished rollouts."""
        rows = self._read(
            "SELECT candidate, example, sample, state, score, feedback, error, answered, seconds, calls + cached "
            "FROM rollout"
        )
        for row in rows:
            yield Outcome(*row[:7], bool(row[7]), *row[8:])

    def trace(self, candidate: str, example: str, sample: int) -> list[Any]:
        """The steps of a rollout as they were written."""
        rows = self._read(
            "SELECT trace FROM rollout WHERE candidate = ? AND example = ? AND sample = ?",
            (candidate, example, sample),
        )
        return json.loads(rows[0][0]) if rows else []

    def add_event(self, kind: str, data: Any) -> None:
        """Keep something that happened, with the time."""
        self._write("INSERT INTO event (at, kind, data) VALUES (?, ?, ?)", (time.time(), kind, _text(data)))

    def events(self, kind: str) -> list[Any]:
        """The data of all events of a kind, in order."""
        return [json.loads(row[0]) for row in self._read("SELECT data FROM event WHERE kind = ? ORDER BY id", (kind,))]

    def reply(self, key: str) -> Response | None:
        """The reply that is known for a request, or None."""
        rows = self._read("SELECT response FROM reply WHERE key = ?", (key,))
        return Response.from_json(json.loads(rows[0][0]), cache="hit") if rows else None

    def add_reply(self, key: str, lm: str, response: Response) -> None:
        """Keep a model's reply."""
        self._write(
            "INSERT OR IGNORE INTO reply VALUES (?, ?, ?, ?)",
            (key, lm, _text(response.to_json()), time.time()),
        )

    def count(self, table: str) -> int:
        """How many rows a table has."""
        if table not in ("candidate", "rollout", "reply", "example", "event"):
            raise StudyError(f"no table {table!r}")
        return self._read(f"SELECT count(*) FROM {table}")[0][0]


class Remembered(Wrapper):
    """An LM whose replies are written to a ledger as they come in and answered from it when asked again."""

    def __init__(self, inner: LM, ledger: Ledger) -> None:
        super().__init__(inner)
        self.ledger = ledger

    async def complete(self, request: Request) -> Response:
        """The known reply, or a new one, written before it is given."""
        key = hashlib.blake2b(canonical([self.identity, request.to_json()]), digest_size=16).hexdigest()
        known = self.ledger.reply(key)
        if known is not None:
            return known
        response = await ask(self.inner, request)
        self.ledger.add_reply(key, self.name, response)
        return response


def _text(data: Any) -> str:
    return canonical(data).decode()

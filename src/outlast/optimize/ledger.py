"""The durable memory of a search: one SQLite file, append-only, readable with plain SQL.

Every reply of a model is written before anything else happens with it, so a search that is killed and run again
asks no finished question twice. Texts of prompts are kept once each, under their hash.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from outlast.data.example import Example, as_json
from outlast.errors import StudyError
from outlast.messages import Message, Request, Response
from outlast.optimize.candidate import Candidate, Outcome
from outlast.optimize.verdict import KEPT_NOWHERE

if TYPE_CHECKING:
    import sqlite3

T = TypeVar("T")

VERSION = "2"
_PATIENCE = 30.0  # seconds to wait for another process that writes
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
_OUTCOME = (
    "candidate, example, sample, state, score, feedback, error, answered, seconds, calls, tokens, dollars, replies"
)
_INSERT_ROLLOUT = (
    f"INSERT OR IGNORE INTO rollout ({_OUTCOME}, parts, outputs, trace, at) VALUES ({', '.join('?' * 17)})"
)


_LONG = frozenset({"output", "tools", "questions"})  # parts of a request that stand under their hash
_encode = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":")).encode


class Form:
    """A request with its long texts under their hashes: what a reply is filed under."""

    __slots__ = ("data", "key", "shared", "texts")

    def __init__(self, key: str, data: str, texts: list[tuple[str, str]], shared: int) -> None:
        self.key = key
        self.data = data
        self.texts = texts
        self.shared = shared  # the first so many texts stand in other requests too


class Ledger:
    """The file of one search. Safe for threads, and for several processes that search at the same time.

    `identity` is what the search is about; opening a file that was made for another one raises `StudyError` and
    names what differs; `seed` is the one that splits the data, None where they were given in parts. `path` None keeps
    everything in memory. `failure` is the first error in writing: from then on nothing can be trusted to be kept.
    """

    def __init__(
        self, path: str | os.PathLike[str] | None, identity: Mapping[str, str], *, seed: int | None = None
    ) -> None:
        import sqlite3

        self.path = None if path is None else Path(path)
        self.failure: StudyError | None = None
        self._lock = threading.RLock()
        self._errors = (sqlite3.Error,)
        self._ids: dict[Message, str] = {}
        self._same: dict[int, tuple[Message, str]] = {}  # by the object: plans give the very same messages again
        self._kept: set[str] = set()
        self._run = 0
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
                self._run = self._number()
            finally:
                self._db.execute("COMMIT")
        except sqlite3.Error as error:
            self._db.close()
            raise self._unusable(error) from error
        except BaseException:
            self._db.close()
            raise

    @property
    def after_failure(self) -> str:
        """What to do when a search had to stop, in a sentence."""
        if self.path is None:
            return f"Mend the cause and run the same search again, {KEPT_NOWHERE}."
        return "What is done is kept; mend the cause and run the same search again to go on."

    def _number(self) -> int:
        """The number of this run, which no other process gets."""
        run = self._db.execute("SELECT coalesce(max(run), 0) + 1 FROM event").fetchone()[0]
        row = (run, time.time(), "open", _text({"pid": os.getpid()}))
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

    def _write(self, work: Callable[[sqlite3.Connection], T], *, many: bool = False) -> T:
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

    def _read(self, sql: str, values: tuple[Any, ...] = ()) -> list[Any]:
        try:
            with self._lock:
                return self._db.execute(sql, values).fetchall()
        except self._errors as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> StudyError:
        return StudyError(f"the ledger {str(self.path)!r} cannot be read: {error}. Move it away to start afresh.")

    def add_examples(self, part: str, examples: Iterable[Example]) -> None:
        """Keep the examples of a part of the data."""
        rows: list[tuple[str, str, str, str]] = []
        for example in examples:
            data = as_json(example)
            rows.append((data["id"], part, _text(data["inputs"]), _text(data["targets"])))
        self._write(lambda db: db.executemany("INSERT OR IGNORE INTO example VALUES (?, ?, ?, ?)", rows), many=True)

    def add_candidate(self, candidate: Candidate, changes: Any) -> None:
        """Keep a candidate with its changes as JSON holds them; what was said first about where it came from stays."""
        made = (candidate.id, candidate.parent, candidate.origin, candidate.operator, _text(candidate.cause))
        row = (*made, _text(changes), time.time())
        self._write(lambda db: db.execute("INSERT OR IGNORE INTO candidate VALUES (?, ?, ?, ?, ?, ?, ?)", row))

    def add_rollout(self, outcome: Outcome, *, parts: Any, outputs: Any, trace: Any) -> Outcome:
        """Keep a finished rollout; gives the one that counts, which another process may have written before."""
        row = (
            *(outcome.candidate, outcome.example, outcome.sample, outcome.state, outcome.score),
            *(_clean(outcome.feedback), _clean(outcome.error), int(outcome.answered), outcome.seconds),
            *(outcome.calls, outcome.tokens, outcome.dollars, _text(outcome.replies)),
            *(_text(parts), _text(outputs), _text(trace), time.time()),
        )
        if self._write(lambda db: db.execute(_INSERT_ROLLOUT, row)).rowcount:
            return outcome
        key = (outcome.candidate, outcome.example, outcome.sample)
        return next(self.rollouts("WHERE candidate = ? AND example = ? AND sample = ?", key), outcome)

    def rollouts(self, where: str = "", values: tuple[Any, ...] = ()) -> Iterator[Outcome]:
        """All finished rollouts, or those that an SQL condition names."""
        rows = self._read(f"SELECT {_OUTCOME} FROM rollout {where}", values)
        for row in rows:
            yield self._decoded(lambda row=row: _outcome(row))

    def trace(self, candidate: str, example: str, sample: int) -> list[dict[str, Any]]:
        """The steps of a rollout as they were written; empty when it is not known."""
        rows = self._read(
            "SELECT trace FROM rollout WHERE candidate = ? AND example = ? AND sample = ?",
            (candidate, example, sample),
        )
        return self._decoded(lambda: json.loads(rows[0][0])) if rows else []

    def outputs(self, candidate: str, example: str, sample: int) -> Any:
        """What a rollout gave, as it was written; None when it is not known."""
        rows = self._read(
            "SELECT outputs FROM rollout WHERE candidate = ? AND example = ? AND sample = ?",
            (candidate, example, sample),
        )
        return self._decoded(lambda: json.loads(rows[0][0])) if rows else None

    def add_event(self, kind: str, data: Any) -> None:
        """Keep something that happened in this run, with the time."""
        row = (self._run, time.time(), kind, _text(data))
        self._write(lambda db: db.execute("INSERT INTO event (run, at, kind, data) VALUES (?, ?, ?, ?)", row))

    def events(self, kind: str) -> list[Any]:
        """The data of all events of a kind, in order."""
        rows = self._read("SELECT data FROM event WHERE kind = ? ORDER BY id", (kind,))
        return [self._decoded(lambda row=row: json.loads(row[0])) for row in rows]

    def form(self, identity: str, request: Request) -> Form:
        """The key of a request to a model, and how the request is written down."""
        texts: list[tuple[str, str]] = []
        ids = [self._text_id(message, texts) for message in request.messages[:-1]]
        shared = len(texts)
        data: dict[str, Any] = {"messages": ids}
        for message in request.messages[-1:]:
            ids.append(_hashed(message.to_json(), texts))
        for name, value in request.beside_messages().items():
            data[name] = _hashed(value, texts) if name in _LONG else value
        text = _text(data)
        key = hashlib.blake2b(f"{identity}\n{text}".encode(), digest_size=16).hexdigest()
        return Form(key, text, texts, shared)

    def _text_id(self, message: Message, texts: list[tuple[str, str]]) -> str:
        """The hash of a message that many requests share, such as a demonstration."""
        same = self._same.get(id(message))
        if same is not None and same[0] is message:
            return same[1]
        found = self._ids.get(message)
        if found is None or found not in self._kept:
            found = self._ids[message] = _hashed(message.to_json(), texts)
        else:
            self._same[id(message)] = (message, found)
        return found

    def request(self, key: str) -> dict[str, Any] | None:
        """The request that a reply answers, whole again, as `Request.to_json` writes it; None when unknown."""
        rows = self._read("SELECT request FROM reply WHERE key = ?", (key,))
        if not rows:
            return None
        data = self._decoded(lambda: json.loads(rows[0][0]))
        data["messages"] = [self._content(item) for item in data["messages"]]
        for name in _LONG & data.keys():
            data[name] = self._content(data[name])
        return data

    def _content(self, text_id: str) -> Any:
        rows = self._read("SELECT content FROM text WHERE id = ?", (text_id,))
        return self._decoded(lambda: json.loads(rows[0][0]))

    def reply(self, key: str) -> Response | None:
        """The reply that is known for a request, or None; `cache` says "miss" when a model was paid for it."""
        rows = self._read("SELECT response, paid FROM reply WHERE key = ?", (key,))
        if not rows:
            return None
        text, paid = rows[0]
        return self._decoded(lambda: Response.from_json(json.loads(text), cache="miss" if paid else "hit"))

    def replies(self, keys: Sequence[str]) -> Iterator[tuple[str, Response]]:
        """The known ones among these replies."""
        for key in keys:
            response = self.reply(key)
            if response is not None:
                yield key, response

    def add_reply(self, form: Form, lm: str, response: Response) -> Response:
        """Keep a model's reply; gives the one that counts, which another process may have written before."""
        usage = response.usage
        row = (
            *(form.key, lm, response.model, form.data, _text(response.to_json()), int(response.cache == "miss")),
            *(usage.input_tokens, usage.output_tokens, usage.cost, time.time()),
        )

        def work(db: sqlite3.Connection) -> int:
            db.executemany("INSERT OR IGNORE INTO text VALUES (?, ?)", form.texts)
            return db.execute(f"INSERT OR IGNORE INTO reply VALUES ({', '.join('?' * 10)})", row).rowcount

        written = self._write(work, many=True)
        self._kept.update(text_id for text_id, _ in form.texts[: form.shared])
        return response if written else self.reply(form.key) or response

    def models(self) -> list[str]:
        """The models that answered, as they call themselves."""
        return [row[0] for row in self._read("SELECT DISTINCT model FROM reply WHERE model != '' ORDER BY model")]

    def totals(self) -> dict[str, float]:
        """What everything in the ledger has cost, over all runs; `unpriced` counts calls of unknown price."""
        row = self._read(
            "SELECT count(*), coalesce(sum(input_tokens), 0), coalesce(sum(output_tokens), 0), "
            "coalesce(sum(dollars), 0.0), count(*) - count(dollars) FROM reply WHERE paid"
        )[0]
        return dict(zip(("calls", "input_tokens", "output_tokens", "dollars", "unpriced"), row, strict=True))

    def unpriced(self, candidate: str) -> int:
        """How many replies of a candidate's rollouts have no known price."""
        sql = (
            "SELECT count(*) FROM reply WHERE dollars IS NULL AND key IN "
            "(SELECT one.value FROM rollout, json_each(rollout.replies) AS one WHERE candidate = ?)"
        )
        return self._read(sql, (candidate,))[0][0]

    def last_change(self) -> float:
        """When the last reply or rollout was written, in seconds since the epoch; 0 when there is none."""
        sql = "SELECT coalesce(max(at), 0.0) FROM (SELECT at FROM reply UNION ALL SELECT at FROM rollout)"
        return self._read(sql)[0][0]

    def count(self, table: str) -> int:
        """How many rows a table has."""
        if table not in TABLES:
            raise StudyError(f"a ledger has no table {table!r}; tables: {', '.join(TABLES)}")
        return self._read(f"SELECT count(*) FROM {table}")[0][0]

    def _decoded(self, decode: Callable[[], T]) -> T:
        try:
            return decode()
        except (ValueError, TypeError, KeyError, IndexError) as error:
            raise self._damaged(error) from error


def _outcome(row: tuple[Any, ...]) -> Outcome:
    candidate, example, sample, state, score, feedback, error, answered, seconds, calls, tokens, dollars, replies = row
    return Outcome(
        *(candidate, example, sample, state, score, feedback, error, bool(answered)),
        *(seconds, calls, tokens, dollars, tuple(json.loads(replies))),
    )


def _hashed(data: Any, texts: list[tuple[str, str]]) -> str:
    content = _text(data)
    text_id = hashlib.blake2b(content.encode(), digest_size=12).hexdigest()
    texts.append((text_id, content))
    return text_id


def _text(data: Any) -> str:
    """JSON in the order given, which is the order that prompts show; lone surrogates escaped."""
    return _clean(_encode(data))


def _clean(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _short(value: object) -> str:
    """A value for people, hashes in eight digits."""
    return re.sub(r"[0-9a-f]{16,}", lambda match: match.group()[:8], repr(value))

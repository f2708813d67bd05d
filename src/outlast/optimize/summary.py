"""Reading the ledger of a search without taking part in it: who was tried, how each did, what it cost."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from outlast.errors import StudyError
from outlast.messages import Response, Spending
from outlast.optimize.study import Point

if TYPE_CHECKING:
    import sqlite3

T = TypeVar("T")

_MAGIC = b"SQLite format 3\0"
_TABLES = {"meta", "example", "candidate", "rollout", "reply", "text", "event"}


@dataclass(frozen=True, slots=True)
class Tried:
    """One candidate of a search. It was run on `n` of the selection examples, with this `mean` score.

    A search shows its candidates the same examples in the same order and drops those that fall behind, so a smaller
    `n` is an earlier end. `mean` is None when it was never ranked. `changes` are the parameters it sets, JSON-ready.
    """

    id: str
    parent: str
    origin: str
    n: int
    mean: float | None
    rollouts: int
    errors: int
    changes: Mapping[str, Any]
    operator: str = ""
    cause: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Summary:
    """A ledger at a glance: what it is about, its candidates (best first), its curve, and what all of it cost.

    `record` is what the last finished compile wrote about itself, None when none has finished.
    """

    about: Mapping[str, str]
    parts: Mapping[str, int]
    candidates: tuple[Tried, ...]
    points: tuple[Point, ...]
    rollouts: int
    states: Mapping[str, int]
    spending: Spending
    failures: int
    record: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Answered:
    """One rollout of an example: its state, score, outputs (JSON-ready) and the metric's words."""

    state: str
    score: float | None
    outputs: Any
    feedback: str

    @property
    def value(self) -> float:
        """The score to sort by; no score counts as 0."""
        return self.score or 0.0


@dataclass(frozen=True, slots=True)
class Pair:
    """An example as two candidates answered it."""

    example: str
    inputs: Mapping[str, Any]
    targets: Mapping[str, Any]
    before: Answered
    after: Answered

    @property
    def change(self) -> float:
        """How much the score rose."""
        return self.after.value - self.before.value


def is_database(path: str | os.PathLike[str]) -> bool:
    """Whether a file begins like an SQLite database."""
    try:
        with open(path, "rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


def summarize(path: str | os.PathLike[str]) -> Summary:
    """The summary of a ledger file, which is only read; a search may be writing to it. Raises `StudyError`."""
    return reading(path, summary_of)


def changed_examples(path: str | os.PathLike[str], before: str, after: str, part: str = "confirm") -> tuple[Pair, ...]:
    """The examples of a part of the data whose score differs between two candidates, the greatest gain first.

    Raises `StudyError` when the file is no ledger. Cost: no LM call.
    """

    def read(db: sqlite3.Connection) -> tuple[Pair, ...]:
        rows = db.execute(
            """
            SELECT e.id, e.inputs, e.targets, a.state, CASE WHEN a.answered THEN a.score ELSE 0.0 END AS was, a.outputs,
                   a.feedback || a.error, b.state, CASE WHEN b.answered THEN b.score ELSE 0.0 END AS now, b.outputs,
                   b.feedback || b.error
            FROM example e
            JOIN rollout a ON a.example = e.id AND a.candidate = ? AND a.sample = 0
            JOIN rollout b ON b.example = e.id AND b.candidate = ? AND b.sample = 0
            WHERE e.part = ? AND was <> now ORDER BY now - was DESC, e.id
            """,
            (before, after, part),
        ).fetchall()
        return tuple(
            Pair(
                row[0],
                json.loads(row[1]),
                json.loads(row[2]),
                Answered(row[3], row[4], json.loads(row[5]), row[6]),
                Answered(row[7], row[8], json.loads(row[9]), row[10]),
            )
            for row in rows
        )

    return reading(path, read)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One question as it was sent and the reply: turns as (role, text)."""

    turns: tuple[tuple[str, str], ...]
    reply: str

    @property
    def length(self) -> int:
        """Characters sent."""
        return sum(len(text) for _, text in self.turns)


def exchanges(path: str | os.PathLike[str], candidate: str, example: str) -> tuple[Exchange, ...]:
    """What a candidate sent to models for an example, to the letter, and what they answered; in order."""

    def read(db: sqlite3.Connection) -> tuple[Exchange, ...]:
        sql = "SELECT replies FROM rollout WHERE candidate = ? AND example = ? AND sample = 0"
        rows = db.execute(sql, (candidate, example)).fetchall()
        keys: list[str] = json.loads(rows[0][0]) if rows else []
        return tuple(_exchange(db, key) for key in keys)

    return reading(path, read)


def _exchange(db: sqlite3.Connection, key: str) -> Exchange:
    request, response = db.execute("SELECT request, response FROM reply WHERE key = ?", (key,)).fetchone()
    turns: list[tuple[str, str]] = []
    for text_id in json.loads(request)["messages"]:
        (content,) = db.execute("SELECT content FROM text WHERE id = ?", (text_id,)).fetchone()
        message = json.loads(content)
        text = message["content"]
        turns.append((message["role"], text if isinstance(text, str) else json.dumps(text, ensure_ascii=False)))
    return Exchange(tuple(turns), json.loads(response)["text"])


def scores(path: str | os.PathLike[str], candidate: str, part: str) -> list[float]:
    """The scores of a candidate on a part of the data, as far as they are known; no usable answer is 0."""

    def read(db: sqlite3.Connection) -> list[float]:
        rows = db.execute(
            "SELECT CASE WHEN r.answered THEN r.score ELSE 0.0 END AS score FROM rollout r JOIN example e "
            "ON e.id = r.example WHERE r.candidate = ? AND e.part = ? AND r.sample = 0 AND score IS NOT NULL",
            (candidate, part),
        )
        return [row[0] for row in rows]

    return reading(path, read)


def values_of(path: str | os.PathLike[str], candidate: str, part: str) -> dict[str, float]:
    """The score of a candidate on each example of a part that it was run on, draws averaged; no answer is 0."""

    def read(db: sqlite3.Connection) -> dict[str, float]:
        rows = db.execute(
            "SELECT e.id, avg(CASE WHEN r.answered THEN r.score ELSE 0.0 END) AS score FROM rollout r JOIN example e "
            "ON e.id = r.example WHERE r.candidate = ? AND e.part = ? GROUP BY e.id HAVING score IS NOT NULL",
            (candidate, part),
        )
        return dict(rows.fetchall())

    return reading(path, read)


def failures_of(path: str | os.PathLike[str], candidate: str, examples: Sequence[str]) -> list[dict[str, Any]]:
    """How a candidate did on these examples, as texts and the score; examples that the ledger lacks are left out."""

    def read(db: sqlite3.Connection) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for key in examples:
            sql = (
                "SELECT e.inputs, e.targets, r.outputs, r.feedback || r.error, "
                "CASE WHEN r.answered THEN r.score ELSE 0.0 END FROM example e LEFT JOIN rollout r "
                "ON r.example = e.id AND r.candidate = ? WHERE e.id = ? ORDER BY r.sample LIMIT 1"
            )
            for inputs, expected, got, said, score in db.execute(sql, (candidate, key)):
                texts = {"inputs": inputs, "expected": expected, "got": got or "", "said": said or ""}
                found.append({"example": key, **texts, "score": score})
        return found

    return reading(path, read)


def replies_by_model(path: str | os.PathLike[str]) -> dict[str, list[Response]]:
    """The replies in a ledger that were paid for, by the model that answered. Raises `StudyError`."""

    def read(db: sqlite3.Connection) -> dict[str, list[Response]]:
        found: dict[str, list[Response]] = {}
        for lm, model, text in db.execute("SELECT lm, model, response FROM reply WHERE paid"):
            found.setdefault(model or lm, []).append(Response.from_json(json.loads(text)))
        return found

    return reading(path, read)


def reading(path: str | os.PathLike[str], read: Callable[[sqlite3.Connection], T]) -> T:
    """What `read` finds in a ledger file, which is only read. Raises `StudyError` for a file that is none."""
    import sqlite3

    target = Path(path)
    if not target.is_file():
        raise StudyError(f"no ledger at {str(target)!r}")
    # Not mode=ro: the last reader tidies up the files that SQLite keeps beside a ledger, where it may write.
    uri = f"file:{quote(str(target.absolute()))}?mode=rw"
    try:
        with closing(sqlite3.connect(uri, uri=True, timeout=10)) as db:
            db.execute("PRAGMA query_only = 1")
            missing = _TABLES - {row[0] for row in db.execute("SELECT name FROM sqlite_master")}
            if missing:
                raise StudyError(f"{str(target)!r} is no ledger: it has no table {', '.join(sorted(missing))}")
            return read(db)
    except (sqlite3.Error, ValueError, TypeError, KeyError) as error:
        if isinstance(error, StudyError):
            raise
        raise StudyError(f"cannot read the ledger {str(target)!r}: {error}") from error


def summary_of(db: sqlite3.Connection) -> Summary:
    """The summary of an open ledger."""
    parts = dict(db.execute("SELECT part, count(*) FROM example GROUP BY part").fetchall())
    records = db.execute("SELECT data FROM event WHERE kind = 'report' ORDER BY id DESC LIMIT 1").fetchall()
    spent = db.execute(
        "SELECT count(*), total(input_tokens), total(output_tokens), total(dollars), count(*) - count(dollars), "
        "count(*) - count(input_tokens) FROM reply WHERE paid"
    ).fetchone()
    return Summary(
        about=dict(db.execute("SELECT key, value FROM meta").fetchall()),
        parts=parts,
        candidates=_candidates(db),
        points=_last_run(db),
        rollouts=db.execute("SELECT count(*) FROM rollout").fetchone()[0],
        states=dict(db.execute("SELECT state, count(*) FROM rollout GROUP BY state").fetchall()),
        spending=Spending(
            calls=spent[0],
            input_tokens=int(spent[1]),
            output_tokens=int(spent[2]),
            dollars=spent[3],
            unpriced=spent[4],
            untold=spent[5],
        ),
        failures=db.execute("SELECT count(*) FROM event WHERE kind = 'failure'").fetchone()[0],
        record=json.loads(records[0][0]) if records else None,
    )


def _candidates(db: sqlite3.Connection) -> tuple[Tried, ...]:
    """Ranked as a race ranks: who lasted longer first, then by the mean; answers that nobody could use count as 0."""
    rows = db.execute(
        """
        SELECT c.id, c.parent, c.origin, c.operator, c.cause, c.changes,
               count(CASE WHEN e.part = 'select' THEN 1 END),
               avg(CASE WHEN e.part = 'select' THEN CASE WHEN r.answered THEN r.score ELSE 0.0 END END),
               count(r.example), count(CASE WHEN r.state = 'error' THEN 1 END)
        FROM candidate c LEFT JOIN rollout r ON r.candidate = c.id AND r.sample = 0
        LEFT JOIN example e ON e.id = r.example
        GROUP BY c.id ORDER BY min(c.at), c.rowid
        """
    ).fetchall()
    tried = [
        Tried(key, parent, origin, n, mean, rollouts, errors, json.loads(changes), operator, tuple(json.loads(cause)))
        for key, parent, origin, operator, cause, changes, n, mean, rollouts, errors in rows
    ]
    return tuple(sorted(tried, key=lambda one: (-one.n, -(one.mean or 0.0))))


def _last_run(db: sqlite3.Connection) -> tuple[Point, ...]:
    """The curve of the last run that has one: a search that is run again writes its points again, from the start."""
    rows = db.execute(
        "SELECT data FROM event WHERE kind = 'point' AND run = (SELECT max(run) FROM event WHERE kind = 'point') "
        "ORDER BY id"
    )
    return tuple(Point(**json.loads(text)) for (text,) in rows)

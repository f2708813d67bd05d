"""The durable memory of a search: one SQLite file, append-only, readable with plain SQL.

Every reply of a model is written before anything else happens with it, so a search that is killed and run again
asks no finished question twice. Texts of prompts are kept once each, under their hash.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from outlast.data.example import Example, as_json
from outlast.errors import StudyError
from outlast.messages import Message, Request, Response
from outlast.optimize.candidate import Candidate, Outcome
from outlast.optimize.ledger_file import TABLES, LedgerFile, as_text, clean
from outlast.optimize.verdict import KEPT_NOWHERE

if TYPE_CHECKING:
    import sqlite3

_OUTCOME = (
    "candidate, example, sample, state, score, feedback, error, answered, seconds, calls, tokens, dollars, replies"
)
_INSERT_ROLLOUT = (
    f"INSERT OR IGNORE INTO rollout ({_OUTCOME}, parts, outputs, trace, at) VALUES ({', '.join('?' * 17)})"
)
_LONG = frozenset({"output", "tools", "questions"})  # parts of a request that stand under their hash


class Form:
    """A request with its long texts under their hashes: what a reply is filed under."""

    __slots__ = ("data", "key", "shared", "texts")

    def __init__(self, key: str, data: str, texts: list[tuple[str, str]], shared: int) -> None:
        self.key = key
        self.data = data
        self.texts = texts
        self.shared = shared  # the first so many texts stand in other requests too


class Ledger:
    """What one search keeps in its file. Safe for threads, and for several processes that search at the same time.

    `identity` is what the search is about; opening a file that was made for another one raises `StudyError` and
    names what differs; `seed` is the one that splits the data, None where they were given in parts. `path` None keeps
    everything in memory. `failure` is the first error in writing: from then on nothing can be trusted to be kept.
    """

    def __init__(
        self, path: str | os.PathLike[str] | None, identity: Mapping[str, str], *, seed: int | None = None
    ) -> None:
        self._file = LedgerFile(path, identity, seed)
        self._ids: dict[Message, str] = {}
        self._same: dict[int, tuple[Message, str]] = {}  # by the object: plans give the very same messages again
        self._kept: set[str] = set()

    @property
    def path(self) -> Path | None:
        """The file; None in memory."""
        return self._file.path

    @property
    def failure(self) -> StudyError | None:
        """The first error in writing."""
        return self._file.failure

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @property
    def after_failure(self) -> str:
        """What to do when a search had to stop, in a sentence."""
        if self.path is None:
            return f"Mend the cause and run the same search again, {KEPT_NOWHERE}."
        return "What is done is kept; mend the cause and run the same search again to go on."

    def add_examples(self, part: str, examples: Iterable[Example]) -> None:
        """Keep the examples of a part of the data."""
        rows: list[tuple[str, str, str, str]] = []
        for example in examples:
            data = as_json(example)
            rows.append((data["id"], part, as_text(data["inputs"]), as_text(data["targets"])))
        self._file.write(
            lambda db: db.executemany("INSERT OR IGNORE INTO example VALUES (?, ?, ?, ?)", rows), many=True
        )

    def add_candidate(self, candidate: Candidate, changes: Any) -> None:
        """Keep a candidate with its changes as JSON holds them; what was said first about where it came from stays."""
        made = (candidate.id, candidate.parent, candidate.origin, candidate.operator, as_text(candidate.cause))
        row = (*made, as_text(changes), time.time())
        self._file.write(lambda db: db.execute("INSERT OR IGNORE INTO candidate VALUES (?, ?, ?, ?, ?, ?, ?)", row))

    def add_rollout(self, outcome: Outcome, *, parts: Any, outputs: Any, trace: Any) -> Outcome:
        """Keep a finished rollout; gives the one that counts, which another process may have written before."""
        row = (
            *(outcome.candidate, outcome.example, outcome.sample, outcome.state, outcome.score),
            *(clean(outcome.feedback), clean(outcome.error), int(outcome.answered), outcome.seconds),
            *(outcome.calls, outcome.tokens, outcome.dollars, as_text(outcome.replies)),
            *(as_text(parts), as_text(outputs), as_text(trace), time.time()),
        )
        if self._file.write(lambda db: db.execute(_INSERT_ROLLOUT, row)).rowcount:
            return outcome
        key = (outcome.candidate, outcome.example, outcome.sample)
        return next(self.rollouts("WHERE candidate = ? AND example = ? AND sample = ?", key), outcome)

    def rollouts(self, where: str = "", values: tuple[Any, ...] = ()) -> Iterator[Outcome]:
        """All finished rollouts, or those that an SQL condition names."""
        rows = self._file.read(f"SELECT {_OUTCOME} FROM rollout {where}", values)
        for row in rows:
            yield self._file.decoded(lambda row=row: _outcome(row))

    def trace(self, candidate: str, example: str, sample: int) -> list[dict[str, Any]]:
        """The steps of a rollout as they were written; empty when it is not known."""
        rows = self._file.read(
            "SELECT trace FROM rollout WHERE candidate = ? AND example = ? AND sample = ?",
            (candidate, example, sample),
        )
        return self._file.decoded(lambda: json.loads(rows[0][0])) if rows else []

    def outputs(self, candidate: str, example: str, sample: int) -> Any:
        """What a rollout gave, as it was written; None when it is not known."""
        rows = self._file.read(
            "SELECT outputs FROM rollout WHERE candidate = ? AND example = ? AND sample = ?",
            (candidate, example, sample),
        )
        return self._file.decoded(lambda: json.loads(rows[0][0])) if rows else None

    def add_event(self, kind: str, data: Any) -> None:
        """Keep something that happened in this run, with the time."""
        row = (self._file.run, time.time(), kind, as_text(data))
        self._file.write(lambda db: db.execute("INSERT INTO event (run, at, kind, data) VALUES (?, ?, ?, ?)", row))

    def events(self, kind: str) -> list[Any]:
        """The data of all events of a kind, in order."""
        rows = self._file.read("SELECT data FROM event WHERE kind = ? ORDER BY id", (kind,))
        return [self._file.decoded(lambda row=row: json.loads(row[0])) for row in rows]

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
        text = as_text(data)
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
        rows = self._file.read("SELECT request FROM reply WHERE key = ?", (key,))
        if not rows:
            return None
        data = self._file.decoded(lambda: json.loads(rows[0][0]))
        data["messages"] = [self._content(item) for item in data["messages"]]
        for name in _LONG & data.keys():
            data[name] = self._content(data[name])
        return data

    def _content(self, text_id: str) -> Any:
        rows = self._file.read("SELECT content FROM text WHERE id = ?", (text_id,))
        return self._file.decoded(lambda: json.loads(rows[0][0]))

    def reply(self, key: str) -> Response | None:
        """The reply that is known for a request, or None; `cache` says "miss" when a model was paid for it."""
        rows = self._file.read("SELECT response, paid FROM reply WHERE key = ?", (key,))
        if not rows:
            return None
        text, paid = rows[0]
        return self._file.decoded(lambda: Response.from_json(json.loads(text), cache="miss" if paid else "hit"))

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
            *(form.key, lm, response.model, form.data, as_text(response.to_json()), int(response.cache == "miss")),
            *(usage.input_tokens, usage.output_tokens, usage.cost, time.time()),
        )

        def work(db: sqlite3.Connection) -> int:
            db.executemany("INSERT OR IGNORE INTO text VALUES (?, ?)", form.texts)
            return db.execute(f"INSERT OR IGNORE INTO reply VALUES ({', '.join('?' * 10)})", row).rowcount

        written = self._file.write(work, many=True)
        self._kept.update(text_id for text_id, _ in form.texts[: form.shared])
        return response if written else self.reply(form.key) or response

    def models(self) -> list[str]:
        """The models that answered, as they call themselves."""
        return [row[0] for row in self._file.read("SELECT DISTINCT model FROM reply WHERE model != '' ORDER BY model")]

    def totals(self) -> dict[str, float]:
        """What everything in the ledger has cost, over all runs; `unpriced` counts calls of unknown price."""
        row = self._file.read(
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
        return self._file.read(sql, (candidate,))[0][0]

    def last_change(self) -> float:
        """When the last reply or rollout was written, in seconds since the epoch; 0 when there is none."""
        sql = "SELECT coalesce(max(at), 0.0) FROM (SELECT at FROM reply UNION ALL SELECT at FROM rollout)"
        return self._file.read(sql)[0][0]

    def count(self, table: str) -> int:
        """How many rows a table has."""
        if table not in TABLES:
            raise StudyError(f"a ledger has no table {table!r}; tables: {', '.join(TABLES)}")
        return self._file.read(f"SELECT count(*) FROM {table}")[0][0]


def _outcome(row: tuple[Any, ...]) -> Outcome:
    candidate, example, sample, state, score, feedback, error, answered, seconds, calls, tokens, dollars, replies = row
    return Outcome(
        *(candidate, example, sample, state, score, feedback, error, bool(answered)),
        *(seconds, calls, tokens, dollars, tuple(json.loads(replies))),
    )


def _hashed(data: Any, texts: list[tuple[str, str]]) -> str:
    content = as_text(data)
    text_id = hashlib.blake2b(content.encode(), digest_size=12).hexdigest()
    texts.append((text_id, content))
    return text_id

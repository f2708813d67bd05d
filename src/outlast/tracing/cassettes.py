"""Stored exchanges as a cassette: a small file of JSON lines for tests, to be reviewed in git."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from outlast.data.files import write_lines
from outlast.errors import DataError
from outlast.lms.caching.tape import written
from outlast.messages import Response
from outlast.tracing.answering import answer_of
from outlast.tracing.exchanges import exchanges, find, kind_of
from outlast.tracing.store import Store, open_store


@dataclass(frozen=True, slots=True)
class WrittenCassette:
    """What became of exchanges: `repeated` gave the same answer to the same request again, `failed` brought none."""

    path: str
    exchanges: int
    repeated: int
    failed: int

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {name: getattr(self, name) for name in self.__slots__}

    def __str__(self) -> str:
        left = [
            f"{self.repeated} repeated" * bool(self.repeated),
            f"{self.failed} without an answer" * bool(self.failed),
        ]
        told = ", ".join(one for one in left if one)
        return f"{self.exchanges} exchanges in {self.path}" + (f" (left out: {told})" if told else "")


def write_cassette(source: Store | str | os.PathLike[str], id: str, path: str | os.PathLike[str]) -> WrittenCassette:
    """Write what a run, a trace or a span exchanged with models as a cassette, which `ol.testing.replay` and
    `ol.Cassette` answer from.

    The exchanges stand in the order in which they began, one a line, with the model's name. A request whose answers
    were all the same stands there once; errors do not. No secret does: they are not in the store. Raises `DataError`
    where there is nothing to write.
    """
    store = source if isinstance(source, Store) else open_store(source, read_only=True)
    try:
        record = find(store, id)
        found = [answer_of(kept) for kept in exchanges(store, record)]
    finally:
        if store is not source:
            store.close()
    answers = [one for one in found if one is not None and one.response is not None]
    if not answers:
        raise DataError(f"the {kind_of(record)} {record.id} holds no answer of a model")
    said: dict[bytes, set[Any]] = {}
    for one in answers:
        said.setdefault(one.key, set()).add(_words(one.response))
    lines: list[str] = []
    seen: set[bytes] = set()
    for one in answers:
        if one.key in seen and len(said[one.key]) == 1:
            continue
        seen.add(one.key)
        assert one.response is not None
        lines.append(
            written({"model": one.asked["model"], "name": one.name, "request": one.asked["request"]}, one.response)
        )
    write_lines(os.fspath(path), lines)
    return WrittenCassette(os.fspath(path), len(lines), len(answers) - len(lines), len(found) - len(answers))


def _words(response: Response | None) -> Any:
    return None if response is None else (response.text, response.tool_calls, response.decisions)

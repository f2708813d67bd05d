"""What users say of an answer: a label on its trace, from the id alone."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from outlast.errors import DataError, UsageError, brief
from outlast.tracing.database import database_at
from outlast.tracing.record import LabelRecord
from outlast.tracing.store import Store
from outlast.tracing.switch import store_in_use
from outlast.tracing.writer import writer_at


def feedback(
    trace: str | Any,
    value: str | float | bool | None,
    *,
    name: str = "feedback",
    note: str = "",
    author: str = "",
    source: str = "user",
    tags: Sequence[str] = (),
    store: Store | str | os.PathLike[str] | None = None,
) -> LabelRecord:
    """Keep what somebody says of an answer: a thumb, a grade, the right value.

        ol.feedback(out, True)                                    # where the answer is at hand
        ol.feedback(trace_id, "fail", note="wrong team", author="ann")  # elsewhere, later, by another process

    `trace` is the id of a trace (`out.trace.id`, which a web page can carry), or what a program gave while its trace
    was kept. `value` is "pass", "fail" or any text, number, truth value or None. A label under the `name` of an output
    is the right value of that output, see `examples_from_traces`. The newest of an `author` under a name counts.
    `source` is "user", "human" (somebody who reviews), "judge", "code" or "classifier". `store` is the one in use
    unless given. It takes some milliseconds, at most two seconds more for a trace that has only just ended and is not
    written yet; in async code call it by `asyncio.to_thread`.

    Raises `DataError` for an id that the store does not hold (the whole id: a part of one is refused), `UsageError`
    for a value or source that is none, `ConfigError` where no store is in use.
    """
    id = _id_of(trace)
    opened = store if isinstance(store, Store) else Store(_database(store))
    try:
        if len(id) != 32 or opened.trace(id).id != id:
            raise DataError(f"{brief(id)} is no id of a trace: those have 32 hexadecimal digits (out.trace.id)")
        return opened.add_label(id, value, name=name, note=note, tags=tags, author=author, source=source)
    finally:
        writer = writer_at(opened.database)
        if opened is not store and (writer is None or writer.database is not opened.database):
            opened.close()


def _database(store: str | os.PathLike[str] | None) -> Any:
    """The database, that of the running writer where there is one, whose connections are open."""
    found = database_at(store_in_use() if store is None else store)
    writer = writer_at(found)
    return found if writer is None else writer.database


def _id_of(trace: Any) -> str:
    if isinstance(trace, str):
        return trace
    found = getattr(getattr(trace, "trace", None), "id", None)
    if not isinstance(found, str):
        raise UsageError(f"feedback is about the id of a trace, or about what a program gave; got {brief(trace)}")
    if not found:
        raise DataError("the trace of this answer was not kept: no store of traces was in use when it was made")
    return found

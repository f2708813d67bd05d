"""What a search of the store looks through: for each trace that has ended the text that went in and came out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, cast

import sqlalchemy as sa

from outlast.tracing import schema, words
from outlast.tracing.content import load_blobs, load_messages
from outlast.tracing.packing import storable, unpacked
from outlast.tracing.passages import BEGIN, END, FRAME

_MOST = 20_000  # characters of a trace that can be searched
_LATE = 600.0  # seconds after which a trace that has not ended is indexed as it is


def index(connection: sa.Connection, most: int, now: float) -> bool:
    """Index up to so many traces; False when none waits."""
    traces, labels = schema.traces, schema.labels
    waiting = connection.execute(
        sa.select(traces.c.seq, traces.c.id, traces.c.input, traces.c.output, traces.c.error, traces.c.tags)
        .where(sa.text("indexed = 0"), sa.or_(traces.c.status != "open", traces.c.started < now - _LATE))
        .order_by(traces.c.seq)
        .limit(most)
    ).all()
    if not waiting:
        return False
    bodies = _bodies(connection, [row.id for row in waiting])
    frames = _frames(connection, [row.id for row in waiting])
    notes: dict[str, list[str]] = {}
    noted = sa.select(labels.c.trace_id, labels.c.note).where(
        labels.c.trace_id.in_([row.id for row in waiting]), labels.c.undone.is_(None), labels.c.note != ""
    )
    for trace_id, note in connection.execute(noted):
        notes.setdefault(trace_id, []).append(note)
    found: list[tuple[int, str]] = []
    for row in waiting:
        body = [text for text in bodies.get(row.id, ()) if text] or [row.input, row.output]
        texts = dict.fromkeys([row.error, *body, " ".join(json.loads(row.tags)), *notes.get(row.id, ())])
        said = _joined(texts)[:_MOST]
        if row.id in frames:
            said = f"{said}\n{FRAME}\n{_joined(frames[row.id])}"[:_MOST]
        found.append((row.seq, storable(said)))
    put(connection, found)
    connection.execute(sa.update(traces).where(traces.c.seq.in_([row.seq for row in waiting])).values(indexed=1))
    return True


def _joined(texts: Iterable[str]) -> str:
    return "\n".join(text for text in texts if text).replace("\0", " ").replace(FRAME, " ")


def put(connection: sa.Connection, found: list[tuple[int, str]]) -> None:
    """Make these the texts of traces, by their `seq`."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("DELETE FROM trace_text WHERE rowid = ?", [(seq,) for seq, _ in found])
        texts = [(seq, words.spaced(body)) for seq, body in found]
        connection.exec_driver_sql("INSERT INTO trace_text (rowid, body) VALUES (?, ?)", texts)
        return
    connection.exec_driver_sql(
        "INSERT INTO trace_text (seq, body, words) VALUES (%s, %s, CAST(%s AS tsvector)) "
        "ON CONFLICT (seq) DO UPDATE SET body = excluded.body, words = excluded.words",
        [(seq, body, words.vector(body)) for seq, body in found],
    )


def find(connection: sa.Connection, typed: str, limit: int) -> list[tuple[int, str]]:
    """The traces that hold what a person typed, newest first: the `seq` of each, and its text with `BEGIN` and `END`
    around what was found."""
    lite = connection.dialect.name == "sqlite"
    query = words.lite_query(typed) if lite else words.vector_query(typed)
    if not query:
        return []
    if lite:
        statement = (
            f"SELECT rowid, highlight(trace_text, 0, '{BEGIN}', '{END}') FROM trace_text "
            "WHERE trace_text MATCH ? ORDER BY rowid DESC LIMIT ?"
        )
        return [
            (seq, text.replace(words.BETWEEN, ""))
            for seq, text in connection.exec_driver_sql(statement, (query, limit))
        ]
    statement = "SELECT seq, body FROM trace_text WHERE words @@ CAST(%s AS tsquery) ORDER BY seq DESC LIMIT %s"
    return [(seq, words.marked(body, typed)) for seq, body in connection.exec_driver_sql(statement, (query, limit))]


def holding(lite: bool, typed: str) -> sa.ColumnElement[bool]:
    """The condition that a trace holds what a person typed; false when no word is in that."""
    query = words.lite_query(typed) if lite else words.vector_query(typed)
    if not query:
        return sa.false()
    inner = (
        "seq IN (SELECT rowid FROM trace_text WHERE trace_text MATCH :words)"
        if lite
        else "traces.seq IN (SELECT seq FROM trace_text WHERE words @@ CAST(:words AS tsquery))"
    )
    return cast("sa.ColumnElement[bool]", sa.text(inner).bindparams(words=query))


def _bodies(connection: sa.Connection, ids: list[str]) -> dict[str, list[str]]:
    """The texts of traces: what their parts were given and gave, in order.

    A prompt that a module wrote holds what the module was given, in a frame that nobody looks for, and the reply what
    it gave; so of such an exchange only what stands nowhere else is taken: the reasoning, and a reply that was refused.
    """
    spans = schema.spans
    columns = (spans.c.kind, spans.c.path, spans.c.signature, spans.c.status, spans.c.error, spans.c.request_tail)
    keys = (spans.c.inputs_key, spans.c.outputs_key, spans.c.response_key)
    rows = connection.execute(
        sa.select(spans.c.trace_id, *columns, *keys).where(spans.c.trace_id.in_(ids)).order_by(spans.c.started)
    ).all()
    alone = {row.request_tail for row in rows if _direct(row)} - {None}
    wanted = {key for row in rows for key in (row.inputs_key, row.outputs_key, row.response_key) if key is not None}
    blobs = load_blobs(connection, wanted)
    tails = load_messages(connection, alone, depth=1)
    found: dict[str, list[str]] = {}
    for row in rows:
        texts = found.setdefault(row.trace_id, [])
        if row.kind != "lm":
            texts.extend(_texts([blobs.get(row.inputs_key), blobs.get(row.outputs_key)]))
        elif _direct(row) and row.request_tail in tails:
            texts.extend(_texts(tails[row.request_tail][1]))
        response = blobs.get(row.response_key)
        if isinstance(response, Mapping):
            told = cast("Mapping[str, Any]", response)
            texts.extend(_texts(told.get("reasoning")))
            if _direct(row) or row.status != "ok":
                texts.extend(_texts([told.get("text"), told.get("tool_calls")]))
        texts.append(row.error)
    return found


def _direct(row: Any) -> bool:
    """Whether an exchange was made by no module, so that its prompt stands nowhere else."""
    return row.path is None or not row.signature


def _frames(connection: sa.Connection, ids: list[str]) -> dict[str, list[str]]:
    """The system prompts of traces, where they were first seen: they stand in all that follow, too."""
    messages = schema.messages
    found: dict[str, list[str]] = {}
    first = connection.execute(
        sa.select(messages.c.first_trace, messages.c.codec, messages.c.data).where(
            messages.c.first_trace.in_(ids), sa.text("role = 'system'")
        )
    )
    for trace_id, codec, data in first:
        found.setdefault(trace_id, []).extend(_texts(unpacked(codec, bytes(data))))
    return found


def _texts(data: Any) -> Iterable[str]:
    if isinstance(data, str):
        yield data
    elif isinstance(data, Mapping):
        parts = cast("Mapping[str, Any]", data)
        kept = (
            {name: part for name, part in parts.items() if name not in ("data", "base64")} if "type" in parts else parts
        )
        for part in kept.values():
            yield from _texts(part)
    elif isinstance(data, list):
        for part in cast("list[Any]", data):
            yield from _texts(part)

"""The log of the `llm` command line: both of its forms, turns that share messages and responses that stand alone."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from outlast.errors import DataError, UsageError, brief
from outlast.messages import Message, Response, TextPart, Usage
from outlast.messages.parts import Part
from outlast.tracing.imports import gathered
from outlast.tracing.imports.files import database, readable, tables_of
from outlast.tracing.imports.gathered import Reading, mapping, moment, number, preview, text, whole
from outlast.tracing.record import Content, RunRecord, SpanRecord, TraceRecord
from outlast.tracing.saving import WholeTrace
from outlast.types import Audio, File, Image, Tool
from outlast.types.media import MOST_BYTES

_CROCKFORD: Final = {letter: value for value, letter in enumerate("0123456789abcdefghjkmnpqrstvwxyz")}
_TURNS = {"id", "thread_id", "parent_message_hash", "tip_message_hash", "model"}
_RESPONSES = {"id", "model", "prompt", "response"}


def log_place() -> Path:
    """Where `llm` keeps its log: LLM_USER_PATH, else the folder of its application."""
    told = os.environ.get("LLM_USER_PATH")
    if told:
        return Path(told) / "logs.db"
    home, name = Path.home(), "io.datasette.llm"
    if sys.platform == "win32":
        return Path(os.environ.get("APPDATA", str(home))) / name / "logs.db"
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / name / "logs.db"
    return Path(os.environ.get("XDG_CONFIG_HOME", str(home / ".config"))) / name / "logs.db"


def read_llm(path: str | Path | None = None, *, since: str | None = None) -> Reading:
    """The exchanges in a log of `llm`, oldest first; those after the one with the id `since` where it is given.

    The file is only read. One that holds both forms, as after an update of `llm`, gives both. Raises `DataError`.
    """
    place = readable(log_place() if path is None else path, "the log of llm")
    after = _checked(since)
    with database(place) as connection:
        tables = tables_of(connection)
        if not _forms(tables):
            raise DataError(f"{str(place)!r} is no log of llm: it has neither the table 'turns' nor 'responses'")
        run = _run_of(connection, tables, place)
    reading = Reading([run], iter(()))
    reading.traces = _all(place, after, run.id, reading)
    return reading


def _checked(since: str | None) -> str:
    if since is None:
        return ""
    if not isinstance(since, str) or not since.strip():
        raise UsageError(f"since= is the id of an entry of the log; got {brief(since)}")
    return since.strip()


def _forms(tables: Mapping[str, set[str]]) -> list[str]:
    """The forms that a database has, the older first."""
    fits = {"responses": _RESPONSES, "turns": _TURNS}
    return [name for name, columns in fits.items() if columns <= tables.get(name, set())]


def _run_of(connection: sqlite3.Connection, tables: Mapping[str, set[str]], place: Path) -> RunRecord:
    times: list[float] = []
    counts: dict[str, int] = {}
    for name in _forms(tables):
        moments = "min(datetime_utc), max(datetime_utc)" if "datetime_utc" in tables[name] else "NULL, NULL"
        first, last, count = connection.execute(f"SELECT {moments}, count(*) FROM {name}").fetchone()
        times += [found for value in (first, last) if (found := moment(value)) is not None]
        counts[name] = count
    return RunRecord(
        id=gathered.id_of("llm", place.resolve()),
        kind="import",
        name="llm log",
        status="done",
        started=min(times, default=0.0),
        ended=max(times, default=0.0),
        summary=counts,
        attributes={"source": "llm", "path": str(place.resolve())},
    )


def _all(place: Path, after: str, run_id: str, reading: Reading) -> Iterator[WholeTrace]:
    """Every exchange, read from a connection of its own, which lives as long as somebody reads."""
    from outlast.tracing.imports.llm_responses import Responses
    from outlast.tracing.imports.llm_turns import Turns

    with database(place) as connection:
        tables = tables_of(connection)
        known = Known(connection, tables)
        kinds: dict[str, Callable[[Known], Any]] = {"responses": Responses, "turns": Turns}
        for name in _forms(tables):
            rows, columns = kinds[name](known), _names(connection, name)
            for entry in connection.execute(f"SELECT * FROM {name} WHERE id > ? ORDER BY id", (after,)):
                told = dict(zip(columns, entry, strict=True))
                try:
                    exchange: Exchange = rows.exchange(told)
                except (sqlite3.DatabaseError, MemoryError):
                    raise
                except Exception:  # one row that nobody foresaw costs itself, and is counted
                    reading.skipped += 1
                    continue
                reading.last = max(reading.last, text(told.get("id")))
                yield exchange.gathered(run_id)


def _names(connection: sqlite3.Connection, table: str) -> list[str]:
    return [column[0] for column in connection.execute(f"SELECT * FROM {table} LIMIT 0").description]


@dataclass(frozen=True, slots=True)
class Exchange:
    """What a row of either form tells."""

    id: str
    thread: str
    model: str
    answered: str
    started: float
    seconds: float
    messages: Sequence[Message]
    options: Mapping[str, Any]
    schema: Any
    tools: Sequence[Tool]
    reply: Response

    def gathered(self, run_id: str) -> WholeTrace:
        """It as a trace of one span."""
        trace = ulid(self.id) or gathered.trace_id(self.started, "llm", self.id)
        span = gathered.span_id("llm", self.id)
        settings = gathered.settings_of(self.options, known=[name for name in self.options if name != "stop"])
        request = gathered.request_of(self.messages, settings=settings, tools=self.tools, schema=self.schema)
        usage, asked = self.reply.usage, f"llm:{self.model}"
        asking = next((one.text for one in reversed(self.messages) if one.role != "system"), "")
        return WholeTrace(
            TraceRecord(
                id=trace,
                run_id=run_id,
                kind="lm",
                name=asked,
                session=self.thread,
                started=self.started,
                seconds=self.seconds,
                status="ok",
                calls=1,
                input_tokens=usage.input_tokens,
                output_tokens=usage.output_tokens,
                models=(self.answered,),
                input=preview(asking),
                output=preview(self.reply.text),
                tags=("llm",),
                attributes={"llm_id": self.id},
            ),
            (
                SpanRecord(
                    id=span,
                    trace_id=trace,
                    kind="lm",
                    name="llm",
                    started=self.started,
                    seconds=self.seconds,
                    status="ok",
                    lm_asked=asked,
                    lm_answered=self.answered,
                    settings=gathered.finite(settings.to_json()),
                    input_tokens=usage.input_tokens,
                    output_tokens=usage.output_tokens,
                    cached_tokens=usage.cached_tokens,
                    reasoning_tokens=usage.reasoning_tokens,
                    cache="miss",
                    finish=self.reply.finish,
                ),
            ),
            {span: Content(request=request, response=gathered.response_of(self.reply))},
        )


class Known:
    """The tables that both forms refer to: attachments, fragments, schemas, tools. Each row is asked for once it is
    needed, and none is kept."""

    def __init__(self, connection: sqlite3.Connection, tables: Mapping[str, set[str]]) -> None:
        self.connection = connection
        self.tables = tables

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows of a query; none where its tables are not there, which an older log lacks."""
        try:
            return self.connection.execute(query, values).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error) or "no such column" in str(error):
                return []
            raise

    def fragments(self, table: str, owner: str, key: Any, more: str = "") -> list[str]:
        """The texts that were put into a prompt by reference."""
        query = f"SELECT f.content FROM {table} r JOIN fragments f ON f.id = r.fragment_id WHERE r.{owner} = ? {more}"
        return [text(row[0]) for row in self.rows(f'{query} ORDER BY r."order"', key)]

    def attachments(self, table: str, owner: str, key: Any) -> list[Part]:
        """Pictures and the like. A path is told and never opened."""
        query = (
            "SELECT a.type, a.path, a.url, length(a.content), CASE WHEN length(a.content) <= ? THEN a.content END "
            f'FROM {table} r JOIN attachments a ON a.id = r.attachment_id WHERE r.{owner} = ? ORDER BY r."order"'
        )
        return [_attachment(*row) for row in self.rows(query, MOST_BYTES, key)]

    def schema(self, key: Any) -> Any:
        """The JSON schema under an id."""
        found = None if key is None else next(iter(self.rows("SELECT content FROM schemas WHERE id = ?", key)), None)
        return None if found is None else parsed(found[0])

    def tools(self, table: str, owner: str, key: Any) -> list[Tool]:
        """The tools that the model was told of."""
        query = (
            f"SELECT t.name, t.description, t.input_schema FROM {table} r JOIN tools t ON t.id = r.tool_id "
            f"WHERE r.{owner} = ? ORDER BY t.id"
        )
        made = [gathered.tool_of(name, about, parsed(told)) for name, about, told in self.rows(query, key)]
        return list({tool.name: tool for tool in made if tool is not None}.values())


def _attachment(mime: Any, path: Any, url: Any, size: Any, content: Any) -> Part:
    kind = text(mime)
    made = Image if kind.startswith("image/") else Audio if kind.startswith("audio/") else File
    try:
        if isinstance(content, bytes) and content:
            return made(kind, content)
        if url:
            return made(kind, url=text(url))
    except ValueError:
        pass  # said in words below
    held = f"{whole(size):,} bytes" if whole(size) else shown_path(path)
    return TextPart(f"[attachment, {kind or 'of unknown type'}, {held}: not in the log or too large]")


def shown_path(path: Any) -> str:
    """A path as the log has it, for people."""
    return f"at {brief(text(path))}" if path else "no content"


def parsed(value: Any) -> Any:
    """The JSON in a text, None when there is none."""
    import json

    if not isinstance(value, str):
        return None
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return None


def usage_of(told: Mapping[str, Any]) -> Usage:
    """Tokens as a row tells them."""
    details = mapping(parsed(told.get("token_details")))
    return Usage(
        whole(told.get("input_tokens")),
        whole(told.get("output_tokens")),
        whole(mapping(details.get("prompt_tokens_details")).get("cached_tokens")),
        whole(mapping(details.get("completion_tokens_details")).get("reasoning_tokens")),
    )


def times_of(told: Mapping[str, Any]) -> tuple[float, float]:
    """When a row began, and how many seconds it took."""
    milliseconds = number(told.get("duration_ms")) or 0.0
    hexadecimal = ulid(text(told.get("id")))
    started = moment(told.get("datetime_utc"))
    if started is None:
        started = int(hexadecimal[:12], 16) / 1000 if hexadecimal else 0.0
    return started, max(0.0, milliseconds / 1000)


def ulid(identifier: str) -> str:
    """The 32 hexadecimal digits of a ULID, "" for what is none. They sort by time, as the ids of traces do."""
    if len(identifier) != 26 or identifier[0] > "7":
        return ""
    value = 0
    for letter in identifier.lower():
        if letter not in _CROCKFORD:
            return ""
        value = value * 32 + _CROCKFORD[letter]
    return f"{value:032x}"

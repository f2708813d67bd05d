"""The tables of a store of traces, for SQLite and PostgreSQL, and how an older store becomes one of today."""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa

from outlast.errors import DataError

VERSION = 2
APPLICATION = 0x6F6C7472  # marks an SQLite file as ours

_Json = sa.Text  # JSON as text: read whole, and the same bytes on every database
_Key = sa.LargeBinary(16)
_Id = sa.String(32)

tables = sa.MetaData()

meta = sa.Table("meta", tables, sa.Column("key", sa.Text, primary_key=True), sa.Column("value", sa.Text))

runs = sa.Table(
    "runs",
    tables,
    sa.Column("id", _Id, primary_key=True),
    sa.Column("parent_id", _Id, nullable=False, default=""),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("started", sa.Double, nullable=False),
    sa.Column("ended", sa.Double),
    sa.Column("program", sa.Text, nullable=False),
    sa.Column("dataset", sa.Text, nullable=False),
    sa.Column("metric", sa.Text, nullable=False),
    sa.Column("lm", sa.Text, nullable=False),
    sa.Column("provenance", _Json, nullable=False),
    sa.Column("summary", _Json, nullable=False),
    sa.Column("attributes", _Json, nullable=False),
    sa.Column("dropped", sa.Integer, nullable=False),
    sa.Index("runs_started", "started"),
    sa.Index("runs_parent", "parent_id"),
)

traces = sa.Table(
    "traces",
    tables,
    sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("id", _Id, nullable=False, unique=True),
    sa.Column("run_id", _Id, nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("program", sa.String(32), nullable=False),
    sa.Column("session", sa.Text, nullable=False),
    sa.Column("example", sa.Text, nullable=False),
    sa.Column("started", sa.Double, nullable=False),
    sa.Column("seconds", sa.Double),
    sa.Column("status", sa.String(8), nullable=False),
    sa.Column("error", sa.Text, nullable=False),
    sa.Column("calls", sa.Integer, nullable=False),
    sa.Column("input_tokens", sa.BigInteger),
    sa.Column("output_tokens", sa.BigInteger),
    sa.Column("cost", sa.Double),
    sa.Column("models", _Json, nullable=False),
    sa.Column("input", sa.Text, nullable=False),
    sa.Column("output", sa.Text, nullable=False),
    sa.Column("tags", _Json, nullable=False),
    sa.Column("attributes", _Json, nullable=False),
    sa.Column("indexed", sa.Integer, nullable=False),  # 0 until its text can be searched
    sa.Index("traces_started", "started"),
    sa.Index("traces_run", "run_id", "started"),
    sa.Index("traces_sums", "run_id", "status", "calls", "input_tokens", "output_tokens", "cost"),
    sa.Index("traces_name", "name", "started"),
    sa.Index("traces_session", "session", "started"),
    sa.Index("traces_program", "program", "started"),
    sa.Index("traces_unsearched", "seq", sqlite_where=sa.text("indexed = 0"), postgresql_where=sa.text("indexed = 0")),
    sa.Index(
        "traces_failed",
        "started",
        sqlite_where=sa.text("status <> 'ok'"),
        postgresql_where=sa.text("status <> 'ok'"),
    ),
    sqlite_autoincrement=True,
)

spans = sa.Table(
    "spans",
    tables,
    sa.Column("id", sa.String(16), primary_key=True),
    sa.Column("trace_id", _Id, nullable=False),
    sa.Column("parent_id", sa.String(16), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("path", sa.Text),
    sa.Column("signature", sa.Text, nullable=False),
    sa.Column("program", sa.String(32), nullable=False),
    sa.Column("started", sa.Double, nullable=False),
    sa.Column("seconds", sa.Double),
    sa.Column("status", sa.String(8), nullable=False),
    sa.Column("error_type", sa.Text, nullable=False),
    sa.Column("error", sa.Text, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("joined", sa.Integer, nullable=False),
    sa.Column("adapter", sa.Text, nullable=False),
    sa.Column("lm_asked", sa.Text, nullable=False),
    sa.Column("lm_answered", sa.Text, nullable=False),
    sa.Column("fingerprint", sa.Text, nullable=False, server_default=""),
    sa.Column("request_id", sa.Text, nullable=False),
    sa.Column("settings", _Json, nullable=False),
    sa.Column("input_tokens", sa.BigInteger),
    sa.Column("output_tokens", sa.BigInteger),
    sa.Column("cached_tokens", sa.BigInteger),
    sa.Column("reasoning_tokens", sa.BigInteger),
    sa.Column("cost", sa.Double),
    sa.Column("cost_source", sa.Text, nullable=False),
    sa.Column("first_token_seconds", sa.Double),
    sa.Column("queued_seconds", sa.Double, nullable=False),
    sa.Column("cache", sa.String(16), nullable=False),
    sa.Column("finish", sa.String(16), nullable=False),
    sa.Column("label", _Json),
    sa.Column("notes", _Json, nullable=False),
    sa.Column("attributes", _Json, nullable=False),
    sa.Column("inputs_key", _Key),
    sa.Column("outputs_key", _Key),
    sa.Column("request_tail", _Key),
    sa.Column("request_key", _Key),
    sa.Column("response_key", _Key),
    sa.Index("spans_trace", "trace_id"),
    sqlite_with_rowid=False,
)

blobs = sa.Table(
    "blobs",
    tables,
    sa.Column("key", _Key, primary_key=True),
    sa.Column("codec", sa.String(1), nullable=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
    sa.Column("created", sa.Double, nullable=False),
)

messages = sa.Table(
    "messages",
    tables,
    sa.Column("key", _Key, primary_key=True),  # of the message and of all before it
    sa.Column("parent", _Key),
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("codec", sa.String(1), nullable=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
    sa.Column("created", sa.Double, nullable=False),
    sa.Column("first_trace", _Id, nullable=False),
    sa.Index(
        "messages_system",
        "first_trace",
        sqlite_where=sa.text("role = 'system'"),
        postgresql_where=sa.text("role = 'system'"),
    ),
)

programs = sa.Table(
    "programs",
    tables,
    sa.Column("hash", sa.String(32), primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("first_seen", sa.Double, nullable=False),
    sa.Column("shape", _Json, nullable=False),
)

results = sa.Table(
    "results",
    tables,
    sa.Column("run_id", _Id, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("epoch", sa.Integer, primary_key=True),
    sa.Column("example", sa.Text, nullable=False),
    sa.Column("trace_id", _Id, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("score", sa.Double),
    sa.Column("feedback", sa.Text, nullable=False),
    sa.Column("parts", _Json, nullable=False),
    sa.Column("cluster", sa.Text, nullable=False, server_default=""),
    sa.Column("error", sa.Text, nullable=False),
    sa.Column("seconds", sa.Double, nullable=False),
    sa.Column("cost", sa.Double),
    sa.Column("inputs", _Json, nullable=False),
    sa.Column("targets", _Json, nullable=False),
    sa.Column("outputs", _Json, nullable=False),
    sqlite_with_rowid=False,
)

labels = sa.Table(
    "labels",
    tables,
    sa.Column("id", _Id, primary_key=True),
    sa.Column("trace_id", _Id, nullable=False),
    sa.Column("span_id", sa.String(16), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("value", _Json, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("tags", _Json, nullable=False),
    sa.Column("author", sa.Text, nullable=False),
    sa.Column("source", sa.String(16), nullable=False),
    sa.Column("rubric", sa.Text, nullable=False),
    sa.Column("rubric_version", sa.Text, nullable=False),
    sa.Column("created", sa.Double, nullable=False),
    sa.Column("seconds_spent", sa.Double),
    sa.Column("undone", sa.Double),  # when it was taken back; a label is never changed or deleted
    sa.Index("labels_trace", "trace_id"),
)

queues = sa.Table(
    "queues",
    tables,
    sa.Column("id", _Id, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("strategy", sa.Text, nullable=False),
    sa.Column("created", sa.Double, nullable=False),
    sa.Column("about", _Json, nullable=False),
    sa.Column("trace_ids", _Json, nullable=False),
)

_VIEWS = {
    "v_calls": (
        "SELECT s.id, s.trace_id, t.name AS program, s.path, s.signature, s.adapter, s.lm_asked, s.lm_answered, "
        "s.fingerprint, s.started, s.seconds, s.first_token_seconds, s.input_tokens, s.output_tokens, s.cached_tokens, "
        "s.reasoning_tokens, s.cost, s.cache, s.finish, s.attempt, s.error_type, s.error, t.run_id "
        "FROM spans s JOIN traces t ON t.id = s.trace_id WHERE s.kind = 'lm' AND s.joined = 0"
    ),
    "v_traces": (
        "SELECT t.id, t.started, t.seconds, t.name, t.status, t.error, t.calls, t.input_tokens, t.output_tokens, "
        "t.cost, t.models, t.input, t.output, t.session, t.tags, r.kind AS run_kind, r.name AS run, t.run_id "
        "FROM traces t LEFT JOIN runs r ON r.id = t.run_id"
    ),
    "v_failures": ("SELECT id, started, name, error, input, run_id FROM traces WHERE status = 'error'"),
    "v_cost_by_run": (
        "SELECT r.id, r.kind, r.name, r.started, count(t.id) AS traces, sum(t.calls) AS calls, "
        "sum(t.input_tokens) AS input_tokens, sum(t.output_tokens) AS output_tokens, sum(t.cost) AS cost, "
        "sum(CASE WHEN t.cost IS NULL AND t.calls > 0 THEN 1 ELSE 0 END) AS traces_of_unknown_cost "
        "FROM runs r LEFT JOIN traces t ON t.run_id = r.id GROUP BY r.id, r.kind, r.name, r.started"
    ),
    "v_eval_rows": (
        "SELECT e.run_id, r.name AS run, e.number, e.epoch, e.example, e.state, e.score, e.feedback, e.cluster, "
        "e.error, e.seconds, e.cost, e.inputs, e.targets, e.outputs, e.trace_id "
        "FROM results e JOIN runs r ON r.id = e.run_id"
    ),
    "v_labels": (
        "SELECT l.id, l.trace_id, l.span_id, l.name, l.value, l.note, l.tags, l.author, l.source, l.rubric, l.created, "
        "t.name AS program, s.kind AS step_kind, s.name AS step, t.input, t.output FROM labels l "
        "JOIN traces t ON t.id = l.trace_id LEFT JOIN spans s ON s.id = l.span_id WHERE l.undone IS NULL"
    ),
    "v_disagreements": (
        "SELECT a.trace_id, a.span_id, a.name, a.author AS person, a.value AS said, b.author AS judge, "
        "b.value AS judged FROM labels a "
        "JOIN labels b ON b.trace_id = a.trace_id AND b.span_id = a.span_id AND b.name = a.name "
        "WHERE a.undone IS NULL AND b.undone IS NULL AND a.source = 'human' AND b.source = 'judge' "
        "AND a.value <> b.value"
    ),
}


def prepare(connection: sa.Connection) -> None:
    """Make the tables, or bring them up to date, in one transaction. Several processes may do so at once.

    Raises `DataError` for a database of something else, and for one that a newer outlast wrote.
    """
    lite = connection.dialect.name == "sqlite"
    if not lite:
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": APPLICATION})
    version = version_of(connection)
    if version == VERSION:
        return
    if version > VERSION:
        raise DataError(
            f"the store of traces has the format {version}, and this outlast reads up to {VERSION}: use a newer one"
        )
    if version == 0:
        _create(connection)
    else:
        for step in range(version, VERSION):
            _STEPS[step](connection)
        _views(connection, anew=True)
    connection.execute(sa.delete(meta).where(meta.c.key == "version"))
    connection.execute(sa.insert(meta).values(key="version", value=str(VERSION)))
    if lite:
        connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION}")


def version_of(connection: sa.Connection) -> int:
    """The format of the store, 0 for an empty database. Raises `DataError` for one of something else."""
    if connection.dialect.name == "sqlite":
        known = connection.exec_driver_sql("PRAGMA application_id").scalar_one()
        empty = connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar_one() == 0
        if known != APPLICATION:
            if known == 0 and empty:
                return 0
            raise DataError("it is a database of something else, not a store of traces")
    elif not sa.inspect(connection).has_table("meta"):
        return 0
    found = connection.execute(sa.select(meta.c.value).where(meta.c.key == "version")).scalar_one_or_none()
    return int(found or 0)


def _create(connection: sa.Connection) -> None:
    tables.create_all(connection)
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(
            "CREATE VIRTUAL TABLE trace_text USING fts5(body, tokenize = 'unicode61 remove_diacritics 2')"
        )
    else:
        connection.exec_driver_sql(
            "CREATE TABLE trace_text (seq BIGINT PRIMARY KEY REFERENCES traces (seq) ON DELETE CASCADE, "
            "body TEXT NOT NULL, words TSVECTOR NOT NULL)"
        )
        connection.exec_driver_sql("CREATE INDEX trace_text_words ON trace_text USING gin (words)")
    _views(connection)


def _views(connection: sa.Connection, *, anew: bool = False) -> None:
    for name, query in _VIEWS.items():
        if anew:
            connection.exec_driver_sql(f"DROP VIEW IF EXISTS {name}")
        connection.exec_driver_sql(f"CREATE VIEW {name} AS {query}")


def _second(connection: sa.Connection) -> None:
    """What answered is known by more than its name, and a row of an evaluation by the group that it belongs to."""
    connection.exec_driver_sql("ALTER TABLE spans ADD COLUMN fingerprint TEXT NOT NULL DEFAULT ''")
    connection.exec_driver_sql("ALTER TABLE results ADD COLUMN cluster TEXT NOT NULL DEFAULT ''")


_STEPS: dict[int, Callable[[sa.Connection], None]] = {1: _second}  # the step at n makes format n + 1 of format n

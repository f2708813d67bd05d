"""The database under a store of traces: SQLite in a file, or PostgreSQL. Writing in batches, and its full text."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from outlast.errors import ConfigError, DataError, brief
from outlast.tracing.packing import storable

if TYPE_CHECKING:
    import sqlalchemy as sa

    from outlast.tracing.filing import Rows

_PATIENCE = 30.0  # seconds that a writer waits for the others
_KEYS = {"runs": "id", "traces": "id", "spans": "id", "results": "run_id, number, epoch"}  # rows that replace others
_TOUCHED = ("blobs", "messages")  # rows that are there already and are needed again: `gc` leaves them
_inherited: list[Any] = []  # engines of a parent: closing their connections here would touch its file
_STILL_SECONDS = 5.0  # that a fork waits for those who use a database
_CHUNK = 200  # traces whose text is indexed at once
_NONE = (0, 0)  # the number of no file


class Database:
    """A place where traces are kept. Made by `database_at`; opened when it is first used, and again after a fork.

    Safe for threads: `write` and `index_some` are for one thread at a time, `reading` and `changing` for any.
    """

    def __init__(self, place: str, *, read_only: bool = False) -> None:
        self.place = shown_place(place)
        self._place = place
        self.lite = "://" not in place
        self.read_only = read_only
        self._engine: sa.Engine | None = None
        self._writes: dict[str, str] = {}
        self.renew()
        _databases.add(self)

    def renew(self) -> None:
        """Begin anew in a forked process, where nobody uses it yet."""
        if self._engine is not None:
            _inherited.append(self._engine)
        self._engine = None
        self._inode: tuple[int, int] | None = None
        self._lock = threading.RLock()
        self._turn = threading.Condition(threading.RLock())
        self._users = 0
        self._still = False

    @property
    def address(self) -> str:
        """Where it is, with a password that `place` leaves out: not to be shown."""
        return self._place

    @property
    def path(self) -> Path | None:
        """The file, None for a server."""
        return Path(self._place) if self.lite else None

    def open(self) -> sa.Engine:
        """The engine of the database, which is made or brought up to date first. Raises `DataError`, `ConfigError`."""
        with self._lock:
            if self._engine is not None:
                return self._engine
            if self.is_replaced():
                self._inode = _NONE  # the next file may get the number of the last
            engine = self._lite() if self.lite else self._server()
            try:
                self._prepare(engine)
            except BaseException:
                engine.dispose()
                raise
            self._engine = engine
            if self.lite and self._inode is None:  # after a rest it is that of before, for `is_replaced` to tell
                self._inode = _inode_of(self._place)
            return engine

    def _prepare(self, engine: sa.Engine) -> None:
        from sqlalchemy import exc

        from outlast.tracing import schema

        try:
            if self.read_only:
                with engine.connect() as connection:
                    found = schema.version_of(connection)
                if found == 0:
                    raise DataError(f"the store {self.place!r} is empty")
                if found != schema.VERSION:
                    older = found < schema.VERSION
                    raise DataError(
                        f"the store {self.place!r} has the format {found}, and this outlast reads {schema.VERSION}: "
                        f"{'open it once to write, which brings it up to date' if older else 'use a newer outlast'}"
                    )
                return
            with engine.connect() as connection:
                if self._is_current(connection):
                    return
            with self._changing(engine) as connection:
                schema.prepare(connection)
            if self.lite:
                raw = engine.raw_connection()
                try:
                    _patient(raw.driver_connection, "PRAGMA journal_mode = WAL")
                finally:
                    raw.close()
        except DataError as error:
            raise DataError(f"{self.place!r} cannot be used: {error}") from None
        except exc.SQLAlchemyError as error:
            raise DataError(f"the store of traces {self.place!r} cannot be opened: {reason(error)}") from error

    def _is_current(self, connection: sa.Connection) -> bool:
        """Whether there is nothing to make; looking takes no lock that a busy writer would hold."""
        from outlast.tracing import schema

        return schema.version_of(connection) == schema.VERSION

    def _lite(self) -> sa.Engine:
        import sqlite3

        import sqlalchemy as sa
        from sqlalchemy import event
        from sqlalchemy.pool import QueuePool

        path = Path(self._place)
        if self.read_only and not path.is_file():
            raise DataError(f"there is no store of traces at {self.place!r}")
        if not self.read_only:
            self._create(path)

        def connect() -> sqlite3.Connection:
            name = f"file:{_quoted(path)}?mode={'ro' if self.read_only else 'rw'}"
            connection = sqlite3.connect(
                name, uri=True, timeout=_PATIENCE, isolation_level=None, check_same_thread=False
            )
            if not self.read_only:
                connection.execute("PRAGMA synchronous = NORMAL")
                connection.execute("PRAGMA journal_size_limit = 67108864")
            elif _needs_a_folder(connection, path):
                connection.close()
                connection = sqlite3.connect(
                    f"{name}&immutable=1", uri=True, isolation_level=None, check_same_thread=False
                )
            connection.execute("PRAGMA cache_size = -16000")
            return connection

        engine = sa.create_engine("sqlite://", creator=connect, poolclass=QueuePool, pool_size=4, hide_parameters=True)

        def begin(connection: sa.Connection) -> None:
            connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))

        event.listen(engine, "begin", begin)
        return engine

    def _create(self, path: Path) -> None:
        """Make the file, for nobody else to read from its first byte on."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            with suppress(OSError):  # somebody else's: what can be done with it shows when it is opened
                if os.path.getsize(path) == 0:  # made beforehand, and nobody's store yet
                    os.chmod(path, 0o600)
        except OSError as error:
            raise DataError(f"the store {self.place!r} cannot be made: {error.strerror or error}") from error

    def _server(self) -> sa.Engine:
        from importlib.util import find_spec

        import sqlalchemy as sa
        from sqlalchemy import exc

        if find_spec("psycopg") is None:
            raise ConfigError("a store on PostgreSQL needs psycopg: pip install 'outlast[postgres]'")
        try:
            url = sa.make_url(self._place).set(drivername="postgresql+psycopg")
        except (exc.ArgumentError, ValueError) as error:
            raise ConfigError(f"{brief(self.place)} is no address of a store: {error}") from None
        connecting = {"connect_timeout": 10}
        return sa.create_engine(url, pool_size=4, pool_pre_ping=True, hide_parameters=True, connect_args=connecting)

    @contextmanager
    def reading(self) -> Generator[sa.Connection]:
        """A connection to read with; what it reads is of one moment. Raises `DataError` when that cannot be done."""
        with self._in_use(), self._told("read"), self.open().connect() as connection:
            yield connection

    @contextmanager
    def changing(self) -> Generator[sa.Connection]:
        """A connection within a transaction that is committed at the end of the block. Raises `DataError` when that
        cannot be done."""
        with self._in_use(), self._told("changed"), self._changing(self.open()) as connection:
            yield connection

    @contextmanager
    def _told(self, done: str) -> Generator[None]:
        """A block in which an error of the database says what could not be done to which store."""
        from sqlalchemy import exc

        try:
            yield
        except exc.SQLAlchemyError as error:
            only = ": it was opened to be read only" if self.read_only and done != "read" else f": {reason(error)}"
            raise DataError(f"the store of traces {self.place!r} cannot be {done}{only}") from error

    @contextmanager
    def _in_use(self) -> Generator[None]:
        with self._turn:
            self._turn.wait_for(lambda: not self._still, _PATIENCE)
            self._users += 1
        try:
            yield
        finally:
            with self._turn:
                self._users -= 1
                self._turn.notify_all()

    def hold_still(self) -> None:
        """Close the connections and let nobody open one until `go_on`.

        SQLite keeps account of its locks in the memory of the process. A fork copies the account but not the locks:
        in the child the file would be locked for ever, or not at all. Without a connection there is no account.
        """
        with self._turn:
            self._still = True
            self._turn.wait_for(lambda: self._users == 0, _STILL_SECONDS)
        self._lock.acquire()
        if self._engine is not None:
            self._engine.dispose()

    def go_on(self) -> None:
        """End `hold_still`."""
        self._lock.release()
        with self._turn:
            self._still = False
            self._turn.notify_all()

    @contextmanager
    def _changing(self, engine: sa.Engine) -> Generator[sa.Connection]:
        with engine.connect() as plain:
            connection = plain.execution_options(begin="BEGIN IMMEDIATE") if self.lite else plain
            with connection.begin():
                yield connection

    def is_replaced(self) -> bool:
        """Whether the path names another file than the one that was open last, or none."""
        return self._inode is not None and _inode_of(self._place) != self._inode

    def write(self, rows: Rows) -> None:
        """Put rows into the tables, all or none. Raises what the database raises."""
        try:
            self._put(rows)
        except Exception as error:
            if not isinstance(error, UnicodeEncodeError) and not self.hopeless(error):
                raise
            self._put(rows, storable)  # whatever else is wrong with them is raised again

    def _put(self, rows: Rows, form: Callable[[Any], Any] | None = None) -> None:
        with self._in_use(), self._changing(self.open()) as connection:
            for f in fields(rows):
                values: Sequence[tuple[Any, ...]] = getattr(rows, f.name)
                if values:
                    stored = list(values) if form is None else [tuple(map(form, row)) for row in values]
                    if not self.lite:  # in one order, so that no two processes wait for one another
                        stored.sort(key=lambda row: row[:1])
                    connection.exec_driver_sql(self._insert(f.name), stored)

    def _insert(self, name: str) -> str:
        """The statement that inserts into a table, written by hand: the batches are large and the rows plain."""
        found = self._writes.get(name)
        if found is None:
            from outlast.tracing import schema

            columns = [column.name for column in schema.tables.tables[name].columns if column.name != "seq"]
            marks = ", ".join("?" if self.lite else "%s" for _ in columns)
            head = f"INSERT INTO {name} ({', '.join(columns)}) VALUES ({marks}) ON CONFLICT "
            if name in _KEYS:
                changed = ", ".join(f"{column} = excluded.{column}" for column in columns)
                found = f"{head}({_KEYS[name]}) DO UPDATE SET {changed}"
            elif name in _TOUCHED:
                found = f"{head}(key) DO UPDATE SET created = excluded.created"
            else:  # a program that was first seen where no text is kept
                found = f"{head}(hash) DO UPDATE SET shape = excluded.shape WHERE programs.shape = '{{}}'"
            self._writes[name] = found
        return found

    def hopeless(self, error: Exception) -> bool:
        """Whether trying again is no use: the rows, not the database, are at fault."""
        from sqlalchemy import exc

        at_fault = (exc.DataError, exc.IntegrityError, exc.ProgrammingError, exc.StatementError)
        return isinstance(error, at_fault) and not isinstance(error, (exc.OperationalError, exc.InterfaceError))

    def index_some(self) -> bool:
        """Make the text of some traces that have ended searchable; False when there were none."""
        from outlast.tracing.text import index

        if self.read_only:
            return False
        with self.changing() as connection:
            return index(connection, _CHUNK, time.time())

    def rest(self) -> None:
        """Close connections that nobody uses, and let go of the memory that they take: a process may have had many
        stores and write to one. Which file it was is remembered."""
        with self._turn, self._lock:
            if self._engine is not None:
                self._engine.dispose()
            if not self._users:
                self._engine = None

    def close(self) -> None:
        """Close all connections; it is opened again when it is used again."""
        with self._lock:
            engine, self._engine, self._inode = self._engine, None, None
        if engine is not None:
            engine.dispose()


def database_at(place: str | os.PathLike[str], *, read_only: bool = False) -> Database:
    """The database at a path or an address such as "postgresql://user@host/name", not opened yet.

    Raises `ConfigError` for anything else.
    """
    if isinstance(place, os.PathLike):
        place = os.fspath(place)
    if not isinstance(place, str) or not place.strip() or "\0" in place or place == ":memory:" or not _is_text(place):
        raise ConfigError(f"a store of traces is a path or a postgresql:// address; got {brief(place)}")
    if "://" in place:
        kind = place.partition("://")[0].partition("+")[0]
        if kind in ("postgresql", "postgres"):
            return Database(f"postgresql://{place.partition('://')[2]}", read_only=read_only)
        if kind != "sqlite":
            raise ConfigError(
                f"a store of traces is a path or a postgresql:// address; got {brief(shown_place(place))}"
            )
        place = place.partition("://")[2].removeprefix("/")
    return Database(os.path.abspath(os.path.expanduser(place)), read_only=read_only)


def _is_text(place: str) -> bool:
    try:
        os.fsencode(place)
    except UnicodeEncodeError:
        return False
    return True


def shown_place(place: str) -> str:
    """The place without a password."""
    if "://" not in place:
        return place
    head, _, rest = place.partition("://")
    login, at, host = rest.rpartition("@")
    return f"{head}://{login.partition(':')[0]}{at}{host}"


def _inode_of(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _needs_a_folder(connection: Any, path: Path) -> bool:
    """Whether SQLite cannot read a file only because it may make none beside it, and nobody writes into it just now."""
    import sqlite3

    try:
        connection.execute("PRAGMA schema_version").fetchone()
    except sqlite3.OperationalError:
        log = Path(f"{path}-wal")
        return not os.access(path.parent, os.W_OK) and not (log.exists() and log.stat().st_size)
    return False


def _quoted(path: Path) -> str:
    from urllib.parse import quote

    return quote(str(path))


def _patient(connection: Any, statement: str) -> None:
    """Some locks that come with the change to WAL are not waited for by SQLite itself."""
    import sqlite3

    until = time.monotonic() + _PATIENCE
    while True:
        try:
            connection.execute(statement)
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.02)


def reason(error: Exception) -> str:
    """What went wrong, in a line, without the statement and what it was to write."""
    return str(getattr(error, "orig", None) or error).strip().splitlines()[0]


_databases: weakref.WeakSet[Database] = weakref.WeakSet()
_held: list[Database] = []


def _before_fork() -> None:
    for database in list(_databases):
        database.hold_still()
        _held.append(database)


def _after_fork_in_parent() -> None:
    while _held:
        _held.pop().go_on()


def _after_fork_in_child() -> None:
    _held.clear()
    for database in list(_databases):
        database.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)

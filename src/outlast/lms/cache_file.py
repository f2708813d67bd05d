"""Responses on disk: one SQLite file that any number of threads and processes share.

Reads happen where they are asked for; writes go through one thread per file, which commits whatever has gathered as
soon as it gets to it (about a millisecond), so that a killed process loses next to nothing and no event loop waits
for a disk. Trouble with the file never reaches the caller: it is logged once, and the work goes on without the disk.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
import time
from hashlib import blake2b
from itertools import count
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from outlast.lms.cache_db import (
    BUSY,
    CORRUPT,
    FULL,
    IO_ERROR,
    LOCKED,
    NOT_A_DATABASE,
    Link,
    evict,
    inode_of,
    result_code,
)
from outlast.lms.waiting import forks

logger = logging.getLogger("outlast.cache")

_READ_SECONDS = 0.5  # how long a reader waits for a lock before it gives up and the model is asked
_WRITE_SECONDS = 10.0
_ROWS = 500  # in one statement
_IDLE_SECONDS = 2.0  # after which the writer thread ends
_PENDING_BYTES = 128 << 20  # when this much waits to be written the disk is too slow, and responses are not stored
_TOUCH_SECONDS = 3600  # reading a row moves its time of use in steps of this
_RETRY_SECONDS = 30.0  # how long a file that cannot be opened is left alone


class CacheFile:
    """A map from keys to texts in one file, bounded to about `max_bytes` by dropping what was used least recently.

    Get one from `open_file`, so that a process has one per path. Safe for threads; other processes may use the file
    at the same time. `problem` is the last trouble with the file. SQLite's WAL mode needs a local disk: not NFS.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        self.path = path
        self.max_bytes = max_bytes
        self.problem: str | None = None
        self._begin()

    def _begin(self) -> None:
        self._forks = forks()
        self._wake = threading.Condition(threading.RLock())
        self._pending: dict[bytes, bytes] = {}
        self._pending_bytes = 0
        self._touched: set[bytes] = set()
        self._thread: threading.Thread | None = None
        self._ending = False
        self._writing = threading.Lock()
        self._reading = threading.Lock()
        self._reader = Link(self.path, _READ_SECONDS)
        self._writer = Link(self.path, _WRITE_SECONDS)
        self._replaced = False
        self._retry_at = 0.0
        self._unchecked_bytes = self.max_bytes  # so that the first batch looks at the size of the file

    def _after_fork(self) -> None:
        pending = self._pending
        self._begin()
        for key, value in pending.items():  # the parent writes them too, but perhaps not before this child reads
            self.put(key, value)

    def hold_still(self) -> None:
        """Close the connections and let nobody open one until `go_on`.

        SQLite keeps account of its locks in the memory of the process. A fork copies the account but not the locks:
        in the child the file would be locked for ever, or not at all. Without a connection there is no account.
        """
        if self._forks != forks():
            self._after_fork()
        self._writing.acquire()
        self._reading.acquire()
        self._writer.close()
        self._reader.close()

    def go_on(self) -> None:
        """End `hold_still`."""
        self._reading.release()
        self._writing.release()

    def get(self, key: bytes) -> bytes | None:
        """The text stored under a key, as UTF-8; None when there is none or it cannot be read."""
        if self._forks != forks():
            self._after_fork()
        pending = self._pending.get(key)
        if pending is not None:
            return pending
        row = self._row("SELECT value, proof, used FROM responses WHERE key = ?", (key,))
        if row is None or row[1] != _proof(key, row[0]):
            return None
        if time.time() - row[2] > _TOUCH_SECONDS:
            with self._wake:
                self._touched.add(key)
                if len(self._touched) >= 100:
                    self._start()
        return row[0]

    def _row(self, query: str, values: tuple[Any, ...] = ()) -> Any:
        """One row, None when there is none or the file cannot be read."""
        import sqlite3

        if time.monotonic() < self._retry_at:
            return None
        with self._reading:
            if self._replaced:
                self._replaced = False
                self._reader.close()
            try:
                return self._reader.open().execute(query, values).fetchone()
            except (sqlite3.Error, OSError, ValueError) as error:
                self._trouble(error, self._reader)
                return None

    def entries(self) -> int:
        """How many responses the file holds."""
        self.flush()
        row = self._row("SELECT count(*) FROM responses")
        return int(row[0]) if row else 0

    def put(self, key: bytes, value: bytes) -> None:
        """Store a text soon. `get` finds it at once, other processes within some milliseconds."""
        if self._forks != forks():
            self._after_fork()
        if len(value) > self.max_bytes // 4:
            return
        with self._wake:
            if self._pending_bytes + len(value) > _PENDING_BYTES:
                self._warn("the disk is too slow for the responses that arrive; some are not stored")
                return
            self._pending_bytes += len(value) - len(self._pending.get(key, b""))
            self._pending[key] = value
            self._start()

    def _start(self) -> None:
        """Wake the writer, or make one. The caller holds the lock."""
        if self._thread is not None:
            self._wake.notify_all()
            return
        self._thread = threading.Thread(target=self._write_all, name="outlast-cache", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # the interpreter is shutting down; nobody else will write it
            self._thread = None
            self._write_batch(*self._take())

    def _take(self) -> tuple[dict[bytes, bytes], set[bytes]]:
        touched, self._touched = self._touched, set()
        return dict(self._pending), touched

    def _write_all(self) -> None:
        try:
            while True:
                with self._wake:
                    if not self._pending and not self._touched and not self._ending:
                        self._wake.wait(_IDLE_SECONDS)
                    if not self._pending and not self._touched:
                        return
                    batch = self._take()
                self._write_batch(*batch)
        finally:
            with self._wake:
                self._thread = None
                if self._pending or self._touched:  # they came after the last look
                    self._start()
                self._wake.notify_all()

    def _write_batch(self, values: dict[bytes, bytes], touched: set[bytes]) -> None:
        """Commit a batch, or give it up when the file will not take it."""
        import sqlite3

        try:
            with self._writing:
                try:
                    if time.monotonic() >= self._retry_at:
                        self._commit(values, touched)
                except (sqlite3.Error, OSError, ValueError) as error:
                    self._trouble(error, self._writer)
        finally:
            with self._wake:
                for key, value in values.items():
                    if self._pending.get(key) is value:
                        del self._pending[key]
                        self._pending_bytes -= len(value)
                self._wake.notify_all()

    def _commit(self, values: dict[bytes, bytes], touched: set[bytes]) -> None:
        """Write a batch in as few statements as can be.

        Each statement lets go of the interpreter lock, and beside a busy thread it takes 5 ms to get it back: a
        statement a row would leave responses unwritten for seconds.
        """
        now = int(time.time())
        if self._writer.is_stale():
            self._writer.close()
            self._replaced = True
        connection = self._writer.open()
        rows = list(values.items())
        for start in range(0, len(rows), _ROWS):
            chunk = rows[start : start + _ROWS]
            connection.execute(
                "INSERT OR REPLACE INTO responses (key, value, used, proof) VALUES "
                + ", ".join(["(?, CAST(? AS TEXT), ?, ?)"] * len(chunk)),
                [field for key, value in chunk for field in (key, value, now, _proof(key, value))],
            )
            self._unchecked_bytes += sum(len(value) for _, value in chunk)
        if touched:
            connection.executemany("UPDATE responses SET used = ? WHERE key = ?", [(now, key) for key in touched])
        if self._unchecked_bytes > self.max_bytes // 32:
            evict(connection, self.max_bytes)
            self._unchecked_bytes = 0

    def flush(self, timeout: float = 10.0) -> bool:
        """Wait until all that was put is in the file or given up; False when it takes longer than `timeout` seconds."""
        if self._forks != forks():
            return True
        with self._wake:
            if self._pending or self._touched:
                self._start()
            return self._wake.wait_for(lambda: not self._pending and not self._touched, timeout)

    def clear(self) -> None:
        """Remove every response, of every model, from the file."""
        import sqlite3

        self.flush()
        with self._writing:
            try:
                self._writer.open().execute("DELETE FROM responses")
                self._writer.open().execute("VACUUM")
            except (sqlite3.Error, OSError, ValueError) as error:
                self._trouble(error, self._writer)

    def close(self) -> None:
        """Write what is pending and close the file. It is opened again when it is used again."""
        self.flush()
        with self._wake:
            self._ending = True
            self._wake.notify_all()
            self._wake.wait_for(lambda: self._thread is None, _WRITE_SECONDS)
            self._ending = False
        with self._writing, self._reading:
            self._writer.close()
            self._reader.close()

    def __del__(self) -> None:
        if hasattr(self, "_reader") and self._forks == forks():
            self._reader.close()
            self._writer.close()

    def _trouble(self, error: Exception, link: Link) -> None:
        """Go on without the disk: for this batch, for a while, or with a fresh file in place of a broken one."""
        link.close()
        kind = result_code(error)
        if kind in (CORRUPT, NOT_A_DATABASE):
            self._set_aside(link, error)
        elif kind in (BUSY, LOCKED):
            self._warn("it is locked by another process; some responses are not stored")
        elif kind in (FULL, IO_ERROR):
            self._warn(f"it cannot be written ({error}); responses are not stored")
        else:
            self._retry_at = time.monotonic() + _RETRY_SECONDS
            self._warn(f"it cannot be used ({error}); going on without it")

    def _set_aside(self, link: Link, error: Exception) -> None:
        with _mending:
            if link.inode is None or inode_of(self.path) != link.inode:
                self._replaced = True  # another thread or process has done it
                return
            number = next(n for n in count(1) if not os.path.lexists(f"{self.path}.corrupt-{n}"))
            aside = f"{self.path}.corrupt-{number}"
            try:
                for suffix in ("-wal", "-shm", ""):
                    if os.path.lexists(f"{self.path}{suffix}"):
                        os.replace(f"{self.path}{suffix}", f"{aside}{suffix}")
            except OSError as problem:
                self._retry_at = time.monotonic() + _RETRY_SECONDS
                self._warn(f"it is damaged and cannot be moved ({problem}); going on without it")
                return
            self._replaced = True
        self._warn(f"it was damaged ({error}); moved to {aside!r}, and a new one begun")

    def _warn(self, problem: str) -> None:
        if problem != self.problem:
            self.problem = problem
            logger.warning("response cache %s: %s", self.path, problem)


_files: WeakValueDictionary[Path, CacheFile] = WeakValueDictionary()
_opening = threading.Lock()
_mending = threading.Lock()
_still: list[CacheFile] = []


def open_file(path: Path, max_bytes: int) -> CacheFile:
    """The one `CacheFile` of this process for a path. When several bounds are asked for the smallest holds."""
    with _opening:
        resolved = Path(os.path.abspath(path.expanduser()))
        found = _files.get(resolved)
        if found is None:
            found = _files[resolved] = CacheFile(resolved, max_bytes)
        _flush_at_process_end()
        found.max_bytes = min(found.max_bytes, max_bytes)
        return found


def _proof(key: bytes, value: bytes) -> bytes:
    """Ties a text to its key: SQLite does not notice when bytes inside a page change."""
    return blake2b(value, key=key, digest_size=8).digest()


def _flush_all() -> None:
    for file in list(_files.values()):
        file.flush(timeout=5.0)


def _flush_at_process_end() -> None:
    """Children of `multiprocessing` leave without running `atexit`; they run its own finalizers."""
    if "multiprocessing.util" in sys.modules and _hooked[0] != os.getpid():
        from multiprocessing.util import Finalize

        Finalize(None, _flush_all, exitpriority=10)
        _hooked[0] = os.getpid()


_hooked = [0]
atexit.register(_flush_all)


def _before_fork() -> None:
    for file in list(_files.values()):
        file.hold_still()
        _still.append(file)


def _after_fork_in_parent() -> None:
    while _still:
        _still.pop().go_on()


def _after_fork_in_child() -> None:
    global _opening, _mending
    _opening, _mending = threading.Lock(), threading.Lock()
    _still.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)

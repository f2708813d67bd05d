"""Responses on disk: one SQLite file that any number of threads and processes share.

Reads happen where they are asked for; writes go through one thread per file, which commits whatever has gathered as
soon as it gets to it (about a millisecond), so that a killed process loses next to nothing and no event loop waits
for a disk. Trouble with the file never reaches the caller: it is logged once, and the work goes on without the disk.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from itertools import count
from pathlib import Path
from typing import Any

from outlast.lms.caching.db import (
    BUSY,
    CORRUPT,
    FULL,
    IO_ERROR,
    LOCKED,
    NOT_A_DATABASE,
    Link,
    inode_of,
    result_code,
)
from outlast.lms.caching.rows import Batch, proof_of, write
from outlast.runtime.waiting import forks

logger = logging.getLogger("outlast.cache")

_READ_SECONDS = 0.5  # how long a reader waits for a lock before it gives up and the model is asked
_WRITE_SECONDS = 10.0
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
        self._pending: dict[bytes, tuple[bytes, int]] = {}
        self._pending_bytes = 0
        self._touched: set[bytes] = set()
        self._stale: dict[bytes, int] = {}
        self._thread: threading.Thread | None = None
        self._ending = False
        self._busy = False
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
        for key, (value, made) in pending.items():  # the parent writes them too, perhaps after this child reads
            self.put(key, value, made)

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

    tier = "disk"
    leases = False

    @property
    def place(self) -> str:
        """The path."""
        return str(self.path)

    def size(self) -> int:
        """Bytes of the file, 0 when there is none."""
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    async def lead(self, key: bytes) -> bool:
        """Processes that share a file do not wait for one another."""
        return True

    def led(self, key: bytes) -> None:
        """Nothing to end."""

    async def get(self, key: bytes) -> tuple[bytes, int] | None:
        """The text stored under a key, as UTF-8, and when it was made (milliseconds since 1970).

        None when there is none or it cannot be read. Waits for nothing but the disk.
        """
        if self._forks != forks():
            self._after_fork()
        pending = self._pending.get(key)
        if pending is not None:
            return pending
        row = self._row("SELECT value, made, proof, used FROM responses WHERE key = ?", (key,))
        if row is None or row[2] != proof_of(key, row[0], row[1]):
            return None
        if time.time() - row[3] > _TOUCH_SECONDS:
            with self._wake:
                self._touched.add(key)
                if len(self._touched) >= 100:
                    self._start()
        return row[0], row[1]

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

    def put(self, key: bytes, value: bytes, made: int, ttl: float | None = None) -> None:
        """Store a text soon. `get` finds it at once, other processes within some milliseconds. Who reads it decides
        how old is too old, so `ttl` is not needed here."""
        if self._forks != forks():
            self._after_fork()
        if len(value) > self.max_bytes // 4:
            return
        with self._wake:
            if self._pending_bytes + len(value) > _PENDING_BYTES:
                self._warn("the disk is too slow for the responses that arrive; some are not stored")
                return
            replaced = self._pending.get(key)
            self._pending_bytes += len(value) - (0 if replaced is None else len(replaced[0]))
            self._pending[key] = value, made
            self._start()

    def forget(self, key: bytes, made: int) -> None:
        """Remove soon what is stored under a key, unless it was replaced by something newer than `made`."""
        if self._forks != forks():
            self._after_fork()
        with self._wake:
            self._stale[key] = made
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
            self._write_batch(self._take())

    def _take(self) -> Batch:
        touched, self._touched = self._touched, set()
        stale, self._stale = self._stale, {}
        self._busy = True
        return Batch(dict(self._pending), touched, stale)

    def _idle(self) -> bool:
        return not (self._pending or self._touched or self._stale)

    def _write_all(self) -> None:
        try:
            while True:
                with self._wake:
                    if self._idle() and not self._ending:
                        self._wake.wait(_IDLE_SECONDS)
                    if self._idle():
                        return
                    batch = self._take()
                self._write_batch(batch)
        finally:
            with self._wake:
                self._thread = None
                if not self._idle():  # something came after the last look
                    self._start()
                self._wake.notify_all()

    def _write_batch(self, batch: Batch) -> None:
        """Commit a batch, or give it up when the file will not take it.

        Where the file turns out to be damaged only now, the batch goes into the new one.
        """
        try:
            with self._writing:
                if not self._committed(batch):
                    self._committed(batch)
        finally:
            with self._wake:
                self._busy = False
                for key, row in batch.rows.items():
                    if self._pending.get(key) is row:
                        del self._pending[key]
                        self._pending_bytes -= len(row[0])
                self._wake.notify_all()

    def _committed(self, batch: Batch) -> bool:
        """Commit a batch, or give it up; False when there is a new file that may take it."""
        import sqlite3

        try:
            if time.monotonic() >= self._retry_at:
                self._commit(batch)
        except (sqlite3.Error, OSError, ValueError) as error:
            return not self._trouble(error, self._writer)
        return True

    def _commit(self, batch: Batch) -> None:
        if self._writer.is_stale():
            self._writer.close()
            self._replaced = True
        self._unchecked_bytes = write(
            self._writer.open(), batch, self.path, self.max_bytes, self._unchecked_bytes, int(time.time())
        )

    def flush(self, timeout: float = 10.0) -> bool:
        """Wait until all that was put is in the file or given up; False when it takes longer than `timeout` seconds."""
        if self._forks != forks():
            return True
        with self._wake:
            if not self._idle():
                self._start()
            return self._wake.wait_for(lambda: self._idle() and not self._busy, timeout)

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

    def _trouble(self, error: Exception, link: Link) -> bool:
        """Go on without the disk: for this batch, for a while, or with a fresh file in place of a broken one, which is
        what True says."""
        link.close()
        kind = result_code(error)
        if kind in (CORRUPT, NOT_A_DATABASE):
            return self._set_aside(link, error)
        if kind in (BUSY, LOCKED):
            self._warn("it is locked by another process; some responses are not looked up or stored")
        elif kind in (FULL, IO_ERROR):
            self._warn(f"it cannot be written ({error}); responses are not stored")
        else:
            self._retry_at = time.monotonic() + _RETRY_SECONDS
            self._warn(f"it cannot be used ({error}); going on without it")
        return False

    def _set_aside(self, link: Link, error: Exception) -> bool:
        """Move a damaged file away; True when a new one can be begun."""
        with _mending:
            if link.inode is None or inode_of(self.path) != link.inode:
                self._replaced = True  # another thread or process has done it
                return True
            number = next(n for n in count(1) if not os.path.lexists(f"{self.path}.corrupt-{n}"))
            aside = f"{self.path}.corrupt-{number}"
            try:
                for suffix in ("-wal", "-shm", ""):
                    with contextlib.suppress(FileNotFoundError):  # a connection that closes takes its own away
                        os.replace(f"{self.path}{suffix}", f"{aside}{suffix}")
            except OSError as problem:
                self._retry_at = time.monotonic() + _RETRY_SECONDS
                self._warn(f"it is damaged and cannot be moved ({problem}); going on without it")
                return False
            self._replaced = True
        self._warn(f"it was damaged ({error}); moved to {aside!r}, and a new one begun")
        return True

    def _warn(self, problem: str) -> None:
        if problem != self.problem:
            self.problem = problem
            logger.warning("response cache %s: %s", self.path, problem)


_mending = threading.Lock()


def _renew_lock() -> None:
    global _mending
    _mending = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)

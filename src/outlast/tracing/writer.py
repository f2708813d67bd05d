"""The thread that writes what is told of running code into a store, in batches."""

from __future__ import annotations

import atexit
import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from outlast.runtime import running
from outlast.runtime.waiting import forks
from outlast.tracing.database import reason

if TYPE_CHECKING:
    from outlast.tracing.database import Database
    from outlast.tracing.encoding import Encoder
    from outlast.tracing.retention import Retention
    from outlast.tracing.runs import StoredRun
    from outlast.tracing.tidying import Tidying

logger = logging.getLogger("outlast.trace")

MOST_WAITING = 50_000  # things that are told and not yet written
MOST_BYTES = 128 << 20  # of them, about
_BATCH = 2_000
_PAUSE = 0.2  # seconds between batches: what a killed process loses at most is of this age, and of one batch
_IDLE = 3.0  # seconds without news after which the thread ends
_FAREWELL = 10.0  # seconds that a process waits for its last batch
_LAST_LOOK = 0.3  # seconds of the CPU more, for what it wrote last to be found by a search
_LAST_LOOK_MOST = 1.5  # seconds that they may take where the machine is busy
_NEEDED = (
    *("checks.pii", "checks.redaction", "checks.secrets", "lms.keys", "modules.paths", "modules.state"),
    *("tracing.encoding", "tracing.identity", "tracing.provenance", "tracing.text", "tracing.versions"),
    *("tracing.tidying",),
)
_SHARE = 20  # times as long as removing what is old took, other things come first
_BREATH = 0.02  # seconds between two steps of that, in which others write
_RETRY = 1.0  # seconds until what could not be written is tried again


class Writer:
    """Takes what is told (`put`), drops it when too much waits, and writes it. Safe for threads and forks.

    `dropped` counts what was not kept; the run of the process says so in the store, and a warning does once. `problem`
    is the last trouble with the store. The run of the process is written when something that belongs to it is: one that
    only looked, or only replayed, is none. `in_use` says whether it was.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.problem: str | None = None
        self.dropped = 0
        self.written = 0
        self._listeners: list[Callable[[list[Any]], None]] = []
        self.retention: Retention | None = None
        self._asked = False  # for it, by the program
        self._begin()
        atexit.register(self._farewell)

    def _begin(self) -> None:
        self._forks = forks()
        self._queue: deque[Any] = deque()
        self._bytes = 0
        self._lock = threading.RLock()  # reentrant: the garbage collector may close an abandoned call in here
        self._news = threading.Event()
        self._thread: threading.Thread | None = None
        self._asleep = False
        self._writing = False
        self._encoder: Encoder | None = None
        self._ended = False
        self._tidying: Tidying | None = None
        self._tidy_at = 0.0  # of the monotonic clock
        self.run: StoredRun | None = None
        self.in_use = False
        finalizers = sys.modules.get("multiprocessing.util")
        if finalizers is not None:  # its processes do not end by way of `atexit`
            finalizers.Finalize(None, self._farewell, exitpriority=100)

    def put(self, thing: Any, size: int) -> bool:
        """Keep something, an estimate of whose bytes is given; 0 says that it is already known, which is always taken.

        Gives False when it was dropped. Never waits and never raises.
        """
        if self._forks != forks():
            self._begin()
        if size and (len(self._queue) >= MOST_WAITING or self._bytes > MOST_BYTES):
            self.dropped += 1
            if self.dropped == 1:
                logger.warning("traces arrive faster than %s takes them; some are dropped", self.database.place)
            return False
        self._bytes += size  # about: two threads may lose one of their sums
        self._queue.append(thing)
        if self._thread is None:
            self._start()
        elif self._asleep:
            self._news.set()
        return True

    def keep(self, retention: Retention | None, *, asked: bool = True) -> None:
        """Remove what is older from now on, nothing with None; what nobody `asked` for gives way to what was asked."""
        if asked or not self._asked:
            self.retention, self._asked = retention, asked

    def on_written(self, listener: Callable[[list[Any]], None]) -> None:
        """Have a function called with each batch (`Open`, `Exchange` and records) after it was written, in the thread
        of the writer. What it raises is logged."""
        self._listeners.append(listener)

    def _start(self) -> None:
        with self._lock:
            if self._thread is not None or self._ended:
                return
            _load()
            self._thread = threading.Thread(target=self._work, name="outlast-traces", daemon=True)
            try:
                self._thread.start()
            except RuntimeError:  # the interpreter is shutting down
                self._thread = None

    def _work(self) -> None:
        from outlast.tracing.recorder import Nowhere

        try:
            with running(recording=Nowhere()):  # what `redact` asks is not told in turn
                self._write_all()
        finally:
            if self._thread is threading.current_thread():  # a defect ended it: whatever comes next begins another
                self._thread = None

    def _write_all(self) -> None:
        while True:
            wrote = self._write_batch()
            if wrote and time.monotonic() >= self._tidy_at:  # it may never be idle
                self._tidy(steps=1)
            if wrote and len(self._queue) >= _BATCH:
                continue
            if wrote or self._queue:
                self._news.wait(_PAUSE)
                self._news.clear()
                continue
            self._index()
            self._asleep = True
            self._tidy()
            if not self._queue:
                self._news.wait(_IDLE)
            self._asleep = False
            self._news.clear()
            with self._lock:
                if not self._queue:
                    self._encoder = None  # a store that nobody writes to takes no memory
                    self._thread = None
            if self._thread is None:
                self.database.rest()
                if self._queue:  # something came after the last look
                    self._start()
                return

    def _tidy(self, steps: int = 1_000_000) -> None:
        """Remove what is older than is to be kept, as long as nothing else is to do."""
        retention, began = self.retention, time.monotonic()
        if retention is None:
            return
        try:
            if self._tidying is None or self._tidying.retention != retention:
                from outlast.tracing.tidying import Tidying

                self._tidying = Tidying(self.database, retention)
            while steps > 0 and not self._ended and self._tidying.some():
                steps -= 1
                if steps and (self._queue or self._news.wait(_BREATH)):
                    return
        except Exception as error:
            if not self._ended:
                self._warn(f"what is older than it is to keep cannot be removed now ({reason(error)})")
        ended = time.monotonic()
        self._tidy_at = ended + max(_BREATH, _SHARE * (ended - began))

    def _write_batch(self) -> bool:
        """Write what waits; False when nothing did. What the store does not take is tried again, and is dropped only
        where more waits than may."""
        self._writing = True
        try:
            waiting = len(self._queue)
            batch = [self._queue.popleft() for _ in range(min(waiting, _BATCH))]
            if not batch:
                return False
            self._bytes = int(self._bytes * (waiting - len(batch)) / waiting)
            self._take(batch)
            return True
        finally:
            self._writing = False

    def _take(self, batch: list[Any]) -> None:
        if self.database.is_replaced():  # somebody removed the file: begin a new one, with all that was there before
            self.database.close()
            self._encoder = None
            batch = batch if self.run is None or not self.in_use else [self.run, *batch]
        if self.run is not None and not self.in_use:
            batch = self._begun(self.run, batch)
        if not batch or self._write(batch):
            self.written += len(batch)
        elif len(batch) > 1:  # one of them is at fault: the others are kept
            batch = [thing for thing in batch if self._write([thing])]
            self.written += len(batch)
        for listener in self._listeners:
            try:
                listener(batch)
            except Exception:
                logger.warning("a listener of %s failed", self.database.place, exc_info=True)

    def _begun(self, run: StoredRun, batch: list[Any]) -> list[Any]:
        """The batch with the run of the process where something in it belongs to that, else without."""
        rest = [thing for thing in batch if thing is not run]
        self.in_use = self.dropped > 0 or any(_within(run.id, thing) for thing in rest)
        return [run, *rest] if self.in_use else rest

    def _write(self, batch: list[Any]) -> bool:
        """Write a batch, trying again while the database is at fault; False when the batch is. What is given up for
        want of room, or is at fault alone, is dropped and counted."""
        try:
            if self._encoder is None:
                from outlast.tracing.encoding import Encoder

                self._encoder = Encoder()
            rows = self._encoder.rows(batch, self.dropped)
        except Exception as error:  # a defect of ours must not end the thread
            return self._refused(batch, error)
        while True:
            try:
                self.database.write(rows)
                self.problem = None
                return True
            except Exception as error:
                if self.database.hopeless(error):
                    return self._refused(batch, error)
                self._warn(f"it cannot be written now ({reason(error)}); trying again")
                if self._ended or len(self._queue) >= MOST_WAITING:
                    self.dropped += len(batch)
                    self._encoder = None  # what it took for stored is not
                    return True
                self._news.wait(_RETRY)
                self._news.clear()

    def _refused(self, batch: list[Any], error: Exception) -> bool:
        self._encoder = None
        if len(batch) == 1:
            self.dropped += 1
            self._warn(f"a span could not be written: {type(error).__name__}: {reason(error)}")
            logger.debug("traces", exc_info=True)
        return False

    def _index(self) -> None:
        try:
            while not self._queue and self.database.index_some():
                pass
        except Exception as error:
            logger.debug("the text of traces could not be indexed: %s", error)

    def flush(self, timeout: float = 10.0) -> bool:
        """Wait until all that was put is written or dropped; False when it takes longer than `timeout` seconds."""
        if self._forks != forks():
            return True
        until = time.monotonic() + timeout
        while self._queue or self._writing:
            if time.monotonic() > until:
                return False
            if self._thread is None:
                self._start()
            self._news.set()
            time.sleep(0.005)
        return True

    def _farewell(self) -> None:
        if self._forks != forks() or (self._thread is None and not self._queue):
            return
        if self.run is not None:
            self.run.end()
            self.put(self.run, 0)
        with suppress(KeyboardInterrupt):  # whoever presses Ctrl-C again wants to leave
            self.flush(_FAREWELL)
            self._look_once_more()
        self._ended = True
        self._news.set()

    def _look_once_more(self) -> None:
        """Wait a little for the thread to index what came last."""
        until, used = time.monotonic() + _LAST_LOOK_MOST, time.process_time() + _LAST_LOOK
        while self._thread is not None and not self._asleep and time.monotonic() < until and time.process_time() < used:
            self._news.set()
            time.sleep(0.002)

    def _warn(self, problem: str) -> None:
        if problem != self.problem:
            self.problem = problem
            logger.warning("store of traces %s: %s", self.database.place, problem)


def _within(run_id: str, thing: Any) -> bool:
    """Whether something that was told stands in a run, or is a run inside it."""
    place = getattr(getattr(thing, "state", None), "place", None)
    return run_id == (getattr(thing, "parent_id", "") if place is None else place.run_id)


def _load() -> None:
    """Import all that the thread uses before there is one: two threads that import may wait for one another for ever,
    and a fork in the middle of an import leaves half a module."""
    for name in _NEEDED:
        import_module(f"outlast.{name}")


_writers: dict[str, Writer] = {}
_opening = threading.Lock()


def writer_of(database: Database) -> Writer:
    """The one writer of this process for a store."""
    with _opening:
        found = _writers.get(database.place)
        if found is None:
            found = _writers[database.place] = Writer(database)
        return found


def all_writers() -> list[Writer]:
    """The writers of this process."""
    with _opening:
        return list(_writers.values())


def writer_at(database: Database) -> Writer | None:
    """The writer of this process for the store of a database, if it has one."""
    return _writers.get(database.place)

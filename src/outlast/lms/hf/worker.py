"""The one thread that a local model has: it takes waiting requests into its batch until nobody waits."""

from __future__ import annotations

import atexit
import os
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakValueDictionary

from outlast.errors import LMError, LMServerError, OutlastError
from outlast.lms.hf.batch import Batch, Row
from outlast.lms.hf.weights import Weights
from outlast.runtime.threads import start


@dataclass(slots=True, eq=False)
class Job:
    """One request that waits for the model.

    `begin` makes its row, in the worker's thread, where the tokenizer may be used; it may raise. `failed` is told of
    what it raises and of all that goes wrong later.
    """

    begin: Callable[[Weights], Row]
    failed: Callable[[Exception], None]
    gone: bool = False
    row: Row | None = None

    def give_up(self) -> None:
        """Nobody wants it any more: it is dropped before the next token. May be called from any thread."""
        self.gone = True
        if self.row is not None:
            self.row.gone = True


class Worker:
    """Decodes at most `size` requests at once with the model in `folder`, loaded when the first one comes.

    The thread lives as long as there is work; the weights stay as long as this object does.
    """

    def __init__(self, folder: Path, device: str | None, dtype: str, size: int) -> None:
        self.size = size
        self._place = (folder, device, dtype)
        self._lock = threading.Lock()
        self._waiting: deque[Job] = deque()
        self._busy = False
        self.idle = threading.Event()
        self._weights: Weights | None = None

    def submit(self, job: Job) -> None:
        """Queue a request; returns at once."""
        with self._lock:
            self._waiting.append(job)
            if self._busy:
                return
            self._busy = True
            self.idle.clear()
            _at_work.add(self)
        start(self._serve)

    @property
    def waiting(self) -> int:
        """How many requests are in the queue and not in the batch."""
        return len(self._waiting)

    def _serve(self) -> None:
        taken: dict[Row, Job] = {}
        batch: Batch | None = None
        while not _leaving.is_set():
            with self._lock:
                if not self._waiting and (batch is None or not batch.rows):
                    self._rest()
                    return
            try:
                if self._weights is None:
                    self._weights = Weights(*self._place)
                if batch is None:
                    batch = Batch(self._weights)
                self._round(self._weights, batch, taken)
            except Exception as error:
                batch = None
                self._fail(taken, error)
        with self._lock:
            self._rest()

    def _rest(self) -> None:
        """The thread ends. The caller holds the lock, so that a request that comes now starts another."""
        self._busy = False
        _at_work.discard(self)
        self.idle.set()

    def _round(self, weights: Weights, batch: Batch, taken: dict[Row, Job]) -> None:
        """Take in whoever waits, then one token for everybody."""
        with self._lock:
            free = self.size - len(batch.rows) if batch.joinable or not batch.rows else 0
            jobs = [self._waiting.popleft() for _ in range(min(free, len(self._waiting)))]
        rows: list[Row] = []
        for job in jobs:
            try:
                if not job.gone:
                    row = job.row = job.begin(weights)
                    row.gone = job.gone
                    rows.append(row)
                    taken[row] = job
            except Exception as error:
                job.failed(error)
        with weights.torch.inference_mode():
            if rows:
                batch.join(rows)
            batch.step()
        for row in [row for row in taken if row.ended is not None or row.gone]:
            del taken[row]

    def _fail(self, taken: dict[Row, Job], error: Exception) -> None:
        """Tell those in the batch, or all that wait when the model could not be loaded."""
        jobs = list(taken.values())
        taken.clear()
        if self._weights is None:
            with self._lock:
                jobs += self._waiting
                self._waiting.clear()
        for job in jobs:
            job.failed(error if isinstance(error, OutlastError) else _failure(error))


def _failure(error: Exception) -> LMError:
    """What went wrong inside the model, as an error of ours. Only lack of memory may pass."""
    failure = LMServerError(f"the local model failed: {type(error).__name__}: {' '.join(str(error).split())[:300]}")
    failure.retryable = "OutOfMemory" in type(error).__name__
    return failure


_GRACE = 10.0  # seconds for the token that is under way when the interpreter ends
_leaving = threading.Event()
_at_work: set[Worker] = set()


def _leave() -> None:
    """At interpreter exit: torch ends the process with a crash when a thread is still in it."""
    _leaving.set()
    for worker in list(_at_work):
        worker.idle.wait(_GRACE)


_workers: WeakValueDictionary[tuple[Path, str | None, str, int], Worker] = WeakValueDictionary()
_lock = threading.Lock()


def worker_of(folder: Path, device: str | None, dtype: str, size: int) -> Worker:
    """The worker of a model on a device: LMs of this process that name the same share it, and when the last of them
    is gone its memory is free."""
    with _lock:
        place = (folder, device, dtype, size)
        found = _workers.get(place)
        if found is None:
            found = _workers[place] = Worker(folder, device, dtype, size)
        return found


def _after_fork() -> None:
    """Threads stayed in the parent, and weights on a GPU are of no use here."""
    global _lock
    _lock = threading.Lock()
    _workers.clear()
    _at_work.clear()


atexit.register(_leave)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

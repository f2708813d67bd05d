"""Spans go out while the program runs, from a thread of their own, and never at the program's expense."""

from __future__ import annotations

import atexit
import logging
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from outlast.errors import UsageError, brief
from outlast.runtime.waiting import forks
from outlast.tracing.otel.sending import Sender, batches, need_sdk, otlp_exporter, resource_attributes
from outlast.tracing.otel.view import ExportedSpan, Format, Traced, checked_format, exported

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter


class Source(Protocol):
    """Where traces are read from, when it is their turn."""

    def read(self, ids: list[str], *, content: bool) -> Iterable[Traced]:
        """The traces that are to be sent of those with these ids."""
        ...

    def count(self, ids: list[str]) -> int:
        """How many spans they have."""
        ...


logger = logging.getLogger("outlast.trace")

_LAST_WORDS: Final = 5.0  # seconds that the end of the process waits for what is on its way
_NOBODY: Final = 1.0  # the same where nobody was ever there
_TOGETHER: Final = 64  # traces that are taken at once


@dataclass(frozen=True, slots=True)
class OTelCounts:
    """What became of traces and spans: `spans` sent, `failed` refused or never answered, `dropped` traces that found
    the queue full, `broken` traces that could not be read or written as spans."""

    spans: int = 0
    failed: int = 0
    dropped: int = 0
    broken: int = 0


class OTel:
    """Sends traces to a collector of OpenTelemetry as they end.

    `endpoint` is an OTLP/HTTP address such as "http://localhost:4318" (`/v1/traces` is added to one without a path);
    None takes what OTEL_EXPORTER_OTLP_ENDPOINT says. `format` is "gen_ai" (OpenTelemetry), "openinference" or "both".
    `content` sends messages, inputs and outputs; the convention wants them off unless asked for. `headers` go with
    each message and may hold keys; they are never shown. `service` names the process, `project` that of Phoenix.
    `exporter` is a `SpanExporter` of the SDK in place of OTLP. `queue` is how many traces may wait: those that find
    it full are dropped and counted (`counts`). `timeout`: seconds that one message may take, tries included.

    Never blocks and never raises into the program: a thread sends. Raises `UsageError` for wrong options and
    `ConfigError` without the extra, both when it is made.
    """

    def __init__(
        self,
        endpoint: str | None = None,
        *,
        format: Format = "both",
        content: bool = False,
        headers: Mapping[str, str] | None = None,
        service: str | None = None,
        project: str | None = None,
        exporter: SpanExporter | None = None,
        queue: int = 1024,
        timeout: float = 30.0,
    ) -> None:
        need_sdk()
        self.format: Format = checked_format(format)
        self.content = content
        if isinstance(queue, bool) or not isinstance(queue, int) or queue < 1:
            raise UsageError(f"OTel(queue=) is how many traces may wait, at least 1; got {brief(queue)}")
        if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not 0 < timeout <= 3600:
            raise UsageError(f"OTel(timeout=) is in seconds, above 0; got {brief(timeout)}")
        if exporter is not None and (endpoint is not None or headers):
            raise UsageError("OTel takes an exporter=, or endpoint= and headers= to make one; not both")
        known = checked_headers(headers)
        resource = resource_attributes(service, project)
        self._make = lambda: Sender(exporter or otlp_exporter(endpoint, known, timeout), resource)
        self._most = queue
        self._closed = False
        self._begin()

    def _begin(self) -> None:
        """Begin anew, as in a fork: it has neither the thread nor the connections, its parent sends what was waiting,
        and the lock may be held by nobody that is still there."""
        self._sender = self._make()
        self._forks = forks()
        self._waiting: deque[tuple[Source, str]] = deque()
        self._taken: list[tuple[Source, str]] = []  # what is being sent
        self._arrived = 0  # spans of that
        self._answered = False  # whether somebody is where they go, as far as that can be told
        self._changed = threading.Condition()
        self._busy = False
        self._counts = dict.fromkeys(("spans", "failed", "dropped", "broken"), 0)
        self._thread: threading.Thread | None = None

    @property
    def counts(self) -> OTelCounts:
        """What became of everything so far."""
        return OTelCounts(**self._counts)

    def offer(self, traced: Traced) -> None:
        """Take a trace that has ended. Neither blocks nor raises: where the queue is full the trace is dropped."""
        self.tell(_Given(traced if self.content else replace(traced, contents={})), traced.trace.id)

    def tell(self, source: Source, identifier: str) -> None:
        """The same for a trace that is read when it is its turn."""
        if self._forks != forks():
            try:
                self._begin()
            except Exception:  # no exporter can be made here; the program has nothing to do with it
                self._counts["dropped"] += 1
                return
        with self._changed:
            if self._closed or len(self._waiting) >= self._most:
                self._counts["dropped"] += 1
                return
            if (self._thread is None or not self._thread.is_alive()) and not self._started():
                self._counts["dropped"] += 1
                return
            self._waiting.append((source, identifier))
            self._changed.notify_all()

    def ready(self) -> None:
        """Begin the thread now, not with the first trace: at the end of a process Python lets none begin."""
        with self._changed:
            if self._forks == forks() and not self._closed and self._thread is None:
                self._started()

    def flush(self, timeout: float = 10.0) -> bool:
        """Wait until everything taken so far is sent or given up, at most `timeout` seconds; whether it is."""
        if self._forks != forks():
            return True
        until = time.monotonic() + timeout
        with self._changed:
            while self._waiting or self._busy:
                left = until - time.monotonic()
                if left <= 0 or self._thread is None or not self._thread.is_alive():
                    return not (self._waiting or self._busy)
                self._changed.wait(left)
        return True

    def close(self, timeout: float = _LAST_WORDS) -> bool:
        """Send what waits, at most `timeout` seconds, and stop; whether everything was sent or given up."""
        done = self.flush(timeout)
        with self._changed:
            if self._closed:
                return done
            self._closed = True
            self._counts["dropped"] += len(self._waiting)
            self._waiting.clear()
            self._changed.notify_all()
            running = self._thread
        if running is None:
            self._sender.close()
        return done

    def _farewell(self, until: float) -> None:
        """Send what waits, at most until that time of the monotonic clock, and for a second where nobody was ever
        there; say how much was not sent."""
        if self._closed:
            return
        if self._forks != forks():
            return
        self.flush(min(until - time.monotonic(), _NOBODY))
        reached = self._answered or self._counts["spans"] > 0
        if reached:
            self.flush(until - time.monotonic())
        lost = self._unsent() + self._counts["failed"]
        self.close(0.0)
        if lost:
            why = "they were not taken, or not in time" if reached else "nobody is there"
            logger.warning("%d spans were not sent to %s: %s", lost, self._sender.place, why)

    def _unsent(self) -> int:
        """How many spans wait, or are on their way and perhaps arrive."""
        with self._changed:
            left, arrived = [*(self._taken if self._busy else ()), *self._waiting], self._arrived if self._busy else 0
        ids: dict[Source, list[str]] = {}
        for source, identifier in left:
            ids.setdefault(source, []).append(identifier)
        try:
            return max(0, sum(source.count(some) for source, some in ids.items()) - arrived)
        except Exception:  # a store that is gone cannot tell how many; there is one of each trace at least
            return len(left)

    def __repr__(self) -> str:
        told = self.counts
        return f"<OTel: {self.format}, {told.spans} spans sent, {told.failed} failed, {told.dropped} traces dropped>"

    def _started(self) -> bool:
        thread = threading.Thread(target=_send_all, args=(weakref.ref(self),), name="outlast-otel", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # no more threads, or the interpreter ends
            return False
        self._thread = thread
        _open.add(self)
        return True

    def _next(self) -> list[tuple[Source, str]] | None:
        """The traces to send now; None at the end."""
        with self._changed:
            self._busy = False
            self._changed.notify_all()
            if not self._waiting and not self._closed:
                self._changed.wait(1.0)
            if self._closed:
                return None
            taken = [self._waiting.popleft() for _ in range(min(_TOGETHER, len(self._waiting)))]
            self._taken, self._arrived, self._busy = taken, 0, bool(taken)
            return taken

    def _knock(self) -> None:
        self._answered = self._sender.answers(_NOBODY)

    def _send(self, taken: list[tuple[Source, str]]) -> None:
        for batch in batches(self._spans(taken)):
            arrived, lost = self._sender.send(batch)
            self._counts["spans"] += arrived
            self._counts["failed"] += lost
            self._arrived += arrived + lost

    def _spans(self, taken: list[tuple[Source, str]]) -> Iterator[ExportedSpan]:
        ids: dict[Source, list[str]] = {}
        for source, identifier in taken:
            ids.setdefault(source, []).append(identifier)
        for source, some in ids.items():
            try:
                found = list(source.read(some, content=self.content))
            except Exception:  # a store that is gone costs its traces and not the thread
                self._counts["broken"] += len(some)
                continue
            for traced in found:
                try:
                    spans = exported(traced, self.format, content=self.content)
                except Exception:  # and so does a record that nobody foresaw
                    self._counts["broken"] += 1
                    continue
                yield from spans

    def _end(self) -> None:
        self._sender.close()


class _Given:
    """A trace that is there already."""

    def __init__(self, traced: Traced) -> None:
        self._traced = traced

    def read(self, ids: list[str], *, content: bool) -> Iterable[Traced]:
        """It."""
        return [self._traced]

    def count(self, ids: list[str]) -> int:
        """Its spans."""
        return len(self._traced.spans)


def checked_headers(headers: Mapping[str, str] | None) -> dict[str, str]:
    """Headers that can be sent. Raises `UsageError`, which shows no value, as those are keys."""
    found: dict[str, str] = {}
    for name, value in cast("Mapping[Any, Any]", headers or {}).items():
        fine = isinstance(name, str) and isinstance(value, str) and name and not set("\r\n:") & set(name)
        if not fine or set("\r\n") & set(value):
            raise UsageError(f"headers= are names with one line of text each; that of {brief(name)} is none")
        found[name] = value
    return found


def _send_all(reference: weakref.ref[OTel]) -> None:
    """The thread: it holds the sink only while it works, so that one that nobody holds ends."""
    first = True
    while True:
        sink = reference()
        if sink is None:
            return
        if first:
            sink._knock()
            first = False
        while taken := sink._next():
            sink._send(taken)
        if taken is None:
            sink._end()
            return
        del sink


_open: weakref.WeakSet[OTel] = weakref.WeakSet()


@atexit.register
def _last_words() -> None:
    """Send what still waits when the process ends: first what its stores have not written yet."""
    until = time.monotonic() + _LAST_WORDS
    following = sys.modules.get("outlast.tracing.otel.following")
    if following is not None:
        following.written(_LAST_WORDS)
    for sink in list(_open):
        sink._farewell(until)

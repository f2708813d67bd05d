"""What a store of traces takes goes on to a collector: after it was written, and read back by the thread that sends."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from outlast.tracing.otel.live import OTel
from outlast.tracing.otel.view import Traced
from outlast.tracing.recorder import Exchange, Open
from outlast.tracing.store import Store

if TYPE_CHECKING:
    from outlast.tracing.writer import Writer

_REMEMBERED: Final = 20_000  # ids of traces that were sent, as the writer may tell of the end of one twice


class Following:
    """Tells a sink of the traces of a writer that have ended. Only their ids wait, so that waiting needs no memory."""

    def __init__(self, writer: Writer, sink: OTel) -> None:
        self.sink: OTel | None = sink
        self._writer = writer
        self._store = Store(writer.database)
        self._sent: dict[str, None] = {}
        self._read: frozenset[str] = frozenset()  # of them, those that were read last and are perhaps on their way

    def __call__(self, batch: list[Any]) -> None:
        """What was written just now."""
        sink = self.sink
        if sink is not None:
            for identifier in ended(batch):
                sink.tell(self, identifier)

    def read(self, ids: list[str], *, content: bool) -> list[Traced]:
        """Those of the traces that are over and were not sent before."""
        fresh = [one for one in ids if one not in self._sent]
        found = [one for one in self._store.whole(fresh, contents=content) if one.trace.seconds is not None]
        if len(self._sent) >= _REMEMBERED:
            self._sent = dict.fromkeys(list(self._sent)[_REMEMBERED // 2 :])
        self._read = frozenset(one.trace.id for one in found)
        self._sent.update(dict.fromkeys(one.trace.id for one in found))
        return [Traced(one.trace, one.spans, one.contents) for one in found]

    def count(self, ids: list[str]) -> int:
        """How many spans those of the traces have that were not sent, or are on their way."""
        return self._store.count_spans([one for one in set(ids) if one not in self._sent or one in self._read])

    def written(self, timeout: float) -> bool:
        """Wait until all that was told so far is written."""
        return self._writer.flush(timeout)

    def flush(self, timeout: float) -> bool:
        """Wait until all that was told so far is written and sent."""
        until = time.monotonic() + timeout
        written = self._writer.flush(timeout)
        sink = self.sink
        return written and (sink is None or sink.flush(max(0.0, until - time.monotonic())))


def ended(batch: Iterable[Any]) -> list[str]:
    """The ids of the traces of a batch whose outermost span is over."""
    found: dict[str, None] = {}
    for thing in batch:
        if isinstance(thing, (Open, Exchange)) and thing.state.root is thing:
            over = isinstance(thing, Exchange) or thing.seconds is not None
            if over:
                found[thing.state.id] = None
    return list(found)


_following: weakref.WeakKeyDictionary[Writer, Following] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def follow(writer: Writer, sink: OTel | None) -> None:
    """Send the traces of a writer to a sink from now on, in place of the one before; to none with None."""
    if sink is not None:
        sink.ready()
    with _lock:
        known = _following.get(writer)
        if known is None and sink is not None:
            known = _following[writer] = Following(writer, sink)
            writer.on_written(known)
        elif known is not None:
            known.sink = sink


def written(timeout: float) -> bool:
    """Wait until all that was told so far is in the followed stores, at most `timeout` seconds for each."""
    with _lock:
        known = list(_following.values())
    done = [one.written(timeout) for one in known]
    return all(done)


def flush(timeout: float) -> bool:
    """Wait until all traces of followed stores are sent or given up, at most `timeout` seconds for each."""
    with _lock:
        known = list(_following.values())
    done = [one.flush(timeout) for one in known]
    return all(done)

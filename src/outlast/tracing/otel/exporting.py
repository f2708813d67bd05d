"""What a store of traces holds goes to a collector, all of it or a part."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

from outlast.tracing.otel.sending import Sender, batches
from outlast.tracing.otel.view import ExportedSpan, Format, Traced, exported
from outlast.tracing.record import ALL, TraceFilter, TraceRecord

if TYPE_CHECKING:
    from outlast.tracing.store import Store

_TOGETHER: Final = 50  # traces that are read at once


@dataclass(slots=True)
class ExportCounts:
    """What became of an export: `traces` read and `spans` sent, `lost` spans that the collector did not take, `open`
    traces that are not over and were left out. `stopped`: the collector took nothing at all, and the rest was not
    tried."""

    traces: int = 0
    spans: int = 0
    lost: int = 0
    open: int = 0
    stopped: bool = False


def export_traces(
    store: Store,
    sender: Sender,
    where: TraceFilter = ALL,
    *,
    format: Format = "both",
    content: bool = False,
    limit: int | None = None,
    progress: Callable[[ExportCounts], None] | None = None,
) -> ExportCounts:
    """Send the traces that fit, newest first, at most `limit`; with their labels, a message of spans at a time.

    Ends early when the first message is refused, as then all are. Memory: one message and fifty traces.
    """
    counts = ExportCounts()
    for batch in batches(_spans(store, where, format, content, limit, counts)):
        arrived, lost = sender.send(batch)
        counts.spans += arrived
        counts.lost += lost
        if progress is not None:
            progress(counts)
        if not counts.spans:
            counts.stopped = True
            break
    return counts


def _spans(
    store: Store, where: TraceFilter, format: Format, content: bool, limit: int | None, counts: ExportCounts
) -> Iterator[ExportedSpan]:
    for some in _groups(store.all_traces(where, limit)):
        over = [trace for trace in some if trace.seconds is not None]
        counts.open += len(some) - len(over)
        for one in store.whole([trace.id for trace in over], contents=content):
            counts.traces += 1
            labels = tuple(store.labels(trace_id=one.trace.id))
            yield from exported(Traced(one.trace, one.spans, one.contents, labels), format, content=content)


def _groups(traces: Iterator[TraceRecord]) -> Iterator[list[TraceRecord]]:
    while some := list(islice(traces, _TOGETHER)):
        yield some

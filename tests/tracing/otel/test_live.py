"""Export while the program runs: nothing is lost when all is well, and nothing is at the program's expense when not."""

from __future__ import annotations

import gc
import os
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from typing import Any

import pytest
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from tests.tracing.otel.conftest import Collector
from tests.tracing.otel.records import trace

from outlast.errors import UsageError
from outlast.tracing.otel import OTel, Traced
from outlast.tracing.otel.joining import around


class Slow(SpanExporter):
    """Keeps what it is given; while `go` is clear it does not come back."""

    def __init__(self) -> None:
        self.batches: list[Any] = []
        self.go = threading.Event()
        self.go.set()
        self.closed = False

    def export(self, spans: Any) -> SpanExportResult:
        self.go.wait(10)
        self.batches.append(spans)
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        self.closed = True


def test_what_is_offered_arrives(collector: Collector, traced: Traced) -> None:
    sink = OTel(collector.url, content=True)
    for _ in range(3):
        sink.offer(traced)
    assert sink.flush(5)
    assert len(collector.spans) == 15
    assert sink.counts.spans == 15
    assert any(pair.key == "gen_ai.input.messages" for span in collector.spans for pair in span.attributes)
    assert sink.close()


def test_content_stays_here_unless_asked_for(collector: Collector, traced: Traced) -> None:
    with_none = OTel(collector.url)
    with_none.offer(traced)
    assert with_none.close()
    assert b"Paris" not in collector.requests[0].SerializeToString()


def test_a_slow_collector_costs_the_program_nothing_but_traces(traced: Traced) -> None:
    slow = Slow()
    slow.go.clear()
    sink = OTel(exporter=slow, queue=10)
    sink.offer(traced)
    while sink._waiting:  # the thread has it
        time.sleep(0.001)
    began = time.perf_counter()
    for _ in range(1000):
        sink.offer(traced)
    assert time.perf_counter() - began < 15
    assert sink.counts.dropped == 990
    assert not sink.flush(0.05)
    slow.go.set()
    assert sink.flush(5)
    assert sink.counts.spans == 55
    assert "990 traces dropped" in repr(sink)
    sink.close()


def test_an_exporter_that_raises_and_a_record_that_is_none_end_nothing(traced: Traced) -> None:
    class Broken(Slow):
        def export(self, spans: Any) -> SpanExportResult:
            if not self.batches:
                self.batches.append(spans)
                raise OSError("gone")
            return super().export(spans)

    sink = OTel(exporter=Broken())
    sink.offer(traced)
    assert sink.flush(5)
    sink.offer(replace(traced, trace=trace(id="not hex")))
    assert sink.flush(5)
    sink.offer(traced)
    assert sink.flush(5)
    assert (sink.counts.failed, sink.counts.broken, sink.counts.spans) == (5, 1, 5)
    sink.close()


def test_a_collector_that_refuses_is_counted(collector: Collector, traced: Traced) -> None:
    collector.status = 401
    sink = OTel(collector.url)
    sink.offer(traced)
    assert sink.flush(5)
    assert sink.counts.failed == 5
    sink.close()


def test_after_close_nothing_is_taken_and_the_thread_ends(traced: Traced) -> None:
    slow = Slow()
    sink = OTel(exporter=slow)
    sink.offer(traced)
    running = sink._thread
    assert sink.close()
    assert sink.close()
    sink.offer(traced)
    assert sink.counts.dropped == 1
    assert running is not None
    running.join(5)
    assert not running.is_alive()
    assert slow.closed


def test_a_sink_that_nobody_holds_ends(traced: Traced) -> None:
    sink = OTel(exporter=Slow())
    sink.offer(traced)
    assert sink.flush(5)
    running = sink._thread
    del sink
    gc.collect()
    assert running is not None
    running.join(5)
    assert not running.is_alive()


def test_many_threads_offer_at_once(traced: Traced) -> None:
    slow = Slow()
    sink = OTel(exporter=slow, queue=10_000)
    threads = [threading.Thread(target=lambda: [sink.offer(traced) for _ in range(50)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sink.flush(20)
    assert sink.counts.spans == 400 * 5 == sum(map(len, slow.batches))
    sink.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_sends_what_it_takes_itself(collector: Collector, traced: Traced) -> None:
    sink = OTel(collector.url)
    sink.offer(traced)
    assert sink.flush(5)
    with sink._changed:  # a fork at the worst moment: somebody has the lock
        child = os.fork()
    if child == 0:
        sink.offer(traced)
        os._exit(0 if sink.flush(5) else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert len(collector.spans) == 10
    sink.close()


@pytest.mark.slow
def test_the_end_of_a_process_sends_what_waits(collector: Collector) -> None:
    code = (
        "import sys; sys.path[:0] = ['.', 'src']\n"
        "from outlast.tracing.otel import OTel, Traced\n"
        "from tests.tracing.otel.records import spans, trace\n"
        f"OTel({collector.url!r}).offer(Traced(trace(), spans()))\n"
        f"held = OTel({collector.url!r}); held.offer(Traced(trace(), spans()))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert len(collector.spans) >= 5


def nobody() -> str:
    """An address where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


def test_the_end_of_a_process_waits_a_second_for_nobody(traced: Traced, caplog: pytest.LogCaptureFixture) -> None:
    place = nobody()
    sink = OTel(place)
    sink.offer(traced)
    sink.offer(traced)
    began = time.monotonic()
    with caplog.at_level("WARNING", "outlast.trace"):
        sink._farewell(began + 60)
    assert time.monotonic() - began < 30
    said = [one.getMessage() for one in caplog.records if "not sent" in one.getMessage()]
    assert said == [f"10 spans were not sent to {place}/v1/traces: nobody is there"]


def test_the_end_of_a_process_waits_for_who_is_slow(collector: Collector, traced: Traced) -> None:
    collector.wait.clear()
    sink = OTel(collector.url)
    sink.offer(traced)
    threading.Timer(1.5, collector.wait.set).start()
    sink._farewell(time.monotonic() + 30)
    assert len(collector.spans) == 5


def test_what_was_refused_is_said_at_the_end(
    collector: Collector, traced: Traced, caplog: pytest.LogCaptureFixture
) -> None:
    collector.status = 401
    sink = OTel(collector.url)
    sink.offer(traced)
    assert sink.flush(10)
    with caplog.at_level("WARNING", "outlast.trace"):
        sink._farewell(time.monotonic() + 30)
    assert "5 spans were not sent" in caplog.text
    assert "they were not taken, or not in time" in caplog.text


def test_where_all_was_sent_nothing_is_said(
    collector: Collector, traced: Traced, caplog: pytest.LogCaptureFixture
) -> None:
    sink = OTel(collector.url)
    sink.offer(traced)
    with caplog.at_level("WARNING", "outlast.trace"):
        sink._farewell(time.monotonic() + 30)
    assert len(collector.spans) == 5
    assert "not sent" not in caplog.text


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"queue": 0}, "queue="),
        ({"queue": True}, "queue="),
        ({"timeout": 0}, "timeout="),
        ({"timeout": float("nan")}, "timeout="),
        ({"format": "otel"}, "format="),
        ({"endpoint": "localhost"}, "an OTLP endpoint is"),
        ({"headers": {"a": "b\n"}}, "headers="),
        ({"endpoint": "http://a", "exporter": Slow()}, "not both"),
    ],
)
def test_wrong_options_are_refused_when_it_is_made(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        OTel(**options)


def test_a_trace_joins_the_span_that_it_runs_in() -> None:
    from opentelemetry.sdk.trace import TracerProvider

    assert around() == {}
    with TracerProvider().get_tracer("app").start_as_current_span("request") as span:
        context = span.get_span_context()
        assert around() == {
            "otel.trace_id": f"{context.trace_id:032x}",
            "otel.span_id": f"{context.span_id:016x}",
        }
    assert around() == {}


def test_a_span_that_the_application_does_not_send_is_not_joined() -> None:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

    with TracerProvider(sampler=ALWAYS_OFF).get_tracer("app").start_as_current_span("request"):
        assert around() == {}


def test_without_opentelemetry_nothing_is_joined_and_nothing_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "opentelemetry.trace", raising=False)
    assert around() == {}
    assert "opentelemetry.trace" not in sys.modules


def test_a_broken_tracer_is_not_ours_to_report(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def get_current_span(self) -> Any:
            raise RuntimeError("broken")

    monkeypatch.setitem(sys.modules, "opentelemetry.trace", Broken())
    assert around() == {}

"""Spans over the wire: what a collector reads in the protobuf, the address, headers, sizes, and what is refused."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import pytest
from tests.tracing.otel.conftest import Collector
from tests.tracing.otel.records import TRACE, trace

from outlast import __version__
from outlast.errors import ConfigError, UsageError
from outlast.tracing.otel import Sender, Traced, exported, otlp_exporter, resource_attributes
from outlast.tracing.otel.live import checked_headers
from outlast.tracing.otel.sending import MOST_SPANS, batches, checked_endpoint


def sender(collector: Collector, **headers: str) -> Sender:
    """One that sends to the collector."""
    return Sender(otlp_exporter(collector.url, headers, 2.0), resource_attributes("shop", "support"))


def attributes(held: Any) -> dict[str, Any]:
    """Attributes of a protobuf message as Python values."""
    found: dict[str, Any] = {}
    for pair in held.attributes:
        kind = pair.value.WhichOneof("value")
        value = getattr(pair.value, kind)
        found[pair.key] = [one.string_value for one in value.values] if kind == "array_value" else value
    return found


def test_a_collector_reads_what_was_exported(collector: Collector, traced: Traced) -> None:
    spans = exported(traced, "both", content=True)
    assert sender(collector, **{"x-key": "k"}).send(spans) == (5, 0)
    assert collector.paths == ["/v1/traces"]
    assert collector.headers[0]["content-type"] == "application/x-protobuf"
    assert collector.headers[0]["x-key"] == "k"
    scope = collector.requests[0].resource_spans[0].scope_spans[0].scope
    assert (scope.name, scope.version) == ("outlast", __version__)
    resource = attributes(collector.requests[0].resource_spans[0].resource)
    assert (resource["service.name"], resource["openinference.project.name"]) == ("shop", "support")
    for sent, read in zip(spans, collector.spans, strict=True):
        assert read.trace_id.hex() == TRACE
        assert int.from_bytes(read.span_id, "big") == sent.span_id
        assert int.from_bytes(read.parent_span_id, "big") == (sent.parent_id or 0)
        assert (read.name, read.kind) == (sent.name, 3 if sent.calls_out else 1)
        assert (read.start_time_unix_nano, read.end_time_unix_nano) == (sent.started, sent.ended)
        assert attributes(read) == dict(sent.attributes)
        assert (read.status.code, read.status.message) == ({True: 1, False: 2}[bool(sent.ok)], sent.problem)
        assert [event.name for event in read.events] == [event.name for event in sent.events]


def test_a_collector_that_refuses_is_counted(collector: Collector, traced: Traced) -> None:
    collector.status = 400
    assert sender(collector).send(exported(traced)) == (0, 5)


def test_nobody_there_is_counted(collector: Collector, traced: Traced) -> None:
    silent = Sender(otlp_exporter(collector.url, None, 0.2), resource_attributes(None, None))
    collector.server.server_close()
    assert silent.send(exported(traced)) == (0, 5)


def test_messages_have_a_bounded_size(traced: Traced) -> None:
    one = exported(traced)[2]
    assert [len(batch) for batch in batches([one] * (MOST_SPANS + 1))] == [MOST_SPANS, 1]
    big = replace(one, attributes={"text": "é" * 600_000})
    assert [len(batch) for batch in batches([big] * 3)] == [1, 1, 1]
    assert list(batches([])) == []


def test_a_span_that_is_not_over_is_not_sent(collector: Collector) -> None:
    assert sender(collector).send(exported(Traced(trace(), []))) == (0, 0)
    assert collector.requests == []


@pytest.mark.parametrize(
    ("given", "whole"),
    [
        ("http://localhost:4318", "http://localhost:4318/v1/traces"),
        ("http://localhost:4318/", "http://localhost:4318/v1/traces"),
        ("https://a.example/api/public/otel/v1/traces", "https://a.example/api/public/otel/v1/traces"),
    ],
)
def test_addresses(given: str, whole: str) -> None:
    assert checked_endpoint(given) == whole


@pytest.mark.parametrize(
    "given",
    ["localhost:4318", "ftp://a", "http://", "http://me:pass@a", "http://a?key=pass", "http://a b", "http://a:x", 7],
)
def test_addresses_that_are_none(given: Any) -> None:
    with pytest.raises(UsageError, match="an OTLP endpoint is an http") as caught:
        checked_endpoint(given)
    assert "pass" not in str(caught.value)


def test_headers_that_cannot_be_sent_are_refused_without_their_value() -> None:
    assert checked_headers({"x-a": "b"}) == {"x-a": "b"}
    for bad in ({"a": "key\r\nb: c"}, {"a:b": "key"}, {"": "key"}, {"a": 1}, {1: "key"}):
        with pytest.raises(UsageError, match="headers=") as caught:
            checked_headers(bad)  # type: ignore[arg-type]
        assert "key" not in str(caught.value)


def test_the_service_is_named_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_SERVICE_NAME", raising=False)
    assert resource_attributes(None, None) == {"service.name": "outlast"}
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop")
    assert resource_attributes(None, None) == {"service.name": "shop"}


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(ConfigError, match=r"pip install 'outlast\[otel\]'"):
        otlp_exporter("http://localhost:4318", None, 1.0)


def test_the_exporter_makes_no_spans_of_its_own(traced: Traced) -> None:
    from opentelemetry import context
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

    seen: list[Any] = []

    class Watching(SpanExporter):
        def export(self, spans: Any) -> SpanExportResult:
            seen.append(context.get_value(context._SUPPRESS_INSTRUMENTATION_KEY))
            return SpanExportResult.SUCCESS

    Sender(Watching(), {}).send(exported(traced))
    assert seen == [True]

"""Spans go out: made into those of the OpenTelemetry SDK and handed to an exporter, in messages of bounded size."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from outlast.errors import ConfigError, UsageError, brief
from outlast.tracing.otel.conventions import GEN_AI_SCHEMA, OpenInference
from outlast.tracing.otel.messages import Value
from outlast.tracing.otel.view import ExportedSpan

if TYPE_CHECKING:
    from collections.abc import Generator

    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter

logger = logging.getLogger("outlast.trace")

MOST_SPANS: Final = 100  # of one message: some backends take a tenth of a second for each
MOST_BYTES: Final = 2_000_000  # of its text, roughly: collectors refuse messages beyond 4 MB
_PORTS: Final = {"http": 80, "https": 443}
_PATH: Final = "/v1/traces"


def need_sdk() -> None:
    """Raise `ConfigError` where the extra is not installed."""
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.sdk") is None:
        raise ConfigError("spans for OpenTelemetry need its SDK: pip install 'outlast[otel]'")


def otlp_exporter(endpoint: str | None, headers: Mapping[str, str] | None, timeout: float) -> SpanExporter:
    """The SDK's exporter over OTLP/HTTP. Without an endpoint its environment variables say where.

    An address without a path gets `/v1/traces`. Raises `ConfigError` without the extra, `UsageError` for no address.
    """
    need_sdk()
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ModuleNotFoundError as error:
        raise ConfigError("sending spans needs the OTLP exporter: pip install 'outlast[otel]'") from error
    address = None if endpoint is None else checked_endpoint(endpoint)
    return OTLPSpanExporter(endpoint=address, headers=dict(headers or {}), timeout=timeout)


def checked_endpoint(endpoint: str) -> str:
    """The whole address of an OTLP endpoint. Raises `UsageError`."""
    try:
        parts = urlsplit(endpoint)
        fine = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.query and not parts.fragment
        fine = fine and parts.username is None and (parts.port is None or parts.port > 0)
    except (ValueError, TypeError, AttributeError):
        fine = False
    if not fine or any(character.isspace() for character in endpoint):
        raise UsageError(
            "an OTLP endpoint is an http(s) address such as http://localhost:4318, without user name or query "
            f"(keys go into headers); got {brief(str(endpoint).rpartition('@')[2].partition('?')[0])}"
        )
    return endpoint if urlsplit(endpoint).path.strip("/") else endpoint.rstrip("/") + _PATH


def resource_attributes(service: str | None, project: str | None) -> dict[str, str]:
    """What is said of the process: `service.name` (else OTEL_SERVICE_NAME, else "outlast") and Phoenix's project."""
    import os

    named = service or os.environ.get("OTEL_SERVICE_NAME") or "outlast"
    told = {"service.name": named}
    return {**told, OpenInference.PROJECT: project} if project else told


class Sender:
    """Hands spans to an exporter of the SDK. Not for several threads at once."""

    def __init__(self, exporter: SpanExporter, resource: Mapping[str, str]) -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope

        from outlast import __version__

        self._exporter = exporter
        self._resource = Resource.create(dict(resource))
        self._scope = InstrumentationScope("outlast", __version__, GEN_AI_SCHEMA)

    @property
    def place(self) -> str:
        """Where spans go: an address without its query, or the kind of exporter."""
        address = getattr(self._exporter, "_endpoint", None)
        return address.partition("?")[0] if isinstance(address, str) else type(self._exporter).__name__

    def answers(self, timeout: float) -> bool:
        """Whether anybody takes connections where spans go, asked for `timeout` seconds at most (and as long as a name
        takes to look up); True for an exporter that does not say where that is."""
        parts = urlsplit(self.place)
        if not parts.hostname:
            return True
        try:
            socket.create_connection((parts.hostname, parts.port or _PORTS.get(parts.scheme, 80)), timeout).close()
        except (OSError, ValueError):
            return False
        return True

    def send(self, spans: Iterable[ExportedSpan]) -> tuple[int, int]:
        """Send spans; how many arrived and how many did not. Blocks for as long as the exporter tries; raises
        nothing of it."""
        arrived = lost = 0
        for batch in batches(spans):
            if self._taken(batch):
                arrived += len(batch)
            else:
                lost += len(batch)
        return arrived, lost

    def _taken(self, batch: list[ExportedSpan]) -> bool:
        from opentelemetry.sdk.trace.export import SpanExportResult

        try:
            with _untraced():
                return self._exporter.export([self._readable(span) for span in batch]) is SpanExportResult.SUCCESS
        except Exception as error:  # older exporters raise where nobody answers, and one may be of the user's own
            logger.warning("spans could not be sent: %s: %s", type(error).__name__, error)
            return False

    def close(self) -> None:
        """Close the exporter's connections."""
        self._exporter.shutdown()

    def _readable(self, span: ExportedSpan) -> ReadableSpan:
        from opentelemetry.sdk.trace import Event, ReadableSpan
        from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

        def context(identifier: int, *, remote: bool) -> SpanContext:
            return SpanContext(span.trace_id, identifier, remote, TraceFlags(TraceFlags.SAMPLED))

        codes = {None: StatusCode.UNSET, True: StatusCode.OK, False: StatusCode.ERROR}
        return ReadableSpan(
            name=span.name,
            context=context(span.span_id, remote=False),
            parent=None if span.parent_id is None else context(span.parent_id, remote=False),
            resource=self._resource,
            attributes=dict(span.attributes),
            events=[Event(event.name, dict(event.attributes), event.at) for event in span.events],
            kind=SpanKind.CLIENT if span.calls_out else SpanKind.INTERNAL,
            status=Status(codes[span.ok], span.problem if span.ok is False else None),
            start_time=span.started,
            end_time=span.ended,
            instrumentation_scope=self._scope,
        )


def batches(spans: Iterable[ExportedSpan]) -> Iterator[list[ExportedSpan]]:
    """Spans in groups that fit into one message each."""
    batch: list[ExportedSpan] = []
    size = 0
    for span in spans:
        weight = _weight(span)
        if batch and (len(batch) >= MOST_SPANS or size + weight > MOST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(span)
        size += weight
    if batch:
        yield batch


def _weight(span: ExportedSpan) -> int:
    held = [span.attributes, *(event.attributes for event in span.events)]
    return 200 + sum(len(name) + _length(value) for attributes in held for name, value in attributes.items())


def _length(value: Value) -> int:
    if isinstance(value, str):
        return len(value) if value.isascii() else len(value.encode("utf-8", "replace"))
    return sum(map(_length, value)) if isinstance(value, list) else 8


@contextmanager
def _untraced() -> Generator[None]:
    """A block whose own HTTP calls make no spans, where the application traces those."""
    from opentelemetry import context

    key: Any = getattr(context, "_SUPPRESS_INSTRUMENTATION_KEY", None)
    if key is None:
        yield
        return
    token = context.attach(context.set_value(key, True))
    try:
        yield
    finally:
        context.detach(token)

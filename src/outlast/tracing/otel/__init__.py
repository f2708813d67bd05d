"""Export to OpenTelemetry: spans are a view of our records, never where they live."""

from outlast.tracing.otel.live import OTel, OTelCounts
from outlast.tracing.otel.sending import Sender, otlp_exporter, resource_attributes
from outlast.tracing.otel.view import FORMATS, Format, Traced, exported

__all__ = [
    "FORMATS",
    "Format",
    "OTel",
    "OTelCounts",
    "Sender",
    "Traced",
    "exported",
    "otlp_exporter",
    "resource_attributes",
]

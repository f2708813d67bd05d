"""An application that traces itself already: our trace becomes a part of its own."""

from __future__ import annotations

import sys
from typing import Any

from outlast.tracing.otel.view import JOINED_SPAN, JOINED_TRACE


def around() -> dict[str, str]:
    """The span of OpenTelemetry that this code runs in, as attributes for a trace of ours; empty when there is none.

    Looks only where the application has imported OpenTelemetry itself, and never raises. Our trace keeps its own id,
    as a request of the application may hold several of our traces; what is exported has the application's.
    """
    api: Any = sys.modules.get("opentelemetry.trace")
    if api is None:
        return {}
    try:
        context = api.get_current_span().get_span_context()
        if not context.is_valid or not context.trace_flags.sampled:  # one that goes nowhere would leave ours orphaned
            return {}
        return {JOINED_TRACE: f"{context.trace_id:032x}", JOINED_SPAN: f"{context.span_id:016x}"}
    except Exception:  # a tracer of the application that is broken is not ours to report
        return {}

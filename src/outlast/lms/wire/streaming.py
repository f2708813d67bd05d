"""Events of a stream as JSON."""

from __future__ import annotations

import json
from typing import Any, cast

from outlast.errors import LMResponseError
from outlast.lms.wire.sse import ServerEvent


def event_object(event: ServerEvent) -> dict[str, Any]:
    """The JSON object in an event. Raises `LMResponseError`, which does not show it: it may hold what is secret."""
    try:
        data: Any = json.loads(event.data)
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise LMResponseError("an event of the stream is not a JSON object: the stream is garbled")
    return cast("dict[str, Any]", data)

"""What importers have in common: ids that stay the same, loose values made safe, a trace with all that is its own."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, Final, cast

from outlast.errors import OutlastError
from outlast.messages import Message, OutputSchema, Request, Response, Settings
from outlast.tracing.record import RunRecord
from outlast.tracing.saving import WholeTrace
from outlast.types import Tool

PREVIEW: Final = 300
MOST_TEXT: Final = 16 << 20  # characters of one text; longer ones are cut
_TOOL = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_NUMBERS: Final = ("temperature", "top_p")
_COUNTS: Final = ("max_tokens", "seed")


@dataclass(slots=True)
class Reading:
    """What is read out of a source: the runs that it is, and traces one at a time while they are asked for.

    `skipped` counts entries that could not be read as what they should be, `last` is the id in the source of the last
    one; both grow while traces are read.
    """

    runs: list[RunRecord]
    traces: Iterator[WholeTrace]
    skipped: int = 0
    last: str = ""


# Ids


def id_of(*words: object) -> str:
    """32 hexadecimal digits that the same words always give."""
    return blake2b(_joined(words), digest_size=16).hexdigest()


def trace_id(started: float, *words: object) -> str:
    """The same, sorting by time as the ids of traces do."""
    milliseconds = max(0, min(int(started * 1000), (1 << 48) - 1))
    return f"{milliseconds:012x}{blake2b(_joined(words), digest_size=10).hexdigest()}"


def span_id(*words: object) -> str:
    """16 hexadecimal digits that the same words always give."""
    return blake2b(_joined(words), digest_size=8).hexdigest()


def _joined(words: Sequence[object]) -> bytes:
    return b"".join(
        len(word).to_bytes(8, "big") + word for word in (str(one).encode("utf-8", "replace") for one in words)
    )


# Loose values


def text(value: Any) -> str:
    """A value as text: "" for none, JSON for structure. What no database takes is replaced, what is too long is cut."""
    if value is None:
        return ""
    if not isinstance(value, str):
        value = as_json(value)
    if len(value) > MOST_TEXT:
        value = f"{value[:MOST_TEXT]}… ({len(value) - MOST_TEXT:,} more characters)"
    value = value.replace("\x00", "\ufffd")  # PostgreSQL has no text with it
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return value


def as_json(value: Any) -> str:
    """JSON text of any value."""
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except (ValueError, RecursionError):
        return ""


def number(value: Any) -> float | None:
    """A finite number, or None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def whole(value: Any) -> int | None:
    """A whole number from 0 that a database can hold, or None."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 62:
        return None
    return value


def mapping(value: Any) -> dict[str, Any]:
    """The value when it is an object, else an empty one."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def listed(value: Any) -> list[Any]:
    """The value when it is a list, else an empty one."""
    return cast("list[Any]", value) if isinstance(value, list) else []


def objects(value: Any) -> list[dict[str, Any]]:
    """The objects of a list."""
    return [mapping(one) for one in listed(value) if isinstance(one, dict)]


def moment(value: Any) -> float | None:
    """Seconds since 1970 of an ISO date and time; one without a zone is UTC."""
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value.strip())
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def preview(value: Any) -> str:
    """The beginning of a value on one line."""
    shown = " ".join(text(value)[: 4 * PREVIEW].split())
    return shown if len(shown) <= PREVIEW else f"{shown[: PREVIEW - 1]}…"


def finite(value: Any) -> Any:
    """JSON data without NaN and infinity, which JSON does not have, and without lone surrogates."""
    if isinstance(value, str):
        return text(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    if isinstance(value, dict):
        return {text(name): finite(one) for name, one in mapping(value).items()}
    if isinstance(value, list):
        return [finite(one) for one in listed(value)]
    return value


# Requests


def request_of(
    messages: Sequence[Message], *, settings: Settings | None = None, tools: Any = (), schema: Any = None
) -> dict[str, Any]:
    """The JSON form of a request to a model."""
    output = OutputSchema("reply", mapping(schema)) if isinstance(schema, dict) else None
    asked = Request(tuple(messages), settings or Settings(), output, tools=tuple(tools))
    return mapping(finite(asked.to_json()))


def response_of(response: Response) -> dict[str, Any]:
    """The JSON form of a response of a model."""
    return mapping(finite(response.to_json()))


def settings_of(options: Mapping[str, Any], *, stop: str = "stop", known: Sequence[str] = ()) -> Settings:
    """Settings out of another program's: those that we have a name for, and `known` others as `extra`."""
    told: dict[str, Any] = {name: value for name in _NUMBERS if (value := number(options.get(name))) is not None}
    told |= {name: value for name in _COUNTS if (value := whole(options.get(name))) is not None}
    stops = options.get(stop)
    if isinstance(stops, str) or (isinstance(stops, list) and all(isinstance(one, str) for one in listed(stops))):
        told["stop"] = (stops,) if isinstance(stops, str) else tuple(cast("list[str]", stops))
    extra = {name: options[name] for name in known if name not in told and options.get(name) is not None}
    return Settings(**told, extra=extra)


def tool_of(name: Any, description: Any, parameters: Any) -> Tool | None:
    """A tool that a model might call, None when it is none of ours."""
    if not isinstance(name, str) or not _TOOL.fullmatch(name):
        return None
    schema: dict[str, Any] = {"properties": {}, **mapping(parameters), "type": "object"}
    try:
        return Tool(name, text(description), schema)
    except OutlastError:
        return None

"""JSON out of what a server sent and into what it is sent: what all dialects share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from outlast.errors import LMResponseError, LMServerError, UsageError
from outlast.lms.wire.dialect import Notes, Told
from outlast.lms.wire.openai_errors import error_from
from outlast.messages import FinishReason

_LONGEST_FINGERPRINT = 200  # characters
FINISH: Mapping[str, FinishReason] = {
    "stop": "stop",
    "eos": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "completed": "stop",
    "pause_turn": "other",
    "length": "length",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "model_length": "length",
    "model_context_window_exceeded": "length",
    "content_filter": "content_filter",
    "safety": "content_filter",
    "refusal": "content_filter",
    "recitation": "content_filter",
    "tool_calls": "tool_calls",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
}


def finish_of(word: Any) -> FinishReason:
    """A provider's word for the end of a reply, normalised."""
    return FINISH.get(str(word).lower(), "other") if word is not None else "other"


def serialize(body: Mapping[str, Any]) -> tuple[bytes, bool]:
    """The bytes of a body, and whether lone surrogates in it were replaced by U+FFFD.

    Raises `UsageError` when it holds something that JSON cannot.
    """
    try:
        text = _to_json(body)
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"the request cannot be written as JSON: {error}") from None
    try:
        return text.encode(), False
    except UnicodeEncodeError:
        return mend(text).encode(), True


def _as_dict(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(cast("Mapping[str, Any]", value))
    raise TypeError(f"{type(value).__name__} is not JSON-ready")


_to_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_as_dict).encode


def mend(text: str) -> str:
    """The text with pairs of surrogates joined and lone ones replaced by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def mended(text: str, reasoning: str | None, notes: Notes) -> tuple[str, str | None]:
    """Text and reasoning without lone surrogates, noted when there were any."""
    whole, thought = mend(text), None if reasoning is None else mend(reasoning)
    if whole != text or thought != reasoning:
        notes.say("lone surrogates in the reply replaced by U+FFFD")
    return whole, thought


def object_in(body: bytes, told: Told) -> dict[str, Any]:
    """The JSON object that a body is. Raises `LMResponseError`, which shows how the body begins."""
    data = parsed(body)
    if data is None and not body.strip():
        raise LMResponseError(f"{told.subject}: HTTP {told.status} with an empty body", status=told.status)
    if data is None:  # raised here and not where parsing failed: that error holds the body, which may hold the key
        raise LMResponseError(
            f"{told.subject}: the reply is not JSON but {_kind(told)!r} and begins with {start(body, told)!r}. "
            "Does base_url name an OpenAI-compatible server?",
            status=told.status,
        )
    if not isinstance(data, dict):
        raise LMResponseError(
            f"{told.subject}: the reply is a JSON {type(data).__name__}, not an object", status=told.status
        )
    return cast("dict[str, Any]", data)


def _kind(told: Told) -> str:
    return told.headers.get("content-type", "no content type")[:80]


def parsed(body: bytes) -> Any:
    """The JSON in a body, None when there is none. Bytes that are not UTF-8 become U+FFFD."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        pass
    try:
        return json.loads(body.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None


def start(body: bytes, told: Told) -> str:
    """How a body begins, for an error message."""
    return told.redact(body[:4096].decode("utf-8", "replace"))[:120]


def raise_error_in(place: Any, told: Told) -> None:
    """Raise the error that a reply holds: some servers say 200 and put an error there.

    A failure of the server in such a reply may have come in the midst of its work, which is billed; a refusal has not.
    """
    error = get(place, "error")
    if not error:
        return
    code = get(error, "code")
    told_status = _STATUS.get(str(get(error, "type"))) or _STATUS.get(str(code), 502)
    status = code if isinstance(code, int) and 400 <= code < 600 else told_status
    body = json.dumps({"error": error}).encode()
    failure = error_from(status, told.headers, body, subject=told.subject, redact=told.redact)
    failure.begun = isinstance(failure, LMServerError) and told.status < 300
    raise failure


_STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "billing_error": 402,
    "not_found_error": 404,
    "request_too_large": 413,
    "invalid_prompt": 400,
    "insufficient_quota": 429,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "timeout_error": 408,
    "api_error": 500,
    "server_error": 500,
    "overloaded_error": 529,
}


def no_message(data: Mapping[str, Any], told: Told) -> LMResponseError:
    """The error for JSON that holds no reply."""
    begins = told.redact(json.dumps(data, ensure_ascii=False)[:4096])[:120]
    return LMResponseError(f"{told.subject}: the reply holds no message; it begins with {begins!r}", status=told.status)


def get(data: Any, name: str) -> Any:
    """A value of an object by name; None when there is none or it is no object."""
    found: Any = data  # for the type checker: a cast would take as long as the rest
    return found.get(name) if isinstance(data, dict) else None


def objects(data: Any) -> list[dict[str, Any]]:
    """The objects of a list; none when it is no list."""
    if not isinstance(data, list):
        return []
    return [cast("dict[str, Any]", item) for item in cast("list[Any]", data) if isinstance(item, dict)]


def text_of(value: Any) -> str:
    """The value when it is text, else empty."""
    return value if isinstance(value, str) else ""


def fingerprint_in(data: Any) -> str:
    """What a server says of the weights and the software that answered: OpenAI, and those that speak as it does."""
    return text_of(get(data, "system_fingerprint"))[:_LONGEST_FINGERPRINT]


def as_arguments(value: Any) -> str:
    """Arguments of a tool call as JSON text: some servers send an object."""
    return value if isinstance(value, str) else "{}" if value is None else json.dumps(value, ensure_ascii=False)


def count(data: Any, name: str) -> int | None:
    """A count that was told, or None: 0 only when the server said 0."""
    value = get(data, name)
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and value >= 0 else None  # True is an int too


def request_id(headers: Mapping[str, str], fallback: Any = None) -> str | None:
    """The identifier that a provider asks for when something went wrong."""
    found = headers.get("x-request-id") or headers.get("request-id") or fallback
    return found if isinstance(found, str) and found else None

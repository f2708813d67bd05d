"""What an OpenAI-compatible server means when it does not answer: pure functions from a reply to an error."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

from outlast.errors import (
    LMAuthError,
    LMContextError,
    LMError,
    LMQuotaError,
    LMRateLimited,
    LMRequestError,
    LMResponseError,
    LMServerError,
    LMTimeout,
)

_QUOTA = re.compile(
    r"insufficient[_ ](quota|balance|funds|credits?)|exceeded your current quota|billing[_ ](hard[_ ])?limit|"
    r"credit balance is too low|out of credits|billing_error",
    re.I,
)
_CONTEXT = re.compile(
    r"context_length_exceeded|exceed_context_size|maximum context length|context (window|length|size|limit)|"
    r"prompt is too long|too many (input )?tokens|input token count|reduce the length of|max_model_len",
    re.I,
)
_UNSUPPORTED = re.compile(
    r"unsupported|not support|n't support|unrecognized|unknown|not permitted|extra_forbidden|extra inputs|"
    r"not allowed|unavailable|cannot find field|deprecated|incompatible|not compatible|unexpected keyword",
    re.I,
)
_BAD_SCHEMA = re.compile(
    r"invalid[_ ](json[_ ])?schema|schema .{0,40}too (complex|large|many)|too many states|grammar is too large", re.I
)
_LONGEST_MESSAGE = 600


@dataclass(frozen=True, slots=True)
class ServerError:
    """The error object of a reply, as far as one could be found; what is missing is empty."""

    message: str
    code: str
    kind: str
    param: str


def read_error(body: bytes, redact: Callable[[str], str] = str) -> ServerError:
    """Find the error in a reply of any of the shapes that servers use, or take the text as it is."""
    text = redact(body[: 1 << 16].decode("utf-8", "replace"))
    try:
        data: Any = json.loads(text)
    except (ValueError, RecursionError):
        return ServerError(_clean(text), "", "", "")
    if isinstance(data, list) and data:  # Gemini wraps its error in a list
        data = cast("list[Any]", data)[0]
    data = cast("Any", data)
    error: Any = _get(data, "error")
    if error is None:
        error = data
    message = error if isinstance(error, str) else _get(error, "message") or _get(error, "detail")
    if not isinstance(message, str):
        message = json.dumps(message, ensure_ascii=False) if message is not None else text
    kind, code = _get(error, "type"), _get(error, "code")
    param = _get(error, "param") or _location(data)
    return ServerError(_clean(redact(message)), str(code or ""), str(kind or ""), str(param or ""))


def error_from(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    subject: str = "the server",
    redact: Callable[[str], str] = str,
    now: float | None = None,
) -> LMError:
    """The error that a reply stands for. Header names are in lower case.

    `subject` begins the message; `redact` takes secrets out of what the server says; `now` is the time in seconds
    since 1970 that dates in headers are compared with.
    """
    said = read_error(body, redact)
    message = said.message
    request_id = headers.get("x-request-id") or headers.get("request-id")
    where = f" (request id {_clean(request_id)[:80]})" if request_id else ""
    kind, advice = _classify(status, said)
    if 300 <= status < 400:
        message = f"a redirect to {_origin(headers.get('location', ''))!r}"
    text = redact(f"{subject}: HTTP {status}, {message or 'no explanation'}{where}")
    error = kind(f"{text}. {advice}" if advice else text, status=status, retry_after=retry_after(headers, now))
    error.code = said.code or said.kind
    forced = headers.get("x-should-retry")
    if forced in ("true", "false") and not isinstance(error, (LMQuotaError, LMAuthError)):
        error.retryable = forced == "true"
    return error


def _classify(status: int, said: ServerError) -> tuple[type[LMError], str]:
    """The class of the error, and what to do about it."""
    named = f"{said.code} {said.kind}"
    if _is_quota(status, said, named):
        return LMQuotaError, "The account has no credit left; waiting does not help"
    if status in (429, 498):
        return LMRateLimited, ""
    if status in (401, 403):
        return LMAuthError, "Check the key: api_key=, or the provider's environment variable"
    if status in (400, 413, 422, 500) and (_CONTEXT.search(named) or _CONTEXT.search(said.message)):
        return LMContextError, "The prompt is longer than the model takes: fewer demonstrations or shorter inputs"
    if status == 408:
        return LMTimeout, ""
    if status in (409, 425) or (status >= 500 and status not in (501, 505)):
        return LMServerError, ""
    if 300 <= status < 400:
        return LMRequestError, "Redirects are not followed, as they would carry the key: give the right base_url"
    if status in (404, 405):
        paths = "'/chat/completions', '/responses' or '/messages'"
        return LMRequestError, f"Check the model name, and that base_url ends where {paths} begins"
    if status < 300:
        return LMResponseError, ""
    return LMRequestError, ""


def _is_quota(status: int, said: ServerError, named: str) -> bool:
    """Whether the account has no money left. A 400 says so only in Anthropic's very words: others quote the request."""
    if status == 400:
        return said.message.startswith("Your credit balance is too low")
    return status == 402 or (status in (403, 429) and bool(_QUOTA.search(named) or _QUOTA.search(said.message)))


def retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Seconds that the server asks to wait: in milliseconds, in seconds or as a date; None when it does not say."""
    for name in ("retry-after-ms", "x-ms-retry-after-ms"):
        milliseconds = _seconds(headers.get(name))
        if milliseconds is not None:
            return milliseconds / 1000
    value = headers.get("retry-after")
    seconds = _seconds(value)
    if seconds is not None or value is None:
        return seconds
    until = _date(value)
    if until is None:
        return None
    since = _date(headers.get("date", ""))  # the server's own clock, so that ours may be wrong
    if since is None:
        since = time.time() if now is None else now
    return max(0.0, until - since)


def refused_parameter(status: int, body: bytes, candidates: Iterable[str]) -> str | None:
    """Which of the wire names in `candidates` a 400 or 422 says the server does not support, or None."""
    if status not in (400, 422):
        return None
    said = read_error(body)
    spoken = f"{said.code} {said.kind} {said.message}"
    if not _UNSUPPORTED.search(spoken) or _CONTEXT.search(spoken):
        return None
    names = sorted(candidates, key=len, reverse=True)
    for name in names:
        if name in said.param.replace("[", ".").split("."):
            return name
    if said.param and said.param not in ("None", "body"):
        return None
    for name in names:
        if re.search(rf"(?<![A-Za-z_]){re.escape(name)}(?![A-Za-z_])", said.message):
            return name
    return None


def refuses_schema(status: int, body: bytes) -> bool:
    """Whether a 400 or 422 is about this very JSON schema, not about schemas as such."""
    if status not in (400, 422):
        return False
    said = read_error(body)
    return bool(_BAD_SCHEMA.search(f"{said.code} {said.message}"))


def _get(data: Any, name: str) -> Any:
    return cast("dict[str, Any]", data).get(name) if isinstance(data, dict) else None


def _location(data: Any) -> str:
    """The path of the first complaint in a list of them, as FastAPI servers and Mistral send it."""
    message = _get(data, "message")
    details = _get(data, "detail") or _get(message, "detail")
    if isinstance(details, list) and details:
        path = _get(cast("list[Any]", details)[0], "loc")
        if isinstance(path, list):
            return ".".join(str(step) for step in cast("list[Any]", path))
    return ""


def _clean(text: str) -> str:
    """One line without control characters, cut to a readable length: a server's words end up in terminals."""
    line = "".join(letter if letter.isprintable() else " " for letter in text[: 4 * _LONGEST_MESSAGE])
    line = " ".join(line.split())
    return line if len(line) <= _LONGEST_MESSAGE else line[: _LONGEST_MESSAGE - 1] + "…"


def _origin(location: str) -> str:
    """Host and path of an address, without what may be secret in it."""
    try:
        parts = urlsplit(location)
        return f"{parts.scheme}://{parts.hostname}{parts.path}" if parts.hostname else parts.path
    except ValueError:
        return "a malformed address"


def _seconds(value: str | None) -> float | None:
    try:
        seconds = float(value or "")
    except ValueError:
        return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _date(value: str) -> float | None:
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(value).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None

"""What another library raised, as what a server would have replied or as an error of ours. Never a secret."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from outlast.errors import (
    LMAuthError,
    LMConnectionError,
    LMError,
    LMResponseError,
    LMTimeout,
    OutlastError,
)
from outlast.lms.wire.openai_errors import error_from
from outlast.lms.wire.transport import Reply

_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL", re.I)
_LONGEST = 600

# Libraries say in the name of the class what they do not say in a status. Looked for in this order.
_STATUS_OF_NAME = (
    ("ratelimit", 429),
    ("contextwindow", 400),
    ("contextlength", 400),
    ("contentfilter", 400),
    ("contentpolicy", 400),
    ("unsupported", 400),
    ("unknownmodel", 404),
    ("ambiguousmodel", 400),
    ("billing", 402),
    ("insufficientfunds", 402),
    ("quota", 402),
    ("authentication", 401),
    ("permissiondenied", 403),
    ("notfound", 404),
    ("invalidrequest", 400),
    ("badrequest", 400),
    ("serviceunavailable", 503),
    ("overloaded", 529),
    ("internalserver", 500),
    ("servererror", 500),
    ("upstreamprovider", 502),
)

_NO_KEY = ("missingapikey", "needskey", "notconfigured", "missingcredential")
_BROKEN = (
    "connectionerror",
    "connecterror",
    "protocolerror",
    "transporterror",
    "readerror",
    "writeerror",
    "oserror",
    "incompletestream",
    "streamassembly",
)


def secrets_in_environment() -> list[str]:
    """The values of variables that are named like secrets: libraries read them, and servers echo them."""
    return [value for name, value in os.environ.items() if len(value) >= 8 and _SECRET_NAME.search(name)]


def hiding(redact: Callable[[str], str]) -> Callable[[str], str]:
    """`redact`, and the secrets of the environment as well."""
    secrets = secrets_in_environment()

    def hide(text: str) -> str:
        text = redact(text)
        for secret in secrets:
            text = text.replace(secret, "[key]")
        return text

    return hide


def outcome_of(error: BaseException, subject: str, redact: Callable[[str], str], timeout: float) -> Reply | LMError:
    """The reply that an exception of a library carries, else the error that it stands for.

    Works by what the exceptions of all these libraries have in common (a status, a response, a body, the names of
    their classes), as their types cannot be imported here.
    """
    hide = hiding(redact)
    names = _names(error)
    if "timeout" in names:
        return LMTimeout(f"{subject}: no whole reply within timeout={timeout:g} s")
    if any(word in names for word in _BROKEN):
        return LMConnectionError(f"{subject}: the connection broke: {hide(said(error))}")
    status = _status(error, names)
    if status is not None:
        return Reply(status, _headers(error), hide(_body(error, names)).encode())
    if any(word in names for word in _NO_KEY):
        return LMAuthError(f"{subject}: {hide(said(error))}. Pass api_key=, or set what the library asks for")
    return LMResponseError(f"{subject}: {type(error).__name__}: {hide(said(error))}")


def error_of(error: BaseException, subject: str, redact: Callable[[str], str], timeout: float) -> LMError:
    """The same, for who takes no replies. Errors of ours stay as they are."""
    outcome = outcome_of(error, subject, redact, timeout)
    return error_from(*outcome, subject=subject, redact=redact) if isinstance(outcome, Reply) else outcome


def ours(error: BaseException) -> bool:
    """Whether an exception goes through as it is: our own, and those that give a call up."""
    return isinstance(error, (OutlastError, asyncio.CancelledError, GeneratorExit, KeyboardInterrupt, SystemExit))


def said(error: BaseException) -> str:
    """What an exception says, in one line of readable length and without the advice below the first paragraph."""
    text = str(getattr(error, "message", "") or error or type(error).__name__)
    line = " ".join(text.split("\n\n")[0].split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The exception and what it was made of, nearest first."""
    seen: set[int] = set()
    rest: list[Any] = [error]
    while rest:
        one = rest.pop(0)
        if isinstance(one, BaseException) and id(one) not in seen:
            seen.add(id(one))
            yield one
            rest += [getattr(one, "original_exception", None), one.__cause__, one.__context__]


def _names(error: BaseException) -> str:
    """The names of the classes of the exception and of what it was made of, in lower case."""
    return " ".join(kind.__name__ for one in _chain(error) for kind in type(one).__mro__).lower()


def _status(error: BaseException, names: str) -> int | None:
    for one in _chain(error):
        for name in ("status_code", "status"):
            value = getattr(one, name, None)
            if isinstance(value, int) and 300 <= value < 600:
                return value
    if isinstance(error, TypeError) and "unexpected keyword argument" in str(error):
        return 400  # an SDK below that does not know a parameter
    body: Any = getattr(error, "body", None)
    if isinstance(body, dict):  # an error within a stream that began with 200
        code = cast("dict[str, Any]", body).get("code")
        return code if isinstance(code, int) and 400 <= code < 600 else 502
    return next((status for word, status in _STATUS_OF_NAME if word in names), None)


def _headers(error: BaseException) -> Mapping[str, str]:
    """Headers of the reply, names in lower case; `retry_after` of the exception where it is told apart."""
    found: dict[str, str] = {}
    for one in _chain(error):
        for holder in (getattr(one, "response", None), one):
            headers: Any = getattr(holder, "headers", None)
            if isinstance(headers, Mapping):
                told = cast("Mapping[Any, Any]", headers)
                found = {str(name).lower(): str(value) for name, value in told.items()} | found
        wait = getattr(one, "retry_after", None)
        if isinstance(wait, (int, float, str)) and "retry-after" not in found:
            found["retry-after"] = str(wait)
    identifier = getattr(error, "request_id", None)
    if isinstance(identifier, str):
        found.setdefault("x-request-id", identifier)
    return found


def _body(error: BaseException, names: str) -> str:
    """The body of the reply as JSON text, made up from the exception where there is none."""
    for one in _chain(error):
        response: Any = getattr(one, "response", None)
        try:
            content = getattr(response, "content", None)
        except Exception:  # a stream that was not read
            content = None
        if isinstance(content, bytes) and content.strip():
            return content.decode("utf-8", "replace")
        body: Any = getattr(one, "body", None)
        if isinstance(body, dict) and body:
            held = cast("dict[str, Any]", body)
            return json.dumps(held if "error" in held else {"error": held}, default=str)
    code = getattr(error, "provider_code", None) or getattr(error, "code", None)
    if "contextwindow" in names or "contextlength" in names:
        code = "context_length_exceeded"
    made = {"message": said(error), "code": code, "param": getattr(error, "param", None)}
    return json.dumps({"error": {name: value for name, value in made.items() if isinstance(value, (str, int))}})

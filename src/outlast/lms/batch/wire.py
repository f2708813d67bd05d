"""The batch interfaces of OpenAI's and Anthropic's style as pure functions: jobs and their results as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, cast

from outlast.errors import LMResponseError

TOKEN = "outlast"  # the name under which a job carries our own id, where it can
_WINDOW = "24h"
_STATUS = {  # Anthropic's kinds of errors as the status that the same error has outside of a batch
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "overloaded_error": 529,
    "timeout_error": 504,
}


class Result(NamedTuple):
    """What one request of a job came to: a body with the status it would have had, or no reply ("expired", ...)."""

    key: str
    status: int
    body: Mapping[str, Any]
    missing: str = ""


class Job(NamedTuple):
    """How a job stands. `ended` also when it was cancelled or expired; `failed` says why it never began."""

    id: str
    ended: bool
    failed: str = ""
    results: tuple[str, ...] = ()
    token: str = ""


@dataclass(frozen=True, slots=True)
class BatchWire:
    """One style. Paths are below the base URL of the server.

    `write(path, requests)` gives the lines of a file to upload first, or None; `create(path, requests, file, token)`
    the body that makes a job at `jobs`; `read(data)` a `Job`, whose `results` are paths to fetch; `results(body)`
    what stands in one of them. `listing` is a path that lists jobs with their tokens, None where there is none.
    """

    jobs: str
    write: Callable[[str, Mapping[str, Any]], bytes] | None
    create: Callable[[str, Mapping[str, Any], str, str], dict[str, Any]]
    read: Callable[[dict[str, Any]], Job]
    results: Callable[[bytes], Iterator[Result]]
    listing: str | None = None


def wire_for(dialect: str) -> BatchWire | None:
    """The batch interface of servers that speak a dialect, None when there is none."""
    if dialect in ("openai-chat", "openai-responses"):
        return OPENAI
    return ANTHROPIC if dialect == "anthropic-messages" else None


def _write_openai(path: str, requests: Mapping[str, Any]) -> bytes:
    lines = ({"custom_id": key, "method": "POST", "url": f"/v1{path}", "body": body} for key, body in requests.items())
    return b"".join(_json(line) + b"\n" for line in lines)


def _create_openai(path: str, requests: Mapping[str, Any], file: str, token: str) -> dict[str, Any]:
    return {
        "input_file_id": file,
        "endpoint": f"/v1{path}",
        "completion_window": _WINDOW,
        "metadata": {TOKEN: token},
    }


def _read_openai(data: dict[str, Any]) -> Job:
    status = data.get("status")
    files = tuple(
        f"/files/{data[name]}/content" for name in ("output_file_id", "error_file_id") if _name(data.get(name))
    )
    failed = ""
    if status == "failed":
        problems: Any = _of(data.get("errors"), "data") or []
        told = (f"{_of(problem, 'message')} ({_of(problem, 'code')})" for problem in problems[:3])
        failed = "; ".join(told) or "no reason given"
    ended = status in ("completed", "expired", "cancelled", "failed")
    token = _of(data.get("metadata"), TOKEN)
    return Job(_identifier(data), ended, failed, files, token if isinstance(token, str) else "")


def _results_openai(body: bytes) -> Iterator[Result]:
    for line in _lines(body):
        key, response = str(line.get("custom_id")), line.get("response")
        if isinstance(response, dict):
            reply = cast("dict[str, Any]", response)
            yield Result(key, int(reply.get("status_code") or 200), _object(reply.get("body")))
        else:
            yield Result(key, 0, {}, str(_of(line.get("error"), "code") or "no reply"))


def _create_anthropic(path: str, requests: Mapping[str, Any], file: str, token: str) -> dict[str, Any]:
    return {"requests": [{"custom_id": key, "params": body} for key, body in requests.items()]}


def _read_anthropic(data: dict[str, Any]) -> Job:
    identifier = _identifier(data)
    ended = data.get("processing_status") == "ended"
    # The path and not the address that the server names: the key goes nowhere that the server chooses.
    return Job(identifier, ended, "", (f"/messages/batches/{identifier}/results",) if ended else ())


def _results_anthropic(body: bytes) -> Iterator[Result]:
    for line in _lines(body):
        key, result = str(line.get("custom_id")), _object(line.get("result"))
        kind = result.get("type")
        if kind == "succeeded":
            yield Result(key, 200, _object(result.get("message")))
        elif kind == "errored":
            error = _object(result.get("error"))
            named = str(_of(error.get("error"), "type") or error.get("type"))
            yield Result(key, _STATUS.get(named, 500), error)
        else:
            yield Result(key, 0, {}, str(kind or "no reply"))


OPENAI = BatchWire("/batches", _write_openai, _create_openai, _read_openai, _results_openai, "/batches?limit=100")
ANTHROPIC = BatchWire("/messages/batches", None, _create_anthropic, _read_anthropic, _results_anthropic)
Style = Literal["openai", "anthropic"]


def object_of(body: bytes, subject: str) -> dict[str, Any]:
    """The JSON object that a reply is. Raises `LMResponseError`."""
    try:
        data: Any = json.loads(body)
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise LMResponseError(f"{subject}: the batch interface answered something that is no JSON object")
    return cast("dict[str, Any]", data)


def listed(data: dict[str, Any]) -> Iterable[dict[str, Any]]:
    """The jobs in a listing."""
    entries: Any = data.get("data")
    return (_object(entry) for entry in (cast("list[Any]", entries) if isinstance(entries, list) else []))


def identifier_of(data: Mapping[str, Any]) -> str:
    """The id of what a reply describes. Raises `LMResponseError`."""
    return _identifier(data)


def _identifier(data: Mapping[str, Any]) -> str:
    name = data.get("id")
    if not _name(name):
        raise LMResponseError("the batch interface named no id, or one that no path can hold")
    return cast("str", name)


def _name(value: Any) -> bool:
    """Whether a server's id is one that may become part of a path."""
    return isinstance(value, str) and 0 < len(value) <= 200 and value.replace("_", "").replace("-", "").isalnum()


def _lines(body: bytes) -> Iterator[dict[str, Any]]:
    """The JSON objects of a file with one on each line; a line that is cut off is none."""
    for line in body.splitlines():
        try:
            data: Any = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(data, dict):
            yield cast("dict[str, Any]", data)


def _object(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _of(value: Any, name: str) -> Any:
    return cast("dict[str, Any]", value).get(name) if isinstance(value, dict) else None


def _json(data: Any) -> bytes:
    from outlast.lms.wire.reply import serialize

    return serialize(data)[0]

"""Batch interfaces of OpenAI's and Anthropic's style: uploaded files, jobs that end later, results line by line.

The state is an object of its own, so that a server that stops and starts again still has its batches.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple, cast

from outlast.testing.server.answers import number

DAY = 86_400
_CUSTOM_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_EXPIRED = "This request could not be executed before the completion window expired."
End = Literal["done", "expired", "cancelled"]


class Outcome(NamedTuple):
    """What one request of a batch came to: the status and the body of its reply."""

    status: int
    body: Mapping[str, Any]


Run = Callable[[str, dict[str, Any]], Awaitable[Outcome]]


@dataclass(slots=True)
class StoredFile:
    """A file that was uploaded, or that a batch wrote."""

    id: str
    name: str
    purpose: str
    content: bytes
    created: int

    def to_json(self) -> dict[str, Any]:
        """OpenAI's file object."""
        return {
            "id": self.id,
            "object": "file",
            "bytes": len(self.content),
            "created_at": self.created,
            "filename": self.name,
            "purpose": self.purpose,
            "status": "processed",
        }


@dataclass(slots=True)
class Batch:
    """A job: its requests by custom id, what became of them, and how it ended (None: not yet)."""

    id: str
    style: Literal["openai", "anthropic"]
    path: str
    requests: dict[str, dict[str, Any]]
    created: float
    facts: dict[str, Any] = field(default_factory=dict[str, Any])
    outcomes: dict[str, Outcome] = field(default_factory=dict[str, Outcome])
    ended: End | None = None
    cancelling: bool = False
    problems: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    output_file: str | None = None
    error_file: str | None = None


class BatchError(Exception):
    """A batch request that the server refuses; its text is the message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Batches:
    """Files and batches of a server, kept while this object lives.

    A batch ends `delay` seconds after it was made, at the next look at it; with None it waits for `finish`.
    """

    def __init__(self, delay: float | None = 0.0) -> None:
        self.delay = delay
        self.files: dict[str, StoredFile] = {}
        self.batches: dict[str, Batch] = {}

    def store(self, name: str, purpose: str, content: bytes) -> StoredFile:
        """Keep a file."""
        kept = StoredFile(f"file-{number()}", name, purpose, content, int(time.time()))
        self.files[kept.id] = kept
        return kept

    def file(self, identifier: str) -> StoredFile:
        """A file by its id."""
        if identifier not in self.files:
            raise BatchError(404, f"No such File object: {identifier}")
        return self.files[identifier]

    def batch(self, identifier: str, style: str) -> Batch:
        """A batch by its id."""
        found = self.batches.get(identifier)
        if found is None or found.style != style:
            raise BatchError(404, f"No batch found with id '{identifier}'.")
        return found

    def create_openai(self, body: Mapping[str, Any], known: Mapping[str, Any]) -> Batch:
        """A batch for an uploaded file; one whose lines are wrong is made and failed, as at OpenAI."""
        path = body.get("endpoint")
        if path not in known or body.get("completion_window") != "24h":
            raise BatchError(400, "endpoint must be one that is served, and completion_window must be '24h'")
        content = self.file(str(body.get("input_file_id"))).content
        requests: dict[str, dict[str, Any]] = {}
        problems = list(_read_lines(content, str(path), requests))
        batch = Batch(f"batch_{number()}", "openai", str(path), requests, time.time(), dict(body), problems=problems)
        self.batches[batch.id] = batch
        return batch

    def create_anthropic(self, body: Mapping[str, Any]) -> Batch:
        """A batch of requests that come with it."""
        requests: dict[str, dict[str, Any]] = {}
        for entry in cast("list[dict[str, Any]]", body.get("requests") or []):
            name = str(entry.get("custom_id"))
            if not _CUSTOM_ID.fullmatch(name):
                raise BatchError(400, f"requests.{len(requests)}.custom_id: String should match pattern")
            if name in requests:
                raise BatchError(400, f"requests.{len(requests)}.custom_id: duplicate {name}")
            requests[name] = entry["params"]
        if not requests:
            raise BatchError(400, "requests: List should have at least 1 item")
        batch = Batch(f"msgbatch_{number()}", "anthropic", "/v1/messages", requests, time.time())
        self.batches[batch.id] = batch
        return batch

    async def look(self, batch: Batch, run: Run) -> None:
        """End a batch whose time has come."""
        if batch.cancelling:
            await self.finish(batch, run, 0, "cancelled")
        elif self.delay is not None and time.time() >= batch.created + self.delay:
            await self.finish(batch, run)

    async def finish(self, batch: Batch, run: Run, first: int | None = None, rest: End = "expired") -> None:
        """Answer the requests, or only the `first`, and end the batch; what is not answered is `rest`."""
        if batch.ended is not None or batch.problems:
            return
        names = list(batch.requests)
        for name in names if first is None else names[:first]:
            if name not in batch.outcomes:
                batch.outcomes[name] = await run(batch.path, batch.requests[name])
        if batch.ended is None:  # another look may have been quicker
            batch.ended = "done" if len(batch.outcomes) == len(names) else rest
            if batch.style == "openai":
                self._write_files(batch)

    async def progress(self, batch: Batch, run: Run, first: int) -> None:
        """Answer the `first` requests and leave the batch under way."""
        for name in list(batch.requests)[:first]:
            if batch.ended is None and name not in batch.outcomes:
                batch.outcomes[name] = await run(batch.path, batch.requests[name])

    def _write_files(self, batch: Batch) -> None:
        good = [_line(name, outcome) for name, outcome in batch.outcomes.items() if outcome.status < 400]
        bad = [_line(name, outcome) for name, outcome in batch.outcomes.items() if outcome.status >= 400]
        code = f"batch_{batch.ended}"
        for name in batch.requests.keys() - batch.outcomes.keys():
            error = {"code": code, "message": _EXPIRED if batch.ended == "expired" else "This batch was cancelled."}
            bad.append({"id": f"batch_req_{number()}", "custom_id": name, "response": None, "error": error})
        for lines, place in ((good, "output_file"), (bad, "error_file")):
            if lines:
                text = "".join(json.dumps(line) + "\n" for line in reversed(lines))  # the order promises nothing
                kept = self.store(f"{batch.id}_{place}.jsonl", "batch_output", text.encode())
                setattr(batch, place, kept.id)


def _read_lines(content: bytes, path: str, requests: dict[str, dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Put the requests of a file into `requests`; gives what is wrong with its lines."""
    for place, line in enumerate(content.splitlines(), 1):
        problem = None
        try:
            entry = cast("dict[str, Any]", json.loads(line))
            name, url, body = str(entry["custom_id"]), entry["url"], entry["body"]
        except (ValueError, KeyError, TypeError):
            problem = ("invalid_json_line", "This line is not parseable as valid JSON.")
        else:
            if name in requests:
                problem = ("duplicate_custom_id", f"The custom_id {name!r} occurs twice.")
            elif url != path or entry.get("method") != "POST":
                problem = ("mismatched_url", "The url of every line must be the endpoint of the batch, by POST.")
            else:
                requests[name] = body
        if problem is not None:
            yield {"code": problem[0], "message": problem[1], "line": place, "param": None}
    if not requests:
        yield {"code": "empty_file", "message": "The input file is empty.", "line": None, "param": None}


def _line(name: str, outcome: Outcome) -> dict[str, Any]:
    response = {"status_code": outcome.status, "request_id": f"req-{number()}", "body": outcome.body}
    return {"id": f"batch_req_{number()}", "custom_id": name, "response": response, "error": None}


def openai_batch(batch: Batch) -> dict[str, Any]:
    """OpenAI's batch object."""
    created = int(batch.created)
    failed = sum(outcome.status >= 400 for outcome in batch.outcomes.values())
    status = {"done": "completed", "expired": "expired", "cancelled": "cancelled", None: "in_progress"}[batch.ended]
    if batch.problems:
        status = "failed"
    elif batch.ended is None and batch.cancelling:
        status = "cancelling"
    return {
        "id": batch.id,
        "object": "batch",
        "endpoint": batch.path,
        "input_file_id": batch.facts["input_file_id"],
        "completion_window": "24h",
        "status": status,
        "errors": {"object": "list", "data": batch.problems} if batch.problems else None,
        "output_file_id": batch.output_file,
        "error_file_id": batch.error_file,
        "created_at": created,
        "expires_at": created + DAY,
        "metadata": batch.facts.get("metadata"),
        "request_counts": {
            "total": len(batch.requests),
            "completed": len(batch.outcomes) - failed,
            "failed": failed,
        },
    }


def anthropic_batch(batch: Batch, root: str) -> dict[str, Any]:
    """Anthropic's batch object; `root` is the address of the server."""
    total, left = len(batch.requests), len(batch.requests) - len(batch.outcomes)
    errored = sum(outcome.status >= 400 for outcome in batch.outcomes.values())
    ended = batch.ended is not None
    counts = {
        "processing": 0 if ended else total,  # the others stay 0 until the batch ends
        "succeeded": len(batch.outcomes) - errored if ended else 0,
        "errored": errored if ended else 0,
        "expired": left if batch.ended == "expired" else 0,
        "canceled": left if batch.ended == "cancelled" else 0,
    }
    return {
        "id": batch.id,
        "type": "message_batch",
        "processing_status": "ended" if ended else "canceling" if batch.cancelling else "in_progress",
        "request_counts": counts,
        "created_at": _moment(batch.created),
        "expires_at": _moment(batch.created + DAY),
        "ended_at": _moment(time.time()) if ended else None,
        "cancel_initiated_at": None,
        "archived_at": None,
        "results_url": f"{root}/v1/messages/batches/{batch.id}/results" if ended else None,
    }


def anthropic_results(batch: Batch) -> Iterator[dict[str, Any]]:
    """The lines of the results of a batch that ended, in no promised order."""
    missing = "canceled" if batch.ended == "cancelled" else "expired"
    for name in reversed(list(batch.requests)):
        outcome = batch.outcomes.get(name)
        if outcome is None:
            result: dict[str, Any] = {"type": missing}
        elif outcome.status >= 400:
            result = {"type": "errored", "error": outcome.body}
        else:
            result = {"type": "succeeded", "message": outcome.body}
        yield {"custom_id": name, "result": result}


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()

"""What a store of traces holds, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from outlast.messages import Request, Response

RunKind = Literal["process", "eval", "compile", "cli", "replay", "import"]
Status = Literal["open", "ok", "error"]
Source = Literal["human", "judge", "user", "code", "classifier"]


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What traces were made in: a process, an evaluation, a compilation, a command.

    `id` is 32 hexadecimal digits and sorts by time; times are in seconds since 1970. `status` is "open" while it goes
    on, "killed" where its process is gone without a word, as far as that can be told on the machine that reads; else
    "done", "error" or "interrupted". `provenance` is that of `Provenance.to_json`, `summary` what came of it,
    `dropped` how many spans could not be kept.
    """

    id: str
    kind: str
    name: str = ""
    status: str = "open"
    started: float = 0.0
    ended: float | None = None
    parent_id: str = ""
    program: str = ""
    dataset: str = ""
    metric: str = ""
    lm: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict[str, Any])
    summary: Mapping[str, Any] = field(default_factory=dict[str, Any])
    attributes: Mapping[str, Any] = field(default_factory=dict[str, Any])
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class TraceRecord:
    """One call of a program, or of a model outside of any. `input` and `output` are the beginnings of what went in and
    came out, at most 300 characters; `cost` is in US dollars, None where a price is unknown. `status` is "killed" where
    it is open for ever, as its run was killed."""

    id: str
    run_id: str = ""
    kind: str = "program"
    name: str = ""
    program: str = ""
    session: str = ""
    example: str = ""
    started: float = 0.0
    seconds: float | None = None
    status: Status | Literal["killed"] = "open"
    error: str = ""
    calls: int = 0
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: float | None = None
    models: tuple[str, ...] = ()
    input: str = ""
    output: str = ""
    tags: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class SpanRecord:
    """One step of a trace: a module, an exchange with a model ("lm"), a call of a tool. The fields from `adapter` on
    are those of an exchange; see `Span`, `Request` and `Response` for what they mean."""

    id: str
    trace_id: str
    parent_id: str = ""
    kind: str = "module"
    name: str = ""
    path: str | None = None
    signature: str = ""
    program: str = ""
    started: float = 0.0
    seconds: float | None = None
    status: Status = "open"
    error_type: str = ""
    error: str = ""
    attempt: int = 0
    joined: int = 0
    adapter: str = ""
    lm_asked: str = ""
    lm_answered: str = ""
    fingerprint: str = ""
    request_id: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost: float | None = None
    cost_source: str = ""
    first_token_seconds: float | None = None
    queued_seconds: float = 0.0
    cache: str = ""
    finish: str = ""
    label: Mapping[str, Any] | None = None
    notes: tuple[Mapping[str, Any], ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Content:
    """What went in and came out of a span, as JSON-ready data; None where nothing was kept of it. `identity` is that of
    the model asked, where that is more than its name."""

    inputs: Any = None
    outputs: Any = None
    request: Mapping[str, Any] | None = None
    response: Mapping[str, Any] | None = None
    identity: str = ""

    def as_request(self) -> Request | None:
        """The request as it was sent, None where it was not kept."""
        return None if self.request is None else Request.from_json(self.request)

    def as_response(self) -> Response | None:
        """The response, None where there was none or it was not kept."""
        return None if self.response is None else Response.from_json(self.response)


@dataclass(frozen=True, slots=True)
class ResultRecord:
    """One row of an evaluation: the example at `index`, in epoch `epoch`, and what became of it. `cluster` is the group
    that the example belongs to, "" where there are none."""

    run_id: str
    index: int
    epoch: int = 0
    example: str = ""
    trace_id: str = ""
    state: str = ""
    score: float | None = None
    feedback: str = ""
    parts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    error: str = ""
    seconds: float = 0.0
    cost: float | None = None
    inputs: Any = None
    targets: Any = None
    outputs: Any = None
    cluster: str = ""


@dataclass(frozen=True, slots=True)
class ProgramRecord:
    """One version of a program: `hash` is that of its code and values, `shape` its modules and what is tuned."""

    hash: str
    name: str = ""
    first_seen: float = 0.0
    shape: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class LabelRecord:
    """What somebody said of a trace, or of one span of it. `value` is "pass", "fail", "defer" or any JSON value that is
    no list or object; `created` is in seconds since 1970."""

    id: str
    trace_id: str
    span_id: str = ""
    name: str = "label"
    value: Any = None
    note: str = ""
    tags: tuple[str, ...] = ()
    author: str = ""
    source: str = "human"
    rubric: str = ""
    rubric_version: str = ""
    created: float = 0.0
    seconds_spent: float | None = None


@dataclass(frozen=True, slots=True)
class QueueRecord:
    """Traces that somebody is to look at, in order."""

    id: str
    name: str
    strategy: str = ""
    created: float = 0.0
    about: Mapping[str, Any] = field(default_factory=dict[str, Any])
    trace_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hit:
    """A trace that a search found; `[` and `]` stand around the words that were found in `snippet`."""

    trace: TraceRecord
    snippet: str


@dataclass(frozen=True, slots=True)
class TraceFilter:
    """Which traces: all that fit every field that is set. `since` and `until` are in seconds since 1970; `labelled`
    asks for those with a label, or without; `evaluated` for those of evaluations, compilations, replays and metrics, or
    for all others; `replayed` for those of replays, or for all others; `metrics` for those of metrics, such as
    what a judge was asked of a row, or for all others."""

    run: str | None = None
    name: str | None = None
    program: str | None = None
    lm: str | None = None
    status: str | None = None
    since: float | None = None
    until: float | None = None
    session: str | None = None
    text: str | None = None
    tag: str | None = None
    labelled: bool | None = None
    min_cost: float | None = None
    min_seconds: float | None = None
    evaluated: bool | None = None
    replayed: bool | None = None
    metrics: bool | None = None


ALL = TraceFilter()
ELSEWHERE = ("eval", "compile", "replay")  # kinds of runs whose traces nobody asked for in earnest

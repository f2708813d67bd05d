"""What comes back from a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from outlast.messages.decision import Decision
from outlast.messages.parts import Message, Part, TextPart, Thought, ToolCall, assistant
from outlast.messages.rate import RateStates
from outlast.types import TRUSTED, Label

FinishReason = Literal["stop", "length", "content_filter", "tool_calls", "other"]
CacheState = Literal["miss", "hit", "shared", "semantic", "replayed"]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call. None means that the provider did not say; 0 means that it said zero.

    `input_tokens` includes those read from and written to the provider's prompt cache (`cached_tokens`,
    `cache_write_tokens`), `output_tokens` includes reasoning. `cost` is in US dollars; `cost_source` says who says so.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost: float | None = None
    cost_source: str | None = None
    cache_write_tokens: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Only what is known."""
        data = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: value for name, value in data.items() if value is not None}


NO_USAGE = Usage()


@dataclass(frozen=True, slots=True)
class Citation:
    """A source that the model names for a stretch of its answer.

    `cited` is the text of the source, `source` its title, address or file; `start` and `stop` are the stretch of
    `Response.text` in characters, None when the provider does not say.
    """

    cited: str = ""
    source: str = ""
    start: int | None = None
    stop: int | None = None


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token of the reply, its natural log-probability, and the likeliest tokens in its place."""

    token: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Response:
    """What a model answered.

    `reasoning` is the provider's native reasoning text, None when it gave none; `thoughts` are the same in the form
    that the next turn has to give back. `finish` is normalised, `provider_finish` in the provider's word.
    `adaptations` lists every requested thing that could not be sent as asked. `model` is the model that answered,
    `tier` the service tier that it answered in. `fingerprint` is what the provider says of the weights and the software
    behind that name, "" when it says nothing: what it is changes when they do. `decisions` answer typed questions by
    name, and `text` is then their values as a JSON object; `undecided` are the questions that were refused, with the
    reason. `seconds` is the last exchange alone, `queued_seconds` what waiting for limits and tries before it took,
    `first_token_seconds` the time to the first delta of a stream.
    """

    text: str
    model: str = ""
    reasoning: str | None = None
    usage: Usage = NO_USAGE
    finish: FinishReason = "stop"
    seconds: float = 0.0
    cache: CacheState = "miss"
    attempts: int = 1
    request_id: str | None = None
    adaptations: tuple[str, ...] = ()
    label: Label = TRUSTED
    tool_calls: tuple[ToolCall, ...] = ()
    thoughts: tuple[Thought, ...] = ()
    citations: tuple[Citation, ...] = ()
    logprobs: tuple[TokenLogprob, ...] | None = None
    tier: str | None = None
    first_token_seconds: float | None = None
    queued_seconds: float = 0.0
    provider_finish: str | None = None
    decisions: tuple[tuple[str, Decision], ...] = ()
    undecided: tuple[tuple[str, str], ...] = ()
    fingerprint: str = ""
    rate: RateStates | None = field(default=None, compare=False, repr=False)

    @property
    def message(self) -> Message:
        """The turn to append to the conversation: thoughts, text and tool calls."""
        if not self.thoughts and not self.tool_calls:
            return assistant(self.text)
        text: tuple[Part, ...] = (TextPart(self.text),) if self.text else ()
        return Message("assistant", (*self.thoughts, *text, *self.tool_calls))

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready form; `Response.from_json` reads it back."""
        data: dict[str, Any] = {"text": self.text, "model": self.model, "finish": self.finish}
        data["usage"] = self.usage.to_json()
        data["seconds"] = round(self.seconds, 6)
        for name in ("reasoning", "request_id", "tier", "first_token_seconds", "provider_finish"):
            value = getattr(self, name)
            if value is not None:
                data[name] = value
        if self.fingerprint:
            data["fingerprint"] = self.fingerprint
        if self.queued_seconds:
            data["queued_seconds"] = round(self.queued_seconds, 6)
        if self.adaptations:
            data["adaptations"] = list(self.adaptations)
        if self.label is not TRUSTED:
            data["label"] = self.label.to_json()
        if self.tool_calls:
            data["tool_calls"] = [[call.id, call.name, call.arguments] for call in self.tool_calls]
        if self.thoughts:
            data["thoughts"] = [[thought.text, thought.state, thought.origin] for thought in self.thoughts]
        if self.citations:
            data["citations"] = [[c.cited, c.source, c.start, c.stop] for c in self.citations]
        if self.logprobs is not None:
            data["logprobs"] = [[t.token, t.logprob, [list(pair) for pair in t.top]] for t in self.logprobs]
        if self.decisions:
            data["decisions"] = {name: decision.to_json() for name, decision in self.decisions}
        if self.undecided:
            data["undecided"] = dict(self.undecided)
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any], *, cache: CacheState = "miss") -> Response:
        """The response that `to_json` wrote."""
        label, logprobs = data.get("label"), data.get("logprobs")
        return cls(
            text=data["text"],
            model=data["model"],
            reasoning=data.get("reasoning"),
            usage=Usage(**data["usage"]),
            finish=data["finish"],
            seconds=data["seconds"],
            cache=cache,
            request_id=data.get("request_id"),
            adaptations=tuple(data.get("adaptations", ())),
            label=TRUSTED if label is None else Label.from_json(label),
            tool_calls=tuple(ToolCall(*call) for call in data.get("tool_calls", ())),
            thoughts=tuple(Thought(*thought) for thought in data.get("thoughts", ())),
            citations=tuple(Citation(*citation) for citation in data.get("citations", ())),
            logprobs=None
            if logprobs is None
            else tuple(TokenLogprob(token, value, tuple((t, v) for t, v in top)) for token, value, top in logprobs),
            tier=data.get("tier"),
            first_token_seconds=data.get("first_token_seconds"),
            queued_seconds=data.get("queued_seconds", 0.0),
            provider_finish=data.get("provider_finish"),
            decisions=tuple((name, Decision.from_json(told)) for name, told in data.get("decisions", {}).items()),
            undecided=tuple(data.get("undecided", {}).items()),
            fingerprint=data.get("fingerprint", ""),
        )

    def as_cached(self, state: CacheState) -> Response:
        """The same answer, marked as not asked for anew."""
        return replace(self, cache=state, attempts=0)

"""What goes to a model and what comes back: frozen values that every LM, adapter and store speaks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from outlast.types import TRUSTED, Label

Role = Literal["system", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length", "content_filter", "tool_calls", "other"]
CacheState = Literal["miss", "hit", "shared"]


@dataclass(frozen=True, slots=True)
class TextPart:
    """Plain text inside a message of several parts."""

    text: str


Part = TextPart


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation. `content` is text, or a tuple of parts when it is more than text."""

    role: Role
    content: str | tuple[Part, ...]

    @property
    def text(self) -> str:
        """All text of the message, parts joined without separator."""
        return self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready form."""
        if isinstance(self.content, str):
            return {"role": self.role, "content": self.content}
        return {"role": self.role, "content": [{"type": "text", "text": part.text} for part in self.content]}


def system(text: str) -> Message:
    """A message that instructs the model."""
    return Message("system", text)


def user(text: str) -> Message:
    """A message that asks the model."""
    return Message("user", text)


def assistant(text: str) -> Message:
    """A message that the model wrote, or that a demonstration pretends it wrote."""
    return Message("assistant", text)


@dataclass(frozen=True, slots=True)
class Settings:
    """How to sample. None means: not sent, the provider's default.

    `temperature` 0..2; `top_p` 0..1; `max_tokens` bounds the output, reasoning included; `reasoning` is an effort
    word that the model knows ("none", "low", "medium", "high"); `extra` is sent to the provider as it is.
    """

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] | None = None
    seed: int | None = None
    reasoning: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def over(self, base: Settings) -> Settings:
        """These settings where they are set, those of `base` elsewhere."""
        if self is NO_SETTINGS or self == NO_SETTINGS:
            return base
        if base is NO_SETTINGS:
            return self
        chosen = {
            f.name: value if (value := getattr(self, f.name)) is not None else getattr(base, f.name)
            for f in fields(self)
            if f.name != "extra"
        }
        return Settings(**chosen, extra={**base.extra, **self.extra})

    def to_json(self) -> dict[str, Any]:
        """Only what is set."""
        data = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: value for name, value in data.items() if value is not None and value != {}}


NO_SETTINGS = Settings()


@dataclass(frozen=True, slots=True)
class OutputSchema:
    """The JSON schema that the reply must follow, for models that can constrain their output."""

    name: str
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """One question to a model.

    `sample` tells otherwise equal requests apart, so that a cache answers each draw with its own reply.
    """

    messages: tuple[Message, ...]
    settings: Settings = NO_SETTINGS
    output: OutputSchema | Literal["json"] | None = None
    sample: int = 0
    label: Label = TRUSTED

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready form of all that decides the answer."""
        data: dict[str, Any] = {"messages": [message.to_json() for message in self.messages]}
        if self.settings is not NO_SETTINGS and (settings := self.settings.to_json()):
            data["settings"] = settings
        if self.output is not None:
            data["output"] = (
                self.output
                if isinstance(self.output, str)
                else {"name": self.output.name, "schema": self.output.schema}
            )
        if self.sample:
            data["sample"] = self.sample
        return data


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call. None means that the provider did not say; 0 means that it said zero.

    `input_tokens` includes the cached ones, `output_tokens` includes reasoning. `cost` is in US dollars.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost: float | None = None
    cost_source: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Only what is known."""
        data = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: value for name, value in data.items() if value is not None}


NO_USAGE = Usage()


@dataclass(frozen=True, slots=True)
class Response:
    """What a model answered.

    `reasoning` is the provider's native reasoning text, None when it gave none. `finish` is normalised,
    `adaptations` lists every requested thing that could not be sent as asked. `model` is the model that answered.
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

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready form; `Response.from_json` reads it back."""
        data: dict[str, Any] = {"text": self.text, "model": self.model, "finish": self.finish}
        data["usage"] = self.usage.to_json()
        data["seconds"] = round(self.seconds, 6)
        if self.reasoning is not None:
            data["reasoning"] = self.reasoning
        if self.request_id is not None:
            data["request_id"] = self.request_id
        if self.adaptations:
            data["adaptations"] = list(self.adaptations)
        if self.label is not TRUSTED:
            data["label"] = self.label.to_json()
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any], *, cache: CacheState = "miss") -> Response:
        """The response that `to_json` wrote."""
        label = data.get("label")
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
        )

    def as_cached(self, state: CacheState) -> Response:
        """The same answer, marked as not asked for anew."""
        return replace(self, cache=state, attempts=0)


def canonical(data: Any) -> bytes:
    """The one byte form of JSON-ready data: sorted keys, no spaces, UTF-8. Lone surrogates are kept escaped."""
    try:
        return json.dumps(data, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(data, sort_keys=True, separators=(",", ":")).encode()


@dataclass(slots=True)
class Spending:
    """A running sum over calls. Not thread-safe by itself.

    `calls` went to a model, `cached` were answered without one. `unpriced` counts calls whose cost is unknown,
    so that `dollars` is never mistaken for the whole; `untold` counts calls without token counts.
    """

    calls: int = 0
    cached: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    dollars: float = 0.0
    unpriced: int = 0
    untold: int = 0
    seconds: float = 0.0

    @property
    def tokens(self) -> int:
        """Input and output together."""
        return self.input_tokens + self.output_tokens

    def add(self, response: Response) -> None:
        """Count one response."""
        if response.cache != "miss":
            self.cached += 1
            return
        usage = response.usage
        self.calls += 1
        self.seconds += response.seconds
        if usage.input_tokens is None or usage.output_tokens is None:
            self.untold += 1
        self.input_tokens += usage.input_tokens or 0
        self.output_tokens += usage.output_tokens or 0
        if usage.cost is None:
            self.unpriced += 1
        else:
            self.dollars += usage.cost

    def include(self, other: Spending) -> None:
        """Count everything that `other` counted."""
        for f in fields(self):
            setattr(self, f.name, getattr(self, f.name) + getattr(other, f.name))

    def to_json(self) -> dict[str, Any]:
        """All counters by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Spending:
        """The sum that `to_json` wrote."""
        return cls(**data)

    def __str__(self) -> str:
        money = f"${self.dollars:.4f}" if self.dollars or not self.unpriced else "cost unknown"
        if self.dollars and self.unpriced:
            money += f" + {self.unpriced} calls of unknown cost"
        return f"{self.calls} calls ({self.cached} cached), {self.tokens} tokens, {money}"

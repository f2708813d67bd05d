"""What goes to a model."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from typing import Any, Literal, cast

from outlast.errors import UsageError
from outlast.messages.decision import MOST_QUESTIONS, Question
from outlast.messages.parts import Message, message_from_json
from outlast.types import TRUSTED, Label, Tool


@dataclass(frozen=True, slots=True)
class Settings:
    """How to sample. None means: not sent, the provider's default.

    `temperature` 0..2; `top_p` 0..1; `max_tokens` bounds the output, reasoning included; `reasoning` is an effort
    word that the model knows ("none", "low", "medium", "high"), `show_reasoning` asks for its text or for none of
    it; `logprobs` asks for the log-probability of each token and of that many alternatives (0..20); `tier` is a
    service tier such as "flex"; `prediction` is a text that much of the reply will repeat; `parallel_tools` allows
    several tool calls in one reply or forbids them; `grammar` is one that the reply must follow, in the language of
    the server (GBNF), for servers that constrain by grammars; `extra` is sent to the provider as it is, and is a copy:
    what becomes of the one that was given changes nothing.
    """

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] | None = None
    seed: int | None = None
    reasoning: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])
    show_reasoning: bool | None = None
    logprobs: int | None = None
    tier: str | None = None
    prediction: str | None = None
    parallel_tools: bool | None = None
    grammar: str | None = None

    def __post_init__(self) -> None:
        if self.extra:
            with suppress(RecursionError):  # it holds itself: whoever writes it says so
                object.__setattr__(self, "extra", _copied(self.extra))

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

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Settings:
        """The settings that `to_json` wrote."""
        values = dict(data)
        if "stop" in values:
            values["stop"] = tuple(values["stop"])
        return cls(**values)


def _copied(value: Any) -> Any:
    """JSON-ready data with no part that somebody else may change; anything else as it is."""
    if isinstance(value, Mapping):
        return {name: _copied(one) for name, one in cast("Mapping[Any, Any]", value).items()}
    if type(value) in (list, tuple):
        copies = [_copied(one) for one in cast("list[Any]", value)]
        return tuple(copies) if isinstance(value, tuple) else copies
    return value


NO_SETTINGS = Settings()


@dataclass(frozen=True, slots=True)
class OutputSchema:
    """The JSON schema that the reply must follow, for models that can constrain their output."""

    name: str
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """One question to a model.

    `sample` tells otherwise equal requests apart, so that a cache answers each draw with its own reply. `tools` are
    what the model may call; `tool_choice` is "auto", "required", "none" or the name of the one that it must call.
    A last message of the role "assistant" is a prefill: the reply goes on from it and does not repeat it.
    `questions` are typed questions about what the messages tell, 1..400 by name: a model with the capability
    `decisions` answers them with probabilities (`Response.decisions`) and writes no text of its own; one without
    refuses them, and `outlast.lms.decide.decide` asks it in another way.
    """

    messages: tuple[Message, ...]
    settings: Settings = NO_SETTINGS
    output: OutputSchema | Literal["json"] | None = None
    sample: int = 0
    label: Label = TRUSTED
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"
    questions: tuple[tuple[str, Question], ...] = ()

    def __post_init__(self) -> None:
        if len(self.questions) > MOST_QUESTIONS:
            raise UsageError(f"a request holds up to {MOST_QUESTIONS} typed questions; got {len(self.questions)}")

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready form of all that decides the answer."""
        return {"messages": [message.to_json() for message in self.messages], **self.beside_messages()}

    def beside_messages(self) -> dict[str, Any]:
        """The part of `to_json` that stands beside the messages."""
        data: dict[str, Any] = {}
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
        if self.tools:
            data["tools"] = [tool.to_json() for tool in self.tools]
            if self.tool_choice != "auto":
                data["tool_choice"] = self.tool_choice
        if self.questions:
            data["questions"] = {name: question.to_json() for name, question in self.questions}
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Request:
        """The request that `to_json` wrote, with the label under "label" where it has one; tools come without their
        functions. Raises `UsageError`, `InputError`, `KeyError` and `TypeError` for what is none."""
        output: Any = data.get("output")
        label = data.get("label")
        return cls(
            tuple(message_from_json(message) for message in data["messages"]),
            Settings.from_json(data["settings"]) if data.get("settings") else NO_SETTINGS,
            OutputSchema(output["name"], output["schema"]) if output is not None and output != "json" else output,
            data.get("sample", 0),
            TRUSTED if label is None else Label.from_json(label),
            tuple(Tool.from_json(tool) for tool in data.get("tools", ())),
            data.get("tool_choice", "auto"),
            tuple((name, Question.from_json(told)) for name, told in data.get("questions", {}).items()),
        )

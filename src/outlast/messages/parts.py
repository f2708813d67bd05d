"""Messages and the parts that they are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from outlast.errors import UsageError, brief
from outlast.types.document import Document
from outlast.types.media import MEDIA, Audio, File, Image, Media, shown_address
from outlast.types.text_part import TextPart

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A model asks for a tool. `arguments` is JSON text as the model wrote it, which need not be valid."""

    id: str
    name: str
    arguments: str

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return {"type": "tool_call", "id": self.id, "name": self.name, "arguments": self.arguments}


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool gave for the call with this `id`, as text; `error` says that it failed."""

    id: str
    text: str
    error: bool = False

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready form."""
        data: dict[str, Any] = {"type": "tool_result", "id": self.id, "text": self.text}
        return {**data, "error": True} if self.error else data


@dataclass(frozen=True, slots=True)
class Thought:
    """Native reasoning of a model, to be given back to it in the next turn.

    `state` is what the provider needs to recognise it (a signature, an encrypted item) as JSON text, `origin` the
    dialect that it belongs to: a thought is sent only to where it came from.
    """

    text: str
    state: str = ""
    origin: str = ""

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return {"type": "thought", "text": self.text, "state": self.state, "origin": self.origin}


# A Document stands alone only for models that cite; a dialect without such parts sends its `__prompt__()` as text.
Part = TextPart | Image | Audio | File | Document | ToolCall | ToolResult | Thought


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation. `content` is text, or a tuple of parts when it is more than text.

    `cache` marks the end of a prefix that later requests share: providers with explicit prompt caches are told to
    cache up to here. It does not decide the answer and is no part of any key.
    """

    role: Role
    content: str | tuple[Part, ...]
    cache: bool = False

    @property
    def text(self) -> str:
        """All text of the message, parts joined without separator; media, tool calls and thoughts have none."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content if isinstance(part, (TextPart, ToolResult)))

    @property
    def parts(self) -> tuple[Part, ...]:
        """The content as parts."""
        return (TextPart(self.content),) if isinstance(self.content, str) else self.content

    @property
    def shown(self) -> str:
        """The message for people: its text, and in angle brackets what is no text."""
        return self.content if isinstance(self.content, str) else "".join(_shown(part) for part in self.content)

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready form of all that decides the answer; `message_from_json` reads it back."""
        if isinstance(self.content, str):
            return {"role": self.role, "content": self.content}
        return {"role": self.role, "content": [part.to_json() for part in self.content]}


def _shown(part: Part) -> str:
    if isinstance(part, (TextPart, ToolResult)):
        return part.text
    if isinstance(part, ToolCall):
        return f"⟨calls {part.name}({part.arguments})⟩"
    if isinstance(part, Thought):
        return f"⟨thought: {part.text}⟩"
    if isinstance(part, Document):
        return f"⟨{part.__prompt__()}⟩"
    held = shown_address(part.url or "") if part.data is None else f"{len(part.data):,} bytes"
    return f"⟨{' '.join(word for word in (part.mime, part.name, held) if word)}⟩"


def system(text: str) -> Message:
    """A message that instructs the model."""
    return Message("system", text)


def user(text: str) -> Message:
    """A message that asks the model."""
    return Message("user", text)


def assistant(text: str) -> Message:
    """A message that the model wrote, or that a demonstration pretends it wrote."""
    return Message("assistant", text)


def tool_result(call: ToolCall, text: str, *, error: bool = False) -> Message:
    """The message that answers a tool call."""
    return Message("tool", (ToolResult(call.id, text, error),))


_READERS: Mapping[str, Callable[[Mapping[str, Any]], Part]] = {
    "document": Document.from_json,
    "text": lambda data: TextPart(data["text"]),
    "tool_call": lambda data: ToolCall(data["id"], data["name"], data["arguments"]),
    "tool_result": lambda data: ToolResult(data["id"], data["text"], data.get("error", False)),
    "thought": lambda data: Thought(data["text"], data.get("state", ""), data.get("origin", "")),
}


def part_from_json(data: Mapping[str, Any]) -> Part:
    """The part that its `to_json` wrote. Opens nothing. Raises `UsageError`."""
    kind = data.get("type")
    media: type[Media] | None = MEDIA.get(str(kind))
    if media is not None:
        return cast("Part", media.from_json(data))
    reader = _READERS.get(str(kind))
    if reader is None:
        raise UsageError(
            f"a part of a message has one of the types {', '.join([*_READERS, *MEDIA])}; got {brief(kind)}"
        )
    try:
        return reader(data)
    except KeyError as error:
        raise UsageError(f"a part of type {kind!r} lacks {error.args[0]!r}") from None


def message_from_json(data: Mapping[str, Any]) -> Message:
    """The message that `Message.to_json` wrote. Raises `UsageError`."""
    role, content = data.get("role"), data.get("content")
    if role not in ("system", "user", "assistant", "tool"):
        raise UsageError(f"a message has the role system, user, assistant or tool; got {brief(role)}")
    if isinstance(content, str):
        return Message(role, content)
    if not isinstance(content, (list, tuple)):
        raise UsageError(f"the content of a message is text or a list of parts; got {brief(content)}")
    return Message(role, tuple(part_from_json(part) for part in cast("list[Mapping[str, Any]]", content)))

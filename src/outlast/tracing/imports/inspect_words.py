"""Messages of an Inspect log as ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from outlast.errors import OutlastError
from outlast.messages import Message, TextPart, Thought, ToolCall, ToolResult
from outlast.messages.parts import Part, Role
from outlast.tracing.imports.gathered import as_json, listed, mapping, objects, text
from outlast.types import Audio, Image

_ATTACHED: Final = "attachment://"
_ROLES: Final = ("system", "user", "assistant", "tool")


@dataclass(frozen=True, slots=True)
class Said:
    """A message of a model in its parts."""

    text: str
    reasoning: str
    calls: tuple[ToolCall, ...]


class Words:
    """Reads the messages of one sample, which keeps long texts once and refers to them, and so whole messages."""

    def __init__(self, sample: Mapping[str, Any]) -> None:
        self._attachments = mapping(sample.get("attachments"))
        self._shared = objects(mapping(sample.get("events_data")).get("messages"))

    def whole(self, value: Any) -> Any:
        """A value, and what it refers to where it is a reference."""
        if isinstance(value, str) and value.startswith(_ATTACHED):
            return self._attachments.get(value[len(_ATTACHED) :], value)
        return value

    def plain(self, value: Any) -> Any:
        """A text as it is, and of messages and parts their texts."""
        value = self.whole(value)
        if not isinstance(value, list):
            return value
        shown: list[str] = []
        for one in listed(value):
            told = mapping(one)
            content = told.get("content", told)
            shown += [
                part.text for part in self._parts(content if "role" in told else [one]) if isinstance(part, TextPart)
            ]
        return "\n".join(shown)

    def messages(self, event: Mapping[str, Any]) -> list[Message]:
        """What was sent to a model."""
        sent = objects(event.get("input"))
        if not sent:
            for stretch in listed(event.get("input_refs")):
                ends = listed(stretch)
                if len(ends) == 2 and all(isinstance(end, int) for end in ends):
                    sent += self._shared[max(0, ends[0]) : max(0, ends[1])]
        return [self.message(one) for one in sent]

    def message(self, told: Mapping[str, Any]) -> Message:
        """One message."""
        role = told.get("role")
        if role == "tool":
            error = mapping(told.get("error"))
            shown = "".join(part.text for part in self._parts(told.get("content")) if isinstance(part, TextPart))
            identifier = text(told.get("tool_call_id")) or text(told.get("function"))
            return Message("tool", (ToolResult(identifier, shown or text(error.get("message")), bool(error)),))
        parts = [*self._parts(told.get("content")), *_calls(told)]
        known: Role = role if role in _ROLES else "user"
        if len(parts) == 1 and isinstance(parts[0], TextPart):
            return Message(known, parts[0].text)
        return Message(known, tuple(parts) if parts else "")

    def said(self, told: Mapping[str, Any]) -> Said:
        """What a model wrote."""
        parts = self._parts(told.get("content"))
        return Said(
            "".join(part.text for part in parts if isinstance(part, TextPart)),
            "\n".join(part.text for part in parts if isinstance(part, Thought)),
            _calls(told),
        )

    def _parts(self, content: Any) -> list[Part]:
        content = self.whole(content)
        if not isinstance(content, list):
            return [TextPart(text(content))] if content else []
        return [self._part(one) for one in objects(content)]

    def _part(self, told: Mapping[str, Any]) -> Part:
        kind = told.get("type")
        if kind == "text":
            return TextPart(text(self.whole(told.get("text"))))
        if kind == "reasoning":
            shown = told.get("summary") if told.get("redacted") else told.get("reasoning")
            return Thought(text(self.whole(shown)))
        if kind in ("image", "audio"):
            address = self.whole(told.get(kind))
            made = Image if kind == "image" else Audio
            try:
                return made.from_url(text(address))
            except OutlastError:
                return TextPart(f"[{kind}: not in the log]")
        return TextPart(f"[{text(kind) or 'a part'} of a kind that is not read]")


def _calls(told: Mapping[str, Any]) -> tuple[ToolCall, ...]:
    return tuple(
        ToolCall(text(call.get("id")), text(call.get("function")), as_json(call.get("arguments", {})))
        for call in objects(told.get("tool_calls"))
    )

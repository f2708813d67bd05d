"""The newer form of the log of `llm`: turns, whose messages lead to those before them and are stored once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from outlast.messages import Message, Response, TextPart, Thought, ToolCall, ToolResult
from outlast.messages.parts import Part, Role
from outlast.tracing.imports.gathered import as_json, listed, mapping, text
from outlast.tracing.imports.llm_logs import Exchange, Known, parsed, times_of, usage_of

MOST_MESSAGES: Final = 2_000  # of one conversation, the last ones
_REMEMBERED: Final = 10_000  # messages whose place is remembered, and of which as many as fit are
_HELD: Final = 4 << 20  # characters and bytes of those
_ROLES: Final = ("system", "user", "assistant", "tool")


class Turns:
    """Reads turns. The messages before a turn are what was sent, those after them up to its tip what came back."""

    def __init__(self, known: Known) -> None:
        self._known = known
        self._steps: dict[Any, tuple[Any, Any] | None] = {}
        self._read: dict[Any, Message] = {}
        self._size = 0

    def exchange(self, told: Mapping[str, Any]) -> Exchange:
        """The exchange that a row is."""
        sent = self._chain(told["parent_message_hash"], None)
        came = self._chain(told["tip_message_hash"], told["parent_message_hash"])
        started, seconds = times_of(told)
        model = text(told["model"])
        return Exchange(
            id=text(told["id"]),
            thread=text(told["thread_id"]),
            model=model,
            answered=text(told.get("resolved_model")) or model,
            started=started,
            seconds=seconds,
            messages=[self._message(key, role) for key, role in sent],
            options=mapping(parsed(told.get("options_json"))),
            schema=self._known.schema(told.get("schema_id")),
            tools=self._known.tools("turn_tools", "turn_id", told["id"]),
            reply=self._reply(came, text(told.get("resolved_model")) or model, told, seconds),
        )

    def _reply(self, came: list[tuple[str, Any]], model: str, told: Mapping[str, Any], seconds: float) -> Response:
        parts = [part for key, role in came for part in self._message(key, role).parts]
        calls = tuple(part for part in parts if isinstance(part, ToolCall))
        thoughts = tuple(part for part in parts if isinstance(part, Thought))
        return Response(
            "".join(part.text for part in parts if isinstance(part, TextPart)),
            model,
            "".join(thought.text for thought in thoughts) or None,
            usage_of(told),
            "tool_calls" if calls else "stop",
            seconds,
            tool_calls=calls,
            thoughts=thoughts,
        )

    def _chain(self, tip: Any, until: Any) -> list[tuple[str, Any]]:
        """Keys and roles of the messages up to one, the first of them first; a circle ends where it closes."""
        found: list[tuple[str, Any]] = []
        seen: set[Any] = set()
        key = tip
        while key is not None and key != until and key not in seen and len(found) < MOST_MESSAGES:
            seen.add(key)
            step = self._step(key)
            if step is None:
                break
            found.append((key, step[1]))
            key = step[0]
        return found[::-1]

    def _step(self, key: Any) -> tuple[Any, Any] | None:
        """The key before a message, and its role; turns of one conversation ask for the same ones again and again."""
        if key not in self._steps:
            if len(self._steps) >= _REMEMBERED:
                self._steps.clear()
            rows = self._known.rows("SELECT parent_hash, role FROM messages WHERE hash = ?", key)
            self._steps[key] = (rows[0][0], rows[0][1]) if rows else None
        return self._steps[key]

    def _message(self, key: str, role: Any) -> Message:
        known = self._read.get(key)
        if known is not None:
            return known
        made = self._made(key, role)
        size = sum(len(getattr(part, "text", None) or getattr(part, "data", None) or "") for part in made.parts)
        if len(self._read) >= _REMEMBERED or self._size + size > _HELD:
            self._read.clear()
            self._size = 0
        if size <= _HELD // 8:
            self._read[key] = made
            self._size += size
        return made

    def _made(self, key: str, role: Any) -> Message:
        query = "SELECT id, type, tool_name, text, payload FROM parts WHERE message_hash = ? ORDER BY position"
        parts: list[Part] = []
        for identifier, kind, tool, written, payload in self._known.rows(query, key):
            parts += self._parts(identifier, text(kind), text(tool), written, mapping(parsed(payload)))
        known: Role = role if role in _ROLES else "user"
        if len(parts) == 1 and isinstance(parts[0], TextPart):
            return Message(known, parts[0].text)
        return Message(known, tuple(parts))

    def _parts(self, identifier: Any, kind: str, tool: str, written: Any, payload: Mapping[str, Any]) -> list[Part]:
        name, call = text(payload.get("name")) or tool, text(payload.get("tool_call_id"))
        if kind == "tool_call":
            return [ToolCall(call, name, as_json(payload.get("arguments", {})))]
        if kind == "tool_result":
            failed = payload.get("exception")
            return [ToolResult(call, text(payload.get("output")) or text(failed), failed is not None)]
        shown = text(written) if written is not None else self._referred(payload)
        if kind == "reasoning":
            return [Thought(shown)]
        texts: list[Part] = [TextPart(shown)] if shown else []
        return texts + self._known.attachments("part_attachments", "part_id", identifier)

    def _referred(self, payload: Mapping[str, Any]) -> str:
        """A text that is made of fragments, which are stored once, and of what stands between them."""
        pieces: list[str] = []
        for piece in listed(payload.get("text_ref")):
            told = mapping(piece)
            if "literal" in told:
                pieces.append(text(told["literal"]))
            elif "fragment" in told:
                query = "SELECT content FROM fragments WHERE id = ?"
                pieces += [text(row[0]) for row in self._known.rows(query, told["fragment"])]
        return text("".join(pieces))

"""The older form of the log of `llm`: responses, each with its own prompt, that conversations hold together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from outlast.messages import Message, Response, TextPart, ToolCall, ToolResult, assistant, system
from outlast.messages.parts import Part
from outlast.tracing.imports.gathered import mapping, text
from outlast.tracing.imports.llm_logs import Exchange, Known, parsed, times_of, usage_of

MOST_EARLIER: Final = 200  # exchanges of a conversation that are taken for what was sent before


class Responses:
    """Reads responses. What was sent before one is made of the earlier ones of its conversation, as `llm` does it."""

    def __init__(self, known: Known) -> None:
        self._known = known
        self._columns = known.tables["responses"]

    def exchange(self, told: Mapping[str, Any]) -> Exchange:
        """The exchange that a row is."""
        started, seconds = times_of(told)
        model = text(told["model"])
        answered = text(told.get("resolved_model")) or model
        calls = tuple(self._calls(told["id"]))
        instructions = self._system(told)
        messages: list[Message] = []
        for earlier in self._earlier(told):
            instructions = instructions or self._system(earlier)
            messages += self._asked(earlier)
            messages.append(self._said(earlier))
        messages += self._asked(told)
        return Exchange(
            id=text(told["id"]),
            thread=text(told.get("conversation_id")),
            model=model,
            answered=answered,
            started=started,
            seconds=seconds,
            messages=([system(instructions)] if instructions else []) + messages,
            options=mapping(parsed(told.get("options_json"))),
            schema=self._known.schema(told.get("schema_id")),
            tools=self._known.tools("tool_responses", "response_id", told["id"]),
            reply=Response(
                text(told["response"]),
                answered,
                text(told.get("reasoning")) or None,
                usage_of(told),
                "tool_calls" if calls else "stop",
                seconds,
                tool_calls=calls,
            ),
        )

    def _earlier(self, told: Mapping[str, Any]) -> list[dict[str, Any]]:
        if not told.get("conversation_id"):
            return []
        wanted = [name for name in ("id", "prompt", "system", "response") if name in self._columns]
        query = (
            f"SELECT {', '.join(wanted)} FROM responses WHERE conversation_id = ? AND id < ? ORDER BY id DESC LIMIT ?"
        )
        rows = self._known.rows(query, told["conversation_id"], told["id"], MOST_EARLIER)
        return [dict(zip(wanted, row, strict=True)) for row in reversed(rows)]

    def _system(self, told: Mapping[str, Any]) -> str:
        fragments = self._known.fragments("system_fragments", "response_id", told["id"])
        return "\n\n".join(one for one in [*fragments, text(told.get("system"))] if one)

    def _asked(self, told: Mapping[str, Any]) -> list[Message]:
        """The results of tools that went with a prompt, and the prompt."""
        query = "SELECT tool_call_id, name, output, {} FROM tool_results WHERE response_id = ? ORDER BY id"
        failed = "exception" if "exception" in self._known.tables.get("tool_results", set()) else "NULL"
        results: list[Part] = [
            ToolResult(text(call) or text(name), text(output), exception is not None)
            for call, name, output, exception in self._known.rows(query.format(failed), told["id"])
        ]
        found = [Message("tool", tuple(results))] if results else []
        fragments = self._known.fragments("prompt_fragments", "response_id", told["id"])
        prompt = "\n".join(one for one in [*fragments, text(told.get("prompt"))] if one)
        attached = self._known.attachments("prompt_attachments", "response_id", told["id"])
        if attached:
            shown: list[Part] = [TextPart(prompt)] if prompt else []
            found.append(Message("user", (*shown, *attached)))
        elif prompt or not results:
            found.append(Message("user", prompt))
        return found

    def _said(self, told: Mapping[str, Any]) -> Message:
        calls = self._calls(told["id"])
        written = text(told.get("response"))
        if not calls:
            return assistant(written)
        shown: list[Part] = [TextPart(written)] if written else []
        return Message("assistant", (*shown, *calls))

    def _calls(self, identifier: Any) -> list[ToolCall]:
        query = "SELECT tool_call_id, name, arguments FROM tool_calls WHERE response_id = ? ORDER BY id"
        return [
            ToolCall(text(call) or text(name), text(name), text(arguments) or "{}")
            for call, name, arguments in self._known.rows(query, identifier)
        ]

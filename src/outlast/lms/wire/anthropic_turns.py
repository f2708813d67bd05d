"""A conversation as Anthropic's turns of blocks, with what the dialect demands of them. Pure functions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, cast

from outlast.errors import LMUnsupported
from outlast.lms.wire.dialect import Notes, Wire
from outlast.lms.wire.openai_chat_turns import check_turn, refuse_media
from outlast.messages import Message, Part, TextPart, Thought, ToolCall, ToolResult
from outlast.types import Audio, Document, File, Image

NAME = "anthropic-messages"
MOST_MARKS = 4  # cache breakpoints of one request
_IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")
_Body = dict[str, Any]


def conversation(messages: Iterable[Message], wire: Wire, notes: Notes, *, cited: bool = False) -> _Body:
    """`system` and `messages` of a body. `cited` asks for citations from documents, of a model that gives them."""
    turns = _Turns(wire, notes, cited)
    for message in messages:
        turns.add(message)
    return turns.body()


class _Turns:
    """Turns as they come together: neighbours of one role are one, results of tools stand first."""

    def __init__(self, wire: Wire, notes: Notes, cited: bool) -> None:
        self._wire = wire
        self._notes = notes
        self._cited = cited
        self._system: list[_Body] = []
        self._turns: list[tuple[str, list[_Body]]] = []
        self._marked: list[_Body] = []

    def add(self, message: Message) -> None:
        """Take the next message."""
        check_turn(message, self._wire.model, self._notes)
        if message.role == "system":
            blocks = self._instructions(message)
        else:
            role = "assistant" if message.role == "assistant" else "user"
            blocks = self._blocks(message.parts, role)
            if self._turns and self._turns[-1][0] == role:
                self._turns[-1][1].extend(blocks)
            elif blocks:
                self._turns.append((role, blocks))
        if not blocks:
            self._notes.say(f"an empty turn of the role {message.role!r} not sent: the dialect refuses it")
        if message.cache and blocks and not blocks[-1]["type"].endswith("thinking"):
            self._marked.append(blocks[-1])

    def body(self) -> _Body:
        """What is sent."""
        self._mend_prefill()
        if len(self._marked) > MOST_MARKS:
            self._notes.say(
                f"{len(self._marked)} cache marks: only the last {MOST_MARKS} sent, as many as there may be"
            )
        for block in self._marked[-MOST_MARKS:]:
            block["cache_control"] = {"type": "ephemeral"}
        turns = [{"role": role, "content": _results_first(blocks)} for role, blocks in self._turns]
        return {"system": self._system, "messages": turns} if self._system else {"messages": turns}

    def _instructions(self, message: Message) -> list[_Body]:
        """Instructions at the start are the system prompt; later ones stand where they are, as the user's."""
        blocks = self._blocks(message.parts, "system")
        if not self._turns:
            self._system += blocks
            return blocks
        self._notes.say("a system message inside the conversation sent as the user's, in <system> tags")
        for block in blocks:
            block["text"] = f"<system>\n{block.get('text', '')}\n</system>"
        if self._turns[-1][0] == "user":
            self._turns[-1][1].extend(blocks)
        elif blocks:
            self._turns.append(("user", blocks))
        return blocks

    def _blocks(self, parts: Iterable[Part], role: str) -> list[_Body]:
        blocks: list[_Body] = []
        for part in parts:
            if isinstance(part, Thought) and role != "assistant":
                continue  # which `check_turn` tells
            block = self._block(part)
            if block is None:
                continue
            if role == "system" and block["type"] != "text":
                raise LMUnsupported(f"{self._wire.model!r} takes only text in a system message; got {part!r}")
            blocks.append(block)
        return blocks

    def _block(self, part: Part) -> _Body | None:
        if isinstance(part, TextPart):
            if part.text and not part.text.strip():
                self._notes.say("a text of white space only not sent: the dialect refuses it")
            return {"type": "text", "text": part.text} if part.text.strip() else None
        if isinstance(part, ToolCall):
            return {"type": "tool_use", "id": _plain_id(part.id), "name": part.name, "input": _input(part)}
        if isinstance(part, ToolResult):
            block: _Body = {"type": "tool_result", "tool_use_id": _plain_id(part.id), "content": part.text}
            return {**block, "is_error": True} if part.error else block
        if isinstance(part, Thought):
            return self._thought(part)
        if isinstance(part, Document):
            source = {"type": "text", "media_type": "text/plain", "data": part.text}
            context = {"context": f"Source: {part.source}"} if part.source else {}
            return self._citable({"type": "document", "source": source, **context}, part.title)
        refuse_media(part, self._wire)
        if isinstance(part, Image):
            return {"type": "image", "source": _image_source(part, self._wire)}
        if isinstance(part, Audio):
            raise LMUnsupported(f"{self._wire.model!r} takes no audio; the request holds {part!r}")
        return self._citable({"type": "document", "source": _document_source(part, self._wire)}, part.name)

    def _thought(self, thought: Thought) -> _Body | None:
        """Reasoning of an earlier turn as it came; None for that of another model."""
        block: Any = None
        if thought.origin == NAME and thought.state:
            try:
                block = json.loads(thought.state)
            except (ValueError, RecursionError):
                block = None
        if isinstance(block, dict) and cast("_Body", block).get("type") in ("thinking", "redacted_thinking"):
            return cast("_Body", block)
        self._notes.say("reasoning of an earlier turn not sent: another model wrote it, or it came without its seal")
        return None

    def _citable(self, block: _Body, title: str | None) -> _Body:
        """A document with its title, and the wish that it be cited."""
        if title:
            block["title"] = title
        if self._cited and self._wire.capabilities.citations:
            block["citations"] = {"enabled": True}
        elif self._wire.capabilities.citations:
            self._notes.say("documents sent without asking for citations: a JSON schema excludes them")
        return block

    def _mend_prefill(self) -> None:
        """The start of a reply may not end in white space."""
        if not self._turns or self._turns[-1][0] != "assistant":
            return
        last = self._turns[-1][1][-1]
        if last["type"] == "text" and last["text"] != last["text"].rstrip():
            last["text"] = last["text"].rstrip()
            self._notes.say("white space at the end of the start of the reply not sent: the dialect refuses it")


def _results_first(blocks: list[_Body]) -> list[_Body]:
    return sorted(blocks, key=lambda block: block["type"] != "tool_result")


def _plain_id(identifier: str) -> str:
    """The id of a call in the letters that the dialect takes: others come from other providers."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", identifier) or "call"


def _input(call: ToolCall) -> Any:
    """Arguments as an object, which the dialect demands; text that is none goes inside one, as its makers advise."""
    try:
        found: Any = json.loads(call.arguments) if call.arguments.strip() else {}
    except (ValueError, RecursionError):
        found = None
    return cast("Any", found) if isinstance(found, dict) else {"INVALID_JSON": call.arguments}


def _image_source(image: Image, wire: Wire) -> _Body:
    if image.url is not None:
        return {"type": "url", "url": image.url}
    if image.mime not in _IMAGES:
        raise LMUnsupported(f"{wire.model!r} takes images of the types {', '.join(_IMAGES)}; got {image!r}")
    return {"type": "base64", "media_type": image.mime, "data": image.base64}


def _document_source(file: File, wire: Wire) -> _Body:
    if file.url is not None:
        return {"type": "url", "url": file.url}
    if file.mime == "application/pdf":
        return {"type": "base64", "media_type": file.mime, "data": file.base64}
    if file.data is not None and (file.mime.startswith("text/") or file.mime == "application/json"):
        return {"type": "text", "media_type": "text/plain", "data": _utf8(file, file.data, wire)}
    raise LMUnsupported(f"{wire.model!r} takes PDF and text files; got {file!r}")


def _utf8(file: File, data: bytes, wire: Wire) -> str:
    """The text of a file, which the dialect takes as text: bytes that are none would arrive as others."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise LMUnsupported(
            f"{wire.model!r} takes text files in UTF-8; {file!r} is not, from byte {error.start} on. Write it in "
            "UTF-8, or give its text as text"
        ) from None

"""An exchange with a model as a conversation: what was said before is folded, tool calls have results beside them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from markupsafe import Markup

from outlast.tracing.record import Content
from outlast.view.texts import LONG, beginning, plain
from outlast.view.values import literal, medium, shown

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a tool beside what it gave; `result` is None where that is not known."""

    name: str
    arguments: Markup
    result: Markup | None = None
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side said, ready to be shown."""

    role: str
    parts: tuple[Markup, ...] = ()
    calls: tuple[Call, ...] = ()
    characters: int = 0
    title: str = ""


@dataclass(frozen=True, slots=True)
class Conversation:
    """`earlier` are turns that the exchange before had as well, `turns` the new ones, `answer` what the model said.

    `thoughts` is the reasoning that the provider showed; `settings` what was asked for beside the messages.
    """

    earlier: tuple[Turn, ...] = ()
    turns: tuple[Turn, ...] = ()
    answer: Turn | None = None
    thoughts: Markup | None = None
    decisions: Markup | None = None
    settings: tuple[tuple[str, Markup], ...] = ()
    tools: tuple[tuple[str, str, Markup], ...] = ()
    kept: bool = True


@dataclass
class Reader:
    """Reads the exchanges of one trace in order: what came before is known, and so are the results of calls."""

    results: Mapping[str, Json] = field(default_factory=dict[str, Json])
    before: list[str] = field(default_factory=list[str])

    @classmethod
    def of(cls, contents: Iterable[Content]) -> Reader:
        """A reader that knows the tool results in these exchanges."""
        found: dict[str, Json] = {}
        for content in contents:
            for message in _messages(content.request):
                for part in _parts(message):
                    if part.get("type") == "tool_result":
                        found.setdefault(str(part.get("id")), part)
        return cls(found)

    def skip(self, content: Content) -> None:
        """The next exchange, which is not shown."""
        self.before = _keys(_messages(content.request))

    def alone(self, content: Content) -> tuple[Turn, ...]:
        """The turns of an exchange by themselves, whatever came before."""
        return self._turns(_messages(content.request))

    def read(self, content: Content) -> Conversation:
        """The next exchange."""
        messages = _messages(content.request)
        keys = _keys(messages)
        shared = 0
        while shared < min(len(keys), len(self.before)) and keys[shared] == self.before[shared]:
            shared += 1
        shared = min(shared, max(0, len(keys) - 1))  # the last question always stands in the open
        self.before = keys
        request, response = content.request or {}, content.response or {}
        return Conversation(
            self._turns(messages[:shared]),
            self._turns(messages[shared:]),
            self._answer(response) if response else None,
            _thoughts(response),
            shown(response["decisions"]) if isinstance(response.get("decisions"), Mapping) else None,
            tuple(_settings(request)),
            tuple(_tools(request)),
            content.request is not None or content.response is not None,
        )

    def _turns(self, messages: Sequence[Json]) -> tuple[Turn, ...]:
        called = {str(part.get("id")) for one in messages for part in _parts(one) if part.get("type") == "tool_call"}
        turns: list[Turn] = []
        for message in messages:
            parts = [part for part in _parts(message) if not (_is_result(part) and str(part.get("id")) in called)]
            if parts:
                turns.append(self._turn(str(message.get("role", "")), parts))
        return tuple(turns)

    def _turn(self, role: str, parts: Sequence[Json]) -> Turn:
        texts = [str(part.get("text", "")) for part in parts if part.get("type") in ("text", "tool_result")]
        calls = tuple(self._call(part) for part in parts if part.get("type") == "tool_call")
        rendered = tuple(_part(part) for part in parts if part.get("type") != "tool_call")
        return Turn(role, rendered, calls, sum(map(len, texts)), beginning(" ".join(texts), 110))

    def _call(self, part: Json) -> Call:
        result = self.results.get(str(part.get("id")))
        return Call(
            str(part.get("name", "")),
            shown(part.get("arguments", "")),
            None if result is None else shown(str(result.get("text", ""))),
            result is not None and bool(result.get("error")),
        )

    def _answer(self, response: Json) -> Turn:
        text = str(response.get("text") or "")
        calls: list[Call] = []
        for item in _list(response.get("tool_calls")):
            if isinstance(item, list | tuple) and len(row := cast("Sequence[Any]", item)) == 3:
                calls.append(self._call({"id": row[0], "name": row[1], "arguments": row[2]}))
        return Turn("assistant", (shown(text),) if text or not calls else (), tuple(calls), len(text))


def _keys(messages: Sequence[Json]) -> list[str]:
    return [json.dumps(message, sort_keys=True, default=str) for message in messages]


def _is_result(part: Json) -> bool:
    return part.get("type") == "tool_result"


def _list(value: Any) -> Sequence[Any]:
    return cast("Sequence[Any]", value) if isinstance(value, list | tuple) else ()


def _messages(request: Json | None) -> list[Json]:
    return [cast("Json", one) for one in _list((request or {}).get("messages")) if isinstance(one, Mapping)]


def _parts(message: Json) -> list[Json]:
    content = message.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [cast("Json", part) for part in _list(content) if isinstance(part, Mapping)]


def _part(part: Json) -> Markup:
    kind = part.get("type")
    if kind == "text":
        return literal(str(part.get("text", "")))
    if kind == "tool_result":
        return shown(str(part.get("text", "")))
    if kind == "thought":
        return Markup('<p class="muted">thought</p>{}').format(plain(str(part.get("text", ""))))
    return medium(part) if kind in ("image", "audio", "file") else shown(part)


def _thoughts(response: Json) -> Markup | None:
    reasoning = response.get("reasoning")
    return plain(reasoning, folded=len(reasoning) > LONG) if isinstance(reasoning, str) and reasoning else None


def _settings(request: Json) -> Iterable[tuple[str, Markup]]:
    settings = request.get("settings")
    if isinstance(settings, Mapping):
        for name, value in cast("Json", settings).items():
            yield str(name), shown(value)
    for name in ("output", "tool_choice", "sample", "questions"):
        if request.get(name):
            yield name.replace("_", " "), shown(request[name])


def _tools(request: Json) -> Iterable[tuple[str, str, Markup]]:
    for tool in _list(request.get("tools")):
        if isinstance(tool, Mapping):
            told = cast("Json", tool)
            rest = {name: value for name, value in told.items() if name not in ("name", "description")}
            yield str(told.get("name", "")), str(told.get("description", "")), shown(rest)

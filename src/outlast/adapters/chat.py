"""Fields under markers: the adapter that any chat model can follow."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from outlast.adapters.extract import find_object
from outlast.adapters.layout import failed, heading, read_fields
from outlast.adapters.protocol import Adapter, Plan, Prepared, Task
from outlast.errors import ParseError, UsageError
from outlast.lms.protocol import Capabilities
from outlast.messages import Message, Response, assistant, system, user
from outlast.signatures.codec import Codec, codecs

_MARKER = re.compile(r"<<\s*[A-Za-z]\w*\s*(?:#\s*\w*\s*)?>>")
_ANY_LINE = re.compile(r"(?m)^[ \t>*_#`]*<<\s*([A-Za-z]\w*)\s*(?:#\s*(\w*)\s*)?>>")


@dataclass(frozen=True, slots=True)
class Chat(Adapter):
    """Every field stands under its marker: `<<team>>`, then the value; `<<end>>` closes.

    Reads what sloppy models write: markers in the middle of a line, no end marker, code fences, prose around,
    fields in another order, a JSON object instead of markers, and the bare value where only one is asked for.
    A field given twice is an error, and so is a reply that was cut off. When data holds text that looks like a
    marker, all markers of that call carry a nonce made from the data, so that data never reads as structure.
    """

    reasks: int = 2
    fallback: Adapter | None = None

    def __post_init__(self) -> None:
        if self.reasks < 0:
            raise UsageError(f"Chat(reasks=...) is 0 or more; got {self.reasks!r}")

    def compile(self, task: Task, capabilities: Capabilities) -> Plan:
        """The plan for a task; the model's capabilities do not matter to plain text."""
        del capabilities
        return ChatPlan(task)


class ChatPlan(Plan):
    """A task whose system message and demonstrations are rendered."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.signature: Any = task.signature
        table = codecs(self.signature)
        self.inputs: list[tuple[str, Codec]] = [(name, table[name]) for name in self.signature.inputs]
        self.outputs: list[tuple[str, Codec]] = [(name, table[name]) for name in self.signature.outputs]
        self.end = "end"
        while self.end in self.signature.fields:
            self.end += "_of_reply"
        self.heading = heading(task)
        self._demo_values = [
            (self._written(self.inputs, demo.values), self._written(self.outputs, demo.values))
            for demo in task.demos
        ]
        texts = [text for pair in self._demo_values for side in pair for _, text in side]
        self._hostile = any(_MARKER.search(text) for text in (self.heading, *texts))
        self._static = self._prefix("")
        self._readers: dict[str, Callable[[Response], dict[str, Any]]] = {"": self._reader("")}
        self._request = self._ask("")

    def prepare(self, inputs: Mapping[str, Any]) -> Prepared:
        """Render one call."""
        written = self._written(self.inputs, inputs)
        if self._hostile or any("<<" in text and _MARKER.search(text) for _, text in written):
            return self._guarded(written)
        text = self._section(written, "") + self._request
        return Prepared((*self._static, user(text)), self._readers[""])

    def _guarded(self, written: list[tuple[str, str]]) -> Prepared:
        """The call with markers that the data cannot hold, because they are made from it."""
        data = repr((written, self._demo_values, self.heading)).encode(errors="backslashreplace")
        nonce = hashlib.blake2b(data, digest_size=4).hexdigest()
        text = self._section(written, nonce) + self._ask(nonce)
        return Prepared((*self._prefix(nonce), user(text)), self._reader(nonce))

    def _written(self, fields: list[tuple[str, Codec]], values: Mapping[str, Any]) -> list[tuple[str, str]]:
        return [(name, codec.write(values[name])) for name, codec in fields if name in values]

    def _mark(self, name: str, nonce: str) -> str:
        return f"<<{name}#{nonce}>>" if nonce else f"<<{name}>>"

    def _section(self, written: Iterable[tuple[str, str]], nonce: str) -> str:
        parts = [f"{self._mark(name, nonce)}\n{text}\n\n" for name, text in written]
        return "".join(parts) + self._mark(self.end, nonce)

    def _prefix(self, nonce: str) -> tuple[Message, ...]:
        """The system message and the demonstrations."""
        shape = "\n".join(f"{self._mark(name, nonce)}\n..." for name, _ in self.outputs)
        text = (
            f"{self.heading}\n\nReply with every output under its marker, in this order, then the end marker:\n"
            f"{shape}\n{self._mark(self.end, nonce)}"
        )
        messages = [system(text)]
        for given, wanted in self._demo_values:
            messages.append(user(self._section(given, nonce)))
            messages.append(assistant(self._section(wanted, nonce)))
        return tuple(messages)

    def _ask(self, nonce: str) -> str:
        names = ", ".join(self._mark(name, nonce) for name, _ in self.outputs)
        return f"\n\nReply with {names}, then {self._mark(self.end, nonce)}."

    def _reader(self, nonce: str) -> Callable[[Response], dict[str, Any]]:
        names = "|".join(re.escape(name) for name in (*self.signature.outputs, self.end))
        tail = rf"#\s*{nonce}\s*" if nonce else ""
        marker = re.compile(rf"<<\s*({names})\s*{tail}>>(?:[ \t]*[:*`]+(?=\s|$))?")

        def read(response: Response) -> dict[str, Any]:
            return self._read(response, marker, nonce)

        return read

    def _read(self, response: Response, marker: re.Pattern[str], nonce: str) -> dict[str, Any]:
        text = response.text
        if not text.strip():
            raise failed(self.signature, response, ["the reply is empty"])
        found, ended = sections(text, marker, self.end, nonce)
        if found is None:
            raise failed(self.signature, response, [ended])
        if response.finish == "length" and ended != self.end:
            raise failed(self.signature, response, ["the reply was cut off at the token limit; be briefer"])
        if found:
            try:
                return read_fields(self.signature, found, response, "read", what="marker")
            except ParseError as error:
                error.for_model += f"\n\nReply again with every output.{self._ask(nonce)[1:]}"
                raise
        return self._unmarked(response, nonce)

    def _unmarked(self, response: Response, nonce: str) -> dict[str, Any]:
        """A reply without any marker: a JSON object with the right keys, or the one value that was asked for."""
        try:
            data = find_object(response.text, self.signature.outputs)
        except ValueError as error:
            raise failed(self.signature, response, [str(error)]) from None
        if data is not None:
            return read_fields(self.signature, data, response, "read_data", what="key")
        if len(self.outputs) == 1:
            name = self.outputs[0][0]
            return read_fields(self.signature, {name: response.text}, response, "read", what="marker")
        error = failed(self.signature, response, ["there is no marker in it"])
        error.for_model += self._ask(nonce)
        raise error


def sections(text: str, marker: re.Pattern[str], end: str, nonce: str) -> tuple[dict[str, str] | None, str]:
    """The text under each marker, and the name of the end marker if it was met.

    A marker that opens a line wins over one in the middle of a line; two that open lines are an error, reported as
    (None, reason). Lines that open with some other marker end the section before them.
    """
    places: dict[str, list[tuple[bool, int, int]]] = {}
    order: list[tuple[int, int, str]] = []
    stop = len(text)
    ended = ""
    for match in marker.finditer(text):
        name = match.group(1)
        start = match.start()
        opens = not text[text.rfind("\n", 0, start) + 1 : start].strip(" \t>*_#`")
        if name == end:
            if opens or match.end() >= len(text.rstrip()):
                stop, ended = start, end
                break
            continue
        places.setdefault(name, []).append((opens, start, match.end()))
    for name, spots in places.items():
        opening = [spot for spot in spots if spot[0]]
        chosen = opening or spots
        if len(chosen) > 1:
            return None, f"{name}: is given more than once"
        order.append((chosen[0][1], chosen[0][2], name))
    order.sort()
    known = {start for start, _, _ in order}
    others = [
        match.start()
        for match in _ANY_LINE.finditer(text)
        if (match.group(2) or "") == nonce and text.find("<<", match.start()) not in known
    ]
    found: dict[str, str] = {}
    fenced = bool(order) and text[: order[0][0]].count("```") % 2 == 1
    for index, (_, value_start, name) in enumerate(order):
        value_end = order[index + 1][0] if index + 1 < len(order) else stop
        value_end = min([value_end, *(place for place in others if place >= value_start)])
        value = _undecorated(text[value_start:value_end])
        if fenced and index + 1 == len(order) and value.endswith("```") and value.count("```") % 2 == 1:
            value = value[:-3].rstrip()
        found[name] = value
    return found, ended


def _undecorated(value: str) -> str:
    """A value without the emphasis that a decorated next marker leaves at its end."""
    value = value.strip()
    lines = value.rsplit("\n", 1)
    if len(lines) == 2 and lines[1] and not lines[1].strip(" \t>*_#`") and "```" not in lines[1]:
        return lines[0].rstrip()
    return value

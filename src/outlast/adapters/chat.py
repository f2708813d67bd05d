"""Fields under markers: the adapter that any chat model can follow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from outlast.adapters.extract import Unfit, Wanted, find_object, whole_object, without_thinking
from outlast.adapters.layout import cacheable, failed, heading, read_fields, refuse_unfinished
from outlast.adapters.markers import Markers, Unreadable, has_marker, nonce_for
from outlast.adapters.protocol import Adapter, Plan, Prepared, Task, check_limits
from outlast.errors import ParseError
from outlast.lms.protocol import Capabilities
from outlast.messages import Message, Response, assistant, system, user
from outlast.signatures.codec import PLACEHOLDER, Codec, codecs
from outlast.signatures.jsontext import DuplicateKey

_Written = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Chat(Adapter):
    """Every field stands under its marker: `<<team>>`, then the value; `<<end>>` closes.

    Reads what sloppy models write: markers in the middle of a line, no end marker, code fences, prose around,
    fields in another order, a JSON object instead of markers, and the bare value where only one is asked for.
    A field given twice is an error, and so is a reply that was cut off. When data holds text that looks like a
    marker, all markers of that call carry a nonce that the data does not hold, so that data never reads as structure.
    """

    reasks: int = 2
    fallback: Adapter | None = None

    def __post_init__(self) -> None:
        check_limits(self)

    def compile(self, task: Task, capabilities: Capabilities) -> Plan:
        """The plan for a task; the model's capabilities do not matter to plain text."""
        del capabilities
        return ChatPlan(task)


class ChatPlan(Plan):
    """A task whose system message and demonstrations are rendered."""

    def __init__(self, task: Task) -> None:
        self.signature: Any = task.signature
        table = codecs(self.signature)
        self.inputs: list[tuple[str, Codec]] = [(name, table[name]) for name in self.signature.inputs]
        self.outputs: list[tuple[str, Codec]] = [(name, table[name]) for name in self.signature.outputs]
        end = "end"
        while end in self.signature.fields:
            end += "_of_reply"
        self.markers = Markers(
            list(self.signature.outputs), list(self.signature.inputs), end, lambda name: table[name].takes_text
        )
        self.wanted = Wanted.outputs_of(self.signature)
        self.heading = heading(task)
        self.demos = [
            (self._written(self.inputs, demo.values), self._written(self.outputs, demo.values)) for demo in task.demos
        ]
        texts = [self.heading, *(text for pair in self.demos for side in pair for _, text in side)]
        self._texts = "\n".join(texts)
        self._nonce = nonce_for(self._texts, texts)
        self._usual = self._nonce if any(has_marker(text) for text in texts) else ""
        self._prefixes = {nonce: self._prefix(nonce) for nonce in {self._usual, self._nonce}}
        self._requests = {nonce: self._request(nonce) for nonce in {self._usual, self._nonce}}

    def prepare(self, inputs: Mapping[str, Any]) -> Prepared:
        """Render one call."""
        written = self._written(self.inputs, inputs)
        nonce = self._usual
        for _, text in written:
            if ("<<" in text and has_marker(text)) or (nonce and nonce in text):
                nonce = self._guard(written)
                break
        prefix = self._prefixes.get(nonce) or self._prefix(nonce)
        text = f"{self._section(written, nonce)}\n\n{self._requests.get(nonce) or self._request(nonce)}"

        def read(response: Response) -> dict[str, Any]:
            return self._read(response, nonce, written)

        return Prepared((*prefix, user(text)), read)

    def _guard(self, written: _Written) -> str:
        """A nonce that no data of the call holds."""
        held = [text for _, text in written]
        if not any(self._nonce in text for text in held):
            return self._nonce
        return nonce_for(self._texts, [self._texts, *held])

    def _written(self, fields: list[tuple[str, Codec]], values: Mapping[str, Any]) -> list[tuple[str, str]]:
        return [(name, codec.write(values[name])) for name, codec in fields if name in values]

    def _section(self, written: Iterable[tuple[str, str]], nonce: str) -> str:
        spell = self.markers.spell
        parts = [f"{spell(name, nonce)}\n{text}\n\n" for name, text in written]
        return "".join(parts) + spell(self.markers.end, nonce)

    def _prefix(self, nonce: str) -> tuple[Message, ...]:
        """The system message and the demonstrations."""
        shape = self._section([(name, PLACEHOLDER) for name, _ in self.outputs], nonce).replace("\n\n", "\n")
        order = "Reply with every output under its marker, in this order, then the end marker:"
        messages = [system(f"{self.heading}\n\n{order}\n{shape}")]
        for given, wanted in self.demos:
            messages.append(user(self._section(given, nonce)))
            messages.append(assistant(self._section(wanted, nonce)))
        return cacheable(messages)

    def _request(self, nonce: str) -> str:
        spell = self.markers.spell
        names = ", ".join(spell(name, nonce) for name, _ in self.outputs)
        return f"Reply with {names}, then {spell(self.markers.end, nonce)}."

    def _read(self, response: Response, nonce: str, written: _Written) -> dict[str, Any]:
        request = self._requests.get(nonce) or self._request(nonce)
        text = without_thinking(response.text)
        try:
            try:
                reading = self.markers.read(text, nonce, request)
            except Unreadable as error:
                raise failed(self.signature, response, [str(error)]) from None
            refuse_unfinished(self.signature, response, complete=reading.ended)
            if reading.found:
                return read_fields(self.signature, reading.found, response, "text", what="marker")
            if reading.marked:
                raise failed(self.signature, response, ["there is no marker of an output in it"])
            return self._unmarked(text, response, written)
        except ParseError as error:
            error.for_model += f"\n\nReply again with every output. {request}"
            raise

    def _unmarked(self, text: str, response: Response, written: _Written) -> dict[str, Any]:
        """A reply without any marker: a JSON object with the right keys, or the one value that was asked for."""
        if not any("</think>" in given for _, given in written):  # an echo of the input could hide prose
            text = text.rpartition("</think>")[2]
        alone = len(self.outputs) == 1
        try:
            if alone:
                data = whole_object(text, self.wanted)
            else:
                data = find_object(text, self.wanted, [given for _, given in written])
        except DuplicateKey as error:
            raise failed(self.signature, response, [str(error)]) from None
        except Unfit as error:
            reason = f"there is no marker in it, and {error}" if "{" in text else "there is no marker in it"
            raise failed(self.signature, response, [reason]) from None
        if data is not None:
            return read_fields(self.signature, data, response, "data", what="key")
        if not text.strip():
            raise failed(self.signature, response, ["there is nothing after the thinking"])
        return read_fields(self.signature, {self.outputs[0][0]: text}, response, "text", what="marker")

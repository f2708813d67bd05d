"""Fields under markers: the adapter that any chat model can follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from outlast.adapters.extract import Unfit, Wanted, find_object, whole_object, without_thinking
from outlast.adapters.layout import cacheable, failed, heading, read_fields, refuse_unfinished
from outlast.adapters.markers import Markers, Unreadable, nonce_for
from outlast.adapters.protocol import Adapter, Plan, Prepared, Task, check_limits
from outlast.adapters.tags import Tags
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
    """A task whose system message and demonstrations are rendered, in the form that `grammar` gives."""

    grammar: type[Markers] | type[Tags] = Markers

    def __init__(self, task: Task) -> None:
        self.signature: Any = task.signature
        table = codecs(self.signature)
        self.inputs: list[tuple[str, Codec]] = [(name, table[name]) for name in self.signature.inputs]
        self.outputs: list[tuple[str, Codec]] = [(name, table[name]) for name in self.signature.outputs]
        end = "end"
        while end in self.signature.fields:
            end += "_of_reply"
        self.markers = self.grammar(
            list(self.signature.outputs), list(self.signature.inputs), end, lambda name: table[name].takes_text
        )
        self.wanted = Wanted.outputs_of(self.signature)
        self.heading = heading(task)
        self.demos = [(self._written(self.inputs, demo.values), self._answer(demo.values)) for demo in task.demos]
        texts = [self.heading, *(text for pair in self.demos for side in pair for _, text in side)]
        self._texts = "\n".join(texts)
        self._nonce = nonce_for(self._texts, texts)
        self._usual = self._nonce if any(self.markers.holds(text) for text in texts) else ""
        self._prefixes = {nonce: self._prefix(nonce) for nonce in {self._usual, self._nonce}}
        self._requests = {nonce: self.markers.request(nonce) for nonce in {self._usual, self._nonce}}

    def prepare(self, inputs: Mapping[str, Any]) -> Prepared:
        """Render one call."""
        written = self._written(self.inputs, inputs)
        nonce = self._usual
        for _, text in written:
            if self.markers.holds(text) or (nonce and nonce in text):
                nonce = self._guard(written)
                break
        prefix = self._prefixes.get(nonce) or self._prefix(nonce)
        text = f"{self.markers.section(written, nonce)}\n\n{self._requests.get(nonce) or self.markers.request(nonce)}"

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

    def _answer(self, values: Mapping[str, Any]) -> list[tuple[str, str]]:
        return [(name, self.written_output(codec, values[name])) for name, codec in self.outputs if name in values]

    def written_output(self, codec: Codec, value: Any) -> str:
        """A value as the text that a reply of this form would hold."""
        return codec.write(value)

    def _prefix(self, nonce: str) -> tuple[Message, ...]:
        """The system message and the demonstrations."""
        messages = [system(f"{self.heading}\n\n{self.markers.order(nonce, PLACEHOLDER)}")]
        for given, wanted in self.demos:
            messages.append(user(self.markers.section(given, nonce)))
            messages.append(assistant(self.markers.answer(wanted, nonce)))
        return cacheable(messages)

    def _read(self, response: Response, nonce: str, written: _Written) -> dict[str, Any]:
        request = self._requests.get(nonce) or self.markers.request(nonce)
        text = without_thinking(response.text)
        try:
            try:
                reading = self.markers.read(text, nonce, request)
            except Unreadable as error:
                raise failed(self.signature, response, [str(error)]) from None
            refuse_unfinished(self.signature, response, complete=reading.ended)
            if reading.found:
                return self.values(reading.found, response)
            if reading.marked:
                raise failed(self.signature, response, [f"there is no {self.markers.word} of an output in it"])
            return self._unmarked(text, response, written)
        except ParseError as error:
            error.for_model += f"\n\nReply again with every output. {request}"
            raise

    def values(self, found: Mapping[str, str], response: Response) -> dict[str, Any]:
        """The values that the texts of a reply say."""
        return read_fields(self.signature, found, response, "text", what=self.markers.word)

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
            reason = f"there is no {self.markers.word} in it"
            reason += f", and {error}" if "{" in text else ""
            raise failed(self.signature, response, [reason]) from None
        if data is not None:
            return read_fields(self.signature, data, response, "data", what="key")
        if not text.strip():
            raise failed(self.signature, response, ["there is nothing after the thinking"])
        return self.values({self.outputs[0][0]: text}, response)

"""Fields as one JSON object, constrained by a schema where the model can be."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from outlast.adapters.echoes import Held, held_by
from outlast.adapters.extract import Unfit, Wanted, complete_object, find_object, whole_array, without_thinking
from outlast.adapters.forms import forms_of
from outlast.adapters.layout import cacheable, failed, heading, read_fields, refuse_unfinished
from outlast.adapters.markers import Unreadable
from outlast.adapters.placing import earlier, placed, shelved, shown_inputs, with_thoughts
from outlast.adapters.protocol import Adapter, Following, Plain, Plan, Prepared, Slots, Task, check_limits, unread
from outlast.errors import InputError, ParseError
from outlast.lms.protocol import Capabilities
from outlast.messages import Message, OutputSchema, Response, Turn, assistant, system, user
from outlast.signatures.codec import Codec, codecs
from outlast.signatures.jsontext import DuplicateKey
from outlast.types.shown import INLINE, Shelf

if TYPE_CHECKING:
    from outlast.adapters.partial import PartialReader

_ESCAPED = ('"', "\\", *map(chr, range(32)))  # what JSON strings cannot hold as it is
_JSON_MODE: Literal["json"] = "json"


@dataclass(frozen=True, slots=True)
class JSON(Adapter):
    """Inputs go as one JSON object and the reply comes as one.

    Uses the model's JSON-schema mode, or its JSON mode, where it has one; validates always. Without, the object is
    found in prose or a code fence, and broken JSON is mended with json-repair as the last resort. A key given twice
    and several different objects are errors.
    """

    reasks: int = 2
    fallback: Adapter | None = None

    def __post_init__(self) -> None:
        check_limits(self)

    def compile(self, task: Task, capabilities: Capabilities) -> Plan:
        """The plan for a task on a model with these capabilities."""
        return JSONPlan(task, capabilities)


class JSONPlan(Plan):
    """A task whose system message, demonstrations and schema are ready."""

    plain = Plain(_ESCAPED, quoted=True)

    def __init__(self, task: Task, capabilities: Capabilities) -> None:
        self.task = task
        self.signature: Any = task.signature
        table = codecs(self.signature)
        self.cites = capabilities.citations
        self.inputs = shown_inputs(self.signature)
        self.outputs: list[tuple[str, Codec]] = [(name, table[name]) for name in self.signature.outputs]
        self.wanted = Wanted.outputs_of(self.signature)
        self.forms = forms_of(self.signature)
        self.output: OutputSchema | Literal["json"] | None = self.constraint(capabilities)
        self.request = self.asked()
        demos: list[Turn | Message] = []
        for demo in task.demos:
            demos += [*earlier(self.signature, demo.values), Turn(demo.values, demo.values)]
        self.count = len(demos)
        instruction = system(f"{heading(task)}\n\n{self.request} Nothing else.")
        self.static = cacheable([instruction, *self._said(demos, 1)])

    def asked(self) -> str:
        """What the model is told to reply with."""
        keys = ", ".join(json.dumps(name, ensure_ascii=False) for name, _ in self.outputs)
        return f"Reply with one JSON object with these keys: {keys}."

    def answered(self, outputs: str, number: int) -> list[Message]:
        """The turns after the question of a demonstration or of an earlier turn; `number` is another for each."""
        del number
        return [assistant(outputs)]

    def prepare(self, inputs: Mapping[str, Any]) -> Prepared:
        """Render one call."""
        data, shelf = self._given(inputs)
        turns = earlier(self.signature, inputs)
        said = cacheable(self._said(turns, self.count + 1)) if turns else ()
        return self._ready(inputs, (), (*self.static, *said, placed("user", _encoded(data), shelf)))

    def _ready(
        self, inputs: Mapping[str, Any], following: Sequence[Following], messages: tuple[Message, ...]
    ) -> Prepared:
        def read(response: Response) -> dict[str, Any]:
            return self.read(response, lambda: held_by(self.task, inputs, following))

        def more(new: Sequence[Following]) -> Prepared:
            return self._ready(inputs, (*following, *new), (*messages, *self._followed(new, len(messages))))

        return Prepared(messages, read, self.output, more=more, partial=self.partial)

    def _followed(self, following: Sequence[Following], first: int) -> list[Message]:
        """Turns after a question, as messages in the form of this adapter, numbered from `first`."""
        messages: list[Message] = []
        for number, turn in enumerate(following, first):
            if isinstance(turn, Message):
                messages.append(turn)
            elif isinstance(turn, Turn):
                answer = _encoded(self._data(self.outputs, turn.outputs, INLINE))
                messages += with_thoughts(self.answered(answer, number), turn.thoughts)
            else:
                data = _encoded(dict(turn.texts)) if turn.texts else ""
                messages.append(user("\n\n".join(filter(None, (data, turn.note, self.request)))))
        return messages

    def partial(self) -> PartialReader:
        """A reader for the pieces of one reply."""
        from outlast.adapters.partial_json import JSONReader

        return JSONReader(codecs(self.signature), self.wanted.keys)

    def outline(self, marks: Mapping[str, str], nonce: str) -> Prepared:
        """The prompt with marks for the inputs; JSON needs no nonce."""
        del nonce
        inside = ", ".join(f"{json.dumps(name, ensure_ascii=False)}: {marks[name]}" for name, _ in self.inputs)
        return Prepared((*self.static, Message("user", f"{{{inside}}}")), unread, self.output)

    def slots(self, inputs: Mapping[str, Any]) -> Slots:
        """The JSON of the inputs."""
        data, shelf = self._given(inputs)
        turns = self._said(earlier(self.signature, inputs), self.count + 1)
        return Slots({name: _encoded(value) for name, value in data.items()}, shelf, tuple(turns))

    def _said(self, turns: Iterable[Turn | Message], first: int) -> list[Message]:
        """Turns as messages in the form of this adapter, numbered from `first`; what is a message stays as it is."""
        messages: list[Message] = []
        for number, turn in enumerate(turns, first):
            if isinstance(turn, Message):
                messages.append(turn)
                continue
            data, shelf = self._given(turn.inputs)
            messages.append(placed("user", _encoded(data), shelf))
            answer = _encoded(self._data(self.outputs, turn.outputs, INLINE))
            messages += with_thoughts(self.answered(answer, number), turn.thoughts)
        return messages

    def _given(self, values: Mapping[str, Any]) -> tuple[dict[str, Any], Shelf]:
        """The inputs as data, and the media that the data refers to."""
        return shelved(
            lambda shelf: self._data(self.inputs, values, shelf), lambda data: [_encoded(data)], cites=self.cites
        )

    def _data(self, fields: list[tuple[str, Codec]], values: Mapping[str, Any], shelf: Shelf) -> dict[str, Any]:
        try:
            return {name: codec.dump(values[name], shelf) for name, codec in fields if name in values}
        except (ValueError, RecursionError) as error:  # a value that holds itself, or is nested too deeply
            raise InputError(f"the inputs cannot be written as JSON: {error}") from error

    def schema(self) -> dict[str, Any] | None:
        """The JSON schema of all outputs as one object, None when a type has none."""
        schemas = {name: codec.schema() for name, codec in self.outputs}
        known = {name: schema for name, schema in schemas.items() if schema is not None}
        return object_schema(known) if len(known) == len(schemas) else None

    def constraint(self, capabilities: Capabilities) -> OutputSchema | Literal["json"] | None:
        """What the model is asked to hold its output to."""
        schema = self.schema() if capabilities.json_schema else None
        if schema is not None:
            return OutputSchema(plain_name(self.signature.__name__), schema)
        return _JSON_MODE if capabilities.json_object else None

    def read(self, response: Response, held: Callable[[], Held]) -> dict[str, Any]:
        """The values of a reply; `held` tells what the call holds, which is no answer when it is only repeated."""
        text = without_thinking(response.text)
        try:
            try:
                data = complete_object(text, self.wanted)
                refuse_unfinished(self.signature, response, complete=data is not None)
                if data is None:
                    data = self.found(text, held())
            except DuplicateKey as error:
                raise failed(self.signature, response, [str(error)]) from None
            except Unfit as error:
                return self.otherwise(response, held(), str(error))
            return read_fields(self.signature, data, response, "data", what="key")
        except ParseError as error:
            error.for_model += f"\n\n{self.request}"
            raise

    def found(self, text: str, held: Held) -> dict[str, Any]:
        """The one object in a text. Raises `Unfit`, `DuplicateKey`."""
        return find_object(text, self.wanted, [*held.given, *held.shown], held.said)

    def otherwise(self, response: Response, held: Held, lacks: str) -> dict[str, Any]:
        """The values of a reply without the object that was asked for: the one value alone, or another form."""
        shown = without_thinking(response.text, self.signature.outputs)
        if len(self.outputs) == 1:
            name, codec = self.outputs[0]
            items = whole_array(shown)
            if codec.is_list and items is not None and not any(self.wanted.holds(item) for item in items):
                return read_fields(self.signature, {name: items}, response, "data", what="key")
        try:
            texts = self.forms.read(shown, held.texts(), held.examples())
        except Unreadable as error:
            raise failed(self.signature, response, [str(error)]) from None
        if texts is None:
            raise failed(self.signature, response, [lacks])
        return read_fields(self.signature, texts, response, "text", what="key")


def _encoded(data: Any) -> str:
    try:
        return json.dumps(data, ensure_ascii=False)
    except (ValueError, RecursionError) as error:  # an integer of more digits than Python writes
        raise InputError(f"the inputs cannot be written as JSON: {error}") from error


def plain_name(name: str) -> str:
    """A name that every provider takes: up to 64 ASCII letters, digits, _ and -."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)[:64] or "reply"


def object_schema(schemas: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """One object schema from those of its properties, with shared definitions at its root.

    Two definitions of one name that differ are kept apart under new names.
    """
    properties: dict[str, Any] = {}
    definitions: dict[str, Any] = {}
    for name, schema in schemas.items():
        own = dict(schema)
        own_definitions: dict[str, Any] = own.pop("$defs", {})
        renamed = {key: _free_name(key, name, definitions, own_definitions) for key in own_definitions}
        if any(key != new for key, new in renamed.items()):
            text = json.dumps([own, own_definitions])
            for key, new in renamed.items():
                text = text.replace(json.dumps(f"#/$defs/{key}"), json.dumps(f"#/$defs/{new}"))
            own, own_definitions = json.loads(text)
        definitions.update({renamed[key]: value for key, value in own_definitions.items()})
        properties[name] = own
    schema: dict[str, Any] = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    if definitions:
        schema["$defs"] = definitions
    return schema


def _free_name(key: str, owner: str, taken: Mapping[str, Any], own: Mapping[str, Any]) -> str:
    """`key` when all own definitions agree with those that are there, else a name that is free."""
    if not any(name in taken and taken[name] != value for name, value in own.items()):
        return key
    new = f"{owner}_{key}"
    while new in taken or new in own:
        new += "_"
    return new

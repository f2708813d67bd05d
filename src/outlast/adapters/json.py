"""Fields as one JSON object, constrained by a schema where the model can be."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from outlast.adapters.extract import Ambiguous, Duplicate, find_object
from outlast.adapters.layout import failed, heading, read_fields
from outlast.adapters.protocol import Adapter, Plan, Prepared, Task
from outlast.errors import ParseError, UsageError
from outlast.lms.protocol import Capabilities
from outlast.messages import Message, OutputSchema, Response, assistant, system, user
from outlast.signatures.codec import Codec, codecs


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
        if self.reasks < 0:
            raise UsageError(f"JSON(reasks=...) is 0 or more; got {self.reasks!r}")

    def compile(self, task: Task, capabilities: Capabilities) -> Plan:
        """The plan for a task on a model with these capabilities."""
        return JSONPlan(task, capabilities)


class JSONPlan(Plan):
    """A task whose system message, demonstrations and schema are ready."""

    def __init__(self, task: Task, capabilities: Capabilities) -> None:
        self.signature: Any = task.signature
        table = codecs(self.signature)
        self.inputs: list[tuple[str, Codec]] = [(name, table[name]) for name in self.signature.inputs]
        self.outputs: list[tuple[str, Codec]] = [(name, table[name]) for name in self.signature.outputs]
        self.output = self._constraint(capabilities)
        keys = ", ".join(json.dumps(name) for name, _ in self.outputs)
        self.request = f"Reply with one JSON object with these keys: {keys}."
        messages: list[Message] = [system(f"{heading(task)}\n\n{self.request} Nothing else.")]
        for demo in task.demos:
            messages.append(user(self._object(self.inputs, demo.values)))
            messages.append(assistant(self._object(self.outputs, demo.values)))
        self.static = tuple(messages)

    def prepare(self, inputs: Mapping[str, Any]) -> Prepared:
        """Render one call."""
        return Prepared((*self.static, user(self._object(self.inputs, inputs))), self.read, self.output)

    def _object(self, fields: list[tuple[str, Codec]], values: Mapping[str, Any]) -> str:
        data = {name: codec.dump(values[name]) for name, codec in fields if name in values}
        return json.dumps(data, ensure_ascii=False)

    def _constraint(self, capabilities: Capabilities) -> OutputSchema | Literal["json"] | None:
        if capabilities.json_schema:
            schemas = {name: codec.schema() for name, codec in self.outputs}
            if all(schema is not None for schema in schemas.values()):
                return OutputSchema(self.signature.__name__, object_schema(self.signature, schemas))
        return "json" if capabilities.json_object else None

    def read(self, response: Response) -> dict[str, Any]:
        """The output values of a reply, or `ParseError`."""
        if not response.text.strip():
            raise failed(self.signature, response, ["the reply is empty"])
        if response.finish == "length":
            raise failed(self.signature, response, ["the reply was cut off at the token limit; be briefer"])
        try:
            data = find_object(response.text, self.signature.outputs)
        except (Ambiguous, Duplicate) as error:
            raise self._again(failed(self.signature, response, [str(error)])) from None
        if data is None:
            raise self._again(
                failed(self.signature, response, ["there is no JSON object with the keys in it"])
            )
        try:
            return read_fields(self.signature, data, response, "read_data", what="key")
        except ParseError as error:
            raise self._again(error) from None

    def _again(self, error: ParseError) -> ParseError:
        error.for_model += f"\n\n{self.request}"
        return error


def object_schema(signature: Any, schemas: Mapping[str, Any]) -> dict[str, Any]:
    """One object schema from those of the fields, with shared definitions at its root."""
    properties: dict[str, Any] = {}
    definitions: dict[str, Any] = {}
    for name, schema in schemas.items():
        own = dict(schema)
        own_definitions = own.pop("$defs", {})
        if any(key in definitions and definitions[key] != value for key, value in own_definitions.items()):
            renamed = {key: f"{name}_{key}" for key in own_definitions}
            text = json.dumps([own, own_definitions])
            for key, new in renamed.items():
                text = text.replace(f'"#/$defs/{key}"', f'"#/$defs/{new}"')
            own, own_definitions = json.loads(text)
            own_definitions = {renamed[key]: value for key, value in own_definitions.items()}
        definitions.update(own_definitions)
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

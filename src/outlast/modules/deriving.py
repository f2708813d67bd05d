"""Signatures of helper steps, made from the declared one, and answers brought back into its type."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from outlast.adapters.placing import fitted, placed, shown_inputs, written
from outlast.messages import History, Message, Turn, assistant
from outlast.modules.module import Module
from outlast.runtime import current
from outlast.signatures.codec import codecs
from outlast.signatures.field import input as input_field
from outlast.signatures.record import (
    Record,
    attach_checks,
    attach_trace,
    checks_of,
    make_record,
    outputs_of,
    reasoning_of,
    trace_of,
)


def free_name(signature: Any, name: str) -> str:
    """The name, or one like it that no field has."""
    while name in signature.fields:
        name += "_"
    return name


def with_inputs(signature: Any, note: str, fields: Mapping[str, tuple[Any, str]]) -> Any:
    """The declared signature with more inputs behind its own, by name with type and description, and with `note` after
    its own description. Names must be free."""
    found = signature
    for name, (kind, desc) in fields.items():
        found = found.append(name, kind, input_field(desc=desc))
    description = signature.description
    return found.with_description(f"{description}\n\n{note}" if description else note)


def outputs_from(signature: Any, result: Any) -> dict[str, Any]:
    """The outputs by name of what a module for `signature` gave, which may be a plain value."""
    names = tuple(signature.outputs)
    if isinstance(result, Record):
        return {name: value for name, value in outputs_of(result).items() if name in names}
    return {names[0]: result} if len(names) == 1 else {name: getattr(result, name) for name in names}


def as_text(signature: Any, result: Any) -> str:
    """The outputs as a text to show to a model: the value alone when it is one text, else a line for each.

    No JSON object: who answers the same again in that form must not seem to repeat what it was shown.
    """
    table = codecs(signature)
    data = {name: table[name].dump(value) for name, value in outputs_from(signature, result).items()}
    if len(data) == 1:
        (value,) = data.values()
        if isinstance(value, str):
            return value
    return "\n".join(f"{name} = {json.dumps(value, ensure_ascii=False, default=str)}" for name, value in data.items())


def for_step(signature: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs of a declared signature for a step with other outputs: a history goes along as plain messages, since
    its turns hold outputs that the step does not have."""
    table = codecs(signature)
    found = dict(inputs)
    for name, value in inputs.items():
        if isinstance(value, History) and name in table:
            turns = fitted(signature, value, name).turns
            found[name] = History(tuple(_plain(signature, one) if isinstance(one, Turn) else one for one in turns))
    return found


def _plain(signature: Any, turn: Turn) -> tuple[Message, ...]:
    """A turn as a question and an answer, each field under its name."""
    table = codecs(signature)
    given, shelf = written(shown_inputs(signature), turn.inputs)
    asked = "\n\n".join(f"{name}: {text}" for name, text in given)
    said = "\n\n".join(f"{name}: {table[name].write(value)}" for name, value in turn.outputs.items())
    return placed("user", asked, shelf), assistant(said)


def as_answer(signature: Any, inputs: Mapping[str, Any], result: Any) -> Any:
    """What a helper step with the same outputs gave, as a result of the declared signature."""
    if not isinstance(result, Record):
        return result
    if type(result) is signature and signature.__result__ is None and len(result) >= len(signature.fields):
        return result
    outputs = outputs_from(signature, result)
    if signature.__result__ is not None:
        return signature.__result__(outputs)
    decisions = tuple(result.decisions.items()) if isinstance(result.decisions, Mapping) else ()
    record = make_record(signature, {**inputs, **outputs}, reasoning_of(result) or None, decisions)
    trace = trace_of(result)
    if trace is not None:
        attach_trace(record, trace)
    if checked := checks_of(result):
        attach_checks(record, checked)
    return record


def answer_of(signature: Any, inputs: Mapping[str, Any], outputs: Any) -> Any:
    """A result of the declared signature from output values by name, or from what a helper step gave."""
    if isinstance(outputs, Record):
        return as_answer(signature, inputs, outputs)
    values = cast("dict[str, Any]", outputs)
    if signature.__result__ is not None:
        return signature.__result__(values)
    record = make_record(signature, {**inputs, **values})
    trace = current().trace
    if trace is not None:
        attach_trace(record, trace)
    return record


class Step:
    """A helper step that answers with the declared outputs, to be drawn like a module: `asker` is asked with the inputs
    and what is `shown` besides."""

    def __init__(self, asker: Module, signature: Any, inputs: Mapping[str, Any], shown: Mapping[str, Any]) -> None:
        self.asker = asker
        self.signature = signature
        self.inputs = inputs
        self.shown = shown

    async def acall(self, **inputs: Any) -> Any:
        """Ask, and give the answer in the declared type."""
        return as_answer(self.signature, self.inputs, await self.asker.acall(**inputs, **self.shown))

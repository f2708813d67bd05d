"""What all text adapters say in common: the instruction and the table of fields, and errors told to the model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from outlast.adapters.protocol import Task
from outlast.errors import ParseError, brief
from outlast.messages import Response
from outlast.signatures.codec import Codec, codecs
from outlast.signatures.field import REQUIRED


def heading(task: Task) -> str:
    """The instruction and the tables of inputs and outputs."""
    blocks = [task.instruction.strip()]
    for title, fields in (("Inputs", task.signature.inputs), ("Outputs", task.signature.outputs)):
        if fields:
            blocks.append(f"{title}:\n" + "\n".join(_row(task, name) for name in fields))
    if any(is_partial(task, demo.values) for demo in task.demos):
        blocks.append("Some of the examples leave fields out. Your reply needs every output.")
    return "\n\n".join(block for block in blocks if block)


def is_partial(task: Task, values: Mapping[str, Any]) -> bool:
    """True when a demonstration lacks a field."""
    return any(name not in values for name in task.signature.fields)


def _row(task: Task, name: str) -> str:
    text = f"- {name} ({codecs(task.signature)[name].describe()})"
    desc = task.describe(name).strip()
    if desc:
        text += ": " + desc.replace("\n", "\n  ")
    return text


def read_fields(
    signature: Any, found: Mapping[str, Any], response: Response, read: str, *, what: str
) -> dict[str, Any]:
    """Values of all outputs from raw ones, or one `ParseError` that names every field at fault.

    `read` is the codec's method for a raw value ("read" for text, "read_data" for JSON data); `what` names a field
    in the words of the adapter ("marker", "key").
    """
    table = codecs(signature)
    values: dict[str, Any] = {}
    wrong: list[str] = []
    for name, field in signature.outputs.items():
        if name not in found:
            if field.default is REQUIRED:
                wrong.append(f"{name}: the {what} is missing")
            else:
                values[name] = field.default
            continue
        codec: Codec = table[name]
        try:
            values[name] = getattr(codec, read)(found[name])
        except (ValueError, RecursionError) as error:
            wrong.append(f"{name}: {explain(error)}")
    if not wrong and signature.__result__ is not None:
        try:
            signature.__result__(values)
        except (ValueError, TypeError) as error:
            wrong.append(explain(error))
    if wrong:
        raise failed(signature, response, wrong)
    return values


def failed(signature: Any, response: Response, wrong: Iterable[str]) -> ParseError:
    """A `ParseError` with one text for people and one for the model."""
    reasons = list(wrong)
    listed = "\n".join(f"- {reason}" for reason in reasons)
    return ParseError(
        f"the reply of {response.model or 'the model'} does not fit {signature.__name__}: {'; '.join(reasons)}. "
        f"Reply: {brief(response.text, 300)}",
        for_model=f"Your reply could not be used:\n{listed}",
        response=response,
    )


def explain(error: Exception) -> str:
    """What is wrong with a value, in one line that a model can act on."""
    if not isinstance(error, ValidationError):
        return brief_text(str(error))
    parts: list[str] = []
    for item in error.errors(include_url=False, include_context=False)[:5]:
        where = ".".join(str(step) for step in item["loc"])
        parts.append(f"{where + ': ' if where else ''}{item['msg']}; got {brief(item['input'], 80)}")
    return brief_text(" / ".join(parts))


def brief_text(text: str, limit: int = 500) -> str:
    """Text cut to `limit` characters."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"

"""What all text adapters say in common: the instruction and the table of fields, and errors told to the model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from pydantic import ValidationError

from outlast.adapters.placing import is_history
from outlast.adapters.protocol import Task
from outlast.errors import ParseError, brief
from outlast.messages import Message, Response
from outlast.signatures.codec import Codec, codecs

_MANY_ERRORS = 100  # pydantic takes a microsecond for each error that it lists


def heading(task: Task) -> str:
    """The instruction and the tables of inputs and outputs."""
    blocks = [task.instruction.strip()]
    table = codecs(task.signature)
    given = [name for name in task.signature.inputs if not is_history(table[name]) or task.describe(name).strip()]
    for title, fields in (("Inputs", given), ("Outputs", task.signature.outputs)):
        if fields:
            blocks.append(f"{title}:\n" + "\n".join(row(task, name) for name in fields))
    if any(is_partial(task, demo.values) for demo in task.demos):
        blocks.append("Some of the examples leave fields out. Your reply needs every output.")
    return "\n\n".join(block for block in blocks if block)


def cacheable(messages: Sequence[Message]) -> tuple[Message, ...]:
    """What all calls of a task begin with; its end is marked for providers with explicit prompt caches."""
    return (*messages[:-1], replace(messages[-1], cache=True))


def is_partial(task: Task, values: Mapping[str, Any]) -> bool:
    """True when a demonstration lacks a field, earlier turns apart."""
    table = codecs(task.signature)
    return any(name not in values and not is_history(table[name]) for name in task.signature.fields)


def row(task: Task, name: str) -> str:
    """What a prompt says of one field: its name, its type and its description."""
    text = f"- {name} ({codecs(task.signature)[name].describe()})"
    desc = task.describe(name).strip()
    if desc:
        text += ": " + desc.replace("\n", "\n  ")
    return text


def read_fields(
    signature: Any, found: Mapping[str, Any], response: Response, form: Literal["text", "data"], *, what: str
) -> dict[str, Any]:
    """Values of all outputs from raw ones, or one `ParseError` that names every field at fault.

    `form` says whether raw values are text or JSON data; `what` names a field in the words of the adapter ("marker",
    "key"). A field that is left out or empty gets its default where it has one.
    """
    table = codecs(signature)
    values: dict[str, Any] = {}
    wrong: list[str] = []
    for name, field in signature.outputs.items():
        codec = table[name]
        if not field.required and (name not in found or _is_left_out(codec, found[name], form)):
            values[name] = codec.default()
            continue
        if name not in found:
            wrong.append(f"{name}: the {what} is missing")
            continue
        if form == "text" and codec.takes_text and not codec.takes_none and field.required and not found[name].strip():
            wrong.append(f'{name}: is empty; write it, or "" when empty text is what you mean')
            continue
        try:
            values[name] = codec.read(found[name]) if form == "text" else codec.read_data(found[name])
        except (ValueError, RecursionError) as error:
            wrong.append(f"{name}: {explain(error)}")
    if not wrong and signature.__result__ is not None:
        try:
            signature.__result__(values)
        except (ValueError, AssertionError) as error:
            wrong.append(explain(error))
    if wrong:
        raise failed(signature, response, wrong)
    return values


def _is_left_out(codec: Codec, raw: Any, form: str) -> bool:
    if codec.takes_none:
        return False
    return raw is None or (form == "text" and not codec.takes_text and not raw.strip())


def failed(signature: Any, response: Response, wrong: Iterable[str], *, final: bool = False) -> ParseError:
    """A `ParseError` with one text for people and one for the model; `final` when asking again is no use."""
    reasons = list(wrong)
    listed = "\n".join(f"- {reason}" for reason in reasons)
    return ParseError(
        f"the reply of {response.model or 'the model'} does not fit {signature.__name__}: {'; '.join(reasons)}. "
        f"Reply: {brief(response.text, 300)}",
        for_model=f"Your reply could not be used:\n{listed}",
        response=response,
        final=final,
    )


def refuse_unfinished(signature: Any, response: Response, *, complete: bool) -> None:
    """Raise `ParseError` for a reply that is empty, blocked, or cut off before it was `complete`."""
    if response.finish == "content_filter" and not complete:
        raise failed(signature, response, ["the provider's content filter stopped the reply"], final=True)
    if response.finish == "length" and not complete:
        raise failed(
            signature, response, ["the reply was cut off at the token limit (max_tokens); be briefer, or raise it"]
        )
    if not response.text.strip():
        raise failed(signature, response, ["the reply is empty"])


def explain(error: Exception) -> str:
    """What is wrong with a value, in one line that a model can act on."""
    if not isinstance(error, ValidationError):
        return brief_text(str(error))
    if error.error_count() > _MANY_ERRORS:
        return f"{error.error_count()} parts of it are not what the type says"
    parts: list[str] = []
    for item in error.errors(include_url=False, include_context=False)[:5]:
        where = ".".join(str(step) for step in item["loc"])
        parts.append(f"{where + ': ' if where else ''}{item['msg']}; got {brief(item['input'], 80)}")
    return brief_text(" / ".join(parts))


def brief_text(text: str, limit: int = 500) -> str:
    """Text cut to `limit` characters."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"

"""The prompt of a program as a template of `llm`, for any model of its."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any, cast

from outlast.compat.llm_programs import program_named
from outlast.errors import OutlastError, UsageError

PATH = "@"
_TURNS = {"user": "An example:", "assistant": "The reply to it:"}


def template_of(name: str) -> Any:
    """The template of "NAME" or "file.py:program", with "@path" for one predictor among several.

    The input is `$input` where there is one, else each is `$name`, to be given with `-p`. Demonstrations become a part
    of the text, as a template has no turns. Raises `ValueError`, as `llm` has it.
    """
    llm: Any = import_module("llm")
    try:
        system, prompt, schema = _parts(name)
    except OutlastError as error:
        raise ValueError(str(error)) from error
    told: dict[str, Any] = {"name": f"outlast:{name}", "prompt": prompt, "system": system or None}
    if schema is not None:
        told["schema_object"] = schema
    return llm.Template(**told)


def _parts(name: str) -> tuple[str, str, Any]:
    from outlast.modules.export import export

    place, at, path = name.partition(PATH)
    prompts = export(program_named(place).load(), path if at else None)
    if len(prompts) != 1:
        raise UsageError(
            f"{place!r} has several prompts, and a template is one: say {place}{PATH}PATH with one of the paths "
            f"{', '.join(prompts)}"
        )
    (prompt,) = prompts.values()
    if any(slot.media or slot.form == "turns" for slot in prompt.inputs.values()):
        raise UsageError(f"{name!r} has inputs that are no text; a template has a place for text alone")
    alone = len(prompt.inputs) == 1
    slots = {one: "$input" if alone else f"${one}" for one in prompt.inputs}
    messages = prompt.to_messages()
    output: Any = prompt.request.get("output")
    system = "\n\n".join(_text(one, slots) for one in messages if one["role"] == "system")
    schema: Any = cast("Mapping[str, Any]", output).get("schema") if isinstance(output, Mapping) else None
    return system, _talk([one for one in messages if one["role"] != "system"], slots), schema


def _talk(messages: list[dict[str, Any]], slots: Mapping[str, str]) -> str:
    """The turns as one text: the last one, and before it those that show what is wanted."""
    shown = [f"{_TURNS.get(one['role'], 'A result:')}\n{_text(one, slots)}" for one in messages[:-1]]
    last = _text(messages[-1], slots) if messages else "$input"
    return "\n\n".join([*shown, f"Now:\n{last}"]) if shown else last


def _text(message: Mapping[str, Any], slots: Mapping[str, str]) -> str:
    content: Any = message["content"]
    pieces: Iterable[Any] = [content] if isinstance(content, str) else content
    found: list[str] = []
    for piece in pieces:
        if isinstance(piece, str):
            found.append(piece.replace("$", "$$"))
        elif "slot" in piece:
            found.append(slots[piece["slot"]])
        elif piece.get("type") == "text":
            found.append(str(piece["text"]).replace("$", "$$"))
        elif "guard" not in piece:
            raise UsageError("the prompt holds more than text; a template has a place for text alone")
    return "".join(found)

"""Exported prompts as Jinja templates that give the same bytes as a call, or fail."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from outlast.errors import UsageError

if TYPE_CHECKING:
    from outlast.modules.export import Prompt

_BRACE = re.compile(r"\{(?=[{%#]|\Z)")  # what would open a block, alone or with what comes after the text
_ODD = re.compile("[\r\ud800-\udfff]")  # what Jinja or UTF-8 would change
_TAKEN = ("self", "true", "false", "none")  # what no template can get as a variable
_REFUSED = "{{ {}[name ~ %s] }}"  # an undefined item, whose name is the message


def templates(prompt: Prompt) -> list[dict[str, Any]]:
    """The messages of an exported prompt as templates. Raises `UsageError` for what no template can give."""
    for name, slot in prompt.inputs.items():
        if name in _TAKEN and slot.form != "turns":
            raise UsageError(
                f"the input {name!r} of {prompt.signature} has a name that means something else in Jinja, so no "
                "template can take it: rename the input, or export it as json or messages"
            )
        if slot.media:
            raise UsageError(
                f"the input {name!r} of {prompt.signature} may hold media ({slot.words}), which are no text, so no "
                "template can take it: export it as json or messages"
            )
    return [_template(prompt, message) for message in prompt.messages]


def _template(prompt: Prompt, message: Mapping[str, Any]) -> dict[str, Any]:
    if "turns" in message:
        return dict(message)
    content = message["content"]
    if isinstance(content, str):
        return {"role": message["role"], "template": _whole(_source(content))}
    pieces: list[str] = []
    slots = guarded = False
    for piece in cast("list[Any]", content):
        if isinstance(piece, str):
            pieces.append(_source(piece))
        elif "slot" in piece:
            slots = True
            form = prompt.inputs[piece["slot"]].form
            pieces.append(f"{{{{ _{form}({piece['slot']}, {_literal(piece['slot'])}) }}}}")
        elif "guard" in piece:
            guarded = True
            pieces.append(f"{{{{ _mark({_literal(piece['guard'])}) }}}}")
        else:
            raise UsageError(
                f"the prompt of {prompt.signature} has a part of the type {piece['type']!r}, which is no text: export "
                f"it as json or messages"
            )
    head = (_mark(prompt.guard) if guarded else "") + (_macros(prompt) if slots else "")
    return {"role": message["role"], "template": head + _whole("".join(pieces))}


def _whole(source: str) -> str:
    """A template whose first and last newlines stay."""
    first = source.startswith("\n")
    last = source.endswith("\n") and len(source) > first
    inner = source[first : len(source) - last]
    return f"{_NEWLINE * first}{inner}{_NEWLINE * last}"


_NEWLINE = "{{ '\\n' }}"


def _source(text: str) -> str:
    """Text as the source of a template that gives it."""
    escaped = _BRACE.sub("{{ '{' }}", text)
    return _ODD.sub(lambda found: f"{{{{ {_literal(found[0])} }}}}", escaped)


def _literal(text: str) -> str:
    """Text as a string of Jinja's."""
    inner = text.encode("unicode_escape").decode().replace("'", "\\'").replace("{", "\\x7b").replace("}", "\\x7d")
    return f"'{inner}'"


def _mark(usual: str) -> str:
    default = _literal(usual)
    return (
        "{% macro _mark(sign) -%}"
        f"{{%- set nonce = _guard if _guard is defined else {default} -%}}"
        "{{ sign ~ nonce if nonce else '' }}"
        "{%- endmacro %}"
    )


def _macros(prompt: Prompt) -> str:
    """How values become text: as they are where a call would do the same, else not at all."""
    forms = {slot.form for slot in prompt.inputs.values()}
    special = [*prompt.plain.without, *([prompt.guard] if prompt.guard else [])]
    listed = ", ".join(_literal(text) for text in special)
    fine = f"value is string and not [{listed}]|select('in', value)|list"
    if not prompt.plain.quoted:
        fine += " and value and value == value|trim and value != '...' and not (value[0] == '\"' and value[-1] == '\"')"
    quote = '"' if prompt.plain.quoted else ""
    bodies = {
        "text": f"{{%- elif {fine} -%}}{quote}{{{{ value }}}}{quote}",
        "integer": "{%- elif value is integer -%}{{ value }}",
        "json": "",
        "shown": "",
    }
    needs = {
        "text": " holds text that does not go into this prompt as it is; fill the template from variables(...)",
        "integer": " is no whole number; fill the template from variables(...)",
        "json": " is not written by a template; fill it from variables(...)",
        "shown": " is not written by a template; fill it from variables(...)",
    }
    return "".join(
        f"{{% macro _{form}(value, name) -%}}"
        "{%- if _written is defined and value is string -%}{{ value }}"
        f"{body}{{%- else -%}}{_REFUSED % _literal(needs[form])}{{%- endif -%}}"
        "{%- endmacro %}"
        for form, body in bodies.items()
        if form in forms
    )

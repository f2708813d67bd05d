"""What a server says of its tools, made fit for prompts, and a hash of it that tells when it changes."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from outlast.errors import ToolServerError, UsageError, brief, did_you_mean
from outlast.types import Tool

Definition = Mapping[str, Any]  # description, parameters and returns, as the server says them

_LONGEST = 20_000  # characters of one description
_OF_NAMES = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")  # their keys are names
_OF_DATA = ("default", "const", "enum", "examples")
_LEFT_OUT = ("$schema", "$id", "$comment", "$vocabulary")


def definitions_of(tools: Iterable[Any]) -> dict[str, Definition]:
    """The tools of a listing by name. Raises `ToolServerError` for two of one name."""
    found: dict[str, Definition] = {}
    for tool in tools:
        if tool.name in found:
            raise ToolServerError(f"it lists two tools of the name {brief(tool.name)}")
        told: dict[str, Any] = {"description": tool.description or "", "parameters": tool.input_schema}
        if tool.output_schema is not None:
            told["returns"] = tool.output_schema
        found[tool.name] = told
    return found


def chosen(
    found: Mapping[str, Definition], only: Iterable[str] | None, without: Iterable[str]
) -> dict[str, Definition]:
    """Some of the tools. Raises `UsageError` for names that the server does not have."""
    wanted = list(found if only is None else only)
    for name in (*wanted, *without):
        if name not in found:
            known = ", ".join(map(repr, found)) or "none"
            raise UsageError(f"the server has no tool {name!r}.{did_you_mean(name, found)} It has: {known}")
    return {name: found[name] for name in wanted if name not in set(without)}


def fingerprint(definitions: Mapping[str, Definition]) -> str:
    """A hash over names, descriptions and schemas: 32 hexadecimal digits, whatever the order of the tools."""
    text = json.dumps(definitions, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def changes(before: Mapping[str, Definition], after: Mapping[str, Definition]) -> list[str]:
    """What differs, a line each; invisible characters are shown as escapes."""
    said = [f"the tool {name!r} is gone" for name in before if name not in after]
    for name, now in after.items():
        was = before.get(name)
        if was is None:
            said.append(f"the tool {name!r} is new")
            continue
        for what in ("description", "parameters", "returns"):
            if was.get(what) != now.get(what):
                old, new = _from_difference(_text(was.get(what)), _text(now.get(what)))
                said.append(f"the {what} of {name!r} was {old} and is {new}")
    return said


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)


def _from_difference(old: str, new: str) -> tuple[str, str]:
    """Both texts from a little before where they part, short enough for a message."""
    at = next((n for n, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    start = max(at - 40, 0)
    sign = "…" if start else ""
    return ascii(f"{sign}{old[start : start + 160]}"), ascii(f"{sign}{new[start : start + 160]}")


def names_for(raw: Iterable[str], prefix: str) -> dict[str, str]:
    """A valid name for each name that the server uses; which one does not hang on the order of the tools."""
    wanted = {name: re.sub(r"[^A-Za-z0-9_-]", "_", f"{prefix}{name}") or "_" for name in raw}
    wanted = {name: new if re.match("[A-Za-z_]", new) else f"_{new}" for name, new in wanted.items()}
    taken = list(wanted.values())
    return {
        name: new if len(new) <= 64 and (taken.count(new) == 1 or new == name) else f"{new[:55]}_{_short(name)}"
        for name, new in wanted.items()
    }


def _short(name: str) -> str:
    return hashlib.blake2b(name.encode(errors="replace"), digest_size=4).hexdigest()


def tools_from(
    definitions: Mapping[str, Definition], prefix: str, function: Callable[[str], Callable[..., Any]], **options: Any
) -> tuple[Tool, ...]:
    """The tools as values; `function` gives what runs one, by the name that the server uses."""
    names = names_for(definitions, prefix)
    return tuple(
        Tool(
            names[raw],
            visible(told["description"]),
            schema_for(raw, told["parameters"]),
            function=function(raw),
            **options,
        )
        for raw, told in definitions.items()
    )


def visible(text: str) -> str:
    """A text of a server without characters that people do not see and models read, and not longer than 20,000."""
    kept = "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf", "Co", "Cs", "Cn"))
    return kept if len(kept) <= _LONGEST else f"{kept[:_LONGEST]}… (cut: {len(kept)} characters)"


def schema_for(name: str, schema: Any) -> dict[str, Any]:
    """The schema of an object, with references inside it only. Raises `ToolServerError` for another."""
    root = cast("dict[str, Any]", schema) if isinstance(schema, dict) else {}
    properties = root.get("properties", {})
    if not isinstance(schema, dict) or root.get("type", "object") != "object" or not isinstance(properties, dict):
        raise ToolServerError(
            f"the arguments of its tool {name!r} are no object: {brief(schema)}. Leave it out: without=[{name!r}]"
        )
    return {"type": "object", "properties": {}, **_clean(root, root)}


def _clean(schema: Any, root: dict[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_clean(one, root) for one in cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    found: dict[str, Any] = {}
    for key, value in cast("dict[str, Any]", schema).items():
        rule = _RULES.get(key)
        if key in _LEFT_OUT or (rule is not None and not rule(value, root)):
            continue
        if key in _OF_NAMES and isinstance(value, dict):
            found[key] = {name: _clean(one, root) for name, one in cast("dict[str, Any]", value).items()}
        elif key in ("title", "description") and isinstance(value, str):
            found[key] = visible(value)
        else:
            found[key] = value if key in _OF_DATA else _clean(value, root)
    return found


def _are_texts(value: Any, _: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in cast("list[Any]", value))


def _is_kind(value: Any, root: Any) -> bool:
    return isinstance(value, str) or _are_texts(value, root)


def _leads_inside(reference: Any, root: dict[str, Any]) -> bool:
    if not isinstance(reference, str) or not reference.startswith("#"):
        return False
    at: Any = root
    for step in reference[1:].split("/")[1:]:
        step = step.replace("~1", "/").replace("~0", "~")
        if not isinstance(at, dict) or step not in at:
            return False
        at = cast("dict[str, Any]", at)[step]
    return True


_RULES: Mapping[str, Callable[[Any, dict[str, Any]], bool]] = {  # what does not fit would break whoever reads it
    "$ref": _leads_inside,
    "$dynamicRef": _leads_inside,
    "type": _is_kind,
    "required": _are_texts,
}

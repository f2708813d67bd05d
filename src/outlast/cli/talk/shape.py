"""What an answer has to be: `name, age int, tags list[str]: short words`, or a JSON schema, as outputs of a
signature."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, cast

from outlast.errors import DataError, UsageError, brief

_FIELD = re.compile(r"\s*([^\W\d]\w*)\s*(.*)", re.DOTALL)
_NAMED = ("properties", "patternProperties", "dependentSchemas")  # their keys are names, not keywords
_DATA = ("default", "const", "enum", "examples")  # their content is data, not schema
_WHOLE, _ITEMS = "result", "items"


@dataclass(frozen=True, slots=True)
class Shape:
    """The outputs that a model is asked for: their types as text, where such a text needs them the `types` by name, and
    their descriptions. `whole` is the one output whose value is the answer, where the answer is no record of them."""

    outputs: Mapping[str, str]
    types: Mapping[str, Any] = field(default_factory=dict[str, Any])
    told: Mapping[str, str] = field(default_factory=dict[str, str])
    whole: str | None = None

    def spelled(self, inputs: Mapping[str, str]) -> str:
        """The signature from these inputs to the outputs, as text."""
        sides = (", ".join(f"{name}: {kind}" for name, kind in side.items()) for side in (inputs, self.outputs))
        return " -> ".join(sides)

    def free(self, name: str) -> str:
        """A name for an input that no output has."""
        while name in self.outputs:
            name += "_"
        return name

    def answer(self, outputs: Mapping[str, Any]) -> Any:
        """The answer in the outputs of a call."""
        return dict(outputs) if self.whole is None else outputs[self.whole]


def as_shape(text: str, *, multi: bool = False) -> Shape:
    """The shape that a text says: fields in words, a JSON schema, or the name of a file that ends with .json.

    Fields have commas between them, or line ends, and then descriptions may have commas: `NAME [TYPE] [: words]`. Types
    are those of signatures in text (`int`, `list[str]`, `Literal["a", "b"]`, `date`), text without one; `int?` may be
    null. `multi` asks for a list of such things, `{"items": [...]}`. Raises `UsageError`, `DataError`.
    """
    text = text.strip()
    if text.startswith("{") or text.endswith(".json"):
        return _of_schema(_schema(text), multi)
    kinds, told = _fields(text)
    from pydantic import ConfigDict, Field, create_model

    from outlast.signatures.spelling import signature

    shape = Shape(kinds, {}, told)
    read: Any = signature(shape.spelled({shape.free("prompt"): "str"}))  # raises for what are no types
    if not multi:
        return shape
    parts: dict[str, Any] = {
        name: (found.type, Field(description=told[name]) if name in told else Field())
        for name, found in read.outputs.items()
    }
    item = create_model("Item", __config__=ConfigDict(extra="forbid", protected_namespaces=()), **parts)
    return Shape({_ITEMS: "list[Item]"}, {"Item": item})


def _fields(text: str) -> tuple[dict[str, str], dict[str, str]]:
    """Types and descriptions by name."""
    kinds: dict[str, str] = {}
    told: dict[str, str] = {}
    for part in _split(text, "\n" if "\n" in text else ","):
        if not part.strip():
            continue
        head, *words = _split(part, ":", most=1)
        match = _FIELD.fullmatch(head)
        if match is None:
            raise UsageError(f"a field of a schema is NAME [TYPE] [: words], such as 'age int'; got {brief(part)}")
        name, kind = match[1], " ".join(match[2].split())
        if name in kinds:
            raise UsageError(f"the schema names the field {name!r} twice")
        kinds[name] = f"{kind.removesuffix('?').rstrip() or 'str'} | None" if kind.endswith("?") else kind or "str"
        if words and words[0].strip():
            told[name] = " ".join(words[0].split())
    if not kinds:
        raise UsageError("a schema has at least one field, such as 'name, age int'")
    return kinds, told


def _split(text: str, mark: str, most: int = -1) -> list[str]:
    """The parts of a text between marks that stand outside quotes and brackets."""
    parts: list[str] = []
    depth, quote, start = 0, "", 0
    for at, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif depth and char in "\"'":  # an apostrophe in a description opens nothing
            quote = char
        elif char in "([{":
            depth += 1
        elif char in ")]}":
            depth = max(0, depth - 1)
        elif char == mark and not depth and len(parts) != most:
            parts.append(text[start:at])
            start = at + 1
    return [*parts, text[start:]]


def _schema(text: str) -> dict[str, Any]:
    """The JSON schema in a text or a file."""
    where = "--schema"
    if not text.startswith("{"):
        where = repr(text)
        try:
            text = Path(text).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"cannot read the schema {where}: {error}") from error
    try:
        data: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where} is no JSON: {error}") from None
    if not isinstance(data, dict):
        raise DataError(f"a JSON schema is an object; {where} holds {brief(data)}")
    return cast("dict[str, Any]", data)


def _of_schema(schema: dict[str, Any], multi: bool) -> Shape:
    """One output of the schema's type. Needs the package jsonschema."""
    from outlast.checks.schema import fits_schema

    wrong, _ = fits_schema(schema)
    kind = Annotated[Any, _Fitting(_inlined(schema, schema, 0), wrong)]
    if multi:
        return Shape({_ITEMS: "list[Item]"}, {"Item": kind})
    return Shape({_WHOLE: "Result"}, {"Result": kind}, whole=_WHOLE)


class _Fitting:
    """What makes a type of a JSON schema: pydantic shows the schema, and jsonschema says what does not fit it."""

    def __init__(self, schema: dict[str, Any], wrong: Any) -> None:
        self.schema = schema
        self.wrong = wrong

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, core: Any, handler: Any) -> dict[str, Any]:
        del core, handler
        return {name: value for name, value in self.schema.items() if name not in ("$schema", "$id", "title")}

    def check(self, value: Any) -> Any:
        problems: list[str] = self.wrong(value)
        if problems:
            raise ValueError("; ".join(problems[:5]))
        return value


def _inlined(node: Any, root: Mapping[str, Any], depth: int) -> Any:
    """A schema with its definitions in the place of references to them, as it will stand inside another one."""
    if depth > 60:
        raise UsageError("a schema for --schema may not refer to itself")
    if isinstance(node, list):
        return [_inlined(item, root, depth + 1) for item in cast("list[Any]", node)]
    if not isinstance(node, dict):
        return node
    held = cast("dict[str, Any]", node)
    name = held.get("$ref")
    if isinstance(name, str):
        return _inlined({**_found(name, root), **{k: v for k, v in held.items() if k != "$ref"}}, root, depth + 1)
    found: dict[str, Any] = {}
    for key, value in held.items():
        if key in _NAMED and isinstance(value, dict):
            named = cast("dict[str, Any]", value)
            found[key] = {name: _inlined(one, root, depth + 1) for name, one in named.items()}
        elif key not in ("$defs", "definitions"):
            found[key] = value if key in _DATA else _inlined(value, root, depth + 1)
    return found


def _found(name: str, root: Mapping[str, Any]) -> dict[str, Any]:
    at: Any = root
    for step in name.removeprefix("#").strip("/").split("/"):
        at = cast("Any", at).get(step.replace("~1", "/").replace("~0", "~")) if isinstance(at, Mapping) else None
    if not name.startswith("#/") or not isinstance(at, dict):
        raise UsageError(f"the schema refers to {name!r}, which is not in it; nothing is fetched")
    return cast("dict[str, Any]", at)

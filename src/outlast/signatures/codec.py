"""How the values of one field are checked, written as text and read back. Built once per field, never per call."""

from __future__ import annotations

import enum
import json
import re
import types
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time, timedelta
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types as at
from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, to_json

from outlast.errors import SignatureError, brief
from outlast.signatures.field import Field

MAX_REPAIR = 50_000  # characters; longer broken JSON is not worth the time that mending it takes

_WORDS = {
    str: "text",
    int: "integer",
    float: "number",
    bool: "true or false",
    date: "date as YYYY-MM-DD",
    datetime: "date and time, ISO 8601",
    time: "time, ISO 8601",
    timedelta: "duration, ISO 8601",
    type(None): "null",
}
_THOUSANDS = re.compile(r"[-+]?\d{1,3}(,\d{3})+(\.\d+)?")
_FENCE = re.compile(r"\A```[\w+-]*[ \t]*\n(.*?)\n?```\Z", re.DOTALL)


class Codec:
    """Checks, writes and reads the values of one field.

    `style` says how values look as text: "text" (as they are), "choice" (one of a few words) or "json".
    """

    def __init__(self, field: Field) -> None:
        self.name = field.name
        self.kind = field.kind
        base, self.constraints = _strip(field.type)
        self.choices = _choices(base)
        self.adapter = _adapter(field)
        self.style: Literal["text", "choice", "json"] = (
            "text" if base is str else "choice" if self.choices else "json"
        )
        self.plain_str = base is str and not self.constraints
        self.nullable = _accepts_none(base)
        self.validate: Callable[[Any], Any] = self.adapter.validator.validate_python
        self._validate_json: Callable[[str], Any] = self.adapter.validator.validate_json
        self._folded = {_fold(label): value for label, value in (self.choices or {}).items()}
        self._json_scalar = base in (int, bool)
        self._base = base

    def check(self, value: Any) -> Any:
        """The value as the field's type, or `pydantic.ValidationError`."""
        if self.plain_str and type(value) is str:
            return value
        return self.validate(value)

    def write(self, value: Any) -> str:
        """The value as text that `read` gives back exactly."""
        style = self.style
        if style == "text" and isinstance(value, str):
            return value if _plain(value) else json.dumps(value, ensure_ascii=False)
        if style == "choice":
            raw = value.value if isinstance(value, enum.Enum) else value
            if isinstance(raw, str):
                return raw
        if self._json_scalar and type(value) in (int, bool):
            return json.dumps(value)
        return self._write_json(value)

    def dump(self, value: Any) -> Any:
        """The value as JSON-ready data."""
        if self.plain_str:
            return value
        try:
            return self.adapter.dump_python(value, mode="json", warnings="error")
        except (PydanticSerializationError, ValueError, TypeError):
            return json.loads(to_json(value, fallback=str, inf_nan_mode="constants"))

    def _write_json(self, value: Any) -> str:
        try:
            return self.adapter.dump_json(value, warnings="error").decode()
        except (PydanticSerializationError, ValueError, TypeError, UnicodeError):
            return to_json(value, fallback=str, inf_nan_mode="constants").decode(errors="replace")

    def read(self, text: str) -> Any:
        """The value that the text says, or `ValueError` (a `pydantic.ValidationError` is one)."""
        if self.style == "text":
            return self.check(_unquoted(text))
        if self.style == "choice":
            return self._read_choice(text)
        return self._read_json(text)

    def read_data(self, data: Any) -> Any:
        """The value that JSON data says (already parsed), or `ValueError`."""
        if self.style == "choice" and isinstance(data, str):
            return self._read_choice(data)
        try:
            return self.adapter.validator.validate_json(to_json(data, inf_nan_mode="constants"))
        except ValidationError:
            if isinstance(data, str) and self.style == "json":
                return self._read_json(data)
            raise

    def _read_choice(self, text: str) -> Any:
        choices = self.choices or {}
        stripped = _unquoted(text)
        if stripped in choices:
            return choices[stripped]
        first_line = stripped.strip().split("\n", 1)[0]
        for candidate in (stripped, first_line):
            folded = _fold(candidate)
            if folded in self._folded:
                return self._folded[folded]
        allowed = ", ".join(json.dumps(label, ensure_ascii=False) for label in choices)
        raise ValueError(f"must be one of {allowed}; got {brief(stripped)}")

    def _read_json(self, text: str) -> Any:
        stripped = text.strip()
        first: ValidationError | None = None
        for candidate in _spellings(stripped, self.nullable):
            try:
                return self._validate_json(candidate)
            except ValidationError as error:
                invalid_json = any(item["type"] == "json_invalid" for item in error.errors(include_url=False))
                if first is None or (not invalid_json and _is_syntax(first)):
                    first = error
        for candidate in (_unfenced(stripped), _bare(stripped)):
            try:
                return self.validate(candidate)
            except ValidationError:
                continue
        if len(stripped) <= MAX_REPAIR and any(mark in stripped for mark in "[{"):
            repaired = repair(stripped)
            if repaired is not None:
                return self.adapter.validator.validate_json(to_json(repaired, inf_nan_mode="constants"))
        if first is None:
            raise ValueError("is empty")
        raise first

    def describe(self) -> str:
        """The type in words that a model understands, in one line."""
        return describe_type(self.adapter, self.constraints, self.choices, self._base)

    def schema(self) -> dict[str, Any] | None:
        """The JSON schema of the field, or None when its type has none."""
        return _schema(self.adapter)


def describe_type(
    adapter: TypeAdapter[Any], constraints: tuple[Any, ...], choices: Mapping[str, Any] | None, base: Any
) -> str:
    """A type in words: "integer, 1 to 5", 'one of: "a", "b"', or its JSON schema."""
    if choices:
        return "one of: " + ", ".join(json.dumps(label, ensure_ascii=False) for label in choices)
    schema = _schema(adapter)
    if base in _WORDS:
        return _WORDS[base] + _limits(constraints, base is str, schema or {})
    if schema is None:
        return getattr(base, "__name__", "value")
    return _schema_words(schema)


def _schema_words(schema: dict[str, Any]) -> str:
    simple = {
        "string": "text",
        "integer": "integer",
        "number": "number",
        "boolean": "true or false",
        "null": "null",
    }
    kinds = [part.get("type") for part in schema.get("anyOf", [])]
    if kinds and all(
        kind in simple and len(part) == 1 for kind, part in zip(kinds, schema["anyOf"], strict=True)
    ):
        return " or ".join(simple[str(kind)] for kind in kinds)
    if (
        schema.get("type") == "array"
        and set(schema) == {"type", "items"}
        and set(schema["items"]) == {"type"}
    ):
        return f"JSON: array of {schema['items']['type']}"
    return "JSON matching the schema " + json.dumps(_without_titles(schema), ensure_ascii=False)


def _without_titles(schema: Any) -> Any:
    """The schema without the titles that pydantic derives from names; a property called "title" stays."""
    if isinstance(schema, dict):
        return {
            key: {name: _without_titles(value) for name, value in item.items()}
            if key in ("properties", "$defs") and isinstance(item, dict)
            else _without_titles(item)
            for key, item in schema.items()
            if not (key == "title" and isinstance(item, str))
        }
    if isinstance(schema, list):
        return [_without_titles(item) for item in schema]
    return schema


def _limits(constraints: tuple[Any, ...], textual: bool, schema: dict[str, Any]) -> str:
    low: str = ""
    high: str = ""
    rest: list[str] = []
    for item in _flat(constraints):
        if isinstance(item, at.Ge):
            low = str(item.ge)
        elif isinstance(item, at.Le):
            high = str(item.le)
        elif isinstance(item, at.Gt):
            rest.append(f"more than {item.gt}")
        elif isinstance(item, at.Lt):
            rest.append(f"less than {item.lt}")
        elif isinstance(item, at.MultipleOf):
            rest.append(f"a multiple of {item.multiple_of}")
        elif isinstance(item, at.MinLen):
            rest.append(f"at least {item.min_length} characters")
        elif isinstance(item, at.MaxLen):
            rest.append(f"at most {item.max_length} characters")
    if low and high:
        rest.insert(0, f"{low} to {high}")
    elif low or high:
        rest.insert(0, f"at least {low}" if low else f"at most {high}")
    if textual and "pattern" in schema:
        rest.append(f"matching the pattern {schema['pattern']}")
    return "".join(f", {text}" for text in rest)


def _flat(constraints: Iterable[Any]) -> list[Any]:
    flat: list[Any] = []
    for item in constraints:
        if isinstance(item, at.GroupedMetadata):
            flat.extend(item)
        elif hasattr(item, "metadata"):  # pydantic's Field(...) keeps its constraints there
            flat.extend(item.metadata)
        else:
            flat.append(item)
    return flat


def _strip(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    if get_origin(annotation) is Annotated:
        base, *metadata = get_args(annotation)
        return base, tuple(metadata)
    return annotation, ()


def _choices(base: Any) -> dict[str, Any] | None:
    """The words of a closed field with string labels, with the value that each stands for."""
    if get_origin(base) is Literal:
        values = get_args(base)
        if values and all(isinstance(value, str) and not isinstance(value, enum.Enum) for value in values):
            return {value: value for value in values}
    if isinstance(base, type) and issubclass(base, enum.Enum):
        members = list(base)
        if members and all(isinstance(member.value, str) for member in members):
            return {member.value: member for member in members}
    return None


def _accepts_none(base: Any) -> bool:
    return get_origin(base) in (Union, types.UnionType) and type(None) in get_args(base)


def _adapter(field: Field) -> TypeAdapter[Any]:
    try:
        try:
            return TypeAdapter(
                field.type, config=ConfigDict(arbitrary_types_allowed=True, ser_json_inf_nan="constants")
            )
        except PydanticUserError:  # models, dataclasses and typed dicts bring their own configuration
            return TypeAdapter(field.type)
    except Exception as error:
        raise SignatureError(
            f"field {field.name!r} has the type {brief(field.type)}, which pydantic cannot validate: {error}"
        ) from error


def _schema(adapter: TypeAdapter[Any]) -> dict[str, Any] | None:
    try:
        return _without_titles(adapter.json_schema())
    except Exception:  # pydantic raises several kinds for types that JSON cannot say
        return None


def schema_of(annotation: Any) -> dict[str, Any] | None:
    """The JSON schema of a type, or None when it has none."""
    return _schema(_adapter(Field("value", "output", annotation)))


def codecs(signature: Any) -> dict[str, Codec]:
    """The codecs of all fields of a signature by name, built at the first use."""
    found = signature.__dict__.get("__codecs__")
    if found is None:
        found = {name: Codec(field) for name, field in signature.fields.items()}
        type.__setattr__(signature, "__codecs__", found)
    return found


def _plain(text: str) -> bool:
    """True when a string survives as bare text: no edge whitespace, not empty, not looking like a JSON string."""
    return bool(text) and text == text.strip() and not (text[0] == '"' and text[-1] == '"')


def _unquoted(text: str) -> str:
    stripped = text.strip()
    if len(stripped) >= 2 and stripped[0] == '"' and stripped[-1] == '"':
        try:
            value = json.loads(stripped)
        except ValueError:
            return stripped
        if isinstance(value, str):
            return value
    return stripped


def _fold(text: str) -> str:
    return text.strip().strip("`*_\"'.!:()[]<> \t").replace("_", " ").replace("-", " ").casefold()


def _unfenced(text: str) -> str:
    found = _FENCE.match(text)
    return found.group(1).strip() if found else text


def _bare(text: str) -> str:
    """A value without the decoration that chat models like: **3**, `3`, 3., 1,234."""
    bare = _unfenced(text).strip("`* \t")
    if bare.endswith(".") and bare[:-1].lstrip("-+").isdigit():
        bare = bare[:-1]
    if _THOUSANDS.fullmatch(bare):
        bare = bare.replace(",", "")
    return bare


def _spellings(text: str, nullable: bool) -> list[str]:
    found = [text] if text else []
    for other in (_unfenced(text), _bare(text)):
        if other and other not in found:
            found.append(other)
    if nullable and text.casefold() in ("none", "n/a", ""):
        found.append("null")
    return found


def _is_syntax(error: ValidationError) -> bool:
    return any(item["type"] == "json_invalid" for item in error.errors(include_url=False))


def repair(text: str) -> Any:
    """Broken JSON mended by the json-repair library: an object or array, or None when there is none."""
    if len(text) > MAX_REPAIR:
        return None
    import json_repair

    try:
        value = json_repair.loads(text, skip_json_loads=True)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, (dict, list)) and value else None

"""How the values of one field are checked, written as text and read back. Built once per field, never per call."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from typing import Annotated, Any, Literal, cast, get_args, get_origin

from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, to_json, to_jsonable_python

from outlast.errors import InputError, SignatureError, brief
from outlast.signatures.choices import choices_of, is_union, raw
from outlast.signatures.field import REQUIRED, Field
from outlast.signatures.fitting import fitting, ordering
from outlast.signatures.jsontext import DuplicateKey, Number, mend, scan, strict, tolerant
from outlast.signatures.leads import visible, without_lead
from outlast.signatures.shown import holds_media, marked, only_shown, reads_any_text, shown_kind, unmarked, words
from outlast.signatures.walking import Misfit
from outlast.signatures.wording import describe_type, json_schema
from outlast.types.shown import ADDRESSES, INLINE, Shelf, is_read, prompt_of

PLACEHOLDER = "..."  # what prompts show where a value goes; bare, it is never a value

_CONFIG = ConfigDict(
    arbitrary_types_allowed=True,
    ser_json_inf_nan="constants",
    ser_json_bytes="base64",
    val_json_bytes="base64",
)
_TEMPORAL = frozenset[Any]((date, datetime, time, timedelta))
_NUMERIC = frozenset[Any]((int, float))
_THOUSANDS = re.compile(r"[-+]?\d{1,3}(,\d{3})++(\.\d++)?")
_NUMBER = re.compile(r'"?[-+]?[\d.]++([eE][-+]?\d++)?"?')
_FIGURE = re.compile(r"[-+]?[\d,]++(?:\.\d++)?")
_ITEM = re.compile(r"([-*•]|\d{1,3}[.)])[ \t]++(\S.*)")
_FENCE = re.compile(r"\A```[\w+-]*+[ \t]*+\n(.*)\n[ \t]*+```\Z", re.DOTALL)
_NULLS = ("", "none", "null", "n/a")
_NOTHING: Any = object()


class Codec:
    """Checks, writes and reads the values of one field.

    `style` says how values look as text: "text" (as they are), "shown" (as their class says), "choice" (one of a few
    words) or "json". `read(write(value)) == value` and `read_data(dump(value)) == value` hold for every valid value of
    a type whose values JSON can tell apart. `base` is the type without its constraints; `takes_text` says that any text
    is a value, `takes_none` that None is one, `is_list` that a list is wanted, `lists_simple` one of text, numbers or
    choices.
    """

    def __init__(self, field: Field) -> None:
        self.field = field
        self.name = field.name
        base, self.constraints = _strip(field.type)
        self.choices = choices_of(base)
        self.adapter = _adapter(field)
        self.shown = shown_kind(base)
        self.style: Literal["text", "shown", "choice", "json"] = (
            "text" if base is str else "choice" if self.choices else "shown" if self.shown else "json"
        )
        self.plain_str = base is str and not self.constraints
        self._plain_choice = self.choices is not None and not self.constraints
        self.validate: Callable[[Any], Any] = self.adapter.validator.validate_python
        self._validate_json: Callable[[str | bytes], Any] = self.adapter.validator.validate_json
        if field.kind == "input" and self.style in ("shown", "json"):
            self.validate = partial(self.validate, context=ADDRESSES)
            self._validate_json = partial(self._validate_json, context=ADDRESSES)
        parts = frozenset(get_args(base)) if is_union(base) else frozenset((base,))
        self.base = base
        self.is_int = base is int
        self.takes_none = type(None) in parts
        self._closed_none = self.choices is not None and None in self.choices.labels.values()
        self.takes_text = bool(parts & {str, Any, object}) or reads_any_text(self.shown)
        self._temporal = parts - {type(None)} <= _TEMPORAL
        self._numeric = parts - {type(None)} <= _NUMERIC
        self.is_list = get_origin(base) is list
        self.lists_simple = get_origin(base) is list and _is_simple(get_args(base)[0])
        self._schema: dict[str, Any] | None = None
        self._schema_known = False
        self._words: str | None = None
        self._fit = None if self.plain_str else fitting(self.adapter.core_schema)
        self._order = None if self.plain_str else ordering(self.adapter.core_schema)
        self._check_field()

    def _check_field(self) -> None:
        field = self.field
        if field.default is not REQUIRED:
            try:
                self.check(field.default)
            except ValidationError as error:
                hint = " Write the type as `... | None`." if field.default is None else ""
                raise SignatureError(
                    f"{field.kind} {field.name!r} has the default {brief(field.default)}, which does not fit its "
                    f"type {brief(field.type)}: {error.errors(include_url=False)[0]['msg']}.{hint}"
                ) from error
        schema = self.adapter.core_schema
        if field.kind == "output" and (schema["type"] == "is-instance" or only_shown(schema) is not None):
            raise SignatureError(
                f"output {field.name!r} has the type {brief(field.type)}, which cannot be made from text. Use "
                f"Python's own types, a pydantic model, a dataclass or an enum, or give the class a classmethod "
                f"__read__(cls, text)."
            )
        forgotten = unmarked(schema)
        if forgotten is not None:
            raise SignatureError(
                f"{field.kind} {field.name!r} holds a {forgotten.__name__} inside a model or a dataclass, where its "
                f"__prompt__ would not be used: write the type there as Annotated[{forgotten.__name__}, Shown], with "
                f"Shown from outlast.types"
            )

    def check(self, value: Any) -> Any:
        """The value as the field's type, or `pydantic.ValidationError`."""
        if self.plain_str and type(value) is str:
            return value
        return self.validate(value)

    @property
    def holds_media(self) -> bool:
        """Whether a value may be, or hold, an image, audio or a file."""
        return not self.plain_str and holds_media(self.adapter.core_schema)

    def default(self) -> Any:
        """The field's default as its type, never shared between calls; `REQUIRED` when there is none."""
        default = self.field.fresh_default()
        return default if default is REQUIRED else self.check(default)

    def write(self, value: Any, shelf: Shelf = INLINE) -> str:
        """The value as text that `read` gives back exactly. Raises `InputError` when text cannot hold it.

        Media in it go on the shelf, and a reference stands in the text; without one they are data: URLs.
        """
        plain, style = value, self.style
        if style == "choice":
            plain = raw(value)
        elif style == "shown" and value is not None:
            plain = prompt_of(value, shelf)
        if style != "json" and isinstance(plain, str):
            return plain if _is_plain(plain) else json.dumps(plain, ensure_ascii=False)
        if type(value) is bool:
            return "true" if value else "false"
        try:
            if self._order is None:
                return self.adapter.dump_json(value, warnings="error", context=shelf).decode()
            return to_json(self.dump(value, shelf), inf_nan_mode="constants").decode()
        except (PydanticSerializationError, ValueError, TypeError):
            pass
        try:
            return json.dumps(self.dump(value, shelf))  # ASCII, so that a lone surrogate stays what it is
        except (ValueError, TypeError, RecursionError) as error:
            raise InputError(f"{self.field.kind} {self.name!r} cannot be written as text: {error}") from error

    def dump(self, value: Any, shelf: Shelf | None = None) -> Any:
        """The value as JSON-ready data. What does not fit the type is shown as well as it can be.

        Without a shelf it is the form for files, which holds all of it; with one it is the form for a prompt.
        """
        if type(value) is str and (self.plain_str or self._plain_choice):
            return value
        try:
            data = self.adapter.dump_python(value, mode="json", warnings="error", context=shelf)
            return data if self._order is None else self._order(data)
        except (PydanticSerializationError, ValueError, TypeError):
            return to_jsonable_python(value, fallback=str, inf_nan_mode="constants", bytes_mode="base64", context=shelf)

    def read(self, text: str) -> Any:
        """The value that the text says, or `ValueError` (a `pydantic.ValidationError` is one).

        Reads the decorations and near-JSON that models write; what could mean two things is refused.
        """
        stripped = text.strip()
        if stripped == PLACEHOLDER:
            raise ValueError(f"holds only the placeholder {PLACEHOLDER!r}")
        if self.style == "text":
            unquoted = _unquoted(stripped)
            return self.check(trimmed(text) if unquoted is stripped else unquoted)
        if self.style == "shown":
            return self._read_shown(text, stripped)
        bare = visible(stripped)
        try:
            return self._read_bare(bare)
        except ValueError:
            rest = without_lead(self.name, bare)
            if rest is None:
                raise
            return self._read_bare(rest)

    def _read_bare(self, text: str) -> Any:
        return self._read_choice(_unquoted(text)) if self.choices else self._read_json(text)

    def _read_shown(self, text: str, stripped: str) -> Any:
        """A value that its class reads from text, or else one in JSON."""
        if self.takes_none and stripped.casefold() in _NULLS:
            return None
        if not is_read(self.shown):
            return self._read_json(stripped)
        unquoted = _unquoted(stripped)
        return self.check(trimmed(text) if unquoted is stripped else unquoted)

    def read_data(self, data: Any) -> Any:
        """The value that JSON data says (already parsed), or `ValueError`."""
        if self.choices:
            if isinstance(data, (list, dict)):
                raise ValueError(f"must be {self.describe()}; got {brief(cast('Any', data))}")
            return self._read_choice(data if isinstance(data, str) else json.dumps(data))
        if isinstance(data, str):
            if self.plain_str:
                return data
            if self._temporal:
                return self._read_json(data)
            if is_read(self.shown):
                return self.check(data)
        else:
            self._refuse_neighbour(data)
        try:
            return self._validate_data(data)
        except (ValidationError, Misfit) as error:
            found = self._second_reading(data)
            if found is _NOTHING:
                raise error
            return found

    def _refuse_neighbour(self, data: Any) -> None:
        """Refuse what pydantic would take for another kind: true for 1, a number for seconds since 1970."""
        if (self._numeric and isinstance(data, bool)) or (self._temporal and isinstance(data, (int, float))):
            raise ValueError(f"must be {self.describe()}; got {json.dumps(data)}")

    def _from_json(self, text: str) -> Any:
        return self._validate_json(text) if self._fit is None else self._validate_data(strict(text))

    def _validate_data(self, data: Any) -> Any:
        if self._fit is not None:
            data = self._fit(data)
        try:
            encoded = to_json(data, inf_nan_mode="constants")
        except PydanticSerializationError:  # a lone surrogate, which UTF-8 cannot hold
            return self.validate(data)
        return self._validate_json(encoded)

    def _second_reading(self, data: Any) -> Any:
        """Data of the neighbouring kind: JSON inside a string, a number where text is wanted."""
        if isinstance(data, str) and self.style == "json":
            return self._read_json(data)
        if self.takes_text and isinstance(data, (int, Number)) and not isinstance(data, bool):
            return self.validate(data.text if isinstance(data, Number) else str(data))
        return _NOTHING

    def _read_choice(self, label: str) -> Any:
        assert self.choices is not None
        found = self.choices.find(label)
        if found is None and self._closed_none and label.strip(" \t\n`*_.\"'").casefold() in _NULLS:
            found = (None,)
        if found is None:
            raise ValueError(f"must be {self.describe()}; got {brief(label)}")
        return self.validate(found[0]) if self.constraints else found[0]

    def _read_json(self, text: str) -> Any:
        if (self._numeric and text in ("true", "false")) or (self._temporal and _NUMBER.fullmatch(text)):
            raise ValueError(f"must be {self.describe()}; got {brief(text)}")
        try:
            return self._from_json(text)
        except DuplicateKey:
            raise
        except ValueError as error:  # of pydantic, of the JSON, of a lone surrogate
            return self._read_sloppy(text, error)

    def _read_sloppy(self, text: str, first: ValueError) -> Any:
        """A value in fences, with decoration, in nearly valid JSON, or as a bare word."""
        unfenced = _unfenced(text)
        bare = _bare(unfenced)
        best = first
        for candidate in dict.fromkeys((unfenced, bare, *self._nulls(bare))):
            if candidate != text:
                try:
                    return self._from_json(candidate)
                except ValueError as error:
                    best = _better(best, error)
        items = self._listed(unfenced)
        if items is not None:
            return self._validate_data(items)
        if "[" in unfenced or "{" in unfenced:
            try:
                data = self._structure(unfenced)
                if data is not _NOTHING:
                    return self._validate_data(data)
            except ValueError as error:
                best = _better(best, error)
        for candidate in dict.fromkeys((_unquoted(text), text, unfenced, bare)):
            try:
                return self.validate(candidate if self._fit is None else self._fit(candidate))
            except (ValidationError, Misfit):
                continue
        if not text:
            raise ValueError("is empty")
        raise ValueError(self._wrong(text)) if _is_syntax(best) else best

    def _wrong(self, text: str) -> str:
        words = self.describe()
        if "JSON" in words or text[:1] in ("[", "{"):
            return f"is not valid JSON; got {brief(text)}"
        return f"must be {words}; got {brief(text)}"

    def _listed(self, text: str) -> list[str] | None:
        """The items of a bullet list or of lines that are numbered from 1, when every line is one."""
        if not self.lists_simple or not text or text[0] not in "-*•1":
            return None
        found = [_ITEM.fullmatch(line) for line in text.splitlines() if line.strip()]
        signs = [match and match[1].rstrip(".)") for match in found]
        if len(set(signs)) > 1 and signs != [str(number + 1) for number in range(len(signs))]:
            return None
        return [_unquoted(match[2].strip()) for match in found if match] if None not in signs else None

    def _nulls(self, text: str) -> tuple[str, ...]:
        words = ("none", "null") if self.takes_text else ("none", "null", "n/a")
        return ("null",) if self.takes_none and (not text or text.casefold() in words) else ()

    def _structure(self, text: str) -> Any:
        """The one JSON array or object in a text, or `_NOTHING`. Raises `DuplicateKey`."""
        enclosed = text[:1] in ("[", "{") and text[-1:] in ("]", "}")
        if self.takes_text and not enclosed:
            return _NOTHING
        try:
            data = tolerant(text)
            return cast("Any", data) if isinstance(data, (dict, list)) else _NOTHING
        except DuplicateKey:
            raise
        except ValueError:
            found = scan(text, arrays=True)
            if not enclosed:
                return found.values[0] if len(found.values) == 1 and not found.broken else _NOTHING
            mended = mend(text) if found.broken else None  # several whole values are no value
            return _NOTHING if mended is None else mended

    def describe(self) -> str:
        """The type in words that a model understands, in one line."""
        if self._words is None:
            told = words(self.base, self.field.kind)
            if told is None:
                labels = self.choices.spelled() if self.choices else None
                told = describe_type(self.base, self.constraints, labels, self.schema())
            self._words = told
        return self._words

    def schema(self) -> dict[str, Any] | None:
        """The JSON schema of the field, or None when its type has none."""
        if not self._schema_known:
            self._schema, self._schema_known = json_schema(self.adapter), True
        return self._schema


def codecs(signature: Any) -> dict[str, Codec]:
    """The codecs of all fields of a signature by name, built at the first use."""
    found = signature.__dict__.get("__codecs__")
    if found is None:
        found = {name: Codec(field) for name, field in signature.fields.items()}
        type.__setattr__(signature, "__codecs__", found)
    return found


def schema_of(annotation: Any) -> dict[str, Any] | None:
    """The JSON schema of a type, or None when it has none."""
    return json_schema(_adapter(Field("value", "output", annotation)))


def _strip(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    if get_origin(annotation) is Annotated:
        base, *metadata = get_args(annotation)
        return base, tuple(metadata)
    return annotation, ()


def _is_simple(annotation: Any) -> bool:
    """True for text, numbers and closed types."""
    base, _ = _strip(annotation)
    return base in (str, int, float, Decimal) or choices_of(base) is not None


def _adapter(field: Field) -> TypeAdapter[Any]:
    try:
        kind = marked(field.type)
        try:
            adapter: TypeAdapter[Any] = TypeAdapter(kind, config=_CONFIG)
        except PydanticUserError:  # models, dataclasses and typed dicts bring their own configuration
            adapter = TypeAdapter(kind)
        _ = adapter.validator.validate_python  # raises here when a model in the type is not fully defined
    except Exception as error:
        raise SignatureError(
            f"field {field.name!r} has the type {brief(field.type)}, which pydantic cannot validate: {error}"
        ) from error
    return adapter


def _is_plain(text: str) -> bool:
    """True when a string survives as bare text: no edge whitespace, not empty, not like a JSON string."""
    if not text or text == PLACEHOLDER or (text[0] == '"' and text[-1] == '"'):
        return False
    return not (text[0].isspace() or text[-1].isspace())


def trimmed(text: str) -> str:
    """A text without the space around it, but for the indentation of its first line, as code has it.

    One space is no indentation.
    """
    stripped = text.strip()
    if not text[:1].isspace():
        return stripped
    start = len(text) - len(text.lstrip())
    indent = text[text.rfind("\n", 0, start) + 1 : start]
    return indent + stripped if indent.startswith(("  ", "\t")) and not indent.strip(" \t") else stripped


def _unquoted(text: str) -> str:
    """A text without the quotes of a JSON string, when it is one."""
    if len(text) >= 2 and text[0] == '"' and text[-1] == '"':
        try:
            return cast("str", json.loads(text))  # what starts with a quote is a string or an error
        except ValueError:
            return text
    return text


def _unfenced(text: str) -> str:
    found = _FENCE.match(text)
    return found[1].strip() if found else text


def _bare(text: str) -> str:
    """A value without the decoration that chat models like: **3**, `3`, 3., Yes., 1,234."""
    bare = text.strip("`*_ \t\n")
    word = bare.endswith(".") and bare[:-1].replace(",", "").lstrip("-+").isalnum()
    if word or (bare.endswith((".", "!")) and _FIGURE.fullmatch(bare, 0, len(bare) - 1)):
        bare = bare[:-1]
    return bare.replace(",", "") if _THOUSANDS.fullmatch(bare) else bare


def _better(first: ValueError, second: ValueError) -> ValueError:
    """The error that says more: what is wrong with a value rather than with its JSON."""
    return second if _is_syntax(first) and not _is_syntax(second) else first


def _is_syntax(error: ValueError) -> bool:
    if isinstance(error, ValidationError):
        return error.error_count() == 1 and error.errors(include_url=False)[0]["type"] == "json_invalid"
    return not isinstance(error, (DuplicateKey, Misfit))

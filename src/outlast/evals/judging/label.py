"""One label: what one person says of one item."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from outlast.data.example import unshared
from outlast.data.jsonform import content_hash, json_form
from outlast.errors import DataError, FrozenError, UsageError, brief, did_you_mean
from outlast.evals.judging.rubric import Rubric, Verdict
from outlast.modules.values import FrozenDict
from outlast.signatures.record import Record, fields_of, outputs_of


class Item:
    """What is judged: inputs and outputs of a program by name, or what it gave; frozen. Items are equal when the values
    are.

    `inputs` names the fields that went into the program; the id does not depend on it. `id` is 32 hexadecimal digits of
    blake2b over the JSON form of the fields. Raises `DataError` for values that have none.
    """

    __slots__ = ("_id", "fields", "inputs")

    fields: Mapping[str, Any]
    inputs: tuple[str, ...]

    def __init__(self, fields: Mapping[str, Any] | Record, inputs: Iterable[str] = ()) -> None:
        if isinstance(fields, Record):
            known = outputs_of(fields)
            fields = fields_of(fields)
            inputs = inputs or tuple(name for name in fields if name not in known)
        if not isinstance(fields, Mapping) or not fields:
            raise UsageError(f"an item is a mapping of inputs and outputs by field name; got {brief(fields)}")
        for name in fields:
            if type(name) is not str:
                raise DataError(f"field names are strings; got {brief(name)}")
        names = (inputs,) if isinstance(inputs, str) else tuple(inputs)
        for name in names:
            if name not in fields:
                near = did_you_mean(str(name), fields)
                raise DataError(f"the item has no input {name!r}.{near} Fields: {', '.join(fields)}.")
        object.__setattr__(self, "fields", FrozenDict(unshared(fields)))
        object.__setattr__(self, "inputs", names)
        object.__setattr__(self, "_id", "")

    @property
    def id(self) -> str:
        """The hash of the fields."""
        if not self._id:
            object.__setattr__(self, "_id", content_hash(_forms(self.fields)))
        return self._id

    @property
    def origin(self) -> str:
        """The hash of the inputs alone, of all fields where the inputs are not known: what a split keeps together."""
        return content_hash(_forms({name: self.fields[name] for name in self.inputs})) if self.inputs else self.id

    _id: str

    def __getitem__(self, name: str) -> Any:
        if name not in self.fields:
            near = did_you_mean(str(name), self.fields)
            raise KeyError(f"the item has no field {name!r}.{near} Fields: {', '.join(self.fields)}.")
        return self.fields[name]

    def __setattr__(self, name: str, value: Any) -> None:
        raise FrozenError(f"an item is a value: {name!r} cannot be assigned; make a new one")

    def __eq__(self, other: object) -> bool:
        return self.id == other.id if isinstance(other, Item) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.id)

    def __reduce__(self) -> tuple[Any, ...]:
        return Item, (dict(self.fields), self.inputs)

    def __repr__(self) -> str:
        return f"Item({', '.join(f'{name}={brief(value, 40)}' for name, value in self.fields.items())})"


def _forms(fields: Mapping[str, Any]) -> dict[str, Any]:
    forms: dict[str, Any] = {}
    for name, value in fields.items():
        try:
            forms[name] = json_form(value)
        except DataError as error:
            raise DataError(f"field {name!r}: {error}") from error
    return forms


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


@dataclass(frozen=True, slots=True)
class Label:
    """What one person says of one item: `ol.Label({"question": q, "answer": a}, "pass", rubric=tone, author="ann")`.

    In place of the mapping stands what a program gave, too.

    `value` is a verdict of the rubric; None says that the item waits for one. With a `Rubric` for `rubric` the value is
    checked and the version noted; with a name, `rubric_version` says which version it was given under. `time` is when,
    in UTC (default: now; text in ISO format is read). Raises `UsageError` for a value that is no verdict.
    """

    item: Item
    value: Verdict | None
    rubric: str
    author: str = ""
    time: datetime = field(default_factory=_now)
    note: str = ""
    rubric_version: str = ""

    def __init__(
        self,
        item: Item | Mapping[str, Any] | Record,
        value: Any = None,
        *,
        rubric: Rubric | str,
        author: str = "",
        time: datetime | str | None = None,
        note: str = "",
        rubric_version: str = "",
    ) -> None:
        if isinstance(rubric, Rubric):
            value = None if value is None else rubric.read(value)
            rubric, rubric_version = rubric.name, rubric_version or rubric.version
        for name, text in (
            ("rubric", rubric),
            ("author", author),
            ("note", note),
            ("rubric_version", rubric_version),
        ):
            if not isinstance(text, str):
                raise UsageError(f"Label: {name} is text; got {brief(text)}")
        if value is not None and not isinstance(value, str | int | float):
            raise UsageError(f"Label: a value is a text, a number or None (not yet labelled); got {brief(value)}")
        values = {
            "item": item if isinstance(item, Item) else Item(item),
            "value": value,
            "rubric": rubric,
            "author": author,
            "time": _time(time),
            "note": note,
            "rubric_version": rubric_version,
        }
        for name, held in values.items():
            object.__setattr__(self, name, held)


def _time(value: Any) -> datetime:
    if value is None or value == "":
        return _now()
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise UsageError(f"Label: a time is a date and time in ISO format; got {brief(value)}") from None
    if not isinstance(value, datetime):
        raise UsageError(f"Label: a time is a datetime or text in ISO format; got {brief(value)}")
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def replace_value(label: Label, value: Any) -> Label:
    """The label with its value in the form of the rubric."""
    if type(label.value) is type(value) and label.value == value:
        return label
    return Label(
        label.item,
        value,
        rubric=label.rubric,
        author=label.author,
        time=label.time,
        note=label.note,
        rubric_version=label.rubric_version,
    )

"""One row of data: what goes into a program and what is known about the right answer."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from outlast.data.jsonform import content_hash, json_form
from outlast.errors import DataError, FrozenError, brief, did_you_mean

_NOTHING: Mapping[str, Any] = MappingProxyType({})
_FIXED = frozenset(
    {str, int, float, bool, type(None), bytes, complex, frozenset, date, datetime, time, timedelta, Decimal}
)  # types whose values cannot change


class _Reading:
    """Reads a slot, but lets a field of the same name win: a property would not, it comes before the
    instance."""

    def __init__(self, slot: str, doc: str) -> None:
        self.slot, self.__doc__ = slot, doc

    def __get__(self, example: Example | None, owner: type) -> Any:
        return self if example is None else _READ[self.slot](example)


class Example:
    """Inputs and targets by name, frozen, with an id made from their content.

    Every field is an attribute and an item: `example.team`, `example["team"]`. A field may have any name;
    where it is called like something an example has (`id`, `inputs`, `targets`) the field wins, and
    `id_of(example)`, `inputs_of(example)` and `targets_of(example)` still reach the rest.

        >>> example = Example({"message": "charged twice"}, {"team": "billing"})
        >>> example.team, dict(example.inputs)
        ('billing', {'message': 'charged twice'})

    Two examples are equal when their content is: `id` is 32 hexadecimal digits of blake2b over the JSON form
    of both parts. Raises `DataError` when a name is not a string or is both an input and a target; the values
    need a JSON form by the time the id is read. Lists and other values that can change are copied, so that changing
    the caller's does not change the example.
    """

    __slots__ = ("__dict__", "__weakref__", "_ol_id", "_ol_inputs", "_ol_targets")

    _ol_id: str
    _ol_inputs: Mapping[str, Any]
    _ol_targets: Mapping[str, Any]

    def __init__(self, inputs: Mapping[str, Any], targets: Mapping[str, Any] = _NOTHING) -> None:
        inputs, targets = unshared(inputs), unshared(targets)
        fields = {**inputs, **targets}
        if len(fields) != len(inputs) + len(targets):
            both = sorted(set(inputs) & set(targets))
            raise DataError(f"a field is an input or a target, not both: {', '.join(map(repr, both))}")
        for name in fields:
            if type(name) is not str:
                raise DataError(f"field names are strings; got {brief(name)}")
        _SET_INPUTS(self, MappingProxyType(dict(inputs)))
        _SET_TARGETS(self, MappingProxyType(dict(targets)) if targets else _NOTHING)
        self.__dict__.update(fields)

    if TYPE_CHECKING:

        @property
        def inputs(self) -> Mapping[str, Any]:
            """What the program is called with."""
            ...

        @property
        def targets(self) -> Mapping[str, Any]:
            """What is known about the right answer."""
            ...

        @property
        def id(self) -> str:
            """The hash of the content."""
            ...

        def __getattr__(self, name: str) -> Any: ...

    else:
        inputs = _Reading("_ol_inputs", "What the program is called with.")
        targets = _Reading("_ol_targets", "What is known about the right answer.")
        id = _Reading("_ol_id", "The hash of the content.")

        def __getattr__(self, name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            raise AttributeError(_unknown(self, name), name=name, obj=self)

    def __getitem__(self, name: str) -> Any:
        try:
            return self.__dict__[name]
        except KeyError:
            raise KeyError(_unknown(self, name)) from None

    def __contains__(self, name: object) -> bool:
        return name in self.__dict__

    def __iter__(self) -> Iterator[str]:
        return iter(self.__dict__)

    def __len__(self) -> int:
        return len(self.__dict__)

    def __setattr__(self, name: str, value: Any) -> None:
        raise FrozenError(f"an Example is a value: {name!r} cannot be assigned; make a new Example instead")

    def __delattr__(self, name: str) -> None:
        raise FrozenError(f"an Example is a value: {name!r} cannot be deleted; make a new Example instead")

    def __eq__(self, other: object) -> bool:
        return id_of(self) == id_of(other) if isinstance(other, Example) else NotImplemented

    def __hash__(self) -> int:
        return hash(id_of(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return Example, (dict(inputs_of(self)), dict(targets_of(self)))

    def __repr__(self) -> str:
        def shown(values: Mapping[str, Any]) -> str:
            return "{" + ", ".join(f"{name!r}: {brief(value, 80)}" for name, value in values.items()) + "}"

        targets = targets_of(self)
        return f"Example({shown(inputs_of(self))}{', ' + shown(targets) if targets else ''})"


def unshared(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The values with copies of those that can change; the mapping itself when none can. What cannot be copied is
    shared."""
    if all(type(value) in _FIXED for value in values.values()):
        return values
    return {name: value if type(value) in _FIXED else _copied(value) for name, value in values.items()}


def _copied(value: Any) -> Any:
    try:
        return copy.deepcopy(value)
    except Exception:
        return value


def unshared_example(example: Example) -> Example:
    """An equal example whose values can be changed without changing this one; itself when none can change."""
    if all(type(value) in _FIXED for value in vars(example).values()):
        return example
    twin = Example(inputs_of(example), targets_of(example))
    _SET_ID(twin, id_of(example))
    return twin


_SET_INPUTS = Example.__dict__["_ol_inputs"].__set__
_SET_TARGETS = Example.__dict__["_ol_targets"].__set__
_SET_ID = Example.__dict__["_ol_id"].__set__


def inputs_of(example: Example) -> Mapping[str, Any]:
    """The inputs of an example, also when it has a field named `inputs`."""
    return example._ol_inputs


def targets_of(example: Example) -> Mapping[str, Any]:
    """The targets of an example, also when it has a field named `targets`."""
    return example._ol_targets


def id_of(example: Example) -> str:
    """The content hash of an example, also when it has a field named `id`. Computed once, at first use.

    Raises `DataError`, naming the field, when a value has no JSON form.
    """
    try:
        return example._ol_id
    except AttributeError:
        parts = {"inputs": _forms(inputs_of(example)), "targets": _forms(targets_of(example))}
        digest = content_hash(parts)
        _SET_ID(example, digest)
        return digest


def input_hash(example: Example) -> str:
    """The hash of the inputs alone: the same for rows that differ only in what is known about the answer."""
    return content_hash(_forms(inputs_of(example)))


def as_json(example: Example) -> dict[str, Any]:
    """The form in which examples are written to files: id, inputs and targets."""
    return {
        "id": id_of(example),
        "inputs": _forms(inputs_of(example)),
        "targets": _forms(targets_of(example)),
    }


def _forms(values: Mapping[str, Any]) -> dict[str, Any]:
    forms: dict[str, Any] = {}
    for name, value in values.items():
        try:
            forms[name] = json_form(value)
        except DataError as error:
            raise DataError(f"field {name!r}: {error}") from error
    return forms


_READ = {"_ol_inputs": inputs_of, "_ol_targets": targets_of, "_ol_id": id_of}


def _unknown(example: Example, name: object) -> str:
    inputs, targets = inputs_of(example), targets_of(example)
    near = did_you_mean(str(name), example.__dict__)
    return (
        f"the example has no field {name!r}.{near} Inputs: {', '.join(inputs) or 'none'}; "
        f"targets: {', '.join(targets) or 'none'}."
    )

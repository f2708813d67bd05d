"""One field of a signature: its name, type, constraints and description."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin

import annotated_types as at

from outlast.errors import SignatureError, brief

Kind = Literal["input", "output"]


class _Required:
    """The default of a field that has none."""

    _instance: _Required | None = None

    def __new__(cls) -> _Required:
        cls._instance = cls._instance or super().__new__(cls)
        return cls._instance

    def __repr__(self) -> str:
        return "REQUIRED"

    def __reduce__(self) -> tuple[type[_Required], tuple[()]]:
        return _Required, ()


REQUIRED = _Required()


@dataclass(frozen=True, slots=True, eq=True)
class Field:
    """A field of a signature. `type` carries its constraints as `Annotated`; `default` is `REQUIRED` or a value."""

    name: str
    kind: Kind
    type: Any
    desc: str = ""
    default: Any = REQUIRED

    def __hash__(self) -> int:
        return hash((self.name, self.kind, self.desc))

    @property
    def required(self) -> bool:
        """True when a value must be given."""
        return self.default is REQUIRED


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """What `input()` and `output()` return: everything about a field but its name and type."""

    kind: Kind
    desc: str = ""
    default: Any = REQUIRED
    constraints: tuple[Any, ...] = ()

    def field(self, name: str, annotation: Any) -> Field:
        """The field that this describes."""
        check_name(name)
        desc, annotation = _split_description(annotation, self.desc)
        if self.constraints:
            annotation = Annotated[annotation, *self.constraints]
        return Field(name, self.kind, annotation, desc, self.default)


def check_name(name: str) -> None:
    """Raise `SignatureError` when `name` cannot be a field."""
    if not isinstance(name, str) or not name.isidentifier() or name.startswith("_"):
        raise SignatureError(
            f"a field name is a Python identifier that does not start with '_'; got {brief(name)}"
        )


def _split_description(annotation: Any, desc: str) -> tuple[str, Any]:
    """Take plain strings and specs out of `Annotated[T, ...]`; a string there is the description."""
    if get_origin(annotation) is not Annotated:
        return desc, annotation
    base, *metadata = get_args(annotation)
    kept: list[Any] = []
    for item in metadata:
        if isinstance(item, str):
            desc = desc or item
        elif isinstance(item, FieldSpec):
            desc = desc or item.desc
            kept.extend(item.constraints)
        else:
            kept.append(item)
    return desc, (Annotated[base, *kept] if kept else base)


def _constraints(
    *,
    ge: float | None,
    gt: float | None,
    le: float | None,
    lt: float | None,
    multiple_of: float | None,
    min_length: int | None,
    max_length: int | None,
    pattern: str | None,
) -> tuple[Any, ...]:
    found: list[Any] = []
    if ge is not None:
        found.append(at.Ge(ge))
    if gt is not None:
        found.append(at.Gt(gt))
    if le is not None:
        found.append(at.Le(le))
    if lt is not None:
        found.append(at.Lt(lt))
    if multiple_of is not None:
        found.append(at.MultipleOf(multiple_of))
    if min_length is not None:
        found.append(at.MinLen(min_length))
    if max_length is not None:
        found.append(at.MaxLen(max_length))
    if pattern is not None:
        from pydantic import StringConstraints

        found.append(StringConstraints(pattern=pattern))
    return tuple(found)


def input(
    *,
    desc: str = "",
    default: Any = REQUIRED,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    multiple_of: float | None = None,
    min_length: int | None = None,
    max_length: int | None = None,
    pattern: str | None = None,
) -> Any:
    """Declare an input field of a signature class.

    `desc` is shown to the model. With a `default` the input may be left out. The constraints are pydantic's and are
    enforced on every call.
    """
    found = _constraints(
        ge=ge,
        gt=gt,
        le=le,
        lt=lt,
        multiple_of=multiple_of,
        min_length=min_length,
        max_length=max_length,
        pattern=pattern,
    )
    return FieldSpec("input", desc, default, found)


def output(
    *,
    desc: str = "",
    default: Any = REQUIRED,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    multiple_of: float | None = None,
    min_length: int | None = None,
    max_length: int | None = None,
    pattern: str | None = None,
    init: Literal[False] = False,
) -> Any:
    """Declare an output field of a signature class.

    `desc` is shown to the model. With a `default`, a reply that leaves the field out is not an error. The
    constraints are told to the model and enforced when its reply is parsed. `init` exists for type checkers.
    """
    del init
    found = _constraints(
        ge=ge,
        gt=gt,
        le=le,
        lt=lt,
        multiple_of=multiple_of,
        min_length=min_length,
        max_length=max_length,
        pattern=pattern,
    )
    return FieldSpec("output", desc, default, found)

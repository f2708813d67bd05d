"""One field of a signature: its name, type, constraints and description."""

from __future__ import annotations

import copy
import keyword
import types
from dataclasses import dataclass
from typing import Annotated, Any, ForwardRef, Literal, Union, get_args, get_origin

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

    def __deepcopy__(self, memo: Any) -> _Required:
        return self


REQUIRED = _Required()
_ATOMS = (str, int, float, bool, bytes, type(None), _Required)


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """A field of a signature. `type` carries its constraints as `Annotated`; `default` is `REQUIRED` or a value.

    Two fields are equal when they make the same prompt and check the same: `Optional[str]` and `str | None` are
    one type, `Literal["a", "b"]` and `Literal["b", "a"]` are two.
    """

    name: str
    kind: Kind
    type: Any
    desc: str = ""
    default: Any = REQUIRED

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Field):
            return NotImplemented
        return self is other or (
            (self.name, self.kind, self.desc) == (other.name, other.kind, other.desc)
            and _same(self.default, other.default)
            and _same(canonical_type(self.type), canonical_type(other.type))
        )

    def __hash__(self) -> int:
        return hash((self.name, self.kind, self.desc))

    @property
    def required(self) -> bool:
        """True when a value must be given."""
        return self.default is REQUIRED

    def fresh_default(self) -> Any:
        """The default, copied when it could be changed, so that no two calls share it."""
        if type(self.default) in _ATOMS:
            return self.default
        try:
            return copy.deepcopy(self.default)
        except Exception:  # a handle of the user's that cannot be copied is meant to be shared
            return self.default


def canonical_type(annotation: Any) -> Any:
    """A type in the one form that all its spellings share, with the order of its parts kept."""
    origin = get_origin(annotation)
    arguments = get_args(annotation)
    if annotation is None:
        return type(None)
    if origin is Annotated:
        return ("Annotated", canonical_type(arguments[0]), *arguments[1:])
    if origin is Literal:
        return ("Literal", *((type(value), value) for value in arguments))
    if origin in (Union, types.UnionType):
        return ("Union", *(canonical_type(part) for part in arguments))
    if origin is not None:
        return (origin, *(canonical_type(part) for part in arguments)) if arguments else origin
    return annotation


def unresolved_name(annotation: Any) -> str | None:
    """A name inside a type that stands for a type still to be looked up, or None.

    pydantic would look such a name up in whatever frame calls it.
    """
    if isinstance(annotation, str):
        return annotation
    if isinstance(annotation, ForwardRef):
        return annotation.__forward_arg__
    origin = get_origin(annotation)
    arguments = () if origin is Literal else get_args(annotation)
    found = (unresolved_name(part) for part in (arguments[:1] if origin is Annotated else arguments))
    return next((name for name in found if name is not None), None)


def _same(one: Any, other: Any) -> bool:
    """Equality that tells 1 from True and never fails for values with an `==` of their own kind."""
    if one is other:
        return True
    try:
        return type(one) is type(other) and bool(one == other)
    except Exception:  # numpy arrays and the like have no single truth
        return False


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
        if not isinstance(self.desc, str):
            raise SignatureError(f"the description of field {name!r} is text; got {brief(self.desc)}")
        desc, annotation = _split_description(annotation, self.desc)
        if self.constraints:
            annotation = Annotated[annotation, *self.constraints]
        return Field(name, self.kind, annotation, desc, self.default)


def check_name(name: object) -> None:
    """Raise `SignatureError` when `name` cannot be a field."""
    if not isinstance(name, str) or not name.isidentifier() or name.startswith("_") or keyword.iskeyword(name):
        raise SignatureError(
            f"a field name is a Python identifier, no keyword, that does not start with '_'; got {brief(name)}"
        )


def _split_description(annotation: Any, desc: str) -> tuple[str, Any]:
    """Take plain strings and specs out of `Annotated[T, ...]`; a string there is the description.

    So is the `description` of pydantic's `Field(...)`.
    """
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
            told = getattr(item, "description", None)
            desc = desc or (told if isinstance(told, str) else "")
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

    `desc` is shown to the model. With a `default` the input may be left out; a mutable default is copied for each
    call. The constraints are pydantic's and are enforced on every call.
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

"""The value of a signature: its description and fields, what identifies it, and what makes it sound."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast, get_origin

from outlast.errors import SignatureError
from outlast.signatures.field import REQUIRED, Field, check_name, unresolved_name

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


@dataclass(frozen=True, slots=True)
class Contract:
    """The value of a signature: what decides equality, hash and the prompt."""

    description: str
    fields: tuple[Field, ...]


class Result(Protocol):
    """Builds what a call returns from its outputs; `names` are those that it needs."""

    @property
    def names(self) -> tuple[str, ...]: ...

    def __call__(self, values: Mapping[str, Any], /) -> Any: ...


def make_contract(name: str, description: str, fields: list[Field]) -> Contract:
    """A checked contract: at least one output, unique names, inputs before outputs."""
    check_fields(name, fields)
    return contract_of(inspect.cleandoc(description) if description else "", fields)


def check_fields(name: str, fields: Iterable[Field]) -> None:
    """Raise `SignatureError` for a bad or repeated field name, or when there is no output."""
    seen: set[str] = set()
    kinds: set[str] = set()
    for f in fields:
        check_name(f.name)
        if f.name in seen:
            raise SignatureError(f"signature {name} has two fields named {f.name!r}")
        unresolved = unresolved_name(f.type)
        if unresolved is not None:
            raise SignatureError(
                f"field {f.name!r} of signature {name} has the type name {unresolved!r} where a type belongs; give the "
                f"type itself"
            )
        seen.add(f.name)
        kinds.add(f.kind)
    if "output" not in kinds:
        raise SignatureError(f"signature {name} has no output field; a signature needs at least one")


def contract_of(description: str, fields: Iterable[Field]) -> Contract:
    """The contract of checked fields, inputs first; without a description it gets one made from their names."""
    ordered = tuple(sorted(fields, key=lambda f: f.kind != "input"))
    return Contract(description or _default_description(ordered), ordered)


def told(contract: Contract) -> str:
    """The description that somebody wrote, "" when it is the one made from the field names."""
    return "" if contract.description == _default_description(contract.fields) else contract.description


def _default_description(fields: tuple[Field, ...]) -> str:
    given = ", ".join(f.name for f in fields if f.kind == "input")
    wanted = ", ".join(f.name for f in fields if f.kind == "output")
    return f"Given {given}, give {wanted}." if given else f"Give {wanted}."


def type_name(annotation: Any) -> str:
    """A short, stable spelling of a type."""
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return annotation.__name__
    return _ADDRESS.sub("", repr(annotation)).replace("typing.", "")


def field_key(field: Field) -> str:
    """What identifies a field across processes: kind, name, JSON schema where there is one, and description."""
    from outlast.signatures.codec import schema_of

    schema = schema_of(field.type)
    shape = type_name(field.type) if schema is None else _ADDRESS.sub("", repr(schema))
    return f"{field.kind} {field.name}: {shape}{_default_key(field.default)} | {field.desc}"


def _default_key(default: Any) -> str:
    if default is REQUIRED:
        return ""
    if isinstance(default, (set, frozenset)):  # their order changes from process to process
        return f" = {sorted(repr(item) for item in cast('frozenset[Any]', default))}"
    return f" = {_ADDRESS.sub('', repr(default))}"

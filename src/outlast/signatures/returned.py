"""What a typed function returns: the output fields of its return type, and how the value is built from them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any, Optional, get_args, get_origin, get_type_hints

from pydantic import BaseModel, RootModel
from pydantic.fields import FieldInfo

from outlast.errors import SignatureError
from outlast.signatures.contract import Result
from outlast.signatures.field import REQUIRED, Field, FieldSpec
from outlast.signatures.signature import SignatureType
from outlast.types.shown import is_read


@dataclasses.dataclass(frozen=True, slots=True)
class Built:
    """Builds a structured value from its fields.

    `aliases` are the keywords that the type wants where they are not the field names; `optional` names are left
    out when they are None.
    """

    kind: Any
    names: tuple[str, ...]
    aliases: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])
    optional: frozenset[str] = frozenset()

    def __call__(self, values: Mapping[str, Any], /) -> Any:
        """The value; raises what its type raises for values that do not go together."""
        return self.kind(
            **{
                self.aliases.get(name, name): values[name]
                for name in self.names
                if not (name in self.optional and values[name] is None)
            }
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Taken:
    """Takes the value of one output as it is."""

    name: str = "answer"

    @property
    def names(self) -> tuple[str, ...]:
        """The one name."""
        return (self.name,)

    def __call__(self, values: Mapping[str, Any], /) -> Any:
        """The value."""
        return values[self.name]


def hints_of(holder: Any, subject: str) -> dict[str, Any]:
    """The types of a function's parameters or a class's members; raises `SignatureError` for unknown names."""
    try:
        return get_type_hints(holder, include_extras=True)
    except (NameError, AttributeError, SyntaxError, TypeError) as error:
        raise SignatureError(
            f"{subject}: {error}. Types are looked up in the module that defines it; a type defined inside a function "
            f"is out of reach under `from __future__ import annotations`."
        ) from error


def outputs_of_type(annotation: Any) -> tuple[list[Field], Result]:
    """The output fields of a return type and what builds the returned value from them.

    A model, dataclass, typed dict or named tuple becomes one field for each of its own; any other type, and a class
    that reads itself from text, is one field named "answer".
    """
    if isinstance(annotation, SignatureType):
        raise SignatureError("a function returns a value, not a signature")
    if hasattr(annotation, "__optional_keys__"):  # typing's typed dicts and those of typing_extensions
        return _typed_dict(annotation)
    if isinstance(annotation, type) and get_origin(annotation) is None and not is_read(annotation):
        kind: Any = annotation
        members = getattr(kind, "model_fields", None) or getattr(kind, "__pydantic_fields__", None)
        if members and not _is_kind(kind, RootModel):
            return _model(kind, members)
        found = _dataclass(kind) if hasattr(kind, "__dataclass_fields__") else _named_tuple(kind)
        if found:
            return found, Built(kind, tuple(f.name for f in found))
    return [FieldSpec("output").field("answer", annotation)], Taken()


def _is_kind(kind: Any, parent: Any) -> bool:
    return issubclass(kind, parent)


def _model(kind: type[Any], members: Mapping[str, FieldInfo]) -> tuple[list[Field], Result]:
    fields: list[Field] = []
    aliases: dict[str, str] = {}
    for name, info in members.items():
        if info.init is False:
            continue
        annotation: Any = Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation
        default = REQUIRED if info.is_required() else _model_default(info)
        fields.append(FieldSpec("output", info.description or "", default).field(name, annotation))
        alias = info.validation_alias or info.alias
        if isinstance(alias, str) and alias != name and issubclass(kind, BaseModel):
            aliases[name] = alias
    return fields, Built(kind, tuple(f.name for f in fields), aliases)


def _model_default(info: FieldInfo) -> Any:
    if info.default_factory_takes_validated_data:
        return REQUIRED
    return info.get_default(call_default_factory=True)


def _dataclass(kind: Any) -> list[Field]:
    hints = hints_of(kind, f"dataclass {kind.__name__!r}")
    return [
        FieldSpec("output", default=_dataclass_default(f)).field(f.name, hints[f.name])
        for f in dataclasses.fields(kind)
        if f.init
    ]


def _dataclass_default(field: dataclasses.Field[Any]) -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    return REQUIRED if field.default_factory is dataclasses.MISSING else field.default_factory()


def _named_tuple(kind: Any) -> list[Field]:
    if not (_is_kind(kind, tuple) and hasattr(kind, "_fields")):
        return []
    hints = hints_of(kind, f"named tuple {kind.__name__!r}")
    defaults: dict[str, Any] = kind._field_defaults
    return [
        FieldSpec("output", default=defaults.get(name, REQUIRED)).field(name, hints.get(name, str))
        for name in kind._fields
    ]


def _typed_dict(kind: Any) -> tuple[list[Field], Result]:
    hints = hints_of(kind, f"typed dict {kind.__name__!r}")
    optional: set[str] = set()
    fields: list[Field] = []
    for name, hint in hints.items():
        bare, needed = _qualified(hint, name not in kind.__optional_keys__)
        if needed:
            fields.append(FieldSpec("output").field(name, bare))
        else:
            optional.add(name)
            fields.append(FieldSpec("output", default=None).field(name, Optional[bare]))  # noqa: UP045
    return fields, Built(kind, tuple(hints), optional=frozenset(optional))


def _qualified(hint: Any, needed: bool) -> tuple[Any, bool]:
    """A member's type without Required[...] or NotRequired[...], and whether it must be there.

    Under `from __future__ import annotations` the class itself does not know which of its keys are optional.
    """
    while (qualifier := getattr(get_origin(hint), "_name", "")) in ("Required", "NotRequired", "ReadOnly"):
        needed = qualifier == "Required" or (needed and qualifier != "NotRequired")
        hint = get_args(hint)[0]
    return hint, needed

"""Signatures: the typed contract of one function that a language model implements. A value, never tuned."""

from __future__ import annotations

import copyreg
import hashlib
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar, dataclass_transform, get_origin, get_type_hints

from outlast.errors import FrozenError, InputError, SignatureError, brief, did_you_mean
from outlast.signatures.field import REQUIRED, Field, FieldSpec, check_name, input, output
from outlast.signatures.record import Prediction, Record

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Contract:
    """The value of a signature: what decides equality, hash and the prompt."""

    description: str
    fields: tuple[Field, ...]


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(input, output))
class SignatureType(type):
    """The type of signature classes. Everything a signature can do lives here, so that field names stay free."""

    __contract__: Contract
    __result__: Callable[[dict[str, Any]], Any] | None
    __positional__: bool

    def __new__(
        meta, name: str, bases: tuple[type, ...], namespace: dict[str, Any], contract: Contract | None = None
    ) -> SignatureType:
        if contract is not None:
            namespace["__contract__"] = contract
            return super().__new__(meta, name, bases, namespace)
        specs = {key: value for key, value in namespace.items() if isinstance(value, FieldSpec)}
        annotated = [key for key in namespace.get("__annotations__", {}) if not key.startswith("__")]
        plain = {key: namespace[key] for key in annotated if key in namespace and key not in specs}
        if plain:
            key = next(iter(plain))
            raise SignatureError(
                f"field {key!r} of signature {name} has the bare value {brief(plain[key])}; say "
                f"ol.input(default=...) or ol.output(default=...)"
            )
        clean = {key: value for key, value in namespace.items() if key not in specs}
        cls = super().__new__(meta, name, bases, clean)
        inherited = next((base for base in bases if isinstance(base, SignatureType)), None)
        found = {} if inherited is None else {f.name: f for f in inherited.__contract__.fields}
        hints = _hints(cls, annotated) if annotated else {}
        for key in annotated:
            if get_origin(hints[key]) is ClassVar or hints[key] is ClassVar:
                continue
            if key not in specs:
                raise SignatureError(
                    f"field {key!r} of signature {name} is neither input nor output; write "
                    f"`{key}: ... = ol.input()` or `= ol.output()`"
                )
            found[key] = specs[key].field(key, hints[key])
        for key in specs:
            if key not in annotated:
                raise SignatureError(
                    f"field {key!r} of signature {name} has no type; write `{key}: str = ...`"
                )
        doc = namespace.get("__doc__")
        inherited_text = inherited.__contract__.description if inherited is not None else ""
        text = inspect.cleandoc(doc) if doc else inherited_text
        if inherited is not None:
            _check(name, found.values())
            same_text = text if doc or set(found) == {f.name for f in inherited.__contract__.fields} else ""
            type.__setattr__(cls, "__contract__", _contract(same_text or text, found.values()))
        else:
            type.__setattr__(cls, "__contract__", Contract("", ()))
        return cls

    def __init__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(name, bases, namespace)

    def __setattr__(cls, name: str, value: Any) -> None:
        if name.startswith("__") and name.endswith("__"):
            type.__setattr__(cls, name, value)
            return
        raise FrozenError(
            f"signature {cls.__name__} is a value: {name!r} cannot be assigned. Use with_description, "
            f"with_updated_field, append, insert or delete, which give a new signature."
        )

    def __eq__(cls, other: object) -> bool:
        return isinstance(other, SignatureType) and cls.__contract__ == other.__contract__

    def __hash__(cls) -> int:
        return hash(cls.__contract__)

    def __repr__(cls) -> str:
        return f"<signature {cls.__name__}: {cls.spelled}>"

    @property
    def description(cls) -> str:
        """What the step does, in plain language."""
        return cls.__contract__.description

    @property
    def fields(cls) -> Mapping[str, Field]:
        """All fields by name, inputs first, in order."""
        return _views(cls)[0]

    @property
    def inputs(cls) -> Mapping[str, Field]:
        """The input fields by name, in order."""
        return _views(cls)[1]

    @property
    def outputs(cls) -> Mapping[str, Field]:
        """The output fields by name, in order."""
        return _views(cls)[2]

    @property
    def spelled(cls) -> str:
        """The signature in its string form, types shortened."""

        def side(fields: Mapping[str, Field]) -> str:
            return ", ".join(f"{f.name}: {type_name(f.type)}" for f in fields.values())

        return f"{side(cls.inputs)} -> {side(cls.outputs)}"

    @property
    def key(cls) -> str:
        """A hash of the contract, equal in every process: 16 hex digits."""
        text = repr((cls.description, [field_key(f) for f in cls.fields.values()]))
        return hashlib.blake2b(text.encode(errors="backslashreplace"), digest_size=8).hexdigest()

    def with_description(cls: type[S], text: str) -> type[S]:
        """The same fields under another description."""
        return _edited(cls, description=inspect.cleandoc(text))

    def with_field(cls: type[S], name: str, type: Any, spec: Any) -> type[S]:
        """With a field added at the end of its kind, or replaced in its place when it exists."""
        fields = list(_of(cls).fields.values())
        new = _spec(spec).field(name, type)
        if name in _of(cls).fields:
            return _edited(cls, fields=[new if f.name == name else f for f in fields])
        return _edited(cls, fields=[*fields, new])

    def append(cls: type[S], name: str, type: Any, spec: Any) -> type[S]:
        """With a new last input or output, as `spec` (`ol.input()` or `ol.output()`) says."""
        kind = _spec(spec).kind
        return _insert(cls, sum(f.kind == kind for f in _of(cls).fields.values()), name, type, spec)

    def prepend(cls: type[S], name: str, type: Any, spec: Any) -> type[S]:
        """With a new first input or output, as `spec` says."""
        return _insert(cls, 0, name, type, spec)

    def insert(cls: type[S], index: int, name: str, type: Any, spec: Any) -> type[S]:
        """With a new field at position `index` among the fields of its kind; negative counts from the end."""
        return _insert(cls, index, name, type, spec)

    def delete(cls: type[S], name: str) -> type[S]:
        """Without one field."""
        _field(cls, name)
        return _edited(cls, fields=[f for f in _of(cls).fields.values() if f.name != name])

    def with_updated_field(
        cls: type[S], name: str, *, desc: str | None = None, type: Any = None, default: Any = None
    ) -> type[S]:
        """With another description, type or default of one field. None leaves a thing as it is."""
        old = _field(cls, name)
        new = replace(
            old,
            desc=old.desc if desc is None else desc,
            type=old.type if type is None else type,
            default=old.default if default is None else default,
        )
        return _edited(cls, fields=[new if f.name == name else f for f in _of(cls).fields.values()])


class Signature(Record, metaclass=SignatureType):
    """Base of signature classes.

        class Triage(ol.Signature):
            \"\"\"Route a customer message to the team that can resolve it.\"\"\"
            message: str = ol.input()
            team: Literal["billing", "cards"] = ol.output()

    The docstring is the description. The class is the signature (compare, edit and inspect it through
    `Triage.fields`, `Triage.with_description(...)`, ...); instances are its results: `out.team` has its type.
    """

    __slots__ = ()
    __result__ = None
    __positional__ = False

    def __init__(self, /, **inputs: Any) -> None:
        cls = type(self)
        values = bind_defaults(cls, inputs)
        self.__dict__.update(values)
        self._meta = (None, None)


def dynamic(
    name: str,
    contract: Contract,
    *,
    result: Callable[[dict[str, Any]], Any] | None = None,
    positional: bool = False,
) -> Any:
    """A signature class made at run time; its results are `Prediction`s too."""
    namespace: dict[str, Any] = {"__module__": __name__, "__result__": result, "__positional__": positional}
    return SignatureType(name, (Signature, Prediction), namespace, contract=contract)


def make_contract(name: str, description: str, fields: list[Field]) -> Contract:
    """A checked contract: at least one output, unique names, inputs before outputs."""
    _check(name, fields)
    return _contract(inspect.cleandoc(description) if description else "", fields)


def bind_defaults(signature: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Inputs in signature order with defaults filled in; raises `InputError` for a missing or unknown name."""
    fields: Mapping[str, Field] = signature.inputs
    for name in inputs:
        if name not in fields:
            raise InputError(
                f"{signature.__name__} has no input {name!r}.{did_you_mean(name, fields)} "
                f"Inputs: {', '.join(fields) or 'none'}."
            )
    values: dict[str, Any] = {}
    for name, f in fields.items():
        if name in inputs:
            values[name] = inputs[name]
        elif f.default is not REQUIRED:
            values[name] = f.default
        else:
            raise InputError(
                f"{signature.__name__} needs the input {name!r}, which was not given. "
                f"Inputs: {', '.join(fields)}; given: {', '.join(inputs) or 'none'}."
            )
    return values


def type_name(annotation: Any) -> str:
    """A short, stable spelling of a type."""
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return annotation.__name__
    return repr(annotation).replace("typing.", "")


def field_key(field: Field) -> str:
    """What identifies a field across processes: kind, name, JSON schema where there is one, and description."""
    from outlast.signatures.codec import schema_of

    schema = schema_of(field.type)
    shape = type_name(field.type) if schema is None else repr(schema)
    default = "" if field.default is REQUIRED else f" = {field.default!r}"
    return f"{field.kind} {field.name}: {shape}{default} | {field.desc}"


def _of(cls: Any) -> SignatureType:
    return cls


def _hints(cls: type, annotated: list[str]) -> dict[str, Any]:
    """Annotations as types. Names are looked up in the class's module, never in caller frames."""
    own = {key: cls.__dict__["__annotations__"][key] for key in annotated}
    holder = type(cls.__name__, (), {"__annotations__": own, "__module__": cls.__module__})
    module = sys.modules.get(cls.__module__)
    try:
        return get_type_hints(holder, vars(module) if module else {}, {}, include_extras=True)
    except NameError as error:
        raise SignatureError(
            f"signature {cls.__name__}: {error}. Types are looked up in the module that defines the class; a type "
            f"defined inside a function is out of reach under `from __future__ import annotations`."
        ) from error


def _views(cls: SignatureType) -> tuple[Mapping[str, Field], Mapping[str, Field], Mapping[str, Field]]:
    views = cls.__dict__.get("__views__")
    if views is None:
        fields = cls.__contract__.fields
        views = (
            MappingProxyType({f.name: f for f in fields}),
            MappingProxyType({f.name: f for f in fields if f.kind == "input"}),
            MappingProxyType({f.name: f for f in fields if f.kind == "output"}),
        )
        type.__setattr__(cls, "__views__", views)
    return views


def _spec(spec: Any) -> FieldSpec:
    if isinstance(spec, FieldSpec):
        return spec
    raise SignatureError(f"a field is described by ol.input(...) or ol.output(...); got {brief(spec)}")


def _field(cls: Any, name: str) -> Field:
    fields = _of(cls).fields
    if name not in fields:
        raise SignatureError(
            f"signature {cls.__name__} has no field {name!r}.{did_you_mean(name, fields)} Fields: {', '.join(fields)}."
        )
    return fields[name]


def _insert(cls: type[S], index: int, name: str, annotation: Any, spec: Any) -> type[S]:
    new = _spec(spec).field(name, annotation)
    if name in _of(cls).fields:
        raise SignatureError(f"signature {cls.__name__} already has a field {name!r}; use with_updated_field")
    same = [f for f in _of(cls).fields.values() if f.kind == new.kind]
    others = [f for f in _of(cls).fields.values() if f.kind != new.kind]
    same.insert(index, new)
    return _edited(cls, fields=[*same, *others])


def _edited(cls: type[S], *, description: str | None = None, fields: list[Field] | None = None) -> type[S]:
    old = _of(cls).__contract__
    if fields is None:
        contract = Contract(description if description is not None else old.description, old.fields)
    else:
        _check(cls.__name__, fields)
        kept = "" if old.description == _default_description(old.fields) else old.description
        contract = _contract(kept, fields)
    namespace = {"__module__": cls.__module__, "__doc__": contract.description}
    new: Any = SignatureType(cls.__name__, (cls,), namespace, contract=contract)
    return new


def _check(name: str, fields: Any) -> None:
    seen: set[str] = set()
    kinds: set[str] = set()
    for f in fields:
        check_name(f.name)
        if f.name in seen:
            raise SignatureError(f"signature {name} has two fields named {f.name!r}")
        seen.add(f.name)
        kinds.add(f.kind)
    if "output" not in kinds:
        raise SignatureError(f"signature {name} has no output field; a signature needs at least one")


def _contract(description: str, fields: Any) -> Contract:
    ordered = tuple(sorted(fields, key=lambda f: f.kind != "input"))
    return Contract(description or _default_description(ordered), ordered)


def _default_description(fields: tuple[Field, ...]) -> str:
    given = ", ".join(f.name for f in fields if f.kind == "input")
    wanted = ", ".join(f.name for f in fields if f.kind == "output")
    return f"Given {given}, give {wanted}." if given else f"Give {wanted}."


def _reduce(cls: SignatureType) -> Any:
    """Pickle by name where the name leads back here, by value otherwise."""
    found: Any = sys.modules.get(cls.__module__)
    for part in cls.__qualname__.split("."):
        found = getattr(found, part, None)
    if found is cls:
        return cls.__qualname__
    return _rebuild, (cls.__name__, cls.__contract__, cls.__result__, cls.__positional__)


def _rebuild(name: str, contract: Contract, result: Any, positional: bool) -> Any:
    return dynamic(name, contract, result=result, positional=positional)


copyreg.pickle(SignatureType, _reduce)  # pyright: ignore[reportArgumentType]

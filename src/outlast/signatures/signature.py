"""Signatures: the typed contract of one function that a language model implements. A value, never tuned."""

from __future__ import annotations

import copyreg
import hashlib
import inspect
import sys
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar, dataclass_transform, get_origin, get_type_hints

from outlast.errors import FrozenError, InputError, SignatureError, brief, did_you_mean
from outlast.signatures.contract import Contract, Result, check_fields, contract_of, field_key, told, type_name
from outlast.signatures.field import REQUIRED, Field, FieldSpec, input, output
from outlast.signatures.record import Prediction, Record, fill
from outlast.signatures.rules import (
    Rules,
    added_rules,
    declared_rules,
    dropped_rules,
    fitted_rules,
    is_rule,
    refuse_needed,
)

S = TypeVar("S")

KEEP: Any = object()  # "as it is", where None is a value of its own


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(input, output))
class SignatureType(type):
    """The type of signature classes. Everything a signature can do lives here, so that field names stay free."""

    __contract__: Contract
    __checks__: Rules
    __result__: Result | None
    __positional__: bool

    def __new__(
        cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], contract: Contract | None = None
    ) -> SignatureType:
        specs = {key: value for key, value in namespace.items() if isinstance(value, FieldSpec)}
        made = super().__new__(cls, name, bases, {key: value for key, value in namespace.items() if key not in specs})
        if contract is None and any(isinstance(base, SignatureType) for base in bases):
            contract = _declared(made, specs, namespace.get("__doc__"))
            parents = [base.__checks__ for base in reversed(bases) if isinstance(base, SignatureType)]
            type.__setattr__(made, "__checks__", declared_rules(made, parents, _by_name(contract)))
        type.__setattr__(made, "__contract__", contract or Contract("", ()))
        return made

    def __init__(
        cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], contract: Contract | None = None
    ) -> None:
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
        if not isinstance(other, SignatureType):
            return False
        return cls.__contract__ == other.__contract__ and cls.__checks__ == other.__checks__

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
    def checks(cls) -> Rules:
        """The checks on the values of these fields, in order."""
        return cls.__checks__

    @property
    def spelled(cls) -> str:
        """The signature in its string form, types shortened."""

        def side(fields: Mapping[str, Field]) -> str:
            return ", ".join(f"{f.name}: {type_name(f.type)}" for f in fields.values())

        return f"{side(cls.inputs)} -> {side(cls.outputs)}"

    @property
    def key(cls) -> str:
        """A hash of the contract, equal in every process: 16 hex digits. Checks are no part of it, as of no prompt."""
        found: str | None = cls.__dict__.get("__key__")
        if found is None:
            text = repr((cls.description, [field_key(f) for f in cls.fields.values()]))
            found = hashlib.blake2b(text.encode(errors="backslashreplace"), digest_size=8).hexdigest()
            type.__setattr__(cls, "__key__", found)
        return found

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
        """Without one field, which no check may need."""
        _field(cls, name)
        refuse_needed(_of(cls).__checks__, name, cls.__name__)
        return _edited(cls, fields=[f for f in _of(cls).fields.values() if f.name != name])

    def with_updated_field(
        cls: type[S], name: str, *, desc: str = KEEP, type: Any = KEEP, default: Any = KEEP
    ) -> type[S]:
        """With another description, type or default of one field; what is not given stays.

        `default=REQUIRED` takes a default away.
        """
        old = _field(cls, name)
        new = FieldSpec(
            old.kind,
            old.desc if desc is KEEP else desc,
            old.default if default is KEEP else default,
        ).field(name, old.type if type is KEEP else type)
        return _edited(cls, fields=[new if f.name == name else f for f in _of(cls).fields.values()])

    def reordered(cls: type[S], names: Iterable[str]) -> type[S]:
        """With its outputs in this order, which names each of them once; checks and types stay. Raises
        `SignatureError`."""
        wanted = list(names)
        if sorted(wanted) != sorted(_of(cls).outputs):
            raise SignatureError(
                f"reordered(...) names each output of {cls.__name__} once: {', '.join(_of(cls).outputs)}; got "
                f"{brief(wanted)}"
            )
        return _edited(cls, fields=[*_of(cls).inputs.values(), *(_of(cls).outputs[name] for name in wanted)])

    def with_checks(cls: type[S], *checks: Any) -> type[S]:
        """With these checks too; one with the name of an old one replaces it. Raises `SignatureError` for a check that
        needs a field which is not there, or whose policy the fields do not allow."""
        rules = added_rules(_of(cls).__checks__, checks, cls.__name__)
        return _edited(cls, checks=fitted_rules(cls.__name__, rules, _of(cls).fields))

    def without_checks(cls: type[S], *names: str) -> type[S]:
        """Without the checks of these names; without any when none is named."""
        old = _of(cls).__checks__
        return _edited(cls, checks=dropped_rules(old, names or [rule.name for rule in old], cls.__name__))


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
    __checks__ = ()
    __result__ = None
    __positional__ = False

    def __init__(self, /, **inputs: Any) -> None:
        fill(self, bind_defaults(type(self), inputs))


def dynamic(
    name: str,
    contract: Contract,
    *,
    result: Result | None = None,
    positional: bool = False,
) -> Any:
    """A signature class made at run time; its results are `Prediction`s too."""
    return _subclass(name, __name__, contract, (Signature, Prediction), result, positional)


def without_field(signature: Any, name: str) -> Any:
    """A signature without one field and without the checks that need it: for helper steps, which have less to see."""
    needing = [rule.name for rule in signature.__checks__ if name in rule.needs]
    return (signature.without_checks(*needing) if needing else signature).delete(name)


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
            values[name] = f.fresh_default()
        else:
            raise InputError(
                f"{signature.__name__} needs the input {name!r}, which was not given. "
                f"Inputs: {', '.join(fields)}; given: {', '.join(inputs) or 'none'}."
            )
    return values


def _of(cls: Any) -> SignatureType:
    return cls


def _declared(cls: SignatureType, specs: Mapping[str, FieldSpec], doc: str | None) -> Contract:
    """The contract that a class statement declares: what it inherits, and its own fields and docstring."""
    parents = [base for base in cls.__bases__ if isinstance(base, SignatureType)]
    found: dict[str, Field] = {}
    for parent in reversed(parents):
        found.update({f.name: f for f in parent.__contract__.fields})
    found.update(_own_fields(cls, specs))
    check_fields(cls.__name__, found.values())
    for name in found:
        if any(isinstance(vars(base).get(name), property) for base in cls.__mro__):
            raise SignatureError(f"signature {cls.__name__} has a field and a property named {name!r}; rename one")
    if doc:
        return contract_of(inspect.cleandoc(doc), found.values())
    return contract_of(told(parents[0].__contract__), found.values())


def _own_fields(cls: SignatureType, specs: Mapping[str, FieldSpec]) -> dict[str, Field]:
    own = [key for key in inspect.get_annotations(cls) if not key.startswith("__")]
    for key in specs:
        if key not in own:
            raise SignatureError(f"field {key!r} of signature {cls.__name__} has no type; write `{key}: str = ...`")
    hints = _hints(cls) if own else {}
    fields: dict[str, Field] = {}
    for key in own:
        if get_origin(hints[key]) is ClassVar or hints[key] is ClassVar:
            continue
        if key in specs:
            fields[key] = specs[key].field(key, hints[key])
        elif is_rule(cls.__dict__.get(key)):
            continue
        elif key in cls.__dict__:
            raise SignatureError(
                f"field {key!r} of signature {cls.__name__} has the bare value {brief(cls.__dict__[key])}; say "
                f"ol.input(default=...) or ol.output(default=...)"
            )
        else:
            raise SignatureError(
                f"field {key!r} of signature {cls.__name__} is neither input nor output; write "
                f"`{key}: ... = ol.input()` or `= ol.output()`"
            )
    return fields


def _hints(cls: type) -> dict[str, Any]:
    """Annotations as types. Names are looked up in the class's module, never in caller frames."""
    own = inspect.get_annotations(cls)
    holder = type(cls.__name__, (), {"__annotations__": own, "__module__": cls.__module__})
    module = sys.modules.get(cls.__module__)
    try:
        return get_type_hints(holder, vars(module) if module else {}, {}, include_extras=True)
    except (NameError, AttributeError, SyntaxError, TypeError) as error:
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


def _edited(
    cls: type[S],
    *,
    description: str | None = None,
    fields: list[Field] | None = None,
    checks: Rules | None = None,
) -> type[S]:
    old = _of(cls)
    contract = old.__contract__ if description is None else contract_of(description, old.__contract__.fields)
    if fields is not None:
        check_fields(cls.__name__, fields)
        contract = contract_of(told(old.__contract__), fields)
    if checks is None:
        checks = old.__checks__ if fields is None else fitted_rules(cls.__name__, old.__checks__, _by_name(contract))
    result = old.__result__
    if result is not None and not all(any(f.name == name for f in contract.fields) for name in result.names):
        result = None  # what the function returned cannot be built any more; calls give a record
    return _subclass(cls.__name__, cls.__module__, contract, (cls,), result, old.__positional__, checks)


def _by_name(contract: Contract) -> dict[str, Field]:
    return {f.name: f for f in contract.fields}


def _subclass(
    name: str,
    module: str,
    contract: Contract,
    bases: tuple[type, ...],
    result: Result | None,
    positional: bool,
    checks: Rules = (),
) -> Any:
    namespace: dict[str, Any] = {
        "__module__": module,
        "__doc__": contract.description.encode(errors="replace").decode(),  # a class refuses lone surrogates
        "__checks__": checks,
        "__result__": result,
        "__positional__": positional,
    }
    return SignatureType(name, bases, namespace, contract=contract)


def _reduce(cls: SignatureType) -> Any:
    """Pickle by name where the name leads back here, by value otherwise."""
    found: Any = sys.modules.get(cls.__module__)
    for part in cls.__qualname__.split("."):
        found = getattr(found, part, None)
    if found is cls:
        return cls.__qualname__
    bases = tuple(base for base in cls.__bases__)
    return _subclass, (
        cls.__name__,
        cls.__module__,
        cls.__contract__,
        bases,
        cls.__result__,
        cls.__positional__,
        cls.__checks__,
    )


copyreg.pickle(SignatureType, _reduce)  # pyright: ignore[reportArgumentType]

"""Signatures spelled as strings and as plain functions."""

from __future__ import annotations

import ast
import builtins
import dataclasses
import datetime
import decimal
import inspect
import typing
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, get_type_hints, is_typeddict

from outlast.errors import SignatureError, brief, did_you_mean
from outlast.signatures.field import REQUIRED, Field, FieldSpec, check_name
from outlast.signatures.signature import Signature, SignatureType, dynamic, make_contract

_KNOWN: dict[str, Any] = {
    **{
        name: getattr(builtins, name)
        for name in (
            "str",
            "int",
            "float",
            "bool",
            "list",
            "dict",
            "set",
            "frozenset",
            "tuple",
            "bytes",
            "object",
        )
    },
    **{
        name: getattr(typing, name)
        for name in ("Any", "Optional", "Union", "Literal", "List", "Dict", "Set", "Tuple")
    },
    **{name: getattr(datetime, name) for name in ("date", "datetime", "time", "timedelta")},
    "Decimal": decimal.Decimal,
    "UUID": uuid.UUID,
    "None": None,
}
_MAX_SPELLING = 20_000


def signature(
    spelled: Any,
    description: str = "",
    *,
    types: Mapping[str, Any] | Iterable[type] = (),
) -> Any:
    """A signature from any of its spellings.

    `spelled` is a signature class (given back as it is), a typed function, or a string such as
    `"question, context: list[str] -> answer: float"`. Types in a string are Python's own, those of `typing` and
    `datetime`, `Decimal`, `UUID`, and those given in `types` (classes, or a mapping from the name used in the
    string); nothing else is looked up anywhere. A field without a type is `str`.
    """
    if isinstance(spelled, SignatureType):
        if types or description:
            raise SignatureError("a signature class brings its own types and description")
        return spelled
    if isinstance(spelled, str):
        return _from_string(spelled, description, _named(types))
    if inspect.isfunction(spelled):
        return _from_function(spelled, description)
    raise SignatureError(
        f"a signature is spelled as a class, a string or a typed function; got {brief(spelled)}"
    )


def _named(types: Mapping[str, Any] | Iterable[type]) -> dict[str, Any]:
    if isinstance(types, Mapping):
        return dict(types)
    return {one.__name__: one for one in types}


def _from_string(text: str, description: str, types: dict[str, Any]) -> Any:
    if len(text) > _MAX_SPELLING:
        raise SignatureError(f"a string signature has at most {_MAX_SPELLING} characters; got {len(text)}")
    left, right = _halves(text)
    known = {**_KNOWN, **types}
    fields = [*_side(left, "input", known, text), *_side(right, "output", known, text)]
    name = "".join(
        part.capitalize() for part in "_".join(f.name for f in fields if f.kind == "output").split("_")
    )
    return dynamic(name[:60] or "Signature", make_contract(repr(text), description, fields))


def _halves(text: str) -> tuple[str, str]:
    """Split at the one arrow outside quotes and brackets."""
    depth, quote, found = 0, "", -1
    for index, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
        elif char == "-" and text[index : index + 2] == "->" and depth == 0:
            if found >= 0:
                raise SignatureError(f"a string signature has one '->'; got more in {text!r}")
            found = index
    if found < 0:
        raise SignatureError(f"a string signature reads 'inputs -> outputs'; got {text!r}")
    return text[:found], text[found + 2 :]


def _side(text: str, kind: Any, known: dict[str, Any], whole: str) -> list[Field]:
    try:
        tree = ast.parse(f"def _({text.strip()}): ...")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise SignatureError(
            f"cannot read {text.strip()!r} in the signature {whole!r}: names are Python identifiers, types follow a colon"
        ) from error
    function = tree.body[0]
    if len(tree.body) != 1 or not isinstance(function, ast.FunctionDef):
        raise SignatureError(f"cannot read {text.strip()!r} in the signature {whole!r}")
    arguments = function.args
    if (
        arguments.vararg
        or arguments.kwarg
        or arguments.kwonlyargs
        or arguments.posonlyargs
        or arguments.defaults
    ):
        raise SignatureError(f"a string signature has names and types only; got {text.strip()!r}")
    fields: list[Field] = []
    for argument in arguments.args:
        check_name(argument.arg)
        annotation = str if argument.annotation is None else _type(argument.annotation, known, whole)
        fields.append(Field(argument.arg, kind, annotation))
    return fields


def _type(node: ast.expr, known: dict[str, Any], whole: str) -> Any:
    """Evaluate a type expression over known names only; nothing is imported, called or looked up elsewhere."""
    if isinstance(node, ast.Name):
        if node.id in known:
            return known[node.id]
        raise SignatureError(
            f"the signature {whole!r} uses the type {node.id!r}, which is unknown.{did_you_mean(node.id, known)} "
            f"Give your own types explicitly: types=[{node.id}]."
        )
    if isinstance(node, ast.Constant):
        return node.value
    if (
        isinstance(node, ast.UnaryOp)
        and isinstance(node.op, ast.USub)
        and isinstance(node.operand, ast.Constant)
    ):
        value = node.operand.value
        if isinstance(value, int | float):
            return -value
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        left, right = _type(node.left, known, whole), _type(node.right, known, whole)
        return typing.Union[left, right]  # noqa: UP007 - works for None and generics alike
    if isinstance(node, ast.Subscript):
        origin = _type(node.value, known, whole)
        items = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        arguments = tuple(_type(item, known, whole) for item in items)
        try:
            return origin[arguments if len(arguments) != 1 else arguments[0]]
        except TypeError as error:
            raise SignatureError(
                f"{ast.unparse(node)} in the signature {whole!r} is no type: {error}"
            ) from error
    if isinstance(node, ast.List):
        return [_type(item, known, whole) for item in node.elts]
    raise SignatureError(f"{ast.unparse(node)} in the signature {whole!r} is not a type expression")


def _from_function(function: Callable[..., Any], description: str) -> Any:
    name = function.__name__
    try:
        hints = get_type_hints(function, include_extras=True)
    except NameError as error:
        raise SignatureError(
            f"function {name!r}: {error}. Types are looked up in the module that defines the function."
        ) from error
    if "return" not in hints:
        raise SignatureError(f"function {name!r} needs a return type: that is its output")
    fields: list[Field] = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise SignatureError(
                f"function {name!r} takes *{parameter.name}; a signature has named inputs only"
            )
        default = REQUIRED if parameter.default is parameter.empty else parameter.default
        spec = FieldSpec("input", default=default)
        fields.append(spec.field(parameter.name, hints.get(parameter.name, str)))
    outputs, result = _outputs(hints["return"])
    taken = {f.name for f in fields}
    for f in outputs:
        if f.name in taken:
            raise SignatureError(f"function {name!r} has {f.name!r} as an input and as an output; rename one")
    contract = make_contract(name, description or inspect.getdoc(function) or "", [*fields, *outputs])
    return dynamic(name, contract, result=result, positional=True)


def _outputs(annotation: Any) -> tuple[list[Field], Callable[[dict[str, Any]], Any]]:
    """The output fields of a return type and what builds the returned value from them.

    A model, dataclass, typed dict or named tuple becomes one field for each of its own; any other type is one
    field named "answer".
    """
    spec = FieldSpec("output")
    if isinstance(annotation, type) and issubclass(annotation, Signature):
        raise SignatureError("a function returns a value, not a signature")
    if is_typeddict(annotation):
        hints = get_type_hints(annotation, include_extras=True)
        return [spec.field(key, hint) for key, hint in hints.items()], Built(annotation)
    if isinstance(annotation, type):
        found = _members(annotation)
        if found:
            return found, Built(annotation)
    return [spec.field("answer", annotation)], take_answer


def _members(annotation: type) -> list[Field]:
    from pydantic import BaseModel

    if issubclass(annotation, BaseModel):
        fields: list[Field] = []
        for key, info in annotation.model_fields.items():
            kind = Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation
            default = REQUIRED if info.is_required() else info.get_default(call_default_factory=True)
            fields.append(FieldSpec("output", info.description or "", default).field(key, kind))
        return fields
    hints = get_type_hints(annotation, include_extras=True)
    if dataclasses.is_dataclass(annotation):
        return [
            FieldSpec("output", default=REQUIRED if f.default is dataclasses.MISSING else f.default).field(
                f.name, hints[f.name]
            )
            for f in dataclasses.fields(annotation)
            if f.init
        ]
    if issubclass(annotation, tuple) and hasattr(annotation, "_fields"):
        names: tuple[str, ...] = annotation._fields  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType, reportUnknownMemberType]
        return [FieldSpec("output").field(key, hints[key]) for key in names]  # pyright: ignore[reportUnknownVariableType]
    return []


@dataclasses.dataclass(frozen=True, slots=True)
class Built:
    """Builds a structured return value from its fields."""

    kind: Any

    def __call__(self, values: dict[str, Any]) -> Any:
        return self.kind(**values)


def take_answer(values: dict[str, Any]) -> Any:
    """The value of the only output."""
    return values["answer"]

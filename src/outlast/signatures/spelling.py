"""Signatures spelled as strings and as plain functions."""

from __future__ import annotations

import ast
import datetime
import decimal
import inspect
import typing
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, TypeVar, cast, overload

from outlast.errors import SignatureError, brief, did_you_mean
from outlast.signatures.contract import make_contract
from outlast.signatures.field import REQUIRED, Field, FieldSpec, Kind, check_name
from outlast.signatures.returned import hints_of, outputs_of_type
from outlast.signatures.signature import Signature, SignatureType, dynamic
from outlast.types import Audio, Code, Document, File, Image, Tool

S = TypeVar("S", bound=Signature)

_KNOWN: dict[str, Any] = {
    **{kind.__name__: kind for kind in (str, int, float, bool, list, dict, set, frozenset, tuple, bytes, object)},
    **{
        name: getattr(typing, name)
        for name in ("Any", "Optional", "Union", "Literal", "List", "Dict", "Set", "Tuple", "Sequence", "Mapping")
    },
    **{name: getattr(datetime, name) for name in ("date", "datetime", "time", "timedelta")},
    "Decimal": decimal.Decimal,
    "UUID": uuid.UUID,
    **{kind.__name__: kind for kind in (Audio, Code, Document, File, Image, Tool)},
}
_MAX_SPELLING = 20_000
_MAX_SHOWN = 200


@overload
def signature(spelled: type[S], /) -> type[S]: ...


@overload
def signature(
    spelled: Any,
    description: str = "",
    *,
    types: Mapping[str, Any] | Iterable[type] = (),
) -> Any: ...


def signature(
    spelled: Any,
    description: str = "",
    *,
    types: Mapping[str, Any] | Iterable[type] = (),
) -> Any:
    """A signature from any of its spellings. Raises `SignatureError`.

    `spelled` is a signature class (given back as it is), a typed function, or a string such as
    `"question, context: list[str] -> answer: float"`. Types in a string are Python's own, those of `typing` and
    `datetime`, `Decimal`, `UUID`, `Image`, `Audio`, `File`, `Document`, `Code`, `Tool`, and those given in `types`
    (classes, or a mapping from the name used in the string); nothing is looked up anywhere else, imported or run. A
    field without a type is `str`.
    """
    if isinstance(spelled, SignatureType):
        if types or description:
            raise SignatureError("a signature class brings its own types and description")
        return spelled
    if isinstance(spelled, str):
        return _from_string(spelled, description, _named(types))
    if inspect.isfunction(spelled):
        if types:
            raise SignatureError("a typed function brings its own types; types= is for string signatures")
        return _from_function(spelled, description)
    raise SignatureError(f"a signature is spelled as a class, a string or a typed function; got {brief(spelled)}")


def _named(types: Mapping[str, Any] | Iterable[Any]) -> dict[str, Any]:
    if isinstance(types, Mapping):
        return dict(cast("Mapping[str, Any]", types))
    found: dict[str, Any] = {}
    for one in types:
        name = getattr(one, "__name__", None)
        if not isinstance(name, str):
            raise SignatureError(f"{brief(one)} has no name; give types as a mapping: types={{'Name': {brief(one)}}}")
        found[name] = one
    return found


def _from_string(text: str, description: str, types: dict[str, Any]) -> Any:
    if len(text) > _MAX_SPELLING:
        raise SignatureError(f"a string signature has at most {_MAX_SPELLING:,} characters; got {len(text):,}")
    left, right = _halves(text)
    expression = _Expression({**_KNOWN, **types}, brief(text, _MAX_SHOWN))
    fields = [*_side(left, "input", expression), *_side(right, "output", expression)]
    words = "_".join(f.name for f in fields if f.kind == "output").split("_")
    name = "".join(word.capitalize() for word in words)[:60] or "Signature"
    return dynamic(name, make_contract(expression.whole, description, fields))


def _halves(text: str) -> tuple[str, str]:
    """Split at the one arrow outside quotes and brackets."""
    depth, quote, found, skip = 0, "", -1, False
    for index, char in enumerate(text):
        if skip:
            skip = False
        elif quote:
            skip = char == "\\"
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
        elif char == "-" and text[index : index + 2] == "->" and depth == 0:
            if found >= 0:
                raise SignatureError(f"a string signature has one '->'; got more in {brief(text, _MAX_SHOWN)}")
            found = index
    if found < 0:
        raise SignatureError(f"a string signature reads 'inputs -> outputs'; got {brief(text, _MAX_SHOWN)}")
    return text[:found], text[found + 2 :]


def _side(text: str, kind: Kind, expression: _Expression) -> list[Field]:
    unreadable = SignatureError(
        f"cannot read {brief(text.strip(), _MAX_SHOWN)} in the signature {expression.whole}: it is a list of names, "
        f"each with a type after a colon or none. Names are Python identifiers and no keywords."
    )
    try:
        tree = ast.parse(f"def _(\n{text.strip()}\n): ...")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise unreadable from error
    match tree.body:
        case [
            ast.FunctionDef(
                args=ast.arguments(
                    posonlyargs=[], args=names, vararg=None, kwonlyargs=[], kwarg=None, defaults=[], kw_defaults=[]
                ),
                body=[ast.Expr(value=ast.Constant(value=content))],
                returns=None,
            )
        ] if content is ...:
            pass
        case _:
            raise unreadable
    fields: list[Field] = []
    for one in names:
        check_name(one.arg)
        try:
            annotation = str if one.annotation is None else expression.type(one.annotation)
        except RecursionError as error:
            raise unreadable from error
        fields.append(Field(one.arg, kind, annotation))
    return fields


class _Expression:
    """Evaluates type expressions over known names only; nothing is imported, called or looked up elsewhere."""

    def __init__(self, known: Mapping[str, Any], whole: str) -> None:
        self.known = known
        self.whole = whole

    def type(self, node: ast.expr) -> Any:
        """The type that an expression says."""
        match node:
            case ast.Name(id=name):
                return self._name(name)
            case ast.Constant(value=None):
                return None
            case ast.BinOp(op=ast.BitOr()):
                return typing.Union[tuple(self.type(part) for part in _parts(node))]  # noqa: UP007 - takes None too
            case ast.Subscript(value=ast.Name(id=name), slice=inner):
                items = inner.elts if isinstance(inner, ast.Tuple) else [inner]
                origin = self._name(name)
                if origin is Literal:
                    return self._applied(origin, [self._literal(item) for item in items], node)
                return self._applied(origin, [self._argument(item, origin) for item in items], node)
            case _:
                raise self._wrong(node, "is not a type expression")

    def _name(self, name: str) -> Any:
        if name in self.known:
            return self.known[name]
        raise SignatureError(
            f"the signature {self.whole} uses the type {name!r}, which is unknown.{did_you_mean(name, self.known)} "
            f"Give your own types explicitly: types=[{name}]."
        )

    def _argument(self, node: ast.expr, origin: Any) -> Any:
        if isinstance(node, ast.Constant) and node.value is ... and origin in (tuple, tuple):
            return ...
        return self.type(node)

    def _literal(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=str() | int() | bytes() | None as value):
                return value
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() as value)):
                return -value
            case _:
                raise self._wrong(node, "is no literal: Literal[...] holds strings, integers, booleans and None")

    def _applied(self, origin: Any, arguments: list[Any], node: ast.expr) -> Any:
        try:
            return origin[tuple(arguments) if len(arguments) != 1 else arguments[0]]
        except TypeError as error:
            raise self._wrong(node, f"is no type: {error}") from error

    def _wrong(self, node: ast.expr, why: str) -> SignatureError:
        return SignatureError(f"{brief(ast.unparse(node), _MAX_SHOWN)} in the signature {self.whole} {why}")


def _parts(node: ast.expr) -> list[ast.expr]:
    """The members of a | b | c, which Python nests to the left, in order."""
    found: list[ast.expr] = []
    while isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        found.append(node.right)
        node = node.left
    return [node, *reversed(found)]


def _from_function(function: Callable[..., Any], description: str) -> Any:
    name = function.__name__
    hints = hints_of(function, f"function {name!r}")
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        raise SignatureError(
            f"function {name!r} only declares a signature and is never run: write it as a plain `def`. The program "
            f"made from it can be awaited: `await {name}.acall(...)`."
        )
    if hints.get("return") in (None, type(None)):
        raise SignatureError(f"function {name!r} needs a return type: that is its output")
    fields: list[Field] = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise SignatureError(f"function {name!r} takes *{parameter.name}; a signature has named inputs only")
        default = REQUIRED if parameter.default is parameter.empty else parameter.default
        spec = FieldSpec("input", default=default)
        fields.append(spec.field(parameter.name, hints.get(parameter.name, str)))
    outputs, result = outputs_of_type(hints["return"])
    taken = {f.name for f in fields}
    for f in outputs:
        if f.name in taken:
            raise SignatureError(f"function {name!r} has {f.name!r} as an input and as an output; rename one")
    contract = make_contract(name, description or inspect.getdoc(function) or "", [*fields, *outputs])
    return dynamic(name, contract, result=result, positional=True)

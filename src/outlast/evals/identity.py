"""Content hashes of metrics and programs, so that results made by different code are never taken for the
same."""

from __future__ import annotations

import ast
import functools
import inspect
import json
import re
import textwrap
import types
from collections.abc import Callable, Iterator
from typing import Any, cast

from outlast.data.jsonform import content_hash, json_form
from outlast.errors import brief

IDENTITY = "__outlast_identity__"  # a function may carry its own identity: what a factory was called with
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_CONSTANTS = (str, bytes, int, float, bool, type(None), tuple, frozenset)


def metric_hash(metric: Callable[..., Any]) -> str:
    """32 hexadecimal digits of what a metric does: its source without comments and layout, what it closes
    over, its defaults, and the functions and constants of its own module that it names.

    Where the source is not at hand (a REPL, `exec`) the qualified name and the byte code stand for it. Code
    of other modules is not looked at: change the metric's name or a constant in it when such code changes.
    """
    return content_hash(_shape(metric, set()))


def program_hash(program: Any) -> str:
    """32 hexadecimal digits of a program, the same in every process: for a module the code of its classes, the
    signatures and all its values, models by their identity; else as `metric_hash`."""
    from outlast.modules.module import Module
    from outlast.modules.paths import modules_of
    from outlast.modules.values import value_of

    if not isinstance(program, Module):
        return metric_hash(program)
    seen: set[int] = set()
    parts = {
        path: [_class(type(part), seen), {name: _value(value) for name, value in value_of(part).items()}]
        for path, part in modules_of(program).items()
    }
    return content_hash(parts)


def _value(value: Any) -> Any:
    """The JSON form of something that a module holds, without the addresses that differ between processes."""
    from outlast.lms.protocol import LM
    from outlast.signatures.signature import SignatureType

    if isinstance(value, SignatureType):
        return value.key
    if isinstance(value, LM):
        return value.identity
    return json.loads(_ADDRESS.sub("", json.dumps(json_form(value, lenient=True), ensure_ascii=True)))


def name_of(thing: Any) -> str:
    """A short name for a program or a metric in reports."""
    own = getattr(thing, "__name__", None)
    if isinstance(own, str) and own != "<lambda>":
        return own
    if isinstance(thing, functools.partial):
        return name_of(cast("functools.partial[Any]", thing).func)
    return "lambda" if own == "<lambda>" else type(thing).__name__


def _class(cls: type, seen: set[int]) -> list[Any]:
    """The name of a class and the functions that it and its bases outside outlast define."""
    shapes: dict[str, Any] = {}
    for base in cls.__mro__:
        if base.__module__.startswith("outlast.") or base is object:
            break
        for name, value in base.__dict__.items():
            function: Any = getattr(value, "__func__", value)  # of a staticmethod or classmethod
            if isinstance(function, types.FunctionType):
                shapes.setdefault(name, _shape(function, seen))
    return ["class", cls.__qualname__, shapes]


def _shape(thing: Any, seen: set[int]) -> Any:
    """JSON-ready data that is equal for things that do the same, as far as their own code tells."""
    own = getattr(thing, IDENTITY, None)
    if isinstance(own, str):
        return ["identity", own]
    if id(thing) in seen:
        return ["again", name_of(thing)]
    if isinstance(thing, types.FunctionType):
        seen.add(id(thing))
        return _function(thing, seen)
    if isinstance(thing, types.MethodType):
        return ["method", _shape(thing.__func__, seen), _shape(thing.__self__, seen)]
    if isinstance(thing, functools.partial):
        partial = cast("functools.partial[Any]", thing)
        given = [_shape(value, seen) for value in (*partial.args, *partial.keywords.values())]
        return ["partial", _shape(partial.func, seen), list(partial.keywords), given]
    if isinstance(thing, type | types.BuiltinFunctionType | types.ModuleType):
        return ["name", getattr(thing, "__module__", ""), getattr(thing, "__qualname__", thing.__name__)]
    if callable(thing):
        seen.add(id(thing))
        call = type(thing).__call__
        state = {name: _shape(value, seen) for name, value in getattr(thing, "__dict__", {}).items()}
        return ["object", type(thing).__qualname__, _shape(call, seen), state]
    if isinstance(thing, (*_CONSTANTS, list, dict, set)):
        return json_form(thing, lenient=True)
    return ["value", type(thing).__qualname__, brief(thing, 2000).partition(" object at 0x")[0]]


def _function(function: types.FunctionType, seen: set[int]) -> list[Any]:
    closed = [_cell(cell, seen) for cell in function.__closure__ or ()]
    defaults = [_shape(value, seen) for value in (*(function.__defaults__ or ()),)]
    named = {name: _shape(value, seen) for name, value in _own_globals(function)}
    keywords = {name: _shape(value, seen) for name, value in (function.__kwdefaults__ or {}).items()}
    return ["function", _source(function) or _code(function.__code__), defaults, keywords, closed, named]


def _cell(cell: types.CellType, seen: set[int]) -> Any:
    try:
        return _shape(cell.cell_contents, seen)
    except ValueError:  # a name that is assigned later
        return ["empty"]


def _own_globals(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """The functions and constants of the function's own module that it names."""
    for name in sorted(_names(function.__code__)):
        value = function.__globals__.get(name)
        if isinstance(value, types.FunctionType):
            if value.__module__ == function.__module__:
                yield name, value
        elif isinstance(value, _CONSTANTS) and value is not None:
            yield name, value


def _names(code: types.CodeType) -> set[str]:
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= _names(constant)
    return names


def _source(function: types.FunctionType) -> str | None:
    """The source of one function in one spelling, without its decorators; None when it cannot be told
    apart."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError, ValueError):
        return None
    if function.__name__ == "<lambda>":
        lambdas = [node for node in ast.walk(tree) if isinstance(node, ast.Lambda)]
        return ast.unparse(lambdas[0]) if len(lambdas) == 1 else None
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == function.__name__:
            node.decorator_list = []
            return ast.unparse(node)
    return None


def _code(code: types.CodeType) -> list[Any]:
    constants = [_code(value) if isinstance(value, types.CodeType) else repr(value) for value in code.co_consts]
    return [code.co_qualname, code.co_code.hex(), constants, list(code.co_names)]

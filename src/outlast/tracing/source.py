"""What the text of functions and classes tells: their code in one spelling, what they name, what they change."""

from __future__ import annotations

import ast
import dis
import functools
import inspect
import textwrap
import types
from collections.abc import Iterator
from typing import Any, cast

_CHANGES = frozenset(
    {"append", "appendleft", "add", "update", "extend", "insert", "setdefault", "pop", "popitem", "popleft", "clear"}
    | {"remove", "discard", "sort", "reverse", "write", "put", "increment"}
)
_TRIES = 9
_REMEMBERED = 2000  # functions: what their code tells is read once
_MAKERS = frozenset({"__init__", "__post_init__", "__new__", "__init_subclass__", "__set_name__"})


def source_of(function: types.FunctionType) -> str | None:
    """The source of one function in one spelling, without its decorators; None when it cannot be told apart."""
    return _text(function.__code__)


@functools.lru_cache(maxsize=_REMEMBERED)
def _text(code: types.CodeType) -> str | None:
    node = _tree(code)
    return None if node is None else ast.unparse(node)


def code_text(code: types.CodeType) -> list[Any]:
    """The byte code with its constants: what stands for a function without source."""
    constants = [_constant(value) for value in code.co_consts]
    return [code.co_qualname, code.co_code.hex(), constants, list(code.co_names)]


def _constant(value: Any) -> Any:
    if isinstance(value, types.CodeType):
        return code_text(value)
    if isinstance(value, frozenset):
        return sorted(map(repr, cast("frozenset[Any]", value)))  # the order of a set is another in each process
    return repr(value)


@functools.lru_cache(maxsize=_REMEMBERED)
def loaded_names(code: types.CodeType) -> tuple[frozenset[str], frozenset[str]]:
    """The names that code reads from its module, and all attributes that it reads of anything."""
    names: set[str] = set()
    attributes: set[str] = set()
    for part in _codes(code):
        attributes.update(part.co_names)
        names.update(i.argval for i in dis.get_instructions(part) if i.opname in ("LOAD_GLOBAL", "LOAD_NAME"))
    return frozenset(names), frozenset(attributes)


def changed_globals(function: types.FunctionType) -> frozenset[str]:
    """Names of outer variables that a function assigns or changes in place, such as a cache: state, not definition."""
    return _changed_names(function.__code__)


@functools.lru_cache(maxsize=_REMEMBERED)
def _changed_names(code: types.CodeType) -> frozenset[str]:
    node = _tree(code)
    if node is None:
        parts = [i for part in _codes(code) for i in dis.get_instructions(part)]
        return frozenset(i.argval for i in parts if i.opname in ("STORE_GLOBAL", "DELETE_GLOBAL", "STORE_DEREF"))
    return frozenset(target.id for target in _changed(node) if isinstance(target, ast.Name)) | _declared(node)


def changed_attributes(cls: type) -> frozenset[str]:
    """Names of attributes that methods change after construction, such as a counter: state, not definition."""
    found: set[str] = set()
    for base in cls.__mro__:
        for name, member in vars(base).items():
            function: Any = getattr(member, "__func__", member)
            if isinstance(function, types.FunctionType) and name not in _MAKERS:
                code = function.__code__
                owners = {*code.co_varnames[: min(1, code.co_argcount)], *(one.__name__ for one in cls.__mro__)}
                found.update(attribute for owner, attribute in _changed_members(code) if owner in owners)
    return frozenset(found)


@functools.lru_cache(maxsize=_REMEMBERED)
def _changed_members(code: types.CodeType) -> frozenset[tuple[str, str]]:
    """The attributes that code changes, each with the name of the variable that has it."""
    node = _tree(code)
    targets = () if node is None else _changed(node)
    attributes = (target for target in targets if isinstance(target, ast.Attribute))
    return frozenset((one.value.id, one.attr) for one in attributes if isinstance(one.value, ast.Name))


def _changed(tree: ast.AST) -> Iterator[ast.expr]:
    """The expressions whose value is assigned to or changed in place."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load):
            yield node
        elif isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
            yield node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _CHANGES:
            yield node.func.value


def _declared(tree: ast.AST) -> frozenset[str]:
    """Names of `global` and `nonlocal` statements: only assignment needs those."""
    statements = (node for node in ast.walk(tree) if isinstance(node, ast.Global | ast.Nonlocal))
    return frozenset(name for statement in statements for name in statement.names)


@functools.lru_cache(maxsize=_REMEMBERED)
def _tree(code: types.CodeType) -> ast.AST | None:
    """The function of this code in its source, without decorators."""
    try:
        tree = _parsed(textwrap.dedent(inspect.getsource(code)))
    except (OSError, TypeError, SyntaxError, ValueError, IndexError):
        return None
    if code.co_name == "<lambda>":
        lambdas = [node for node in ast.walk(tree) if isinstance(node, ast.Lambda)]
        return lambdas[0] if len(lambdas) == 1 else None
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == code.co_name:
            node.decorator_list = []
            return node
    return None


def _parsed(text: str) -> ast.Module:
    """The syntax tree. Two threads that parse at the same time can disturb each other in some versions of Python (3.11
    among them), which raises `SystemError` for a text that is fine."""
    for _ in range(_TRIES):
        try:
            return ast.parse(text)
        except SystemError:
            continue
    return ast.parse(text)


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)

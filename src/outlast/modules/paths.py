"""The one path language: parameters of a program by name, and a changed program from some of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard, TypeVar, cast

from outlast.errors import OutlastError, PathError, UsageError, brief, did_you_mean
from outlast.lms.protocol import LM
from outlast.modules.module import Module
from outlast.modules.predict import TUNED, Predict
from outlast.modules.spaces import Space
from outlast.modules.strategy import as_recipe, recipe_of, signature_of, swapped
from outlast.modules.values import FrozenDict, Param, changed, declared, frozen, hidden_of, value_of, walk
from outlast.types import Tool

M = TypeVar("M", bound=Module)

STRATEGY = "strategy"  # the parameter that says how a module answers its signature
TOOLS = "tools"  # the attribute that holds tools, by name


def modules_of(program: Module) -> dict[str, Module]:
    """Every module of a program by path; the program itself is at ""."""
    return dict(walk(_program(program)))


def predictors_of(program: Module) -> dict[str, Predict[..., Any]]:
    """The leaves of a program that ask a model, by path."""
    return {path: part for path, part in walk(_program(program)) if _asks(part)}


def parameters(program: Module) -> dict[str, Any]:
    """Everything that can be tuned, by path, in the order of the program.

    A predictor at `answer` has `answer.instruction`, `answer.demos`, `answer.shown` (None: all of them; or `Nearest`),
    `answer.fields.<name>` (the description of a field), `answer.order` (of the outputs, () where it is the signature's
    own), `answer.lm`, `answer.adapter` and `answer.settings`; `lm` and `adapter` are None where they are inherited.
    Each module that answers a signature has `answer.strategy`, the way it does; a module with tools
    `answer.tools.<name>.description` and `answer.tools.<name>.arguments.<argument>`. What a module declared with
    `param` stands under its name. `update(p, parameters(p)) == p`.
    """
    hidden = hidden_of(_program(program))
    if hidden.parameters is None:
        hidden.parameters = _parameters(program)
    return dict(hidden.parameters)


def _parameters(program: Module) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path, part in walk(program):
        dot = f"{path}." if path else ""
        if signature_of(part) is not None:
            found[f"{dot}{STRATEGY}"] = recipe_of(part)
        for name in declared(part):
            found[f"{dot}{name}"] = getattr(part, name)
        for name, tool in tools_of(part).items():
            found[f"{dot}{TOOLS}.{name}.description"] = tool.description
            for argument, text in tool.arguments.items():
                found[f"{dot}{TOOLS}.{name}.arguments.{argument}"] = text
        if _asks(part):
            for kind in TUNED:
                if kind == "fields":
                    for name, described in part.asked().fields.items():
                        found[f"{dot}fields.{name}"] = part.fields.get(name, described.desc)
                else:
                    found[f"{dot}{kind}"] = getattr(part, kind)
    return found


def update(program: M, changes: Mapping[str, Any]) -> M:
    """A new program with some parameters changed; whatever did not change is shared with the old one.

    Keys are paths as `parameters` gives them; the path of a part (`"answer"`) replaces the part by another module. A
    strategy (`"answer.strategy"`) is put in first, with what is tuned on the part that it replaces; the other paths
    are those of the program with it.
    Raises `PathError` for a path that does not exist and `UsageError` for a value that cannot stand there.
    """
    _program(program)
    if not isinstance(changes, Mapping):
        raise UsageError(f"update(program, changes) takes a mapping from path to value; got {brief(changes)}")
    strategies = sorted((path for path in changes if is_strategy(path)), key=lambda path: path.count("."))
    tree = _Branch()
    try:
        for path in strategies:
            program = cast("M", _swapped(program, path, changes[path]))
        for path, value in changes.items():
            if path not in strategies:
                _plant(tree, path, value)
        return cast("M", _applied(program, tree, "")) if tree.steps else program
    except _NoPathError as error:
        known = [*parameters(program), *(path for path in modules_of(program) if path)]
        listed = ", ".join(known[:40]) + (", ..." if len(known) > 40 else "")
        raise PathError(
            f"{type(program).__name__} has no parameter {error.path!r}.{did_you_mean(error.path, known)} "
            f"Paths: {listed or 'none'}."
        ) from None


def spaces_of(program: Module) -> dict[str, Space[Any]]:
    """The spaces of the parameters that were declared with one, by path."""
    return {
        f"{path}.{name}" if path else name: one.space
        for path, part in walk(_program(program))
        for name, one in declared(part).items()
        if one.space is not None
    }


def tools_of(module: Module) -> Mapping[str, Tool]:
    """The tools that a module holds in its attribute `tools`, by name."""
    found = vars(module).get(TOOLS)
    if type(found) is FrozenDict and all(isinstance(one, Tool) for one in found.values()):
        return found
    return {}


def is_strategy(path: Any) -> bool:
    """Whether a path ends in the parameter that says how a module answers."""
    return isinstance(path, str) and path.rpartition(".")[2] == STRATEGY


def _swapped(program: Module, path: str, value: Any) -> Module:
    """The program with another strategy at `path`, which ends in `strategy`; itself when it is the same one."""
    at = path.rpartition(".")[0]
    part = dict(walk(program)).get(at)
    if part is None or signature_of(part) is None:
        raise _NoPathError(_Leaf(path, value))
    recipe = as_recipe(value, path)
    if recipe == recipe_of(part):
        return program
    new = swapped(part, recipe)
    if not at:
        return new
    tree = _Branch()
    _plant(tree, at, new)
    return _applied(program, tree, "")


class _NoPathError(OutlastError):
    """A path that leads nowhere, on its way to `update`, which knows the others."""

    def __init__(self, change: _Change) -> None:
        super().__init__(change.path)
        self.path = change.path


@dataclass(slots=True)
class _Leaf:
    """The new value at the end of a path."""

    path: str
    value: Any


@dataclass(slots=True)
class _Branch:
    """Changes under one step of a path."""

    steps: dict[str, _Change] = field(default_factory=dict[str, "_Change"])

    @property
    def path(self) -> str:
        """One whole path that leads through here."""
        return next(iter(self.steps.values())).path


_Change = _Leaf | _Branch


def _asks(module: Module) -> TypeGuard[Predict[..., Any]]:
    return isinstance(module, Predict)


def _program(value: Any) -> Module:
    if isinstance(value, Module):
        return value
    made = " (a class; make an instance of it first)" if isinstance(value, type) else ""
    raise UsageError(f"a program is a Module; got {brief(value)}{made}")


def _plant(tree: _Branch, path: Any, value: Any) -> None:
    if not isinstance(path, str):
        raise UsageError(f"a path is text such as 'answer.instruction'; got {brief(path)}")
    if not path:
        raise PathError("a path is text such as 'answer.instruction'; got ''")
    *steps, last = path.split(".")
    for step in steps:
        inner = tree.steps.setdefault(step, _Branch())
        if isinstance(inner, _Leaf):
            raise UsageError(f"{path!r} lies inside {inner.path!r}, which is replaced as a whole")
        tree = inner
    if last in tree.steps:
        raise UsageError(f"{path!r} is replaced as a whole, and {tree.steps[last].path!r} inside it too")
    tree.steps[last] = _Leaf(path, value)


def _applied(module: Module, changes: _Branch, prefix: str) -> Module:
    """The module with the changes below `prefix` made; itself when nothing differs."""
    values = value_of(module)
    new: dict[str, Any] = {}
    for name, change in changes.steps.items():
        path = f"{prefix}.{name}" if prefix else name
        if name in TUNED and _asks(module):
            value = _tuned(module, name, change, path)
        elif name == TOOLS and isinstance(change, _Branch) and tools_of(module):
            value = _described(tools_of(module), change)
        elif name in declared(module):
            value = _declared(declared(module)[name], change)
        elif name in values:
            value = _replaced(values[name], change, path)
        else:
            raise _NoPathError(change)
        if not _same(value, values[name]):
            new[name] = value
    return changed(module, new) if new else module


def _described(tools: Mapping[str, Tool], change: _Branch) -> FrozenDict:
    """The tools with some of their texts changed."""
    new = dict(tools)
    for name, one in change.steps.items():
        if name not in tools or not isinstance(one, _Branch):
            raise _NoPathError(one)
        description: str | None = None
        arguments: dict[str, str] = {}
        for step, text in one.steps.items():
            if step == "description" and isinstance(text, _Leaf):
                description = _words(text)
            elif step == "arguments" and isinstance(text, _Branch):
                for argument, leaf in text.steps.items():
                    if argument not in tools[name].arguments:
                        raise _NoPathError(leaf)
                    arguments[argument] = _words(leaf)
            else:
                raise _NoPathError(text)
        new[name] = tools[name].described(description, arguments)
    return FrozenDict(new)


def _words(change: _Change) -> str:
    if isinstance(change, _Branch):
        raise _NoPathError(change)
    if not isinstance(change.value, str):
        raise UsageError(f"{change.path!r} is text; got {brief(change.value)}")
    return change.value


def _same(a: Any, b: Any) -> bool:
    if a is b or isinstance(a, LM):
        return a is b
    if type(a) is not type(b):
        return False
    try:
        return bool(a == b)
    except Exception:  # a user's value may not know how to compare, or not give one truth value (arrays)
        return False


def _replaced(old: Any, change: _Change, path: str) -> Any:
    """What comes in place of `old`: itself changed inside, or another module."""
    if isinstance(change, _Leaf):
        if not isinstance(old, Module):
            raise _NoPathError(change)
        if not isinstance(change.value, Module):
            raise UsageError(f"{path!r} is a module and is replaced by a module; got {brief(change.value)}")
        return change.value
    if isinstance(old, Module):
        return _applied(old, change, path)
    keys: dict[str, Any] = {}
    if isinstance(old, tuple):
        keys = {str(index): index for index in range(len(cast("tuple[Any, ...]", old)))}
    elif isinstance(old, FrozenDict):
        keys = {str(key): key for key in old}
    inner: dict[Any, Any] = {}
    for step, one in change.steps.items():
        if step not in keys:
            raise _NoPathError(one)
        inner[keys[step]] = _replaced(old[keys[step]], one, f"{path}.{step}")
    if isinstance(old, FrozenDict):
        return FrozenDict({**old, **inner})
    return tuple(inner.get(index, item) for index, item in enumerate(cast("tuple[Any, ...]", old)))


def _declared(param: Param, change: _Change) -> Any:
    """A new value of a parameter that a module declared."""
    if isinstance(change, _Branch):
        raise _NoPathError(change)
    new, default = change.value, param.value
    if param.space is not None:
        return param.space.check(new, change.path)
    for kind in (bool, int, float, str):
        if type(default) is not kind:
            continue
        if kind is float and type(new) is int:
            return float(new)
        if not isinstance(new, kind) or (isinstance(new, bool) and kind is not bool):
            raise UsageError(f"{change.path!r} is of the type {kind.__name__}; got {brief(new)}")
    return frozen(new, change.path)


def _tuned(module: Predict[..., Any], name: str, change: _Change, path: str) -> Any:
    """A new value of something that every predictor has."""
    if isinstance(change, _Leaf):
        return _read(module, name, change.value, path)
    if name != "fields":
        raise _NoPathError(change)
    described = dict(module.fields)
    for step, leaf in change.steps.items():
        if isinstance(leaf, _Branch) or step not in module.asked().fields:
            raise _NoPathError(leaf)
        described[step] = leaf.value
    return _read(module, name, described, path)


def _read(module: Predict[..., Any], name: str, value: Any, path: str) -> Any:
    try:
        return module.read(name, value)
    except UsageError as error:
        raise UsageError(f"{path!r}: {error}") from error

"""The one path language: parameters of a program by name, and a changed program from some of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from outlast.adapters.protocol import Adapter
from outlast.errors import PathError, UsageError, brief, did_you_mean
from outlast.lms.protocol import LM
from outlast.messages import Settings
from outlast.modules.module import FrozenDict, Module, changed, declared, value_of, walk
from outlast.modules.predict import Predict, as_demo
from outlast.modules.settings import as_adapter, as_lm

M = TypeVar("M", bound=Module)


def modules_of(program: Module) -> dict[str, Module]:
    """Every module of a program by path; the program itself is at ""."""
    return dict(walk(program))


def predictors_of(program: Module) -> dict[str, Predict[..., Any]]:
    """The leaves of a program that ask a model, by path."""
    return {path: part for path, part in walk(program) if isinstance(part, Predict)}


def parameters(program: Module) -> dict[str, Any]:
    """Everything that can be tuned, by path, in the order of the program.

    A predictor at `answer` has `answer.instruction`, `answer.demos`, `answer.fields.<name>` (the description of a
    field), `answer.lm`, `answer.adapter` and `answer.settings`; `lm` and `adapter` are None where they are inherited.
    What a module declared with `param` stands under its name. `update(p, parameters(p)) == p`.
    """
    found: dict[str, Any] = {}
    for path, part in walk(program):
        dot = f"{path}." if path else ""
        for name in declared(part):
            found[f"{dot}{name}"] = getattr(part, name)
        if isinstance(part, Predict):
            found[f"{dot}instruction"] = part.instruction
            found[f"{dot}demos"] = part.demos
            for name, field in part.asked().fields.items():
                found[f"{dot}fields.{name}"] = part.fields.get(name, field.desc)
            found[f"{dot}lm"] = part.lm
            found[f"{dot}adapter"] = part.adapter
            found[f"{dot}settings"] = part.settings
    return found


def update(program: M, changes: Mapping[str, Any]) -> M:
    """A new program with some parameters changed; whatever did not change is shared with the old one.

    Keys are paths as `parameters` gives them; the path of a part (`"answer"`) replaces the part by another module.
    Raises `PathError` for a path that does not exist and `UsageError` for a value that cannot stand there.
    """
    nested: dict[str, Any] = {}
    for path, value in changes.items():
        if not isinstance(path, str) or not path:
            raise PathError(f"a path is text such as 'answer.instruction'; got {brief(path)}")
        if value is REMOVED:
            raise UsageError(f"{path!r} cannot be removed")
        _nest(nested, path.split("."), value, path)
    if not nested:
        return program
    try:
        return cast("M", _apply(program, nested, ""))
    except PathError as error:
        known = [*parameters(program), *(path for path in modules_of(program) if path)]
        wrong = error.args[1] if len(error.args) > 1 else ""
        listed = ", ".join(known[:40]) + (", ..." if len(known) > 40 else "")
        raise PathError(
            f"{type(program).__name__} has no parameter {wrong!r}.{did_you_mean(wrong, known)} Paths: {listed}."
        ) from None


REMOVED = object()


class _Leaf:
    """The new value at the end of a path."""

    __slots__ = ("path", "value")

    def __init__(self, value: Any, path: str) -> None:
        self.value = value
        self.path = path


def _nest(tree: dict[str, Any], steps: list[str], value: Any, path: str) -> None:
    for step in steps[:-1]:
        inner = tree.setdefault(step, {})
        if isinstance(inner, _Leaf):
            raise UsageError(f"{path!r} lies inside {inner.path!r}, which is replaced as a whole")
        tree = inner
    if isinstance(tree.get(steps[-1]), dict):
        raise UsageError(f"{path!r} is replaced as a whole, and something inside it too")
    tree[steps[-1]] = _Leaf(value, path)


def _apply(module: Module, changes: Mapping[str, Any], prefix: str) -> Module:
    values = value_of(module)
    new: dict[str, Any] = {}
    for name, change in changes.items():
        path = f"{prefix}.{name}" if prefix else name
        if isinstance(module, Predict) and name in _TUNED:
            new[name] = _tuned(module, name, change, path)
        elif name in values:
            new[name] = _replaced(values[name], change, path, name in declared(module))
        else:
            raise PathError(f"no parameter {path!r}", _full(change, path))
    if all(new[name] is values.get(name) or _same(new[name], values.get(name)) for name in new):
        return module
    result = changed(module, new)
    if isinstance(result, Predict):
        result.check()
    return result


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, LM) or isinstance(b, LM):
        return a is b
    return bool(type(a) is type(b) and a == b)


def _replaced(old: Any, change: Any, path: str, is_param: bool) -> Any:
    """The value in place of `old`: changed inside, or another module, or a new value of a declared parameter."""
    if isinstance(change, _Leaf):
        if is_param:
            return change.value
        if isinstance(old, Module):
            if not isinstance(change.value, Module):
                raise UsageError(
                    f"{path!r} is a module and is replaced by a module; got {brief(change.value)}"
                )
            return change.value
        raise PathError(f"no parameter {path!r}", path)
    if isinstance(old, Module):
        return _apply(old, change, path)
    if isinstance(old, tuple):
        items = list(cast("tuple[Any, ...]", old))
        for step, inner in change.items():
            if not step.isdigit() or int(step) >= len(items):
                raise PathError(f"no parameter {path}.{step}", _full(inner, f"{path}.{step}"))
            items[int(step)] = _replaced(items[int(step)], inner, f"{path}.{step}", False)
        return tuple(items)
    if isinstance(old, FrozenDict):
        entries: dict[Any, Any] = dict(old)
        keys = {str(key): key for key in entries}
        for step, inner in change.items():
            if step not in keys:
                raise PathError(f"no parameter {path}.{step}", _full(inner, f"{path}.{step}"))
            entries[keys[step]] = _replaced(entries[keys[step]], inner, f"{path}.{step}", False)
        return FrozenDict(entries)
    raise PathError(f"no parameter {path!r}", _full(change, path))


def _full(change: Any, path: str) -> str:
    """The whole path of the first leaf inside a change."""
    while isinstance(change, dict):
        return _full(*reversed(next((f"{path}.{key}", value) for key, value in change.items())))
    return path


def _tuned(module: Predict[..., Any], name: str, change: Any, path: str) -> Any:
    if name == "fields":
        if isinstance(change, _Leaf):
            return FrozenDict(change.value)
        described = dict(module.fields)
        for field, leaf in change.items():
            if not isinstance(leaf, _Leaf) or field not in module.asked().fields:
                raise PathError(f"no parameter {path}.{field}", _full(leaf, f"{path}.{field}"))
            if not isinstance(leaf.value, str):
                raise UsageError(f"{leaf.path!r} is text; got {brief(leaf.value)}")
            if leaf.value == module.asked().fields[field].desc:
                described.pop(field, None)
            else:
                described[field] = leaf.value
        return FrozenDict(described)
    if not isinstance(change, _Leaf):
        raise PathError(f"no parameter {path!r}", _full(change, path))
    return _TUNED[name](change.value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise UsageError(f"an instruction is text; got {brief(value)}")
    return value


def _settings(value: Any) -> Settings:
    if not isinstance(value, Settings):
        raise UsageError(f"settings are ol.Settings(...); got {brief(value)}")
    return value


def _demos(value: Any) -> Any:
    if isinstance(value, str | bytes | Mapping):
        raise UsageError(f"demos are a list of Demo; got {brief(value)}")
    return tuple(as_demo(demo) for demo in value)


def _maybe_lm(value: Any) -> LM | None:
    return None if value is None else as_lm(value)


def _maybe_adapter(value: Any) -> Adapter | None:
    return None if value is None else as_adapter(value)


_TUNED: dict[str, Callable[[Any], Any]] = {
    "instruction": _text,
    "demos": _demos,
    "fields": FrozenDict,
    "lm": _maybe_lm,
    "adapter": _maybe_adapter,
    "settings": _settings,
}

"""Modules as values: frozen after construction, compared by content, changed by making a new one."""

from __future__ import annotations

import dataclasses
import functools
import types
from abc import ABCMeta
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TypeVar, cast, overload

from outlast.errors import FrozenError, UsageError, brief
from outlast.modules.recipe import Recipe
from outlast.modules.spaces import Space

if TYPE_CHECKING:
    from outlast.modules.module import Module

T = TypeVar("T")
V = TypeVar("V", bound="Value")

HIDDEN = "_outlast"  # the one attribute of a module that is not part of its value


class FrozenDict(dict[str, Any]):
    """A dict that cannot change; what a dict attribute of a module becomes."""

    if not TYPE_CHECKING:

        def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
            raise FrozenError("a program is a value; use update(program, {path: value}) to get a changed one")

        __setitem__ = __delitem__ = pop = popitem = clear = update = setdefault = __ior__ = _refuse

        def __hash__(self) -> int:
            return hash(frozenset(self))

    def __reduce__(self) -> Any:
        return FrozenDict, (dict(self),)


@dataclasses.dataclass(frozen=True, slots=True)
class Param:
    """A tunable value as a module declared it; see `param`. `space` says what it may be, where it does."""

    value: Any
    desc: str = ""
    space: Space[Any] | None = None


@overload
def param(value: Space[T], desc: str = "") -> T: ...
@overload
def param(value: T, desc: str = "") -> T: ...
def param(value: Any, desc: str = "") -> Any:
    """Declare a tunable parameter of a module: `threshold = ol.param(0.5)`.

    On the module it reads as the plain value; `parameters` lists it under its name and `update` changes it, to a
    value of the same kind where it is text, a number or a truth value. With a space it starts where that starts and
    stays within it, and optimizers search it: `ol.param(ol.Float(0, 1, start=0.5))`, `ol.param(ol.Text("Be kind."))`.
    """
    if isinstance(value, Space):
        space = cast("Space[Any]", value)
        return Param(space.start, desc or space.description, space)
    return Param(value, desc)


class ModuleType(ABCMeta):
    """Freezes a module when its construction is done."""

    if not TYPE_CHECKING:

        def __call__(cls, *args: Any, **kwargs: Any) -> Any:
            instead = cls._instead(args, kwargs)
            if instead is not None:
                return instead
            module = super().__call__(*args, **kwargs)
            if isinstance(module, Value) and HIDDEN not in module.__dict__:
                _freeze(module)
            return module


class Hidden:
    """What a module knows besides its value: facts about it, and caches that any call may rebuild.

    `params` are the parameters as they were declared, `parts` the attributes that hold modules; `swapped` says that
    the module came in place of another strategy.
    """

    __slots__ = ("hash", "parameters", "params", "parts", "paths", "places", "plans", "swapped")

    def __init__(self, params: Mapping[str, Param], parts: tuple[str, ...], swapped: bool = False) -> None:
        self.params = params
        self.parts = parts
        self.swapped = swapped
        self.paths: Mapping[int, str] | None = None
        self.plans: dict[Any, Any] = {}
        self.parameters: dict[str, Any] | None = None
        self.places: dict[str, Any] | None = None
        self.hash: int | None = None


class Value(metaclass=ModuleType):
    """What makes a `Module` a value."""

    _reserved: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def _instead(cls, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """What a construction gives that makes no module, None when it makes one."""
        return None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if cls.__dict__.get("__slots__"):
            raise UsageError(
                f"{cls.__name__} has __slots__, where parts would be neither found nor tuned; a module keeps its "
                f"attributes in its __dict__"
            )

    if not TYPE_CHECKING:

        def __setattr__(self, name: str, value: Any) -> None:
            if HIDDEN in self.__dict__:
                raise FrozenError(
                    f"{type(self).__name__} is a value: {name!r} cannot be assigned. "
                    f"Use update(program, {{{name!r}: ...}}), which gives a new program."
                )
            object.__setattr__(self, name, value)

        def __delattr__(self, name: str) -> None:
            if HIDDEN in self.__dict__:
                raise FrozenError(f"{type(self).__name__} is a value: {name!r} cannot be deleted")
            object.__delattr__(self, name)

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if type(self) is not type(other):
            return NotImplemented
        return value_of(self) == value_of(cast("Value", other))

    def __hash__(self) -> int:
        hidden = hidden_of(self)
        if hidden.hash is None:
            items = frozenset((name, _hash(value)) for name, value in value_of(self).items())
            hidden.hash = hash((type(self), items))
        return hidden.hash

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}={brief(value, 200)}" for name, value in value_of(self).items())
        return f"{type(self).__name__}({inside})"

    def __copy__(self: V) -> V:
        return self  # a value needs no second one

    def __deepcopy__(self: V, memo: Any) -> V:
        return self

    def __getstate__(self) -> tuple[dict[str, Any], Mapping[str, Param], tuple[str, ...], bool]:
        hidden = hidden_of(self)
        return value_of(self), hidden.params, hidden.parts, hidden.swapped

    def __setstate__(self, state: tuple[dict[str, Any], Mapping[str, Param], tuple[str, ...], bool]) -> None:
        values, params, parts, swapped = state
        vars(self).update(values)
        vars(self)[HIDDEN] = Hidden(params, parts, swapped)


def value_of(module: Value) -> dict[str, Any]:
    """All attributes of a module that make up its value, by name."""
    return {name: value for name, value in vars(module).items() if name != HIDDEN}


def hidden_of(module: Value) -> Hidden:
    """What a module knows besides its value."""
    try:
        return vars(module)[HIDDEN]
    except KeyError:
        raise UsageError(
            f"{type(module).__name__} is used before its construction is done: it is still in its __init__"
        ) from None


def declared(module: Value) -> Mapping[str, Param]:
    """The parameters that a module declared with `param`, by name; their values may have been changed since."""
    return hidden_of(module).params


def changed(module: V, attributes: Mapping[str, Any]) -> V:
    """A copy of a module with some attributes replaced; everything else is shared."""
    hidden = hidden_of(module)
    state = value_of(module)
    parts = set(hidden.parts)
    for name, value in attributes.items():
        state[name] = frozen(value, name)
        (parts.add if _holds_parts(state[name]) else parts.discard)(name)
    new = object.__new__(type(module))
    _seal(new, state, hidden.params, tuple(name for name in state if name in parts))
    hidden_of(new).swapped = hidden.swapped
    return new


def walk(module: Value, prefix: str = "") -> Iterator[tuple[str, Module]]:
    """Every module of a program with its path, the program itself first under ""."""
    yield prefix, cast("Module", module)
    state = vars(module)
    for name in hidden_of(module).parts:
        yield from _walk_value(state[name], f"{prefix}.{name}" if prefix else name)


def frozen(value: Any, where: str) -> Any:
    """Containers as values that cannot change: lists as tuples, dicts as `FrozenDict`, sets as frozensets.

    `where` is the path, for errors. Raises `UsageError` for a part in a place where it would not be found.
    """
    if isinstance(value, Param):
        raise UsageError(f"{where!r}: param(...) declares an attribute of its own; it cannot stand inside another")
    if isinstance(value, Recipe):
        raise UsageError(
            f"{where!r} is a strategy without a signature, which can do nothing yet: {value!r}. Give it one: "
            f"{value.kind.__name__}(QA, ...)"
        )
    if type(value) in (list, tuple):
        return tuple(frozen(item, f"{where}.{index}") for index, item in enumerate(value))
    if isinstance(value, dict | types.MappingProxyType):
        return _frozen_dict(cast("Mapping[Any, Any]", value), where)
    inside = _inside(value)
    if any(_holds_parts(item) for item in inside):
        raise UsageError(
            f"{where!r} holds parts in a {type(value).__name__}, where they would be neither found nor tuned; "
            f"use a list, a tuple or a dict"
        )
    return frozenset(cast("set[Any]", value)) if type(value) is set else value


def _frozen_dict(value: Mapping[Any, Any], where: str) -> Any:
    if type(value) not in (dict, FrozenDict, types.MappingProxyType) and not _holds_parts(value):
        return value  # a kind of dict of the user's own, with plain data in it
    if _holds_parts(value):
        steps = [str(key) for key in value]
        for step in steps:
            if not step or "." in step or steps.count(step) > 1:
                raise UsageError(
                    f"{where!r}: the keys of a dict of parts are steps of paths, each its own, not empty and without "
                    f"a dot; got {step!r}"
                )
    return FrozenDict({key: frozen(item, f"{where}.{key}") for key, item in value.items()})


def _inside(value: Any) -> Iterable[Any]:
    """What a container holds that paths do not lead into."""
    if isinstance(value, set | frozenset | deque | tuple | list):
        return cast("Iterable[Any]", value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, field.name, None) for field in dataclasses.fields(value)]
    if isinstance(value, functools.partial):
        call = cast("functools.partial[Any]", value)
        return (call.func, *call.args, *call.keywords.values())
    if isinstance(value, types.MethodType):
        return (value.__self__,)
    own = getattr(value, "__dict__", None)  # an ordinary object, such as a SimpleNamespace
    plain = isinstance(own, dict) and not isinstance(value, type | Value | types.ModuleType | types.FunctionType)
    return list(cast("dict[str, Any]", own).values()) if plain else ()


def _holds_parts(value: Any) -> bool:
    if isinstance(value, Value | Param):
        return True
    if isinstance(value, list | tuple):
        return any(_holds_parts(item) for item in cast("Iterable[Any]", value))
    if isinstance(value, dict | types.MappingProxyType):
        return any(_holds_parts(item) for item in cast("Mapping[Any, Any]", value).values())
    return False


def _freeze(module: Value) -> None:
    """Make a just-built module a value."""
    _compare_by_content(type(module))
    own = vars(module)
    given = {**{name: part for name, part in _class_parts(type(module)).items() if name not in own}, **own}
    params: dict[str, Param] = {}
    state: dict[str, Any] = {}
    for name, value in given.items():
        if name in module._reserved:
            raise UsageError(
                f"{type(module).__name__} cannot have an attribute {name!r}: it would hide the method of that name"
            )
        if "." in name:
            raise UsageError(f"an attribute of a module cannot have a dot in its name; got {name!r}")
        if isinstance(value, Param):
            params[name] = value
            value = value.value
            if _holds_parts(value):
                raise UsageError(f"{name!r} is a part already; param(...) is for plain values")
        state[name] = frozen(value, name)
    _seal(module, state, params, tuple(name for name, value in state.items() if _holds_parts(value)))


def _class_parts(cls: type) -> dict[str, Any]:
    """Parts and parameters that stand in the class body, as inherited."""
    found: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        for name, value in vars(base).items():
            if not name.startswith("__") and (_holds_parts(value) or isinstance(value, Recipe)):
                found[name] = value
            else:
                found.pop(name, None)
    return found


def _seal(module: Value, state: dict[str, Any], params: Mapping[str, Param], parts: tuple[str, ...]) -> None:
    """Give a module its value. From here on it is frozen."""
    seen: set[int] = set()
    for name in parts:
        state[name] = _distinct(state[name], seen, name)
    own = vars(module)
    own.clear()
    own.update(state)
    own[HIDDEN] = Hidden(params, parts)


def _distinct(value: Any, seen: set[int], where: str) -> Any:
    """The value with no module in it twice: each place in the tree has a path and is tuned for itself, so a part
    that is used twice is copied."""
    if isinstance(value, Value):
        if HIDDEN not in vars(value):
            raise UsageError(f"{where!r} holds a module whose construction is not done; a program cannot hold itself")
        ids = {id(part) for _, part in walk(value)}
        if ids & seen:
            value = _copied(value)
            ids = {id(part) for _, part in walk(value)}
        seen |= ids
        return value
    if type(value) is tuple:
        items = cast("tuple[Any, ...]", value)
        new = tuple(_distinct(item, seen, where) for item in items)
        return items if all(a is b for a, b in zip(new, items, strict=True)) else new
    if type(value) is FrozenDict:
        entries = {key: _distinct(item, seen, where) for key, item in value.items()}
        return value if all(entries[key] is value[key] for key in value) else FrozenDict(entries)
    return value


def _copied(value: Any) -> Any:
    if isinstance(value, Value):
        hidden = hidden_of(value)
        new: Value = object.__new__(type(value))
        vars(new).update({name: _copied(item) for name, item in value_of(value).items()})
        vars(new)[HIDDEN] = Hidden(hidden.params, hidden.parts, hidden.swapped)
        return new
    if type(value) is tuple:
        return tuple(_copied(item) for item in cast("tuple[Any, ...]", value))
    if type(value) is FrozenDict:
        return FrozenDict({key: _copied(item) for key, item in value.items()})
    return value


def _walk_value(value: Any, path: str) -> Iterator[tuple[str, Module]]:
    if isinstance(value, Value):
        yield from walk(value, path)
    elif type(value) is tuple:
        for index, item in enumerate(cast("tuple[Any, ...]", value)):
            yield from _walk_value(item, f"{path}.{index}")
    elif type(value) is FrozenDict:
        for key, item in value.items():
            yield from _walk_value(item, f"{path}.{key}")


def _hash(value: Any) -> int:
    try:
        return hash(value)
    except TypeError:  # some settings hold dicts; equality still tells them apart
        return 0


def _compare_by_content(cls: type) -> None:
    """Undo the `__eq__` that `@dataclass` generates: it would not see parts that are no fields of the dataclass."""
    for base in cls.__mro__:
        own = vars(base)
        if "__dataclass_params__" in own and "__eq__" in own:
            code = getattr(own["__eq__"], "__code__", None)
            if code is not None and code.co_filename == "<string>":
                type.__setattr__(base, "__eq__", Value.__eq__)
                type.__setattr__(base, "__hash__", Value.__hash__)

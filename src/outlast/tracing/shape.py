"""The JSON-ready shape of code and of the data that it names: equal for what does the same, in every process."""

from __future__ import annotations

import dataclasses
import functools
import re
import sys
import sysconfig
import types
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum
from typing import Any, cast

from outlast.data.jsonform import content_hash, json_form
from outlast.errors import DataError
from outlast.messages import canonical
from outlast.tracing.source import changed_attributes, changed_globals, code_text, loaded_names, source_of

IDENTITY = "__outlast_identity__"  # a function may carry its own identity: what a factory was called with
NEEDS = "__outlast_needs__"  # of a metric that looks at fields by name: inputs, outputs, and targets as `target.name`
RUBRIC = "__outlast_rubric__"  # of a metric that judges by one: its JSON
JUDGED_BY = "__outlast_judged_by__"  # of a metric that asks models: their identities
_DEEPEST = 40  # levels of data in data
_LIBRARIES = tuple(
    path for key in ("stdlib", "platstdlib", "purelib", "platlib") if (path := sysconfig.get_paths().get(key))
)
_NOISE = frozenset(
    {"__module__", "__dict__", "__weakref__", "__doc__", "__qualname__", "__annotations__", "__dataclass_params__"}
    | {"__dataclass_fields__", "__match_args__", "__parameters__", "__orig_bases__", "__abstractmethods__", "__hash__"}
    | {"__slots__", "__signature__", "__firstlineno__", "__static_attributes__", "__classcell__"}
)


class Shaper:
    """Walks from one function, class or program to all that it names.

    Functions and classes are nodes of a list, each once, and named by their place in it, so that cycles end; data
    stands where it is used.
    """

    def __init__(self, root: Any) -> None:
        self._root = root
        self._home = getattr(root, "__module__", None) or type(root).__module__
        self._places: dict[int, int] = {}
        self._waiting: deque[Any] = deque()
        self._inside: set[int] = set()  # containers and objects that are being walked

    def whole(self) -> list[Any]:
        """The shape of the root, then of every function and class that it leads to, in the order of discovery."""
        nodes = [self._value(self._root)]
        while self._waiting:
            thing = self._waiting.popleft()
            nodes.append(self._class(thing) if isinstance(thing, type) else self._function(thing))
        return nodes

    def _value(self, value: Any) -> Any:
        if value is None or type(value) in (str, bool, int):
            return value
        if type(value) in (float, complex, bytes, range, slice) or value is Ellipsis:
            return [type(value).__name__, repr(value)]
        return self._callable(value) if callable(value) else self._data(value)

    def _place(self, thing: Any) -> list[Any]:
        if id(thing) not in self._places:
            self._places[id(thing)] = len(self._places)
            self._waiting.append(thing)
        return ["node", self._places[id(thing)]]

    # What can be called

    def _callable(self, thing: Any) -> Any:
        own = getattr(thing, "__dict__", {})
        if isinstance(own.get(IDENTITY), str) and "__wrapped__" not in own:
            return ["identity", own[IDENTITY]]
        if isinstance(thing, types.FunctionType):
            plain = not (thing.__closure__ or thing.__defaults__ or thing.__kwdefaults__ or "__wrapped__" in own)
            return _name(thing) if plain and thing is not self._root and not self._own(thing) else self._place(thing)
        if isinstance(thing, types.MethodType):
            return ["method", self._value(thing.__func__), self._value(thing.__self__)]
        if isinstance(thing, functools.partial):
            partial = cast("functools.partial[Any]", thing)
            return ["partial", *map(self._value, (partial.func, partial.args, partial.keywords))]
        if isinstance(thing, type):
            return self._type(thing)
        if isinstance(thing, types.BuiltinFunctionType | types.MethodWrapperType):
            owner = thing.__self__
            held = None if isinstance(owner, types.ModuleType) else self._value(owner)
            return [*_name(thing), held]
        if hasattr(thing, "__wrapped__") and not self._own(type(thing)):  # lru_cache and the like
            return ["wrapped", type(thing).__name__, self._value(thing.__wrapped__)]
        return self._data(thing)

    def _function(self, function: types.FunctionType) -> list[Any]:
        wrapped = vars(function).get("__wrapped__")
        own = self._own(function) or function is self._root
        return [
            "function",
            source_of(function) or code_text(function.__code__),
            self._value(function.__defaults__),
            self._value(function.__kwdefaults__),
            self._closed(function),
            None if wrapped is None else self._value(wrapped),
            self._named(function) if own else None,
        ]

    def _closed(self, function: types.FunctionType) -> list[Any]:
        changes = changed_globals(function)
        shapes: list[Any] = []
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            try:
                value = cell.cell_contents
            except ValueError:  # a name that is assigned later
                shapes.append(["empty"])
                continue
            shapes.append(_kind(value) if name in changes else self._value(value))
        return shapes

    def _named(self, function: types.FunctionType) -> dict[str, Any]:
        """The things of the module that a function names, without those that it changes itself."""
        globals_, attributes = loaded_names(function.__code__)
        changes = changed_globals(function)
        found: dict[str, Any] = {}
        for name in sorted(globals_):
            if name not in function.__globals__:
                continue
            value = function.__globals__[name]
            if name in changes:
                found[name] = _kind(value)
            elif isinstance(value, types.ModuleType):
                found[name] = self._module(value, attributes)
            else:
                found[name] = self._value(value)
        return found

    def _module(self, module: types.ModuleType, attributes: Iterable[str]) -> list[Any]:
        """A module that a function names: of the user's own, what the function may read of it."""
        if not self._own_module(module.__name__):
            return ["module", module.__name__]
        held = vars(module)
        parts = [
            [name, self._value(held[name])]
            for name in sorted(attributes)
            if name in held and not isinstance(held[name], types.ModuleType)
        ]
        return ["module", module.__name__, parts]

    # Classes

    def _type(self, cls: type) -> list[Any]:
        from outlast.signatures.signature import SignatureType

        if isinstance(cls, SignatureType):
            return ["signature", cls.key, *map(self._value, cls.checks)]
        return self._place(cls) if self._own(cls) or cls is self._root else _name(cls)

    def _class(self, cls: type[Any]) -> list[Any]:
        head = ["class", cls.__qualname__, [self._type(base) for base in cls.__bases__]]
        notes = {name: _text(note) for name, note in vars(cls).get("__annotations__", {}).items()}
        return [*head, notes, self._members(cls)]

    def _members(self, cls: type[Any]) -> dict[str, Any]:
        if issubclass(cls, Enum):
            return self._choices(cls)
        generated = any(name.startswith("__pydantic") for name in vars(cls))
        changes = changed_attributes(cls)
        members: dict[str, Any] = {}
        for name, value in sorted(vars(cls).items()):
            if name in _NOISE or name.startswith(("_abc_", "_outlast", "__pydantic")):
                continue
            if generated and name.startswith(("__", "model_")) and not isinstance(value, types.FunctionType):
                continue
            members[name] = _kind(value) if name in changes else self._member(value)
        if generated:
            members["fields"] = _text(getattr(cls, "model_fields", getattr(cls, "__pydantic_fields__", None)))
        return members

    def _choices(self, cls: type[Enum]) -> dict[str, Any]:
        values = {f"member {member.name}": self._value(member.value) for member in cls}
        return values | {n: self._value(v) for n, v in vars(cls).items() if isinstance(v, types.FunctionType)}

    def _member(self, value: Any) -> Any:
        if isinstance(value, property):
            return ["property", *map(self._value, (value.fget, value.fset, value.fdel))]
        if isinstance(value, functools.cached_property):
            return ["property", self._value(cast("functools.cached_property[Any]", value).func)]
        if isinstance(value, staticmethod | classmethod):
            return [cast("Any", value).__class__.__name__, self._value(cast("Any", value).__func__)]
        if isinstance(value, types.MemberDescriptorType | types.GetSetDescriptorType | types.WrapperDescriptorType):
            return _kind(value)
        return self._value(value)

    # Data

    def _data(self, value: Any) -> Any:
        if isinstance(value, Iterator):
            return _kind(value)  # to look at what an iterator or a file gives would use it up
        if id(value) in self._inside or len(self._inside) >= _DEEPEST:
            return ["deeper", *_kind(value)]
        self._inside.add(id(value))
        try:
            return self._held(value)
        finally:
            self._inside.discard(id(value))

    def _held(self, value: Any) -> Any:
        """The shape of something that holds other things, or that is known by what it says of itself."""
        if isinstance(value, Enum):
            return ["enum", self._type(type(value)), value.name]
        if isinstance(value, re.Pattern):
            pattern = cast("re.Pattern[Any]", value)
            return ["pattern", repr(pattern.pattern), pattern.flags]
        if type(value) in (list, tuple, deque):
            return [type(value).__name__, *map(self._value, value)]
        if isinstance(value, set | frozenset):
            shapes = [self._value(item) for item in cast("set[Any]", value)]
            return ["set", *sorted(shapes, key=canonical)]
        if isinstance(value, dict | types.MappingProxyType):
            items = cast("Mapping[Any, Any]", value).items()
            return ["dict", *([self._value(key), self._value(item)] for key, item in items)]
        return self._object(value)

    def _object(self, value: Any) -> Any:
        from outlast.data.dataset import Dataset
        from outlast.data.example import Example, id_of
        from outlast.lms.protocol import LM
        from outlast.modules.module import Module
        from outlast.modules.values import value_of

        cls = cast("type[Any]", type(value))
        if isinstance(value, LM):
            return ["lm", self._type(cls), value.identity]
        if isinstance(value, Dataset | Example):
            return ["data", value.hash if isinstance(value, Dataset) else id_of(value)]
        if isinstance(value, Module):
            return ["program", self._type(cls), self._state(value_of(value))]
        if dataclasses.is_dataclass(value):
            state = {field.name: getattr(value, field.name, None) for field in dataclasses.fields(value)}
            return ["object", self._type(cls), self._state(state, changed_attributes(cls))]
        if self._own(cls) and not isinstance(value, str | int | float | list | tuple):
            return ["object", self._type(cls), self._state(_attributes(value), changed_attributes(cls))]
        return ["value", self._type(cls), _said(value)]

    def _state(self, state: Mapping[str, Any], changes: frozenset[str] = frozenset()) -> dict[str, Any]:
        return {name: _kind(held) if name in changes else self._value(held) for name, held in state.items()}

    # Whose it is

    def _own(self, thing: Any) -> bool:
        return self._own_module(getattr(thing, "__module__", None) or "")

    def _own_module(self, name: str) -> bool:
        """Whether a module is the user's: the one where the root is, or no part of outlast, Python or a package."""
        return name == self._home if name.partition(".")[0] == "outlast" else _is_user_module(name)


def _is_user_module(name: str) -> bool:
    top = name.partition(".")[0]
    if not top or (top in sys.stdlib_module_names and top != "__main__"):
        return False
    file = getattr(sys.modules.get(name), "__file__", None)
    return file is None or not (file.startswith(_LIBRARIES) or "site-packages" in file or "dist-packages" in file)


def _attributes(value: Any) -> dict[str, Any]:
    slots = [name for cls in type(value).__mro__ for name in _slots(cls)]
    held = {name: getattr(value, name) for name in slots if hasattr(value, name)}
    return held | cast("dict[str, Any]", getattr(value, "__dict__", {}))


def _slots(cls: type) -> tuple[str, ...]:
    names: Any = vars(cls).get("__slots__", ())
    listed: tuple[str, ...] = (names,) if isinstance(names, str) else tuple(names)
    return tuple(name for name in listed if not name.startswith("__"))


def _name(thing: Any) -> list[Any]:
    return ["name", getattr(thing, "__module__", ""), getattr(thing, "__qualname__", "")]


def _kind(value: Any) -> list[Any]:
    return ["kind", type(value).__module__, type(value).__qualname__]


def _text(value: Any) -> str:
    return re.sub(r"0x[0-9a-fA-F]+", "", value if isinstance(value, str) else repr(value))


def _said(value: Any) -> Any:
    """What an object of a library says of itself: its JSON form, else a repr that reads like code, else nothing."""
    try:
        form = json_form(value)
        return content_hash(form) if isinstance(form, list | dict) else form
    except (DataError, RecursionError):
        pass
    show: Callable[[Any], str] = repr
    try:
        text = show(value)
    except Exception:
        return None
    return None if text.startswith("<") or " at 0x" in text else text

"""Programs: frozen values made of parts, run by one coroutine whether called blocking or async."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import types
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast

from outlast.errors import FrozenError, InputError, UsageError, brief, did_you_mean
from outlast.messages import Message
from outlast.runtime import Run, Trace, current, drive, enter, leave, run_blocking
from outlast.signatures.record import Record, attach_trace

T = TypeVar("T")
M = TypeVar("M", bound="Module")

_HIDDEN = "_outlast"  # the one attribute of a module that is not part of its value
_recent: deque[weakref.ref[Trace]] = deque(maxlen=100)
_threads: ThreadPoolExecutor | None = None


class FrozenDict(dict[str, Any]):
    """A dict that cannot change; what a dict attribute of a module becomes."""

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise FrozenError("a program is a value; use update(program, {path: value}) to get a changed one")

    __setitem__ = __delitem__ = pop = popitem = clear = update = setdefault = __ior__ = _refuse

    def __hash__(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        return hash(frozenset(self))

    def __reduce__(self) -> Any:
        return FrozenDict, (dict(self),)


@dataclass(frozen=True, slots=True)
class Param:
    """A tunable value that a module declares for itself; see `param`."""

    value: Any
    desc: str = ""


def param(value: T, desc: str = "") -> T:
    """Declare a tunable parameter of a module: `threshold = ol.param(0.5)`.

    On the module it reads as the plain value; `parameters` lists it under its name and `update` changes it.
    """
    return cast("T", Param(value, desc))


class ModuleType(type):
    """Freezes a module when its construction is done."""

    if not TYPE_CHECKING:

        def __call__(cls, *args: Any, **kwargs: Any) -> Any:
            module = super().__call__(*args, **kwargs)
            _freeze(module)
            return module


class Hidden:
    """What a module remembers besides its value: caches that any call may rebuild."""

    __slots__ = ("params", "paths", "plans")

    def __init__(self, params: tuple[str, ...]) -> None:
        self.params = params
        self.paths: Mapping[int, str] | None = None
        self.plans: dict[Any, Any] = {}


class Module(metaclass=ModuleType):
    """A program: parts (other modules), settings, and a `forward` in plain Python.

        class Answer(ol.Module):
            find = ol.Predict("question -> query")
            answer = ol.ChainOfThought("question, passages: list[str] -> answer")

            def forward(self, question):
                passages = search(self.find(question=question).query)
                return self.answer(question=question, passages=passages)

    Parts may also be assigned in `__init__`, alone or in lists, tuples and dicts, nested; lists become tuples. After
    construction a module is a value: it cannot be assigned to, compares by content, and `update` gives a changed
    copy. `forward` may be `def` (call parts) or `async def` (`await part.acall(...)`); either kind can be called as
    `program(...)` and `await program.acall(...)`. A `def forward` awaited from async code runs in a thread.
    """

    if not TYPE_CHECKING:

        def __setattr__(self, name: str, value: Any) -> None:
            if _HIDDEN in self.__dict__:
                raise FrozenError(
                    f"{type(self).__name__} is a value: {name!r} cannot be assigned. "
                    f"Use update(program, {{{name!r}: ...}}), which gives a new program."
                )
            object.__setattr__(self, name, value)

        def __delattr__(self, name: str) -> None:
            raise FrozenError(f"{type(self).__name__} is a value: {name!r} cannot be deleted")

    def forward(self, **inputs: Any) -> Any:
        """What the program does; define it in a subclass."""
        raise UsageError(f"{type(self).__name__} defines no forward(...)")

    def __call__(self, /, *args: Any, **inputs: Any) -> Any:
        """Run the program and wait. Raises `InputError` for inputs that do not fit."""
        run = current()
        if not run.blocking:
            raise UsageError(
                f"{type(self).__name__} was called without await inside async code; "
                f"use `await program.acall(...)` there"
            )
        values = self._bind(args, inputs) if args else inputs
        if run.root is not None:
            return drive(self._invoke(values))
        return drive(self._start(values, blocking=True))

    async def acall(self, /, *args: Any, **inputs: Any) -> Any:
        """Run the program from async code. Takes and gives what a call does."""
        values = self._bind(args, inputs) if args else inputs
        run = current()
        if run.root is not None:
            return await self._invoke(values)
        return await self._start(values, blocking=False)

    def render(self, /, *args: Any, **inputs: Any) -> tuple[Message, ...]:
        """The messages that a call with these inputs sends first, without calling a model. Cost: no LM call.

        A program of several steps runs its own code up to its first question.
        """
        from outlast.modules.dry import render_first

        return render_first(self, self._bind(args, inputs) if args else inputs)

    def _bind(self, args: tuple[Any, ...], inputs: dict[str, Any]) -> dict[str, Any]:
        """Positional arguments by name."""
        try:
            bound = inspect.signature(self.forward).bind_partial(*args, **inputs)
        except TypeError as error:
            raise InputError(f"{type(self).__name__}: {error}") from None
        return dict(bound.arguments)

    async def _start(self, inputs: Mapping[str, Any], *, blocking: bool) -> Any:
        """Run as the root of a call: everything below belongs to it."""
        outer = current()
        trace = Trace()
        run = Run(
            outer.lm,
            outer.adapter,
            trace,
            outer.meter,
            outer.memo,
            outer.label,
            outer.sample,
            blocking,
            self,
            self._paths(),
        )
        _recent.append(weakref.ref(trace))
        token = enter(run)
        try:
            result = await self._invoke(inputs)
        finally:
            leave(token)
            if outer.trace is not None:
                outer.trace.extend(trace)
        if isinstance(result, Record):
            attach_trace(result, trace)
        return result

    async def _invoke(self, inputs: Mapping[str, Any]) -> Any:
        """Run `forward` in the way that fits it and the caller."""
        cls = type(self)
        _check_forward(cls, inputs)
        blocking = current().blocking
        if inspect.iscoroutinefunction(cls.forward):
            if blocking:
                return run_blocking(lambda: cast("Any", self.forward(**inputs)))
            return await cast("Any", self.forward(**inputs))
        if blocking:
            return self.forward(**inputs)
        return await _in_thread(lambda: self.forward(**inputs))

    def _paths(self) -> Mapping[int, str]:
        hidden: Hidden = self.__dict__[_HIDDEN]
        if hidden.paths is None:
            hidden.paths = {id(part): path for path, part in walk(self)}
        return hidden.paths

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return value_of(self) == value_of(cast("Module", other))

    def __hash__(self) -> int:
        return hash((type(self).__qualname__, *(name for name in value_of(self))))

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}={brief(value, 200)}" for name, value in value_of(self).items())
        return f"{type(self).__name__}({inside})"

    def __getstate__(self) -> dict[str, Any]:
        state = value_of(self)
        state["_outlast_params"] = self.__dict__[_HIDDEN].params
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        params = state.pop("_outlast_params")
        self.__dict__.update(state)
        self.__dict__[_HIDDEN] = Hidden(params)


def value_of(module: Module) -> dict[str, Any]:
    """All attributes of a module that make up its value, by name."""
    return {name: value for name, value in module.__dict__.items() if name != _HIDDEN}


def declared(module: Module) -> tuple[str, ...]:
    """Names of the parameters that a module declared with `param`."""
    return module.__dict__[_HIDDEN].params


def plans_of(module: Module) -> dict[Any, Any]:
    """The plans that a module has compiled so far."""
    return module.__dict__[_HIDDEN].plans


def changed(module: M, attributes: Mapping[str, Any]) -> M:
    """A copy of a module with some attributes replaced; everything else is shared."""
    new = object.__new__(type(module))
    new.__dict__.update(value_of(module))
    for name, value in attributes.items():
        new.__dict__[name] = _frozen(value)
    seen: set[int] = set()
    for name, value in list(new.__dict__.items()):
        new.__dict__[name] = _distinct(value, seen)
    new.__dict__[_HIDDEN] = Hidden(declared(module))
    return new


def walk(module: Module, prefix: str = "") -> Iterator[tuple[str, Module]]:
    """Every module of a program with its path, the program itself first under ""."""
    yield prefix, module
    for name, value in value_of(module).items():
        yield from _walk_value(value, f"{prefix}.{name}" if prefix else name)


def _walk_value(value: Any, path: str) -> Iterator[tuple[str, Module]]:
    if isinstance(value, Module):
        yield from walk(value, path)
    elif isinstance(value, tuple):
        for index, item in enumerate(cast("tuple[Any, ...]", value)):
            yield from _walk_value(item, f"{path}.{index}")
    elif isinstance(value, dict):
        for key, item in cast("dict[Any, Any]", value).items():
            yield from _walk_value(item, f"{path}.{key}")


def recent_traces() -> list[Trace]:
    """Traces of recent calls, oldest first, as far as somebody still holds them."""
    return [trace for ref in list(_recent) if (trace := ref()) is not None]


def _freeze(module: Module) -> None:
    """Make a just-built module a value."""
    state = module.__dict__
    parts: dict[str, Any] = {}
    for cls in reversed(type(module).__mro__):
        for name, value in cls.__dict__.items():
            if name not in state and not name.startswith("__") and _is_part(value):
                parts[name] = value
    state.update(parts)
    params = [name for name, value in state.items() if isinstance(value, Param)]
    seen: set[int] = set()
    for name, value in list(state.items()):
        plain = value.value if isinstance(value, Param) else value
        if "." in name:
            raise UsageError(f"an attribute of a module cannot have a dot in its name; got {name!r}")
        state[name] = _distinct(_frozen(plain), seen)
    state[_HIDDEN] = Hidden(tuple(params))


def _is_part(value: Any) -> bool:
    if isinstance(value, Module | Param):
        return True
    if isinstance(value, list | tuple):
        return any(_is_part(item) for item in cast("list[Any]", value))
    if isinstance(value, dict):
        return any(_is_part(item) for item in cast("dict[Any, Any]", value).values())
    return False


def _frozen(value: Any) -> Any:
    """Containers as values that cannot change: lists as tuples, dicts as `FrozenDict`, sets as frozensets."""
    if type(value) in (list, tuple):
        return tuple(_frozen(item) for item in value)
    if type(value) in (dict, FrozenDict, types.MappingProxyType):
        for key in value:
            if isinstance(key, str) and "." in key and _is_part(value[key]):
                raise UsageError(
                    f"a dict of parts cannot have a key with a dot, which paths use; got {key!r}"
                )
        return FrozenDict({key: _frozen(item) for key, item in value.items()})
    if type(value) is set:
        return frozenset(cast("set[Any]", value))
    return value


def _distinct(value: Any, seen: set[int]) -> Any:
    """The value with no module in it twice: a tree has a path for each part, so a part used twice is copied."""
    if isinstance(value, Module):
        inside = {id(part) for _, part in walk(value)}
        if inside & seen:
            value = _copied(value)
            inside = {id(part) for _, part in walk(value)}
        seen |= inside
        return value
    if type(value) is tuple:
        return tuple(_distinct(item, seen) for item in cast("tuple[Any, ...]", value))
    if type(value) is FrozenDict:
        return FrozenDict({key: _distinct(item, seen) for key, item in value.items()})
    return value


def _copied(module: Module) -> Module:
    new = object.__new__(type(module))
    for name, value in value_of(module).items():
        new.__dict__[name] = _copied_value(value)
    new.__dict__[_HIDDEN] = Hidden(declared(module))
    return new


def _copied_value(value: Any) -> Any:
    if isinstance(value, Module):
        return _copied(value)
    if type(value) is tuple:
        return tuple(_copied_value(item) for item in cast("tuple[Any, ...]", value))
    if type(value) is FrozenDict:
        return FrozenDict({key: _copied_value(item) for key, item in value.items()})
    return value


_FORWARDS: weakref.WeakKeyDictionary[type, tuple[frozenset[str], tuple[str, ...]] | None] = (
    weakref.WeakKeyDictionary()
)


def _check_forward(cls: type[Module], inputs: Mapping[str, Any]) -> None:
    """Refuse inputs that `forward` does not take, before anything runs."""
    try:
        known = _FORWARDS[cls]
    except KeyError:
        known = _FORWARDS[cls] = _forward_names(cls.forward)
    if known is None:
        return
    names, required = known
    for name in inputs:
        if name not in names:
            raise InputError(
                f"{cls.__name__} has no input {name!r}.{did_you_mean(name, names)} Inputs: {', '.join(sorted(names))}."
            )
    for name in required:
        if name not in inputs:
            raise InputError(
                f"{cls.__name__} needs the input {name!r}; given: {', '.join(inputs) or 'none'}."
            )


def _forward_names(forward: Callable[..., Any]) -> tuple[frozenset[str], tuple[str, ...]] | None:
    parameters = list(inspect.signature(forward).parameters.values())[1:]
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    named = [p for p in parameters if p.kind is not p.VAR_POSITIONAL]
    return frozenset(p.name for p in named), tuple(p.name for p in named if p.default is p.empty)


async def _in_thread(call: Callable[[], T]) -> T:
    """Run a blocking forward in a thread of our own pool, with this run's context."""
    global _threads
    if _threads is None:
        _threads = ThreadPoolExecutor(512, thread_name_prefix="outlast-forward")
    run = current()

    def work() -> T:
        token = enter(replace(run, blocking=True))
        try:
            return call()
        finally:
            leave(token)

    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_threads, contextvars.copy_context().run, work)

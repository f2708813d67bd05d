"""Programs: values made of parts, run by one coroutine whether called blocking or async."""

from __future__ import annotations

import inspect
import weakref
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from types import CoroutineType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, ParamSpec, Protocol, TypeVar, cast, overload

from outlast.errors import InputError, UsageError, did_you_mean
from outlast.messages import Message
from outlast.modules.values import Value, hidden_of
from outlast.modules.values import declared as declared
from outlast.modules.values import walk as walk
from outlast.runtime import (
    Run,
    Trace,
    blocking,
    current,
    drive,
    enter,
    in_thread,
    leave,
    recording,
    run_blocking,
    running,
    running_loop,
)
from outlast.runtime.run import RUN
from outlast.signatures.record import Record, attach_trace
from outlast.signatures.rules import is_rule

if TYPE_CHECKING:
    from outlast.adapters.protocol import Adapter
    from outlast.lms.protocol import LM
    from outlast.modules.streaming import Stream

    P = ParamSpec("P")
    R = TypeVar("R")
    R_co = TypeVar("R_co", covariant=True)

    class Flow(Protocol[P, R_co]):
        """Anything with a `forward`: how a type checker learns what a call of a program takes and gives."""

        def forward(self, *args: P.args, **inputs: P.kwargs) -> R_co: ...


_recent: deque[weakref.ref[Trace]] = deque(maxlen=100)


class Shown:
    """What `inspect.signature`, and so a notebook's help, shows: the inputs of a program, the options of a class."""

    def __get__(self, module: Module | None, cls: type[Module]) -> inspect.Signature:
        if module is not None:
            return module._shown()
        if cls.__init__ is object.__init__:
            return inspect.Signature()
        made = inspect.signature(cls.__init__)
        return made.replace(parameters=list(made.parameters.values())[1:], return_annotation=made.empty)


class Module(Value):
    """A program: parts (other modules), settings, and a `forward` in plain Python.

        class Answer(ol.Module):
            find = ol.Predict("question -> query")
            answer = ol.ChainOfThought("question, passages: list[str] -> answer")

            def forward(self, question: str):
                passages = search(self.find(question=question).query)
                return self.answer(question=question, passages=passages)

    Parts may also be assigned in `__init__`, alone or in lists, tuples and dicts, nested; lists become tuples.
    After construction a module is a value: it cannot be assigned to, compares by content, and `update` gives a
    changed copy. `forward` may be `def` (call parts) or `async def` (`await part.acall(...)`); either kind can be
    called as `program(...)` and `await program.acall(...)`. A `def forward` awaited from async code runs in a
    thread, an `async def forward` in a blocking call on an event loop of its own.

    Steps that can run at the same time belong in an `async def forward`, with `outlast.gather`. One that waits only
    through parts, `outlast.gather`, `outlast.io` and `outlast.sleep` needs no event loop: with `blocking_safe = True`
    in the class, blocking calls drive it in place.

    Checks that stand in the class body (`@ol.check def short(answer): ...`) are run around `forward`: those that need
    its inputs only before it, others on what it gives.
    """

    __signature__ = Shown()
    blocking_safe: ClassVar[bool] = False
    _guards_signature: ClassVar[bool] = False  # it runs the checks of its signature around `forward`
    _reserved = frozenset(("acall", "blocking_safe", "export", "forward", "render", "stream"))

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name, value in vars(cls).items():
            if is_rule(value):
                if name in cls._reserved:
                    raise UsageError(f"{cls.__name__} has a check named {name!r}, which is a method of every module")
                from outlast.checks.fitting import refuse_retry

                refuse_retry(cast("Any", value).named(name), f"module {cls.__name__}")

    def forward(self, *args: Any, **inputs: Any) -> Any:
        """What the program does. Every program defines its own."""
        raise NotImplementedError

    if TYPE_CHECKING:

        @overload
        def __call__(self: Flow[P, Coroutine[Any, Any, R]], *args: P.args, **inputs: P.kwargs) -> R: ...
        @overload
        def __call__(self: Flow[P, R], *args: P.args, **inputs: P.kwargs) -> R: ...
        def __call__(self, *args: Any, **inputs: Any) -> Any: ...

        @overload
        async def acall(self: Flow[P, Coroutine[Any, Any, R]], *args: P.args, **inputs: P.kwargs) -> R: ...
        @overload
        async def acall(self: Flow[P, R], *args: P.args, **inputs: P.kwargs) -> R: ...
        async def acall(self, *args: Any, **inputs: Any) -> Any: ...

        def render(self: Flow[P, Any], *args: P.args, **inputs: P.kwargs) -> tuple[Message, ...]: ...

        @overload
        def stream(self: Flow[P, Coroutine[Any, Any, R]], *args: P.args, **inputs: P.kwargs) -> Stream[R]: ...
        @overload
        def stream(self: Flow[P, R], *args: P.args, **inputs: P.kwargs) -> Stream[R]: ...
        def stream(self, *args: Any, **inputs: Any) -> Any: ...

    else:

        def __call__(self, /, *args, **inputs):
            """Run the program and wait. Raises `InputError` for inputs that do not fit."""
            run = current()
            loop = running_loop()
            if loop is not None and not run.blocking:
                raise UsageError(
                    f"{type(self).__name__} was called without await inside async code; use "
                    f"`await program.acall(...)` there"
                )
            values = self._bind(args, inputs) if args else inputs
            if run.root is None:
                return drive(self._start(values, blocking=True))
            if run.blocking and (loop is None or loop is run.loop):
                return drive(self._invoke(values) if run.sink is None else self._watched(values))
            with running(blocking=True, loop=loop):
                return drive(self._invoke(values) if run.sink is None else self._watched(values))

        async def acall(self, /, *args, **inputs):
            """Run the program from async code. Takes and gives what a call does."""
            values = self._bind(args, inputs) if args else inputs
            run = current()
            if run.root is not None:
                return await (self._invoke(values) if run.sink is None else self._watched(values))
            return await self._start(values, blocking=blocking())

        def render(self, /, *args, **inputs):
            """The messages that a call with these inputs sends first, without calling a model. Cost: no LM call.

            A program of several steps runs its own code up to its first question.
            """
            from outlast.modules.dry import render_first

            return render_first(self, self._bind(args, inputs) if args else inputs)

        def stream(self, /, *args, **inputs):
            """Run the program and get what happens in it: `for event in program.stream(...)`, or `async for`.

            Takes what a call does and checks it at once; the program begins with the first event. See `Stream`.
            """
            from outlast.modules.streaming import Stream

            values = self._bind(args, inputs) if args else inputs
            self._check(values)
            return Stream(self, values)

    def export(
        self,
        format: Literal["messages", "jinja", "json"] = "messages",
        path: str | None = None,
        *,
        adapter: Adapter | None = None,
        lm: LM | str | None = None,
    ) -> dict[str, Any]:
        """The exact prompts of the program with slots for inputs, by the path of the predictor, as JSON-ready data.

        See `outlast.export`, which gives them as values that can be filled. Cost: no LM call.
        """
        from outlast.modules.export import export

        return {name: one.to(format) for name, one in export(self, path, adapter=adapter, lm=lm).items()}

    def _bind(self, args: tuple[Any, ...], inputs: dict[str, Any]) -> dict[str, Any]:
        """Positional arguments by name."""
        return by_name(type(self).__name__, forward_of(self).positional, args, inputs)

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
            outer.scope,
            running_loop() if blocking else None,
            outer.visiting,
            outer.threaded,
            outer.transport,
            None,
            outer.approver,
            outer.sink,
            outer.journal,
            recording(),
        )
        _recent.append(weakref.ref(trace))
        token = enter(run)
        try:
            result = await self._invoke(inputs)
        finally:
            leave(token)
            if outer.trace is not None:
                outer.trace.extend(trace)
        return _with_trace(result, trace) if isinstance(result, Record) else result

    async def _watched(self, inputs: Mapping[str, Any]) -> Any:
        """Run as a part of a program whose events are read: what it tells has its path."""
        run = current()
        assert run.sink is not None
        token = enter(replace(run, sink=replace(run.sink, at=run.paths.get(id(self)))))
        try:
            return await self._invoke(inputs)
        finally:
            leave(token)

    def _check(self, inputs: Mapping[str, Any]) -> None:
        """Raise `InputError` for inputs that do not fit."""
        how = forward_of(self)
        if how.checked:
            how.check(type(self).__name__, inputs)

    def _invoke(self, inputs: Mapping[str, Any]) -> Coroutine[Any, Any, Any]:
        """What runs `forward` in the way that fits it and the caller, who awaits it at once."""
        how = forward_of(self)
        if how.checked:
            how.check(type(self).__name__, inputs)
        if RUN.get().recording is not None:
            return self._recorded(how, inputs)
        return self._forward(how, inputs)

    def _forward(self, how: Forward, inputs: Mapping[str, Any]) -> Coroutine[Any, Any, Any]:
        if how.guarded:
            return self._guarded(how, inputs)
        if how.is_async and (self.blocking_safe or not blocking()):
            return cast("Any", self.forward)(**inputs)
        return self._elsewhere(how, inputs)

    async def _recorded(self, how: Forward, inputs: Mapping[str, Any]) -> Any:
        """Run `forward` as a span of the trace that is kept."""
        run = RUN.get()
        assert run.recording is not None
        kept = run.recording.module(self, run.paths.get(id(self)), inputs)
        if run.root is self and run.trace is not None and not run.trace.id:
            run.trace.kept_as(kept.trace)
        token = enter(run.recorded(kept))
        try:
            result = await self._forward(how, inputs)
        except BaseException as error:
            kept.end(None, error=error)
            raise
        finally:
            leave(token)
        kept.end(result)
        return result

    async def _guarded(self, how: Forward, inputs: Mapping[str, Any]) -> Any:
        """Run `forward` between the checks of the class, and of the signature where they are not run inside."""
        from outlast.modules.guarding import guarded

        async def run(values: Mapping[str, Any]) -> Any:
            if how.is_async and (self.blocking_safe or not blocking()):
                return await cast("Any", self.forward)(**values)
            return await self._elsewhere(how, values)

        return await guarded(self, how, inputs, run)

    async def _elsewhere(self, how: Forward, inputs: Mapping[str, Any]) -> Any:
        """Run a `forward` that is not awaited in place."""
        forward = cast("Callable[..., Any]", self.forward)
        if how.is_async:
            return run_blocking(lambda: forward(**inputs), visiting=True)
        result = forward(**inputs) if blocking() else await in_thread(lambda: forward(**inputs))
        if type(result) is not CoroutineType:
            return result
        # A plain function around an async one, such as a decorator makes.
        coroutine = cast("Coroutine[Any, Any, Any]", result)
        return run_blocking(lambda: coroutine, visiting=True) if blocking() else await coroutine

    def _shown(self) -> inspect.Signature:
        return inspect.signature(cast("Callable[..., Any]", self.forward))

    def _paths(self) -> Mapping[int, str]:
        hidden = hidden_of(self)
        if hidden.paths is None:
            hidden.paths = {id(part): path for path, part in walk(self)}
        return hidden.paths


@dataclass(frozen=True, slots=True)
class Forward:
    """What a `forward` takes: the names of its inputs, in order, and whether it takes any other name too. `guarded`
    says that there may be checks around it."""

    function: Any
    is_async: bool
    names: tuple[str, ...]
    required: tuple[str, ...]
    positional: tuple[str, ...]
    takes_any: bool
    guarded: bool

    @property
    def checked(self) -> bool:
        """False when it takes whatever comes."""
        return not self.takes_any or bool(self.required)

    def check(self, subject: str, inputs: Mapping[str, Any]) -> None:
        """Refuse inputs that do not fit, before anything runs."""
        listed = f"Inputs: {', '.join(self.names) or 'none'}"
        for name in () if self.takes_any else inputs:
            if name not in self.names:
                raise InputError(f"{subject} has no input {name!r}.{did_you_mean(name, self.names)} {listed}.")
        for name in self.required:
            if name not in inputs:
                given = ", ".join(inputs) or "none"
                raise InputError(f"{subject} needs the input {name!r}, which was not given. {listed}; given: {given}.")


def forward_of(module: Module) -> Forward:
    """What the `forward` of a module takes, read once per class."""
    cls = type(module)
    found: Forward | None = cls.__dict__.get("_outlast_forward")
    if found is None or found.function != cls.forward:
        found = _read_forward(module)
        type.__setattr__(cls, "_outlast_forward", found)
    return found


def _read_forward(module: Module) -> Forward:
    name = type(module).__name__
    if type(module).forward is Module.forward:
        raise UsageError(f"{name} defines no forward(...), which says what the program does")
    forward = cast("Callable[..., Any]", module.forward)
    if inspect.isgeneratorfunction(forward) or inspect.isasyncgenfunction(forward):
        raise UsageError(f"{name}.forward is a generator; a program returns its result (use return, not yield)")
    names: list[str] = []
    required: list[str] = []
    positional: list[str] = []
    takes_any = False
    for parameter in inspect.signature(forward).parameters.values():
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.VAR_POSITIONAL):
            raise UsageError(
                f"{name}.forward takes {parameter}, which cannot be given by name; inputs of a program have names"
            )
        if parameter.kind is parameter.VAR_KEYWORD:
            takes_any = True
            continue
        names.append(parameter.name)
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
            positional.append(parameter.name)
        if parameter.default is parameter.empty:
            required.append(parameter.name)
    return Forward(
        type(module).forward,
        inspect.iscoroutinefunction(forward),
        tuple(names),
        tuple(required),
        tuple(positional),
        takes_any,
        module._guards_signature
        or any(is_rule(value) for base in type(module).__mro__ for value in vars(base).values()),
    )


def by_name(subject: str, names: tuple[str, ...], args: tuple[Any, ...], inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Positional arguments together with those given by name; raises `InputError`."""
    if len(args) > len(names):
        raise InputError(
            f"{subject} takes {len(names)} inputs by position ({', '.join(names) or 'none'}); got {len(args)}"
        )
    bound = dict(zip(names, args, strict=False))
    for name in inputs:
        if name in bound:
            raise InputError(f"{subject} got the input {name!r} twice, by position and by name")
    return {**bound, **inputs}


def recent_traces() -> list[Trace]:
    """Traces of recent calls, oldest first, as far as somebody still holds them."""
    return [trace for ref in _recent.copy() if (trace := ref()) is not None]


def _with_trace(record: Record, trace: Trace) -> Record:
    """A result that knows how it came about: the record itself, or a copy when it belongs to an earlier call."""
    earlier = getattr(record, "_meta", (None,))[0]
    if earlier is trace:
        return record
    if earlier is not None:
        record = record._with(vars(record))
    attach_trace(record, trace)
    return record

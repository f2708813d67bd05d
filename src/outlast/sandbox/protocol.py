"""What a sandbox is: a value that opens sessions, and a session that runs code and keeps its variables."""

from __future__ import annotations

import json
import time
import weakref
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, ClassVar, Self

from outlast.errors import UsageError, brief
from outlast.runtime import current, drive, io, running, running_loop
from outlast.sandbox.crossing import clean, cleaned
from outlast.sandbox.values import Call, Done, Executed, Isolation, Limits, Reply, Step, Used
from outlast.tools.calling import Toolbox
from outlast.types import TRUSTED, Label


class Sandbox(ABC):
    """Where code of a model runs: `with Monty().session() as session: session.execute("1 + 1").value`.

    A value: it holds options, equal options are equal sandboxes, and no process starts before a session's first
    `execute`. Values cross as JSON, never as pickles; the environment and files of this process do not cross at all.
    `full_python`: the whole language and its standard library; `packages`: what can be imported besides;
    `isolation`: what keeps the code in.
    """

    full_python: ClassVar[bool] = False
    packages: ClassVar[frozenset[str]] = frozenset()
    isolation: ClassVar[Isolation] = "process"

    def session(self, tools: Iterable[Any] = (), limits: Limits | None = None) -> Session:
        """A new session, without any variables. `tools` are `Tool`s or typed functions, which the code calls by name.

        Raises `SandboxUnavailable`, which says what to install, when the backend is not there.
        """
        self.check()
        return Session(self, Toolbox(tools), Limits() if limits is None else limits)

    def execute(
        self,
        code: str,
        variables: Mapping[str, Any] | None = None,
        *,
        tools: Iterable[Any] = (),
        limits: Limits | None = None,
    ) -> Executed:
        """Run `code` once, in a session of its own, and wait. See `Session.execute`."""
        with self.session(tools, limits) as session:
            return session.execute(code, variables)

    async def aexecute(
        self,
        code: str,
        variables: Mapping[str, Any] | None = None,
        *,
        tools: Iterable[Any] = (),
        limits: Limits | None = None,
    ) -> Executed:
        """Like `execute`, from async code."""
        async with self.session(tools, limits) as session:
            return await session.aexecute(code, variables)

    @abstractmethod
    def check(self) -> None:
        """Raise `SandboxUnavailable` when this cannot run here. Starts nothing, and costs little."""

    @abstractmethod
    def open(self, limits: Limits, tools: tuple[str, ...]) -> Guest:
        """The guest of a new session, in which the named host tools are functions. Starts nothing yet."""


class Guest(ABC):
    """One interpreter, as a session drives it: `begin`, then `resume` after each `Call`, until `Done`.

    All of it is awaited on an event loop, possibly another one at each step, and never twice at once. Nothing the guest
    does raises: its errors, limits and crashes are in `Done`. Whatever it sends is checked as untrusted bytes.
    """

    @abstractmethod
    async def start(self) -> None:
        """Make the interpreter ready; awaited once, before the first `begin`, and costs the code no time of its own.

        Raises `SandboxUnavailable` when it cannot be started.
        """

    @abstractmethod
    async def begin(self, code: str, variables: Mapping[str, Any], seconds: float) -> Step:
        """Run code with these variables set first (JSON data). The guest has `seconds` until the step ends."""

    @abstractmethod
    async def resume(self, reply: Reply, seconds: float) -> Step:
        """Give the answer of a host tool to the guest, and let it go on."""

    @abstractmethod
    def close(self) -> None:
        """End the guest at once and for good, from any thread; no process is left behind. May be called twice."""


class Session:
    """An interpreter that keeps its variables between calls of `execute`. A context manager; `close` ends it.

    One `execute` at a time. A session that is garbage-collected without `close` leaves no process behind.
    """

    def __init__(self, sandbox: Sandbox, tools: Toolbox, limits: Limits) -> None:
        self.sandbox = sandbox
        self.tools = tools
        self.limits = limits
        self.label: Label = TRUSTED
        self._asked = tools.run()
        self._guest: Guest | None = None
        self._end: weakref.finalize[..., Any] | None = None
        self._busy = False
        self._closed = False

    def execute(self, code: str, variables: Mapping[str, Any] | None = None) -> Executed:
        """Run `code` and wait. `variables` are set first, as JSON data.

        Never raises for what the code did: errors, limits and crashes are in the result, and after a crash the next
        call starts with a fresh interpreter. Raises `UsageError` for variables that are no JSON data or too big, and
        for a session that is closed or busy.
        """
        loop = running_loop()
        if loop is not None and not current().blocking:
            raise UsageError("execute was called inside async code; use `await session.aexecute(...)` there")
        with running(blocking=True, loop=loop):
            return drive(self.aexecute(code, variables))

    async def aexecute(self, code: str, variables: Mapping[str, Any] | None = None) -> Executed:
        """Like `execute`, from async code."""
        if not isinstance(code, str):
            raise UsageError(f"execute takes code as text; got {brief(code)}")
        given = _checked(variables, self.limits.value)
        self._enter()
        try:
            return await self._run(code, given)
        except BaseException:  # given up in the middle: nobody knows what the guest is at
            self._drop()
            raise
        finally:
            self._busy = False

    async def _run(self, code: str, variables: Mapping[str, Any]) -> Executed:
        guest = self._guest
        if guest is None:
            guest = self._open()
            await io(guest.start())
        self.label = self.label.join(current().label)
        left, calls = self.limits.seconds, 0
        clock = time.monotonic()
        step = await io(guest.begin(code, variables, left))
        left -= time.monotonic() - clock
        while isinstance(step, Call):
            calls += 1
            if calls > self.limits.tool_calls:
                step = Done(stopped="tool_calls", state_lost=True)
                break
            reply = await self._answered(step)
            clock = time.monotonic()
            step = await io(guest.resume(reply, max(left, 0.001)))
            left -= time.monotonic() - clock
        if step.state_lost:
            self._drop()
        used = Used(self.limits.seconds - left, min(calls, self.limits.tool_calls), step.memory)
        return Executed(
            step.value,
            step.stdout,
            step.error,
            step.stopped,
            step.state_lost,
            step.truncated,
            step.unsupported,
            used,
            self.label,
        )

    async def _answered(self, call: Call) -> Reply:
        """Run a host tool in the caller's own context: it may be any function or program."""
        called = await self._asked.answer(call.name, call.arguments)
        self.label = self.label.join(called.label)
        if called.error:
            return Reply(error=clean(called.text))
        try:
            text = json.dumps(called.data, allow_nan=False)
            if len(text) <= self.limits.value and not called.partial:
                return Reply(cleaned(json.loads(text)))
        except (TypeError, ValueError, RecursionError) as error:
            return Reply(error=f"the result of {call.name} is no JSON data and cannot go into the sandbox: {error}")
        return Reply(error=f"the result of {call.name} is too big to cross: more than {self.limits.value} bytes")

    def _enter(self) -> None:
        if self._closed:
            raise UsageError("this session is closed; open a new one with sandbox.session()")
        if self._busy:
            raise UsageError("this session is busy: one execute at a time. Open another session for parallel work")
        self._busy = True

    def _open(self) -> Guest:
        guest = self._guest = self.sandbox.open(self.limits, tuple(self.tools))
        self._end = weakref.finalize(self, guest.close)
        return guest

    def _drop(self) -> None:
        if self._end is not None:
            self._end()
        self._guest = self._end = None

    def close(self) -> None:
        """End the interpreter. May be called twice."""
        self._closed = True
        self._drop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _checked(variables: Mapping[str, Any] | None, most: int) -> dict[str, Any]:
    """Variables as JSON data; raises `UsageError`."""
    found: dict[str, Any] = {}
    for name, value in (variables or {}).items():
        if not isinstance(name, str) or not name.isidentifier():
            raise UsageError(f"a variable of a sandbox has a name of Python; got {brief(name)}")
        try:
            text = json.dumps(value, allow_nan=False)
            if len(text) <= most:
                found[name] = cleaned(json.loads(text))
        except (TypeError, ValueError, RecursionError) as error:
            raise UsageError(
                f"the variable {name!r} cannot go into a sandbox, which takes JSON data: {error}"
            ) from None
        if len(text) > most:
            raise UsageError(
                f"the variable {name!r} is too big for the sandbox: {len(text)} of {most} bytes (Limits(value=...))"
            )
    return found

"""`Stream`: what happens in a program while it runs, one object for `for` and for `async for`."""

from __future__ import annotations

import asyncio
import concurrent.futures
import weakref
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextvars import copy_context
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from outlast.errors import StreamAborted, UsageError, brief
from outlast.messages.progress import Final, Partial, ProgramEvent, Restarted
from outlast.runtime import Scope, current, drive, running, running_loop
from outlast.runtime.driving import GRACE, within
from outlast.runtime.threads import start
from outlast.runtime.watching import Channel, Sink

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    from outlast.modules.module import Module

    R = TypeVar("R", default=Any)
else:
    R = TypeVar("R")

_UNSET: Any = object()


class Stream(Generic[R]):
    """The events of one run of a program, in order; `program.stream(...)` makes one.

        for event in program.stream(question="..."):             # in blocking code and notebooks
        async for event in program.stream(question="..."):       # in async code

    Every event is a frozen value with a `to_json()`: `FieldDelta`, `Partial`, `Thinking`, `Status`, `ToolCalled`,
    `ToolReturned`, `Restarted`, `Answered`, and `Final` at the end; `path` tells the modules apart. The program starts
    with the first event and runs ahead of its reader by a few hundred events at most. What it raises comes out of the
    loop, after the events before it. Leaving the loop gives the program up and closes its connections.

    Read once. `result` is what the program returned, after the end; `partials` are the values so far. As a context
    manager it is closed when the block is left. Cost: what a call costs, and up to two more LM calls for each reply
    that broke off.
    """

    def __init__(self, program: Module, inputs: Mapping[str, Any]) -> None:
        self._program = program
        self._inputs = inputs
        self._context = copy_context()
        self._tests: list[Callable[[ProgramEvent], Any]] = []
        self._partials: dict[tuple[str, int], dict[str, Any]] = {}
        self._result: Any = _UNSET
        # Held weakly: whoever leaves the loop drops its events, which closes them at once.
        self._events: weakref.ref[Generator[ProgramEvent] | AsyncGenerator[ProgramEvent]] | None = None

    @property
    def result(self) -> R:
        """What the program returned. Raises `UsageError` before the end."""
        if self._result is _UNSET:
            raise UsageError("the result of a stream is there when it was read to its end, and all went well")
        return cast("R", self._result)

    @property
    def partials(self) -> dict[str, dict[str, Any]]:
        """The last value shown of each field, by the path of its module; a further draw has its number: "answer#1"."""
        return {f"{path}#{sample}" if sample else path: dict(found) for (path, sample), found in self._partials.items()}

    def abort_if(self, test: Callable[[ProgramEvent], Any]) -> Stream[R]:
        """Give the program up, and its connections, as soon as `test(event)` says something true.

        The loop then raises `StreamAborted`, whose `reason` is the text that the test gave, or its name. Gives this
        stream back: `for event in program.stream(...).abort_if(rude)`.
        """
        if not callable(test):
            raise UsageError(f"abort_if takes a function of an event; got {brief(test)}")
        self._tests.append(test)
        return self

    def __iter__(self) -> Generator[ProgramEvent]:
        loop = running_loop()
        if loop is not None and not current().blocking:
            raise UsageError("a stream is read with `async for` inside async code")
        self._begin()
        events = self._read(loop)
        self._events = weakref.ref(events)
        return events

    def __aiter__(self) -> AsyncGenerator[ProgramEvent]:
        self._begin()
        events = self._aread()
        self._events = weakref.ref(events)
        return events

    def _begin(self) -> None:
        if self._events is not None:
            raise UsageError("a stream is read once; ask for another with program.stream(...)")

    def _read(self, loop: asyncio.AbstractEventLoop | None) -> Generator[ProgramEvent]:
        """The events for blocking code; the program runs in a thread."""
        channel = Channel()
        outer = self._context.run(current)
        scope = Scope(outer.scope)
        run = replace(
            outer,
            blocking=True,
            scope=scope,
            loop=None,
            visiting=False,
            threaded=True,
            root=None,
            sink=Sink(channel),
        )
        with scope:
            context = self._context.run(within, run)
            job = start(lambda: context.run(self._drive, channel))
            try:
                while True:
                    with running(blocking=True, loop=loop):
                        events = drive(channel.take())
                    if not events:
                        return
                    for event in events:
                        yield self._seen(event)
            finally:
                if not job.done():
                    scope.cancel()
                channel.end()
                concurrent.futures.wait([job], GRACE)

    def _drive(self, channel: Channel) -> None:
        try:
            result = drive(self._program._start(self._inputs, blocking=True))
        except BaseException as error:
            channel.end(error)
        else:
            channel.put(Final(result))
            channel.end()

    async def _aread(self) -> AsyncGenerator[ProgramEvent]:
        """The events for async code; the program runs in a task."""
        channel = Channel()
        outer = self._context.run(current)
        run = replace(outer, blocking=False, loop=None, visiting=False, threaded=False, root=None, sink=Sink(channel))
        context = self._context.run(within, run)
        task = asyncio.create_task(self._adrive(channel), context=context)
        try:
            while events := await channel.take():
                for event in events:
                    yield self._seen(event)
        finally:
            channel.end()
            task.cancel()
            await asyncio.wait([task])

    async def _adrive(self, channel: Channel) -> None:
        try:
            result = await self._program._start(self._inputs, blocking=False)
        except BaseException as error:
            channel.end(error)
        else:
            channel.put(Final(result))
            channel.end()

    def _seen(self, event: ProgramEvent) -> ProgramEvent:
        """Note an event and put it to the tests."""
        if isinstance(event, Partial):
            self._partials.setdefault((event.path or "", event.sample), {})[event.field] = event.value
        elif isinstance(event, Restarted):
            self._partials.pop((event.path or "", event.sample), None)
        elif isinstance(event, Final):
            self._result = event.prediction
        for test in self._tests:
            if found := test(event):
                reason = found if isinstance(found, str) else getattr(test, "__name__", repr(test))
                raise StreamAborted(f"the stream was ended: {reason}", reason=reason, partial=self.partials)
        return event

    def close(self) -> None:
        """Give the program up when it is still going on. For blocking code."""
        events = None if self._events is None else self._events()
        if isinstance(events, Generator):
            events.close()

    async def aclose(self) -> None:
        """Give the program up when it is still going on. For async code."""
        events = None if self._events is None else self._events()
        if isinstance(events, AsyncGenerator):
            await events.aclose()

    def __enter__(self) -> Stream[R]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Stream[R]:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

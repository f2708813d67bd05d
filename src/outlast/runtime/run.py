"""The one context variable: which run the current code belongs to, and how it has to wait."""

from __future__ import annotations

import asyncio
import threading
from asyncio import _get_running_loop as running_loop
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, Token
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from outlast.errors import refuse_unknown
from outlast.runtime.scope import Scope
from outlast.runtime.trace import Trace
from outlast.types import TRUSTED, Label

if TYPE_CHECKING:
    from outlast.adapters.protocol import Adapter
    from outlast.lms.protocol import LM
    from outlast.runtime.journal import Journal
    from outlast.runtime.meter import Meter, Ticket
    from outlast.runtime.recording import Recording
    from outlast.runtime.watching import Sink


@dataclass(slots=True)  # never changed; `frozen` would make the one that every call builds take 6 times as long
class Run:
    """All that a call needs to know of its surroundings. One context variable holds the current one.

    `root` is the program that was called; `paths` maps the identity of each of its modules to its path. `memo`, when
    set, wraps every LM that is asked (the study uses it to remember each reply).

    `blocking` code waits by blocking its thread; `loop` is then the event loop that was already running in that
    thread, if any: code under another loop was started by the user inside and waits the async way. In a `visiting`
    run the event loop lives for one call only, so I/O goes to the loop that blocking callers share, where
    connections stay open. `scope` gives up what is in flight; `threaded` code already holds a thread of its own.
    `transport`, when set, gives the LM that stands in for one that is asked, such as one that asks in batches. `ticket`
    is what the call that this code is part of has set aside. `approver` decides about calls of tools that ask first.
    `sink`, when set, takes the events of a stream; `journal` keeps what tools gave; `recording` is the
    span in a store of traces that this code is part of.
    """

    lm: LM | None = None
    adapter: Adapter | None = None
    trace: Trace | None = None
    meter: Meter | None = None
    memo: Callable[[LM], LM] | None = None
    label: Label = TRUSTED
    sample: int = 0
    blocking: bool = True
    root: object | None = None
    paths: Mapping[int, str] = field(default_factory=dict[int, str])
    scope: Scope | None = None
    loop: asyncio.AbstractEventLoop | None = None
    visiting: bool = False
    threaded: bool = False
    transport: Callable[[LM], LM] | None = None
    ticket: Ticket | None = None
    approver: Callable[..., Any] | None = None
    sink: Sink | None = None
    journal: Journal | None = None
    recording: Recording | None = None

    def paying(self, meter: Meter | None, ticket: Ticket | None) -> Run:
        """The same run under a meter and a ticket."""
        return self._with(meter, ticket, self.recording)

    def recorded(self, recording: Recording) -> Run:
        """The same run as a part of a span."""
        return self._with(self.meter, self.ticket, recording)

    def _with(self, meter: Meter | None, ticket: Ticket | None, recording: Recording | None) -> Run:
        """What changes with most calls; `dataclasses.replace` would take five times as long."""
        return Run(
            self.lm,
            self.adapter,
            self.trace,
            meter,
            self.memo,
            self.label,
            self.sample,
            self.blocking,
            self.root,
            self.paths,
            self.scope,
            self.loop,
            self.visiting,
            self.threaded,
            self.transport,
            ticket,
            self.approver,
            self.sink,
            self.journal,
            recording,
        )


RUN: ContextVar[Run] = ContextVar("outlast_run", default=Run())  # noqa: B039 - never changed
_defaults: dict[str, Any] = {
    "lm": None,
    "adapter": None,
    "approver": None,
    "recording": None,
}  # process-wide, replaced as a whole by `configure`
_defaults_lock = threading.Lock()
_RUN_FIELDS = tuple(f.name for f in fields(Run))


def current() -> Run:
    """The run that this code belongs to."""
    return RUN.get()


def enter(run: Run) -> Token[Run]:
    """Make `run` the current one until `leave`."""
    return RUN.set(run)


def leave(token: Token[Run]) -> None:
    """Go back to the run that was current before `enter`."""
    try:
        RUN.reset(token)
    except ValueError:  # an abandoned coroutine, closed by the garbage collector in some other context
        return


@contextmanager
def running(**changes: Any) -> Generator[Run]:
    """The current run with some fields changed, for the length of a block."""
    refuse_unknown(changes, _RUN_FIELDS, "running()")
    run = replace(RUN.get(), **changes)
    token = RUN.set(run)
    try:
        yield run
    finally:
        leave(token)


def blocking() -> bool:
    """True when the current code must wait by blocking its thread, False when an event loop runs it."""
    run = RUN.get()
    if not run.blocking:
        return False
    loop = running_loop()
    return loop is None or loop is run.loop


def default(name: str) -> Any:
    """A process-wide default set by `configure`, or None."""
    return _defaults[name]


def recording() -> Recording | None:
    """Who keeps what happens here: that of the run, else that of the process; None when nobody does."""
    found = RUN.get().recording
    return found if found is not None else _defaults["recording"]


def set_defaults(**values: Any) -> None:
    """Replace process-wide defaults; names other than those known are refused."""
    global _defaults
    refuse_unknown(values, _defaults, "configure()")
    with _defaults_lock:
        _defaults = {**_defaults, **values}

"""How code runs: the one context variable, and coroutines that work with and without an event loop.

Everything inside outlast is `async def`. A blocking call drives the coroutine in place, without a loop, and every
leaf that waits asks `blocking()` how it should wait. So there is one implementation of each thing and a blocking
call costs no thread hop; only real network I/O is handed to the one I/O loop that all blocking callers share.
"""

from outlast.runtime.budget import Budget
from outlast.runtime.driving import drive, in_thread, io, run_blocking, run_on_io_loop, sleep
from outlast.runtime.fanout import gather
from outlast.runtime.meter import Bound, Meter
from outlast.runtime.recording import Recording
from outlast.runtime.run import (
    Run,
    blocking,
    current,
    default,
    enter,
    leave,
    recording,
    running,
    running_loop,
    set_defaults,
)
from outlast.runtime.scope import Scope
from outlast.runtime.trace import Latest, Span, Trace

__all__ = [
    "Bound",
    "Budget",
    "Latest",
    "Meter",
    "Recording",
    "Run",
    "Scope",
    "Span",
    "Trace",
    "blocking",
    "current",
    "default",
    "drive",
    "enter",
    "gather",
    "in_thread",
    "io",
    "leave",
    "recording",
    "run_blocking",
    "run_on_io_loop",
    "running",
    "running_loop",
    "set_defaults",
    "sleep",
]

"""Monty: a subset of Python in an interpreter written in Rust, in a process of its own. The default sandbox."""

from __future__ import annotations

import contextlib
import importlib.util
import math
import os
import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from outlast.errors import SandboxUnavailable
from outlast.runtime.threads import start
from outlast.sandbox.crossing import clean, cleaned, size
from outlast.sandbox.process import BOOT, GRACE, within
from outlast.sandbox.protocol import Guest, Sandbox
from outlast.sandbox.subset import explained
from outlast.sandbox.values import Call, Done, GuestError, Isolation, Limits, Reply, Step, Stopped
from outlast.sandbox.worker import FLOOD, MOST_FRAMES, MOST_TEXT, Plain, Stop

_SPARE = 512 << 20  # bytes of address space that the worker itself may take, besides the memory of the code
_MOST_RECURSION = 1_000
_LONG = 1e6  # seconds of sleep, far behind any limit
_NO_LIMIT = 2**31 - 1  # of pauses; the session counts calls of tools itself
_PRELUDE = "ToolError = RuntimeError"  # the subset has no classes of errors of one's own


@dataclass(frozen=True)
class Monty(Sandbox):
    """Runs a subset of Python in a process of its own, which has no files, no network and an empty environment.

    A session starts in about 2 ms and a step takes 0.2 ms. The subset lacks inheritance, generators, `del` and parts
    of the standard library; what fails for that is told with `unsupported=True` and a message that a model can act
    on. An error of a tool is raised as `ToolError`, which is `RuntimeError` here. When time ends the variables are
    lost.

    Needs the package pydantic-monty (`pip install 'outlast[code]'`).
    """

    isolation: ClassVar[Isolation] = "process"

    def check(self) -> None:
        if importlib.util.find_spec("pydantic_monty") is None:
            raise SandboxUnavailable("Monty() needs the package pydantic-monty: pip install 'outlast[code]'")

    def open(self, limits: Limits, tools: tuple[str, ...]) -> Guest:
        return MontyGuest(limits, tools)


class MontyGuest(Guest):
    """One Monty worker. `binary` is the program that is run in place of the installed one, such as a wrapper of it.

    Each step waits in a thread of its own, so it is tied to no event loop. The process is killed through a handle that
    cannot mean another process.
    """

    def __init__(self, limits: Limits, tools: tuple[str, ...], binary: str | None = None) -> None:
        self._limits = limits
        self._tools = {name.replace("-", "_"): name for name in tools}
        self._binary = binary
        self._pool: Any = None
        self._session: Any = None
        self._paused: Any = None
        self._worker: _Process | None = None
        self._kept = bytearray()
        self._seen = 0
        self._failed = ""
        self._why: Stopped | None = None
        self._ended = threading.Event()
        self._turn = threading.Lock()

    async def start(self) -> None:
        why = await within(start(self._enter), BOOT, self._kill)
        if why is not None:
            self.close()
            raise SandboxUnavailable(f"Monty could not be started: {why}")

    def _enter(self) -> str | None:
        """Start the worker; what went wrong, or None."""
        import pydantic_monty

        limits = self._limits
        with self._turn:
            if self._ended.is_set():
                return "the session is closed"
            try:
                self._pool = pydantic_monty.Monty(
                    binary_path=self._binary,
                    min_processes=0,
                    max_processes=1,
                    checkout_timeout=BOOT,
                    feed_duration_limit_grace=GRACE,
                    turn_duration_limit_grace=None,
                )
                self._pool.__enter__()
                session = self._pool.checkout(
                    script_name="code",
                    limits={
                        "max_feed_duration_secs": limits.seconds,
                        "max_turn_duration_secs": None,
                        "max_memory": limits.memory,
                        "max_recursion_depth": _MOST_RECURSION,
                        "max_suspensions": _NO_LIMIT,
                        "max_total_sleep_secs": None,
                    },
                    os_policy={"sleep": "call_host"},
                )
                session.__enter__()
                self._session = session
                self._worker = _Process(session.worker_pid)
                self._worker.limit_memory(limits.memory + _SPARE)
                session.feed_run(_PRELUDE)
            except Exception as error:
                return f"{type(error).__name__}: {error}"
        return None

    async def begin(self, code: str, variables: Mapping[str, Any], seconds: float) -> Step:
        self._kept, self._seen = bytearray(), 0
        return await self._step(
            lambda: self._session.feed_start(code, inputs=dict(variables), print_callback=self._print), seconds
        )

    async def resume(self, reply: Reply, seconds: float) -> Step:
        paused, self._paused, self._failed = self._paused, None, reply.error or ""
        answer: Any = {"return_value": reply.value}
        if reply.error is not None:
            answer = {"exc_type": "RuntimeError", "message": reply.error}
        return await self._step(lambda: paused.resume(answer), seconds)

    async def _step(self, first: Callable[[], Any], seconds: float) -> Step:
        step = await within(start(lambda: self._drive(first)), seconds + GRACE, self._kill)
        if isinstance(step, str):  # a limit: the worker was killed and its thread may still be on its way out
            step = Done(stopped=cast("Stopped", step), state_lost=True, **self._printed())
        if isinstance(step, Done) and step.state_lost:
            self.close()
        return step

    def _drive(self, first: Callable[[], Any]) -> Step:
        """Go on until the code is done or calls a tool. Runs in a thread; never raises."""
        import pydantic_monty

        with self._turn:
            try:
                at = first()
                while not isinstance(at, pydantic_monty.MontyComplete):
                    if isinstance(at, pydantic_monty.NameLookupSnapshot):
                        tool = self._tools.get(at.variable_name)
                        at = at.resume() if tool is None else at.resume(value=_function(at.variable_name))
                    elif isinstance(at, pydantic_monty.FunctionSnapshot):
                        answered = self._answered(at)
                        if isinstance(answered, Call):
                            self._paused = at
                            return answered
                        at = answered
                    else:  # waits for something that was never promised
                        return self._crashed()
                return self._finished(at)
            except pydantic_monty.MontyCrashedError as error:
                return self._crashed(error.timed_out)
            except pydantic_monty.MontyError as error:
                return self._raised(error)
            except (ValueError, TypeError, RecursionError, OverflowError) as error:  # a value that cannot come out
                return Done(error=GuestError(type(error).__name__, clean(str(error))[:MOST_TEXT]), **self._printed())
            except Exception:  # the wire to the worker broke
                return self._crashed()

    def _answered(self, at: Any) -> Any:
        """The next pause, after an answer of ours, or the call of a host tool."""
        name = str(at.function_name)
        if at.is_os_function:
            if name not in ("time.sleep", "asyncio.sleep"):
                return at.resume_not_handled()
            seconds = at.args[0] if at.args and isinstance(at.args[0], int | float) else 0.0
            self._ended.wait(min(max(seconds, 0.0), _LONG) if math.isfinite(seconds) else _LONG)
            return at.resume({"return_value": None})
        tool = self._tools.get(name)
        if tool is None or at.object_id is not None:
            return at.resume({"exc_type": "NameError", "message": f"name '{name}' is not defined"})
        most = self._limits.value
        try:
            given = {**{str(i): value for i, value in enumerate(at.args)}, **at.kwargs}
            arguments = cleaned(_Plain(most).of(given))
            if size(arguments) <= most:
                return Call(tool, arguments)
            why = f"the arguments of {tool} are too big: over {most} bytes"
        except Stop:
            why = f"the arguments of {tool} are too big: over {most} bytes"
        except ValueError as error:
            why = f"the arguments of {tool} cannot leave the sandbox: {error}"
        return at.resume({"exc_type": "ValueError", "message": why})

    def _finished(self, at: Any) -> Done:
        try:
            value = cleaned(_Plain(self._limits.value).of(at.output))
            if size(value) <= self._limits.value:
                return Done(value, **self._printed())
        except Stop:
            pass
        return Done(stopped="value", **self._printed())

    def _raised(self, error: Any) -> Done:
        inner = error.exception()
        kind, message = type(inner).__name__, clean(error.display("msg"))[:MOST_TEXT]
        if kind == "TimeoutError" and message.startswith("feed time limit exceeded"):
            return Done(stopped="time", state_lost=True, **self._printed())
        if kind == "MemoryError":
            return Done(stopped="memory", **self._printed())
        if self._failed and kind == "RuntimeError" and message == clean(self._failed)[:MOST_TEXT]:
            kind = "ToolError"
        why = explained(kind, message)
        told = GuestError(kind, message if why is None else why, _lines(error))
        return Done(error=told, unsupported=why is not None, **self._printed())

    def _crashed(self, timed_out: bool = False) -> Done:
        return Done(stopped=self._why or ("time" if timed_out else "crash"), state_lost=True, **self._printed())

    def _print(self, _stream: str, text: str) -> None:
        data = text.encode("utf-8", "replace")
        self._kept += data[: max(self._limits.output - len(self._kept), 0)]
        self._seen += len(data)
        if self._seen > FLOOD * self._limits.output and self._why is None:
            self._why = "output"
            self._kill()

    def _printed(self) -> dict[str, Any]:
        return {
            "stdout": self._kept.decode("utf-8", "ignore"),
            "truncated": self._seen > self._limits.output,
            "memory": None if self._worker is None else self._worker.peak(),
        }

    def _kill(self) -> None:
        self._ended.set()
        if self._worker is not None:
            self._worker.kill()

    def close(self) -> None:
        self._kill()
        with self._turn:  # a step that waits for the worker has ended with it
            session, pool, worker = self._session, self._pool, self._worker
            self._session = self._pool = self._worker = self._paused = None
            for one in (session, pool):
                if one is not None:
                    with contextlib.suppress(Exception):
                        one.__exit__(None, None, None)
            if worker is not None:
                worker.close()


class _Plain(Plain):
    """Values of Monty as JSON data."""

    def other(self, value: Any, depth: int) -> Any:
        import pydantic_monty

        if isinstance(value, pydantic_monty.MontyClassProxy):
            return self.of(value.attributes, depth) if value.is_dataclass else f"<{value.name} object>"
        if isinstance(value, pydantic_monty.MontyStdTypeProxy):
            return f"<built-in {value.kind} {value.name}>"
        return super().other(value, depth)


class _Process:
    """A process of somebody else's, which ends and is waited for elsewhere: on Linux its handle stays its own."""

    def __init__(self, pid: int | None) -> None:
        self._pid = pid
        self._handle: int | None = None
        if pid is not None and hasattr(os, "pidfd_open"):
            self._handle = os.pidfd_open(pid)

    def kill(self) -> None:
        with contextlib.suppress(OSError):
            if self._handle is not None:
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)
            elif self._pid is not None and not hasattr(os, "pidfd_open"):
                os.kill(self._pid, signal.SIGTERM if os.name == "nt" else signal.SIGKILL)

    def limit_memory(self, most: int) -> None:
        """The kernel's own limit, behind that of the interpreter, where the system lets one set it from outside."""
        with contextlib.suppress(ImportError, AttributeError, OSError, ValueError):
            import resource

            if self._pid is not None:
                resource.prlimit(self._pid, resource.RLIMIT_AS, (most, most))

    def peak(self) -> int | None:
        """Bytes at the peak, or None where nobody knows."""
        try:
            with open(f"/proc/{self._pid}/status") as file:
                return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))
        except (OSError, StopIteration, ValueError):
            return None

    def close(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = self._pid = None


def _function(name: str) -> Callable[..., None]:
    """A function that stands for a tool; Monty takes its name and pauses when the code calls it."""

    def tool() -> None:
        return None

    tool.__name__ = tool.__qualname__ = name
    return tool


def _lines(error: Any) -> str:
    """The lines of guest code that an error came through."""
    lines = [
        clean(f"line {frame.line}, in {frame.function_name or '<module>'}: {_first(frame.source_line)}"[:300])
        for frame in error.traceback()
    ]
    if len(lines) > MOST_FRAMES:
        lines[MOST_FRAMES // 2 : -MOST_FRAMES // 2] = ["..."]
    return "\n".join(lines)


def _first(source: str | None) -> str:
    return (source or "").strip().partition("\n")[0]

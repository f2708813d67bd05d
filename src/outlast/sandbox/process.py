"""A guest in a process of its own: starts it, talks to it in lines, and kills it when its time is up."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast, get_args

from outlast.errors import SandboxUnavailable
from outlast.runtime.threads import start
from outlast.sandbox.crossing import clean, cleaned, size
from outlast.sandbox.protocol import Guest
from outlast.sandbox.values import Call, Done, GuestError, Limits, Reply, Step, Stopped

WORKER = Path(__file__).with_name("worker.py")
BOOT = 60.0  # seconds until a new process has to be ready; it costs the code nothing of its own time
GRACE = 0.5  # seconds after its time that a guest gets to stop by itself, which keeps its variables
WINDOWS = os.name == "nt"
_LOOK = 0.05  # seconds between two looks of `watch`
_MOST_TEXT = 16_000  # characters of an error that are believed
_STOPPED = frozenset(get_args(Stopped))


@dataclass(frozen=True, slots=True)
class Command:
    """How a worker is started. Nothing of this process's environment goes to it, only `environment`.

    `pass_fds` are open files that it inherits. With `directory` it starts in a new empty directory, which is removed
    at the end; "{directory}" in `argv` is replaced by its path.
    """

    argv: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    pass_fds: Sequence[int] = ()
    directory: bool = False


class ProcessGuest(Guest):
    """A guest that speaks the lines of `worker.py` over its stdin and stdout.

    Each step waits in a thread of its own, so it is tied to no event loop; the deadline kills the process, which ends
    the wait. All that comes back is untrusted: lines without the session's nonce are passed over, too many bytes end
    the guest, and what does not have the form of a step counts as a crash. `watch` is asked with the process id every
    50 ms while a step runs, and may name a limit that the process has reached, which ends it.
    """

    def __init__(
        self,
        command: Command,
        limits: Limits,
        tools: Sequence[str],
        *,
        watch: Callable[[int], Stopped | None] | None = None,
        boot: float = BOOT,
    ) -> None:
        self._command = command
        self._limits = limits
        self._tools = tuple(tools)
        self._watch = watch
        self._boot = boot
        self._nonce = secrets.token_hex(16)
        self._lead = f"{self._nonce} ".encode()
        self._most = 8 * (limits.value + limits.output) + (1 << 17)  # JSON in ASCII takes up to six bytes for one
        self._process: subprocess.Popen[bytes] | None = None
        self._wire: _Wire | None = None
        self._directory: str | None = None
        self._closed = False
        self._lock = threading.Lock()

    @property
    def pid(self) -> int | None:
        """The process id, for those who watch it; None before the start."""
        return None if self._process is None else self._process.pid

    async def start(self) -> None:
        """Start the process and wait until it is ready. Raises `SandboxUnavailable` with what it said instead."""
        hello = {
            "nonce": self._nonce,
            "memory": self._limits.memory,
            "output": self._limits.output,
            "value": self._limits.value,
            "tools": self._tools,
        }
        made = await self._within(start(self._spawn), self._boot)
        if isinstance(made, BaseException):
            self.close()
            raise SandboxUnavailable(f"the sandbox could not be started: {made}")
        answer = await self._within(start(lambda: self._exchange(hello)), self._boot)
        if not (isinstance(answer, dict) and "ready" in answer):
            said = self._complaint()
            self.close()
            why = answer if isinstance(answer, str) else "crash"
            raise SandboxUnavailable(f"the sandbox did not start ({why}): {said or 'it said nothing'}")

    async def begin(self, code: str, variables: Mapping[str, Any], seconds: float) -> Step:
        return await self._step({"code": code, "variables": variables, "seconds": seconds}, seconds)

    async def resume(self, reply: Reply, seconds: float) -> Step:
        return await self._step({"value": reply.value, "error": reply.error, "seconds": seconds}, seconds)

    async def _step(self, message: Mapping[str, Any], seconds: float) -> Step:
        answer = await self._within(start(lambda: self._exchange(message)), seconds + GRACE)
        if not isinstance(answer, dict):
            self.close()
            return Done(stopped=cast("Stopped", answer) if answer in _STOPPED else "crash", state_lost=True)
        try:
            return read_step(cast("dict[str, Any]", answer), self._limits)
        except (ValueError, RecursionError):
            self.close()
            return Done(stopped="crash", state_lost=True)

    async def _within(self, waiting: Future[Any], seconds: float) -> Any:
        return await within(waiting, seconds, self._kill, self._look if self._watch else None)

    def _look(self) -> Stopped | None:
        return None if self._watch is None or self.pid is None else self._watch(self.pid)

    def _spawn(self) -> BaseException | None:
        with self._lock:
            if self._closed:
                return RuntimeError("the session is closed")
            try:
                argv = list(self._command.argv)
                if self._command.directory:
                    self._directory = tempfile.mkdtemp(prefix="outlast-")
                    argv = [word.replace("{directory}", self._directory) for word in argv]
                self._wire = _Wire()
                self._process = self._wire.open(argv, self._command, self._directory)
            except (OSError, ValueError) as error:
                return error
        return None

    def _exchange(self, message: Mapping[str, Any]) -> dict[str, Any] | Stopped:
        """Send one line and read the next one that counts. Runs in a thread; never raises."""
        wire = self._wire
        if wire is None:
            return "crash"
        try:
            wire.send(json.dumps(message).encode("ascii") + b"\n")
            seen = 0
            while True:
                line = wire.line(self._most - seen)
                seen += len(line)
                if seen >= self._most:
                    return "output"
                if not line.endswith(b"\n"):
                    return "crash"
                if line.startswith(self._lead):
                    data = json.loads(line[len(self._lead) :], parse_constant=_refuse)
                    return cast("dict[str, Any]", data) if isinstance(data, dict) else "crash"
        except (OSError, ValueError, RecursionError):
            return "crash"

    def _complaint(self) -> str:
        """The end of what a process that failed to start wrote to its stderr."""
        process = self._process
        if process is None or process.stderr is None:
            return ""
        self._kill()
        with contextlib.suppress(OSError, ValueError):
            os.set_blocking(process.stderr.fileno(), False)
            return (process.stderr.read(1 << 16) or b"").decode("utf-8", "replace").strip()[-2_000:]
        return ""

    def _kill(self) -> None:
        """Kill the whole process group. The process is not waited for before, so its id cannot be another's."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(OSError):
            if hasattr(os, "killpg"):
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
        if self._wire is not None:
            self._wire.wake()

    def close(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._kill()
            if self._process is not None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(timeout=5)
                if self._process.stderr is not None:
                    self._process.stderr.close()
            if self._wire is not None:
                self._wire.close()
            if self._directory is not None:
                shutil.rmtree(self._directory, ignore_errors=True)


async def within(
    waiting: Future[Any], seconds: float, kill: Callable[[], None], look: Callable[[], Stopped | None] | None = None
) -> Any:
    """The result of `waiting`, or the name of the limit for which the guest was killed: "time" after `seconds`, or what
    `look` says, which is asked every 50 ms."""
    future = asyncio.wrap_future(waiting)
    end = time.monotonic() + seconds
    while True:
        left = max(end - time.monotonic(), 0.0)
        await asyncio.wait({future}, timeout=min(left, _LOOK) if look else left)
        if future.done():
            return future.result()
        why: Stopped | None = "time" if time.monotonic() >= end else None
        if why is None and look is not None:
            why = look()
        if why is not None:
            kill()
            await asyncio.wait({future}, timeout=GRACE)
            return why


class _Wire:
    """Both directions to a process: a pair of sockets, which can be woken from another thread, or pipes."""

    def __init__(self) -> None:
        self._sockets: tuple[socket.socket, socket.socket] | None = None
        if not WINDOWS:
            self._sockets = socket.socketpair()
        self._source: BinaryIO | None = None
        self._sink: BinaryIO | None = None

    def open(self, argv: list[str], command: Command, directory: str | None) -> subprocess.Popen[bytes]:
        """Start the process at the other end."""
        end = subprocess.PIPE if self._sockets is None else self._sockets[1].fileno()
        process: subprocess.Popen[bytes] = subprocess.Popen(
            argv,
            stdin=end,
            stdout=end,
            stderr=subprocess.PIPE,
            env=dict(command.environment),
            cwd=directory,
            pass_fds=tuple(command.pass_fds),
            start_new_session=True,
        )
        if self._sockets is None:
            self._source, self._sink = cast("BinaryIO", process.stdout), cast("BinaryIO", process.stdin)
        else:
            self._sockets[1].close()
            self._source, self._sink = self._sockets[0].makefile("rb"), self._sockets[0].makefile("wb")
        return process

    def send(self, data: bytes) -> None:
        if self._sink is not None:
            self._sink.write(data)
            self._sink.flush()

    def line(self, most: int) -> bytes:
        return b"" if self._source is None else self._source.readline(max(most, 0))

    def wake(self) -> None:
        """End a read or write that waits in another thread, also when a stranger holds the other end open."""
        if self._sockets is not None:
            with contextlib.suppress(OSError):
                self._sockets[0].shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.wake()
        for one in (self._source, self._sink, *(self._sockets or ())):
            if one is not None:
                with contextlib.suppress(OSError, ValueError):
                    one.close()


def read_step(data: Mapping[str, Any], limits: Limits) -> Step:
    """A step from what a guest sent. Raises `ValueError` for what is none."""
    call = data.get("call")
    if isinstance(call, dict):
        asked = cast("dict[str, Any]", call)
        name, arguments = asked.get("name"), asked.get("arguments")
        if not isinstance(name, str) or len(name) > 100 or not isinstance(arguments, dict):
            raise ValueError("no call")
        if size(arguments) > limits.value:
            raise ValueError("arguments over the limit")
        return Call(clean(name), cast("dict[str, Any]", cleaned(arguments)))
    done = data.get("done")
    if not isinstance(done, dict):
        raise ValueError("neither a call nor an end")
    return _read_done(cast("dict[str, Any]", done), limits)


def _read_done(done: dict[str, Any], limits: Limits) -> Done:
    value, stdout, stopped, memory = done.get("value"), done.get("stdout"), done.get("stopped"), done.get("memory")
    if not isinstance(stdout, str) or not (stopped is None or stopped in _STOPPED):
        raise ValueError("no end")
    if size(value) > limits.value:
        value, stopped = None, "value"
    kept = clean(stdout).encode()
    return Done(
        value=cleaned(value),
        stdout=kept[: limits.output].decode("utf-8", "ignore"),
        error=_read_error(done.get("error")),
        stopped=stopped,
        state_lost=done.get("state_lost") is True,
        truncated=done.get("truncated") is True or len(kept) > limits.output,
        unsupported=done.get("unsupported") is True,
        memory=memory if isinstance(memory, int) and not isinstance(memory, bool) and memory > 0 else None,
    )


def _read_error(error: Any) -> GuestError | None:
    if not isinstance(error, dict):
        return None
    told = cast("dict[str, Any]", error)
    kind, message, lines = (clean(str(told.get(key) or ""))[:_MOST_TEXT] for key in ("kind", "message", "lines"))
    return GuestError(kind or "Exception", message, lines)


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is no JSON")

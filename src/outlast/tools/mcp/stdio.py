"""A server in a process of its own, spoken to over its standard input and output, with bounds on all that it sends."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any

from outlast.runtime.ioloop import ending

if TYPE_CHECKING:
    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
    from mcp.shared.message import SessionMessage

_CHUNK = 1 << 16
_LEAVE = 2.0  # seconds that a server gets to end once its input is closed, and again once it was told to
_MOST_JUNK = 100  # lines that are no message before it is taken for no server at all
_MOST_ASKED = 100  # requests of the server that wait for us to write: it does not read
_STDERR_KEPT = 1 << 13  # bytes


class ServerProcess:
    """The process and its streams, as the SDK wants a transport: `async with ServerProcess(...) as (read, write)`.

    `environment` is the whole environment. `over` is set once nothing more can be exchanged; `why` then says what
    happened. What the server writes to its standard error is kept, the last 8 KiB of it, and shown nowhere else.
    The process leads a group of its own, so `kill` and the end of the block leave none of its children behind.
    """

    def __init__(self, command: tuple[str, ...], environment: Mapping[str, str], cwd: str | None, most: int) -> None:
        self.over = asyncio.Event()
        self._command = command
        self._environment = environment
        self._cwd = cwd
        self._most = most
        self._process: asyncio.subprocess.Process | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._close: list[Callable[[], None]] = []
        self._stderr = bytearray()
        self._broken = ""
        self._junk: list[str] = []
        self._lines = 0
        self._spoke = False
        self._mine: set[Any] = set()
        self._asked = 0
        self._leaving = False
        self._writing = False

    async def __aenter__(self) -> Any:
        from anyio import create_memory_object_stream
        from mcp.shared.message import SessionMessage

        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            env=dict(self._environment),
            cwd=self._cwd,
            start_new_session=True,
            limit=_CHUNK,
        )
        inbox, read = create_memory_object_stream[SessionMessage | Exception](0)
        write, outbox = create_memory_object_stream[SessionMessage](0)
        self._close = [inbox.close, read.close, write.close, outbox.close]
        running = [self._read(inbox), self._write(outbox), self._read_errors()]
        self._tasks = [asyncio.create_task(one) for one in running]
        return read, write

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leaving = True
        try:
            await self._stop()
            await asyncio.sleep(0)
        finally:
            self.kill()
            for task in self._tasks:
                task.cancel()
            for close in self._close:
                close()
            self._drop_pipes()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def why(self) -> str:
        """What became of the process, for a message; empty while all is well."""
        said = self._broken
        status = None if self._process is None else self._process.returncode
        if not said and status is not None:
            said = f"it ended by signal {-status}" if status < 0 else f"it ended with status {status}"
        return said

    def noise(self) -> str:
        """What it wrote that is no message to us, for a message; empty when it did not."""
        if not self._junk:
            return ""
        return f"it wrote {self._lines} lines that are no message of MCP, the first: {self._junk[0]}"

    def deaf(self) -> str:
        """That it does not read what it is sent, for a message; empty when it does."""
        return "it does not read what it is sent" if self._writing else ""

    def stderr(self) -> str:
        """The end of what it wrote to its standard error."""
        return self._stderr.decode("utf-8", "replace").strip()

    def kill(self) -> None:
        """End the process and its children at once, from any thread."""
        process = self._process
        if process is None:
            return
        if os.name == "posix":
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
        elif process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()

    async def _stop(self) -> None:
        process = self._process
        if process is None:
            return
        if ending():  # no time for manners; but asyncio complains on stderr of a process that outlives the loop
            self.kill()
            await self._ended(_LEAVE / 4)
            return
        if process.stdin is not None:
            process.stdin.close()
        if not self._broken and not self._writing and await self._ended(_LEAVE):
            return
        with suppress(ProcessLookupError, PermissionError):
            if os.name == "posix":
                os.killpg(process.pid, signal.SIGTERM)
            else:
                process.terminate()
        await self._ended(_LEAVE)
        self.kill()
        await self._ended(_LEAVE)

    async def _ended(self, seconds: float) -> bool:
        # By looking at the status: `wait` also waits for the end of the pipes, which a child may hold open.
        process, until = self._process, time.monotonic() + seconds
        while process is not None and process.returncode is None:
            if time.monotonic() > until:
                return False
            await asyncio.sleep(0.005)
        return True

    def _drop_pipes(self) -> None:
        # The transport stays open while a child that left the group holds a pipe; nothing public closes it.
        transport: Any = getattr(self._process, "_transport", None)
        if transport is not None:
            with suppress(PermissionError, ProcessLookupError):
                transport.close()

    async def _read(self, inbox: MemoryObjectSendStream[SessionMessage | Exception]) -> None:
        process = self._process
        assert process is not None
        assert process.stdout is not None
        held = bytearray()
        try:
            while chunk := await process.stdout.read(_CHUNK):
                if self._leaving or self._broken:
                    continue  # drained, so that a server that is writing can come to its end
                start = len(held)
                held += chunk
                while (end := held.find(b"\n", start)) >= 0:
                    line = bytes(held[:end])
                    del held[: end + 1]
                    start = 0
                    if line.strip():
                        await self._take(line, inbox)
                if len(held) > self._most:
                    self._break(f"it sent a message of more than {self._most} bytes")
                    held.clear()
        except OSError as error:
            self._break(f"its output broke: {error}")
        finally:
            await self._ended(0.5)  # a process that closes its output is about to end: its status says more
            inbox.close()
            self.over.set()

    async def _take(self, line: bytes, inbox: MemoryObjectSendStream[SessionMessage | Exception]) -> None:
        from anyio import BrokenResourceError, ClosedResourceError
        from mcp.shared.message import SessionMessage
        from mcp_types import JSONRPCError, JSONRPCRequest, JSONRPCResponse, jsonrpc_message_adapter

        try:
            if len(line) > self._most:
                raise ValueError(f"a line of {len(line)} bytes")
            message = jsonrpc_message_adapter.validate_json(line, by_name=False)
        except ValueError:
            self._note(line)
            return
        if isinstance(message, JSONRPCResponse | JSONRPCError):
            if message.id not in self._mine:
                self._note(line)
                return
            self._mine.discard(message.id)
            self._spoke = True
        elif isinstance(message, JSONRPCRequest):
            self._asked += 1
            if self._asked > _MOST_ASKED:
                self._break(f"it sent {_MOST_ASKED} requests without reading one answer")
                return
        with suppress(BrokenResourceError, ClosedResourceError):
            await inbox.send(SessionMessage(message))

    def _note(self, line: bytes) -> None:
        self._lines += 1
        if not self._junk:
            text = line[:400].decode("utf-8", "replace")
            self._junk.append(repr(text if len(text) <= 120 else f"{text[:119]}…"))
        if self._lines >= (_MOST_JUNK if not self._spoke else 1000 * _MOST_JUNK):
            self._break(self.noise())

    async def _write(self, outbox: MemoryObjectReceiveStream[SessionMessage]) -> None:
        from mcp_types import JSONRPCError, JSONRPCRequest, JSONRPCResponse

        process = self._process
        assert process is not None
        assert process.stdin is not None
        try:
            async for item in outbox:
                message = item.message
                if isinstance(message, JSONRPCRequest):
                    self._mine.add(message.id)
                process.stdin.write(message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n")
                self._writing = True
                await process.stdin.drain()
                self._writing = False
                if isinstance(message, JSONRPCResponse | JSONRPCError):
                    self._asked -= 1
        except OSError:  # it closed its input or ended: nothing that we say will be read
            await self._ended(0.5)
            self._break("" if self.why() else "it closed its input")
        finally:
            outbox.close()

    async def _read_errors(self) -> None:
        process = self._process
        assert process is not None
        assert process.stderr is not None
        with suppress(OSError):
            while chunk := await process.stderr.read(_CHUNK):
                self._stderr += chunk
                del self._stderr[:-_STDERR_KEPT]

    def _break(self, why: str) -> None:
        self._broken = self._broken or why
        self.over.set()

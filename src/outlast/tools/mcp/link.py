"""One open connection to a server. The SDK binds it to the task that opened it, so one task owns it from end to end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextvars import Context
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from outlast.lms.caching.hiding import hide_in_text, known_secrets, longest_first
from outlast.tools.mcp.http import ServerAddress
from outlast.tools.mcp.stdio import ServerProcess

if TYPE_CHECKING:
    from mcp import Client
    from mcp_types import LoggingMessageNotificationParams

T = TypeVar("T")

_CLOSING = 7.0  # seconds: longer than a process takes to be ended
_CLOSING_ADDRESS = 3.0


@dataclass(frozen=True, slots=True)
class Notice:
    """What a server says besides its answers: `kind` is "log", "progress", "changed" (its list of tools) or
    "reconnected"; `text` is for people, `data` what came with it. All of it is untrusted."""

    kind: Literal["log", "progress", "changed", "reconnected"]
    text: str = ""
    data: Any = None


@dataclass(frozen=True, slots=True)
class Target:
    """How a server is reached: a command with its whole surroundings, or an address with its headers. Times in
    seconds, `most` in bytes."""

    name: str
    command: tuple[str, ...] = ()
    env: Mapping[str, str] | None = None
    cwd: str | None = None
    url: str = ""
    headers: Mapping[str, str] | None = None
    connect: float = 30.0
    call: float = 60.0
    most: int = 1 << 25

    def transport(self) -> ServerProcess | ServerAddress:
        """What carries the messages."""
        if self.url:
            return ServerAddress(self.url, self.headers or {}, self.most, self.call)
        from mcp.client.stdio import get_default_environment

        environment = {**get_default_environment(), **(self.env or {})}
        return ServerProcess(self.command, environment, self.cwd, self.most)

    def redacted(self, text: str) -> str:
        """A text without the secrets that were given to the server, and without what looks like one."""
        given = {**(self.env or {}), **(self.headers or {})}
        own = {value: f"[{name}]" for name, value in given.items() if len(value) >= 8}
        bare = {value.partition(" ")[2]: sign for value, sign in own.items() if len(value.partition(" ")[2]) >= 8}
        return hide_in_text(
            text, longest_first({**own, **bare, **known_secrets()})
        )  # "Bearer x" is hidden, and x alone


class Link:
    """A connection from `open` to `close`. Everything happens on one event loop, requests may come from any task."""

    def __init__(self, target: Target, tell: Callable[[Notice], None] | None) -> None:
        self.client: Client | None = None
        self.stale = False  # the server said that its list of tools has changed
        self.over = False
        self.transport = target.transport()
        self._target = target
        self._tell = tell
        self._opened = asyncio.Event()
        self._stop = asyncio.Event()
        self._failure: BaseException | None = None
        self._task: asyncio.Task[None] | None = None
        self._asked: set[asyncio.Task[Any]] = set()

    async def open(self) -> str:
        """Connect and agree on a version. Gives what went wrong, empty when nothing did."""
        # An empty context: the run of whoever came first is not the run of all who come later.
        self._task = asyncio.get_running_loop().create_task(self._own(), context=Context())
        try:
            await _first(self._target.connect, self._opened, self.transport.over)
        except BaseException:
            self._task.cancel()
            raise
        if self.client is not None and not self.over:
            return ""
        slow = not self._opened.is_set() and not self.transport.over.is_set()
        await self.close()
        said = f"no answer in {self._target.connect:g} s" if slow else self.why()
        return "; ".join(part for part in (said, self.transport.noise()) if part and part not in said[:-1])

    async def close(self) -> None:
        """End the connection, and the process if there is one."""
        self.stop()
        task = self._task
        if task is None:
            return
        if not self._opened.is_set():  # still in the handshake, where nobody looks at `stop`
            task.cancel()
        await asyncio.wait({task}, timeout=_CLOSING_ADDRESS if self._target.url else _CLOSING)
        if not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=1.0)
        self.transport.kill()
        if self._asked:
            await asyncio.wait(self._asked, timeout=1.0)

    async def within(self, seconds: float, request: Coroutine[Any, Any, T]) -> T:
        """Send a request and wait for its answer. Raises `TimeoutError`.

        A request that is given up tells the server so, which may take a while when that does not read: it goes on by
        itself.
        """
        task = asyncio.create_task(request)
        self._asked.add(task)
        task.add_done_callback(self._asked.discard)
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.shield(task)
        except BaseException:
            if not task.done():
                task.add_done_callback(lambda given_up: given_up.cancelled() or given_up.exception())
                task.cancel()
            raise

    def stop(self) -> None:
        """Let the task that owns the connection end it; nothing more is to be sent."""
        self.over = True
        self._stop.set()

    async def ended(self) -> None:
        """Wait a little for the end of a connection that just broke, so that `why` knows."""
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=_CLOSING)

    def why(self) -> str:
        """Why the connection is over."""
        said = self.transport.why()
        if not said and self._failure is not None:
            said = _plain(self._failure, self._target)
        return said or "the connection is closed"

    async def _own(self) -> None:
        try:
            async with self._new_client() as client:
                self.client = client
                self._opened.set()
                listening = asyncio.create_task(self._listen(client))
                try:
                    await _first(None, self._stop, self.transport.over)
                finally:
                    self.over = True
                    listening.cancel()
                    await asyncio.wait({listening})
        except BaseException as error:
            self._failure = error
            if isinstance(error, asyncio.CancelledError):
                raise
        finally:
            self.over = True
            self._opened.set()

    def _new_client(self) -> Client:
        from mcp import Client
        from mcp_types import Implementation

        # Without callbacks for sampling, elicitation and roots, the SDK refuses what a server asks of us.
        return Client(
            self.transport,
            client_info=Implementation(name="outlast", version="1"),
            message_handler=self._heard,
            logging_callback=self._logged,
            log_level=None if self._tell is None else "info",
            cache=None,
        )

    async def _listen(self, client: Client) -> None:
        """Servers of the newer protocol say that their tools changed only to who listens."""
        from mcp.client.subscriptions import ListenNotSupportedError
        from mcp_types.version import MODERN_PROTOCOL_VERSIONS

        tools = client.server_capabilities.tools
        if client.protocol_version not in MODERN_PROTOCOL_VERSIONS or tools is None or not tools.list_changed:
            return
        try:
            async with client.listen(tools_list_changed=True) as events:
                async for _ in events:
                    self._changed()
        except ListenNotSupportedError:
            return
        except Exception:  # the stream is lost, and changes may have been missed
            self.stale = True

    async def _heard(self, message: Any) -> None:
        from mcp_types import ToolListChangedNotification

        if isinstance(message, ToolListChangedNotification):
            self._changed()

    def _changed(self) -> None:
        if not self.stale:
            self.stale = True
            self.say(Notice("changed", "the server says that its tools have changed"))

    async def _logged(self, params: LoggingMessageNotificationParams) -> None:
        text = params.data if isinstance(params.data, str) else repr(params.data)
        self.say(Notice("log", f"{params.level}: {text}", params.data))

    async def progress(self, progress: float, total: float | None, message: str | None) -> None:
        """A call goes on."""
        share = f"{progress:g}" if total is None else f"{progress:g} of {total:g}"
        text = f"{share}: {message}" if message else share
        self.say(Notice("progress", text, {"progress": progress, "total": total}))

    def say(self, notice: Notice) -> None:
        """Pass a notice on; a callback that raises does no harm to the connection."""
        if self._tell is None:
            return
        try:
            self._tell(notice)
        except Exception as error:
            asyncio.get_running_loop().call_exception_handler(
                {"message": "on_message of ol.MCP raised", "exception": error}
            )


async def _first(seconds: float | None, *events: asyncio.Event) -> None:
    """Wait for the first of some events, or for some seconds."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waits:
            one.cancel()
        await asyncio.gather(*waits, return_exceptions=True)


def _plain(error: BaseException, target: Target) -> str:
    """The one reason inside what the SDK's task groups make of it."""
    while isinstance(error, BaseExceptionGroup):
        inner = cast("tuple[BaseException, ...]", error.exceptions)
        error = next((one for one in inner if not isinstance(one, asyncio.CancelledError)), inner[0])
    if isinstance(error, FileNotFoundError) and target.command:
        where = target.cwd if target.cwd and error.filename == target.cwd else target.command[0]
        return f"there is no {'folder' if where == target.cwd else 'program'} {where!r}"
    if isinstance(error, PermissionError) and target.command:
        return f"{target.command[0]!r} may not be run"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__

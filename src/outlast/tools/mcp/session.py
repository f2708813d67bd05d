"""What stands behind an `MCP`: it lives on the I/O loop, opens the connection when it is needed, and asks."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from outlast.errors import ToolServerError, UsageError, brief
from outlast.tools.mcp.contents import error_of, value_of
from outlast.tools.mcp.definitions import Definition, changes, chosen, definitions_of, fingerprint, schema_for, visible
from outlast.tools.mcp.link import Link, Notice, Target

if TYPE_CHECKING:
    from mcp import Client

T = TypeVar("T")

_MOST_PAGES = 100
_MOST_LISTED = 5_000
_inherited: list[Link] = []  # of the parent process: to collect one here would end its server there


@dataclass(frozen=True, slots=True)
class Terms:
    """Which tools are wanted, and what they must be."""

    only: tuple[str, ...] | None = None
    without: tuple[str, ...] = ()
    pin: str | Mapping[str, Definition] | None = None


class Gone(Exception):
    """The server does not know our session any more, so it did not do what was asked."""


class Session:
    """A server, over one connection after the other. Its coroutines run on the I/O loop, from any number of callers.

    A call whose connection breaks is never repeated, as nobody knows what became of it; the next call connects again.
    """

    def __init__(self, target: Target, terms: Terms, tell: Callable[[Notice], None] | None) -> None:
        self.target = target
        self.definitions: dict[str, Definition] | None = None
        self.instructions = ""
        self._terms = terms
        self._tell = tell
        self._link: Link | None = None
        self._opened = False  # by the user
        self._pid = os.getpid()
        self._lock = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def connect(self) -> None:
        """Connect and list the tools; nothing when that was done."""
        self._own_process()
        before, self._opened = self._opened, True
        try:
            await self._live()
        except BaseException:
            self._opened = before
            raise

    async def close(self) -> None:
        """End the connection; nothing when there is none."""
        self._own_process()
        self._opened = False
        link, self._link = self._link, None
        if link is not None:
            await link.close()

    def abandon(self) -> None:
        """End the connection at once, from any thread, without waiting."""
        link, self._link = self._link, None
        if link is None or self._pid != os.getpid():
            return
        link.transport.kill()
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(link.stop)

    async def refresh(self) -> None:
        """List the tools again."""
        link = await self._live()
        async with self._lock:
            await self._list(link)

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Any:
        """Run a tool; gives its value. Raises `ToolServerError`, also when the tool says that it failed."""
        from mcp_types import CallToolRequest, CallToolRequestParams, CallToolResult, InputRequiredResult
        from pydantic import TypeAdapter

        kinds: Any = TypeAdapter(CallToolResult | InputRequiredResult)
        request = CallToolRequest(params=CallToolRequestParams(name=name, arguments=dict(arguments)))

        async def send(client: Client, link: Link) -> Any:
            progress = None if self._tell is None else link.progress
            return await client.session.send_request(request, kinds, progress_callback=progress)

        def known() -> None:
            if name not in (self.definitions or {}):
                raise self.error(f"it has no tool {name!r} any more")

        # Not through `call_tool`, which checks results against the schema of the server, patterns and all: a pattern
        # made for it holds up a process for ever.
        result = await self.ask(f"the call of {name!r}", send, known)
        if isinstance(result, InputRequiredResult):
            raise self.error(f"{name!r} wants to ask a person or a model of ours, which is refused")
        if result.is_error:
            raise self.error(visible(error_of(result)), bare=True)
        return value_of(result, (self.definitions or {}).get(name))

    async def ask(
        self,
        what: str,
        send: Callable[[Client, Link], Coroutine[Any, Any, T]],
        before: Callable[[], None] | None = None,
    ) -> T:
        """Send one request over the connection, which is opened again first when it broke. Raises
        `ToolServerError`."""
        link = await self._live()
        if before is not None:
            before()
        try:
            return await self._sent(link, what, send)
        except Gone:
            link.stop()
            await link.ended()
            link = await self._live()
            if before is not None:
                before()
            try:
                return await self._sent(link, what, send)
            except Gone:
                raise self.error(f"{what} failed: it ended the session twice") from None

    async def pages(self, what: str, capability: str, method: str, field: str) -> list[Any]:
        """All entries of a listing that comes in pages; none when the server has no such thing."""
        return await self.ask(what, lambda client, _: self._pages(client, what, capability, method, field))

    async def _pages(self, client: Client, what: str, capability: str, method: str, field: str) -> list[Any]:
        from mcp import MCPError
        from mcp_types import METHOD_NOT_FOUND

        found: list[Any] = []
        seen: set[str | None] = set()
        cursor: str | None = None
        size = 0
        if getattr(client.server_capabilities, capability) is None:
            return []
        while True:
            seen.add(cursor)
            try:
                result = await getattr(client, method)(cursor=cursor)
            except MCPError as error:
                if error.code == METHOD_NOT_FOUND and cursor is None:
                    return []
                raise
            found += getattr(result, field)
            size += len(result.model_dump_json())
            cursor = result.next_cursor
            if size > self.target.most:
                raise self.error(f"{what} is longer than {self.target.most} bytes")
            if not cursor:
                return found
            if cursor in seen or len(seen) >= _MOST_PAGES or len(found) > _MOST_LISTED:
                raise self.error(f"{what} has no end: {len(found)} entries on {len(seen)} pages")

    async def _live(self) -> Link:
        """The connection, opened again when it broke, with an up-to-date list of tools."""
        self._own_process()
        async with self._lock:
            if not self._opened:
                raise UsageError(f"{self} is not open; use it in a `with` or `async with` block, or call connect()")
            link = self._link
            if link is not None and not link.over:
                if link.stale:
                    await self._list(link)
                return link
            if link is not None:
                await link.close()
            self._loop = asyncio.get_running_loop()
            new = Link(self.target, self._tell)
            again = self.definitions is not None
            try:
                wrong = await new.open()
                if wrong:
                    raise self.error(f"no connection: {wrong}", new, long=True)
                self._link = new
                await self._list(new)
            except BaseException:
                self._link = None
                await new.close()
                raise
            if again:
                new.say(Notice("reconnected", f"{self} was connected again"))
            return new

    async def _list(self, link: Link) -> None:
        """List the tools and hold them against the pin."""
        link.stale = False
        client = link.client
        assert client is not None
        self.instructions = client.instructions or ""
        what = "the list of its tools"
        listed = await self._sent(link, what, lambda c, _: self._pages(c, what, "tools", "list_tools", "tools"))
        with self.named():
            found = chosen(definitions_of(listed), self._terms.only, self._terms.without)
            self._check(found)
        self.definitions = found

    def _check(self, found: dict[str, Definition]) -> None:
        for name, told in found.items():
            schema_for(name, told["parameters"])
        pin = self._terms.pin
        if pin is None:
            return
        wanted = pin if isinstance(pin, str) else fingerprint(pin)
        if fingerprint(found) == wanted:
            return
        before = self.definitions if isinstance(pin, str) else pin
        if before is None:
            tools = ", ".join(map(repr, found)) or "none"
            said = f"the fingerprint is {fingerprint(found)} and not {wanted}; its tools are now: {tools}"
        else:
            said = "; ".join(changes(before, found)[:20])
        link, self._link = self._link, None
        if link is not None:
            link.stop()
        raise ToolServerError(f"its tools are not those that were pinned: {said}. Look at them, then pin them anew")

    async def _sent(self, link: Link, what: str, send: Callable[[Client, Link], Coroutine[Any, Any, T]]) -> T:
        from mcp import MCPError
        from pydantic import ValidationError

        client = link.client
        assert client is not None
        try:
            return await link.within(self.target.call, send(client, link))
        except TimeoutError:
            deaf = link.transport.deaf()
            said = [f"{what} had no answer in {self.target.call:g} s", "what became of it is not known"]
            said += [one for one in (deaf, link.transport.noise()) if one]
            if deaf:
                link.stop()
            raise self.error("; ".join(said), link) from None
        except MCPError as error:
            raise await self._refused(link, what, error) from error
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise self.error(f"its answer to {what} is none: {where}: {first['msg']}", link) from error
        except ToolServerError:
            raise
        except Exception as error:
            raise self.error(f"{what} failed: {type(error).__name__}: {error}", link) from error

    async def _refused(self, link: Link, what: str, error: Any) -> Exception:
        from mcp_types import CONNECTION_CLOSED, INVALID_REQUEST

        if error.code == INVALID_REQUEST and error.message == "Session terminated":  # the SDK's words for a 404
            return Gone()
        if error.code == CONNECTION_CLOSED and error.message == "Connection closed":
            await link.ended()
            return self.error(
                f"the connection broke during {what}, and what became of it is not known: {link.why()}. It was not "
                "repeated; the next call connects again",
                link,
            )
        said = visible(str(error.message))[:2000]
        if error.code == CONNECTION_CLOSED and said.startswith(
            "SSE stream"
        ):  # the SDK's words for a reply that was cut
            said += "; what became of it is not known"
        status = link.transport.why() if self.target.url else ""
        return self.error(f"{what} was refused: {said}{f': {status}' if status else ''}", link)

    def error(self, text: str, link: Link | None = None, *, bare: bool = False, long: bool = False) -> ToolServerError:
        """An error of this server; `long` tells the end of its standard error too, for people and not for models."""
        stderr = "" if link is None else self.target.redacted(link.transport.stderr())
        said = self.target.redacted(text if bare else f"{self}: {text}")
        if long and stderr:
            said += "\nIts standard error ends:\n" + "\n".join(stderr.splitlines()[-15:])
        return ToolServerError(said, server=self.target.name, stderr=stderr)

    @contextmanager
    def named(self) -> Generator[None]:
        """Say in errors of what the server sent which server it is."""
        try:
            yield
        except ToolServerError as error:
            raise self.error(str(error)) from error

    def _own_process(self) -> None:
        if self._pid != os.getpid():
            if self._link is not None:
                _inherited.append(self._link)
            self._pid, self._link, self._lock, self._loop = os.getpid(), None, asyncio.Lock(), None

    def __str__(self) -> str:
        return f"the MCP server {brief(self.target.name)}"

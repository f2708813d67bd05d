"""`MCP`: a server whose tools, resources and prompts programs use."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar, cast

from outlast.errors import UsageError, brief
from outlast.messages import Message
from outlast.runtime import current, drive, io, running, running_loop
from outlast.tools.mcp.contents import Content, content_of, message_of
from outlast.tools.mcp.definitions import Definition, fingerprint, tools_from, visible
from outlast.tools.mcp.link import Notice, Target
from outlast.tools.mcp.options import check_numbers, check_place, name_of, names, need_sdk, text, texts
from outlast.tools.mcp.session import Session, Terms
from outlast.types import Label, Tool

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class MCPResource:
    """What a server offers to read. `size` is in bytes; `template` says that the `uri` has parts in braces to fill
    in. All of it is what the server says."""

    uri: str
    name: str
    description: str = ""
    mime: str = ""
    size: int | None = None
    template: bool = False


@dataclass(frozen=True, slots=True)
class MCPPrompt:
    """A prompt that a server offers: its arguments by name, each with its description; `required` are those that
    must be given. All of it is what the server says."""

    name: str
    description: str
    arguments: Mapping[str, str]
    required: frozenset[str]


class MCP:
    """A server of the Model Context Protocol: `with ol.MCP("python", "server.py") as server: server.tools`.

    Give a command with its arguments, which becomes a process (stdio), or `url=` with `headers=` (streamable HTTP).
    A process gets the variables in `env` and of ours only what every program needs (PATH, HOME, ...), none with keys.

    `name` is what labels and errors call the server; `prefix` begins the names of its tools; `only` and `without`
    choose tools by the names that the server uses. `pin`, a `fingerprint` or the `definitions` of an earlier session,
    refuses a server whose chosen tools differ, at once and whenever it lists them again. `timeout` is for one call and
    `connect_timeout` for connecting, in seconds; `max_bytes` for one message. `on_message` is called with each
    `Notice`, on the thread of the I/O loop: it must be quick. What a server asks of us (samples of a model, input of a
    person, folders) is refused.

    In a `with` or `async with` block, or between `connect` and `close`, one connection serves every thread and event
    loop. When it breaks, the call in flight fails, as nobody knows what became of it, and the next call connects again.
    What is forgotten is closed when it is garbage-collected or the interpreter ends. Raises `ToolServerError` when the
    server does not do its part, `ConfigError` without the extra `mcp`.
    """

    def __init__(
        self,
        *command: str,
        url: str | None = None,
        headers: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        name: str | None = None,
        prefix: str = "",
        only: Iterable[str] | None = None,
        without: Iterable[str] = (),
        pin: str | Mapping[str, Definition] | None = None,
        timeout: float = 60.0,
        connect_timeout: float = 30.0,
        max_bytes: int = 1 << 25,
        on_message: Callable[[Notice], None] | None = None,
    ) -> None:
        check_place(command, url, headers, env, cwd)
        check_numbers(timeout=timeout, connect_timeout=connect_timeout, max_bytes=max_bytes)
        if pin is not None and not isinstance(pin, str | Mapping):
            raise UsageError(f"MCP: pin is a fingerprint or definitions of an earlier session; got {brief(pin)}")
        self.name = name if name is not None else name_of(command, url)
        self.prefix = prefix
        target = Target(
            text("name", self.name),
            command,
            texts("env", env),
            None if cwd is None else os.fspath(cwd),
            url or "",
            texts("headers", headers),
            connect_timeout,
            timeout,
            max_bytes,
        )
        terms = Terms(None if only is None else names("only", only), names("without", without), pin)
        text("prefix", prefix)
        self._session = Session(target, terms, on_message)
        if on_message is not None and not callable(on_message):
            raise UsageError(f"MCP: on_message is a function of one notice; got {brief(on_message)}")
        weakref.finalize(self, self._session.abandon)

    @property
    def tools(self) -> tuple[Tool, ...]:
        """The chosen tools as they were last listed. Names are made valid and unique where they are not, descriptions
        are freed of invisible characters, and schemas of references that lead out of them."""
        target = self._session.target
        return tools_from(
            self._known(),
            self.prefix,
            self._function,
            timeout=target.connect + target.call + 1.0,  # ours end before it, and say more
            label=Label(frozenset({f"mcp:{self.name}"})),
        )

    @property
    def definitions(self) -> dict[str, Definition]:
        """What the server says of the chosen tools, by name: description, parameters, returns; JSON data, for `pin`."""
        return dict(self._known())

    @property
    def fingerprint(self) -> str:
        """A hash over the `definitions`, for `pin`."""
        return fingerprint(self._known())

    @property
    def instructions(self) -> str:
        """What the server says on how to use it; untrusted, and in no prompt unless you put it there."""
        self._known()
        return visible(self._session.instructions)

    def connect(self) -> Self:
        """Connect and list the tools; nothing when that was done. Raises `ToolServerError`, `UsageError` for names in
        `only` and `without` that the server does not have."""
        self._wait(self.aconnect)
        return self

    async def aconnect(self) -> Self:
        """Like `connect`, from async code."""
        need_sdk()
        await self._on_loop(self._session.connect())
        return self

    def close(self) -> None:
        """End the connection and the process; nothing when there is none. `connect` opens it again."""
        self._wait(self.aclose)

    async def aclose(self) -> None:
        """Like `close`, from async code."""
        await self._on_loop(self._session.close())

    def refresh(self) -> tuple[Tool, ...]:
        """List the tools again. That happens by itself before the next call when the server says that they changed."""
        return self._wait(self.arefresh)

    async def arefresh(self) -> tuple[Tool, ...]:
        """Like `refresh`, from async code."""
        await self._on_loop(self._session.refresh())
        return self.tools

    def resources(self) -> tuple[MCPResource, ...]:
        """What the server offers to read, templates last; empty when it has no such thing."""
        return self._wait(self.aresources)

    async def aresources(self) -> tuple[MCPResource, ...]:
        """Like `resources`, from async code."""
        return await self._on_loop(self._resources())

    def read(self, uri: str) -> Content:
        """A resource: a text as `Document`, bytes as `Image`, `Audio` or `File`. Raises `ToolServerError`, also for a
        resource of several parts: `read_all`."""
        return self._wait(lambda: self.aread(uri))

    async def aread(self, uri: str) -> Content:
        """Like `read`, from async code."""
        found = await self.aread_all(uri)
        if len(found) != 1:
            raise self._session.error(f"the resource {brief(uri)} has {len(found)} parts; read_all gives them all")
        return found[0]

    def read_all(self, uri: str) -> tuple[Content, ...]:
        """A resource that may have several parts, such as a folder."""
        return self._wait(lambda: self.aread_all(uri))

    async def aread_all(self, uri: str) -> tuple[Content, ...]:
        """Like `read_all`, from async code."""
        return await self._on_loop(self._read(text("uri", uri)))

    def prompts(self) -> tuple[MCPPrompt, ...]:
        """The prompts that the server offers; empty when it has no such thing."""
        return self._wait(self.aprompts)

    async def aprompts(self) -> tuple[MCPPrompt, ...]:
        """Like `prompts`, from async code."""
        return await self._on_loop(self._prompts())

    def prompt(self, name: str, /, **arguments: str) -> tuple[Message, ...]:
        """The messages of a prompt with its arguments, which are text, filled in."""
        return self._wait(lambda: self.aprompt(name, **arguments))

    async def aprompt(self, name: str, /, **arguments: str) -> tuple[Message, ...]:
        """Like `prompt`, from async code."""
        given = texts("the arguments of a prompt", arguments) or {}
        return await self._on_loop(self._prompt(text("the name of a prompt", name), given))

    async def _resources(self) -> tuple[MCPResource, ...]:
        pages = self._session.pages
        fixed = await pages("the list of its resources", "resources", "list_resources", "resources")
        open_ = await pages("the list of its templates", "resources", "list_resource_templates", "resource_templates")
        return tuple(
            MCPResource(uri, one.title or one.name, visible(one.description or ""), one.mime_type or "", size, template)
            for one, uri, size, template in (
                *((one, one.uri, one.size, False) for one in fixed),
                *((one, one.uri_template, None, True) for one in open_),
            )
        )

    async def _read(self, uri: str) -> tuple[Content, ...]:
        result = await self._session.ask(f"the reading of {brief(uri)}", lambda client, _: client.read_resource(uri))
        with self._session.named():
            return tuple(content_of(one) for one in result.contents)

    async def _prompts(self) -> tuple[MCPPrompt, ...]:
        found = await self._session.pages("the list of its prompts", "prompts", "list_prompts", "prompts")
        return tuple(
            MCPPrompt(
                one.name,
                visible(one.description or ""),
                {argument.name: argument.description or "" for argument in one.arguments or ()},
                frozenset(argument.name for argument in one.arguments or () if argument.required),
            )
            for one in found
        )

    async def _prompt(self, name: str, arguments: dict[str, str]) -> tuple[Message, ...]:
        result = await self._session.ask(
            f"the prompt {brief(name)}", lambda client, _: client.get_prompt(name, arguments)
        )
        with self._session.named():
            return tuple(message_of(one) for one in result.messages)

    def _function(self, raw: str) -> Callable[..., Any]:
        async def call(**arguments: Any) -> Any:
            return await self._on_loop(self._session.call(raw, arguments))

        cast("Any", call).blocking_safe = True
        return call

    async def _on_loop(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """The session lives on the loop of all blocking callers, so it is one for every thread and event loop."""
        with running(visiting=True):
            return await io(coroutine)

    def _wait(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        loop = running_loop()
        if loop is not None and not current().blocking:
            raise UsageError("MCP: this waits for the server inside async code; use the method with an a before it")
        with running(blocking=True, loop=loop):
            return drive(make())

    def _known(self) -> Mapping[str, Definition]:
        if self._session.definitions is None:
            raise UsageError(f"{self!r} is not open; use it in a `with` or `async with` block, or call connect()")
        return self._session.definitions

    def __enter__(self) -> Self:
        return self.connect()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return await self.aconnect()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"MCP(name={self.name!r})"

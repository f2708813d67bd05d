"""A server behind an address, spoken to over streamable HTTP, with bounds on all that it sends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any

from outlast.types.media import shown_address

if TYPE_CHECKING:
    import httpx2

_HINTS = {
    401: "give what it asks for in headers=",
    403: "what is in headers= is not enough",
    404: "there is no MCP server at this address, or the session is gone",
    405: "there is no MCP server of streamable HTTP at this address",
}


class ServerAddress:
    """Streams to an address, as the SDK wants a transport: `async with ServerAddress(...) as (read, write)`.

    `over` is never set by the transport itself: each request has a connection of its own. `why` tells the last reply
    that was refused. Redirects to another origin are not followed (the SDK sees to that), replies are not compressed
    (a small one could be huge), and none is longer than `most` bytes.
    """

    def __init__(self, url: str, headers: Mapping[str, str], most: int, seconds: float) -> None:
        self.over = asyncio.Event()
        self._url = url
        self._headers = {"accept-encoding": "identity", **headers}
        self._most = most
        self._seconds = seconds
        self._status = 0
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Any:
        import httpx2
        from mcp.client.streamable_http import streamable_http_client

        client = httpx2.AsyncClient(
            headers=self._headers,
            timeout=httpx2.Timeout(30.0, read=max(300.0, self._seconds + 30.0)),
            event_hooks={"response": [self._bounded]},
        )
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(client)
            streams = await stack.enter_async_context(
                streamable_http_client(self._url, http_client=client, max_sse_event_size=self._most)
            )
            self._stack = stack.pop_all()
            return streams

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._stack.__aexit__(kind, error, trace)

    def why(self) -> str:
        """The last reply with an error status, for a message; empty when there was none."""
        if not self._status:
            return ""
        hint = _HINTS.get(self._status)
        return f"{shown_address(self._url)} answered HTTP {self._status}{f' ({hint})' if hint else ''}"

    def noise(self) -> str:
        """Nothing: replies are no stream that something else could be mixed into."""
        return ""

    def deaf(self) -> str:
        """Nothing: each request has a connection of its own."""
        return ""

    def stderr(self) -> str:
        """Nothing: only processes have one."""
        return ""

    def kill(self) -> None:
        """Nothing to end at once: there is no process."""

    async def _bounded(self, response: httpx2.Response) -> None:
        import httpx2

        self._status = response.status_code if response.status_code >= 400 else 0
        if response.headers.get("content-encoding", "identity").lower() not in ("", "identity"):
            raise httpx2.StreamError("the reply is compressed, which was not asked for")
        if not response.headers.get("content-type", "").lower().startswith("text/event-stream"):
            response.stream = _bounded_stream(response.stream, self._most)


def _bounded_stream(stream: Any, most: int) -> Any:
    """The stream, which breaks once it is longer than `most` bytes."""
    import httpx2

    class Bounded(httpx2.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            length = 0
            async for chunk in stream:
                length += len(chunk)
                if length > most:
                    raise httpx2.StreamError(f"the reply is longer than {most} bytes")
                yield chunk

        async def aclose(self) -> None:
            await stream.aclose()

    return Bounded()

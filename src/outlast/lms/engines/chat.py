"""What engines have in common whose library speaks OpenAI's chat JSON: they are another way for it to travel."""

from __future__ import annotations

import asyncio
import json
from abc import abstractmethod
from collections.abc import AsyncGenerator, Mapping
from typing import Any, ClassVar, cast

from outlast.errors import LMError, LMResponseError
from outlast.lms.engines import load
from outlast.lms.engines.clients import close_soon
from outlast.lms.engines.failures import error_of, hiding, ours, outcome_of
from outlast.lms.wire.model import WireLM
from outlast.lms.wire.openai_chat_reply import CHAT
from outlast.lms.wire.transport import Endpoint, Reply, Secret, Stream

Answer = tuple[Mapping[str, Any] | bytes, Mapping[str, str]]
_JSON = {"content-type": "application/json"}
_EVENTS = {"content-type": "text/event-stream"}


class ChatEngine(WireLM):
    """A model asked through a library instead of over our own HTTP client; all else is as in `WireLM`.

    A subclass names its `engine` and its `library` and defines `ask` and `pieces`. Both get the JSON of a chat
    completion request and run on an event loop; what they raise is told apart by `failures`. The endpoint's timeout
    bounds a whole exchange, and each piece of a stream.
    """

    engine: ClassVar[str]
    library: ClassVar[str]

    def __init__(self, model: str, endpoint: Endpoint, **options: Any) -> None:
        super().__init__(model, endpoint, CHAT, **options)
        facts: dict[str, Any] = json.loads(self._identity)
        self._identity = json.dumps({**facts, "engine": self.engine}, sort_keys=True)

    async def load(self) -> None:
        """Import the library, off the loop."""
        await load(self.library)

    @abstractmethod
    async def ask(self, body: dict[str, Any], key: Secret | None) -> Answer:
        """A chat completion, as JSON or as its bytes, and headers of the reply where the library gives them."""

    @abstractmethod
    def pieces(self, body: dict[str, Any], key: Secret | None) -> AsyncGenerator[Mapping[str, Any]]:
        """The JSON of the chunks of a streamed chat completion."""

    def facts(self) -> Mapping[str, Any]:
        """Engine, model, server, and what was learned of it."""
        return {"engine": self.engine, **super().facts()}

    async def _post(self, payload: bytes, key: Secret | None) -> Reply:
        outcome = await self._answer(payload, key)
        if isinstance(outcome, LMError):
            raise outcome  # here and not where it was found: the library's error may hold the key
        return outcome

    async def _answer(self, payload: bytes, key: Secret | None) -> Reply | LMError:
        body, hide = json.loads(payload), _hider(key)
        try:
            await self.load()
            async with asyncio.timeout(self.endpoint.timeout):
                data, headers = await self.ask(body, key)
        except BaseException as error:
            if ours(error):
                raise
            return outcome_of(error, self.name, hide, self.endpoint.timeout)
        content = data if isinstance(data, bytes) else json.dumps(data, default=str).encode()
        reply = Reply(200, _JSON | {str(name).lower(): str(value) for name, value in headers.items()}, content)
        if len(reply.body) > self.endpoint.max_bytes:
            return LMResponseError(f"{self.name}: the reply is larger than {self.endpoint.max_bytes} bytes", status=200)
        return reply

    async def _open(self, payload: bytes, key: Secret | None) -> Stream:
        outcome = await self._first(payload, key)
        if isinstance(outcome, LMError):
            raise outcome
        return cast("Stream", outcome)  # what `WireLM` uses of one

    async def _first(self, payload: bytes, key: Secret | None) -> PieceStream | LMError:
        """The stream once its first piece is there: only then is it known that there is one."""
        hide, endpoint = _hider(key), self.endpoint
        pieces = self.pieces(json.loads(payload), key)
        try:
            await self.load()
            async with asyncio.timeout(endpoint.timeout):
                first = await anext(pieces, None)
        except BaseException as error:
            await pieces.aclose()
            if ours(error):
                raise
            outcome = outcome_of(error, self.name, hide, endpoint.timeout)
            return PieceStream(self.name, endpoint, pieces, None, outcome) if isinstance(outcome, Reply) else outcome
        return PieceStream(self.name, endpoint, pieces, first, None)

    def __repr__(self) -> str:
        where = f" at {self.endpoint.base_url!r}" if self.endpoint.base_url else ""
        return f"{type(self).__name__}({self.model!r}{where})"


class PieceStream:
    """Chunks of a library's stream as the bytes of server-sent events: `transport.Stream` for engines.

    `refused` is the reply when there is no stream. Each end is the library's: a stream that lost its end lacks the
    finish reason, by which it is known.
    """

    def __init__(
        self,
        subject: str,
        endpoint: Endpoint,
        pieces: AsyncGenerator[Mapping[str, Any]],
        first: Mapping[str, Any] | None,
        refused: Reply | None,
    ) -> None:
        self.status = 200 if refused is None else refused.status
        self.headers: Mapping[str, str] = _EVENTS if refused is None else refused.headers
        self._subject = subject
        self._endpoint = endpoint
        self._pieces = pieces
        self._first = first
        self._refused = refused
        self._loop = asyncio.get_running_loop()
        self._size = 0

    async def read(self) -> bytes:
        """The next chunk as an event, empty at the end. Raises an `LMError`."""
        outcome = await self._next()
        if isinstance(outcome, LMError):
            raise outcome
        return outcome

    async def _next(self) -> bytes | LMError:
        piece, self._first = self._first, None
        timeout = self._endpoint.timeout
        if piece is None:
            try:
                async with asyncio.timeout(timeout):
                    piece = await anext(self._pieces, None)
            except BaseException as error:
                if ours(error):
                    raise
                return error_of(error, self._subject, hiding(str), timeout)
        if piece is None:
            return b""
        event = b"data: " + json.dumps(piece, default=str).encode() + b"\n\n"
        self._size += len(event)
        if self._size > self._endpoint.max_bytes:
            return LMResponseError(f"{self._subject}: the reply is larger than {self._endpoint.max_bytes} bytes")
        return event

    async def rest(self) -> Reply:
        """The reply of a server that refused."""
        return self._refused or Reply(self.status, self.headers, b"")

    def abandon(self) -> None:
        """Give the rest up, which closes the connection. From any thread; may be called again."""
        close_soon(self._loop, self._pieces)


def _hider(key: Secret | None) -> Any:
    return hiding(str if key is None else key.redact)

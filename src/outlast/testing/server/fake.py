"""A model server of our own for tests: it speaks every dialect, on loopback, as faultily as it is told to."""

from __future__ import annotations

import asyncio
import inspect
import json
import socket
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

from outlast.errors import UsageError, brief
from outlast.testing.server.answers import Answer, Tokens, said_in
from outlast.testing.server.batch_routes import BatchRoutes
from outlast.testing.server.batches import Batches, Outcome
from outlast.testing.server.dialects import DIALECTS, written
from outlast.testing.server.faults import Fault
from outlast.testing.server.sending import Sender

if TYPE_CHECKING:
    from aiohttp import web

Given = str | Answer | Mapping[str, Any] | Fault
Handler = Callable[[dict[str, Any]], Given | Awaitable[Given]]
_MOST_KEPT = 10_000
_BACKLOG = 4096


@dataclass(frozen=True, slots=True)
class SeenRequest:
    """One request as it arrived. Header names are in lower case."""

    body: dict[str, Any]
    headers: Mapping[str, str]
    path: str = ""


class FakeServer:
    """A model server in a thread of its own, for the length of a `with` block.

        with FakeServer(lambda request: "yes") as server:
            lm = LM("openai/test", base_url=server.url)

    It serves OpenAI's /v1/chat/completions and /v1/responses and Anthropic's /v1/messages, all three also as streams;
    /v1/decisions and /v1/systemone; /v1/models; and files and batches of both styles.

    `handler` gets the JSON of a request and gives its answer: text or an `Answer`, which work in every dialect; a
    whole reply of the dialect as a dict (made with `completion`, `response`, `message`, `decisions` or `systemone`;
    streamed when a stream was asked for); or a `Fault`. It may be a coroutine function, and runs on the server's loop.
    A text, `Answer` or `Fault` answers every request; a list answers them in the order in which they arrive and then
    fails with 500. None repeats the last message. An exception in the handler is answered with 500. `latency` is in
    seconds, `pace` the seconds after each event of a stream. `key`, when given, is demanded from clients as a bearer
    token, or by /v1/messages as `x-api-key`; that path always demands `anthropic-version`. A batch ends `batch_delay`
    seconds after it was made; with None it waits for `finish_batches()`. A server that is entered again has the same
    address and still has its batches.

    `url` is the base URL to give to a client. `requests` are those seen, in order of arrival, at least the last 9,000;
    `count` all of them, `in_flight` those under way and `max_in_flight` the most there ever were. `disconnects` counts
    the replies that a client did not wait for. `answered` counts the replies that went out whole and were no errors,
    `told` adds up the tokens that they said were used. Tokens are words, so that tests can count them.
    """

    def __init__(
        self,
        handler: Handler | Given | Sequence[Given] | None = None,
        *,
        latency: float = 0.0,
        pace: float = 0.0,
        models: Sequence[str] = ("fake",),
        key: str | None = None,
        port: int = 0,
        batch_delay: float | None = 0.0,
    ) -> None:
        self.handler = _as_handler(handler)
        self.latency = latency
        self.pace = pace
        self.models = tuple(models)
        self.key = key
        self.requests: list[SeenRequest] = []
        self.count = 0
        self.in_flight = 0
        self.max_in_flight = 0
        self.disconnects = 0
        self.answered = 0
        self.told = Tokens(0, 0)
        self.batches = Batches(batch_delay)
        self._port = port
        self._address: tuple[str, int] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stop: asyncio.Event | None = None
        self._failure: BaseException | None = None

    @property
    def root(self) -> str:
        """The address of the server, without a path: the base URL that Anthropic's clients take."""
        if self._address is None:
            raise UsageError("the server is not running: use it in a `with` block")
        return f"http://{self._address[0]}:{self._address[1]}"

    @property
    def url(self) -> str:
        """The base URL, ending in /v1."""
        return f"{self.root}/v1"

    def finish_batches(self, first: int | None = None, *, cancel: bool = False) -> None:
        """End every batch now: all requests answered, or only the `first` and the rest expired (or cancelled)."""
        rest = "cancelled" if cancel else "expired"
        self._on_loop(lambda batch: self.batches.finish(batch, self._run_line, first, rest))

    def progress_batches(self, first: int) -> None:
        """Answer the `first` requests of every batch and leave it under way."""
        self._on_loop(lambda batch: self.batches.progress(batch, self._run_line, first))

    def _on_loop(self, step: Callable[[Any], Any]) -> None:
        if self._loop is None or self._address is None:
            raise UsageError("the server is not running: use it in a `with` block")
        for batch in list(self.batches.batches.values()):
            asyncio.run_coroutine_threadsafe(step(batch), self._loop).result()

    def __enter__(self) -> FakeServer:
        ready = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(ready)), name="outlast-fake-server", daemon=True
        )
        self._thread.start()
        ready.wait()
        if self._failure is not None:
            raise self._failure
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        if self._thread is not None:
            self._thread.join()
        self._address = None

    async def _serve(self, ready: threading.Event) -> None:
        try:
            from aiohttp import web

            self._loop, self._stop, self._failure = asyncio.get_running_loop(), asyncio.Event(), None
            app = web.Application(client_max_size=1 << 28)
            for path in DIALECTS:
                app.router.add_post(path, self._complete)
            app.router.add_get("/v1/models", self._list_models)
            BatchRoutes(self.batches, self._run_line, DIALECTS, self._stranger).add_to(app)
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.05, handler_cancellation=True)
            await runner.setup()
            listening = socket.create_server(("127.0.0.1", self._port), backlog=_BACKLOG)
            await web.SockSite(runner, listening, backlog=_BACKLOG).start()
            self._address = ("127.0.0.1", runner.addresses[0][1])
            self._port = self._address[1]
        except BaseException as error:
            self._failure = error
            return
        finally:
            ready.set()
        await self._stop.wait()
        with suppress(NotImplementedError):  # of the loops of Windows
            self._loop.remove_reader(listening)
        for _ in range(3):  # turns of the loop, for who was let in last: asyncio would forget to close its socket
            await asyncio.sleep(0)
        server = runner.server
        assert server is not None
        transports = [connection.transport for connection in server.connections]
        await runner.cleanup()
        for transport in transports:
            if transport is not None:  # also where a client does not read what it asked for
                transport.abort()
        await asyncio.sleep(0)  # for them to close

    async def _list_models(self, request: web.Request) -> web.StreamResponse:
        from aiohttp import web

        models = [{"id": name, "object": "model", "created": 0, "owned_by": "outlast"} for name in self.models]
        return web.json_response({"object": "list", "data": models})

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        self.count += 1
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        try:
            return await self._answer(request)
        finally:
            self.in_flight -= 1

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        from aiohttp import web

        dialect = DIALECTS[request.path]
        sender = Sender(request, dialect, {}, self._note, self.pace)
        try:
            body = json.loads(await request.read())
        except ValueError:
            body = None
        if not isinstance(body, dict):
            return await sender.send(Fault.error(400, "the body is not a JSON object"))
        sender.body = body = cast("dict[str, Any]", body)
        if len(self.requests) >= _MOST_KEPT:
            del self.requests[:1000]
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.requests.append(SeenRequest(body, headers, request.path))
        refused = self._refused(request, body)
        if refused is not None:
            return await sender.send(refused)
        try:
            if self.latency:
                await asyncio.sleep(self.latency)
            return await sender.send(await self._asked(body))
        except asyncio.CancelledError:
            self._count_disconnect(sender)
            raise
        except ConnectionError:  # found while writing; there is nobody to answer, and nothing went wrong here
            self._count_disconnect(sender)
            return web.Response()

    def _count_disconnect(self, sender: Sender) -> None:
        if not sender.hung_up and self._stop is not None and not self._stop.is_set():
            self.disconnects += 1

    def _refused(self, request: web.Request, body: Mapping[str, Any]) -> Fault | None:
        stranger = self._stranger(request)
        if stranger is not None:
            return Fault.error(401, stranger, code="invalid_api_key")
        if request.path == "/v1/messages" and "anthropic-version" not in request.headers:
            return Fault.error(400, "anthropic-version: header is required")
        if body.get("stream") and DIALECTS[request.path].events is None:
            return Fault.error(400, f"{request.path} does not stream", param="stream")
        return None

    def _stranger(self, request: web.Request) -> str | None:
        """Why a request has no right to be answered."""
        if self.key is None:
            return None
        if request.headers.get("Authorization") == f"Bearer {self.key}":
            return None
        if request.path.startswith("/v1/messages"):
            return None if request.headers.get("x-api-key") == self.key else "invalid x-api-key"
        return "Incorrect API key provided"

    async def _asked(self, body: dict[str, Any]) -> Given:
        try:
            answer = self.handler(body)
            return await answer if inspect.isawaitable(answer) else answer
        except Exception as error:
            return Fault.error(500, f"the handler raised {type(error).__name__}: {error}")

    def _note(self, dialect_tokens: Tokens) -> None:
        self.answered += 1
        self.told = Tokens(self.told.input + dialect_tokens.input, self.told.output + dialect_tokens.output)

    async def _run_line(self, path: str, body: dict[str, Any]) -> Outcome:
        """Answer one request of a batch. Faults that are no HTTP errors become status 500."""
        dialect = DIALECTS[path]
        self.count += 1
        answer = await self._asked(body)
        if isinstance(answer, Fault):
            fault = answer if answer.kind == "status" else Fault.error(500, f"told to {answer.kind}")
            return Outcome(fault.status, dialect.error_body(fault.status, json.loads(fault.body)["error"]))
        reply = written(dialect, answer, body)
        self._note(dialect.tokens(reply))
        return Outcome(200, reply)


def _as_handler(given: Handler | Given | Sequence[Given] | None) -> Handler:
    if given is None:
        return _repeat
    if isinstance(given, (str, Answer, Mapping, Fault)):
        answer: Given = cast("Given", given)
        return lambda request: answer
    if callable(given):
        return given
    if not isinstance(given, Sequence):
        raise UsageError(f"a server's handler is a function, an answer or a list of answers; got {brief(given)}")
    answers = iter(given)

    def in_order(request: dict[str, Any]) -> Given:
        return next(answers, Fault.error(500, f"the list of {len(given)} answers is used up"))

    return in_order


def _repeat(request: dict[str, Any]) -> str:
    turns: Any = request.get("messages") or request.get("input") or ""
    return turns if isinstance(turns, str) else said_in(turns[-1])

"""A model server of our own for tests: OpenAI-compatible, on loopback, and as faulty as it is told to be."""

from __future__ import annotations

import asyncio
import inspect
import json
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, cast

from outlast.errors import UsageError, brief

if TYPE_CHECKING:
    from aiohttp import web

FaultKind = Literal["status", "drop", "cut", "slow", "body", "huge", "redirect", "not_http"]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong with one reply. Make one with the functions of the class."""

    kind: FaultKind
    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    amount: float = 0

    @classmethod
    def error(
        cls,
        status: int,
        message: str = "told to fail",
        *,
        retry_after: float | str | None = None,
        code: str | None = None,
        param: str | None = None,
        kind: str = "error",
        headers: Mapping[str, str] | None = None,
    ) -> Fault:
        """An HTTP error with OpenAI's error object. `retry_after` becomes the header of that name."""
        sent = dict(headers or {})
        if retry_after is not None:
            sent["Retry-After"] = str(retry_after)
        error = {"message": message, "type": kind, "param": param, "code": code}
        return cls("status", status, json.dumps({"error": error}).encode(), sent)

    @classmethod
    def drop(cls) -> Fault:
        """The connection is closed without a reply."""
        return cls("drop")

    @classmethod
    def cut(cls) -> Fault:
        """The connection breaks in the middle of the body."""
        return cls("cut")

    @classmethod
    def slow(cls, seconds: float) -> Fault:
        """The body trickles in over `seconds`."""
        return cls("slow", amount=seconds)

    @classmethod
    def garbage(cls, body: bytes = b"{]\x00 no json", content_type: str = "application/json") -> Fault:
        """Status 200 and a body that is no JSON."""
        return cls("body", body=body, headers={"Content-Type": content_type})

    @classmethod
    def empty(cls) -> Fault:
        """Status 200 and no body."""
        return cls("body", headers={"Content-Type": "application/json"})

    @classmethod
    def html(cls) -> Fault:
        """Status 200 and a web page, as from a wrong address or a captive portal."""
        return cls("body", body=b"<html><body>Welcome</body></html>", headers={"Content-Type": "text/html"})

    @classmethod
    def huge(cls, size: int, *, announced: bool = False) -> Fault:
        """A body of `size` bytes; `announced` tells its length beforehand."""
        return cls("huge", amount=size, headers={"announced": "yes"} if announced else {})

    @classmethod
    def redirect(cls, url: str, status: int = 307) -> Fault:
        """A redirect to another address."""
        return cls("redirect", status, headers={"Location": url})

    @classmethod
    def not_http(cls) -> Fault:
        """Bytes that are not HTTP."""
        return cls("not_http")


Answer = str | dict[str, Any] | Fault
Handler = Callable[[dict[str, Any]], Answer | Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class SeenRequest:
    """One request as it arrived. Header names are in lower case."""

    body: dict[str, Any]
    headers: Mapping[str, str]


class FakeServer:
    """An OpenAI-compatible HTTP server in a thread of its own, for the length of a `with` block.

        with FakeServer(lambda request: "yes") as server:
            lm = LM("openai/test", base_url=server.url)

    `handler` gets the JSON of a request and gives its answer: text, a whole reply as a dict, or a `Fault`; it may be
    a coroutine function, and runs on the server's loop. A text or `Fault` answers every request; a list answers them
    in the order in which they arrive and then fails with 500. None repeats the last message. An exception in the
    handler is answered with 500. `latency` is in seconds. `key`, when given, is demanded from clients. Streams are
    refused.

    `url` is the base URL to give to a client. `requests` are those seen, in order of arrival, at least the last 9,000;
    `count` all of them, `in_flight` those under way and `max_in_flight` the most there ever were. Tokens in `usage` are
    words, so that tests can count them.
    """

    def __init__(
        self,
        handler: Handler | Answer | Sequence[Answer] | None = None,
        *,
        latency: float = 0.0,
        models: Sequence[str] = ("fake",),
        key: str | None = None,
        port: int = 0,
    ) -> None:
        self.handler = _as_handler(handler)
        self.latency = latency
        self.models = tuple(models)
        self.key = key
        self.requests: list[SeenRequest] = []
        self.count = 0
        self.in_flight = 0
        self.max_in_flight = 0
        self._port = port
        self._address: tuple[str, int] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stop: asyncio.Event | None = None
        self._failure: BaseException | None = None

    @property
    def url(self) -> str:
        """The base URL, ending in /v1."""
        if self._address is None:
            raise UsageError("the server is not running: use it in a `with` block")
        return f"http://{self._address[0]}:{self._address[1]}/v1"

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

            self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
            app = web.Application(client_max_size=1 << 28)
            app.router.add_post("/v1/chat/completions", self._complete)
            app.router.add_get("/v1/models", self._list_models)
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.05)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", self._port, backlog=4096)
            await site.start()
            self._address = ("127.0.0.1", runner.addresses[0][1])
        except BaseException as error:
            self._failure = error
            return
        finally:
            ready.set()
        await self._stop.wait()
        await runner.cleanup()

    async def _list_models(self, request: web.Request) -> web.StreamResponse:
        models = [{"id": name, "object": "model", "created": 0, "owned_by": "outlast"} for name in self.models]
        return _reply({"object": "list", "data": models})

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        self.count += 1
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        try:
            return await self._answer(request)
        finally:
            self.in_flight -= 1

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        try:
            body = json.loads(await request.read())
        except ValueError:
            return await _fail(request, Fault.error(400, "the body is not JSON"))
        if len(self.requests) >= 10_000:
            del self.requests[:1000]
        self.requests.append(SeenRequest(body, {name.lower(): value for name, value in request.headers.items()}))
        if self.key is not None and request.headers.get("Authorization") != f"Bearer {self.key}":
            return await _fail(request, Fault.error(401, "Incorrect API key provided", code="invalid_api_key"))
        if body.get("stream"):
            return await _fail(request, Fault.error(400, "FakeServer does not stream", param="stream"))
        if self.latency:
            await asyncio.sleep(self.latency)
        try:
            answer = self.handler(body)
            if inspect.isawaitable(answer):
                answer = await answer
        except Exception as error:
            return await _fail(request, Fault.error(500, f"the handler raised {type(error).__name__}: {error}"))
        if isinstance(answer, Fault):
            return await _fail(request, answer)
        return _reply(answer if isinstance(answer, dict) else completion(answer, body))


def completion(text: str, request: Mapping[str, Any], **message: Any) -> dict[str, Any]:
    """A whole chat completion that says `text`, to change and return from a handler.

    `message` adds to the message: `reasoning_content="..."`, `refusal="..."`.
    """
    asked = sum(len(_text(turn).split()) for turn in request.get("messages", ()))
    said = len(text.split())
    return {
        "id": f"chatcmpl-{next(_numbers)}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": request.get("model", "fake"),
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text, "refusal": None, **message},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said},
    }


_numbers = count(1)


def _as_handler(given: Handler | Answer | Sequence[Answer] | None) -> Handler:
    if given is None:
        return lambda request: _text(request["messages"][-1])
    if isinstance(given, (str, dict, Fault)):
        answer: Answer = cast("Answer", given)
        return lambda request: answer
    if callable(given):
        return given
    if not isinstance(given, Sequence):
        raise UsageError(f"a server's handler is a function, an answer or a list of answers; got {brief(given)}")
    answers = iter(given)

    def in_order(request: dict[str, Any]) -> Answer:
        return next(answers, Fault.error(500, f"the list of {len(given)} answers is used up"))

    return in_order


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = cast("list[dict[str, Any]]", content or [])
    return "".join(str(part.get("text", "")) for part in parts)


def _reply(data: dict[str, Any], status: int = 200) -> web.StreamResponse:
    from aiohttp import web

    headers = {"x-request-id": f"req-{next(_numbers)}"}
    return web.Response(body=json.dumps(data).encode(), status=status, content_type="application/json", headers=headers)


async def _fail(request: web.Request, fault: Fault) -> web.StreamResponse:
    from aiohttp import web

    transport = request.transport
    if fault.kind in ("status", "redirect"):
        return web.Response(
            body=fault.body, status=fault.status, headers={"Content-Type": "application/json", **fault.headers}
        )
    if fault.kind == "body":
        return web.Response(body=fault.body, headers=fault.headers)
    if fault.kind in ("drop", "not_http"):
        if transport is not None:
            if fault.kind == "not_http":
                cast("asyncio.WriteTransport", transport).write(b"\x00\x01 this is not HTTP\r\n\r\n")
            transport.close()
        return web.Response()
    body = json.dumps(completion("some words that never arrive whole", {"model": "fake"})).encode()
    if fault.kind == "huge":
        body = b" " * int(fault.amount)
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    if fault.kind != "huge" or "announced" in fault.headers:
        response.content_length = len(body)
    await response.prepare(request)
    try:
        await _trickle(response, body, fault)
    except ConnectionError:  # the client has had enough
        return response
    if fault.kind == "cut" and transport is not None:
        transport.close()
    return response


async def _trickle(response: web.StreamResponse, body: bytes, fault: Fault) -> None:
    if fault.kind == "cut":
        await response.write(body[: len(body) // 2])
        return
    step = 1 << 16 if fault.kind == "huge" else max(1, len(body) // 20)
    for start in range(0, len(body), step):
        await response.write(body[start : start + step])
        if fault.kind == "slow":
            await asyncio.sleep(fault.amount / 20)
